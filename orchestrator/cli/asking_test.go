package cli

import (
	"encoding/json"
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
	}
	want := `
? refund needs your approval: it is much
    order  1042
    note   "a \u202e b\u001b[2J"
    items  [{"id":1}]
    to be answered within 2 h
    a approve · e edit the arguments · d deny · r give the result instead
`
	if got := text(append(showAsk(a, now), showChoices(a)...)); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestChosenBy(t *testing.T) {
	approval := &agent.Ask{Kind: agent.AskApproval, Choices: []string{agent.Approve, agent.Edit, agent.Deny, agent.Instead}}
	choice := &agent.Ask{Kind: agent.AskChoice, Choices: []string{"Red", "a", "the 2nd"}}
	for _, c := range []struct {
		ask        *agent.Ask
		line, want string
	}{
		{approval, "a", agent.Approve}, {approval, " DENY ", agent.Deny}, {approval, "r", agent.Instead},
		{approval, "1", ""}, {approval, "approve it, please", ""},
		{choice, "1", "Red"}, {choice, "red", "Red"}, {choice, "a", "a"}, {choice, "3", "the 2nd"}, {choice, "4", ""}, {choice, "r", ""},
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

func TestTable(t *testing.T) {
	var b strings.Builder
	tab := &table{head: []string{"A", "TITLE"}}
	tab.add([]cell{{text: "日本"}, {text: "a rather long title of a run"}})
	tab.add([]cell{{text: "x"}, {text: "short"}})
	if err := tab.print(&b, 24); err != nil {
		t.Fatal(err)
	}
	want := "A     TITLE\n日本  a rather long ti…\nx     short\n"
	if got := b.String(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
