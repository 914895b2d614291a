package graph

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// An Enabled is something that may happen now.
type Enabled struct {
	Kind   string          `json:"kind"`             // event, answer, repair, choice or condition
	Name   string          `json:"name"`             // of the event; the choice of an answer, "" for a free one; the node that a model may choose; the expression of a condition
	Node   string          `json:"node"`             // whose edge, ask or choice it is; that of a sub-graph as GRAPH:ID
	Ref    string          `json:"ref,omitempty"`    // of an answer or repair: of the action that asks
	Schema json.RawMessage `json:"schema,omitempty"` // of the event's data, or of the answer's value; nil takes anything
	Note   string          `json:"note,omitempty"`   // what it is for
}

// Enabled says what may happen now: which events the graph reacts to, what people may
// answer, what the models of planner nodes may choose, and which conditions it waits
// for that do not hold. keys are what is saved. A graph that has not begun, or has
// ended, has nothing enabled.
func (g *Graph) Enabled(keys map[string]json.RawMessage, facts Facts) ([]Enabled, error) {
	st := g.look(keys, facts)
	graphs, err := st.listening()
	if err != nil {
		return nil, err
	}
	var out []Enabled
	for _, x := range graphs {
		if x.cfg.Ended {
			continue
		}
		list, err := x.enabled()
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, st.bad
}

// At returns the ids of the innermost nodes that are active, as in [Step]. keys are what
// is saved.
func (g *Graph) At(keys map[string]json.RawMessage) []string { return g.look(keys, Facts{}).where() }

// look opens what is saved.
func (g *Graph) look(keys map[string]json.RawMessage, facts Facts) *step {
	return &step{
		g: g, s: &saved{base: keys, patch: map[string]json.RawMessage{}}, facts: facts,
		out: &Step{}, insts: map[string]*instance{}, acts: map[string]*record{},
	}
}

func (x *instance) enabled() ([]Enabled, error) {
	var out []Enabled
	for _, n := range x.p.chart.ActiveNodes(x.cfg) {
		node := n.Tag.(*node)
		events, err := x.events(node)
		if err != nil {
			return nil, err
		}
		out = append(out, events...)
		out = append(out, x.conditions(node)...)
		asked, err := x.asked(node)
		if err != nil {
			return nil, err
		}
		out = append(out, asked...)
		if node.plan == nil {
			continue
		}
		options, err := x.options(node)
		if err != nil {
			return nil, err
		}
		for _, o := range options {
			out = append(out, Enabled{Kind: "choice", Name: o.node.ID, Node: x.prefix() + node.ID, Note: o.node.Note})
		}
	}
	return out, x.fatal
}

// events are those from outside that an edge of the node reacts to, or that it waits for.
func (x *instance) events(n *node) ([]Enabled, error) {
	var out []Enabled
	for _, ce := range n.n.Edges {
		e, ok := ce.Tag.(*edge)
		if !ok || e.After != nil {
			continue
		}
		for _, d := range ce.Events {
			name := strings.TrimSuffix(strings.TrimSuffix(d, "*"), ".")
			if name == "" || isInner(name) || slices.ContainsFunc(out, func(o Enabled) bool { return o.Name == name }) {
				continue
			}
			if e.guard != nil && !x.may(e.guard, name) {
				continue
			}
			out = append(out, Enabled{Kind: "event", Name: name, Node: x.prefix() + n.ID, Schema: x.p.def.Events[name], Note: e.Note})
		}
	}
	waits, err := x.awaits(n)
	if waits {
		out = append(out, Enabled{Kind: "event", Name: n.Wait.Signal, Node: x.prefix() + n.ID, Schema: x.p.def.Events[n.Wait.Signal], Note: n.Note})
	}
	return out, err
}

// awaits reports whether a node waits for a signal: one that has failed does not, nor one
// that will be tried again.
func (x *instance) awaits(n *node) (bool, error) {
	if n.Wait == nil {
		return false, nil
	}
	list, err := x.st.records(x, n.ID)
	return slices.ContainsFunc(list, func(num string) bool {
		r := x.st.acts[num]
		return r.Kind == actWait && !r.Asked && len(x.st.begun(n, num, r)) > 0
	}), err
}

// conditions are those by which the node would be left at once.
func (x *instance) conditions(n *node) []Enabled {
	var out []Enabled
	for _, ce := range n.n.Edges {
		if e, ok := ce.Tag.(*edge); ok && e.After == nil && len(ce.Events) == 0 && e.guard != nil {
			out = append(out, Enabled{Kind: "condition", Name: e.If, Node: x.prefix() + n.ID, Note: e.Note})
		}
	}
	return out
}

// may reports whether a guard holds or depends on the event's data.
func (x *instance) may(g *guard, name string) bool {
	x.cur = &occurrence{Name: name, Type: "external"}
	holds, err := x.holds(g)
	return holds || err != nil
}

// isInner reports whether an event comes from the graph itself.
func isInner(name string) bool {
	for _, own := range []string{"done", "error", "after"} {
		if name == own || strings.HasPrefix(name, own+".") {
			return true
		}
	}
	return false
}

// asked is what people may answer at a node.
func (x *instance) asked(n *node) ([]Enabled, error) {
	list, err := x.st.records(x, n.ID)
	if err != nil {
		return nil, err
	}
	var out []Enabled
	for _, num := range list {
		r := x.st.acts[num]
		switch {
		case r.Asked:
			choices := []string{agent.RetryIt, agent.Skip}
			for _, e := range x.p.routes(n) {
				choices = append(choices, routePrefix+e.ID)
			}
			for _, c := range choices {
				out = append(out, Enabled{Kind: "repair", Name: c, Node: x.prefix() + n.title(), Ref: num + "/!", Note: r.Failed.Code + ": " + r.Failed.Message})
			}
		case r.Kind == actAsk:
			for _, ref := range x.st.begun(n, num, r) {
				out = append(out, x.answers(n, ref)...)
			}
		}
	}
	return out, nil
}

// answers are those that an ask takes.
func (x *instance) answers(n *node, ref string) []Enabled {
	e := Enabled{Kind: "answer", Node: x.prefix() + n.ID, Ref: ref, Schema: n.Ask.Schema, Note: n.Note}
	if len(n.Ask.Choices) == 0 {
		return []Enabled{e}
	}
	var out []Enabled
	for _, c := range n.Ask.Choices {
		e.Name = c
		out = append(out, e)
	}
	return out
}

// begun are the Refs of what an activity has open, an ask or a wait: of one with Each,
// those of its items.
func (st *step) begun(n *node, num string, r *record) []string {
	if n.each == nil {
		if r.Waits {
			return nil
		}
		return []string{num}
	}
	var refs []string
	for i := range r.Total {
		it, err := st.item(num, i)
		st.note(err)
		if it != nil && it.OK == nil && it.Err == nil && !it.Waits {
			refs = append(refs, refOf(num, i))
		}
	}
	return refs
}
