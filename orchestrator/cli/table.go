package cli

import (
	"io"
	"strings"
)

// A table is printed with columns as wide as they need to be. On a terminal the
// last column is cut to what is left.
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
	widths := make([]int, len(t.head))
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], cellsOf(c.text))
		}
	}
	var b strings.Builder
	for _, row := range all {
		b.WriteString(t.line(row, widths, columns) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) line(row []cell, widths []int, columns int) string {
	var b strings.Builder
	used := 0
	for i, c := range row {
		if i == len(row)-1 {
			text := c.text
			if columns > 0 {
				text = fit(text, max(columns-1-used, 12))
			}
			b.WriteString(t.paint.do(c.paint, text))
			break
		}
		b.WriteString(t.paint.do(c.paint, c.text) + strings.Repeat(" ", widths[i]-cellsOf(c.text)+2))
		used += widths[i] + 2
	}
	return strings.TrimRight(b.String(), " ")
}
