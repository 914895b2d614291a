package graph_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
)

// stamped is a graph with two waits for the same signal, one after the other. The first
// is left by its end or on stop.
func stamped(undo *graph.Undo) *graph.Definition {
	return &graph.Definition{
		Graph: "main", Data: []graph.Datum{{ID: "first"}, {ID: "second"}},
		Nodes: []graph.Node{
			{ID: "one", Wait: &graph.Wait{Signal: "stamp"}, Output: "first", Undo: undo},
			{ID: "two", Wait: &graph.Wait{Signal: "stamp"}, Output: "second"}, {ID: "done", Final: "done"},
		},
		Edges: []graph.Edge{to("one", "two", "done"), to("one", "two", "stop"), to("two", "done", "done")},
	}
}

// A signal that has ended a wait whose node is left by then goes to the next that waits
// for it.
func TestSignalToAWaitThatWasLeft(t *testing.T) {
	plays(t, stamped(nil),
		happening{"start", "1 stamp"},
		happening{"event stop", "-1, 2 stamp"},
		happening{"1 signal stamp 7", `-2, end {"first":null,"second":7}`},
	)
}

// A signal that was on its way as its wait was opened ends that.
func TestSignalOnItsWay(t *testing.T) {
	plays(t, stamped(nil), happening{"start", "1 stamp"}, happening{"event stamp", "-1, 2 stamp"}, happening{"event stamp", `-2, end {"first":null,"second":null}`})
}

// A wait that is left has not taken place: nothing is to be undone, and nothing is
// waited for.
func TestWaitThatWasLeft(t *testing.T) {
	d := stamped(&graph.Undo{Tool: "burn"})
	d.Edges[1].To = []string{"done"}
	plays(t, d, happening{"start", "1 stamp"}, happening{"event stop", `-1, end {"first":null,"second":null}`})
	d.Nodes[0].Each = &graph.Each{In: []any{1}}
	plays(t, d, happening{"start", "1/0 stamp"}, happening{"event stop", `-1/0, end {"first":null,"second":null}`})
}

// A signal that came early is not lost to a node that is left in the step in which it is
// entered.
func TestKeptSignalAndANodeThatIsLeft(t *testing.T) {
	d := stamped(&graph.Undo{Tool: "burn"})
	d.Nodes = append([]graph.Node{{ID: "idle"}, {ID: "around", Entry: []graph.Do{{Send: &graph.Send{Event: "stop"}}}}}, d.Nodes...)
	d.Nodes[2].In = "around"
	d.Edges = append(d.Edges, to("idle", "around", "go"))
	plays(t, d, happening{"start", "."}, happening{"event stamp", "."}, happening{"event go", `-2/r, end {"first":null,"second":null}`})
}

// A signal that is kept for a while is taken within that, and not after.
func TestKeptSignalThatExpires(t *testing.T) {
	d := stamped(nil)
	d.Nodes = append([]graph.Node{{ID: "idle"}}, d.Nodes[1:]...)
	d.Nodes[1].Wait.Keep = "1h"
	d.Edges = []graph.Edge{to("idle", "two", "go"), to("two", "done", "done")}
	g, err := graph.New(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	for late, want := range map[time.Duration]string{time.Hour - time.Second: `end {"first":null,"second":7}`, time.Hour: "2 stamp"} {
		saved, now := keys{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var st *graph.Step
		for _, in := range []graph.Input{{Start: &graph.Start{}}, {Event: &graph.Event{Name: "stamp", Data: json.RawMessage("7")}}, {Event: &graph.Event{Name: "go"}}} {
			if in.Event != nil && in.Event.Name == "go" {
				now = now.Add(late)
			}
			if st, err = g.Next(saved, graph.Facts{Now: now}, in); err != nil {
				t.Fatal(err)
			}
			maps.Copy(saved, st.Keys)
		}
		if followed(st) != want {
			t.Errorf("after %v what follows is %s, want %s", late, followed(st), want)
		}
	}
}

// The result of a timer is null, whatever is said of its end.
func TestResultOfATimer(t *testing.T) {
	d := &graph.Definition{
		Graph: "main", Data: []graph.Datum{{ID: "v", Value: 1}},
		Nodes: []graph.Node{{ID: "later", Timer: "1h", Output: "v"}, {ID: "done", Final: "done"}}, Edges: []graph.Edge{to("later", "done", "done")},
	}
	plays(t, d, happening{"start", "1"}, happening{`1 returned "the time has come"`, `end {"v":null}`})
}
