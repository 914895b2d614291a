package chart

import (
	"slices"
)

// entry is what a microstep enters.
type entry struct {
	nodes     []int         // orders, rising
	byDefault map[int]bool  // compound nodes whose initial edge is taken
	histories map[int]*Edge // the default edge of a history, by the order of its parent
}

// nothing is an entry without initial edges and histories.
var nothing = &entry{}

func (x *entry) add(n *Node) {
	if i, in := slices.BinarySearch(x.nodes, n.order); !in {
		x.nodes = slices.Insert(x.nodes, i, n.order)
	}
}

func (x *entry) within(n *Node) bool {
	i, _ := slices.BinarySearch(x.nodes, n.order+1)
	return i < len(x.nodes) && x.nodes[i] <= n.last
}

// enter enters what the transitions go to, below the domain of each.
func (m *machine) enter(edges []*Edge, domains []*Node) error {
	x := &entry{}
	for i, e := range edges {
		for _, t := range e.Targets {
			m.addDescendants(t, x)
		}
		for _, t := range m.targets(e) {
			m.addAncestors(t, domains[i], x)
		}
	}
	for _, o := range x.nodes {
		if err := m.enterNode(m.c.nodes[o], x); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) enterNode(n *Node, x *entry) error {
	m.s.add(n.order)
	if n.Invokes {
		m.entered = append(m.entered, n)
	}
	if err := asFatal(m.h.Entered(n, m.e, m.up)); err != nil {
		return err
	}
	if err := m.run(n.Entry); err != nil {
		return err
	}
	if x.byDefault[n.order] {
		if err := m.run(n.Initial.Content); err != nil {
			return err
		}
	}
	if e := x.histories[n.order]; e != nil {
		if err := m.run(e.Content); err != nil {
			return err
		}
	}
	if n.Kind == Final {
		m.reached(n)
	}
	return nil
}

// reached draws the conclusions of a final node that is entered.
func (m *machine) reached(final *Node) {
	p := final.parent
	if p.order == 0 {
		m.s.Ended = true
		return
	}
	m.done(p, final)
	// Appendix D looks one level up. But 3.4 says of each parallel state that it is
	// done when all its children are, and they may be parallel states, too.
	for g := p.parent; g != nil && g.Kind == Parallel && m.inFinal(g); g = g.parent {
		m.done(g, nil)
	}
}

func (m *machine) done(n, final *Node) {
	if e := m.h.Done(n, final, m.e, m.up); e != nil {
		m.raise(e)
	}
}

// inFinal reports whether a node is done: a join is derived from the configuration
// and counted nowhere.
func (m *machine) inFinal(n *Node) bool {
	for _, k := range n.Children {
		switch {
		case k.history():
		case n.Kind == Parallel:
			if !m.inFinal(k) {
				return false
			}
		case k.Kind == Final && m.s.In(k):
			return true
		}
	}
	return n.Kind == Parallel
}

func (m *machine) addDescendants(n *Node, x *entry) {
	switch {
	case n.history():
		if was := m.s.History[n.order]; len(was) > 0 {
			for _, o := range was {
				m.addDescendants(m.c.nodes[o], x)
			}
			for _, o := range was {
				m.addAncestors(m.c.nodes[o], n.parent, x)
			}
			return
		}
		if x.histories == nil {
			x.histories = map[int]*Edge{}
		}
		x.histories[n.parent.order] = n.Initial
		m.addWithAncestors(n.Initial.Targets, n.parent, x)
		return
	case n.compound():
		x.add(n)
		if x.byDefault == nil {
			x.byDefault = map[int]bool{}
		}
		x.byDefault[n.order] = true
		m.addWithAncestors(n.Initial.Targets, n, x)
	case n.Kind == Parallel:
		x.add(n)
		m.addRegions(n, x)
	default:
		x.add(n)
	}
}

func (m *machine) addWithAncestors(targets []*Node, below *Node, x *entry) {
	for _, t := range targets {
		m.addDescendants(t, x)
	}
	for _, t := range targets {
		m.addAncestors(t, below, x)
	}
}

// addRegions adds the regions of a parallel node that nothing is entered in yet.
func (m *machine) addRegions(n *Node, x *entry) {
	for _, k := range n.Children {
		if _, in := slices.BinarySearch(x.nodes, k.order); !k.history() && !in && !x.within(k) {
			m.addDescendants(k, x)
		}
	}
}

// addAncestors adds what is around a node. Appendix D would, on the way to what a
// history stands for, also enter again what is active around it and was not left.
func (m *machine) addAncestors(n, below *Node, x *entry) {
	for a := n.parent; a != nil && a != below && a.order != 0 && !m.s.In(a); a = a.parent {
		x.add(a)
		if a.Kind == Parallel {
			m.addRegions(a, x)
		}
	}
}
