package cli

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
)

func TestScreenArea(t *testing.T) {
	for _, c := range []struct {
		name        string
		screen      screen
		line        string
		back        int // how far the cursor is from the end
		most        int
		want        []string
		row, column int
	}{
		{"empty prompt", screen{prompt: "› "}, "", 0, 9, []string{"› "}, 0, 2},
		{"live, status and line", screen{prompt: "› ", live: "It is", status: "thinking …"}, "hi", 1, 9, []string{"It is", "thinking …", "› hi"}, 2, 3},
		{"a long line", screen{prompt: "› "}, "0123456789abc", 0, 9, []string{"› 01234567", "  89abc"}, 1, 7},
		{"an exact line", screen{prompt: "› "}, "01234567", 0, 9, []string{"› 01234567", "  "}, 1, 2},
		{"wide", screen{prompt: "› "}, "日本語日本", 5, 9, []string{"› 日本語日", "  本"}, 0, 2},
		{"newlines", screen{prompt: "› "}, "a\nb", 2, 9, []string{"› a", "  b"}, 0, 3},
		{"too high: the part with the cursor", screen{prompt: "› "}, "a\nb\nc\nd\ne", 0, 3, []string{"  c", "  d", "  e"}, 2, 3},
		{"no prompt", screen{status: "leaving …"}, "", 0, 9, []string{"leaving …", ""}, 1, 0},
	} {
		s := c.screen
		s.line.set(c.line)
		s.line.at -= c.back
		rows, row, column := s.area(10, c.most)
		if !reflect.DeepEqual(rows, c.want) || row != c.row || column != c.column {
			t.Errorf("%s: %q with the cursor at %d, %d; want %q at %d, %d", c.name, rows, row, column, c.want, c.row, c.column)
		}
	}
}

// A terminal that is made narrower breaks the rows of the area.
func TestScreenAbove(t *testing.T) {
	s := screen{drawn: []int{99, 40, 12}, column: 12}
	for columns, want := range map[int]int{100: 2, 50: 3, 40: 4, 10: 15} {
		if got := s.above(columns); got != want {
			t.Errorf("at %d columns %d rows are above the cursor, want %d", columns, got, want)
		}
	}
}

func TestSpeech(t *testing.T) {
	var s speech
	var shown []string
	hear := func(d agent.Delta) string {
		finished, live, dropped := s.hear(d, 11)
		if dropped {
			shown = append(shown, "dropped")
		}
		shown = append(shown, finished...)
		return live
	}
	hear(agent.Delta{Reasoning: "Let me see."})
	if s.doing() != "thinking … Let me see." {
		t.Errorf("it is %q", s.doing())
	}
	hear(agent.Delta{Text: "one two three "})
	if live := hear(agent.Delta{Text: "four"}); live != "three four" {
		t.Errorf("live is %q", live)
	}
	rest, again := s.said("one two three four five")
	if want := []string{"one two"}; !reflect.DeepEqual(shown, want) || again || rest != "three four five" {
		t.Errorf("shown %q, then %q (again %v)", shown, rest, again)
	}

	shown = nil
	hear(agent.Delta{Text: "this is not it at all"})
	hear(agent.Delta{Reset: true})
	if shown[len(shown)-1] != "dropped" {
		t.Errorf("shown %q, want a word on the dropped attempt", shown)
	}
	hear(agent.Delta{Text: "one two three four"})
	if rest, again := s.said("something else"); rest != "something else" || !again {
		t.Errorf("another text: %q (again %v)", rest, again)
	}
	if rest, again := s.said("unheard"); rest != "unheard" || again {
		t.Errorf("a text that was not heard: %q (again %v)", rest, again)
	}
}

func TestStream(t *testing.T) {
	s := &stream{}
	var b strings.Builder
	for _, piece := range []string{"one t", "wo th", "ree\nfo", "ur five six"} {
		b.WriteString(s.flow(piece, 10))
	}
	b.WriteString(s.flush(10))
	if want := "one two \nthree\nfour five \nsix"; b.String() != want {
		t.Errorf("written %q, want %q", b.String(), want)
	}
}
