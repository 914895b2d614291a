package cli

import (
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// speech is what the planner is saying, as it comes: words that are shown
// before the log has them. Each finished line is shown for good at once.
type speech struct {
	text    string
	shown   []string // lines that were shown
	thought string   // the last piece of reasoning
	calls   []string // the tools that are about to be called
}

// hear takes a delta, and returns the lines that are finished and the one that
// is not. dropped says that lines which were shown are void.
func (s *speech) hear(d agent.Delta, columns int) (finished []string, live string, dropped bool) {
	switch {
	case d.Reset:
		dropped = len(s.shown) > 0
		*s = speech{}
		return nil, "", dropped
	case d.Call != "":
		s.calls = append(s.calls, d.Call)
	case d.Reasoning != "":
		s.thought += d.Reasoning
	}
	s.text += d.Text
	lines := s.lines(s.text, columns)
	finished = lines[min(len(s.shown), len(lines)-1) : len(lines)-1]
	s.shown = append(s.shown, finished...)
	return finished, lines[len(lines)-1], false
}

// said takes the recorded words, and returns what was not shown yet. again says
// that it is all of them, since what was shown was something else.
func (s *speech) said(text string) (rest string, again bool) {
	shown := s.shown
	*s = speech{}
	text = strings.TrimSpace(clean(text))
	rest = text
	for _, word := range strings.Fields(strings.Join(shown, " ")) {
		var ok bool
		if rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " \n"), word); !ok {
			return text, true
		}
	}
	if len(shown) > 0 {
		rest = strings.TrimLeft(rest, " \n")
	}
	return rest, false
}

func (s *speech) lines(text string, columns int) []string {
	lines := wrap(clean(strings.TrimLeft(text, " \n")), columns-1)
	for i := range lines[:len(lines)-1] {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// doing says what the planner is doing, for the status line.
func (s *speech) doing() string {
	switch {
	case len(s.calls) > 0:
		return "about to call " + cleanLine(strings.Join(s.calls, ", ")) + " …"
	case s.text != "":
		return ""
	case s.thought != "":
		words := []rune(strings.Join(strings.Fields(clean(s.thought)), " "))
		return "thinking … " + string(words[max(0, len(words)-60):])
	}
	return "thinking …"
}
