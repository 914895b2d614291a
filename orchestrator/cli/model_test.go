package cli_test

import (
	"regexp"
	"strings"
	"testing"
)

// offered is what is said of a model that the user has, or may choose.
var offered = regexp.MustCompile(`OPENAI|--model|offline`)

// TestNoModel has the agents of a program ask no model: its users need none, and none is
// spoken of.
func TestNoModel(t *testing.T) {
	p := newPlace(t)
	for _, args := range [][]string{{"chat", "Hello."}, {"chat", "--help"}, {"work", "--help"}} {
		if out, code := p.run("ann", args...); code != 0 || offered.MatchString(out) {
			t.Errorf("%q ended with code %d and printed\n%s\nwant code 0, and no word of a model", args, code, out)
		}
	}
	if out, code := p.run("ann", "work", "--model", "x"); code != 2 || !strings.Contains(out, "unknown flag: --model") {
		t.Errorf("work --model ended with code %d and printed\n%s", code, out)
	}
	s := p.sits("ann", "chat")
	s.sees("shop · desk\r\n", "Write a message.")
}
