package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// runGraph begins the sub-graph of a node.
func (st *step) runGraph(x *instance, n *node, num string, i int) error {
	input, err := x.eval(n.input)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if input != nil {
		if raw, err = encodeValue(input); err != nil {
			return err
		}
	}
	if p := x.p.graphOf(n.Graph); p != nil {
		if err := p.takes(raw); err != nil {
			return fmt.Errorf("input: it does not fit the graph %s: %w", n.Graph, err)
		}
	}
	child, err := st.child(x, up{In: x.id, Act: num, Item: i, Graph: n.Graph})
	if err != nil {
		return err
	}
	if input != nil {
		st.s.setRaw(child.key("in"), raw)
	}
	if i >= 0 {
		it, err := st.item(num, i)
		if err != nil || it == nil {
			return err
		}
		it.Child = child.id
		if err := st.setItem(num, i, it); err != nil {
			return err
		}
	} else {
		r := st.acts[num]
		r.Child, r.dirty = child.id, true
	}
	st.later(func() error {
		if child.gone {
			return nil
		}
		return child.start(nil)
	})
	return nil
}

// takes says why a graph cannot begin with this input; none is an empty object.
func (p *program) takes(input json.RawMessage) error {
	if len(p.def.Input) == 0 {
		return nil
	}
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	return validate(p.def.Input, input)
}

// child makes a sub-graph that has yet to start. Which graph an invocation runs may be
// known only now, so that nothing but these bounds keeps one from running itself.
func (st *step) child(x *instance, u up) (*instance, error) {
	p := x.p.graphOf(u.Graph)
	if p == nil {
		return nil, fmt.Errorf("there is no graph %q", u.Graph)
	}
	if deep := len(x.path()) + 1; deep > maxNesting {
		return nil, fmt.Errorf("the graph %q would run %d deep in others, and at most %d are taken: a graph that runs itself does not end", u.Graph, deep, maxNesting)
	}
	if u.Invoke != "" {
		if st.invoked++; st.invoked > maxInvoked {
			return nil, fmt.Errorf("the graph %q would be one more than the %d that may be invoked in one step: a graph that runs itself does not end", u.Graph, maxInvoked)
		}
	}
	c := &instance{st: st, id: "i" + st.number(), p: p, up: &u, cfg: &chart.Configuration{}}
	st.insts[c.id] = c
	return c, st.s.set(c.key("up"), u)
}

// stop ends a sub-graph whose result is not wanted any more: its active nodes are
// left, and so all is cancelled that they have going on.
func (st *step) stop(id string) {
	c, err := st.open(id)
	if st.note(err); c == nil {
		return
	}
	c.stopped = true
	if !c.cfg.Ended && len(c.cfg.Active) > 0 {
		if err := c.p.chart.Stop(c.cfg, c); err != nil {
			c.fatal = errors.Join(c.fatal, err)
		}
	}
	st.forget(c)
}

// forget drops all that is saved of a sub-graph.
func (st *step) forget(c *instance) {
	list, err := st.records(c, "")
	st.note(err)
	for _, num := range list {
		st.drop(c, num, st.acts[num], true)
	}
	c.gone = true
	late := st.lateOf(c.id)
	for _, k := range st.s.keys(c.id + "/") {
		if !late || !c.seenLate(k) {
			st.s.del(k)
		}
	}
}

// seenLate reports whether a key of a sub-graph is one that an undo sees which may
// have to be armed when the sub-graph has gone: a variable, or its input.
func (x *instance) seenLate(key string) bool {
	return key == x.key("in") || strings.HasPrefix(key, x.key("v/"))
}

func (st *step) lateOf(id string) bool {
	return slices.ContainsFunc(st.lates(), func(l late) bool { return l.In == id && l.Undoing == "" })
}

// forgetLate drops what was kept of a sub-graph for a call that was late.
func (st *step) forgetLate(id string) {
	if id == "" || st.s.has(id+"/at") || st.lateOf(id) {
		return
	}
	for _, k := range st.s.keys(id + "/") {
		st.s.del(k)
	}
}

// ended tells the graph around a sub-graph that this has ended.
func (st *step) ended(c *instance) error {
	u := *c.up
	parent, err := st.open(u.In)
	if err != nil || parent == nil {
		return err
	}
	if u.Invoke != "" {
		data, err := c.doneData(c.final(), nil)
		if err != nil {
			data = nil
		}
		r, err := st.record(u.Act)
		if err != nil {
			return err
		}
		o := &occurrence{Name: "done.invoke." + u.Invoke, Type: "external", Data: data, InvokeID: u.Invoke}
		st.forget(c)
		st.later(func() error {
			if r != nil {
				r.gone, r.dirty = true, true
			}
			return parent.react(o)
		})
		return nil
	}
	result, failed, err := c.outcome()
	if err != nil {
		failed = &failure{Code: "execution", Message: fmt.Sprintf("graph %s: %v", c.p.def.Graph, err)}
	}
	st.forget(c)
	r, err := st.record(u.Act)
	if err != nil || r == nil {
		return err
	}
	if u.Item < 0 {
		r.Child, r.Waits, r.dirty = "", true, true
	}
	if failed == nil {
		if err := st.armGraph(parent, u.Act, u.Item, r, result); err != nil {
			return err
		}
	}
	st.later(func() error {
		if failed != nil {
			return st.failed(parent, u.Act, u.Item, failed)
		}
		return st.succeeded(parent, u.Act, u.Item, result, "")
	})
	return nil
}

// armGraph adds to the ledger what takes a sub-graph back that has ended well. That is at
// once, and not when its node hears of it: this may be left before. If it cannot be
// evaluated, that is told then.
func (st *step) armGraph(x *instance, num string, i int, r *record, result any) error {
	n := x.p.nodes[r.Node]
	if n.undo == nil || r.Armed || st.arm(x, n, num, i, result) != nil {
		return nil
	}
	return st.setArmed(num, i, r)
}

// invoke begins an SCXML invocation.
func (st *step) invoke(x *instance, n *node, i int, raise func(*chart.Event)) error {
	v := n.invokes[i]
	id := v.ID
	num := st.number()
	if id == "" {
		id = n.ID + "." + num
	}
	name, given, err := st.invocation(x, v, raise)
	if err == nil && v.idLoc != nil {
		err = x.session().Assign(v.idLoc, id)
	}
	if err != nil {
		x.broken(raise, nil, "invoke "+id, err)
		return nil
	}
	r := &record{In: x.id, Node: n.ID, Kind: recInvoke, Invoke: id, Index: i, dirty: true}
	child, err := st.child(x, up{In: x.id, Act: num, Item: -1, Graph: name, Invoke: id, Forward: v.Forward})
	if err != nil {
		raised(raise, &occurrence{Name: "error.communication", Type: "platform", InvokeID: id, Data: err.Error()})
		return nil
	}
	r.Child = child.id
	st.acts[num] = r
	// At once, and not later: SCXML has it begin before the next external event, by
	// which it may be cancelled.
	return child.start(func(name string) (any, bool) { v, ok := given[name]; return v, ok })
}

// invocation evaluates which graph is invoked, and what its variables are given.
func (st *step) invocation(x *instance, v *invoke, raise func(*chart.Event)) (name string, given map[string]any, err error) {
	kind, err := x.text(v.kind, "type")
	if err != nil {
		return "", nil, err
	}
	switch strings.TrimSuffix(kind, "/") {
	case "", "scxml", "http://www.w3.org/TR/scxml":
	default:
		return "", nil, fmt.Errorf("type: graphs can be invoked (scxml), and %q came", kind)
	}
	if name, err = x.text(v.graph, "graph"); err != nil {
		return "", nil, err
	}
	given = map[string]any{}
	if v.payload == nil {
		return name, given, nil
	}
	data, err := x.payload(v.payload, raise)
	if fields, ok := data.(map[string]any); ok {
		given = fields
	}
	return name, given, err
}

// payload evaluates an event's data as SCXML gives it.
func (x *instance) payload(p *payload, raise func(*chart.Event)) (any, error) {
	if p.given {
		return x.eval(p.body)
	}
	if len(p.names) == 0 && len(p.params) == 0 {
		return nil, nil
	}
	data := map[string]any{}
	for i, name := range p.names {
		v, err := x.session().Eval(p.locs[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		data[name] = v
	}
	for _, param := range p.params {
		v, err := x.eval(param.value)
		if err != nil {
			// SCXML 5.7: the parameter is left out, and an error is raised
			x.broken(raise, nil, param.name, err)
			continue
		}
		data[param.name] = v
	}
	if len(data) == 0 {
		return nil, nil
	}
	return data, nil
}

// forward gives an external event to the invocations that want each.
func (st *step) forward(x *instance, o *occurrence) {
	if !x.p.forwards {
		return
	}
	list, err := st.records(x, "")
	if err != nil {
		st.note(err)
		return
	}
	for _, num := range list {
		r := st.acts[num]
		if r.Kind != recInvoke || !x.p.nodes[r.Node].invokes[r.Index].Forward {
			continue
		}
		st.later(func() error {
			c, err := st.open(r.Child)
			if err != nil || c == nil {
				return err
			}
			copied := *o
			return c.react(&copied)
		})
	}
}

// finalize runs the content that an invocation has for the events of its graph.
func (x *instance) finalize(o *occurrence) {
	list, err := x.st.records(x, "")
	if err != nil {
		x.st.note(err)
		return
	}
	for _, num := range list {
		r := x.st.acts[num]
		if r.Kind != recInvoke || r.Invoke != o.InvokeID {
			continue
		}
		v := x.p.nodes[r.Node].invokes[r.Index]
		if v.finalize == nil {
			continue
		}
		raise := func(e *chart.Event) { // after the event that it is run for
			x.st.later(func() error { return x.react(occurrenceOf(e)) })
		}
		if err := x.run(v.finalize.dos, raise); err != nil {
			x.broken(raise, nil, "finalize", err)
		}
	}
}

// sent is an event that comes later.
type sent struct {
	ID    string          `json:"id,omitempty"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data,omitempty"`
	To    string          `json:"to,omitempty"`
}
