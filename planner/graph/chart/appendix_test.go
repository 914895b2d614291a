package chart_test

import (
	"fmt"
	"slices"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// appendix is the algorithm of appendix D of the SCXML recommendation, as it stands
// there: sets of states, and nothing done to be fast. The kernel is held against it.
// It differs in three things: a parallel state in a parallel state is seen to be done, as
// 3.4 says; and the domain of a transition is asked for once, since the histories that
// are left change what it would be on entry, which can lead to a configuration that is
// none; and what is active around that which a history stands for is not entered again,
// for the same reason.
type appendix struct {
	nodes   []*chart.Node // in document order
	host    *host
	in      map[*chart.Node]bool
	values  map[*chart.Node][]*chart.Node // of histories
	queue   []*chart.Event
	invoke  map[*chart.Node]bool
	running bool
	event   *chart.Event
	steps   int
}

// errSteps ends what does not end by itself.
var errSteps = fmt.Errorf("more than %d microsteps", mostSteps)

const mostSteps = 300

func newAppendix(c *chart.Chart, h *host) *appendix {
	a := &appendix{nodes: c.Nodes(), host: h, in: map[*chart.Node]bool{}, values: map[*chart.Node][]*chart.Node{}, invoke: map[*chart.Node]bool{}, running: true}
	h.in = func(n *chart.Node) bool { return a.in[n] }
	return a
}

func (a *appendix) start() error {
	a.enterStates([]*chart.Edge{a.nodes[0].Initial}, a.nodes[:1])
	return a.macrostep()
}

func (a *appendix) step(e *chart.Event) error {
	if !a.running {
		return nil
	}
	a.event = e
	if t := a.select_(e); len(t) > 0 {
		a.microstep(t)
	}
	return a.macrostep()
}

func (a *appendix) macrostep() error {
	for a.running {
		enabled := a.select_(nil)
		if len(enabled) == 0 {
			if len(a.queue) == 0 {
				if len(a.invoke) == 0 {
					return nil
				}
				for _, s := range a.sorted(a.invoke) {
					_ = a.host.Invoke(s, a.event, a.raise)
				}
				a.invoke = map[*chart.Node]bool{}
				continue
			}
			a.event = a.queue[0]
			a.queue = a.queue[1:]
			enabled = a.select_(a.event)
		}
		if a.steps++; a.steps > mostSteps {
			return errSteps
		}
		if len(enabled) > 0 {
			a.microstep(enabled)
		}
	}
	ended := a.sorted(a.in)
	for _, s := range slices.Backward(ended) {
		a.leave(s)
	}
	for _, s := range ended {
		a.in[s] = true // the kernel keeps where it has ended
	}
	return nil
}

func (a *appendix) raise(e *chart.Event) { a.queue = append(a.queue, e) }

func (a *appendix) sorted(set map[*chart.Node]bool) []*chart.Node {
	var list []*chart.Node
	for _, n := range a.nodes {
		if set[n] {
			list = append(list, n)
		}
	}
	return list
}

func isHistory(n *chart.Node) bool { return n.Kind == chart.Shallow || n.Kind == chart.Deep }

func states(n *chart.Node) []*chart.Node {
	return slices.DeleteFunc(slices.Clone(n.Children), isHistory)
}

func isCompound(n *chart.Node) bool { return n.Kind == chart.State && len(states(n)) > 0 }

// ancestors are the proper ancestors of n up to, and without, below.
func ancestors(n, below *chart.Node) []*chart.Node {
	var list []*chart.Node
	for p := n.Parent(); p != nil && p != below; p = p.Parent() {
		list = append(list, p)
	}
	return list
}

func (a *appendix) select_(e *chart.Event) []*chart.Edge {
	var enabled []*chart.Edge
	for _, s := range a.sorted(a.in) {
		if !s.Atomic() {
			continue
		}
	search:
		for _, x := range append([]*chart.Node{s}, ancestors(s, nil)...) {
			for _, t := range x.Edges {
				if !wants(t, e) || t.Guard != nil && !a.host.holds(t.Guard) {
					continue
				}
				if !slices.Contains(enabled, t) {
					enabled = append(enabled, t)
				}
				break search
			}
		}
	}
	return a.withoutConflicts(enabled)
}

func wants(t *chart.Edge, e *chart.Event) bool {
	if e == nil {
		return len(t.Events) == 0
	}
	return slices.ContainsFunc(t.Events, func(d string) bool { return chart.Matches(d, e.Name) })
}

func (a *appendix) withoutConflicts(enabled []*chart.Edge) []*chart.Edge {
	var filtered []*chart.Edge
	for _, t1 := range enabled {
		preempted := false
		var remove []*chart.Edge
		for _, t2 := range filtered {
			one, two := a.exitSet([]*chart.Edge{t1}), a.exitSet([]*chart.Edge{t2})
			if !slices.ContainsFunc(a.sorted(one), func(n *chart.Node) bool { return two[n] }) {
				continue
			}
			if t1.Source().Within(t2.Source()) {
				remove = append(remove, t2)
			} else {
				preempted = true
				break
			}
		}
		if !preempted {
			filtered = slices.DeleteFunc(filtered, func(t *chart.Edge) bool { return slices.Contains(remove, t) })
			filtered = append(filtered, t1)
		}
	}
	return filtered
}

func (a *appendix) exitSet(enabled []*chart.Edge) map[*chart.Node]bool {
	exit := map[*chart.Node]bool{}
	for _, t := range enabled {
		domain := a.domain(t)
		for s := range a.in {
			if domain != nil && s.Within(domain) {
				exit[s] = true
			}
		}
	}
	return exit
}

func (a *appendix) domain(t *chart.Edge) *chart.Node {
	targets := a.effective(t.Targets)
	below := func(n *chart.Node) bool {
		return !slices.ContainsFunc(targets, func(s *chart.Node) bool { return !s.Within(n) })
	}
	switch {
	case len(targets) == 0:
		return nil
	case t.Internal && isCompound(t.Source()) && below(t.Source()):
		return t.Source()
	}
	for _, p := range ancestors(t.Source(), nil) {
		if (isCompound(p) || p.Parent() == nil) && below(p) {
			return p
		}
	}
	return a.nodes[0]
}

func (a *appendix) effective(targets []*chart.Node) []*chart.Node {
	var list []*chart.Node
	for _, s := range targets {
		switch {
		case !isHistory(s):
			list = append(list, s)
		case a.values[s] != nil:
			list = append(list, a.values[s]...)
		default:
			list = append(list, a.effective(s.Initial.Targets)...)
		}
	}
	return list
}

func (a *appendix) microstep(enabled []*chart.Edge) {
	exit := a.sorted(a.exitSet(enabled))
	var domains []*chart.Node
	for _, t := range enabled {
		domains = append(domains, a.domain(t))
	}
	for _, s := range slices.Backward(exit) {
		delete(a.invoke, s)
	}
	for _, s := range slices.Backward(exit) {
		for _, h := range s.Children {
			if isHistory(h) {
				a.values[h] = slices.DeleteFunc(a.sorted(a.in), func(n *chart.Node) bool {
					if h.Kind == chart.Deep {
						return !n.Atomic() || !n.Within(s)
					}
					return n.Parent() != s
				})
			}
		}
	}
	for _, s := range slices.Backward(exit) {
		a.leave(s)
	}
	for _, t := range enabled {
		a.run(t.Content)
	}
	a.enterStates(enabled, domains)
}

func (a *appendix) leave(s *chart.Node) {
	a.run(s.Exit)
	_ = a.host.Left(s, a.event)
	delete(a.in, s)
}

func (a *appendix) run(contents []any) {
	for _, c := range contents {
		_ = a.host.Run(c, a.event, a.raise)
	}
}

// entering is what a microstep enters.
type entering struct {
	states, byDefault map[*chart.Node]bool
	histories         map[*chart.Node][]any
}

func (a *appendix) enterStates(enabled []*chart.Edge, domains []*chart.Node) {
	x := &entering{map[*chart.Node]bool{}, map[*chart.Node]bool{}, map[*chart.Node][]any{}}
	for i, t := range enabled {
		for _, s := range t.Targets {
			a.addDescendants(s, x)
		}
		for _, s := range a.effective(t.Targets) {
			a.addAncestors(s, domains[i], x)
		}
	}
	for _, s := range a.sorted(x.states) {
		a.enter(s, x)
	}
}

func (a *appendix) enter(s *chart.Node, x *entering) {
	a.in[s] = true
	if s.Invokes {
		a.invoke[s] = true
	}
	_ = a.host.Entered(s, a.event, a.raise)
	a.run(s.Entry)
	if x.byDefault[s] {
		a.run(s.Initial.Content)
	}
	a.run(x.histories[s])
	if s.Kind != chart.Final {
		return
	}
	parent := s.Parent()
	if parent.Parent() == nil {
		a.running = false
		return
	}
	a.raise(a.host.Done(parent, s, a.event, a.raise))
	for g := parent.Parent(); g != nil && g.Kind == chart.Parallel && a.inFinal(g); g = g.Parent() {
		a.raise(a.host.Done(g, nil, a.event, a.raise))
	}
}

func (a *appendix) inFinal(s *chart.Node) bool {
	switch {
	case s.Kind == chart.Parallel:
		return !slices.ContainsFunc(states(s), func(k *chart.Node) bool { return !a.inFinal(k) })
	case isCompound(s):
		return slices.ContainsFunc(states(s), func(k *chart.Node) bool { return k.Kind == chart.Final && a.in[k] })
	}
	return false
}

func (a *appendix) addDescendants(s *chart.Node, x *entering) {
	if isHistory(s) {
		targets := a.values[s]
		if targets == nil {
			targets = s.Initial.Targets
			x.histories[s.Parent()] = s.Initial.Content
		}
		a.addAll(targets, s.Parent(), x)
		return
	}
	x.states[s] = true
	if isCompound(s) {
		x.byDefault[s] = true
		a.addAll(s.Initial.Targets, s, x)
	}
	if s.Kind == chart.Parallel {
		a.addRegions(s, x)
	}
}

func (a *appendix) addAll(targets []*chart.Node, below *chart.Node, x *entering) {
	for _, t := range targets {
		a.addDescendants(t, x)
	}
	for _, t := range targets {
		a.addAncestors(t, below, x)
	}
}

func (a *appendix) addRegions(s *chart.Node, x *entering) {
	for _, k := range states(s) {
		if !slices.ContainsFunc(a.sorted(x.states), func(n *chart.Node) bool { return n.Within(k) }) {
			a.addDescendants(k, x)
		}
	}
}

func (a *appendix) addAncestors(s, below *chart.Node, x *entering) {
	for _, p := range ancestors(s, below) {
		if p.Parent() == nil || a.in[p] {
			break // the document itself is not entered, nor what was not left
		}
		x.states[p] = true
		if p.Kind == chart.Parallel {
			a.addRegions(p, x)
		}
	}
}
