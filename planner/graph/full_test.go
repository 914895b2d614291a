package graph_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
)

// collects is a graph that takes stamps when it is told to, seven of them, and then
// another as an event.
const collects = `
graph: collects
data: [{id: seen, type: list, value: []}]
nodes:
  - {id: idle}
  - {id: stamp, wait: {signal: stamp}, output: {seen: "${seen + [result.substring(0, 1)]}"}}
  - {id: enough}
  - {id: rest}
  - {id: over, final: done, output: "${seen}"}
edges:
  - {from: idle, on: ping, set: {seen: "${seen + ['ping']}"}}
  - {from: idle, on: collect, to: stamp}
  - {from: idle, on: skip, to: rest}
  - {from: stamp, to: enough}
  - {from: enough, to: stamp, if: size(seen) < 8}
  - {from: enough, to: rest}
  - {from: rest, on: stamp, to: over, set: {seen: "${seen + [event.data]}"}}
`

// Of the signals that come before a node waits for them a graph keeps so many, and the
// run as many again; who sends one more is refused. Other signals go on, none that was
// taken is lost, and they come in their order.
func TestNoMoreSignalsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memorytest.NewStore(nil)
		o := orchestratortest.Work(t, store, nil, &agent.Agent{Name: "post", Planner: graphOf(t, collects)})
		id, err := o.Start(t.Context(), orchestrator.Request{Agent: "post"})
		send := func(name, data string) error {
			synctest.Wait()
			return o.Signal(t.Context(), id, name, json.RawMessage(data), nil)
		}
		long := strings.Repeat("-", 1<<20-3) // four of them fill it, and three the run, which counts names, too
		for i := 1; i <= 7 && err == nil; i++ {
			err = send("stamp", fmt.Sprintf(`"%d%s"`, i, long))
		}
		if err != nil {
			t.Fatal(err)
		}
		var refused *agent.Refusal
		if err := send("stamp", `"8`+long+`"`); !errors.As(err, &refused) || refused.Kind != agent.RefusedConflict || !strings.Contains(err.Error(), "keeps 3 signals that nothing has waited for") {
			t.Errorf("the eighth stamp is sent with %v, want a refusal", err)
		}
		for _, s := range [][2]string{{"ping", "null"}, {"collect", "null"}, {"stamp", `"last"`}} {
			if err := send(s[0], s[1]); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		s, err := o.State(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if res := orchestrator.ResultOf(s); res.Status != agent.StatusDone || string(res.JSON) != `["ping","1","2","3","4","5","6","7","last"]` {
			t.Errorf("it is %s (%s) with %.200s", res.Status, res.Reason, res.JSON)
		}
	})
}

// Also where no more of a signal are kept, it gets to where an edge takes it.
func TestNoMoreSignalsAreKeptAndAnEdgeTakesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memorytest.NewStore(nil)
		o := orchestratortest.Work(t, store, nil, &agent.Agent{Name: "post", Planner: graphOf(t, collects)})
		id, err := o.Start(t.Context(), orchestrator.Request{Agent: "post"})
		if err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("-", 1<<20-3)
		for _, s := range [][2]string{{"stamp", `"1` + long + `"`}, {"stamp", `"2` + long + `"`}, {"stamp", `"3` + long + `"`}, {"stamp", `"4` + long + `"`}, {"skip", "null"}, {"stamp", `"last"`}} {
			synctest.Wait()
			if err := o.Signal(t.Context(), id, s[0], json.RawMessage(s[1]), nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		s, err := o.State(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if res := orchestrator.ResultOf(s); res.Status != agent.StatusDone || string(res.JSON) != `["last"]` {
			t.Errorf("it is %s (%s) with %.200s", res.Status, res.Reason, res.JSON)
		}
	})
}

// A graph that keeps a thousand signals of a name takes no more of them, until some have
// been taken, or are too old.
func TestAThousandSignalsAreKept(t *testing.T) {
	g := graphOf(t, strings.Replace(collects, "{signal: stamp}", "{signal: stamp, keep: 1h}", 1))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	signal := func(name string) agent.News {
		return agent.News{Closed: &agent.Closed{Ref: "*", Name: "*", Outcome: agent.Returned, Signal: name, Content: json.RawMessage(`"x"`)}}
	}
	v := &agent.View{Keys: keys{}, Now: at, News: []agent.News{{Message: agent.Said("{}")}}}
	except := func() []string {
		t.Helper()
		m, err := g.Plan(t.Context(), v, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, raw := range m.Keys {
			if v.Keys[k] = raw; string(raw) == "null" {
				delete(v.Keys, k)
			}
		}
		for i, a := range m.Actions {
			if a.Name == agent.AnySignal {
				v.Open = []agent.OpenAction{{ID: agent.ActionID(fmt.Sprint("w", i)), Action: a}}
			}
		}
		return v.Open[0].Action.Except
	}
	tell := func(names ...string) []string {
		v.News = nil
		for _, name := range names {
			v.News = append(v.News, signal(name))
		}
		return except()
	}
	except()
	if got := tell(slices.Repeat([]string{"stamp"}, 999)...); len(got) > 0 {
		t.Errorf("with 999 it takes all but %v", got)
	}
	if got := tell("stamp"); !slices.Equal(got, []string{"stamp"}) {
		t.Errorf("with 1,000 it takes all but %v, want stamp", got)
	}
	if got := tell("ping"); !slices.Equal(got, []string{"stamp"}) {
		t.Errorf("then it takes all but %v, want stamp", got)
	}
	kept := g
	g = graphOf(t, strings.Replace(collects, "wait: {signal: stamp}, output: {seen: \"${seen + [result.substring(0, 1)]}\"}", "note: none", 1))
	if got := tell("ping"); len(got) > 0 {
		t.Errorf("where no node waits for them it takes all but %v", got)
	}
	g = kept
	if got := tell("ping"); !slices.Equal(got, []string{"stamp"}) {
		t.Errorf("where one does it takes all but %v, want stamp", got)
	}
	v.Now = at.Add(time.Hour)
	if got := tell("ping"); len(got) > 0 {
		t.Errorf("an hour later it takes all but %v", got)
	}
}
