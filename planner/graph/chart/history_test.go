package chart_test

import (
	"slices"
	"testing"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// A history that is gone to from within its parent enters what it stands for, and
// leaves alone what is around that and stays active: other regions, above all.
func TestHistoryBesideWhatStays(t *testing.T) {
	a1, a2, b1, b2 := state("a1"), state("a2"), state("b1"), state("b2")
	was := &chart.Node{ID: "was", Kind: chart.Deep, Initial: &chart.Edge{Targets: []*chart.Node{a2}}}
	a1.Edges = []*chart.Edge{{Events: []string{"back"}, Targets: []*chart.Node{was}}}
	b1.Edges = []*chart.Edge{{Events: []string{"on"}, Targets: []*chart.Node{b2}}}
	both := &chart.Node{ID: "both", Kind: chart.Parallel, Children: []*chart.Node{state("a", a1, a2), state("b", b1, b2)}}
	root := state("", state("all", both, was))
	c, err := chart.New(root)
	if err != nil {
		t.Fatal(err)
	}
	w, s := newWorld(), &chart.Configuration{}
	if err := c.Start(s, witness{w}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"on", "back"} {
		w.trace = nil
		if err := c.Step(s, witness{w}, &chart.Event{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.trace, []string{"take a1.0", "leave a1", "enter a2"}; !slices.Equal(got, want) {
		t.Errorf("going back it does %v, want %v", got, want)
	}
	if got, want := c.Basic(s), []string{"a2", "b2"}; !slices.Equal(got, want) {
		t.Errorf("it is in %v, want %v", got, want)
	}
}
