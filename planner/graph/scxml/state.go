package scxml

import (
	"slices"
	"strings"

	"github.com/fermata-run/fermata/planner/graph"
)

// states reads the states that stand in an element, each with all below it.
func (l *loader) states(e *element, in string) {
	for _, k := range e.kids {
		if isState(k) {
			l.state(k, in)
		}
	}
}

func (l *loader) state(e *element, in string) {
	n := graph.Node{ID: l.named[e], In: in}
	switch e.name.Local {
	case "history":
		n.History, n.Initial = l.history(e)
	case "final":
		n.Final = "done"
		if data := own(e, "donedata"); len(data) > 0 {
			n.Extra = &graph.Extra{Done: l.payload(data[0])}
			l.single(data, "donedata")
		}
	case "parallel":
		n.Parallel = true
		if !slices.ContainsFunc(e.kids, func(k *element) bool { return isState(k) && k.name.Local != "history" }) {
			l.refuse(e.at(), "parallel", "the parallel %s has no states in it, and its regions are expected", n.ID)
		}
	default:
		n.Initial = l.initial(e)
	}
	n.Entry, n.Exit = l.blocks(own(e, "onentry")), l.blocks(own(e, "onexit"))
	for _, k := range own(e, "invoke") {
		if i := l.invoke(k); i != nil {
			if n.Extra == nil {
				n.Extra = &graph.Extra{}
			}
			n.Extra.Invokes = append(n.Extra.Invokes, *i)
		}
	}
	l.def.Nodes = append(l.def.Nodes, n)
	for _, k := range own(e, "transition") {
		if n.History == "" {
			l.def.Edges = append(l.def.Edges, l.transition(k, n.ID))
		}
	}
	l.variables(e, n.ID)
	l.states(e, n.ID)
}

// single refuses all but the first of elements of which there is one at most.
func (l *loader) single(found []*element, name string) {
	for _, k := range found[min(1, len(found)):] {
		l.refuse(k.at(), "element", "there is another <%s> before this one, and one is right", name)
	}
}

// history reads what is gone to when nothing is remembered.
func (l *loader) history(e *element) (kind string, initial *graph.Edge) {
	switch kind = e.get("type"); kind {
	case "":
		kind = "shallow"
	case "shallow", "deep":
	default:
		l.refuse(e.at(), "attribute", "the history's type is %q, and shallow or deep is expected", kind)
	}
	edges := own(e, "transition")
	l.single(edges, "transition")
	if len(edges) == 0 {
		l.refuse(e.at(), "history", "the history %s has no transition, which says where to go when nothing is remembered", l.named[e])
		return kind, nil
	}
	return kind, l.start(edges[0])
}

// initial reads where a compound state begins; nil is its first state.
func (l *loader) initial(e *element) *graph.Edge {
	targets, given := e.attr("initial")
	elements := own(e, "initial")
	l.single(elements, "initial")
	switch {
	case given && len(elements) > 0:
		l.refuse(elements[0].at(), "initial", "the state has an attribute initial, too, and one of both is right")
	case given:
		return &graph.Edge{To: l.targets(e, targets)}
	case len(elements) > 0:
		edges := own(elements[0], "transition")
		l.single(edges, "transition")
		if len(edges) == 0 {
			l.refuse(elements[0].at(), "initial", "an <initial> holds a transition, and this one holds none")
			return nil
		}
		return l.start(edges[0])
	}
	return nil
}

// start reads a transition that has a target and no condition.
func (l *loader) start(e *element) *graph.Edge {
	for _, name := range []string{"event", "cond"} {
		if _, given := e.attr(name); given {
			l.refuse(e.at(), "attribute", "the transition of an initial or a history has no %s", name)
		}
	}
	return &graph.Edge{To: l.targets(e, e.get("target")), Do: l.block(e)}
}

// targets reads the ids of states that are gone to.
func (l *loader) targets(e *element, list string) []string {
	ids := strings.Fields(list)
	if len(ids) == 0 {
		l.refuse(e.at(), "target", "the target is empty, and ids of states are expected")
	}
	for _, id := range ids {
		if l.ids[id] == nil {
			l.refuse(e.at(), "target", "there is no state %q to go to", id)
		}
	}
	return ids
}

// transition reads one that leaves a state.
func (l *loader) transition(e *element, from string) graph.Edge {
	edge := graph.Edge{From: from, On: []string{"always"}}
	events, hasEvents := e.attr("event")
	if hasEvents {
		edge.On = nil
		for _, d := range strings.Fields(events) {
			edge.On = append(edge.On, descriptor(d))
		}
		if len(edge.On) == 0 {
			l.refuse(e.at(), "attribute", "the transition's event is empty; leave it out if it waits for none")
		}
	}
	if targets, given := e.attr("target"); given {
		edge.To = l.targets(e, targets)
	}
	cond, hasCond := e.attr("cond")
	if hasCond {
		edge.If = l.cond(e, cond)
	}
	if !hasEvents && !hasCond && edge.To == nil && !l.lax {
		l.refuse(e.at(), "transition", "the transition has neither event nor cond nor target, and would be taken for ever")
	}
	switch kind := e.get("type"); kind {
	case "internal":
		edge.Internal = edge.To != nil
	case "", "external":
	default:
		l.refuse(e.at(), "attribute", "the transition's type is %q, and internal or external is expected", kind)
	}
	edge.Do = l.block(e)
	return edge
}

// descriptor returns an event descriptor that no word of the form's is mistaken for:
// a trailing ".*" changes nothing of what it matches.
func descriptor(d string) string {
	switch strings.TrimSuffix(strings.TrimSuffix(d, "*"), ".") {
	case "":
		return "*"
	case "always", "done":
		return strings.TrimRight(d, ".*") + ".*"
	}
	return d
}
