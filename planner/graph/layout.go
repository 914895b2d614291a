package graph

import (
	"cmp"
	"slices"
	"strings"
)

// A layout places the boxes of a picture for renderers that do not do it themselves:
// from the innermost boxes out, those in a box stand in rows, one below the other, as
// the arrows lead (the layers of Sugiyama, Tagawa and Toda, 1981, in a simple form);
// regions stand side by side. Distances are pixels.
type layout map[*box]rect

type rect struct {
	at            point // within the box around
	width, height int
}

type point struct {
	X int `json:"x"`
	Y int `json:"y"`
}

const (
	gapX, gapY = 36, 56 // between boxes
	rim        = 20     // between a box and those in it
	lineHeight = 15
	charWidth  = 7
)

// A cell is a box in a row, or, without a box, room for the label of an arrow that
// passes the row.
type cell struct {
	box           *box
	width, height int
	next          []*cell
	middle        int // across, from anywhere
}

func layOut(p *picture) layout {
	l := layout{}
	l.inside(p, p.top)
	return l
}

// inside places what is in a box, and returns how much room it takes.
func (l layout) inside(p *picture, in *box) (width, height int) {
	cells := map[*box]*cell{}
	var row []*cell
	for _, b := range in.boxes {
		r := l.sized(p, b)
		l[b] = r
		cells[b] = &cell{box: b, width: r.width, height: r.height}
		row = append(row, cells[b])
	}
	rows := [][]*cell{row}
	if in.kind != "parallel" {
		rows = ranked(in, p.between(in), cells)
	}
	arrange(rows)
	left, right := ends(rows)
	for i, row := range rows {
		if i > 0 {
			height += gapY
		}
		tallest := 0
		for _, c := range row {
			tallest = max(tallest, c.height)
		}
		for _, c := range row {
			if c.box != nil {
				r := l[c.box]
				r.at = point{c.middle - r.width/2 - left, height + (tallest-r.height)/2}
				l[c.box] = r
			}
		}
		height += tallest
	}
	return right - left, height
}

// ends returns how far left and right the rows reach.
func ends(rows [][]*cell) (left, right int) {
	for i, row := range rows {
		for j, c := range row {
			if i+j == 0 {
				left, right = c.middle, c.middle
			}
			left, right = min(left, c.middle-c.width/2), max(right, c.middle+(c.width+1)/2)
		}
	}
	return left, right
}

// sized says how large a box is, and places what is in it.
func (l layout) sized(p *picture, b *box) rect {
	switch b.kind {
	case "start":
		return rect{width: 16, height: 16}
	case "fork":
		return rect{width: 80, height: 6}
	case "history", "again":
		return rect{width: 40, height: 40}
	}
	text := flowLabel(b)
	width := 80
	for _, t := range text {
		width = max(width, textWidth(t)+24)
	}
	height := lineHeight*len(text) + 20
	if b.leaf() {
		return rect{width: width, height: height}
	}
	w, h := l.inside(p, b)
	for _, c := range b.boxes {
		r := l[c]
		r.at.X += rim + max(0, width-w-2*rim)/2
		r.at.Y += height + rim/2
		l[c] = r
	}
	return rect{width: max(width, w+2*rim), height: height + rim/2 + h + rim}
}

func textWidth(s string) int { return charWidth * len([]rune(s)) }

// A way leads from one box directly in another to a second one there.
type way struct {
	to    *box
	label int // how wide
}

// between returns the ways between the boxes directly in a box, also those whose ends
// are farther inside.
func (p *picture) between(in *box) map[*box][]way {
	next := map[*box][]way{}
	for _, a := range p.arrows {
		from, to := in.child(a.from), in.child(a.to)
		if from != nil && to != nil && from != to {
			next[from] = append(next[from], way{to, textWidth(strings.Join(a.label, " "))})
		}
	}
	return next
}

// ranked puts the boxes in rows: each below those from which arrows lead to it, but for
// arrows that lead back.
func ranked(in *box, next map[*box][]way, cells map[*box]*cell) [][]*cell {
	forward, order := unwound(in.boxes, next)
	rank := map[*box]int{}
	for _, b := range order {
		for _, w := range forward[b] {
			rank[w.to] = max(rank[w.to], rank[b]+1)
		}
	}
	var rows [][]*cell
	for _, b := range in.boxes {
		for len(rows) <= rank[b] {
			rows = append(rows, nil)
		}
		rows[rank[b]] = append(rows[rank[b]], cells[b])
	}
	for _, b := range in.boxes {
		for _, w := range forward[b] {
			last := cells[b]
			for i := rank[b] + 1; i < rank[w.to]; i++ { // an arrow that passes this row
				room := &cell{width: max(24, w.label)}
				rows[i] = append(rows[i], room)
				last.next, last = append(last.next, room), room
			}
			last.next = append(last.next, cells[w.to])
			if len(forward[b]) > 1 { // labels of arrows from one box stand half-way to the next boxes
				cells[w.to].width = max(cells[w.to].width, w.label*3/2)
			}
		}
	}
	return rows
}

// unwound drops the ways that close a circle when the boxes are walked in their order,
// and returns the rest, with the boxes so that each comes before those that it leads to.
func unwound(boxes []*box, next map[*box][]way) (forward map[*box][]way, order []*box) {
	const open, closed = 1, 2
	state := map[*box]int{}
	forward = map[*box][]way{}
	var walk func(b *box)
	walk = func(b *box) {
		state[b] = open
		for _, w := range next[b] {
			if state[w.to] == open {
				continue
			}
			forward[b] = append(forward[b], w)
			if state[w.to] == 0 {
				walk(w.to)
			}
		}
		state[b] = closed
		order = append(order, b)
	}
	for _, b := range boxes {
		if state[b] == 0 {
			walk(b)
		}
	}
	slices.Reverse(order)
	return forward, order
}

// arrange orders each row by where the arrows to its boxes come from, and puts each box
// below that, as far as there is room.
func arrange(rows [][]*cell) {
	before := map[*cell][]*cell{}
	for _, row := range rows {
		for _, c := range row {
			for _, n := range c.next {
				before[n] = append(before[n], c)
			}
		}
	}
	for _, row := range rows {
		for _, c := range row {
			c.middle = 0
			for _, b := range before[c] {
				c.middle += b.middle / len(before[c])
			}
		}
		slices.SortStableFunc(row, func(a, b *cell) int { return cmp.Compare(a.middle, b.middle) })
		spread(row)
	}
}

// spread moves the cells of a row so that none covers another, and none farther than
// it must.
func spread(row []*cell) {
	moved, right := 0, 0
	for i, c := range row {
		at := c.middle - c.width/2
		if i > 0 {
			at = max(at, right+gapX)
		}
		right = at + c.width
		moved += at + c.width/2 - c.middle
		c.middle = at + c.width/2
	}
	for _, c := range row {
		c.middle -= moved / len(row)
	}
}

// above says whether the top of a box is above the bottom of another.
func (l layout) above(a, b *box) bool {
	return l.top(a) < l.top(b)+l[b].height
}

func (l layout) top(b *box) int {
	y := 0
	for ; b != nil; b = b.in {
		y += l[b].at.Y
	}
	return y
}
