package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph/chart"
)

// routePrefix begins the choices of a repair that take an edge.
const routePrefix = "route:"

// maxRoutes is how many edges a repair offers at most.
const maxRoutes = 30

// unhandled parks a node whose activity has failed, and whose error nothing handles:
// a person is asked what is to be done.
func (st *step) unhandled(x *instance, o *occurrence) {
	r, err := st.record(o.act)
	if st.note(err); r == nil || r.Asked {
		return
	}
	r.Asked, r.dirty = true, true
	n := x.p.nodes[r.Node]
	ask := &agent.Ask{
		Kind:    agent.AskRepair,
		Prompt:  fmt.Sprintf("%s of graph %s has failed, and nothing handles it: %s: %s", n.title(), x.p.def.Graph, o.failure.Code, o.failure.Message),
		Choices: []string{agent.RetryIt, agent.Skip},
	}
	value := "Value as its result"
	if n.chooses() {
		value = "Value as what was chosen, one of " + strings.Join(n.Ask.Choices, ", ")
	}
	if n.undo != nil && !r.Armed {
		value += ", and leaves its undo out"
	}
	if r.Result != nil {
		ask.Prompt += fmt.Sprintf(". retry evaluates that once more, and does not begin it again; skip goes on with %s; a route takes that edge", value)
	} else if n.kind == actCompensate {
		armed, _, err := st.ledger(x.id + "|" + n.Compensate)
		st.note(err)
		ask.Prompt += fmt.Sprintf(". What remains to be undone, the last first: %s. retry tries again; skip says that you have undone this one by hand", strings.Join(st.nodesOf(armed), ", "))
	} else {
		ask.Prompt += fmt.Sprintf(". retry begins it again; skip goes on with %s; a route takes that edge", value)
	}
	for _, e := range x.p.routes(n) {
		ask.Choices = append(ask.Choices, routePrefix+e.ID)
	}
	st.act(agent.Action{Kind: agent.ActAsk, Ask: ask, Ref: o.act + "/!"})
}

// title names a node for people.
func (n *node) title() string {
	if n.planner != nil {
		return n.planner.ID
	}
	return n.ID
}

func (st *step) nodesOf(armed []string) []string {
	var names []string
	for _, k := range slices.Backward(armed) {
		var e entry
		_, err := st.s.get(k, &e)
		st.note(err)
		names = append(names, e.Node)
	}
	return names
}

// routes are the edges that lead away from a node, its own first.
func (p *program) routes(n *node) []*edge {
	var routes []*edge
	for c := n.n; c != nil; c = c.Parent() {
		for _, e := range c.Edges {
			if x, ok := e.Tag.(*edge); ok && len(e.Targets) > 0 && len(routes) < maxRoutes {
				routes = append(routes, x)
			}
		}
	}
	return routes
}

// repaired does what a person has decided about a failed node.
func (st *step) repaired(x *instance, num string, r *record, c *agent.Closed) error {
	if !r.Asked || c.Answer == nil {
		return nil
	}
	n := x.p.nodes[r.Node]
	choice := c.Answer.Choice
	r.Asked, r.dirty = false, true
	if id, ok := strings.CutPrefix(choice, routePrefix); ok {
		if e := x.p.edges[id]; e != nil {
			return st.route(x, n, r, e)
		}
		// The definition has changed since it was asked: it is asked with what there is now.
		st.unhandled(x, &occurrence{act: num, failure: r.Failed})
		return nil
	}
	if n.kind == actCompensate && r.Result == nil {
		return st.repairUndo(x, n, num, r, choice)
	}
	if choice == agent.Skip {
		return st.skip(x, n, num, r, c.Answer)
	}
	return st.again(x, n, num, r)
}

// skip has a failed activity count as done, with what a person gives as its result. Where
// only choices lead on it has to be one of them.
func (st *step) skip(x *instance, n *node, num string, r *record, a *agent.Answer) error {
	result := outsideValue(a.Value)
	if n.kind == actChoose {
		return st.finishPlan(x, n, num, r, a.Value)
	}
	choice := ""
	if n.chooses() {
		if choice, result = n.chosen(result, a); choice == "" && !n.reacts("done") {
			st.unhandled(x, &occurrence{act: num, failure: r.Failed})
			return nil
		}
	}
	r.Armed = true // what was not done is not undone
	return st.complete(x, n, num, r, result, choice)
}

// chooses reports whether the end of an activity is one of the choices of an ask.
func (n *node) chooses() bool { return n.kind == actAsk && n.each == nil && len(n.Ask.Choices) > 0 }

// chosen is what a person has chosen in the stead of those who were asked: the choice
// alone, or with all that is the result of an ask. "" if it is none.
func (n *node) chosen(value any, a *agent.Answer) (choice string, result any) {
	result = value
	switch v := value.(type) {
	case string:
		choice, result = v, map[string]any{"choice": v, "value": nil, "note": a.Note, "by": a.By.ID}
	case map[string]any:
		choice, _ = v["choice"].(string)
	}
	if !slices.Contains(n.Ask.Choices, choice) {
		return "", value
	}
	return choice, result
}

// again begins a failed activity once more, under a new number: what is still on its
// way for the old one is not mistaken for the new one's.
func (st *step) again(x *instance, n *node, num string, r *record) error {
	if r.Result != nil { // it was done: only what follows from it was not
		var e ending
		if err := json.Unmarshal(r.Result, &e); err != nil {
			return err
		}
		result, err := decodeValue(e.Result)
		if err != nil {
			return err
		}
		r.Result, r.Failed = nil, nil
		return st.complete(x, n, num, r, result, e.Choice)
	}
	if n.kind == actChoose {
		if err := st.renewPlan(x, n.planner); err != nil {
			return err
		}
	}
	fresh := &record{In: r.In, Node: r.Node, Kind: r.Kind, Total: r.Total, Armed: r.Armed}
	to := st.add(fresh)
	if n.each != nil {
		st.move(num, to)
	}
	st.drop(x, num, r, false)
	within, err := x.durationOf(n.within, "within")
	if err != nil {
		return st.failLater(x, to, -1, err)
	}
	if within > 0 {
		fresh.Within = true
		st.wait(to+"/w", st.facts.Now.Add(within))
	}
	if n.each == nil {
		return st.launch(x, n, to, -1)
	}
	if !st.s.has("b/" + to) {
		return st.beginEach(x, n, to, fresh)
	}
	if armed, err := st.armAgain(x, n, to, fresh.Total); !armed || err != nil {
		return err
	}
	return st.advance(x, n, to)
}

// move gives the items of a list that have ended well to another number.
func (st *step) move(from, to string) {
	if raw := st.s.raw("b/" + from); raw != nil {
		st.s.setRaw("b/"+to, raw)
	}
	for _, k := range st.s.keys("b/" + from + "/") {
		if raw := st.s.raw(k); strings.HasPrefix(string(raw), itemOK) {
			st.s.setRaw("b/"+to+k[len("b/")+len(from):], raw)
		}
	}
}

// repairUndo goes on with a compensation.
func (st *step) repairUndo(x *instance, n *node, num string, r *record, choice string) error {
	r.Failed = nil
	if r.Undoing != "" {
		var e entry
		if _, err := st.s.get(r.Undoing, &e); err != nil {
			return err
		}
		if e.Try = 0; choice == agent.Skip {
			e.State = byHand
		}
		if err := st.s.set(r.Undoing, e); err != nil {
			return err
		}
		st.later(st.resume)
	}
	return st.undoNext(x, n, num)
}

// route takes an edge as if its event had come: it sees what has failed.
func (st *step) route(x *instance, n *node, r *record, e *edge) error {
	o := &occurrence{Name: "repair", Type: "platform", at: n, failure: r.Failed}
	x.cur = o
	if err := x.p.chart.Take(x.cfg, x, e.e, o.event()); err != nil {
		return err
	}
	return x.after()
}

var _ chart.Host = (*instance)(nil)
