package cli

import (
	"reflect"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want []string
	}{
		{"", 10, []string{""}},
		{"one two three", 0, []string{"one two three"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"a\n\nb", 8, []string{"a", "", "b"}},
		{"abcdefghijkl mn", 5, []string{"abcde", "fghij", "kl mn"}},
		{"日本語です", 4, []string{"日本", "語で", "す"}},
		{"x 日本語", 5, []string{"x", "日本", "語"}},
		{"é e\u0301 ok", 4, []string{"é e\u0301", "ok"}},
	} {
		got := wrap(c.text, c.most)
		for i := range got {
			got[i] = strings.TrimRight(got[i], " ")
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

// What was wrapped stays when text is appended, all but its last line: so
// finished lines of a sentence that is being said can be shown for good.
func TestWrapIsStable(t *testing.T) {
	const text = "A sentence with  two spaces, a verylongwordthatdoesnotfit, 日本語の長い文章 and 🙂🙂🙂🙂🙂.\n\nIts second part ends here."
	var before []string
	for i := range text {
		now := wrap(text[:i], 12)
		for j := range before[:max(len(before)-1, 0)] {
			if strings.TrimRight(now[j], " ") != strings.TrimRight(before[j], " ") {
				t.Fatalf("after %q line %d has become %q", text[:i], j, now[j])
			}
		}
		for _, l := range now {
			if cellsOf(strings.TrimRight(l, " ")) > 12 {
				t.Fatalf("the line %q is too long", l)
			}
		}
		before = now
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ✓ text":       "plain ✓ text",
		"red \x1b[31malert":  "red \uFFFD[31malert",
		"bell\a and \x9b31m": "bell\uFFFD and \uFFFD31m",
		"one\r\ntwo\tthree":  "one\ntwo    three",
		"pay \u202e001 EUR":  "pay \uFFFD001 EUR",
		"over\rwritten":      "over\uFFFDwritten",
		"broken \xff":        "broken \uFFFD",
		"family 👨\u200d👩 ok": "family 👨\u200d👩 ok",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{{"short", 10, "short"}, {"rather long", 7, "rather…"}, {"日本語", 5, "日本…"}, {"any", 0, "any"}} {
		if got := fit(c.in, c.most); got != c.want {
			t.Errorf("fit(%q, %d) = %q, want %q", c.in, c.most, got, c.want)
		}
	}
}
