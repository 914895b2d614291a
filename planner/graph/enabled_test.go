package graph_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/fermata-run/fermata/agent"
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

// A node that has failed waits for a person, and not for its signal any more.
func TestEnabledAtAWaitThatHasFailed(t *testing.T) {
	d := &graph.Definition{
		Graph: "main", Data: []graph.Datum{{ID: "sum", Type: "int"}},
		Nodes: []graph.Node{{ID: "pay", Wait: &graph.Wait{Signal: "paid"}, Output: "sum"}, {ID: "done", Final: "done"}},
		Edges: []graph.Edge{to("pay", "done", "done")},
	}
	g, err := graph.New(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	saved := keys{}
	for _, c := range []struct {
		in   graph.Input
		want []string
	}{
		{graph.Input{Start: &graph.Start{}}, []string{"event paid"}},
		{graph.Input{Closed: &agent.Closed{Ref: "1", Outcome: agent.Returned, Content: json.RawMessage(`"much"`)}}, []string{"repair retry", "repair skip", "repair route:pay>done"}},
		{graph.Input{Closed: &agent.Closed{Ref: "1/!", Outcome: agent.Answered, Answer: &agent.Answer{Choice: agent.Skip, Value: json.RawMessage(`"much"`)}}}, []string{"repair retry", "repair skip", "repair route:pay>done"}},
	} {
		st, err := g.Next(saved, graph.Facts{}, c.in)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(saved, st.Keys)
		list, err := g.Enabled(saved, graph.Facts{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range list {
			got = append(got, e.Kind+" "+e.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("after %s what may happen is %q, want %q", show(c.in), got, c.want)
		}
	}
}
