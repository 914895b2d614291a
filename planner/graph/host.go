package graph

import (
	"errors"
	"fmt"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// raised makes a raise of the kernel one of occurrences.
func raised(raise func(*chart.Event), o *occurrence) {
	if raise != nil {
		raise(o.event())
	}
}

// broken raises the event of an expression that could not be evaluated.
func (x *instance) broken(raise func(*chart.Event), at *node, where string, err error) {
	o := &occurrence{Name: "error.execution", Type: "platform", Data: err.Error(), at: at, broken: err.Error()}
	if where != "" {
		o.broken = where + ": " + o.broken
	}
	o.failure = &failure{Code: "execution", Message: o.broken}
	raised(raise, o)
}

// Holds evaluates a guard.
func (x *instance) Holds(g any, e *chart.Event, raise func(*chart.Event)) (bool, error) {
	x.cur = occurrenceOf(e)
	switch g.(type) {
	case ofChild:
		return x.cur.at != nil && x.cur.at.kind != actChoose, nil
	case ofChoice:
		return x.cur.at != nil && x.cur.at.kind == actChoose, nil
	}
	guard := g.(*guard)
	holds, err := x.holds(guard)
	if err != nil {
		x.broken(raise, nil, guard.path, err)
	}
	return holds, err
}

func (x *instance) holds(g *guard) (bool, error) {
	v, err := x.session().Eval(g.expr)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("a condition is true or false, and this is %v", v)
	}
	return b, nil
}

// Run runs a content.
func (x *instance) Run(c any, e *chart.Event, raise func(*chart.Event)) error {
	x.cur = occurrenceOf(e)
	err := x.run(c.(*content).dos, raise)
	var sent *sendError
	if err != nil && !errors.As(err, &sent) {
		x.broken(raise, nil, "", err)
	}
	if x.fatal != nil {
		return chart.Fatal(x.fatal)
	}
	return err
}

// Entered gives late variables their values and sets the timers of After.
func (x *instance) Entered(n *chart.Node, e *chart.Event, raise func(*chart.Event)) error {
	x.cur = occurrenceOf(e)
	x.st.moved = true
	node := n.Tag.(*node)
	if x.p.def.Late {
		for _, d := range x.p.data {
			if d.In == node.ID && !x.st.s.has(x.key("v/"+d.ID)) {
				x.initialise(d, nil, raise)
			}
		}
	}
	if node.kind == actChoose {
		if err := x.st.learned(x, node.planner); err != nil {
			return chart.Fatal(err)
		}
	}
	for _, edge := range node.afters {
		if err := x.arm(node, edge); err != nil {
			x.broken(raise, nil, "after of "+edge.ID, err)
		}
	}
	return x.fatal
}

// Left cancels what a node had going on.
func (x *instance) Left(n *chart.Node, _ *chart.Event) error {
	node := n.Tag.(*node)
	if node.plan != nil {
		x.st.forgetPlan(x, node)
	}
	return fatal(x.st.cancelNode(x, node))
}

func fatal(err error) error {
	if err == nil {
		return nil
	}
	return chart.Fatal(err)
}

// Done makes the event of a node that is done. In SCXML it is an event like others; in
// the form it is the node's own, and not for the "done" of activities elsewhere.
func (x *instance) Done(n, final *chart.Node, e *chart.Event, raise func(*chart.Event)) *chart.Event {
	x.cur = occurrenceOf(e)
	o := &occurrence{Name: x.p.def.doneOf(n.ID), Type: "platform"}
	if x.p.def.cel() {
		o.at = n.Tag.(*node)
	}
	if final != nil {
		node := final.Tag.(*node)
		v, err := x.doneData(node, raise)
		if err != nil {
			x.broken(raise, nil, "the result of "+node.ID, err)
		}
		o.Data, o.result = v, v
	}
	return o.event()
}

func (x *instance) doneData(n *node, raise func(*chart.Event)) (any, error) {
	switch {
	case n.done != nil:
		return x.payload(n.done, raise)
	case n.planner != nil:
		return x.st.planned(x, n.planner)
	}
	return x.eval(n.output)
}

// Invoke begins a node's activity.
func (x *instance) Invoke(n *chart.Node, e *chart.Event, raise func(*chart.Event)) error {
	x.cur = occurrenceOf(e)
	node := n.Tag.(*node)
	if err := x.st.begin(x, node); err != nil {
		return fatal(err)
	}
	for i := range node.invokes {
		if err := x.st.invoke(x, node, i, raise); err != nil {
			return fatal(err)
		}
	}
	return x.fatal
}

// Took notes the path.
func (x *instance) Took(e *chart.Edge, _ *chart.Event) {
	if edge, ok := e.Tag.(*edge); ok {
		x.st.took(x, edge.ID)
	}
}

// Missed looks after events that nothing handles: failures, and signals that come
// before their time.
func (x *instance) Missed(e *chart.Event) {
	o := occurrenceOf(e)
	switch {
	case o.failure != nil && o.act != "" && !x.cfg.Ended:
		x.st.unhandled(x, o)
	case o.broken != "" && x.p.strict:
		x.fatal = errors.Join(x.fatal, errors.New(o.broken))
	case o.outside:
		x.missed = true
	}
}

// starting is an instance whose variables could not all be given a value: the errors
// are raised as the first node is entered.
type starting struct {
	*instance
	early []*occurrence
}

func (s *starting) Entered(n *chart.Node, e *chart.Event, raise func(*chart.Event)) error {
	for _, o := range s.early {
		raise(o.event())
	}
	s.early = nil
	return s.instance.Entered(n, e, raise)
}
