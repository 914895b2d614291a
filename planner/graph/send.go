package graph

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph/chart"
)

// sendError says that an event could not be sent, which was raised already.
type sendError struct{ err error }

func (e *sendError) Error() string { return e.err.Error() }

// scxmlProcessor is the type of events that graphs send each other.
const scxmlProcessor = "http://www.w3.org/TR/scxml/#SCXMLEventProcessor"

// run does what a content says. raise is nil where nothing can be raised.
func (x *instance) run(dos []do, raise func(*chart.Event)) error {
	for i := range dos {
		if err := x.doOne(&dos[i], raise); err != nil {
			return err
		}
	}
	return nil
}

func (x *instance) doOne(d *do, raise func(*chart.Event)) error {
	if err := x.st.does(1); err != nil {
		return err
	}
	switch {
	case d.set != nil:
		return x.setAll(d.set)
	case d.Raise != "":
		data, err := x.eval(d.data)
		if err == nil {
			raised(raise, &occurrence{Name: d.Raise, Type: "internal", Data: data})
		}
		return err
	case d.send != nil:
		return x.doSend(d.send, raise)
	case d.Cancel != nil:
		return x.doCancel(d)
	case d.Emit != "":
		data, err := x.eval(d.data)
		if err != nil {
			return err
		}
		raw, err := encodeValue(data)
		if err == nil {
			err = x.st.does(len(raw) / 100)
		}
		if err == nil {
			x.st.act(agent.Action{Kind: agent.ActEmit, Name: d.Emit, Args: raw})
		}
		return err
	case d.Say != nil:
		text, err := x.text(d.value, "say")
		x.st.out.Said = append(x.st.out.Said, text)
		return cmp.Or(err, x.st.does(len(text)/100))
	case d.If != "":
		return x.doIf(d, raise)
	case d.Each != nil:
		return x.doEach(d, raise)
	case d.Script != "":
		_, err := x.session().Eval(d.expr)
		return err
	case d.Assign != nil:
		v, err := x.eval(d.value)
		if err != nil {
			return err
		}
		return x.session().Assign(d.loc, v)
	case d.Log != nil || d.Label != "":
		text, err := x.text(d.value, "log")
		if d.Label != "" {
			text = d.Label + ": " + text
		}
		x.st.out.Logged = append(x.st.out.Logged, text)
		return cmp.Or(err, x.st.does(len(text)/100))
	}
	return x.run(d.then, raise)
}

func (x *instance) setAll(list []setting) error {
	for _, s := range list {
		v, err := x.eval(s.value)
		if err == nil {
			err = x.assign(s, v)
		}
		if err != nil {
			return fmt.Errorf("set %s: %w", s.name, err)
		}
	}
	return nil
}

func (x *instance) doIf(d *do, raise func(*chart.Event)) error {
	yes, err := x.holds(&guard{expr: d.expr})
	if err != nil {
		// SCXML 5.9.1: a condition that cannot be evaluated is false, and an error is raised
		x.broken(raise, nil, "if", err)
		yes = false
	}
	if yes {
		return x.run(d.then, raise)
	}
	return x.run(d.otherwise, raise)
}

func (x *instance) doEach(d *do, raise func(*chart.Event)) error {
	v, err := x.eval(d.value)
	if err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("each: a list is expected, and this is %s", show(v))
	}
	before := x.locals
	defer func() { x.locals = before }()
	for i, item := range list {
		locals := map[string]any{}
		for k, v := range before {
			locals[k] = v
		}
		x.locals = locals
		if err := x.loopVariable(d.loc, d.as, item); err != nil {
			return err
		}
		if err := x.loopVariable(d.indexLoc, d.index, int64(i)); err != nil {
			return err
		}
		if err := x.run(d.then, raise); err != nil {
			return err
		}
	}
	return nil
}

func (x *instance) loopVariable(loc Expr, name string, v any) error {
	if loc != nil {
		return x.session().Assign(loc, v)
	}
	x.locals[name] = v
	return nil
}

// doSend sends an event, now or later.
func (x *instance) doSend(s *send, raise func(*chart.Event)) error {
	e, id, err := x.sending(s, raise)
	if err != nil {
		return err
	}
	kind, err := x.text(s.kind, "type")
	if err != nil {
		return err
	}
	refuse := func(name, format string, args ...any) error {
		err := fmt.Errorf(format, args...)
		raised(raise, &occurrence{Name: name, Type: "platform", SendID: id, Data: err.Error(), failure: &failure{Code: strings.TrimPrefix(name, "error."), Message: err.Error()}})
		return &sendError{err}
	}
	switch strings.TrimSuffix(kind, "/") {
	case "", "scxml", scxmlProcessor:
	default:
		return refuse("error.execution", "send: events go to graphs (scxml), and the type %q came", kind)
	}
	if e.To != "" && !strings.HasPrefix(e.To, "#_") {
		return refuse("error.execution", "send: the target %q is not known; #_internal, #_parent, and #_ID of an invocation are", e.To)
	}
	if d, err := x.durationOf(s.delay, "delay"); err != nil {
		return err
	} else if d > 0 {
		if e.To == "#_internal" {
			return refuse("error.execution", "send: an internal event has no delay")
		}
		due := x.st.facts.Now.Add(d)
		num := x.st.add(&record{In: x.id, Kind: recSend, Send: e, Due: &due})
		x.st.wait(num, due)
		return nil
	}
	if e.To == "#_internal" {
		o, err := e.occurrence()
		o.Type, o.SendID = "internal", id
		raised(raise, o)
		return err
	}
	if !x.reaches(e.To) {
		return refuse("error.communication", "send: %s cannot be reached", e.To)
	}
	x.st.later(func() error { return x.post(e) })
	return nil
}

// sending evaluates what is sent. id is the event's: "" if neither it nor a location
// for it is given.
func (x *instance) sending(s *send, raise func(*chart.Event)) (e *sent, id string, err error) {
	e = &sent{}
	if e.Event, err = x.text(s.event, "event"); err != nil {
		return nil, "", err
	}
	if e.To, err = x.text(s.to, "to"); err != nil {
		return nil, "", err
	}
	if id, err = x.text(s.id, "id"); err != nil {
		return nil, "", err
	}
	if s.idLoc != nil {
		id = "send." + x.st.number()
		if err := x.session().Assign(s.idLoc, id); err != nil {
			return nil, "", err
		}
	}
	e.ID = id
	var data any
	if s.payload != nil {
		data, err = x.payload(s.payload, raise)
	} else {
		data, err = x.eval(s.data)
	}
	if err != nil {
		return nil, "", err
	}
	if data != nil {
		e.Data, err = encodeValue(data)
	}
	return e, id, err
}

func (e *sent) occurrence() (*occurrence, error) {
	o := &occurrence{Name: e.Event, Type: "external", SendID: e.ID, OriginType: scxmlProcessor}
	if len(e.Data) == 0 {
		return o, nil
	}
	v, err := decodeValue(e.Data)
	o.Data = v
	return o, err
}

// session ids: that of the run's own graph is "run".
func (x *instance) sessionID() string {
	if x.id == "" {
		return "run"
	}
	return x.id
}

// target is the graph that a target names; nil if there is none.
func (x *instance) target(to string) *instance {
	switch {
	case to == "":
		return x
	case to == "#_parent":
		if x.up == nil {
			return nil
		}
		parent, err := x.st.open(x.up.In)
		x.st.note(err)
		return parent
	case strings.HasPrefix(to, "#_scxml_"):
		id := strings.TrimPrefix(to, "#_scxml_")
		if id == "run" {
			id = ""
		}
		found, err := x.st.open(id)
		x.st.note(err)
		return found
	}
	list, err := x.st.records(x, "")
	x.st.note(err)
	for _, num := range list {
		if r := x.st.acts[num]; r.Kind == recInvoke && "#_"+r.Invoke == to {
			c, err := x.st.open(r.Child)
			x.st.note(err)
			return c
		}
	}
	return nil
}

func (x *instance) reaches(to string) bool { return x.target(to) != nil }

// post hands an event to the graph that it is for.
func (x *instance) post(e *sent) error {
	to := x.target(e.To)
	o, err := e.occurrence()
	if err != nil {
		return err
	}
	if to == nil || x.stopped && to.id == x.up.In { // it has ended since, or x was cancelled
		return nil
	}
	o.Origin = "#_scxml_" + x.sessionID()
	if e.To == "#_parent" {
		o.InvokeID = x.up.Invoke
	}
	return to.react(o)
}

// arrived hands an event over whose delay has passed.
func (st *step) arrived(x *instance, _ string, r *record) error {
	r.gone = true
	if !x.reaches(r.Send.To) {
		return x.react(&occurrence{Name: "error.communication", Type: "platform", SendID: r.Send.ID})
	}
	return x.post(r.Send)
}

// doCancel cancels events that were sent with a delay.
func (x *instance) doCancel(d *do) error {
	id, err := x.text(d.value, "cancel")
	if err != nil {
		return err
	}
	if id == "" {
		return errors.New("cancel: the id of a send is expected, and there is none")
	}
	list, err := x.st.records(x, "")
	if err != nil {
		return err
	}
	for _, num := range list {
		if r := x.st.acts[num]; r.Kind == recSend && r.Send.ID == id {
			x.st.cancel(num)
			r.gone = true
		}
	}
	return nil
}
