package graph_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
)

// A signal is not lost that comes as its node is about to be entered or left, while
// nobody drives the run.
func TestSignalBetweenMoves(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		post bool // to its key, and not to the run
	}{
		"its node is left, and entered again later": {text: `
nodes: [{id: paid, wait: {signal: payment}, output: data}, {id: remind, timer: 5m}, {id: end, final: done, output: "${data}"}]
edges: [{from: paid, to: end}, {from: paid, after: 1h, to: remind}, {from: remind, to: paid}]
`},
		"its node is left, and entered again at once": {text: `
nodes: [{id: paid, wait: {signal: payment}, output: data}, {id: end, final: done, output: "${data}"}]
edges: [{from: paid, to: end}, {from: paid, after: 1h, to: paid}]
`},
		"its node is left, and an edge names it": {text: `
nodes: [{id: paid, wait: {signal: payment}}, {id: late}, {id: end, final: done, output: "${data}"}]
edges: [{from: paid, to: end}, {from: paid, after: 1h, to: late}, {from: late, on: payment, to: end, set: {data: "${event.data}"}}]
`},
		"its node is out of time, and is tried again": {text: `
nodes: [{id: paid, wait: {signal: payment}, within: 1h, output: data}, {id: remind, timer: 5m}, {id: end, final: done, output: "${data}"}]
edges: [{from: paid, to: end}, {from: paid, on: error.timeout, to: remind}, {from: remind, to: paid}]
`},
		"its node is entered": {text: `
nodes: [{id: ship, timer: 1h}, {id: paid, wait: {signal: payment}, output: data}, {id: end, final: done, output: "${data}"}]
edges: [{from: ship, to: paid}, {from: paid, to: end}]
`},
		"an item of its node is entered": {text: `
nodes: [{id: ship, timer: 1h}, {id: paid, wait: {signal: payment}, each: {in: [1, 2], until: any}, output: data}, {id: end, final: done, output: "${data[0]}"}]
edges: [{from: ship, to: paid}, {from: paid, to: end}]
`},
		"with a key, its node is left, and entered again later": {post: true, text: `
nodes: [{id: paid, wait: {signal: payment, key: k1}, output: data}, {id: other, wait: {signal: payment, key: k2}, within: 5m}, {id: end, final: done, output: "${data}"}]
edges: [{from: paid, to: end}, {from: paid, after: 1h, to: other}, {from: other, on: error.timeout, to: paid}, {from: other, on: [done, payment], to: paid}]
`},
		"with a key, its node is left, and entered again at once": {post: true, text: `
nodes: [{id: paid, wait: {signal: payment, key: "k${n}"}, each: {in: [3, 1], as: n, until: any}, output: data}, {id: end, final: done, output: "${data[1]}"}]
edges: [{from: paid, to: end}, {from: paid, after: 1h, to: paid}]
`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pay := &agent.Agent{Name: "pay", Planner: graphOf(t, "graph: pay\ndata: [{id: data}]\n"+c.text)}
				other := &agent.Agent{Name: "other", Planner: graphOf(t, "graph: other\nsteps: [{timer: 1h}]")}
				store := memorytest.NewStore(nil)
				o := orchestratortest.Work(t, store, nil, other) // it drives mailboxes, too
				worker, err := orchestrator.New(store.Another(), []*agent.Agent{pay}, nil)
				if err != nil {
					t.Fatal(err)
				}
				work := func(span time.Duration) {
					ctx, stop := context.WithTimeout(t.Context(), span)
					defer stop()
					if err := worker.Work(ctx); err != nil {
						t.Fatal(err)
					}
				}
				id, err := worker.Start(t.Context(), orchestrator.Request{Agent: "pay"})
				if err != nil {
					t.Fatal(err)
				}
				work(time.Minute)
				time.Sleep(time.Hour)
				if c.post {
					err = o.Post(t.Context(), "payment", "k1", json.RawMessage(`7`), nil)
				} else {
					err = o.Signal(t.Context(), id, "payment", json.RawMessage(`7`), nil)
				}
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				work(90 * time.Minute)
				s, err := o.State(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if res := orchestrator.ResultOf(s); res.Status != agent.StatusDone || string(res.JSON) != "7" {
					t.Errorf("it is %s (%s) with %s, want done with 7", res.Status, res.Reason, res.JSON)
				}
			})
		})
	}
}

// Nobody says by a signal that an activity has ended, or a time has come: who may not answer
// a question does not get past it so.
func TestSignalThatLooksLikeAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := graphOf(t, `
graph: g
nodes:
  - {id: ask, ask: {prompt: May it be?, choices: [approve, deny], for: [boss]}}
  - {id: call, wait: {signal: done}}
  - {id: end, final: done, output: "${result}"}
  - {id: bad, final: done, output: "${event.name}"}
edges:
  - {from: ask, on: done.approve, to: call}
  - {from: ask, on: [done.deny, error], to: bad}
  - {from: ask, on: "*", to: bad}
  - {id: late, from: ask, after: 3d, to: bad}
  - {from: call, to: end}
`)
		o := orchestratortest.Work(t, memorytest.NewStore(nil), nil, &agent.Agent{Name: "g", Planner: g})
		id, err := o.Start(t.Context(), orchestrator.Request{Agent: "g"})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, name := range []string{"done", "done.approve", "error", "error.expired", "after.late"} {
			if err := o.Signal(t.Context(), id, name, json.RawMessage(`7`), nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		s, err := o.State(t.Context(), id)
		if err != nil || len(s.Asks()) != 1 {
			t.Fatalf("it is %s with %s, %v; it is to wait for an answer", s.Status(), orchestrator.ResultOf(s).JSON, err)
		}
		if err := o.Answer(t.Context(), s.Asks()[0].ID, agent.Answer{By: agent.User{ID: "boss"}, Choice: "approve"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s, err = o.State(t.Context(), id); err != nil || string(orchestrator.ResultOf(s).JSON) != "7" {
			t.Errorf("it is %s (%s) with %s, %v", s.Status(), s.Reason(), orchestrator.ResultOf(s).JSON, err)
		}
	})
}
