package chart

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what a node is.
type Kind uint8

// The kinds of nodes. A State with children is compound, one without is atomic.
const (
	State Kind = iota
	Parallel
	Final
	Shallow // history: the children that were active last
	Deep    // history: the atomic descendants that were active last
)

// A Node is a state of a chart. Fill in the exported fields and give the root to
// [New], which owns the tree from then on.
type Node struct {
	ID       string // differs from that of all other nodes; "" only for the root
	Kind     Kind
	Children []*Node

	// Initial says where to go when a compound state is entered without a target
	// within it; nil is its first child that is no history. Of a history it says
	// where to go when nothing is remembered. It has no events and no guard.
	Initial *Edge

	Edges   []*Edge // in document order
	Entry   []any   // contents, each handed to Host.Run by itself: an error ends one and not the next
	Exit    []any
	Invokes bool // Host.Invoke is called when a macrostep ends in which it was entered and not left
	Tag     any  // the host's own

	parent *Node
	order  int // in document order; the root's is 0
	last   int // order of its last descendant, or its own
	depth  int
}

// An Edge is a transition.
type Edge struct {
	// Events are event descriptors, as in SCXML 3.12.1: "error" matches error,
	// error.send and error.send.failed, but not errors; "error.*" is the same, and "*"
	// matches all. None means an eventless transition.
	Events   []string
	Guard    any     // handed to Host.Holds; nil always holds
	Targets  []*Node // none: nothing is left and nothing is entered
	Internal bool    // where all targets are descendants of a compound source, that is not left
	Content  []any   // as Node.Entry
	Tag      any

	source      *Node
	flat        bool     // from an atomic node to one beside it: nothing else is left or entered
	descriptors []string // of Events, without a trailing ".*" or "."; "" matches all
}

// Source returns the node that the edge leaves.
func (e *Edge) Source() *Node { return e.source }

// Parent returns the node that n is a child of; nil for the root.
func (n *Node) Parent() *Node { return n.parent }

// Order returns the node's place in document order; the root's is 0.
func (n *Node) Order() int { return n.order }

// Atomic reports whether the node has no children that are states.
func (n *Node) Atomic() bool {
	return n.Kind == Final || n.Kind == State && !n.compound()
}

func (n *Node) compound() bool {
	return n.Kind == State && slices.ContainsFunc(n.Children, func(c *Node) bool { return !c.history() })
}

func (n *Node) history() bool { return n.Kind == Shallow || n.Kind == Deep }

// Within reports whether n is a proper descendant of a.
func (n *Node) Within(a *Node) bool { return n.order > a.order && n.order <= a.last }

// A Chart is a statechart that is ready to run. It is not changed any more, and
// safe for use by many goroutines.
type Chart struct {
	nodes []*Node // in document order; the root is the first
	ids   map[string]*Node
}

// New makes a chart of the tree below root, which stands for the whole machine: its
// children are the top-level states. The error says which node or edge makes no
// sense.
func New(root *Node) (*Chart, error) {
	c := &Chart{ids: map[string]*Node{}}
	if root.Kind != State || !root.compound() {
		return nil, fmt.Errorf("chart: the root needs a state as a child, and is neither parallel nor final nor a history")
	}
	if err := c.number(root, nil); err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		if err := c.link(n); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// number gives each node its place.
func (c *Chart) number(n, parent *Node) error {
	n.parent, n.order = parent, len(c.nodes)
	if parent != nil {
		n.depth = parent.depth + 1
		if n.ID == "" {
			return fmt.Errorf("chart: a node below %q has no id", parent.ID)
		}
		if c.ids[n.ID] != nil {
			return fmt.Errorf("chart: two nodes have the id %q", n.ID)
		}
	}
	c.ids[n.ID] = n
	c.nodes = append(c.nodes, n)
	for _, k := range n.Children {
		if err := c.number(k, n); err != nil {
			return err
		}
	}
	n.last = len(c.nodes) - 1
	return nil
}

// link readies a node's edges, and checks what depends on the whole tree.
func (c *Chart) link(n *Node) error {
	switch {
	case n.Kind == Final && len(n.Edges) > 0:
		return fmt.Errorf("chart: the final node %q has an edge; a final node is not left by itself", n.ID)
	case (n.Kind == Final || n.history()) && len(n.Children) > 0:
		return fmt.Errorf("chart: the node %q has children, and a final node or a history has none", n.ID)
	case n.Kind == Parallel && !slices.ContainsFunc(n.Children, func(k *Node) bool { return !k.history() }):
		return fmt.Errorf("chart: the parallel node %q has no regions", n.ID)
	case n.Kind == Parallel && slices.ContainsFunc(n.Children, func(k *Node) bool { return k.Kind == Final }):
		return fmt.Errorf("chart: the parallel node %q has a final child; its regions are states", n.ID)
	case n.history() && (n.Initial == nil || len(n.Initial.Targets) == 0):
		return fmt.Errorf("chart: the history %q needs a default, for when nothing is remembered", n.ID)
	}
	for _, e := range n.Edges {
		e.source = n
		if err := c.linkEdge(e); err != nil {
			return err
		}
	}
	if n.Initial == nil && n.compound() {
		n.Initial = &Edge{Targets: []*Node{firstState(n)}}
	}
	if n.Initial == nil {
		return nil
	}
	if len(n.Initial.Targets) == 0 {
		return fmt.Errorf("chart: the initial edge of %q goes nowhere", n.ID)
	}
	within := n
	if n.history() {
		within = n.parent
	}
	n.Initial.source = n
	if err := c.linkEdge(n.Initial); err != nil {
		return err
	}
	for _, t := range n.Initial.Targets {
		if n.history() && t.history() {
			return fmt.Errorf("chart: the default of the history %q is the history %q, and a state is expected", n.ID, t.ID)
		}
		if !t.Within(within) {
			return fmt.Errorf("chart: the initial edge of %q goes to %q, which is not below %q", n.ID, t.ID, within.ID)
		}
	}
	return nil
}

func (c *Chart) linkEdge(e *Edge) error {
	for _, d := range e.Events {
		e.descriptors = append(e.descriptors, descriptor(d))
	}
	e.flat = len(e.Targets) == 1 && len(e.source.Children) == 0 && len(e.Targets[0].Children) == 0 && !e.Targets[0].history() &&
		e.Targets[0].parent == e.source.parent && e.source.parent != nil && e.source.parent.Kind == State
	for i, t := range e.Targets {
		if t.order == 0 || t.order >= len(c.nodes) || c.nodes[t.order] != t {
			return fmt.Errorf("chart: an edge of %q goes to a node that is not in the chart", e.source.ID)
		}
		for _, other := range e.Targets[:i] {
			if a := lcca(c.nodes[0], []*Node{t, other}); t == other || t.meets(other) || other.meets(t) || lowest(t, other).Kind != Parallel {
				return fmt.Errorf("chart: an edge of %q goes to %q and %q, which cannot both be active (both are below %q)", e.source.ID, other.ID, t.ID, a.ID)
			}
		}
	}
	return nil
}

// meets reports whether another node is below what the node says all about: itself,
// or of a history its parent.
func (n *Node) meets(other *Node) bool {
	if n.history() {
		n = n.parent
	}
	return other.Within(n)
}

// lowest returns the lowest node that has both below it.
func lowest(a, b *Node) *Node {
	for p := a.parent; p != nil; p = p.parent {
		if b.Within(p) {
			return p
		}
	}
	return a
}

func descriptor(d string) string {
	if d == "*" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(d, "*"), ".")
}

// Matches reports whether an event's name is matched by a descriptor.
func Matches(desc, name string) bool { return matches(descriptor(desc), name) }

func matches(d, name string) bool {
	return d == "" || strings.HasPrefix(name, d) && (len(name) == len(d) || name[len(d)] == '.')
}

func firstState(n *Node) *Node {
	for _, k := range n.Children {
		if !k.history() {
			return k
		}
	}
	return nil
}

// Root returns the node that stands for the whole machine.
func (c *Chart) Root() *Node { return c.nodes[0] }

// Node returns the node with this id; nil if there is none.
func (c *Chart) Node(id string) *Node {
	if id == "" {
		return nil
	}
	return c.ids[id]
}

// Nodes returns all nodes in document order, the root first. It is shared and must
// not be changed.
func (c *Chart) Nodes() []*Node { return c.nodes }
