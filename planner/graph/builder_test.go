package graph_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/fermata-run/fermata/planner/graph"
)

// What is built is what the text says.
func TestBuilder(t *testing.T) {
	tests := map[string]struct {
		built *graph.Builder
		text  string
	}{
		"an error route": {
			graph.Build("g").
				Step(graph.Tool("reserve", graph.Map{"id": "${input.id}"}).Retry(3, "5s").Within("1m").On("error", "sorry")).
				Step(graph.Agent("writer", "Thank them.")).
				Node(graph.Failed("sorry", "${failure.message}")),
			`
steps:
  - {id: reserve, tool: reserve, input: {id: "${input.id}"}, retry: {attempts: 3, backoff: 5s}, within: 1m}
  - {id: writer, agent: writer, input: Thank them.}
nodes: [{id: sorry, final: failed, fail: "${failure.message}"}]
edges: [{from: reserve, on: error, to: sorry}]`,
		},
		"an approval": {
			graph.Build("g").
				Step(graph.Choice("Pay?", "approve", "deny").ID("check").For("group:boss").On("done.deny", "no").After("2d", "no")).
				Step(graph.Tool("pay", nil)).
				Node(graph.Done("no", false)),
			`
steps:
  - {id: check, ask: {prompt: Pay?, choices: [approve, deny], for: ["group:boss"]}}
  - {id: pay, tool: pay}
nodes: [{id: no, final: true, output: false}]
edges:
  - {from: check, on: done.deny, to: no}
  - {from: check, after: 2d, to: no}`,
		},
		"a join": {
			graph.Build("g").
				Step(graph.Parallel("both",
					graph.Line("left", graph.Tool("a", nil).If("result.bad", "left.done"), graph.Tool("b", nil)),
					graph.Tool("c", nil))).
				Step(graph.Sleep("1h")),
			`
steps: [{id: both, parallel: true}, {id: timer, timer: 1h}]
nodes:
  - {id: left, in: both}
  - {id: a, in: left, tool: a}
  - {id: b, in: left, tool: b}
  - {id: left.done, in: left, final: true}
  - {id: c, in: both, tool: c}
edges:
  - {from: a, if: result.bad, to: left.done}
  - {from: a, to: b}
  - {from: b, to: left.done}`,
		},
		"a map, into a variable": {
			graph.Build("g").Data("sent", nil).
				Step(graph.Tool("mail", graph.Map{"to": "${item}"}).Each("${input.people}", 3).Into("sent")),
			`
data: [{id: sent}]
steps: [{id: mail, tool: mail, input: {to: "${item}"}, each: {in: "${input.people}", at_once: 3}, output: sent}]`,
		},
		"a saga": {
			graph.Build("g").
				Step(graph.Tool("reserve", nil).Undo("release", graph.Map{"id": "${result.id}"}).On("error", "undo")).
				Step(graph.Tool("pay", nil).Undo("refund", nil).On("error", "undo")).
				Node(graph.Compensation("*").ID("undo").On("done", "undone"), graph.Failed("undone", nil)),
			`
steps:
  - {id: reserve, tool: reserve, undo: {tool: release, input: {id: "${result.id}"}}}
  - {id: pay, tool: pay, undo: {tool: refund}}
nodes: [{id: undo, compensate: "*"}, {id: undone, final: failed}]
edges:
  - {from: reserve, on: error, to: undo}
  - {from: pay, on: error, to: undo}
  - {from: undo, on: done, to: undone}`,
		},
		"a planner, events and graphs": {
			graph.Build("g").
				Event("paid", json.RawMessage(`{"type":"object"}`)).
				Step(graph.Planner("desk", graph.Plan{Steps: 5}, graph.Tool("look", nil), graph.Question("Which?", nil).When("true"))).
				Step(graph.Signal("paid", "${input.id}")).
				Step(graph.State("idle").Edge(graph.Edge{On: []string{"go"}, To: []string{"sub"}}).On("tick")).
				Step(graph.Run("sub", nil)).
				Graph(graph.Build("sub").Step(graph.Tool("a", nil)).Definition()).
				With(func(d *graph.Definition) { d.Description = "all" }),
			`
description: all
events: {paid: {type: object}}
steps:
  - {id: desk, plan: {steps: 5}}
  - {id: paid, wait: {signal: paid, key: "${input.id}"}}
  - {id: idle}
  - {id: sub, graph: sub}
nodes:
  - {id: look, in: desk, tool: look}
  - {id: ask, in: desk, ask: {prompt: Which?}, when: "true"}
edges:
  - {from: idle, on: go, to: sub}
  - {from: idle, on: tick}
graphs: [{graph: sub, steps: [{id: a, tool: a}]}]`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want, err := graph.Parse([]byte(g(tt.text)))
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(tt.built.Definition())
			if err != nil {
				t.Fatal(err)
			}
			got, err := graph.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				w, _ := json.Marshal(want)
				t.Errorf("got  %s\nwant %s", b, w)
			}
			if !reflect.DeepEqual(tt.built.Definition(), tt.built.Definition()) {
				t.Error("built twice it is not the same")
			}
			for _, p := range graph.Check(got, options()) {
				t.Error(p)
			}
		})
	}
}
