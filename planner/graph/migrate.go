package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// Migrate makes what is saved of a graph fit another definition: it returns the
// changes to keys. nodes maps ids of old's nodes to ids of g's, GRAPH:ID for those of
// sub-graphs; one that it does not name keeps its id. What cannot be mapped to one
// thing is refused: a node that is active, remembered by a history or scope of an undo
// and is not there; an activity that does something else there; timers that differ.
// Variables that are new get their first values; those that are gone are dropped.
func (g *Graph) Migrate(old *Graph, keys map[string]json.RawMessage, facts Facts, nodes map[string]string) (map[string]json.RawMessage, error) {
	m := &migration{from: old, to: g, nodes: nodes, used: map[string]bool{}, programs: map[string]*program{"": g.root}}
	st := old.look(keys, facts)
	m.st = st
	if err := m.graphs(); err != nil {
		return nil, err
	}
	if err := m.ledger(); err != nil {
		return nil, err
	}
	for id := range nodes {
		if !m.used[id] {
			if err := m.known(id); err != nil {
				return nil, err
			}
		}
	}
	var r runKey
	if _, err := st.s.get("run", &r); err != nil {
		return nil, err
	}
	r.Version = "migrated from " + r.Version // the planner sees that it is another, and takes up what is new
	if err := st.s.set("run", r); err != nil {
		return nil, err
	}
	if len(m.lapsed) > 0 {
		if err := st.s.set("lapsed", m.lapsed); err != nil {
			return nil, err
		}
	}
	return st.s.patch, st.bad
}

type migration struct {
	st       *step
	from, to *Graph
	nodes    map[string]string
	used     map[string]bool
	programs map[string]*program // in the new definition, of each graph of the run
	lapsed   []string            // timers of active nodes that are over
}

func (m *migration) known(id string) error {
	graph, node, sub := strings.Cut(id, ":")
	p := m.from.root
	if sub && m.from.root.nodes[id] == nil {
		if p = m.from.root.graphOf(graph); p == nil {
			return fmt.Errorf("the map names the graph %q, which the old definition does not have", graph)
		}
	} else {
		node = id
	}
	if p.nodes[node] == nil {
		return fmt.Errorf("the map names the node %q, which the old definition does not have", id)
	}
	return nil
}

// graphs maps all graphs of the run, each with its program in the new definition.
func (m *migration) graphs() error {
	ids := []string{""}
	for _, k := range m.st.s.keys("i") {
		if id, ok := strings.CutSuffix(k, "/up"); ok {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		x, err := m.st.open(id)
		if err != nil {
			return err
		}
		if x == nil {
			continue
		}
		if x.up != nil {
			parent := m.programs[x.up.In]
			if parent == nil || parent.graphOf(x.up.Graph) == nil {
				return fmt.Errorf("the sub-graph %q goes on, and the new definition does not have it", x.up.Graph)
			}
			m.programs[id] = parent.graphOf(x.up.Graph)
		}
		if err := m.graph(x, m.programs[id]); err != nil {
			return err
		}
	}
	return nil
}

// node maps a node.
func (m *migration) node(x *instance, to *program, id string) (*node, error) {
	target := m.target(x, id)
	n := to.nodes[target]
	if n == nil {
		return nil, fmt.Errorf("the node %q is in use, and the new definition has no %q; map it to one that it has", x.prefix()+id, target)
	}
	return n, nil
}

// target is a node's id in the new definition.
func (m *migration) target(x *instance, id string) string {
	name := x.prefix() + id
	t, ok := m.nodes[name]
	if !ok {
		return id
	}
	m.used[name] = true
	return strings.TrimPrefix(t, x.prefix())
}

func (m *migration) graph(x *instance, to *program) error {
	cfg, err := m.configuration(x, to)
	if err != nil {
		return err
	}
	if err := m.records(x, to); err != nil {
		return err
	}
	at, err := to.chart.Save(cfg)
	if err != nil {
		return err
	}
	if _, err := to.chart.Restore(at); err != nil {
		return fmt.Errorf("the nodes that would be active do not fit together in the new definition: %w", err)
	}
	m.st.s.setRaw(x.key("at"), at)
	return m.variables(x, &instance{st: m.st, id: x.id, p: to, cfg: cfg, up: x.up})
}

// configuration maps where the graph stands.
func (m *migration) configuration(x *instance, to *program) (*chart.Configuration, error) {
	var at struct {
		Active  []string            `json:"active"`
		History map[string][]string `json:"history,omitempty"`
		Ended   bool                `json:"ended,omitempty"`
	}
	if _, err := m.st.s.get(x.key("at"), &at); err != nil {
		return nil, err
	}
	seen := map[string]string{}
	for i, id := range at.Active {
		n, err := m.node(x, to, id)
		if err != nil {
			return nil, err
		}
		if before, ok := seen[n.ID]; ok {
			return nil, fmt.Errorf("%q and %q are both active, and both would be %q: that is ambiguous", before, id, n.ID)
		}
		if !n.n.Atomic() {
			return nil, fmt.Errorf("%q would be %q, which has nodes in it: which of them is ambiguous; map it to one of those", id, n.ID)
		}
		if was := x.p.nodes[id]; was.kind != n.kind || was.Tool != n.Tool || was.Agent != n.Agent || was.Graph != n.Graph || m.target(x, was.Compensate) != n.Compensate {
			return nil, fmt.Errorf("%q goes on (%s), and %q does something else; map it to a node that does the same", id, was.does(), n.ID)
		}
		seen[n.ID], at.Active[i] = id, n.ID
	}
	history := map[string][]string{}
	for h, list := range at.History {
		n, err := m.node(x, to, h)
		if err != nil {
			return nil, err
		}
		for _, id := range list {
			was, err := m.node(x, to, id)
			if err != nil {
				return nil, err
			}
			history[n.ID] = append(history[n.ID], was.ID)
		}
	}
	at.History = history
	raw, err := json.Marshal(at)
	if err != nil {
		return nil, err
	}
	return to.chart.Restore(raw)
}

// does says what a node does, for people.
func (n *node) does() string {
	switch n.kind {
	case actNone:
		return "a state"
	case actTool:
		return "tool " + n.Tool
	case actAgent:
		return "agent " + n.Agent
	}
	return string(n.kind)
}

// records maps what goes on.
func (m *migration) records(x *instance, to *program) error {
	list, err := m.st.records(x, "")
	if err != nil {
		return err
	}
	for _, num := range list {
		r := m.st.acts[num]
		if r.Node == "" {
			continue
		}
		was := x.p.nodes[r.Node]
		n, err := m.node(x, to, r.Node)
		if err != nil {
			return err
		}
		changed := *r
		changed.Node = n.ID
		switch {
		case r.Kind == recAfter:
			e := sameTimer(was, n, r.Edge)
			if e == nil {
				return fmt.Errorf("%q has %d edges with after, and %q has %d, none with the id %q: which timer is whose is ambiguous; give the edge that id", r.Node, len(was.afters), n.ID, len(n.afters), r.Edge)
			}
			changed.Edge = e.ID
		case r.Kind != n.kind && r.Kind != recInvoke:
			return fmt.Errorf("%q goes on (%s), and %q is %s", r.Node, was.does(), n.ID, n.does())
		case r.Kind == actAsk && !n.takes(was.Ask.Choices):
			return fmt.Errorf("%q waits for an answer, which is one of %s, and %q has no edge for each of them; answer it first, or keep its choices", r.Node, strings.Join(was.Ask.Choices, ", "), n.ID)
		case (was.each == nil) != (n.each == nil):
			return fmt.Errorf("%q goes on, and only one of the definitions does it for each item of a list", r.Node)
		}
		if err := m.st.s.set("a/"+num, &changed); err != nil {
			return err
		}
	}
	m.over(x, to, list)
	return m.plans(x, to)
}

// over notes the timers of active nodes that are over: they are not set again.
func (m *migration) over(x *instance, to *program, open []string) {
	for _, c := range x.p.chart.ActiveNodes(x.cfg) {
		was := c.Tag.(*node)
		n := to.nodes[m.target(x, was.ID)]
		for _, e := range was.afters {
			if n == nil || slices.ContainsFunc(open, func(num string) bool { return m.st.acts[num].Edge == e.ID }) {
				continue
			}
			if same := sameTimer(was, n, e.ID); same != nil {
				m.lapsed = append(m.lapsed, x.id+"|"+same.ID)
			}
		}
	}
}

// takes reports whether an edge of the node, or of those around it, reacts to each of
// these choices. One without choices ends with done, as any activity.
func (n *node) takes(choices []string) bool {
	return !slices.ContainsFunc(choices, func(c string) bool { return !n.reacts("done." + c) })
}

// reacts reports whether an edge of the node, or of those around it, is on an event of it.
func (n *node) reacts(event string) bool {
	for at := n.n; at != nil; at = at.Parent() {
		if slices.ContainsFunc(at.Edges, func(e *chart.Edge) bool {
			return slices.ContainsFunc(e.Events, func(d string) bool { return matchesEvent(d, event) })
		}) {
			return true
		}
	}
	return false
}

// sameTimer finds the edge with the same id, or at the same place among as many.
func sameTimer(was, n *node, id string) *edge {
	for _, e := range n.afters {
		if e.ID == id {
			return e
		}
	}
	i := slices.IndexFunc(was.afters, func(e *edge) bool { return e.ID == id })
	if i < 0 || len(was.afters) != len(n.afters) {
		return nil
	}
	return n.afters[i]
}

// plans maps what the models of planner nodes have chosen.
func (m *migration) plans(x *instance, to *program) error {
	for _, k := range m.st.s.keys(x.key("p/")) {
		id, rest, _ := strings.Cut(strings.TrimPrefix(k, x.key("p/")), "/")
		n, err := m.node(x, to, id)
		if err != nil {
			return err
		}
		if n.ID == id {
			continue
		}
		if rest != "" {
			rest = "/" + rest
		}
		m.st.s.setRaw(x.key("p/"+n.ID+rest), m.st.s.raw(k))
		m.st.s.del(k)
	}
	return nil
}

// variables drops those that are gone, and gives new ones their first values. One that
// stays has to fit what it is now.
func (m *migration) variables(x, becomes *instance) error {
	declared := map[string]bool{}
	for _, d := range becomes.p.data {
		declared[d.ID] = true
		if v, ok := x.Get(d.ID); ok {
			if err := d.fits(v); d.loc == nil && err != nil {
				return fmt.Errorf("%w; in the new definition, give it a type that fits, or another name", err)
			}
			continue
		}
		v, err := becomes.eval(d.value)
		if err != nil {
			return fmt.Errorf("the first value of the new variable %q cannot be evaluated: %w", d.ID, err)
		}
		if err := becomes.assign(setting{name: d.ID, loc: d.loc}, v); err != nil {
			return err
		}
	}
	if becomes.sess != nil {
		if err := becomes.sess.End(); err != nil {
			return err
		}
	}
	for _, k := range m.st.s.keys(x.key("v/")) {
		if !declared[strings.TrimPrefix(k, x.key("v/"))] {
			m.st.s.del(k)
		}
	}
	return errors.Join(x.fatal, becomes.fatal)
}

// ledger maps the nodes and scopes of what can be undone, or was.
func (m *migration) ledger() error {
	for _, k := range m.st.s.keys("u/") {
		var e entry
		if _, err := m.st.s.get(k, &e); err != nil {
			return err
		}
		_, before, _ := strings.Cut(e.Scope[0], "|")
		if err := m.scope(e.Scope, e.State == ""); err != nil {
			return err
		}
		if _, now, _ := strings.Cut(e.Scope[0], "|"); now != before { // an item has /I behind it
			e.Node = now + strings.TrimPrefix(e.Node, before)
		}
		if err := m.st.s.set(k, e); err != nil {
			return err
		}
	}
	for _, k := range m.st.s.keys("l/") {
		var l late
		if _, err := m.st.s.get(k, &l); err != nil {
			return err
		}
		if err := m.late(&l); err != nil {
			return err
		}
		if err := m.st.s.set(k, l); err != nil {
			return err
		}
	}
	return nil
}

// scope maps where something was done. Of what can be undone it has to be there.
func (m *migration) scope(scope []string, armed bool) error {
	for i, s := range scope {
		id, node, _ := strings.Cut(s, "|")
		x, err := m.st.open(id)
		if err != nil {
			return err
		}
		if x == nil || node == "*" {
			continue
		}
		target := m.target(x, node)
		if armed && m.programs[id].nodes[target] == nil {
			return fmt.Errorf("what was done in %q can be undone, and the new definition has no %q; map it to one that it has", x.prefix()+node, target)
		}
		scope[i] = id + "|" + target
	}
	return nil
}

// late maps a call that may have taken place: what undoes it has to be there.
func (m *migration) late(l *late) error {
	if err := m.scope(l.Scope, true); err != nil || l.Undoing != "" {
		return err
	}
	x, err := m.st.graphOfLate(l)
	if err != nil {
		return err
	}
	to := m.to.root
	for _, name := range l.Graphs {
		if to = to.graphOf(name); to == nil {
			return fmt.Errorf("a call of the sub-graph %q may have taken place, and the new definition does not have it", name)
		}
	}
	n, err := m.node(x, to, l.Node)
	if err != nil {
		return err
	}
	if n.undo == nil || (n.each == nil) != (l.At < 0) {
		return fmt.Errorf("a call of %q may have taken place, and %q does not undo it; map it to a node that does", l.Node, n.ID)
	}
	l.Node = n.ID
	return nil
}

// rearm sets the timers that another definition has added to nodes that are active.
func (st *step) rearm() error {
	st.run.Version = st.g.hash
	var lapsed []string
	if _, err := st.s.get("lapsed", &lapsed); err != nil {
		return err
	}
	st.s.del("lapsed")
	graphs, err := st.listening()
	if err != nil {
		return err
	}
	for _, x := range graphs {
		for _, n := range x.p.chart.ActiveNodes(x.cfg) {
			node := n.Tag.(*node)
			list, err := st.records(x, node.ID)
			if err != nil {
				return err
			}
			for _, e := range node.afters {
				if slices.Contains(lapsed, x.id+"|"+e.ID) || slices.ContainsFunc(list, func(num string) bool { return st.acts[num].Edge == e.ID }) {
					continue
				}
				if err := x.arm(node, e); err != nil {
					return fmt.Errorf("after of %s: %w", e.ID, err)
				}
			}
		}
	}
	return nil
}
