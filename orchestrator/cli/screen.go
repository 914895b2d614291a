package cli

import (
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// A screen is a terminal with a live area at its lower end: the sentence that
// is being said, a line of status, and the line that the person is writing. What
// is above the area stays in the terminal's own scrollback and is never touched
// again. So text streams above a prompt that can be written on all the time.
//
// Nothing is written outside of draw, which paints the area anew in one write.
type screen struct {
	in, out *os.File
	before  *term.State // of the terminal, to be put back
	paint   painter

	live    string   // the unfinished last line of what is being said
	waiting []string // what was written and not taken up yet
	status  string
	prompt  string
	tint    paint // of the prompt
	line    editor

	// What was drawn last: how wide each row of the area is down to the one with
	// the cursor, and the column of the cursor in that.
	drawn  []int
	column int
}

const (
	pasteOn  = "\x1b[?2004h" // have the terminal mark pasted text
	pasteOff = "\x1b[?2004l"
)

// newScreen takes the terminal over. The caller closes it, whatever happens.
func newScreen(in, out *os.File, c painter) (*screen, error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	s := &screen{in: in, out: out, before: before, paint: c}
	_, err = out.WriteString(pasteOn)
	return s, err
}

// close clears the live area and gives the terminal back.
func (s *screen) close() error {
	s.live, s.waiting, s.status, s.prompt = "", nil, "", ""
	s.line.set("")
	s.draw()
	s.out.WriteString(pasteOff)
	return term.Restore(int(s.in.Fd()), s.before)
}

// columns is how wide the terminal is now.
func (s *screen) columns() int {
	w, _ := sizeOf(s.out)
	return max(w, 20)
}

// print puts paragraphs above the live area for good.
func (s *screen) print(paras ...para) {
	var lines []string
	for _, p := range paras {
		lines = append(lines, p.lines(s.columns(), s.paint)...)
	}
	s.draw(lines...)
}

// draw prints lines above the live area, and the area anew.
func (s *screen) draw(lines ...string) {
	columns, rows := sizeOf(s.out)
	var b strings.Builder
	if up := s.above(max(columns, 1)); up > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(up) + "A")
	}
	b.WriteString("\r\x1b[J")
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	area, row, column := s.area(max(columns, 20)-1, max(rows, 4)-2)
	b.WriteString(strings.Join(area, "\r\n"))
	if up := len(area) - 1 - row; up > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(up) + "A")
	}
	b.WriteString("\r")
	if column > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(column) + "C")
	}
	s.drawn, s.column = s.drawn[:0], column
	for _, l := range area[:row+1] {
		s.drawn = append(s.drawn, cellsOf(colours.ReplaceAllString(l, "")))
	}
	s.out.WriteString(b.String())
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// above is how many rows of what was drawn last are above the cursor, now that
// the terminal has so many columns: one that was made narrower has broken the
// rows.
func (s *screen) above(columns int) (rows int) {
	for i, w := range s.drawn {
		if i == len(s.drawn)-1 {
			return rows + max(s.column-1, 0)/columns
		}
		rows += max(w+columns-1, columns) / columns
	}
	return 0
}

// area lays the live area out, and says where in it the cursor stands.
func (s *screen) area(columns, most int) (rows []string, row, column int) {
	if s.live != "" {
		rows = append(rows, fit(strings.TrimRight(s.live, " "), columns))
	}
	for _, w := range s.waiting[:min(len(s.waiting), most/3)] {
		rows = append(rows, s.paint.do(dim, fit(w, columns)))
	}
	if s.status != "" {
		rows = append(rows, s.paint.do(dim, fit(s.status, columns)))
	}
	if s.prompt == "" {
		return append(rows, ""), len(rows), 0
	}
	written, row, column := s.written(columns)
	if over := len(written) + len(rows) - most; over > 0 { // show the part that the cursor is in
		from := min(max(row-(len(written)-over)+1, 0), over)
		written, row = written[from:from+max(len(written)-over, 1)], row-from
	}
	return append(rows, written...), row + len(rows), column
}

// written lays out the prompt and the line behind it.
func (s *screen) written(columns int) (rows []string, row, column int) {
	indent := cellsOf(s.prompt)
	if indent > columns/2 {
		indent = 2
	}
	line, used := s.paint.do(s.tint, s.prompt), cellsOf(s.prompt)
	feed := func() {
		rows = append(rows, line)
		line, used = strings.Repeat(" ", indent), indent
	}
	for i, r := range s.line.text {
		if used+cells(r) > columns {
			feed()
		}
		if i == s.line.at {
			row, column = len(rows), used
		}
		if r == '\n' {
			feed()
			continue
		}
		line += string(r)
		used += cells(r)
	}
	if s.line.at == len(s.line.text) {
		if used >= columns {
			feed()
		}
		row, column = len(rows), used
	}
	return append(rows, line), row, column
}
