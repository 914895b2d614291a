package cli

import (
	"bufio"
	"io"
	"reflect"
	"strings"
	"testing"
)

// typed feeds what a terminal sends to an editor, and returns its line with a |
// at the cursor.
func typed(t *testing.T, e *editor, input string) string {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(input))
	for {
		k, err := readKey(in)
		if err == io.EOF {
			return string(e.text[:e.at]) + "|" + string(e.text[e.at:])
		}
		if err != nil {
			t.Fatal(err)
		}
		if k.kind == keyEnter {
			e.take(true)
			continue
		}
		e.press(k)
	}
}

func TestEditor(t *testing.T) {
	for _, c := range []struct{ name, input, want string }{
		{"text", "where", "where|"},
		{"wide", "日本\x7f語", "日語|"},
		{"a mark goes with its letter", "cafe\u0301\x7fx", "cafx|"},
		{"arrows", "abd\x1b[Dc\x1b[C!", "abcd!|"},
		{"home and end", "bc\x01a\x05d", "abcd|"},
		{"home and end, as sequences", "bc\x1b[Ha\x1bOFd", "abcd|"},
		{"words", "one two three\x1bb\x1b[1;5Dx\x1bf", "one xtwo| three"},
		{"delete", "abc\x01\x1b[3~\x04", "|c"},
		{"cut a word", "one two \x17three", "one three|"},
		{"cut to the ends", "one two\x1bb\x0b!\x02\x15", "|!"},
		{"pasted lines", "a\x1b[200~b\r\nc\x1b[201~d", "ab\ncd|"},
		{"pasted escapes are harmless", "\x1b[200~x\x1b[31my\x1b[201~", "x\uFFFD[31my|"},
		{"Alt-Enter", "a\x1b\rb", "a\nb|"},
		{"unknown sequences are nothing", "a\x1b[15~\x1b[?1;2cb\x1bz", "ab|"},
		{"history", "one\rtwo\rthr\x1b[A\x1b[A", "one|"},
		{"back from history", "one\rtwo\rthr\x1b[A\x1b[A\x1b[B\x1b[B", "thr|"},
		{"no further than the history", "one\r\x1b[A\x1b[A\x1b[B\x1b[B\x1b[B", "|"},
	} {
		if got := typed(t, &editor{}, c.input); got != c.want {
			t.Errorf("%s: typing %q gives %q, want %q", c.name, c.input, got, c.want)
		}
	}
}

func TestKeysEnd(t *testing.T) {
	keys := make(chan key, 10)
	readKeys(strings.NewReader("a\x03"), keys)
	close(keys)
	var kinds []keyKind
	for k := range keys {
		kinds = append(kinds, k.kind)
	}
	if want := []keyKind{keyText, keyInterrupt, keyLeave}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}
