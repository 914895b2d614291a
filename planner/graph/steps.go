package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// doneNode is the final node that a straight line ends in.
const doneNode = "done"

// expand returns a copy of the definition in its long form, in which nothing is left
// to be understood:
//
//   - Steps are nodes, before all others, and edges, after all others, so that edges
//     that are written down go before those that are implied. None is implied for a
//     step whose end such an edge takes up in any case, nor for a state that has
//     edges on events or on time, and so waits for them.
//   - The final node "done" is there if a step or an edge goes to it.
//   - An activity or a planner node that is a region of a parallel node is put into a
//     compound node NAME:region, beside a final node NAME:done, to which an edge goes
//     when it has ended well: so a region is done when its activity is. There is
//     neither if an edge takes up its end in any case, and goes elsewhere.
//   - Each edge has an ID of its own, and On if it has no After.
//
// What is shared with d is not changed. Problems are those of steps.
func (d *Definition) expand() (*Definition, []Problem) {
	return d.expandAt("", &nest{})
}

// A nest is how definitions are in one another.
type nest struct {
	open  []*Definition // those around the present one
	count int
}

const maxGraphs = 1000 // definitions in one

func (d *Definition) expandAt(path string, in *nest) (*Definition, []Problem) {
	c := *d
	x := &expansion{d: &c, path: path}
	in.open, in.count = append(in.open, d), in.count+1
	defer func() { in.open = in.open[:len(in.open)-1] }()
	c.at, c.Steps = path, nil
	c.Nodes = make([]Node, 0, len(d.Steps)+len(d.Nodes)+1)
	c.Edges = slices.Clone(d.Edges)
	for i := range c.Edges {
		c.Edges[i].at = at(join(path, "edges"), i)
	}
	x.steps(d.Steps)
	for i, n := range d.Nodes {
		n.at = at(join(path, "nodes"), i)
		c.Nodes = append(c.Nodes, n)
	}
	x.straighten(len(d.Steps))
	x.addDone()
	x.addRegions()
	x.events()
	x.identify()
	c.Graphs = slices.Clone(d.Graphs)
	for i, g := range c.Graphs {
		where := at(join(path, "graphs"), i)
		switch {
		case g == nil:
			continue
		case slices.Contains(in.open, g):
			x.bad(where, "graphs", "the definition is one of its own graphs: give each graph a definition of its own")
		case in.count >= maxGraphs || len(in.open) >= maxNesting:
			x.bad(where, "graphs", "there are too many graphs in one another: at most %d are taken, %d deep", maxGraphs, maxNesting)
		default:
			var p []Problem
			c.Graphs[i], p = g.expandAt(where, in)
			x.problems = append(x.problems, p...)
			continue
		}
		c.Graphs[i] = nil
	}
	return &c, x.problems
}

type expansion struct {
	d        *Definition
	path     string
	problems []Problem
}

func (x *expansion) bad(path, rule, format string, args ...any) {
	if len(x.problems) <= maxProblems {
		x.problems = append(x.problems, Problem{Path: path, Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
}

// steps makes nodes of steps.
func (x *expansion) steps(steps []Node) {
	for i, n := range steps {
		n.at = at(join(x.path, "steps"), i)
		if n.ID == "" {
			n.ID = nameOf(&n)
		}
		if n.In != "" {
			x.bad(n.at+".in", "steps", "a step is a part of no other node, and this one is in %q: write it under nodes, with the edges that it needs", shorten(n.In))
			n.In = ""
		}
		x.d.Nodes = append(x.d.Nodes, n)
	}
}

// nameOf names a step by what it does.
func nameOf(n *Node) string {
	switch {
	case n.Tool != "":
		return n.Tool
	case n.Agent != "":
		return n.Agent
	case n.Ask != nil:
		return "ask"
	case n.Timer != nil:
		return "timer"
	case n.Wait != nil && n.Wait.Signal != "":
		return n.Wait.Signal
	case n.Graph != "":
		return n.Graph
	case n.Compensate != "":
		return "compensate"
	case n.Plan != nil:
		return "plan"
	case n.Final != "":
		return n.Final
	}
	return "step"
}

// straighten adds the edges from each of the first nodes, which are the steps, to
// the next.
func (x *expansion) straighten(steps int) {
	means := meansOf(x.d)
	caught := map[string]bool{} // whose end an edge that is written down takes up
	for _, e := range x.d.Edges {
		end := means.end(e.From)
		always := len(e.On) == 0 && e.After == nil || slices.Contains(e.On, "always")
		if e.takes(end) || end == "always" && !always {
			caught[e.From] = true
		}
	}
	for i := range steps {
		n := &x.d.Nodes[i]
		if n.Final != "" || caught[n.ID] {
			continue
		}
		to := doneNode
		if i+1 < steps {
			to = x.d.Nodes[i+1].ID
		}
		if means.compound[n.ID] && !means.final[n.ID] && n.Plan == nil && !n.Parallel {
			x.bad(n.at, "steps", "the step %q has nodes in it, of which none is final, so it never ends and %q never begins: put a final node in it", shorten(n.ID), shorten(to))
			continue
		}
		if i+1 == steps && x.namedDone(steps) {
			continue
		}
		x.d.Edges = append(x.d.Edges, Edge{From: n.ID, To: []string{to}, at: n.at})
	}
}

// namedDone refuses a step that has the name of the final node that the last one goes to.
func (x *expansion) namedDone(steps int) bool {
	for i := range x.d.Nodes[:steps] {
		if n := &x.d.Nodes[i]; n.ID == doneNode && n.Final == "" {
			x.bad(n.at, "steps", "the last step goes to the final node %q, and this step is named so: give it another id", doneNode)
			return true
		}
	}
	return false
}

// takes reports whether an edge of a node takes up its end in any case.
func (e *Edge) takes(end string) bool {
	return e.If == "" && e.After == nil && (len(e.On) == 0 || slices.ContainsFunc(e.On, func(on string) bool { return covers(on, end) }))
}

// addDone adds the final node that edges go to, if it is missing.
func (x *expansion) addDone() {
	if slices.ContainsFunc(x.d.Nodes, func(n Node) bool { return n.ID == doneNode }) {
		return
	}
	for _, e := range x.d.Edges {
		if slices.Contains(e.To, doneNode) {
			x.d.Nodes = append(x.d.Nodes, Node{ID: doneNode, Final: "done", at: e.at})
			return
		}
	}
}

// addRegions puts activities that are regions into compound nodes.
func (x *expansion) addRegions() {
	parallel, caught, named := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, n := range x.d.Nodes {
		parallel[n.ID] = parallel[n.ID] || n.Parallel
	}
	for _, e := range x.d.Edges {
		caught[e.From] = caught[e.From] || e.takes("done")
		for _, id := range e.To {
			named[id] = true
		}
	}
	nodes := make([]Node, 0, len(x.d.Nodes))
	for _, n := range x.d.Nodes {
		if n.In == "" || !parallel[n.In] || n.activity() == "" && n.Plan == nil {
			nodes = append(nodes, n)
			continue
		}
		region, done := n.ID+":region", n.ID+":done"
		nodes = append(nodes, Node{ID: region, In: n.In, at: n.at})
		n.In = region
		nodes = append(nodes, n)
		if !caught[n.ID] || named[done] {
			nodes = append(nodes, Node{ID: done, In: region, Final: "done", at: n.at})
		}
		if !caught[n.ID] {
			x.d.Edges = append(x.d.Edges, Edge{From: n.ID, To: []string{done}, at: n.at})
		}
	}
	x.d.Nodes = nodes
}

// events fills in On.
func (x *expansion) events() {
	means := meansOf(x.d)
	for i := range x.d.Edges {
		if e := &x.d.Edges[i]; len(e.On) == 0 && e.After == nil {
			e.On = []string{means.end(e.From)}
		}
	}
}

// identify gives each edge an ID that no other has.
func (x *expansion) identify() {
	taken, last := map[string]bool{}, map[string]int{}
	for _, e := range x.d.Edges {
		taken[e.ID] = true
	}
	for i := range x.d.Edges {
		e := &x.d.Edges[i]
		if e.ID != "" {
			continue
		}
		plain := e.From + ">" + strings.Join(e.To, ",")
		id := plain
		for n := max(last[plain], 1) + 1; taken[id]; n++ {
			id, last[plain] = plain+"#"+strconv.Itoa(n), n
		}
		e.ID, taken[id] = id, true
	}
}

// means are what an edge's event depends on.
type means struct {
	done     map[string]bool // can be done: activities, parallel and planner nodes
	compound map[string]bool // has nodes in it
	final    map[string]bool // of which one is final
}

func meansOf(d *Definition) means {
	t := means{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		t.done[n.ID] = t.done[n.ID] || n.activity() != "" || n.Parallel || n.Plan != nil
		t.compound[n.In] = true
		t.final[n.In] = t.final[n.In] || n.Final != ""
	}
	return t
}

// end returns the event by which a node is left if nothing else is said.
func (t means) end(node string) string {
	if node != "" && (t.done[node] || t.final[node]) {
		return "done"
	}
	return "always"
}

// activity returns the field that says what the node does; "" if it is a state.
func (n *Node) activity() string {
	if a := n.activities(); len(a) > 0 {
		return a[0]
	}
	return ""
}

func (n *Node) activities() []string {
	var set []string
	for _, a := range []struct {
		name string
		is   bool
	}{
		{"tool", n.Tool != ""},
		{"agent", n.Agent != ""},
		{"ask", n.Ask != nil},
		{"timer", n.Timer != nil},
		{"wait", n.Wait != nil},
		{"graph", n.Graph != ""},
		{"compensate", n.Compensate != ""},
	} {
		if a.is {
			set = append(set, a.name)
		}
	}
	return set
}

// covers reports whether all events that the descriptor narrow matches are matched
// by wide, too.
func covers(wide, narrow string) bool {
	wide, narrow = descriptor(wide), descriptor(narrow)
	return wide == "" || strings.HasPrefix(narrow, wide) && (len(narrow) == len(wide) || narrow[len(wide)] == '.')
}

// descriptor drops what a descriptor may end in: "error.*", "error." and "error" are
// the same; "*" matches all, as "" does.
func descriptor(s string) string {
	if s == "*" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(s, "*"), ".")
}
