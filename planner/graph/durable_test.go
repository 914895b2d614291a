package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/planner/graph"
)

// fair is a graph with activities of all kinds.
const fair = `
graph: fair
data: [{id: goods}, {id: money}, {id: seen, type: int, value: 0}]
initial: {to: [prepare]}
nodes:
  - {id: prepare, parallel: true, entry: [{send: {event: hurry, delay: 1m, id: hurry}}]}
  - {id: goods-part, in: prepare}
  - {id: reserve, in: goods-part, tool: reserve, each: {in: [1, 2, 3], at_once: 2, as: n}, input: {what: "hall ${n}"}, output: goods, retry: {attempts: 2, backoff: 2s}, undo: {tool: release, input: {what: "${result.what}"}}}
  - {id: goods-done, in: goods-part, final: done}
  - {id: money-part, in: prepare}
  - {id: pay, in: money-part, graph: payment, input: {sum: 12}, output: money}
  - {id: money-done, in: money-part, final: done}
  - {id: paper-part, in: prepare}
  - {id: sign, in: paper-part, ask: {prompt: Is it agreed?, choices: [agree, refuse], for: [kim], due: 2d}}
  - {id: stamp, in: paper-part, wait: {signal: stamped}}
  - {id: paper-done, in: paper-part, final: done}
  - {id: band-part, in: prepare}
  - {id: book, in: band-part, tool: slow, input: {what: band}, undo: {tool: release, input: {what: "${result.what}"}}}
  - {id: alone, in: band-part, timer: 20s}
  - {id: band-done, in: band-part, final: done}
  - {id: open, tool: open, input: {what: gate}, undo: {tool: release, input: {what: gate}}}
  - {id: rained, timer: 1h}
  - {id: back, compensate: "*"}
  - {id: over, final: done, output: {goods: "${goods}", money: "${money}", seen: "${seen}", saga: "${saga}"}}
edges:
  - {from: prepare, on: hurry, set: {seen: "${seen + 1}"}}
  - {from: prepare, on: done, to: open}
  - {from: reserve, on: done, to: goods-done}
  - {from: pay, on: done, to: money-done}
  - {from: sign, on: done.agree, to: stamp}
  - {from: sign, on: done.refuse, to: paper-done}
  - {from: stamp, on: done, to: paper-done}
  - {from: book, on: done, to: band-done}
  - {from: book, after: 3m, to: alone}
  - {from: alone, on: done, to: band-done}
  - {from: open, on: done, to: rained}
  - {from: rained, on: done, to: back}
  - {from: back, on: done, to: over}
graphs:
  - graph: payment
    data: [{id: at}]
    nodes:
      - {id: charge, tool: charge, input: {what: "sum ${input.sum}"}, output: {at: "${result.what}"}, undo: {tool: release, input: {what: "sum ${input.sum}"}}}
      - {id: paid, final: done, output: "${at}"}
    edges: [{from: charge, on: done, to: paid}]
`

// town is what the tools of the fair act on: each act once for each key.
type town struct {
	mu   sync.Mutex
	acts []string
	keys map[string]string
}

func (w *town) did(key string) (what string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what, ok = w.keys[key]
	return what, ok
}

// tool acts after a time. How often it has been tried by then, failing says may fail it.
func (w *town) tool(name string, takes time.Duration, failing func(what string, undone bool) error) *agent.Tool {
	return &agent.Tool{
		Name: name, Input: json.RawMessage(`{"type":"object","properties":{"what":{"type":"string"}}}`), Timeout: time.Hour,
		Call: func(ctx context.Context, raw json.RawMessage) (json.RawMessage, error) {
			var in struct{ What string }
			if err := json.Unmarshal(raw, &in); err != nil {
				return nil, err
			}
			time.Sleep(takes)
			w.mu.Lock()
			defer w.mu.Unlock()
			key := agent.CallFrom(ctx).Key
			if _, again := w.keys[key]; again {
				return nil, fmt.Errorf("%s %s: it is made twice", name, in.What)
			}
			if err := failing(in.What, slices.Contains(w.acts, name+" fails at "+in.What)); err != nil {
				w.acts = append(w.acts, name+" fails at "+in.What)
				return nil, err
			}
			w.keys[key] = in.What
			w.acts = append(w.acts, name+" "+in.What)
			return json.RawMessage(fmt.Sprintf(`{"what":%q}`, in.What)), nil
		},
	}
}

func graphOf(t testing.TB, definition string) *graph.Graph {
	t.Helper()
	d, err := graph.Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (w *town) agent(g *graph.Graph) *agent.Agent {
	never := func(string, bool) error { return nil }
	once := func(what string, before bool) error {
		if what == "hall 2" && !before {
			return agent.NotDone(agent.Coded("network", errors.New("the line dropped")))
		}
		return nil
	}
	stuck := func(string, bool) error { return agent.NotDone(errors.New("the key is lost")) }
	return &agent.Agent{Name: "fair", Planner: g, Operators: []string{"ops"}, Tools: []*agent.Tool{
		w.tool("reserve", 2*time.Second, once), w.tool("charge", 2*time.Second, never), w.tool("slow", 5*time.Minute, never),
		w.tool("open", 2*time.Second, stuck), w.tool("release", 2*time.Second, never),
	}}
}

// people do what they are asked. What became of a call whose outcome is not known they
// look up when it is surely over.
func (w *town) people(ctx context.Context, o *orchestrator.Orchestrator, a *agent.Ask) error {
	answer := agent.Answer{By: agent.User{ID: "ops"}, Digest: a.Digest}
	switch a.Kind {
	case agent.AskOutcome:
		time.Sleep(8 * time.Minute)
		answer.Choice = agent.Rerun
		if what, ok := w.did(fmt.Sprintf("%s.%s", a.ID.Run(), a.Action)); ok {
			answer.Choice, answer.Value = agent.Happened, json.RawMessage(fmt.Sprintf(`{"what":%q}`, what))
		} else if !slices.Contains(a.Choices, agent.Rerun) {
			answer.Choice = agent.NotHappened
		}
	case agent.AskRepair:
		answer.Choice, answer.Value = agent.Skip, json.RawMessage(`"by hand"`)
	default:
		answer.By.ID, answer.Choice = "kim", "agree"
	}
	return o.Answer(ctx, a.ID, answer)
}

// follow plays people until the run has ended.
func (w *town) follow(t *testing.T, o *orchestrator.Orchestrator, id agent.RunID) *orchestrator.Result {
	var last *orchestrator.Result
	seen := map[agent.AskID]bool{}
	for ev, err := range o.Watch(t.Context(), id, &orchestrator.WatchOptions{Until: orchestrator.RunEnd}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Record == nil {
			continue
		}
		last = orchestrator.ResultOf(ev.State)
		for _, a := range ev.State.Asks() {
			if seen[a.ID] {
				continue
			}
			seen[a.ID] = true
			var refused *agent.Refusal
			if err := w.people(t.Context(), o, a); err != nil && !errors.As(err, &refused) {
				t.Fatal(err)
			}
		}
	}
	return last
}

func newTown() *town { return &town{keys: map[string]string{}} }

// Wherever the worker is killed, the fair comes to the same end: each thing was done
// once, and is taken back in reverse, also the band that was booked in vain.
func TestCrashesOfAGraph(t *testing.T) {
	g := graphOf(t, fair)
	orchestratortest.CrashEverywhere(t, func(t *testing.T, w *orchestratortest.World) {
		town := newTown()
		w.Work(town.agent(g))
		id, err := w.Client.Start(t.Context(), orchestrator.Request{Agent: "fair", Message: agent.Text("{}")})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // early, and twice under one key
			if err := w.Client.Signal(t.Context(), id, "stamped", nil, &orchestrator.Input{Key: "stamp-1"}); err != nil {
				t.Fatal(err)
			}
		}
		res := town.follow(t, w.Client, id)
		want := `{"goods":[{"what":"hall 1"},{"what":"hall 2"},{"what":"hall 3"}],"money":"sum 12","saga":{"done":[],"undone":["reserve/0","charge","reserve/1","reserve/2","book"]},"seen":1}`
		if !slices.Contains(town.acts, "slow band") { // the worker was killed before the call was made, and then it was not wanted
			want = strings.Replace(want, `,"book"`, "", 1)
		}
		if got := sorted(res.JSON); res.Status != agent.StatusDone || got != sorted(json.RawMessage(want)) {
			t.Errorf("it ends as %s (%s) with\n%s\nwant\n%s", res.Status, res.Reason, got, sorted(json.RawMessage(want)))
		}
		town.check(t)
	})
}

// sorted is a result with what was undone in the order of the alphabet: what goes on at
// once comes in any order.
func sorted(raw json.RawMessage) string {
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	if saga, ok := v["saga"].(map[string]any); ok {
		if list, ok := saga["undone"].([]any); ok {
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	}
	return show(v)
}

// check looks whether each thing was done once, and taken back once.
func (w *town) check(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[string]int{}
	for _, a := range w.acts {
		counts[a]++
	}
	want := []string{"reserve hall 1", "reserve hall 2", "reserve hall 3", "charge sum 12", "slow band", "release hall 1", "release hall 2", "release hall 3", "release sum 12", "release band"}
	if counts["slow band"] == 0 && counts["release band"] == 0 {
		want = slices.DeleteFunc(want, func(a string) bool { return strings.HasSuffix(a, "band") })
	}
	for _, a := range want {
		if counts[a] != 1 {
			t.Errorf("%q was done %d times:\n%s", a, counts[a], strings.Join(w.acts, "\n"))
		}
		delete(counts, a)
	}
	delete(counts, "reserve fails at hall 2")
	delete(counts, "open fails at gate")
	if len(counts) > 0 {
		t.Errorf("and this was done: %v", counts)
	}
}

// A run goes by the definition under which it began, until it is migrated. What cannot
// be mapped to one thing is refused.
func TestMigratingARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const first = `
graph: fair
data: [{id: gone, value: 1}, {id: kept, value: 2}]
nodes:
  - {id: both, parallel: true}
  - {id: left, in: both}
  - {id: wait-left, in: left, wait: {signal: left}}
  - {id: left-done, in: left, final: done}
  - {id: right, in: both}
  - {id: wait-right, in: right, wait: {signal: right}}
  - {id: right-done, in: right, final: done}
  - {id: over, final: done, output: {by: first, kept: "${kept}", gone: "${gone}"}}
edges:
  - {from: wait-left, on: done, to: left-done}
  - {from: wait-right, on: done, to: right-done}
  - {id: late, from: both, after: 30d, to: over}
  - {from: both, on: done, to: over}
`
		second := strings.NewReplacer("wait-left", "await-left", "{id: gone, value: 1}", "{id: fresh, value: 3}", "by: first", "by: second", "gone: \"${gone}\"", "fresh: \"${fresh}\"").Replace(first)
		store := memorytest.NewStore(nil)
		town := newTown()
		client, err := orchestrator.New(store, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		begun := func() agent.RunID {
			id, err := client.Start(t.Context(), orchestrator.Request{Agent: "fair", Message: agent.Text("{}")})
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		old := town.agent(graphOf(t, first))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		worker, err := orchestrator.New(store.Another(), []*agent.Agent{old}, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- worker.Work(ctx) }()
		stays, moves := begun(), begun()
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		fresh := town.agent(graphOf(t, second))
		orchestratortest.Work(t, store.Another(), nil, fresh)
		from, to := old.Planner.(*graph.Graph), fresh.Planner.(*graph.Graph)
		migrate := func(g *graph.Graph, nodes map[string]string) error {
			return client.Redefine(t.Context(), moves, g.Definition(), func(v *agent.View) (map[string]json.RawMessage, error) {
				return g.Migrate(from, v.Keys, graph.Facts{Now: v.Now}, nodes)
			}, nil)
		}
		for _, c := range []struct {
			says  string
			nodes map[string]string
			g     *graph.Graph
		}{
			{`the new definition has no "wait-left"`, nil, to},
			{"that is ambiguous", map[string]string{"wait-left": "wait-right"}, to},
			{"which of them is ambiguous", map[string]string{"wait-left": "left"}, to},
			{"does something else", map[string]string{"wait-left": "left-done"}, to},
			{`the map names the node "nobody"`, map[string]string{"wait-left": "await-left", "nobody": "both"}, to},
			{"which timer is whose is ambiguous", map[string]string{"wait-left": "await-left"}, graphOf(t, strings.Replace(second, "- {id: late, from: both, after: 30d, to: over}", "- {id: a, from: both, after: 30d, to: over}\n  - {id: b, from: both, after: 40d, to: over}", 1))},
		} {
			var refused *agent.Refusal
			if err := migrate(c.g, c.nodes); !errors.As(err, &refused) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: %v, want a refusal that says %q", c.nodes, err, c.says)
			}
		}
		if err := migrate(to, map[string]string{"wait-left": "await-left"}); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[agent.RunID]string{stays: `{"by":"first","gone":1,"kept":2}`, moves: `{"by":"second","fresh":3,"kept":2}`} {
			for _, name := range []string{"left", "right"} {
				if err := client.Signal(t.Context(), id, name, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			if res := town.follow(t, client, id); string(res.JSON) != want {
				t.Errorf("it ends as %s (%s) with %s, want %s", res.Status, res.Reason, res.JSON, want)
			}
		}
	})
}
