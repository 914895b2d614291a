package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// begin begins the activity of a node that was entered.
func (st *step) begin(x *instance, n *node) error {
	if n.kind == actNone {
		return nil
	}
	r := &record{In: x.id, Node: n.ID, Kind: n.kind}
	num := st.add(r)
	within, err := x.durationOf(n.within, "within")
	if err != nil {
		return st.failLater(x, num, -1, err)
	}
	if within > 0 {
		r.Within = true
		st.wait(num+"/w", st.facts.Now.Add(within))
	}
	if n.each != nil {
		return st.beginEach(x, n, num, r)
	}
	return st.launch(x, n, num, -1)
}

func (x *instance) durationOf(v value, what string) (time.Duration, error) {
	plain, err := x.eval(v)
	if err != nil || plain == nil {
		return 0, err
	}
	d, err := durationOf(plain)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return d, nil
}

// wait opens a timer.
func (st *step) wait(ref string, due time.Time) {
	if !due.After(st.facts.Now) {
		due = st.facts.Now
	}
	st.act(agent.Action{Kind: agent.ActWait, Ref: ref, Due: due})
}

func (st *step) act(a agent.Action) { st.out.Actions = append(st.out.Actions, a) }

// cancel withdraws an action: one of this step, or an open one.
func (st *step) cancel(ref string) {
	before := len(st.out.Actions)
	st.out.Actions = slices.DeleteFunc(st.out.Actions, func(a agent.Action) bool { return a.Ref == ref })
	if len(st.out.Actions) == before {
		st.out.Cancel = append(st.out.Cancel, ref)
	}
}

// ref names an action of an activity, or of an item of one.
func refOf(num string, item int) string {
	if item < 0 {
		return num
	}
	return num + "/" + strconv.Itoa(item)
}

// failLater has an activity fail whose beginning could not be evaluated.
func (st *step) failLater(x *instance, num string, item int, err error) error {
	if bad := st.setWaits(num, item, true); bad != nil { // nothing of it is open
		return bad
	}
	f := &failure{Code: "execution", Message: err.Error()}
	st.later(func() error { return st.failed(x, num, item, f) })
	return nil
}

// launch has an activity, or an item of one, go on. What it does is an action, or a
// sub-graph.
func (st *step) launch(x *instance, n *node, num string, item int) error {
	locals, err := st.itemLocals(x, n, num, item)
	if err != nil {
		return err
	}
	before := x.locals
	x.locals = locals
	defer func() { x.locals = before }()
	if err := st.do(x, n, num, item); err != nil {
		return st.failLater(x, num, item, err)
	}
	return x.fatal
}

func (st *step) do(x *instance, n *node, num string, item int) error {
	ref := refOf(num, item)
	switch n.kind {
	case actTool:
		args, err := x.arguments(n.input)
		if args == nil && err == nil {
			args, err = st.given(x, n)
		}
		if err != nil {
			return err
		}
		st.act(agent.Action{Kind: agent.ActCall, Name: n.Tool, Args: args, Ref: ref})
	case actAgent:
		args, err := st.given(x, n)
		if n.input.given() {
			args, err = x.task(n.input)
		}
		if err != nil {
			return err
		}
		st.act(agent.Action{Kind: agent.ActDelegate, Name: n.Agent, Args: args, Ref: ref})
	case actAsk:
		ask, err := x.question(n)
		if err != nil {
			return err
		}
		st.act(agent.Action{Kind: agent.ActAsk, Ask: ask, Ref: ref})
	case actTimer:
		v, err := x.eval(n.timer)
		if err != nil {
			return err
		}
		due, err := momentOf(v, st.facts.Now)
		if err != nil {
			return fmt.Errorf("timer: %w", err)
		}
		st.wait(ref, due)
	case actWait:
		return st.awaitSignal(x, n, num, item)
	case actGraph:
		return st.runGraph(x, n, num, item)
	case actCompensate:
		st.later(func() error { return st.undoNext(x, n, num) })
	case actChoose:
		st.later(func() error { return st.choose(x, n, num) })
	}
	return nil
}

// arguments are those of a tool: a JSON object, or nil.
func (x *instance) arguments(v value) (json.RawMessage, error) {
	plain, err := x.eval(v)
	if err != nil {
		return nil, err
	}
	if plain == nil {
		return nil, nil
	}
	if _, ok := plain.(map[string]any); !ok {
		return nil, fmt.Errorf("the input of a tool is an object, and this is %s", show(plain))
	}
	return encodeValue(plain)
}

// task is an agent's: an object, or words.
func (x *instance) task(v value) (json.RawMessage, error) {
	plain, err := x.eval(v)
	if err != nil {
		return nil, err
	}
	switch t := plain.(type) {
	case map[string]any:
		return encodeValue(t)
	case nil:
		return nil, errors.New("the input of an agent is its task, in words or as an object, and there is none")
	case string:
		return encodeValue(map[string]any{"task": t})
	}
	text, err := encodeValue(plain)
	if err != nil {
		return nil, err
	}
	return encodeValue(map[string]any{"task": string(text)})
}

func show(v any) string {
	raw, err := encodeValue(v)
	if err != nil {
		return fmt.Sprintf("a %T", v)
	}
	if len(raw) > 80 {
		return string(raw[:80]) + "…"
	}
	return string(raw)
}

// arm sets the timer of an After edge.
func (x *instance) arm(n *node, e *edge) error {
	v, err := x.eval(e.after)
	if err != nil {
		return err
	}
	due, err := momentOf(v, x.st.facts.Now)
	if err != nil {
		return err
	}
	num := x.st.add(&record{In: x.id, Node: n.ID, Kind: recAfter, Edge: e.ID, Due: &due})
	x.st.wait(num, due)
	return nil
}

// lapsed has the graph react to the end of an After.
func (st *step) lapsed(x *instance, num string, r *record) error {
	e := x.p.edges[r.Edge]
	r.gone = true
	if e == nil {
		return nil
	}
	return x.react(&occurrence{Name: e.event, Type: "platform", at: x.p.nodes[r.Node]})
}
