package cli

import (
	"strings"
)

// A para is a piece of what is shown: some text, with a mark before its first
// line. Whatever steers a terminal is left out of both when it is laid out.
type para struct {
	gap   bool   // an empty line before it
	mark  string // before the first line; the others are indented as much
	tint  paint  // of the mark
	text  string
	paint paint // of the text
	cut   int   // if more than 0: at most so many lines, where lines have an end

	hang string // before the other lines, as wide as mark; "" is blank
}

// lines lays the para out for a terminal of so many columns; 0 does not break
// lines.
func (p para) lines(columns int, c painter) []string {
	p.mark, p.hang, p.text = cleanLine(p.mark), cleanLine(p.hang), clean(p.text)
	if columns > 0 && p.hang == "" && cellsOf(p.mark) > columns/2 { // what leaves too little room is text itself
		words := strings.TrimLeft(p.mark, " ")
		p.mark, p.text = p.mark[:min(len(p.mark)-len(words), 4)], words+p.text
	}
	room := 0
	indent := cellsOf(p.mark)
	if columns > 0 {
		room = max(columns-1-indent, 12)
	}
	var out []string
	if p.gap {
		out = append(out, "")
	}
	rows := wrap(p.text, room)
	if p.cut > 0 && room > 0 && len(rows) > p.cut {
		rows = rows[:p.cut]
		rows[p.cut-1] = fit(strings.TrimRight(rows[p.cut-1], " ")+"…", room)
	}
	for i, row := range rows {
		mark := c.do(p.tint, p.mark)
		if i > 0 {
			mark = strings.Repeat(" ", indent)
			if p.hang != "" {
				mark = c.do(p.tint, p.hang)
			}
		}
		out = append(out, strings.TrimRight(mark+c.do(p.paint, strings.TrimRight(row, " ")), " "))
	}
	return out
}
