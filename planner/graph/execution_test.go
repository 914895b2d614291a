package graph_test

import (
	"strings"
	"testing"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/play"
)

// What cannot be evaluated and nothing handles stops the step, also one in which the
// graph comes to its end.
func TestFailureOnTheLastStep(t *testing.T) {
	const head = "data: [{id: n, type: int, value: 0}, {id: x, value: 3}]\n"
	for name, text := range map[string]string{
		"edge":        g(head + "nodes: [{id: a}, {id: b, final: true}]\nedges: [{from: a, on: go, set: {x: '${1 / n}'}, to: b}]"),
		"do":          g(head + "nodes: [{id: a}, {id: b, final: true}]\nedges: [{from: a, on: go, do: [{say: '${1 / n}'}], to: b}]"),
		"exit":        g(head + "nodes: [{id: a, exit: [{set: {x: '${1 / n}'}}]}, {id: b, final: true}]\nedges: [{from: a, on: go, to: b}]"),
		"entry":       g(head + "nodes: [{id: a}, {id: b, final: true, entry: [{set: {x: '${1 / n}'}}]}]\nedges: [{from: a, on: go, to: b}]"),
		"exit at end": g(head + "nodes: [{id: a}, {id: b, final: true, exit: [{set: {x: '${1 / n}'}}]}]\nedges: [{from: a, on: go, to: b}]"),
		"guard":       g(head + "nodes: [{id: a}, {id: b, final: true}]\nedges: [{from: a, on: go, if: 1 / n > 3, to: b}, {from: a, on: go, to: b}]"),
		"sub-graph":   g("steps: [{graph: i}]\ngraphs: [{graph: i, data: [{id: n, type: int, value: 0}, {id: x}], nodes: [{id: a}, {id: b, final: true}], edges: [{from: a, on: go, set: {x: '${1 / n}'}, to: b}]}]"),
	} {
		t.Run(name, func(t *testing.T) {
			d, err := graph.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			made, err := graph.New(d, nil)
			if err != nil {
				t.Fatal(err)
			}
			p := play.New(made, nil)
			if err := p.Start(nil); err != nil {
				t.Fatal(err)
			}
			if err := p.Send("go", nil); err == nil || !strings.Contains(err.Error(), "division by zero") {
				t.Errorf("got %v, at %v with the result %s", err, p.At(), p.Last().Output)
			}
		})
	}
}
