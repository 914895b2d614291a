package cli

import (
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// cells returns how many columns of a terminal r takes.
func cells(r rune) int {
	switch {
	case r < 0x20 || r == 0x7f:
		return 0
	case r < 0x7f:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cellsOf returns how many columns s takes.
func cellsOf(s string) (n int) {
	for _, r := range s {
		n += cells(r)
	}
	return n
}

// clean makes text that others wrote fit to be shown: what would steer the
// terminal, or make text look as if it stood in another order, is replaced.
// Newlines stay.
func clean(s string) string {
	if !strings.ContainsFunc(s, steers) {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	var b strings.Builder
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		switch {
		case r == '\n':
			b.WriteByte('\n')
		case r == '\t':
			b.WriteString("    ")
		case steers(r):
			b.WriteRune('\uFFFD')
		default:
			b.WriteRune(r)
		}
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// cleanWriter makes clean what is written to it, a whole text at a time.
type cleanWriter struct{ io.Writer }

func (w cleanWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, clean(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// cleanLine is clean for what has to stay on one line.
func cleanLine(s string) string { return strings.ReplaceAll(clean(s), "\n", " ") }

func steers(r rune) bool {
	return unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// wrap breaks text into lines of at most most columns, at spaces where it can;
// most 0 or less breaks at newlines only. All lines but the last stay as they
// are when text is appended.
func wrap(text string, most int) []string {
	var lines []string
	for _, para := range strings.Split(text, "\n") {
		if most <= 0 {
			lines = append(lines, para)
			continue
		}
		lines = append(lines, wrapPara(para, most)...)
	}
	return lines
}

func wrapPara(para string, most int) []string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.SplitAfter(para, " ") {
		w := cellsOf(strings.TrimRight(word, " "))
		if used+w > most && used > 0 {
			lines = append(lines, strings.TrimRight(line, " "))
			line, used = "", 0
		}
		for w > most {
			head, tail := cutCells(word, most)
			lines = append(lines, head)
			word = tail
			w = cellsOf(strings.TrimRight(word, " "))
		}
		line += word
		used += cellsOf(word)
	}
	return append(lines, line)
}

// cutCells cuts s after at most most columns, but after one character at least.
func cutCells(s string, most int) (head, tail string) {
	used := 0
	for i, r := range s {
		if used+cells(r) > most && i > 0 {
			return s[:i], s[i:]
		}
		used += cells(r)
	}
	return s, ""
}

// fit shortens s to at most most columns; most 0 or less leaves it.
func fit(s string, most int) string {
	if most <= 0 || cellsOf(s) <= most {
		return s
	}
	head, _ := cutCells(s, most-1)
	return strings.TrimRight(head, " ") + "…"
}
