package graph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
)

// repeat joins what f says of 0 … n-1.
func repeat(n int, f string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, f, i)
	}
	return b.String()
}

// A text that is as large as is taken is checked in about a second, whatever it has
// many of: where the time grew with the square of it, a minute was not enough.
func TestLargeTexts(t *testing.T) {
	for name, text := range map[string]string{
		"unknown fields":    g("steps: [{tool: a}]\n" + repeat(80_000, "k%d: 1\n")),
		"unknown variables": g("data: [" + repeat(20_000, "{id: d%d}, ") + "]\nnodes:\n" + repeat(9000, "  - {id: n%[1]d, tool: t, input: {a: '${e%[1]d}'}}\n")),
		"edges alike":       g("nodes: [{id: a}]\nedges:\n" + repeat(35_000, "  - {from: a, on: e%d}\n")),
		"steps alike":       g("steps:\n" + repeat(19_000, "  - {tool: t} # %d\n")),
		"choices":           g("steps: [{ask: {prompt: x, choices: [" + repeat(90_000, "c%d, ") + "]}}]"),
		"events and ends":   g("events: {" + repeat(40_000, "e%d: {}, ") + "}\nnodes: [{id: a}]\nedges:\n" + repeat(10_000, "  - {from: a, on: done.q%d, to: done}\n")),
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				if d, err := graph.Parse([]byte(text)); err == nil {
					graph.Locate([]byte(text), graph.Check(d, nil))
				} else if len(text) > 1<<20 {
					t.Error(err)
				}
			}()
			select {
			case <-done:
			case <-time.After(30 * time.Second):
				t.Fatal("it has not been checked within 30 seconds")
			}
		})
	}
}
