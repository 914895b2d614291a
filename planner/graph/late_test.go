package graph_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// What random graphs have shown, made small: what becomes of calls whose outcome comes
// late, of compensations that meet, and of graphs that have gone. A transcript is what
// happens, a line each, and what follows from it: actions that are opened, with "-" those
// that are withdrawn, "." for nothing.
type happening struct{ what, follows string }

// plays plays a transcript. What happens is
//
//	start
//	REF OUTCOME [CONTENT]    an action ends; "answered" has a choice, and perhaps a value;
//	                         "signal" the name of the signal that ended a wait, and perhaps data
//	event NAME
//	redefined                it goes on under another definition
func plays(t *testing.T, d *graph.Definition, steps ...happening) keys {
	t.Helper()
	g, err := graph.New(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return goesOn(t, g, keys{}, steps...)
}

// goesOn plays a transcript from what is saved on.
func goesOn(t *testing.T, g *graph.Graph, saved keys, steps ...happening) keys {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, s := range steps {
		st, err := g.Next(saved, graph.Facts{Now: now}, inputOf(s.what))
		if err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		apply(saved, st.Keys)
		if got := followed(st); got != s.follows {
			t.Fatalf("%s: what follows is\n  %s\nwant\n  %s\nsaved is %s", s.what, got, s.follows, show(saved))
		}
	}
	return saved
}

func apply(saved, changes keys) keys {
	for k, v := range changes {
		if saved[k] = v; string(v) == "null" {
			delete(saved, k)
		}
	}
	return saved
}

func inputOf(what string) graph.Input {
	ref, rest, _ := strings.Cut(what, " ")
	outcome, content, _ := strings.Cut(rest, " ")
	switch {
	case ref == "start":
		return graph.Input{Start: &graph.Start{}}
	case ref == "redefined":
		return graph.Input{Redefined: true}
	case ref == "event":
		return graph.Input{Event: &graph.Event{Name: rest}}
	case outcome == "answered":
		choice, value, _ := strings.Cut(content, " ")
		return graph.Input{Closed: &agent.Closed{Ref: ref, Outcome: agent.Answered, Answer: &agent.Answer{Choice: choice, Value: json.RawMessage(value)}}}
	}
	if outcome == "signal" {
		name, data, _ := strings.Cut(content, " ")
		return graph.Input{Closed: &agent.Closed{Ref: ref, Outcome: agent.Returned, Signal: name, Content: json.RawMessage(data)}}
	}
	return graph.Input{Closed: &agent.Closed{Ref: ref, Outcome: agent.Outcome(outcome), Content: json.RawMessage(content)}}
}

func followed(st *graph.Step) string {
	var list []string
	for _, ref := range st.Cancel {
		list = append(list, "-"+ref)
	}
	for _, a := range st.Actions {
		list = append(list, strings.TrimRight(a.Ref+" "+a.Name+string(a.Args), " "))
	}
	if st.Ended {
		list = append(list, "end "+string(st.Output))
	}
	if len(list) == 0 {
		return "."
	}
	return strings.Join(list, ", ")
}

// pay is a call that refund takes back.
func pay(id, in string) graph.Node {
	return graph.Node{ID: id, In: in, Tool: "pay", Undo: &graph.Undo{Tool: "refund", Input: map[string]any{"of": "${result}"}}}
}

func to(from, to string, on ...string) graph.Edge {
	return graph.Edge{From: from, To: []string{to}, On: on}
}

// A sub-graph that was left hears nothing any more, also while a call of it may have
// taken place; and that is taken back with what is around the sub-graph.
func TestLateCallOfASubGraph(t *testing.T) {
	inner := &graph.Definition{
		Graph: "inner", Nodes: []graph.Node{{ID: "both", Parallel: true}, {ID: "a", In: "both"}, pay("pay", "a"), {ID: "paid", In: "a", Final: "done"}, {ID: "b", In: "both"}, {ID: "idle", In: "b"}, {ID: "more", In: "b", Tool: "more"}, {ID: "done", Final: "done"}},
		Edges: []graph.Edge{to("pay", "paid", "done"), to("idle", "more", "go"), to("both", "done", "halt"), to("more", "done", "done")},
	}
	outer := &graph.Definition{Graph: "outer", Graphs: []*graph.Definition{inner},
		Nodes: []graph.Node{{ID: "run", Graph: "inner"}, {ID: "done", Final: "done"}}, Edges: []graph.Edge{to("run", "done", "done")}}
	d := &graph.Definition{
		Graph: "main", Graphs: []*graph.Definition{outer},
		Nodes: []graph.Node{{ID: "all", Graph: "outer"}, {ID: "back", Compensate: "all"}, {ID: "done", Final: "done", Output: "${saga}"}},
		Edges: []graph.Edge{to("all", "done", "done"), to("all", "back", "stop"), to("back", "done", "done")},
	}
	saved := plays(t, d,
		happening{"start", `5 pay{}`},
		happening{"event stop", `-5`},
		happening{"event go", `.`},
		happening{`5 returned "p1"`, `6/u refund{"of":"p1"}`},
		happening{"6/u returned", `end {"done":[],"undone":["pay"]}`},
	)
	if got := slices.Sorted(maps.Keys(saved)); !slices.Equal(got, []string{"at", "end", "run", "u/7"}) {
		t.Errorf("saved is %v", got)
	}
}

// A graph that has ended tells of a call that was late by then.
func TestEndAfterALateCall(t *testing.T) {
	for output, want := range map[string]string{"${saga}": `end {"done":["pay"],"undone":[]}`, "${[event.name]}": `end ["stop"]`} {
		d := &graph.Definition{
			Graph: "main", Nodes: []graph.Node{pay("pay", ""), {ID: "done", Final: "done", Output: output}},
			Edges: []graph.Edge{to("pay", "done", "done"), to("pay", "done", "stop")},
		}
		plays(t, d, happening{"start", "1 pay{}"}, happening{"event stop", "-1"}, happening{`1 returned "p1"`, want})
	}
}

// An answer that comes after its node was left is taken back as any other.
func TestLateAnswer(t *testing.T) {
	d := &graph.Definition{
		Graph: "main",
		Nodes: []graph.Node{
			{ID: "may", Ask: &graph.Ask{Prompt: "May I?", Choices: []string{"yes", "no"}}, Undo: &graph.Undo{Tool: "sorry", Input: map[string]any{"said": "${result.choice}"}}},
			{ID: "back", Compensate: "*"}, {ID: "done", Final: "done", Output: "${saga}"},
		},
		Edges: []graph.Edge{to("may", "done", "done"), to("may", "back", "stop"), to("back", "done", "done")},
	}
	plays(t, d,
		happening{"start", "1"}, happening{"event stop", "-1"}, happening{"1 answered yes", `2/u sorry{"said":"yes"}`},
		happening{"2/u returned", `end {"done":[],"undone":["may"]}`})
}

// A sub-graph that has ended is taken back also if its node does not hear of it any more:
// since that wants but one of several, or is left in the same step.
func TestSubGraphThatEndsInVain(t *testing.T) {
	over := to("idle", "over", "go")
	over.Do = []graph.Do{{Send: &graph.Send{Event: "stop", To: "#_parent"}}}
	sub := &graph.Definition{Graph: "sub", Nodes: []graph.Node{{ID: "idle"}, {ID: "over", Final: "done", Output: "${input}"}}, Edges: []graph.Edge{over}}
	undo := &graph.Undo{Tool: "undo", Input: map[string]any{"of": "${result}"}}
	for _, c := range []struct {
		run   graph.Node
		steps []happening
	}{
		{graph.Node{ID: "run", Graph: "sub", Input: 1, Undo: undo}, []happening{
			{"event go", `-1/r, 4/u undo{"of":1}`},
			{"4/u returned", `end {"done":[],"undone":["run"]}`},
		}},
		{graph.Node{ID: "run", Graph: "sub", Input: "${item}", Each: &graph.Each{In: []any{1, 2}, Until: "any"}, Undo: undo}, []happening{
			{"event go", `6/u undo{"of":2}`},
			{"6/u returned", `6/u undo{"of":1}`},
			{"6/u returned", `end {"done":[],"undone":["run/0","run/1"]}`},
		}},
	} {
		d := &graph.Definition{
			Graph: "main", Graphs: []*graph.Definition{sub},
			Nodes: []graph.Node{c.run, {ID: "back", Compensate: "*"}, {ID: "done", Final: "done", Output: "${saga}"}},
			Edges: []graph.Edge{to("run", "back", "done"), to("run", "back", "stop"), to("back", "done", "done")},
		}
		plays(t, d, append([]happening{{"start", "."}}, c.steps...)...)
	}
}

// What a person gives in the stead of a call's result is its result, and nothing is to be
// undone.
func TestResultInACallsStead(t *testing.T) {
	one := pay("pay", "")
	one.Output = "paid"
	list := one
	list.Each = &graph.Each{In: []any{1}}
	for want, pay := range map[string]graph.Node{`end {"paid":7}`: one, `end {"paid":[7]}`: list} {
		d := &graph.Definition{
			Graph: "main", Data: []graph.Datum{{ID: "paid"}},
			Nodes: []graph.Node{pay, {ID: "done", Final: "done"}},
			Edges: []graph.Edge{to("pay", "done", "done"), to("pay", "done", "stop")},
		}
		ref := "1"
		if pay.Each != nil {
			ref = "1/0"
		}
		g, err := graph.New(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		st, err := g.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{}})
		if err != nil {
			t.Fatal(err)
		}
		instead := &agent.Closed{Ref: ref, Outcome: agent.Answered, Content: json.RawMessage("7"), Answer: &agent.Answer{Choice: agent.Instead, Value: json.RawMessage("7")}}
		if st, err = g.Next(st.Keys, graph.Facts{}, graph.Input{Closed: instead}); err != nil || followed(st) != want {
			t.Errorf("what follows is %s (%v), want %s", followed(st), err, want)
		}
	}
}

// Two compensations that meet take each thing back once.
func TestCompensationsThatMeet(t *testing.T) {
	d := &graph.Definition{
		Graph: "main",
		Nodes: []graph.Node{
			pay("one", ""), pay("two", ""), {ID: "both", Parallel: true},
			{ID: "a", In: "both"}, {ID: "back", In: "a", Compensate: "*"}, {ID: "over", In: "a", Final: "done"},
			{ID: "b", In: "both"}, {ID: "back2", In: "b", Compensate: "*"}, {ID: "over2", In: "b", Final: "done"},
			{ID: "done", Final: "done", Output: "${saga}"},
		},
		Edges: []graph.Edge{
			to("one", "two", "done"), to("two", "both", "done"), to("both", "done", "done"),
			to("back", "over", "done"), to("back", "over", "stop"), to("back2", "over2", "done"),
		},
	}
	before := []happening{{"start", "1 pay{}"}, {`1 returned "p1"`, "3 pay{}"}, {`3 returned "p2"`, `5/u refund{"of":"p2"}`}}
	for name, after := range map[string][]happening{
		"one waits for the other": {
			{"5/u returned", `5/u refund{"of":"p1"}`},
			{"5/u returned", `end {"done":[],"undone":["one","two"]}`},
		},
		"and goes on when that was left, and its call did not take place": {
			{"event stop", `-5/u`},
			{"5/u cancelled", `6/u refund{"of":"p2"}`},
			{"6/u returned", `6/u refund{"of":"p1"}`},
			{"6/u returned", `end {"done":[],"undone":["one","two"]}`},
		},
		"or did": {
			{"event stop", `-5/u`},
			{"5/u returned", `6/u refund{"of":"p1"}`},
			{"6/u returned", `end {"done":[],"undone":["one","two"]}`},
		},
		"and when the other was left, and nobody is asked any more": {
			{`5/u failed "no"`, `5/!`},
			{"event stop", `-5/!`},
			{"5/! cancelled", `6/u refund{"of":"p2"}`},
		},
		"and when a person has done it by hand as the other was left": {
			{`5/u failed "no"`, `5/!`},
			{"event stop", `-5/!`},
			{"5/! answered skip", `6/u refund{"of":"p1"}`},
		},
		"and when a person has done it by hand": {
			{`5/u failed "no"`, `5/!`},
			{"5/! answered skip", `5/u refund{"of":"p1"}`},
			{"5/u returned", `end {"done":[],"undone":["one","two"]}`},
		},
	} {
		t.Run(name, func(t *testing.T) { plays(t, d, append(slices.Clone(before), after...)...) })
	}
}

// What fails and is tried again later is not under way meanwhile; what was given up
// comes too late; and a person gets past an Output that cannot be evaluated.
func TestWhatIsNotUnderWay(t *testing.T) {
	retried := pay("pay", "")
	retried.Retry = &graph.Retry{Attempts: 3}
	mapped := retried
	mapped.Each, mapped.Within = &graph.Each{In: []any{1, 2}}, "1h"
	broken := graph.Node{ID: "pay", Compensate: "*", Output: map[string]any{"v": "${result.none}"}}
	sub := graph.Node{ID: "pay", Graph: "sub", Retry: &graph.Retry{Attempts: 2}}
	for _, c := range []struct {
		name  string
		node  graph.Node
		steps []happening
	}{
		{"a node", retried, []happening{{"start", "1 pay{}"}, {"1 failed", "1/r"}, {"event stop", "-1/r, end {}"}}},
		{"an item", mapped, []happening{{"start", "1/w, 1/0 pay{}, 1/1 pay{}"}, {"1/0 failed", "1/0/r"}, {"event stop", "-1/0/r, -1/1, -1/w"}, {"1/1 cancelled", "end {}"}}},
		{"a sub-graph", sub, []happening{{"start", "."}, {"event fail", "1/r"}, {"event stop", "-1/r, end {}"}}},
		{"an item that was given up", mapped, []happening{{"start", "1/w, 1/0 pay{}, 1/1 pay{}"}, {"1/w expired", "-1/0, -1/1, 1/!"}, {"1/0 cancelled", "."}, {"1/1 failed", "."}}},
		{"an output", broken, []happening{{"start", "1/!"}, {"1/! answered retry", "1/!"}, {`1/! answered skip {"none":1}`, "end {}"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &graph.Definition{
				Graph: "main", Nodes: []graph.Node{c.node, {ID: "done", Final: "done", Output: map[string]any{}}},
				Edges: []graph.Edge{to("pay", "done", "done"), to("pay", "done", "stop")},
				Data:  []graph.Datum{{ID: "v"}},
			}
			if c.node.Graph != "" {
				d.Graphs = []*graph.Definition{{Graph: "sub", Nodes: []graph.Node{{ID: "idle"}, {ID: "bad", Final: "failed"}}, Edges: []graph.Edge{to("idle", "bad", "fail")}}}
			}
			plays(t, d, c.steps...)
		})
	}
}

// A list that fails while others of its items go on withdraws those: what has taken place
// of them is taken back, and what has ended is not awaited.
func TestListThatFailsHalfway(t *testing.T) {
	mapped := pay("pay", "")
	mapped.Each = &graph.Each{In: []any{1, 2}}
	mapped.Undo = &graph.Undo{Tool: "refund", Input: map[string]any{"of": "${result.id + 0}"}}
	until := mapped
	until.Each = &graph.Each{In: []any{1, 2}, Until: "results.exists(r, r != null && r.enough)"}
	start := happening{"start", "1/0 pay{}, 1/1 pay{}"}
	for _, c := range []struct {
		name  string
		node  graph.Node
		on    string
		steps []happening
	}{
		{"by an undo, and an edge takes it", mapped, "error", []happening{
			start, {"1/0 returned {}", "-1/1"}, {`1/1 returned {"id":7}`, `2/u refund{"of":7}`}, {"2/u returned", `end {}`},
		}},
		{"by an undo, and is tried again", mapped, "stop", []happening{
			start, {"1/0 returned {}", "-1/1, 1/!"}, {"1/1 cancelled", "."}, {"1/! answered retry", "2/!"}, {"event stop", "-2/!, end {}"},
		}},
		{"by its until, and an edge takes it", until, "error", []happening{
			start, {`1/0 returned {"id":7}`, `-1/1, 3/u refund{"of":7}`}, {"3/u returned", "."}, {`1/1 returned {"id":8}`, `3/u refund{"of":8}`}, {"3/u returned", `end {}`},
		}},
		{"by its until, and is left by hand", until, "stop", []happening{
			start, {`1/0 returned {"id":7}`, "-1/1, 1/!"}, {`1/1 returned {"id":8}`, "."}, {"event stop", `-1/!, 4/u refund{"of":8}`},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			plays(t, &graph.Definition{
				Graph: "main", Nodes: []graph.Node{c.node, {ID: "back", Compensate: "*"}, {ID: "done", Final: "done", Output: map[string]any{}}},
				Edges: []graph.Edge{to("pay", "done", "done"), to("pay", "back", c.on), to("back", "done", "done")},
			}, c.steps...)
		})
	}
}
