package chart

import (
	"slices"
)

// selected returns the transitions that an event, or nil for none, enables, without
// those that others pre-empt.
func (m *machine) selected(e *Event) []*Edge {
	edges := m.one[:0]
	for i, o := range m.s.Active {
		if i+1 < len(m.s.Active) && m.s.Active[i+1] <= m.c.nodes[o].last {
			continue // not atomic
		}
		n := m.c.nodes[o]
		if e != nil && e.Node != nil && n != e.Node && !n.Within(e.Node) {
			continue
		}
		if edge := m.enabled(n, e); edge != nil && !slices.Contains(edges, edge) {
			edges = append(edges, edge)
		}
	}
	if len(edges) > 1 {
		edges = m.withoutConflicts(edges)
	}
	return edges
}

// enabled returns the first enabled edge of a node, or else of those around it.
func (m *machine) enabled(n *Node, e *Event) *Edge {
	if e != nil && e.Node != nil {
		n = e.Node
	}
	for ; n != nil; n = n.parent {
		for _, edge := range n.Edges {
			if edge.wants(e) && m.holds(edge, e) {
				return edge
			}
		}
	}
	return nil
}

func (e *Edge) wants(ev *Event) bool {
	if ev == nil {
		return len(e.descriptors) == 0
	}
	for _, d := range e.descriptors {
		if matches(d, ev.Name) {
			return true
		}
	}
	return false
}

func (m *machine) holds(edge *Edge, e *Event) bool {
	if edge.Guard == nil {
		return true
	}
	if e == nil {
		e = m.e // SCXML 5.10.1: _event stays bound until the next one is processed
	}
	raise := m.up
	if slices.Contains(m.broken, edge) {
		raise = nil // once is enough, or an eventless one would go on for ever
	}
	holds, err := m.h.Holds(edge.Guard, e, raise)
	if err != nil {
		m.broken = append(m.broken, edge)
	}
	return holds && err == nil
}

// withoutConflicts leaves out what others pre-empt: of two transitions that would
// leave the same node, the one whose source is below the other's, or else the first.
func (m *machine) withoutConflicts(edges []*Edge) []*Edge {
	var kept []*Edge
	exits := map[*Edge][]int{}
	for _, e := range edges {
		exits[e] = m.exitSet([]*Edge{e})
	}
	for _, e := range edges {
		pre := false
		var out []*Edge
		for _, k := range kept {
			if !intersect(exits[e], exits[k]) {
				continue
			}
			if e.source.Within(k.source) {
				out = append(out, k)
			} else {
				pre = true
				break
			}
		}
		if pre {
			continue
		}
		kept = slices.DeleteFunc(kept, func(k *Edge) bool { return slices.Contains(out, k) })
		kept = append(kept, e)
	}
	return kept
}

func intersect(a, b []int) bool {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			return true
		case a[i] < b[j]:
			i++
		default:
			j++
		}
	}
	return false
}
