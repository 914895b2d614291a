package cli

import (
	"io"
	"slices"
	"strings"
)

// A table is printed with columns as wide as they need to be. On a terminal the
// last column is cut to what is left; where that is too little to read, it stands on
// a line of its own below each row.
type table struct {
	head  []string
	rows  [][]cell
	paint painter
}

type cell struct {
	text  string
	paint paint
}

func (t *table) add(row []cell) { t.rows = append(t.rows, row) }

// drop leaves out those of the named columns in which nothing stands.
func (t *table) drop(names ...string) {
	for i := len(t.head) - 1; i >= 0; i-- {
		filled := slices.ContainsFunc(t.rows, func(row []cell) bool { return row[i].text != "" })
		if filled || !slices.Contains(names, t.head[i]) {
			continue
		}
		t.head = slices.Delete(t.head, i, i+1)
		for r := range t.rows {
			t.rows[r] = slices.Delete(t.rows[r], i, i+1)
		}
	}
}

// print prints the table for a terminal of so many columns; 0 cuts nothing. An
// empty one prints nothing.
func (t *table) print(w io.Writer, columns int) error {
	if len(t.rows) == 0 {
		return nil
	}
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, dim}
	}
	all := append([][]cell{head}, t.rows...)
	widths := t.widths()
	var b strings.Builder
	for _, row := range all {
		b.WriteString(t.line(row, widths, columns) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths are how many columns of the terminal each column needs.
func (t *table) widths() []int {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = cellsOf(h)
		for _, row := range t.rows {
			widths[i] = max(widths[i], cellsOf(row[i].text))
		}
	}
	return widths
}

// fixed is how many columns of the terminal all but the last one take.
func (t *table) fixed() (n int) {
	widths := t.widths()
	for _, w := range widths[:len(widths)-1] {
		n += w + 2
	}
	return n
}

// leastLast is how many columns the last one needs to stand beside the others.
const leastLast = 20

func (t *table) line(row []cell, widths []int, columns int) string {
	var b strings.Builder
	used := 0
	for i, c := range row {
		if i < len(row)-1 {
			b.WriteString(t.paint.do(c.paint, c.text) + strings.Repeat(" ", widths[i]-cellsOf(c.text)+2))
			used += widths[i] + 2
			continue
		}
		text := c.text
		switch room := columns - 1 - used; {
		case columns <= 0:
		case room >= min(leastLast, widths[i]):
			text = fit(text, room)
		case c.text == t.head[i]:
			text = ""
		default:
			return strings.TrimRight(b.String(), " ") + "\n    " + t.paint.do(c.paint, fit(text, max(columns-5, leastLast)))
		}
		b.WriteString(t.paint.do(c.paint, text))
	}
	return strings.TrimRight(b.String(), " ")
}
