package cli

import (
	"fmt"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A stream writes the answer of a chat without conversation to stdout. On a
// terminal words are written as they come, broken into lines at spaces;
// elsewhere the answer is written once, when it is known which words are the
// last.
type stream struct {
	live    string // what was said of the sentence so far
	written string // the whole of the last text that was written
	word    string // the beginning of a word that is not written yet
	column  int
}

// say takes a piece of what is being said.
func (o *once) say(d agent.Delta) error {
	s := &o.stream
	switch {
	case !isTerminal(o.out):
		return nil
	case d.Reset && s.live != "":
		*s = stream{}
		_, err := fmt.Fprintln(o.out, " … (again)")
		return err
	}
	if s.live == "" {
		d.Text = strings.TrimLeft(d.Text, " \n")
	}
	s.live += d.Text
	columns, _ := sizeOf(o.out)
	_, err := fmt.Fprint(o.out, s.flow(clean(d.Text), columns))
	return err
}

// flow returns what can be written of text that goes on: all but its last word.
func (s *stream) flow(text string, columns int) string {
	var b strings.Builder
	for _, r := range text {
		if r != ' ' && r != '\n' {
			s.word += string(r)
			continue
		}
		b.WriteString(s.flush(columns))
		b.WriteRune(r)
		s.column++
		if r == '\n' {
			s.column = 0
		}
	}
	return b.String()
}

// flush returns the word that was begun, on a new line if it has to be.
func (s *stream) flush(columns int) string {
	word, w := s.word, cellsOf(s.word)
	s.word = ""
	if s.column > 0 && s.column+w >= columns {
		s.column = w
		return "\n" + word
	}
	s.column += w
	return word
}

// said takes what was said in the end.
func (o *once) said(e *run.Moved) error {
	text := strings.TrimSpace(e.Message.Text())
	if !isTerminal(o.out) {
		if text != "" && len(e.Actions) > 0 { // not yet the answer
			fmt.Fprintln(o.err, clean(text))
		}
		return nil
	}
	columns, _ := sizeOf(o.out)
	s := o.stream
	o.stream = stream{written: text}
	rest, follows := strings.CutPrefix(text, s.live)
	switch {
	case text == "" && s.live == "":
		o.stream.written = s.written
		return nil
	case follows:
	case strings.TrimSpace(s.live) == text:
		rest = ""
	default: // what was heard is not what was said
		_, err := fmt.Fprintf(o.out, "\n%s\n", strings.Join(wrap(clean(text), columns-1), "\n"))
		return err
	}
	_, err := fmt.Fprintln(o.out, s.flow(clean(rest), columns)+s.flush(columns))
	return err
}

// flush writes the answer, unless it was written as it came.
func (o *once) flush(res *orchestrator.Result) {
	text := strings.TrimSpace(res.Text)
	if text == "" && len(res.JSON) > 0 {
		text = string(res.JSON)
	}
	switch {
	case text == "":
	case !isTerminal(o.out):
		fmt.Fprintln(o.out, o.discreet(text))
	case o.stream.written != text:
		columns, _ := sizeOf(o.out)
		fmt.Fprintln(o.out, strings.Join(wrap(clean(text), columns-1), "\n"))
	}
}
