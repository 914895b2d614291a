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

// references is a schema of n parts, each with two fields of the next part: what is
// behind them is many, if each is looked at by itself.
func references(n int) string {
	var fields, parts strings.Builder
	for i := range n {
		fmt.Fprintf(&fields, "f%03d: {$ref: '#/$defs/p%d'}, ", i, i)
		fmt.Fprintf(&parts, "p%d: {type: object, properties: {a: {$ref: '#/$defs/p%d'}, b: {$ref: '#/$defs/p%d'}}}, ", i+1, i, i)
	}
	return "{type: object, properties: {" + fields.String() + "}, $defs: {" + parts.String() + "p0: {type: object, properties: {a: {type: string}}}}}"
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
		"references":        g("nodes: [{id: a, tool: t, input: {a: '${v.f001.a.a}'}}]\ndata: [{id: v, schema: " + references(60) + "}]"),
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
