package chart_test

import (
	"testing"

	"github.com/qmuntal/stateless"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// quiet is a host that does nothing.
type quiet struct{}

func (quiet) Holds(any, *chart.Event, func(*chart.Event)) (bool, error)                { return true, nil }
func (quiet) Run(any, *chart.Event, func(*chart.Event)) error                          { return nil }
func (quiet) Entered(*chart.Node, *chart.Event, func(*chart.Event)) error              { return nil }
func (quiet) Left(*chart.Node, *chart.Event) error                                     { return nil }
func (quiet) Invoke(*chart.Node, *chart.Event, func(*chart.Event)) error               { return nil }
func (quiet) Took(*chart.Edge, *chart.Event)                                           {}
func (quiet) Missed(*chart.Event)                                                      {}
func (quiet) Done(_, _ *chart.Node, _ *chart.Event, _ func(*chart.Event)) *chart.Event { return nil }

// The order of a shop: four states in a ring, as both libraries have it.
var ring = []string{"open", "paid", "sent", "closed"}

// BenchmarkFlat has one event after the other move a flat machine: fermata's kernel,
// and qmuntal/stateless. Both run in one process, one after the other, so that their
// ratio means something: go test -bench Flat -count 5 ./planner/graph/chart
func BenchmarkFlat(b *testing.B) {
	b.Run("fermata", func(b *testing.B) {
		nodes := make([]*chart.Node, len(ring))
		for i, id := range ring {
			nodes[i] = &chart.Node{ID: id}
		}
		for i, n := range nodes {
			n.Edges = []*chart.Edge{{Events: []string{"next"}, Targets: []*chart.Node{nodes[(i+1)%len(nodes)]}}}
		}
		c, err := chart.New(&chart.Node{Children: nodes})
		if err != nil {
			b.Fatal(err)
		}
		var s chart.Configuration
		if err := c.Start(&s, quiet{}); err != nil {
			b.Fatal(err)
		}
		next := &chart.Event{Name: "next"}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			if err := c.Step(&s, quiet{}, next); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "macrosteps/s")
		if got := c.Basic(&s)[0]; got != ring[b.N%len(ring)] {
			b.Fatalf("after %d events it is in %s", b.N, got)
		}
	})
	b.Run("stateless", func(b *testing.B) {
		m := stateless.NewStateMachine(ring[0])
		for i, id := range ring {
			m.Configure(id).Permit("next", ring[(i+1)%len(ring)])
		}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			if err := m.Fire("next"); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "macrosteps/s")
		if got := m.MustState(); got != ring[b.N%len(ring)] {
			b.Fatalf("after %d events it is in %v", b.N, got)
		}
	})
}
