package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
)

func text(paras []para) string {
	var b strings.Builder
	for _, p := range paras {
		for _, l := range p.lines(0, false) {
			b.WriteString(l + "\n")
		}
	}
	return b.String()
}

func TestShowAsk(t *testing.T) {
	now := time.Date(2026, 3, 12, 10, 0, 0, 0, time.UTC)
	a := &agent.Ask{
		Kind: agent.AskApproval, Tool: "refund", Prompt: "May refund be called? it is much", Due: now.Add(2 * time.Hour),
		Args:    json.RawMessage(`{"order": 1042, "note": "a \u202e b\u001b[2J", "items": [{"id": 1}]}`),
		Choices: []string{agent.Approve, agent.Edit, agent.Deny, agent.Instead},

		Delegated: agent.User{ID: "bob"}, Note: "you\nknow them",
	}
	want := `
? refund needs your approval: it is much
    order  1042
    note   "a \u202e b\u001b[2J"
    items  [{"id":1}]
    delegated by bob: you know them
    to be answered within 2 h
    a approve · e edit the arguments · d deny · r give the result instead
`
	if got := text(append(showAsk(a, now), showChoices(a)...)); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestDueIn(t *testing.T) {
	now := time.Date(2026, 3, 12, 10, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]string{
		-time.Hour: "a moment", 0: "a moment", 300 * time.Millisecond: "a moment", 700 * time.Millisecond: "1 s", 90 * time.Second: "1 min", 3 * time.Hour: "3 h",
	} {
		if got := dueIn(now.Add(left), now); got != want {
			t.Errorf("in %s: got %q, want %q", left, got, want)
		}
	}
	if got := dueIn(time.Time{}, now); got != "" {
		t.Errorf("without an end: got %q", got)
	}
}

// Arguments with long names are all there on a narrow terminal, within its width.
func TestShowLongNames(t *testing.T) {
	name := strings.Repeat("漢字_name_", 6)
	shown := ""
	for _, p := range showArgs(json.RawMessage(`{"` + name + `":"some words of text", "b": 2}`)) {
		for _, l := range p.lines(40, false) {
			if cellsOf(l) >= 40 {
				t.Errorf("the line is %d wide: %q", cellsOf(l), l)
			}
			shown += strings.ReplaceAll(l, " ", "")
		}
	}
	if want := name + `"somewordsoftext"b2`; shown != want {
		t.Errorf("it is shown as %s, want %s", shown, want)
	}
}

func TestChosenBy(t *testing.T) {
	approval := &agent.Ask{Kind: agent.AskApproval, Choices: []string{agent.Approve, agent.Edit, agent.Deny, agent.Instead}}
	choice := &agent.Ask{Kind: agent.AskChoice, Choices: []string{"Red", "a", "the 2nd"}}
	cases := &agent.Ask{Kind: agent.AskChoice, Choices: []string{"Polish", "polish"}}
	numbers := &agent.Ask{Kind: agent.AskChoice, Choices: []string{"3", "2", "1"}}
	for _, c := range []struct {
		ask        *agent.Ask
		line, want string
	}{
		{approval, "a", agent.Approve}, {approval, " DENY ", agent.Deny}, {approval, "r", agent.Instead},
		{approval, "1", ""}, {approval, "approve it, please", ""},
		{choice, "1", "Red"}, {choice, "red", "Red"}, {choice, "a", "a"}, {choice, "3", "the 2nd"}, {choice, "4", ""}, {choice, "r", ""},
		{cases, "polish", "polish"}, {cases, "POLISH", "Polish"}, {numbers, "1", "1"}, {numbers, "3", "3"},
	} {
		if got := chosenBy(c.ask, c.line); got != c.want {
			t.Errorf("%q means %q, want %q", c.line, got, c.want)
		}
	}
}

func TestValueOf(t *testing.T) {
	for _, c := range []struct{ line, schema, want string }{
		{"Bremen", "", `"Bremen"`},
		{"42", "", `"42"`},
		{"42", `{"type":"string"}`, `"42"`},
		{"42", `{"type":"integer"}`, `42`},
		{"a lot", `{"type":"integer"}`, `"a lot"`},
		{`{"a": 1}`, `{"type":"object"}`, `{"a": 1}`},
		{"42", `{"type":["string","null"]}`, `"42"`},
		{"null", `{"type":["string","null"]}`, `null`},
		{"42", `{"type":"boolean"}`, `42`},
	} {
		if got := string(valueOf(c.line, json.RawMessage(c.schema))); got != c.want {
			t.Errorf("%q under %q is %s, want %s", c.line, c.schema, got, c.want)
		}
	}
}

func TestBrief(t *testing.T) {
	for in, want := range map[string]string{
		`"just text"`:                            "just text",
		`{"b": 1, "a": {"x": [1, 2]}}`:           `b=1  a={"x":[1,2]}`,
		`[1,  2]`:                                "[1,2]",
		`not JSON`:                               "not JSON",
		`{"broken": `:                            `{"broken": `,
		`{"text": "with \"quotes\" and\nlines"}`: `text="with \"quotes\" and\nlines"`,
	} {
		if got := brief(json.RawMessage(in)); got != want {
			t.Errorf("brief(%s) = %s, want %s", in, got, want)
		}
	}
}

// Arguments are edited as what they are, and steer nothing meanwhile.
func TestTypable(t *testing.T) {
	in := json.RawMessage("{\"a\": \"x\u009b2J\u202ey\", \"b\": \"ü\\n\"}")
	if got, want := typable(in), `{"a":"x\u009b2J\u202ey","b":"ü\n"}`; got != want {
		t.Errorf("it is edited as %q, want %q", got, want)
	}
}

// On a terminal that is too narrow, ids are cut as long as they tell asks apart.
func TestShortIDs(t *testing.T) {
	ids := []agent.AskID{"abcdefghijklm.12345678.0", "abcdefghijklm.12349999.0", "abcdefghijkxx.56789999.0", "short.1.0"}
	want := []string{"abcdefghijklm.12345678.0", "abcdefghijklm.12349999.0", "abcdefgh.5678", "short.1.0"}
	if got := shortIDs(ids); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	tab := &table{head: []string{"A", "TITLE"}}
	tab.add([]cell{{text: "日本"}, {text: "a rather long title of a run"}})
	tab.add([]cell{{text: "x"}, {text: "short"}})
	if err := tab.print(&b, 28); err != nil {
		t.Fatal(err)
	}
	if err := tab.print(&b, 24); err != nil {
		t.Fatal(err)
	}
	want := "A     TITLE\n日本  a rather long title…\nx     short\n" +
		"A\n日本\n    a rather long title…\nx\n    short\n"
	if got := b.String(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
