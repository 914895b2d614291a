package memory_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/memory"
)

// What must hold for every text that People returns: it comes back as it was, and
// has nothing that a store's separators could be taken for.
func FuzzPeople(f *testing.F) {
	f.Add("ada", "group:on call", "bob")
	f.Add("", "", "")
	f.Add("+a,b", "100%", "=x\n\t\x00\x7f")
	f.Add("Ÿ\u00a0語 🙂", "%2C", "\xff\xfe")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		e := memory.AskEntry{For: []string{a, b, a}, Not: []string{c, ""}, Claimed: b}
		text := e.People()
		if strings.ContainsAny(text, " \t\r\n\v\f\x00") {
			t.Fatalf("%q has spaces", text)
		}
		var back memory.AskEntry
		if err := back.SetPeople(text); err != nil || !reflect.DeepEqual(back, e) {
			t.Fatalf("%q came back as %+v (%v), want %+v", text, back, err, e)
		}
	})
}

func TestPeople(t *testing.T) {
	e := memory.AskEntry{For: []string{"ada", "group:on call"}, Not: []string{"a,b"}, Claimed: "ada"}
	if got, want := e.People(), "+ada,+group:on%20call,-a%2Cb,=ada"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := e.SetPeople(""); err != nil || !reflect.DeepEqual(e, memory.AskEntry{}) || e.People() != "" {
		t.Errorf("of nobody in particular: got %+v (%v)", e, err)
	}
	for _, text := range []string{"ada", "+a,", ",+a", "+a%2", "+a%zz", "*a"} {
		if err := e.SetPeople(text); err == nil {
			t.Errorf("%q was taken: %+v", text, e)
		}
	}
}
