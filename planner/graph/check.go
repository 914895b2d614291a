package graph

import (
	"fmt"
	"slices"
	"strings"
)

// inOrder sorts problems by where they are, and drops what is said twice.
func inOrder(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int { return comparePaths(a.Path, b.Path) })
	return atMost(slices.Compact(problems))
}

// A rule is one thing that a definition has to fulfil.
type rule struct {
	name  string
	stage stage
	holds func(*checker) // notes what does not fulfil it
}

// stage says when a rule is looked at.
type stage uint8

const (
	shapes stage = iota // that the nodes are a tree, and what edges join
	fields              // what is in nodes and edges
	flow                // which ways there are through the graph: only if its shape is right
	strict              // as flow, and not with Options.Lax
)

// rules are all rules, in the order in which they are looked at. One that is added after a
// release has to be strict: a definition by which runs go already has to stay one.
var rules = []rule{
	{"graph", shapes, (*checker).hasName},
	{"size", shapes, (*checker).isBounded},
	{"id", shapes, (*checker).hasIDs},
	{"in", shapes, (*checker).isTree},
	{"kind", shapes, (*checker).hasKinds},
	{"children", shapes, (*checker).hasChildren},
	{"regions", shapes, (*checker).hasRegions},
	{"history", shapes, (*checker).hasHistories},
	{"planner", shapes, (*checker).hasPlanners},
	{"initial", shapes, (*checker).beginsBelow},
	{"edge", shapes, (*checker).joinsNodes},
	{"target", shapes, (*checker).hasTargets},
	{"graphs", shapes, (*checker).hasGraphs},

	{"needs", fields, (*checker).hasWhatFieldsNeed},
	{"on", fields, (*checker).reactsToOneThing},
	{"ask", fields, (*checker).asksWell},
	{"fail", fields, (*checker).failsWell},
	{"wait", fields, (*checker).waitsWell},
	{"each", fields, (*checker).mapsWell},
	{"retry", fields, (*checker).retriesWell},
	{"undo", fields, (*checker).undoesWell},
	{"plan", fields, (*checker).plansWell},
	{"do", fields, (*checker).doesOneThing},
	{"data", fields, (*checker).hasVariables},
	{"assign", fields, (*checker).assignsVariables},
	{"schema", fields, (*checker).hasSchemas},
	{"duration", fields, (*checker).hasDurations},

	{"endless", flow, (*checker).comesToRest},
	{"unreachable", strict, (*checker).isReached},
	{"dangling", strict, (*checker).isLeft},
	{"unhandled", strict, (*checker).endsAreTaken},
	{"raised", strict, (*checker).eventsAreRaised},
	{"waits", strict, (*checker).joinsCanBe},
	{"shadowed", strict, (*checker).edgesCanBeTaken},
}

// isShape reports whether a problem is one that nothing can be built on.
func isShape(p Problem) bool {
	return slices.ContainsFunc(rules, func(r rule) bool { return r.name == p.Rule && r.stage == shapes })
}

// check holds an expanded definition against all rules, and the graphs in it.
func (d *Definition) check(o *Options) []Problem {
	return newChecker(d, o, nil).check()
}

func (c *checker) check() []Problem {
	for _, r := range rules {
		if r.stage >= flow && c.broken || r.stage == strict && c.o != nil && c.o.Lax {
			continue
		}
		c.rule = r
		if r.holds(c); c.tooBig {
			return c.problems // all else may take long
		}
	}
	for _, g := range c.d.Graphs {
		if g != nil {
			c.problems = append(c.problems, newChecker(g, c.o, c).check()...)
		}
	}
	return c.problems
}

// A checker knows one definition from all sides.
type checker struct {
	d     *Definition
	o     *Options
	outer *checker // of the definition whose Graphs has this one; nil at the top

	root  *vertex
	all   []*vertex          // in the order of Nodes
	byID  map[string]*vertex // the first with an id
	edges []link             // those whose From is there, in their order

	rule      rule
	broken    bool             // a rule of shape was broken
	tooBig    bool             // for the other rules
	entered   map[*vertex]bool // that can ever be active, once it is known
	data      map[string]bool  // the names of the variables
	powers    map[*vertex]*powers
	reactions map[reaction]bool
	problems  []Problem
}

// A vertex is a node in its place.
type vertex struct {
	*Node
	up    *vertex // nil for the root
	kids  []*vertex
	edges []link    // that leave it
	auto  []link    // those of them on always
	first []*vertex // where it begins by default: all regions, one node, or what the initial edge says
	depth int       // the root's is 0
	loop  bool      // it is in itself, by way of others or not; it then stands at the top
	order int       // in document order; the root's is 0
	last  int       // order of its last descendant, or its own
}

// A link is an edge with its ends.
type link struct {
	*Edge
	from  *vertex
	to    []*vertex // those that are there
	wants []string  // On, in which done of a node that does nothing itself is its own done event, doneOf
}

// doneOf is the event that says that a compound, parallel or planner node is done.
// The ends of what is in it have other names, so that no join comes too early; nor is
// it one of a choice that is called state. In SCXML it has the name that is told there.
func (d *Definition) doneOf(id string) string {
	if d.cel() {
		return "done.state/" + oneWord(id)
	}
	return "done.state." + id
}

// oneWord is an id as the last word of an event's name: the words up to a dot would
// match all that begin with them.
func oneWord(id string) string { return strings.ReplaceAll(id, ".", "/") }

// cel reports whether expressions are CEL.
func (d *Definition) cel() bool { return d.Language == "" || d.Language == "cel" }

func newChecker(d *Definition, o *Options, outer *checker) *checker {
	c := &checker{d: d, o: o, outer: outer, root: &vertex{Node: &Node{}},
		byID: map[string]*vertex{}, data: map[string]bool{}, powers: map[*vertex]*powers{}, reactions: map[reaction]bool{}}
	for _, v := range d.Data {
		c.data[v.ID] = true
	}
	for i := range d.Nodes {
		v := &vertex{Node: &d.Nodes[i]}
		c.all = append(c.all, v)
		if c.byID[v.ID] == nil && v.ID != "" {
			c.byID[v.ID] = v
		}
	}
	for _, v := range c.all {
		v.up = c.root
		if v.In != "" && c.byID[v.In] != nil {
			v.up = c.byID[v.In]
		}
	}
	c.loops()
	for _, v := range c.all {
		if v.loop {
			v.up = c.root
		}
		v.up.kids = append(v.up.kids, v)
	}
	c.number()
	c.begin(c.root, d.Initial)
	for _, v := range c.all {
		c.begin(v, v.Initial)
	}
	for i := range d.Edges {
		l := link{Edge: &d.Edges[i], from: c.byID[d.Edges[i].From]}
		if l.from == nil {
			continue
		}
		l.to, l.wants = c.named(l.To), l.On
		if l.from.activity() == "" && slices.Contains(l.On, "done") {
			l.wants = slices.Clone(l.On)
			l.wants[slices.Index(l.wants, "done")] = c.d.doneOf(l.from.ID)
		}
		l.from.edges = append(l.from.edges, l)
		if slices.Contains(l.On, "always") {
			l.from.auto = append(l.from.auto, l)
		}
		c.edges = append(c.edges, l)
	}
	return c
}

// loops finds the nodes that are in themselves.
func (c *checker) loops() {
	walk := make(map[*vertex]int, len(c.all)) // in which walk up a node was met first
	for i, v := range c.all {
		p := v
		for ; p != nil && walk[p] == 0; p = p.up {
			walk[p] = i + 1
		}
		if p == nil || walk[p] != i+1 {
			continue
		}
		for ; !p.loop; p = p.up {
			p.loop = true
		}
	}
}

// begin notes where a node begins when it is entered by itself.
func (c *checker) begin(v *vertex, initial *Edge) {
	if initial != nil {
		v.first = c.named(initial.To)
		return
	}
	for _, k := range v.kids {
		if !k.history() && (len(v.first) == 0 || v.Parallel || v.Plan != nil) {
			v.first = append(v.first, k) // a model may choose any
		}
	}
}

// number numbers the tree below the root in document order.
func (c *checker) number() {
	n := 0
	type visit struct {
		v    *vertex
		done bool
	}
	for stack := []visit{{c.root, false}}; len(stack) > 0; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if at.done {
			at.v.last = n - 1
			continue
		}
		at.v.order = n
		n++
		if at.v.up != nil {
			at.v.depth = at.v.up.depth + 1
		}
		stack = append(stack, visit{at.v, true})
		for _, k := range slices.Backward(at.v.kids) {
			stack = append(stack, visit{k, false})
		}
	}
}

func (c *checker) named(ids []string) []*vertex {
	var found []*vertex
	for _, id := range ids {
		if v := c.byID[id]; v != nil {
			found = append(found, v)
		}
	}
	return found
}

// bad notes that the present rule is broken at a place.
func (c *checker) bad(path, format string, args ...any) {
	if c.rule.stage == shapes {
		c.broken = true
	}
	if len(c.problems) <= maxProblems {
		c.problems = append(c.problems, Problem{Path: path, Rule: c.rule.name, Message: fmt.Sprintf(format, args...)})
	}
}

// path is that of a field of the definition.
func (c *checker) path(field string) string { return join(c.d.at, field) }

func (c *checker) cel() bool { return c.d.cel() }

func (v *vertex) within(u *vertex) bool { return v.order > u.order && v.order <= u.last }

func (v *vertex) history() bool { return v.History != "" }

// compound reports whether states are in the node, one of them active.
func (v *vertex) compound() bool {
	return !v.Parallel && slices.ContainsFunc(v.kids, func(k *vertex) bool { return !k.history() })
}

// finals returns the final nodes right in v.
func (v *vertex) finals() []*vertex {
	return slices.DeleteFunc(slices.Clone(v.kids), func(k *vertex) bool { return k.Final == "" })
}

// region reports whether the node is one of those that a parallel node is active in.
func (v *vertex) region() bool { return v.up != nil && v.up.Parallel }

// meet returns the lowest node that has both below it.
func meet(a, b *vertex) *vertex {
	p := a.up
	for p.up != nil && !b.within(p) {
		p = p.up
	}
	return p
}

// domain returns the node below which a link leaves and enters all, as in the
// kernel; nil if it leaves nothing.
func (l link) domain() *vertex {
	if len(l.to) == 0 {
		return nil
	}
	inside := func(p *vertex) bool {
		return !slices.ContainsFunc(l.to, func(t *vertex) bool { return !t.within(p) })
	}
	if l.Internal && l.from.compound() && inside(l.from) {
		return l.from
	}
	for p := l.from.up; ; p = p.up {
		if p.up == nil || p.compound() && inside(p) {
			return p
		}
	}
}
