package chart

import (
	"slices"
)

// end leaves all that is active, for their exit contents. The configuration keeps
// where the chart has ended.
func (m *machine) end() error {
	ended := slices.Clone(m.s.Active)
	for _, o := range slices.Backward(ended) {
		if err := m.leave(m.c.nodes[o]); err != nil {
			return err
		}
		m.s.remove(o)
	}
	m.s.Active = ended
	return nil
}

func (m *machine) leave(n *Node) error {
	if err := m.run(n.Exit); err != nil {
		return err
	}
	m.entered = slices.DeleteFunc(m.entered, func(x *Node) bool { return x == n })
	return asFatal(m.h.Left(n, m.e))
}

// exitSet returns the orders of what the transitions leave, rising.
func (m *machine) exitSet(edges []*Edge) []int {
	var exit []int
	for _, e := range edges {
		d := m.domain(e)
		if d == nil {
			continue
		}
		for _, o := range m.s.Active {
			if o > d.order && o <= d.last {
				if i, in := slices.BinarySearch(exit, o); !in {
					exit = slices.Insert(exit, i, o)
				}
			}
		}
	}
	return exit
}

// remember notes what was active below the parents of histories that are left.
func (m *machine) remember(exit []int) {
	for _, o := range exit {
		for _, h := range m.c.nodes[o].Children {
			if !h.history() {
				continue
			}
			var was []int
			for _, a := range m.s.Active {
				n := m.c.nodes[a]
				if h.Kind == Shallow && n.parent == h.parent || h.Kind == Deep && n.Atomic() && n.Within(h.parent) {
					was = append(was, a)
				}
			}
			if m.s.History == nil {
				m.s.History = map[int][]int{}
			}
			m.s.History[h.order] = was
		}
	}
}

// domain returns the node below which a transition leaves and enters all; nil for a
// transition without targets.
func (m *machine) domain(e *Edge) *Node {
	targets := m.targets(e)
	switch {
	case len(targets) == 0:
		return nil
	case e.Internal && e.source.compound() && !slices.ContainsFunc(targets, func(t *Node) bool { return !t.Within(e.source) }):
		return e.source
	}
	return lcca(m.c.nodes[0], append([]*Node{e.source}, targets...))
}

// lcca returns the lowest compound node, or the root, that has all of the nodes
// below it.
func lcca(root *Node, nodes []*Node) *Node {
	for a := nodes[0].parent; a != nil; a = a.parent {
		if a.Kind == State && !slices.ContainsFunc(nodes[1:], func(n *Node) bool { return !n.Within(a) }) {
			return a
		}
	}
	return root
}

// targets returns the targets of an edge, with what histories stand for in their
// place.
func (m *machine) targets(e *Edge) []*Node {
	if !slices.ContainsFunc(e.Targets, (*Node).history) {
		return e.Targets
	}
	var targets []*Node
	for _, t := range e.Targets {
		targets = append(targets, m.meant(t)...)
	}
	return targets
}

func (m *machine) meant(t *Node) []*Node {
	if !t.history() {
		return []*Node{t}
	}
	if was := m.s.History[t.order]; len(was) > 0 {
		var nodes []*Node
		for _, o := range was {
			nodes = append(nodes, m.c.nodes[o])
		}
		return nodes
	}
	var nodes []*Node
	for _, d := range t.Initial.Targets {
		nodes = append(nodes, m.meant(d)...)
	}
	return nodes
}
