package graph_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// said is an action that ends by what a person says.
func said(ref string, outcome agent.Outcome, choice, value string) graph.Input {
	a := &agent.Answer{Choice: choice, Value: json.RawMessage(value), By: agent.User{ID: "kim"}}
	return graph.Input{Closed: &agent.Closed{Ref: ref, Outcome: outcome, Content: a.Value, Answer: a, By: a.By}}
}

// A result that a person gives in a tool's stead is the activity's, as the tool's own
// is, for its output and its edges; nothing was done that could be undone. Of a question the answer is the result,
// also if it comes as its node is left. What nobody can tell the outcome of is not tried
// again.
func TestAnswersForATool(t *testing.T) {
	retry := `retry: {attempts: 3}`
	for _, c := range []struct {
		name, node string
		in         []graph.Input
		want       []string
	}{
		{"in its stead", `tool: pay, output: {id: "${result.id}"}, undo: {tool: refund, input: {of: "${result.id}"}}`,
			[]graph.Input{said("1", agent.Answered, agent.Instead, `{"id":7}`)}, []string{`end {"id":7}`}},
		{"in its stead, of an item", `tool: pay, each: {in: [1]}, undo: {tool: refund, input: {of: "${result.id}"}}`,
			[]graph.Input{said("1/0", agent.Answered, agent.Instead, `{"id":7}`)}, []string{`end {"id":null}`}},
		{"an answer that comes late", `ask: {prompt: "how many?"}, undo: {tool: refund, input: {of: "${result.value}", by: "${result.by}"}}`,
			[]graph.Input{{Event: &graph.Event{Name: "stop"}}, said("1", agent.Answered, "", `7`)}, []string{"-1", `2/u refund{"by":"kim","of":7}`}},
		{"given up", `tool: pay, ` + retry, []graph.Input{said("1", agent.Failed, agent.GiveUp, "")}, []string{"1/!"}},
		{"not done", `tool: pay, ` + retry, []graph.Input{said("1", agent.Failed, agent.NotHappened, "")}, []string{"1/r"}},
		{"an undo that is given up", `tool: pay, undo: {tool: refund, ` + retry + `}`,
			[]graph.Input{said("1", agent.Returned, "", ""), said("3/u", agent.Failed, agent.GiveUp, "")}, []string{"3/u refund{}", "3/!"}},
		{"an undo that was not done", `tool: pay, undo: {tool: refund, ` + retry + `}`,
			[]graph.Input{said("1", agent.Returned, "", ""), said("3/u", agent.Failed, agent.NotHappened, "")}, []string{"3/u refund{}", "3/r"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graphOf(t, `
graph: g
data: [{id: id}]
nodes:
  - {id: pay, `+c.node+`}
  - {id: back, compensate: "*"}
  - {id: end, final: done}
edges: [{from: pay, to: back}, {from: pay, on: stop, to: back}, {from: back, to: end}]
`)
			saved, got := keys{}, []string{}
			for i, in := range append([]graph.Input{{Start: &graph.Start{}}}, c.in...) {
				st, err := g.Next(saved, graph.Facts{}, in)
				if err != nil {
					t.Fatal(err)
				}
				maps.Copy(saved, st.Keys)
				maps.DeleteFunc(saved, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
				if i > 0 {
					got = append(got, followed(st))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("what follows is %q, want %q", got, c.want)
			}
		})
	}
}

// Who repairs a node leads it on, whatever it is: a question is skipped with what would
// have been chosen, and asked about again without; a route sees what has failed.
func TestRepairsLeadOn(t *testing.T) {
	boss := graph.Node{ID: "n", Ask: &graph.Ask{Prompt: "may he?", Choices: []string{"yes", "no"}}, Output: "out"}
	tool := graph.Node{ID: "n", Tool: "pay", Undo: &graph.Undo{Tool: "refund"}}
	saw := graph.Edge{ID: "card", From: "n", To: []string{"done"}, On: []string{"error.card"}, Set: map[string]any{"out": "${failure.code + ': ' + failure.message}"}}
	for _, c := range []struct {
		name  string
		node  graph.Node
		edges []graph.Edge
		steps []happening
	}{
		{"the choice", boss, []graph.Edge{to("n", "no", "done.no"), to("n", "done", "done.yes")}, []happening{
			{"start", "1"}, {"1 expired", "1/!"}, {`1/! answered skip "yes"`, `end {"by":"","choice":"yes","note":"","value":null}`},
		}},
		{"an answer", boss, []graph.Edge{to("n", "no", "done.no"), to("n", "done", "done.yes")}, []happening{
			{"start", "1"}, {"1 expired", "1/!"}, {`1/! answered skip {"choice":"no"}`, `end "no"`},
		}},
		{"no choice", boss, []graph.Edge{to("n", "no", "done.no"), to("n", "done", "done.yes")}, []happening{
			{"start", "1"}, {"1 expired", "1/!"}, {`1/! answered skip "perhaps"`, "1/!"}, {"1/! answered retry", "2"},
		}},
		{"no choice, where any is taken", boss, []graph.Edge{to("n", "no", "done.no"), to("n", "done", "done")}, []happening{
			{"start", "1"}, {"1 expired", "1/!"}, {`1/! answered skip 7`, "end 7"},
		}},
		{"an undo, which has all its attempts again", graph.Node{ID: "n", Compensate: "*"}, []graph.Edge{to("pay", "n", "done"), to("n", "no", "error.no"), to("n", "done", "done")}, []happening{
			{"start", "1 pay{}"}, {"1 returned", "3/u refund{}"}, {"3/u failed", "3/r"}, {"3/r returned", "3/u refund{}"}, {"3/u failed", "3/!"},
			{"3/! answered retry", "3/u refund{}"}, {"3/u failed", "3/r"}, {"3/r returned", "3/u refund{}"}, {"3/u returned", "end null"},
		}},
		{"a question without words", graph.Node{ID: "n", Ask: &graph.Ask{Prompt: "${out}"}}, []graph.Edge{to("n", "no", "error.no"), to("n", "done", "done")}, []happening{
			{"start", "1/!"}, {`1/! answered skip 7`, "end null"},
		}},
		{"a route", tool, []graph.Edge{saw, to("n", "no", "error.no"), to("n", "done", "done")}, []happening{
			{"start", "1 pay{}"}, {`1 failed "it is full"`, "1/!"}, {`1/! answered route:card`, `end "failed: it is full"`},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &graph.Definition{
				Graph: "main", Data: []graph.Datum{{ID: "out"}}, Edges: c.edges,
				Nodes: []graph.Node{c.node, {ID: "done", Final: "done", Output: "${out}"}, {ID: "no", Final: "done", Output: "no"}},
			}
			if c.node.Compensate != "" {
				before := graph.Node{ID: "pay", Tool: "pay", Undo: &graph.Undo{Tool: "refund", Retry: &graph.Retry{Attempts: 2}}}
				d.Nodes = append([]graph.Node{before}, d.Nodes...)
			}
			plays(t, d, c.steps...)
		})
	}
}

// What may be answered names the ask that is open: of a list one for each item, and none
// that waits for its next attempt.
func TestEnabledAnswers(t *testing.T) {
	for node, want := range map[string]string{
		`ask: {prompt: "how many?"}`:                                                             `["1"]`,
		`ask: {prompt: "may he?", choices: [yes, no]}`:                                           `["1 yes","1 no"]`,
		`ask: {prompt: "how many?"}, each: {in: [1, 2, 3, 4], at_once: 3}, retry: {attempts: 2}`: `["1/1","1/2"]`,
	} {
		g := graphOf(t, "graph: g\nsteps: [{id: n, "+node+"}]")
		steps := []graph.Input{{Start: &graph.Start{}}, {Closed: &agent.Closed{Ref: "1/0", Outcome: agent.Expired}}}
		st, err := g.Next(nil, graph.Facts{}, steps...)
		if err != nil {
			t.Fatal(err)
		}
		list, err := g.Enabled(st.Keys, graph.Facts{})
		got := []string{}
		for _, e := range list {
			got = append(got, strings.TrimSpace(e.Ref+" "+e.Name))
		}
		if err != nil || show(got) != want {
			t.Errorf("%s: %v may be answered (%v), want %s", node, got, err, want)
		}
	}
}
