package graph_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/fermata-run/fermata/planner/graph/play"
)

// A signal that comes early is kept for each node as long as that says, whatever its
// words depend on; up to the instant, and not at it.
func TestKeep(t *testing.T) {
	const text = `
graph: g
nodes:
  - {id: idle}
  - {id: short, wait: {signal: paid, keep: 1h}}
  - {id: long, graph: sub, input: {hours: 3}}
  - {id: many, wait: {signal: paid, keep: "${index + 7200}"}, each: {in: [1, 2]}}
  - {id: end, final: done}
edges:
  - {from: idle, on: short, to: short}
  - {from: idle, on: long, to: long}
  - {from: idle, on: many, to: many}
  - {from: short, to: end}
  - {from: long, to: end}
  - {from: many, to: end}
graphs:
  - graph: sub
    nodes: [{id: w, wait: {signal: paid, keep: "${input.hours * 3600}"}}, {id: over, final: done}]
    edges: [{from: w, to: over}]
`
	for _, c := range []struct {
		to    string
		after time.Duration
		at    string
	}{
		{"short", time.Hour - time.Second, "end"}, {"short", time.Hour, "short"},
		{"long", 3*time.Hour - time.Second, "end"}, {"long", 3 * time.Hour, "long"},
		{"many", 2*time.Hour - time.Second, "end"}, {"many", 2 * time.Hour, "many"},
	} {
		p := play.New(graphOf(t, text), nil)
		err := p.Start(nil)
		for range 2 {
			if err == nil {
				err = p.Send("paid", json.RawMessage(`7`))
			}
		}
		if err == nil {
			err = p.Pass(c.after)
		}
		if err == nil {
			err = p.Send(c.to, nil)
		}
		if at := p.At(); err != nil || c.at == "end" != p.Ended() || !p.Ended() && !slices.Contains(at, c.at) {
			t.Errorf("%s after %v: it is at %v (%v), want %s", c.to, c.after, at, err, c.at)
		}
	}
}
