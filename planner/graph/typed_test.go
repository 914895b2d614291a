package graph_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// What a tool gives is held against the type of the variable that it goes into. What
// does not fit is an error that an edge may take; otherwise it is a person's, and nothing
// goes on with it.
func TestVariablesAreOfTheirTypes(t *testing.T) {
	for _, c := range []struct{ is, fits, not string }{
		{"type: bool", `true`, `"true"`},
		{"type: int", `7.0`, `7.5`},
		{"type: number", `7.5`, `"7.5"`},
		{"type: string", `"x"`, `7`},
		{"type: list", `[1]`, `{"a": 1}`},
		{"type: map", `{"a": 1}`, `[1]`},
		{"type: timestamp", `"2026-01-31T09:00:00Z"`, `"tomorrow"`},
		{"type: duration", `"2w"`, `"some"`},
		{"type: any", `"x"`, ``},
		{"type: int", `null`, `[]`},
		{"schema: {type: object, required: [n]}", `{"n": 1}`, `{}`},
	} {
		text := "graph: g\ndata: [{id: x, " + c.is + "}]\nsteps: [{id: a, tool: act, output: x}]\n"
		for value, fits := range map[string]bool{c.fits: true, c.not: false} {
			if value == "" {
				continue
			}
			saved, st := ofType(t, text, value)
			if st.Ended != fits {
				t.Errorf("%s is given %s: it has ended: %v", c.is, value, st.Ended)
			}
			if fits {
				continue
			}
			if len(st.Actions) != 1 || !strings.Contains(st.Actions[0].Ask.Prompt, "output x: ") || !strings.Contains(st.Actions[0].Ask.Prompt, "variable x") {
				t.Errorf("%s is given %s: %+v", c.is, value, st.Actions)
			}
			if _, st := ofType(t, text+"nodes: [{id: odd, final: failed}]\nedges: [{from: a, on: error.execution, to: odd}]\n", value); !st.Ended {
				t.Errorf("%s is given %s: no edge takes it: %+v", c.is, value, st)
			}
			if raw := saved["v/x"]; string(raw) == value {
				t.Errorf("%s is given %s, and has it", c.is, value)
			}
		}
	}
}

// ofType runs a graph until its first call has given a value.
func ofType(t *testing.T, text, value string) (keys, *graph.Step) {
	t.Helper()
	g := graphOf(t, text)
	st, err := g.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{}})
	if err != nil || len(st.Actions) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	saved := keys(st.Keys)
	st, err = g.Next(saved, graph.Facts{}, graph.Input{Closed: &agent.Closed{Ref: st.Actions[0].Ref, Outcome: agent.Returned, Content: json.RawMessage(value)}})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range st.Keys {
		saved[k] = v
	}
	return saved, st
}

// A variable whose value does not fit its new type keeps a run from being moved.
func TestMigrateToAnotherType(t *testing.T) {
	const text = "graph: g\ndata: [{id: x, type: string, value: many}]\nsteps: [{id: a, tool: act}]\n"
	old := graphOf(t, text)
	begun, err := old.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	for is, says := range map[string]string{"type: any": "", "type: int, value: 7": `the variable x is of the type int, and "many" came`} {
		to := graphOf(t, strings.Replace(text, "type: string, value: many", is, 1))
		if _, err := to.Migrate(old, begun.Keys, graph.Facts{}, nil); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("to %s: %v", is, err)
		}
	}
}
