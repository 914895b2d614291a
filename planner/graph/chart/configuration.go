package chart

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A Configuration is how a chart stands between two events: small, plain data. The
// zero value is that of a chart that has not started.
type Configuration struct {
	Active  []int         // the orders of the active nodes, rising, without the root
	History map[int][]int // by the order of a history: what was active when its parent was last left
	Ended   bool          // a final child of the root was reached; Active has it still
}

// In reports whether a node is active.
func (s *Configuration) In(n *Node) bool {
	_, in := slices.BinarySearch(s.Active, n.order)
	return in
}

// Clone returns a copy that shares nothing with s.
func (s *Configuration) Clone() *Configuration {
	c := &Configuration{Active: slices.Clone(s.Active), Ended: s.Ended}
	if s.History != nil {
		c.History = make(map[int][]int, len(s.History))
		for h, v := range s.History {
			c.History[h] = slices.Clone(v)
		}
	}
	return c
}

// named is a configuration as it is saved: nodes stand by their ids, so that it
// means the same as long as they do. Of the active ones the atomic ones are enough.
type named struct {
	Active  []string            `json:"active"`
	History map[string][]string `json:"history,omitempty"`
	Ended   bool                `json:"ended,omitempty"`
}

// Save returns the configuration as JSON, by the ids of nodes.
func (c *Chart) Save(s *Configuration) (json.RawMessage, error) {
	n := named{Active: c.ids2(s.Active, true), Ended: s.Ended}
	for h, v := range s.History {
		if n.History == nil {
			n.History = map[string][]string{}
		}
		n.History[c.nodes[h].ID] = c.ids2(v, false)
	}
	return json.Marshal(n)
}

func (c *Chart) ids2(orders []int, atomic bool) []string {
	ids := make([]string, 0, 1)
	for i, o := range orders {
		if atomic && i+1 < len(orders) && orders[i+1] <= c.nodes[o].last {
			continue // not the innermost
		}
		ids = append(ids, c.nodes[o].ID)
	}
	return ids
}

// Restore reads what Save has written. The error says what does not fit the chart.
func (c *Chart) Restore(data json.RawMessage) (*Configuration, error) {
	var n named
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("chart: this is not a saved configuration: %w", err)
	}
	s := &Configuration{Ended: n.Ended}
	for _, id := range n.Active {
		a := c.Node(id)
		if a == nil {
			return nil, fmt.Errorf("chart: the saved configuration has the node %q, which the chart does not have", id)
		}
		for ; a != nil && a.order > 0; a = a.parent {
			s.add(a.order)
		}
	}
	for id, v := range n.History {
		h := c.Node(id)
		if h == nil || !h.history() {
			return nil, fmt.Errorf("chart: the saved configuration has the history %q, which the chart does not have", id)
		}
		if s.History == nil {
			s.History = map[int][]int{}
		}
		orders := []int{}
		for _, id := range v {
			a := c.Node(id)
			if a == nil || !a.Within(h.parent) {
				return nil, fmt.Errorf("chart: the saved history %q has the node %q, which is not below its parent", h.ID, id)
			}
			orders = append(orders, a.order)
		}
		slices.Sort(orders)
		s.History[h.order] = orders
	}
	if err := c.check(s); err != nil {
		return nil, err
	}
	return s, nil
}

// check says why a configuration is not one that the chart can be in.
func (c *Chart) check(s *Configuration) error {
	if len(s.Active) == 0 {
		return nil
	}
	active := func(n *Node) bool { return n.order == 0 || s.In(n) }
	for _, n := range c.nodes {
		if !active(n) {
			continue
		}
		if n.history() {
			return fmt.Errorf("chart: the saved configuration has the history %q as active", n.ID)
		}
		states, in := 0, 0
		for _, k := range n.Children {
			if k.history() {
				continue
			}
			states++
			if active(k) {
				in++
			}
		}
		switch {
		case n.Kind == Parallel && in != states:
			return fmt.Errorf("chart: the saved configuration has %d of the %d regions of %q", in, states, n.ID)
		case n.Kind == State && states > 0 && in != 1:
			return fmt.Errorf("chart: the saved configuration has %d active children of %q, and one is right", in, n.ID)
		}
	}
	return nil
}

func (s *Configuration) add(order int) {
	if i, in := slices.BinarySearch(s.Active, order); !in {
		s.Active = slices.Insert(s.Active, i, order)
	}
}

func (s *Configuration) remove(order int) {
	if i, in := slices.BinarySearch(s.Active, order); in {
		s.Active = slices.Delete(s.Active, i, i+1)
	}
}

// ActiveNodes returns the active nodes in document order, without the root.
func (c *Chart) ActiveNodes(s *Configuration) []*Node {
	nodes := make([]*Node, len(s.Active))
	for i, o := range s.Active {
		nodes[i] = c.nodes[o]
	}
	return nodes
}

// Basic returns the ids of the active nodes that have no active one below them.
func (c *Chart) Basic(s *Configuration) []string { return c.ids2(s.Active, true) }
