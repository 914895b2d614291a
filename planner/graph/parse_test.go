package graph_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/planner/graph"
)

// unreadable has texts that Parse refuses, with one problem that it has to find.
var unreadable = []struct {
	rule, path string
	line       int
	message    string
	text       string
}{
	{"unknown", "steps[1].tol", 4, "did you mean tool?", "graph: g\nsteps:\n  - {tool: a}\n  - {tol: b}"},
	{"unknown", "edges[0].when", 2, "known are id, from, to", "graph: g\nedges: [{when: x}]"},
	{"unknown", "nodes[0].retry.backof", 4, "did you mean backoff?", "graph: g\nnodes:\n  - retry:\n      backof: 2s"},
	{"unknown", "true", 1, "no field", "true: x"},
	{"type", "graph", 1, "expected text, got a number 3: put it in quotes", "graph: 3"},
	{"type", "nodes[0].id", 2, "got a boolean true: put it in quotes", "graph: g\nnodes: [{id: true}]"},
	{"type", "nodes", 2, "expected a list, got an object", "graph: g\nnodes: {id: a}"},
	{"type", "nodes[0]", 2, "expected an object with id", "graph: g\nnodes: [a]"},
	{"type", "nodes[0].plan", 2, "got null: leave the field out", "graph: g\nnodes: [{id: a, plan: }]"},
	{"type", "nodes[0].parallel", 2, "expected true or false, got text \"yes\"", "graph: g\nnodes: [{id: a, parallel: yes}]"},
	{"type", "nodes[0].final", 2, "expected text, got a boolean false", "graph: g\nnodes: [{id: a, final: false}]"},
	{"type", "steps[0].retry.attempts", 2, "expected an integer", "graph: g\nsteps: [{tool: a, retry: {attempts: 2.5}}]"},
	{"type", "steps[0].ask.choices[1]", 2, "put it in quotes", "graph: g\nsteps: [{ask: {prompt: x, choices: [no, 1]}}]"},
	{"type", "edges[0].to[1]", 2, "expected text", "graph: g\nedges: [{from: a, to: [b, 3]}]"},
	{"type", "", 1, "expected an object with graph", "[]"},
	{"twice", "graph", 2, "first on line 1", "graph: g\ngraph: h"},
	{"twice", "nodes[0].id", 3, "first on line 3", "{\"graph\": \"g\",\n\"nodes\": [\n{\"id\": \"a\", \"id\": \"b\"}]}"},
	{"twice", "nodes[0].input.x", 2, "is given twice", "graph: g\nnodes: [{id: a, input: {x: 1, x: 2}}]"},
	{"merge", "nodes[0]", 2, "merge keys", "graph: g\nnodes: [{<<: {id: a}}]"},
	{"number", "nodes[0].input.x", 2, "read differently", "graph: g\nnodes: [{id: a, input: {x: 0777}}]"},
	{"number", "nodes[0].input.x", 2, "read differently", "graph: g\nnodes: [{id: a, input: {x: 1_000}}]"},
	{"number", "nodes[0].input.x", 2, "not one that JSON has", "graph: g\nnodes: [{id: a, input: {x: .inf}}]"},
	{"number", "nodes[0].input.x", 2, "too large to be kept exactly", "graph: g\nnodes: [{id: a, input: {x: 12345678901234567890}}]"},
	{"number", "nodes[0].input.x", 2, "too large", "graph: g\nnodes: [{id: a, input: {x: 1e400}}]"},
	{"tag", "edges[0].if", 2, "begins with ! in quotes", "graph: g\nedges: [{from: a, if: !input.x, to: b}]"},
	{"syntax", "", 3, "spaces, not tabs", "graph: g\nnodes:\n\t- {id: a}"},
	{"syntax", "", 2, "as ${…}, stands in quotes", "graph: g\nnodes: [{id: a, input: {x: ${input.x}}}]"},
	{"syntax", "", 4, "a colon in it stands in quotes", "graph: g\nnodes:\n  - id: a\n    note: one: two"},
	{"tag", "nodes[0].input.x", 2, "!!binary is not taken", "graph: g\nnodes: [{id: a, input: {x: !!binary aGk=}}]"},
	{"tag", "nodes[0].input", 2, "!person is not taken", "graph: g\nnodes: [{id: a, input: !person {x: 1}}]"},
	{"key", "nodes[0].input", 2, "name of a field is text", "graph: g\nnodes: [{id: a, input: {[1]: 1}}]"},
	{"syntax", "", 2, "second document", "graph: g\n---\ngraph: h"},
	{"syntax", "", 1, "is empty", "  \n"},
	{"syntax", "", 1, "is empty", "# only a comment"},
	{"syntax", "", 3, "not YAML", "graph: g\nnodes: ["},
	{"syntax", "", 0, "not UTF-8", "graph: \xff"},
	{"syntax", "nodes[0]", 2, "is itself a part of", "graph: g\nnodes: &a [*a]"},
	{"syntax", "", 1, "max depth", "graph: " + strings.Repeat("[", 1000)},
	{"syntax", "nodes[0].input.x" + strings.Repeat("[0]", 96), 1, "are 101 deep", `{"nodes": [{"input": {"x": ` + strings.Repeat("[", 98) + strings.Repeat("]", 98) + `}}]}`},
	{"size", "", 0, "at most 1048576", "graph: g\ndescription: " + strings.Repeat("x", 1<<20)},
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range unreadable {
		name := tt.text[:min(len(tt.text), 40)]
		d, err := graph.Parse([]byte(tt.text))
		var inv *graph.Invalid
		if !errors.As(err, &inv) || d != nil {
			t.Errorf("%q: want an *Invalid, got %v, %v", name, d, err)
			continue
		}
		want := fmt.Sprintf("%s at line %d, %s: …%s…", tt.rule, tt.line, tt.path, tt.message)
		p := inv.Problems[0]
		if p.Rule != tt.rule || p.Path != tt.path || p.Line != tt.line || !strings.Contains(p.Message, tt.message) || len(inv.Problems) > 1 {
			t.Errorf("%q:\nwant %s\ngot  %v", name, want, inv.Problems)
		}
	}
}

// All that is wrong is told at once, in the order of the text.
func TestParseTellsAll(t *testing.T) {
	_, err := graph.Parse([]byte("graph: order\non: x\nsteps:\n  - {tool: 1, tool: b}\n  - {retry: {attempts: many}}\n  - {input: {x: 010}}"))
	want := `the graph "order" is refused:
  line 2, on: there is no field "on" here: known are graph, description, language, input, output, events, data, initial, nodes, edges, steps, graphs, … (unknown)
  line 4, steps[0].tool: the field "tool" is given twice, first on line 4: keep one (twice)
  line 4, steps[0].tool: expected text, got a number 1: put it in quotes (type)
  line 5, steps[1].retry.attempts: expected an integer, got text "many" (type)
  line 6, steps[2].input.x: the number 010 is read differently by different programs: write it without _ and leading 0, or in quotes if it is text (number)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// Aliases stand for values, as long as they do not multiply without bound.
func TestAliases(t *testing.T) {
	d, err := graph.Parse([]byte("graph: g\nsteps:\n  - {tool: a, retry: &often {attempts: 5}}\n  - {tool: b, retry: *often}"))
	if err != nil || d.Steps[1].Retry.Attempts != 5 {
		t.Errorf("got %+v, %v", d, err)
	}
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x]\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	if _, err := graph.Parse([]byte(b.String())); err == nil || !strings.Contains(err.Error(), "too many parts") {
		t.Errorf("got %v", err)
	}
}

// What YAML and JSON have, Go gets as plain data, and the words of old YAML are text.
func TestParseValues(t *testing.T) {
	yaml := `
graph: g
input: {type: object, properties: {b: {type: string}, a: {enum: [on, 1.0, 0x10]}}}
initial: a
nodes:
  - id: a
    tool: t
    input:
      on: off
      yes: "no"
      1: 2030-01-02
      int: 7
      whole: 2.0
      float: 0.5
      big: 1e3
      nil: ~
      list: [true, "5", y]
      text: |
        two
        lines
  - {id: q, ask: {prompt: x, for: boss, not: "@user", escalate: [{for: "group:heads"}]}}
  - {id: f, final: true}
edges:
  - {from: a, on: done, to: f}
  - {from: a, on: [error.x, error.y], to: [f]}
`
	d, err := graph.Parse([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	want := &graph.Definition{
		Graph:   "g",
		Input:   json.RawMessage(`{"type":"object","properties":{"b":{"type":"string"},"a":{"enum":["on",1,16]}}}`),
		Initial: &graph.Edge{To: []string{"a"}},
		Nodes: []graph.Node{
			{ID: "a", Tool: "t", Input: map[string]any{
				"on": "off", "yes": "no", "1": "2030-01-02", "int": int64(7), "whole": int64(2), "float": 0.5, "big": int64(1000), "nil": nil,
				"list": []any{true, "5", "y"}, "text": "two\nlines\n",
			}},
			{ID: "q", Ask: &graph.Ask{Prompt: "x", For: []any{"boss"}, Not: []any{"@user"}, Escalate: []graph.Escalation{{For: []any{"group:heads"}}}}},
			{ID: "f", Final: "done"},
		},
		Edges: []graph.Edge{
			{From: "a", On: []string{"done"}, To: []string{"f"}},
			{From: "a", On: []string{"error.x", "error.y"}, To: []string{"f"}},
		},
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
}

// A definition that is written as JSON is read as the same one.
func TestRoundTrip(t *testing.T) {
	for name, text := range sound {
		d, err := graph.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := graph.Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(d, again) {
			t.Errorf("%s: got %+v, want %+v", name, again, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range sound {
		f.Add([]byte(text))
		if d, err := graph.Parse([]byte(text)); err == nil {
			b, _ := json.MarshalIndent(d, "", " ")
			f.Add(b)
		}
	}
	for _, tt := range broken {
		f.Add([]byte(tt.text))
	}
	for _, tt := range unreadable {
		if len(tt.text) < 5000 {
			f.Add([]byte(tt.text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := graph.Parse(data)
		if err != nil {
			var inv *graph.Invalid
			if !errors.As(err, &inv) || len(inv.Problems) == 0 || len(inv.Problems) > 100 {
				t.Fatalf("got %v", err)
			}
			return
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := graph.Parse(b)
		if err != nil && len(b) < 1<<20 {
			t.Fatalf("%s: %v", b, err)
		}
		if b2, _ := json.Marshal(again); err == nil && !bytes.Equal(b, b2) {
			t.Fatalf("%s\nis read as\n%s", b, b2)
		}
		problems := graph.Check(d, options())
		if len(problems) > 100 {
			t.Fatalf("%d problems", len(problems))
		}
		graph.Locate(data, problems)
	})
}
