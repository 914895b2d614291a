package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// A result that is too large for the log is kept apart, and the graph computes with
// the whole of it all the same.
func TestLargeResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const words = 40_000
		list := &agent.Tool{Name: "list", Effect: agent.ReadOnly, Call: func(context.Context, json.RawMessage) (json.RawMessage, error) {
			return json.Marshal(map[string]any{"words": strings.Fields(strings.Repeat("word ", words))})
		}}
		g := graphOf(t, `
graph: count
data: [{id: n, type: int}]
steps: [{tool: list, output: {n: "${size(result.words)}"}}]
`)
		o, err := orchestrator.New(memorytest.NewStore(nil), []*agent.Agent{{Name: "count", Planner: g, Tools: []*agent.Tool{list}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := o.Run(t.Context(), orchestrator.Request{Agent: "count"})
		if err != nil || string(res.JSON) != `{"n":40000}` {
			t.Errorf("it ends as %+v, %v", res, err)
		}
	})
}

// What a graph names and its agent lacks, or has and may not have, is found when an
// orchestrator is made.
func TestAgentThatDoesNotFit(t *testing.T) {
	g := graphOf(t, "graph: g\nsteps: [{tool: pack, undo: {tool: unpack}}, {agent: courier, input: x}]")
	tool := func(name string) *agent.Tool {
		return &agent.Tool{Name: name, Call: func(context.Context, json.RawMessage) (json.RawMessage, error) { return nil, nil }}
	}
	courier := &agent.Agent{Name: "courier", Planner: g, Tools: []*agent.Tool{tool("pack"), tool("unpack")}}
	courier.Delegates = []*agent.Agent{courier}
	for says, a := range map[string]*agent.Agent{
		`names the tool "pack", which the agent does not have; it has: []`: {},
		`names the tool "unpack"`:          {Tools: []*agent.Tool{tool("pack")}},
		`names the delegate "courier"`:     {Tools: courier.Tools},
		"its OnMessage is agent.Interrupt": {Tools: courier.Tools, Delegates: courier.Delegates, OnMessage: agent.Interrupt},
		"":                                 {Tools: courier.Tools, Delegates: courier.Delegates},
	} {
		a.Name, a.Planner = "desk", g
		_, err := orchestrator.New(memorytest.NewStore(nil), []*agent.Agent{a}, nil)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// What may have taken place as its node was left is awaited and taken back, whichever
// effect its tool has; a wait that nothing has ended is not awaited for ever.
func TestWhatWasLeft(t *testing.T) {
	for name, c := range map[string]struct {
		node string
		want string
	}{
		"a call that is idempotent": {`tool: pay, input: {of: 1}, undo: {tool: refund, input: {of: "${result.of}"}}`, `{"done":[],"undone":["n"]}`},
		"its undo":                  {`timer: 1s`, `{"done":[],"undone":["first"]}`},
		"a wait":                    {`wait: {signal: paid}, undo: {tool: refund, input: {of: 2}}`, `{"done":[],"undone":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				calls := map[string]int{}
				tool := func(name string) *agent.Tool {
					return &agent.Tool{Name: name, Effect: agent.Idempotent, Call: func(_ context.Context, args json.RawMessage) (json.RawMessage, error) {
						mu.Lock()
						calls[name]++ // what has begun takes place
						mu.Unlock()
						time.Sleep(10 * time.Second)
						return args, nil
					}}
				}
				text := `
graph: g
nodes:
  - {id: n, ` + c.node + `}
  - {id: back, compensate: "*"}
  - {id: end, final: done, output: "${saga}"}
edges: [{from: n, to: end}, {from: n, after: 3s, to: back}, {from: back, to: end}]
`
				if name == "its undo" {
					text = `
graph: g
nodes:
  - {id: first, tool: pay, input: {of: 1}, undo: {tool: refund, input: {of: 1}}}
  - {id: some, compensate: first}
  - {id: back, compensate: "*"}
  - {id: end, final: done, output: "${saga}"}
edges: [{from: first, to: some}, {from: some, to: end}, {from: some, after: 3s, to: back}, {from: back, to: end}]
`
				}
				o := orchestratortest.Work(t, memorytest.NewStore(nil), nil, &agent.Agent{Name: "g", Planner: graphOf(t, text), Tools: []*agent.Tool{tool("pay"), tool("refund")}})
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				id, err := o.Start(ctx, orchestrator.Request{Agent: "g"})
				if err != nil {
					t.Fatal(err)
				}
				var res *orchestrator.Result
				for ev, err := range o.Watch(ctx, id, &orchestrator.WatchOptions{Until: orchestrator.RunEnd}) {
					if err != nil {
						t.Fatalf("it does not end: %v", err)
					}
					if ev.Record != nil {
						res = orchestrator.ResultOf(ev.State)
					}
				}
				time.Sleep(time.Minute) // what nobody waits for ends, too
				if string(res.JSON) != c.want || calls["refund"] != strings.Count(c.want, `["`) {
					t.Errorf("it ends with %s, and these were called: %v; want %s", res.JSON, calls, c.want)
				}
			})
		})
	}
}

// A delegate that is a graph fails when its turn is ended at a limit: it waits for no
// signal any more.
func TestLimitOfADelegate(t *testing.T) {
	for _, reached := range []agent.OnReached{agent.EndTurn, agent.AskPerson} {
		synctest.Test(t, func(t *testing.T) {
			kid := &agent.Agent{
				Name: "kid", Planner: graphOf(t, "graph: kid\nsteps: [{id: a, timer: 1s}, {id: b, timer: 1s}, {id: c, timer: 1s}]"),
				Limits: agent.Limits{TurnSteps: 2, OnReached: reached},
			}
			desk := graphOf(t, `
graph: desk
nodes: [{id: give, agent: kid, input: x}, {id: end, final: done}, {id: bad, final: done, output: "${failure.message}"}]
edges: [{from: give, to: end}, {from: give, on: error.failed, to: bad}]
`)
			o := orchestratortest.Work(t, memorytest.NewStore(nil), nil, &agent.Agent{Name: "desk", Planner: desk, Delegates: []*agent.Agent{kid}})
			id, err := o.Start(t.Context(), orchestrator.Request{Agent: "desk"})
			if err != nil {
				t.Fatal(err)
			}
			want := `"it failed: the limit turn_steps is reached: 2 of 2"`
			if reached == agent.AskPerson {
				want = `"it failed: stopped at the limit turn_steps"`
				time.Sleep(time.Minute)
				asks, _, err := o.Asks(t.Context(), memory.AskQuery{})
				if err != nil || len(asks) != 1 {
					t.Fatalf("these are asked: %v, %v", asks, err)
				}
				if err := o.Answer(t.Context(), asks[0].ID, agent.Answer{Choice: agent.Stop}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			s, err := o.State(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if res := orchestrator.ResultOf(s); string(res.JSON) != want {
				t.Errorf("it is %s (%s) with %s, want %s", res.Status, res.Reason, res.JSON, want)
			}
		})
	}
}

// What a node does that nobody could, by what its expressions have come to, fails there: the
// run goes on.
func TestWhatCannotBeDone(t *testing.T) {
	for node, why := range map[string]string{
		`wait: {signal: s, key: "${input.long}"}`:                                                                "its correlation key 2000, and at most 1024",
		`ask: {prompt: x, for: ["${input.long}"]}`:                                                               "is not the id of a user",
		`ask: {prompt: x, for: ["${input.none}"]}`:                                                               "the lists that it names are empty",
		`ask: {prompt: x, not: ["${input.many}"]}`:                                                               "at most 64 users and groups",
		`ask: {prompt: x, due: 1h, escalate: [{for: ["${input.none}"], within: 1h}]}`:                            "says For whom it is",
		`ask: {prompt: x, due: 1h, schema: {type: integer}, default: {value: "${input.long}"}}`:                  "its default does not fit",
		`ask: {prompt: x, due: 1h, escalate: [{for: [kim], within: "${input.zero}"}, {for: [lee], within: 1h}]}`: "something follows needs Within",
		`ask: {prompt: x, not: ["@user"]}`:                                                                       "who the user is was not said",
	} {
		synctest.Test(t, func(t *testing.T) {
			g := graphOf(t, `
graph: g
nodes: [{id: n, `+node+`}, {id: end, final: done}, {id: bad, final: done, output: "${failure.message}"}]
edges: [{from: n, to: end}, {from: n, on: error, to: bad}]
`)
			o, err := orchestrator.New(memorytest.NewStore(nil), []*agent.Agent{{Name: "g", Planner: g}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			input, err := json.Marshal(map[string]any{"long": strings.Repeat("k", 2000), "many": strings.Split(strings.Repeat("k", 65), ""), "none": []string{}, "zero": 0})
			if err != nil {
				t.Fatal(err)
			}
			res, err := o.Run(t.Context(), orchestrator.Request{Agent: "g", Message: agent.Text(string(input))})
			if err != nil || !strings.Contains(string(res.JSON), why) {
				t.Errorf("%s: it ends as %+v, %v; want %q", node, res, err, why)
			}
		})
	}
}

// A run whose definition names a tool, or a delegate, that the program at hand does not have is
// not taken for one in which that has failed: it waits for a program that has it.
func TestProgramThatLacksATool(t *testing.T) {
	for _, two := range []string{"tool: two", "agent: two, input: x", "tool: one, undo: {tool: two}"} {
		synctest.Test(t, func(t *testing.T) {
			tool := func(name string) *agent.Tool {
				return &agent.Tool{Name: name, Call: func(context.Context, json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`"ok"`), nil }}
			}
			newer := &agent.Agent{Name: "g", Tools: []*agent.Tool{tool("one"), tool("two"), tool("back")}, Planner: graphOf(t, `
graph: g
nodes: [{id: one, tool: one, undo: {tool: back}}, {id: rest, timer: 1h}, {id: two, `+two+`}, {id: undo, compensate: "*"}, {id: end, final: done, output: "${saga.undone}"}]
edges: [{from: one, to: rest}, {from: rest, to: two}, {from: two, to: undo}, {from: two, on: error, to: undo}, {from: undo, on: [done, error], to: end}]
`)}
			newer.Delegates = []*agent.Agent{{Name: "two", Planner: graphOf(t, "graph: two\nsteps: [{timer: 1s}]")}}
			older := &agent.Agent{Name: "g", Tools: []*agent.Tool{tool("one"), tool("back")}, Planner: graphOf(t, "graph: g\nsteps: [{tool: one}]")}
			store := memorytest.NewStore(nil)
			work := func(a *agent.Agent) *orchestrator.Orchestrator {
				o, err := orchestrator.New(store.Another(), []*agent.Agent{a}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return o
			}
			o := work(newer)
			id, err := o.Start(t.Context(), orchestrator.Request{Agent: "g"})
			for _, a := range []*agent.Agent{newer, older, newer} {
				ctx, stop := context.WithTimeout(t.Context(), 59*time.Minute)
				err = errors.Join(err, work(a).Work(ctx))
				stop()
				if a == older {
					s, bad := o.State(t.Context(), id)
					if bad != nil || s.Status() != agent.StatusStuck || !strings.Contains(s.Reason(), `"two", which the agent g of this program does not have`) {
						t.Errorf("it is %s (%s), %v; it is to be stuck", s.Status(), s.Reason(), bad)
					}
					err = errors.Join(err, o.Retry(t.Context(), id, "", nil))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err := o.State(t.Context(), id)
			want := `["one"]`
			if strings.Contains(two, "undo") {
				want = `["one","two"]`
			}
			if err != nil || s.Status() != agent.StatusDone || string(orchestrator.ResultOf(s).JSON) != want {
				t.Errorf("it ends as %s (%s) with %s, %v", s.Status(), s.Reason(), orchestrator.ResultOf(s).JSON, err)
			}
		})
	}
}

// A graph to which a conversation is handed off begins with what the user has said last.
func TestHandoffToAGraph(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trips := &agent.Agent{Name: "trips", Planner: graphOf(t, `
graph: trips
input: {type: object, required: [text]}
nodes: [{id: rest, timer: 1s}, {id: end, final: done, output: "${input}"}]
edges: [{from: rest, to: end}]
`)}
		model := scripted.New(scripted.Say("Where to?"), scripted.Call("hand_off_to_trips", map[string]any{}))
		desk := &agent.Agent{Name: "desk", Planner: planner.Loop(model, "You receive travellers.", nil), Handoffs: []*agent.Agent{trips}}
		o := orchestratortest.Work(t, memorytest.NewStore(nil), nil, desk)
		id, err := o.Start(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("hello")})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := o.Send(t.Context(), id, agent.Text("to Bern"), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s, err := o.State(t.Context(), id)
		if err != nil || string(orchestrator.ResultOf(s).JSON) != `{"text":"to Bern"}` {
			t.Errorf("it is %s (%s) with %s, %v", s.Status(), s.Reason(), orchestrator.ResultOf(s).JSON, err)
		}
	})
}
