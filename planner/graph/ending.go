package graph

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// closed takes the end of an action. A signal that has ended a wait which is not wanted
// any more is an event from outside.
func (st *step) closed(c *agent.Closed) error {
	wanted, err := st.wanted(c)
	if err == nil && !wanted && c.Signal != "" {
		return st.outside(eventOf(c))
	}
	return err
}

// eventOf is the signal that has ended a wait.
func eventOf(c *agent.Closed) *Event {
	return &Event{Name: c.Signal, Data: c.Content, ID: c.SignalKey, By: c.By.ID, Key: c.Correlation}
}

// wanted takes the end of an action; false if nothing is there any more that it is of.
func (st *step) wanted(c *agent.Closed) (bool, error) {
	num, rest, _ := strings.Cut(c.Ref, "/")
	if num == "" || num[0] < '0' || num[0] > '9' {
		return false, nil
	}
	if st.s.has("l/" + c.Ref) {
		return true, st.closedLate(c)
	}
	r, err := st.record(num)
	if err != nil || r == nil {
		return false, err
	}
	x, err := st.open(r.In)
	if err != nil || x == nil {
		return false, err
	}
	switch {
	case rest == "" && r.Kind == recAfter:
		return true, st.lapsed(x, num, r)
	case rest == "" && r.Kind == recSend:
		return true, st.arrived(x, num, r)
	case rest == "w":
		return true, st.timedOut(x, num, r)
	case rest == "!":
		return true, st.repaired(x, num, r, c)
	case r.Failed != nil:
		return false, nil // it was withdrawn, and comes too late
	case rest == "u":
		return true, st.undid(x, num, r, c)
	}
	again := rest == "r" || strings.HasSuffix(rest, "/r")
	item := -1
	if number := strings.TrimSuffix(strings.TrimSuffix(rest, "r"), "/"); number != "" {
		if item, err = strconv.Atoi(number); err != nil {
			return false, nil
		}
	}
	goesOn, waits, err := st.standsAt(num, r, item)
	switch {
	case err != nil || !goesOn || again != waits:
		return false, err
	case again:
		if err := st.setWaits(num, item, false); err != nil {
			return true, err
		}
		return true, st.launch(x, x.p.nodes[r.Node], num, item)
	}
	return true, st.over(x, num, item, r, c)
}

// over takes the end of what an activity, or an item of one, has done.
func (st *step) over(x *instance, num string, item int, r *record, c *agent.Closed) error {
	n := x.p.nodes[r.Node]
	if c.Outcome == agent.Answered && n.kind != actAsk { // a person has given the result, and no call was made
		if err := st.setArmed(num, item, r); err != nil {
			return err
		}
	}
	if c.Outcome == agent.Returned || c.Outcome == agent.Answered {
		result, choice := resultOf(n.kind, c)
		return st.succeeded(x, num, item, result, choice)
	}
	return st.failed(x, num, item, failureFrom(c))
}

// resultOf is what an activity has ended well with: of an ask the answer, and otherwise a
// value, also where a person has given that in a tool's stead. A timer has none: what is
// said of it is for models.
func resultOf(kind activity, c *agent.Closed) (result any, choice string) {
	content := outsideValue(c.Content)
	switch {
	case kind == actTimer:
		return nil, ""
	case kind == actAsk && c.Outcome == agent.Answered:
		return answered(c, content)
	}
	return content, ""
}

// failureFrom is what an action has failed with. Of which a person cannot tell whether it
// took place, that is not tried again.
func failureFrom(c *agent.Closed) *failure {
	f := &failure{Code: c.Code, Message: agent.PlainText(c.Content)}
	if f.Code == "" {
		f.Code = string(c.Outcome)
	}
	f.final = c.Answer != nil && c.Answer.Choice == agent.GiveUp
	return f
}

// setArmed has nothing undone of an activity, or of an item of one.
func (st *step) setArmed(num string, i int, r *record) error {
	if i < 0 {
		r.Armed, r.dirty = true, true
		return nil
	}
	it, err := st.item(num, i)
	if err != nil || it == nil {
		return err
	}
	it.Armed = true
	return st.setItem(num, i, it)
}

// answered is the result of an ask: choice, value, note and by; of one without
// choices, with the value's own fields beside them no more: result.value.
func answered(c *agent.Closed, content any) (result any, choice string) {
	if c.Answer == nil {
		return content, ""
	}
	a := c.Answer
	return map[string]any{"choice": a.Choice, "note": a.Note, "by": a.By.ID, "value": outsideValue(a.Value)}, a.Choice
}

// succeeded takes a result.
func (st *step) succeeded(x *instance, num string, item int, result any, choice string) error {
	r, err := st.record(num)
	if err != nil || r == nil {
		return err
	}
	n := x.p.nodes[r.Node]
	if item >= 0 {
		return st.itemDone(x, n, num, r, item, result)
	}
	return st.complete(x, n, num, r, result, choice)
}

// complete ends an activity well: its Undo is armed, its Output is set, and the graph
// reacts to done.
func (st *step) complete(x *instance, n *node, num string, r *record, result any, choice string) error {
	o := &occurrence{Name: "done", Type: "platform", at: n, result: result, Data: result}
	if choice != "" {
		o.Name += "." + choice
	}
	x.cur = o
	err := st.conclude(x, n, num, r, result)
	if x.fatal != nil {
		return x.fatal
	}
	if bad := err; bad != nil {
		if r.Result, err = wrapResult(result, choice); err != nil {
			return err
		}
		r.dirty = true
		return st.failed(x, num, -1, &failure{Code: "execution", Message: fmt.Sprintf("%s has ended well, but what follows from that cannot be evaluated: %v", n.ID, bad), final: true})
	}
	st.drop(x, num, r, false)
	return x.react(o)
}

// ending is a result whose consequences could not be evaluated.
type ending struct {
	Result json.RawMessage `json:"result"`
	Choice string          `json:"choice,omitempty"`
}

func wrapResult(result any, choice string) (json.RawMessage, error) {
	raw, err := encodeValue(result)
	if err != nil {
		return nil, err
	}
	return json.Marshal(ending{Result: raw, Choice: choice})
}

// conclude arms what takes the activity back, and sets its Output.
func (st *step) conclude(x *instance, n *node, num string, r *record, result any) error {
	if n.undo != nil && n.each == nil && !r.Armed {
		if err := st.armUndo(x, n, x.scopesOf(n), num); err != nil {
			return err
		}
		r.Armed, r.dirty = true, true
	}
	for _, s := range n.outputs {
		v, err := result, error(nil)
		if s.value.given() {
			v, err = x.eval(s.value)
		}
		if err == nil {
			err = x.assign(s, v)
		}
		if err != nil {
			return fmt.Errorf("output %s: %w", s.name, err)
		}
	}
	return nil
}

// failed takes a failure: another attempt, or the graph reacts to the error.
func (st *step) failed(x *instance, num string, item int, f *failure) error {
	r, err := st.record(num)
	if err != nil || r == nil || x.gone {
		return err
	}
	n := x.p.nodes[r.Node]
	again, err := st.retry(x, n, num, r, item, f)
	if again || err != nil {
		return err
	}
	if item >= 0 {
		return st.itemFailed(x, n, num, r, item, f)
	}
	if r.Within {
		st.cancel(num + "/w")
		r.Within = false
	}
	r.Failed, r.Waits, r.dirty = f, false, true
	o := &occurrence{Name: "error." + f.Code, Type: "platform", at: n, act: num, failure: f, Data: map[string]any{"code": f.Code, "message": f.Message}}
	if err := x.react(o); err != nil {
		return err
	}
	if !r.gone && !r.Asked { // an edge has handled it, and the node was not left
		st.drop(x, num, r, false)
	}
	return nil
}
