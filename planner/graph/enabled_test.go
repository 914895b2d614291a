package graph_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/play"
)

// A node that is left only by edges with conditions waits for one of them, and says so.
func TestEnabledNamesTheConditionsThatAreWaitedFor(t *testing.T) {
	d, err := graph.Parse([]byte(`
graph: doors
nodes:
  - {id: both, parallel: true}
  - {id: front, in: both}
  - {id: open, in: front}
  - {id: shut, in: front}
  - {id: alarm, in: both}
  - {id: off, in: alarm}
  - {id: on, in: alarm}
edges:
  - {from: open, to: shut, on: [close]}
  - {from: off, to: on, on: [always], if: "active('shut')", note: armed when the door is shut}
  - {from: on, to: off, on: [disarm]}
  - {from: shut, to: open, on: [push]}
`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := play.New(g, nil)
	if err := p.Start(nil); err != nil {
		t.Fatal(err)
	}
	conditions := func() (found []graph.Enabled) {
		list, err := g.Enabled(p.Keys(), graph.Facts{Now: p.Now()})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.Kind == "condition" {
				found = append(found, e)
			}
		}
		return found
	}
	want := []graph.Enabled{{Kind: "condition", Name: "active('shut')", Node: "off", Note: "armed when the door is shut"}}
	if got := conditions(); !reflect.DeepEqual(got, want) {
		t.Errorf("at %v it waits for %+v, want %+v", p.At(), got, want)
	}
	if err := p.Send("close", nil); err != nil {
		t.Fatal(err)
	}
	if got := conditions(); len(got) != 0 || !slices.Contains(p.At(), "on") {
		t.Errorf("at %v it still waits for %+v", p.At(), got)
	}
}
