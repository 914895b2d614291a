package graph

import (
	"slices"
	"strconv"
	"strings"
)

// Marks are what a picture shows of a run. A nil *Marks draws the definition alone.
// What is named and is not in the definition is passed over.
type Marks struct {
	Active  []string // nodes that are active: the basic ones; those around them follow
	Visited []string // nodes that have been active, beside those that Taken joins
	Taken   []string // edges that have been taken, by id; "from>to" for one that has none
	Stuck   []string // nodes at which the run is stuck
}

// picture is a definition as it is drawn, whatever the form: boxes within boxes, and
// arrows between them.
//
// Beside the nodes there are a few boxes that only help to draw:
//
//	start    the dot at which a node begins
//	fork     the bar at which an edge with several targets parts
//	anywhere the beginning of an edge from a node to what is in it
//	again    a turn outside of a node for an edge to it from within
//	chooses  the model of a planner node
//
// Edges without a target are no arrows, but lines of their node.
type picture struct {
	title  string
	top    *box
	boxes  []*box // all but top; a box comes before what is in it
	arrows []*arrow
	edges  []Edge // as they were expanded
	marked bool

	byID map[string]*box
	keys map[string]bool // in use, in small letters
	ids  map[string]bool // of arrows
}

// A box is a node of the picture.
type box struct {
	id       string // as in the definition; of a helper one that differs from all others
	key      string // the same for languages whose names are words: letters, digits and _
	kind     string // tool, agent, ask, timer, wait, graph, compensate, planner, state, compound, parallel, history, final, failed, choice; or a helper
	title    string
	lines    []string // what it does
	prompt   int      // how many of the first lines are one, a question
	internal []string // edges without a target
	note     string

	in     *box
	boxes  []*box
	beside *box // of a helper: the box to which it belongs, in the same place

	active, visited, stuck bool
}

// An arrow is an edge of the picture, or a part of one.
type arrow struct {
	id       string // differs from those of all others
	edge     *Edge
	from, to *box
	label    []string // lines: events, condition, effects
	kind     string   // plain, error, after, initial or choice
	part     bool     // not the first of its edge
	taken    bool
}

// helper says whether a box is none of the definition's nodes.
func (b *box) helper() bool {
	switch b.kind {
	case "start", "fork", "anywhere", "again", "chooses":
		return true
	}
	return false
}

// leaf says whether nothing is in the box.
func (b *box) leaf() bool { return len(b.boxes) == 0 }

// within says whether b is other, or somewhere in it.
func (b *box) within(other *box) bool {
	for ; b != nil; b = b.in {
		if b == other {
			return true
		}
	}
	return false
}

// child returns the box directly in b that other is, or is in; nil if there is none.
func (b *box) child(other *box) *box {
	for ; other != nil; other = other.in {
		if other.in == b {
			return other
		}
	}
	return nil
}

// around returns the innermost box that all of the boxes are in, and are not.
func around(first *box, rest ...*box) *box {
	b := first.in
	for b.in != nil && slices.ContainsFunc(rest, func(o *box) bool { return o == b || !o.within(b) }) {
		b = b.in
	}
	return b
}

// drawn makes the picture of a definition. It takes whatever is there, also what a
// check refuses: nodes in none that exists are at the top, and edges from or to none
// are left out.
func (d *Definition) drawn(m *Marks) *picture {
	d, _ = d.expand()
	p := &picture{title: line(d.Graph), top: &box{kind: "compound"}, marked: m != nil,
		byID: map[string]*box{}, keys: map[string]bool{}, ids: map[string]bool{}}
	nodes := p.place(d.Nodes)
	edges := d.Edges
	p.edges = edges
	for i, n := range nodes {
		p.boxes[i].kind = kindOf(p.boxes[i], n, edges)
	}
	for i, n := range nodes {
		p.describe(p.boxes[i], n, edges)
	}
	p.begin(p.top, d.Initial)
	for i, n := range nodes {
		p.inside(p.boxes[i], n)
	}
	for i := range edges {
		p.edge(&edges[i])
	}
	p.order()
	if m != nil {
		p.mark(m)
	}
	return p
}

// place makes the boxes of the nodes, in document order, and puts each where it
// belongs. It returns the nodes that have a box.
func (p *picture) place(all []Node) []*Node {
	var nodes []*Node
	for i := range all {
		n := &all[i]
		if _, twice := p.byID[n.ID]; twice || n.ID == "" {
			continue
		}
		b := &box{id: n.ID, key: p.key(n.ID), title: line(titleOf(n.ID)), note: line(n.Note)}
		p.byID[n.ID] = b
		p.boxes = append(p.boxes, b)
		nodes = append(nodes, n)
	}
	for i, n := range nodes {
		b, in := p.boxes[i], p.byID[n.In]
		if in == nil || in.within(b) { // the top, unknown, or a circle
			in = p.top
		}
		b.in = in
		in.boxes = append(in.boxes, b)
	}
	return nodes
}

// titleOf is what a node is called: its id, but for those that [New] adds.
func titleOf(id string) string {
	if unnamed(id) {
		return ""
	}
	if strings.HasSuffix(id, ":done") {
		return "done"
	}
	return id
}

// unnamed says whether [New] has put a node around the activity that is a region.
func unnamed(id string) bool { return strings.HasSuffix(id, ":region") }

// order puts the boxes so that one comes before what is in it, and otherwise as in
// the document.
func (p *picture) order() {
	p.boxes = p.boxes[:0]
	var walk func(b *box)
	walk = func(b *box) {
		for _, c := range b.boxes {
			p.boxes = append(p.boxes, c)
			walk(c)
		}
	}
	walk(p.top)
}

// mark says of each box and arrow how it stands in a run.
func (p *picture) mark(m *Marks) {
	set := func(ids []string, f func(*box)) {
		for _, id := range ids {
			for b := p.byID[id]; b != nil; b = b.in {
				f(b)
			}
		}
	}
	set(m.Visited, func(b *box) { b.visited = true })
	set(m.Active, func(b *box) { b.active = true })
	set(m.Stuck, func(b *box) { b.stuck = b.stuck || b.leaf() })
	for _, a := range p.arrows {
		if a.edge.ID != "" && slices.Contains(m.Taken, a.edge.ID) {
			a.taken = true
			for _, end := range []*box{a.from, a.to} {
				for ; end != nil; end = end.in {
					end.visited = true
				}
			}
		}
	}
}

// helperIn adds a box that only helps to draw.
func (p *picture) helperIn(in, beside *box, kind, of string) *box {
	id := p.free(kind + ":" + of)
	b := &box{id: id, key: p.key(kind + "_" + of), kind: kind, in: in, beside: beside}
	p.byID[id] = b
	if kind == "start" || kind == "chooses" {
		in.boxes = append([]*box{b}, in.boxes...)
	} else {
		in.boxes = append(in.boxes, b)
	}
	return b
}

// free returns the id, or one like it that no box has.
func (p *picture) free(id string) string {
	for p.byID[id] != nil {
		id += "'"
	}
	return id
}

// key returns a name for an id that differs from all others, and is a word that means
// nothing to the languages of pictures.
func (p *picture) key(id string) string {
	base := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, id)
	if first := strings.TrimLeft(base, "_0123456789"); len(first) != len(base) || isReserved(base) {
		base = "n" + base
	}
	if strings.HasSuffix(base, "_start") || strings.HasSuffix(base, "_end") { // Mermaid's own
		base += "_"
	}
	key := base
	for i := 2; p.keys[strings.ToLower(key)]; i++ {
		key = base + "_" + strconv.Itoa(i)
	}
	p.keys[strings.ToLower(key)] = true
	return key
}

// isReserved says whether a word means something to Mermaid or to a browser.
func isReserved(word string) bool {
	word = strings.ToLower(word)
	for _, begin := range []string{"edge", "divider", "root"} { // Mermaid's own ids
		if strings.HasPrefix(word, begin) {
			return true
		}
	}
	return slices.Contains(reservedWords, word)
}

var reservedWords = strings.Fields(`
	acctitle accdescr as class classdef click constructor default direction end fork hasownproperty hide href isprototypeof join left note
	propertyisenumerable right scale state statediagram style tolocalestring tostring valueof`)
