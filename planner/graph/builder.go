package graph

import (
	"encoding/json"
	"slices"
)

// A Builder makes a [Definition], for those who like it better than a literal:
//
//	d := graph.Build("order").
//		Data("payment", nil).
//		Step(graph.Tool("reserve", graph.Map{"order": "${input.id}"}).Undo("release", nil).On("error", "sorry")).
//		Step(graph.Choice("May order ${input.id} be paid?", "approve", "deny").ID("check").For("group:boss").On("done.deny", "sorry")).
//		Step(graph.Tool("pay", graph.Map{"order": "${input.id}"}).Retry(3, "5s").Into("payment").On("error", "undo")).
//		Node(graph.Compensation("*").ID("undo").On("done", "sorry")).
//		Node(graph.Failed("sorry", "the order was not paid")).
//		Definition()
//
// It checks nothing: [New] and [Check] do. What has no method here is set through
// With.
type Builder struct {
	d            Definition
	steps, nodes []*Part
}

// Build begins a definition with this name.
func Build(name string) *Builder { return &Builder{d: Definition{Graph: name}} }

// Data adds a variable, with its value at the beginning.
func (b *Builder) Data(id string, value any) *Builder {
	b.d.Data = append(b.d.Data, Datum{ID: id, Value: value})
	return b
}

// Event declares an event from outside, with the JSON Schema of its data; nil takes
// any.
func (b *Builder) Event(name string, schema json.RawMessage) *Builder {
	if b.d.Events == nil {
		b.d.Events = map[string]json.RawMessage{}
	}
	b.d.Events[name] = schema
	return b
}

// Step adds parts to the straight line: each is followed by the next, the last by the
// end.
func (b *Builder) Step(parts ...*Part) *Builder {
	b.steps = append(b.steps, parts...)
	return b
}

// Node adds parts beside the straight line, to which edges go.
func (b *Builder) Node(parts ...*Part) *Builder {
	b.nodes = append(b.nodes, parts...)
	return b
}

// Graph adds a graph that parts made by [Run] name.
func (b *Builder) Graph(d *Definition) *Builder {
	b.d.Graphs = append(b.d.Graphs, d)
	return b
}

// With changes the definition itself. Parts are not in it yet.
func (b *Builder) With(change func(*Definition)) *Builder {
	change(&b.d)
	return b
}

// Definition returns what has been built.
func (b *Builder) Definition() *Definition {
	d := b.d
	d.Data, d.Graphs = slices.Clone(d.Data), slices.Clone(d.Graphs)
	d.Steps, d.Nodes, d.Edges = slices.Clone(d.Steps), slices.Clone(d.Nodes), slices.Clone(d.Edges)
	for _, p := range b.steps {
		d.Steps = append(d.Steps, p.named())
		p.inside(&d)
	}
	for _, p := range b.nodes {
		p.add(&d, "")
	}
	return &d
}

// Map is an object of values.
type Map = map[string]any

// A Part is a node that is being built, with the edges that leave it, and what is in
// it.
type Part struct {
	n     Node
	edges []Edge
	parts []*Part
	line  bool // they follow one another
}

// Tool calls a tool with an input, a [Map] or an expression; nil is none. Like all
// parts without an ID of its own it is named by what it does.
func Tool(name string, input any) *Part { return &Part{n: Node{Tool: name, Input: input}} }

// Agent gives a delegate a task.
func Agent(name string, task any) *Part { return &Part{n: Node{Agent: name, Input: task}} }

// Question asks a person for an answer that fits a JSON Schema; nil takes any.
func Question(prompt string, schema json.RawMessage) *Part {
	return &Part{n: Node{Ask: &Ask{Prompt: prompt, Schema: schema}}}
}

// Choice asks a person for one of several choices, each an event done.CHOICE.
func Choice(prompt string, choices ...string) *Part {
	return &Part{n: Node{Ask: &Ask{Prompt: prompt, Choices: choices}}}
}

// Sleep waits for a duration such as "36h", or until a timestamp.
func Sleep(until any) *Part { return &Part{n: Node{Timer: until}} }

// Signal waits for a signal, with a correlation key; nil is none.
func Signal(name string, key any) *Part { return &Part{n: Node{Wait: &Wait{Signal: name, Key: key}}} }

// Run runs another graph as a part of this one.
func Run(graph string, input any) *Part { return &Part{n: Node{Graph: graph, Input: input}} }

// Compensation undoes what was done in a node; "*" is the whole graph.
func Compensation(of string) *Part { return &Part{n: Node{Compensate: of}} }

// State is a node that does nothing but wait for events, or has other parts in it,
// of which the first begins.
func State(id string, parts ...*Part) *Part { return &Part{n: Node{ID: id}, parts: parts} }

// Line is a node in which parts follow one another. It is done when the last is: that
// leads to a final node in it, ID.done.
func Line(id string, parts ...*Part) *Part {
	end := Done(id+".done", nil)
	return &Part{n: Node{ID: id}, parts: append(slices.Clone(parts), end), line: true}
}

// Parallel has its parts go on at once, and is done when all of them are.
func Parallel(id string, parts ...*Part) *Part {
	return &Part{n: Node{ID: id, Parallel: true}, parts: parts}
}

// Planner has a model choose among its parts, one after the other.
func Planner(id string, plan Plan, parts ...*Part) *Part {
	return &Part{n: Node{ID: id, Plan: &plan}, parts: parts}
}

// Done is an end, with the graph's result; nil is that of Definition.Output.
func Done(id string, output any) *Part { return &Part{n: Node{ID: id, Final: "done", Output: output}} }

// Failed is an end at which the graph has failed, and why.
func Failed(id string, why any) *Part { return &Part{n: Node{ID: id, Final: "failed", Fail: why}} }

// ID names the part.
func (p *Part) ID(id string) *Part { return p.With(func(n *Node) { n.ID = id }) }

// On adds an edge: where the part goes on one or several events, see Edge.On. No
// target leaves nothing.
func (p *Part) On(event string, to ...string) *Part { return p.Edge(Edge{On: []string{event}, To: to}) }

// If adds an edge that is taken at the part's end if an expression is true.
func (p *Part) If(condition string, to ...string) *Part { return p.Edge(Edge{If: condition, To: to}) }

// After adds an edge that is taken when the part has gone on for so long.
func (p *Part) After(duration any, to ...string) *Part {
	return p.Edge(Edge{After: duration, To: to})
}

// Edge adds any edge. Its From is the part.
func (p *Part) Edge(e Edge) *Part {
	p.edges = append(p.edges, e)
	return p
}

// Into puts the result into a variable.
func (p *Part) Into(variable string) *Part { return p.With(func(n *Node) { n.Output = variable }) }

// Retry has a failure tried again, so often in all, with a first wait that doubles.
func (p *Part) Retry(attempts int, backoff any) *Part {
	return p.With(func(n *Node) { n.Retry = &Retry{Attempts: attempts, Backoff: backoff} })
}

// Within is how long the part may take until it fails with error.timeout.
func (p *Part) Within(duration any) *Part { return p.With(func(n *Node) { n.Within = duration }) }

// Undo is the tool that takes back what the part has done.
func (p *Part) Undo(tool string, input any) *Part {
	return p.With(func(n *Node) { n.Undo = &Undo{Tool: tool, Input: input} })
}

// Each does the part for each item of a list, so many at once; 0 is all.
func (p *Part) Each(list any, atOnce int) *Part {
	return p.With(func(n *Node) { n.Each = &Each{In: list, AtOnce: atOnce} })
}

// For says who may answer a question or choice: ids of users, group:NAME, @user.
func (p *Part) For(people ...any) *Part {
	return p.With(func(n *Node) {
		if n.Ask != nil {
			n.Ask.For = people
		}
	})
}

// When says when a model may choose the part in its planner node.
func (p *Part) When(condition string) *Part { return p.With(func(n *Node) { n.When = condition }) }

// With changes the node itself.
func (p *Part) With(change func(*Node)) *Part {
	change(&p.n)
	return p
}

// named returns the part's node with its ID.
func (p *Part) named() Node {
	n := p.n
	if n.ID == "" {
		n.ID = nameOf(&n)
	}
	return n
}

// add adds the part, with all that is in it, to the nodes and edges of d.
func (p *Part) add(d *Definition, in string) {
	n := p.named()
	if n.In == "" {
		n.In = in
	}
	d.Nodes = append(d.Nodes, n)
	p.inside(d)
}

// inside adds the part's edges and what is in it.
func (p *Part) inside(d *Definition) {
	id := p.named().ID
	for _, e := range p.edges {
		e.From = id
		d.Edges = append(d.Edges, e)
	}
	for i, k := range p.parts {
		k.add(d, id)
		if p.line && i+1 < len(p.parts) {
			d.Edges = append(d.Edges, Edge{From: k.named().ID, To: []string{p.parts[i+1].named().ID}})
		}
	}
}
