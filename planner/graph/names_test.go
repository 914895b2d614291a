package graph_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/play"
)

// Ids may have dots, up to which the name of an event matches all that begin so. What
// is told of one node or edge is not told of another whose id begins with its id.
func TestIDsThatBeginAlike(t *testing.T) {
	for name, c := range map[string]struct {
		definition string
		send       string
		pass       time.Duration
		at         string
	}{
		"timers": {definition: `
nodes: [{id: a}, {id: b}, {id: b.c, final: true}, {id: end, final: true}]
edges: [{from: a, after: 2h, to: b}, {from: a, after: 1h, to: b.c}, {from: b, on: go, to: end}]`, pass: 90 * time.Minute, at: "b.c"},
		"joins": {definition: `
nodes:
  - {id: a}
  - {id: a.b, in: a}
  - {id: begun, in: a.b}
  - {id: done.b, in: a.b, final: true}
  - {id: rest, in: a}
  - {id: done.a, in: a, final: true}
  - {id: end, final: true}
edges:
  - {from: begun, on: go, to: done.b}
  - {from: a.b, on: more, to: rest}
  - {from: rest, on: go, to: done.a}
  - {from: a, to: end}`, send: "go", at: "done.b"},
		"choices": {definition: `
nodes:
  - {id: a}
  - {id: b, in: a}
  - {id: begun, in: b}
  - {id: done.b, in: b, final: true}
  - {id: asked, in: a, ask: {prompt: Which is it?, choices: [city, state]}}
  - {id: end, final: true}
edges:
  - {from: begun, on: go, to: done.b}
  - {from: b, on: more, to: asked}
  - {from: a, on: [done.city, done.state], to: end}`, send: "go", at: "done.b"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := graph.Parse([]byte(g(c.definition)))
			if err != nil {
				t.Fatal(err)
			}
			made, err := graph.New(d, &graph.Options{Lax: true})
			if err != nil {
				t.Fatal(err)
			}
			p := play.New(made, nil)
			if err := p.Start(nil); err != nil {
				t.Fatal(err)
			}
			if c.send != "" {
				err = p.Send(c.send, nil)
			} else {
				err = p.Pass(c.pass)
			}
			if err != nil || !slices.Equal(p.At(), []string{c.at}) {
				t.Errorf("it is in %v, %v, and %s is right", p.At(), err, c.at)
			}
		})
	}
}

// A model's choice is the node that it has named, and none whose id begins that one's.
func TestChoiceOfIDsThatBeginAlike(t *testing.T) {
	made, st := choosing(t, `
graph: g
nodes:
  - {id: p, plan: {}}
  - {id: pay, in: p, tool: pay}
  - {id: pay.back, in: p, tool: refund}
  - {id: good, final: done}
edges: [{from: p, to: good}]
`)
	said := agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: &agent.Call{ID: "1", Name: "pay_back", Args: json.RawMessage("{}")}}}}
	st, err := made.Next(st.Keys, graph.Facts{}, graph.Input{Chosen: &graph.Chosen{Ref: st.Choices[0].Ref, Message: said}})
	if err != nil || followed(st) != "-1, 2 refund{}" {
		t.Errorf("what follows is %+v, %v", st, err)
	}
}
