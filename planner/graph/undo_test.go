package graph_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// An undo that fails is tried again after a wait that doubles, up to a minute where
// nothing else is said.
func TestWaitsOfAnUndo(t *testing.T) {
	for retry, want := range map[string][]time.Duration{
		"attempts: 9":                           {1, 2, 4, 8, 16, 32, 60, 60},
		"attempts: 6, backoff: 10s, max: 25s":   {10, 20, 25, 25, 25},
		"attempts: 3, backoff: 2m, on: [error]": {60, 60},
	} {
		g := graphOf(t, `
graph: g
nodes:
  - {id: pay, tool: pay, undo: {tool: refund, retry: {`+retry+`}}}
  - {id: back, compensate: "*"}
  - {id: end, final: done}
edges: [{from: pay, to: back}, {from: back, to: end}]
`)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		saved := keys{}
		next := func(in graph.Input) []agent.Action {
			st, err := g.Next(saved, graph.Facts{Now: now}, in)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(saved, st.Keys)
			maps.DeleteFunc(saved, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
			return st.Actions
		}
		next(graph.Input{Start: &graph.Start{}})
		actions := next(graph.Input{Closed: &agent.Closed{Ref: "1", Outcome: agent.Returned}})
		var got []time.Duration
		for len(actions) == 1 && actions[0].Kind != agent.ActAsk {
			c := &agent.Closed{Ref: actions[0].Ref, Outcome: agent.Failed}
			if actions[0].Kind == agent.ActWait {
				got = append(got, actions[0].Due.Sub(now)/time.Second)
				now, c.Outcome = actions[0].Due, agent.Returned
			}
			actions = next(graph.Input{Closed: c})
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: it waits %v seconds, want %v", retry, got, want)
		}
	}
}

// What is saved and cannot be read is an error, also where it is but looked at: the
// step is not in effect, and a person can mend it.
func TestSavedKeysThatCannotBeRead(t *testing.T) {
	g := graphOf(t, "graph: g\nnodes: [{id: pay, tool: pay, undo: {tool: refund}}, {id: back, compensate: \"*\"}, {id: end, final: done}]\nedges: [{from: pay, to: back}, {from: back, to: end}]")
	st, err := g.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"l/9", "u/9", "a/1", "at", "run"} {
		saved := maps.Clone(st.Keys)
		saved[key] = json.RawMessage(`7`)
		if st, err := g.Next(saved, graph.Facts{}, graph.Input{Closed: &agent.Closed{Ref: "1", Outcome: agent.Returned}}); err == nil {
			t.Errorf("with %s that is a number: %+v", key, st)
		}
	}
}
