package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// The tour's own voice: what it says besides what the commands print.

func (t *tour) heading(s string) { fmt.Printf("\n%s\n", t.paint("1", s)) }

func (t *tour) tell(s string) { t.fold("", "", s) }

func (t *tour) typed(s string) {
	t.rest()
	t.fold("$ ", "2", s)
}

// rest leaves time to read.
func (t *tour) rest() {
	select {
	case <-time.After(t.pause / 2):
	case <-t.ctx.Done():
	}
}

// fold prints a text, broken at spaces where the terminal ends, behind a mark
// that is painted.
func (t *tour) fold(mark, code, text string) {
	columns, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || columns <= 0 {
		columns = 1 << 20
	}
	indent := utf8.RuneCountInString(mark)
	line, used := t.paint(code, mark), indent
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		if used+1+n >= columns && used > indent {
			fmt.Println(line)
			line, used = t.paint(code, strings.Map(blank, mark)), indent
		} else if i > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	fmt.Println(line)
}

// blank leaves of a mark only what goes on below it.
func blank(r rune) rune {
	if r == '│' {
		return r
	}
	return ' '
}

func (t *tour) paint(code, s string) string {
	if !t.color || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// labelled prints what a process prints, each line behind a label. Writes come
// from one goroutine: that of os/exec which copies the output.
type labelled struct {
	tour  *tour
	label string
	part  []byte
}

func (l *labelled) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		line, rest, ok := bytes.Cut(l.part, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.tour.fold(l.label, "2", string(line))
		l.part = bytes.Clone(rest)
	}
}
