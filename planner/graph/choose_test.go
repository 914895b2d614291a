package graph_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/scripted"
)

// Where a graph stands is told when a model has chosen, too, which takes no edge.
func TestWhereAfterChoice(t *testing.T) {
	d := &graph.Definition{
		Graph: "g",
		Nodes: []graph.Node{{ID: "p", Plan: &graph.Plan{}}, {ID: "look", In: "p", Tool: "look"}, {ID: "end", Final: "done"}},
		Edges: []graph.Edge{{From: "p", To: []string{"end"}}},
	}
	g, err := graph.New(d, &graph.Options{Models: map[string]agent.Model{"m": scripted.New()}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := g.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{}})
	if err != nil || len(st.Choices) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	keys := map[string]json.RawMessage{}
	maps.Copy(keys, st.Keys)
	chosen := agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: &agent.Call{ID: "1", Name: "look"}}}}
	st, err = g.Next(keys, graph.Facts{}, graph.Input{Chosen: &graph.Chosen{Ref: st.Choices[0].Ref, Message: chosen}})
	if err != nil || !slices.Equal(st.At, []string{"look"}) {
		t.Errorf("it is at %v (%v), and look is expected", st.At, err)
	}
}

// In a planner node with args, a person is asked in the model's words; a model that
// gives none is told so, and has used a step.
func TestTheModelAsks(t *testing.T) {
	const form = `
graph: g
nodes:
  - {id: p, plan: {args: true}}
  - {id: clarify, in: p, note: Ask the customer., ask: {for: ["@user"]}}
  - {id: good, final: done}
edges: [{from: p, to: good}]
`
	d, err := graph.Parse([]byte(form))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, &graph.Options{Models: map[string]agent.Model{"m": scripted.New()}})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]json.RawMessage{}
	st, err := g.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{}})
	for _, args := range []string{`{}`, `{"question": " "}`, `{"question": 7}`, `{"question": "Which colour was it?"}`} {
		if err != nil || len(st.Choices) != 1 {
			t.Fatalf("before %s: %+v, %v", args, st, err)
		}
		offered := st.Choices[0].Request.Tools[0]
		if offered.Name != "clarify" || !strings.Contains(string(offered.Input), `"required":["question"]`) {
			t.Errorf("the model is offered %s %s", offered.Name, offered.Input)
		}
		if ms := st.Choices[0].Request.Messages; len(ms) > 1 {
			told := ms[len(ms)-1].Parts[0].Result
			if told.Outcome != agent.Failed || !strings.Contains(string(told.Content), "what the person is asked") {
				t.Errorf("before %s the model is told %s: %s", args, told.Outcome, told.Content)
			}
		}
		maps.Copy(keys, st.Keys)
		said := agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: &agent.Call{ID: args, Name: "clarify", Args: json.RawMessage(args)}}}}
		st, err = g.Next(keys, graph.Facts{User: agent.User{ID: "ann"}}, graph.Input{Chosen: &graph.Chosen{Ref: st.Choices[0].Ref, Message: said}})
	}
	if err != nil || len(st.Actions) != 1 || st.Actions[0].Ask.Prompt != "Which colour was it?" || !slices.Equal(st.Actions[0].Ask.For, []string{"@user"}) {
		t.Errorf("%+v, %v", st, err)
	}
	if d, err = graph.Parse([]byte(strings.Replace(form, "args: true", "", 1))); err != nil {
		t.Fatal(err)
	}
	if problems := graph.Check(d, nil); len(problems) != 1 || problems[0].Path != "nodes[1].ask.prompt" {
		t.Errorf("without args, the question is missing: %v", problems)
	}
}

// choosing starts a graph with a planner node.
func choosing(t *testing.T, definition string, then ...graph.Input) (*graph.Graph, *graph.Step) {
	t.Helper()
	d, err := graph.Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, &graph.Options{Models: map[string]agent.Model{"m": agent.ModelFunc(nil)}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := g.Next(nil, graph.Facts{}, append([]graph.Input{{Start: &graph.Start{}}}, then...)...)
	if err != nil {
		t.Fatal(err)
	}
	return g, st
}

// No model is asked for a planner node that has been left already, by what has happened
// meanwhile.
func TestPlannerNodeThatIsLeftAtOnce(t *testing.T) {
	_, st := choosing(t, `
graph: g
nodes:
  - {id: p, plan: {}}
  - {id: a, in: p, tool: look}
  - {id: good, final: done}
edges: [{from: p, to: good}, {from: p, on: stop, to: good}]
`, graph.Input{Event: &graph.Event{Name: "stop"}})
	if len(st.Choices) > 0 || !st.Ended {
		t.Errorf("%+v", st)
	}
}

// What a model chooses, only the model says: signals that are called as its choices are
// take none.
func TestNobodyChoosesInTheModelsStead(t *testing.T) {
	g, st := choosing(t, `
graph: g
nodes:
  - {id: p, plan: {}}
  - {id: refund, in: p, tool: refund, when: "1 > 2"}
  - {id: good, final: done}
edges: [{from: p, to: good}]
`)
	saved := maps.Clone(st.Keys)
	for _, name := range []string{"choose.refund", "finish", "choose", "done.state.p", "error"} {
		next, err := g.Next(saved, graph.Facts{}, graph.Input{Event: &graph.Event{Name: name}})
		if err != nil || len(next.Actions) > 0 || next.Ended || len(next.Took) > 0 {
			t.Errorf("a signal %s has it go on: %+v, %v", name, next, err)
		}
	}
}

// A condition that cannot be evaluated is the planner node's failure, and not an option
// less for its model.
func TestWhenThatCannotBeEvaluated(t *testing.T) {
	d, err := graph.Parse([]byte(`
graph: g
nodes:
  - {id: p, plan: {}}
  - {id: a, in: p, tool: look, when: input.n > 1}
  - {id: good, final: done}
edges: [{from: p, to: good}]
`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, &graph.Options{Models: map[string]agent.Model{"m": agent.ModelFunc(nil)}})
	if err != nil {
		t.Fatal(err)
	}
	for data, asks := range map[string]bool{`{"n": 2}`: false, `{"n": "many"}`: true} {
		st, err := g.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{Data: json.RawMessage(data)}})
		if err != nil {
			t.Fatal(err)
		}
		if asked := len(st.Actions) == 1 && strings.Contains(st.Actions[0].Ask.Prompt, "nodes[1].when"); asked != asks || (len(st.Choices) == 1) == asks {
			t.Errorf("%s: %+v", data, st)
		}
	}
}

// What a model's choice makes unwanted before it was begun has not taken place, and
// nobody waits for its outcome.
func TestChoiceThatLeavesACall(t *testing.T) {
	d, err := graph.Parse([]byte(`
graph: g
nodes:
  - {id: both, parallel: true}
  - {id: money, in: both}
  - {id: pay, in: money, tool: pay, undo: {tool: refund}}
  - {id: look, in: both}
  - {id: p, in: look, plan: {}}
  - {id: a, in: p, tool: look}
  - {id: back, compensate: both}
  - {id: end, final: done}
edges: [{from: p, to: back}, {from: pay, to: back}, {from: back, to: end}]
`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, &graph.Options{Models: map[string]agent.Model{"m": scripted.New(scripted.Say("there is nothing to do"))}})
	if err != nil {
		t.Fatal(err)
	}
	move, err := g.Plan(t.Context(), &agent.View{}, func(agent.Delta) {})
	if err != nil || !move.Finish || string(move.Output) != "{}" {
		t.Errorf("%+v, %v", move, err)
	}
}

// A planner node that has used up its budget is given it again by a retry; a skip ends it
// with what a person says in its model's stead.
func TestRepairOfAPlannerNode(t *testing.T) {
	d, err := graph.Parse([]byte(`
graph: g
data: [{id: said}]
nodes:
  - {id: p, plan: {steps: 2}}
  - {id: look, in: p, tool: look}
  - {id: end, final: done, output: "${said}"}
edges: [{from: p, to: end, set: {said: "${[result.result, result.steps.size()]}"}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	look := scripted.Call("look", nil)
	g, err := graph.New(d, &graph.Options{Models: map[string]agent.Model{"m": scripted.New(look, look, look, look)}})
	if err != nil {
		t.Fatal(err)
	}
	v := &agent.View{Tools: []*agent.Tool{{Name: "look"}}}
	next := func(c *agent.Closed) *agent.Move {
		if c != nil {
			v.News = []agent.News{{Closed: c}}
		}
		move, err := g.Plan(t.Context(), v, func(agent.Delta) {})
		if err != nil {
			t.Fatal(err)
		}
		v.Keys = maps.Clone(v.Keys)
		if v.Keys == nil {
			v.Keys = keys{}
		}
		maps.Copy(v.Keys, move.Keys)
		maps.DeleteFunc(v.Keys, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
		return move
	}
	move := next(nil)
	looks := func(n int) {
		t.Helper()
		for range n {
			if a := move.Actions[0]; a.Kind != agent.ActCall || a.Name != "look" {
				t.Fatalf("%+v, and a look is expected", move)
			}
			move = next(&agent.Closed{Ref: move.Actions[0].Ref, Outcome: agent.Returned})
		}
	}
	repair := func(choice, value string) {
		t.Helper()
		if a := move.Actions[0]; a.Ask == nil || a.Ask.Kind != agent.AskRepair || !strings.Contains(a.Ask.Prompt, "has chosen 2 times") {
			t.Fatalf("%+v, and a repair is expected", move)
		}
		move = next(said(move.Actions[0].Ref, agent.Answered, choice, value).Closed)
	}
	looks(2)
	repair(agent.RetryIt, "")
	looks(2)
	repair(agent.Skip, `"it is the disk"`)
	if !move.Finish || string(move.Output) != `["it is the disk",4]` {
		t.Errorf("%+v ends with %s", move, move.Output)
	}
}
