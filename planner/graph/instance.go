package graph

import (
	"slices"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// instance is a graph in the middle of a step: the run's own, or a sub-graph of it.
// It is the host of the kernel.
type instance struct {
	st  *step
	id  string // "" for the run's own; otherwise iN
	p   *program
	cfg *chart.Configuration
	up  *up // of a sub-graph: who runs it

	cur    *occurrence    // that is being reacted to
	locals map[string]any // item and index, where there are
	vars   map[string]any // that were read or set in this step
	sess   Session
	fatal  error
	gone   bool // it was cancelled or has ended in this step
	missed bool // the last event from outside was not handled

	// stopped says that it was cancelled: what it has sent to the graph around it is
	// not wanted there any more (SCXML 6.4.3).
	stopped bool
}

// up says who runs a sub-graph.
type up struct {
	In      string `json:"in,omitempty"` // the instance
	Act     string `json:"act"`          // its activity: a/…
	Item    int    `json:"item"`         // of Each; -1 without
	Graph   string `json:"graph"`        // its name
	Invoke  string `json:"invoke,omitempty"`
	Forward bool   `json:"forward,omitempty"`
}

// occurrence is an event, with what the graph has to know of it.
type occurrence struct {
	Name       string
	Type       string // platform, internal or external
	Data       any
	SendID     string
	Origin     string
	OriginType string
	InvokeID   string

	act     string // the activity whose end it is: it is dropped when that has gone
	at      *node  // whose event it is; nil: anybody's
	result  any
	failure *failure
	broken  string // of error.execution: what is wrong, for whoever mends the definition
	outside bool   // it came from outside of the run
	id, by  string // of such a one: its id, and of the user who gave it
	shown   map[string]any
}

// failure is how an activity has failed.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	final   bool   // not to be tried again
}

func (o *occurrence) event() *chart.Event {
	e := &chart.Event{Name: o.Name, Tag: o}
	if o.at != nil {
		e.Node = o.at.n
	}
	return e
}

func occurrenceOf(e *chart.Event) *occurrence {
	if e == nil {
		return nil
	}
	return e.Tag.(*occurrence)
}

// key is where something of the instance is saved.
func (x *instance) key(k string) string {
	if x.id == "" {
		return k
	}
	return x.id + "/" + k
}

// seen is what an expression sees of an event: the same value each time.
func (o *occurrence) seen() map[string]any {
	if o.shown == nil {
		o.shown = map[string]any{
			"name": o.Name, "type": o.Type, "data": o.Data, "sendid": o.SendID,
			"origin": o.Origin, "origintype": o.OriginType, "invokeid": o.InvokeID, "by": o.by,
		}
	}
	return o.shown
}

// session is the language's; it stays open until the end of the step.
func (x *instance) session() Session {
	if x.sess == nil {
		x.sess = x.p.lang.Begin(x)
	}
	return x.sess
}

func (x *instance) eval(v value) (any, error) { return v.eval(x.session()) }

func (x *instance) assign(s setting, v any) error {
	if s.loc != nil {
		return x.session().Assign(s.loc, v)
	}
	v, err := normalise(v)
	if d := x.p.datum(s.name); err == nil && d != nil {
		err = d.fits(v)
	}
	if err != nil {
		return err
	}
	x.Set(s.name, v)
	return x.fatal
}

// settle hands over what the language has changed, and saves where the graph stands.
func (x *instance) settle() error {
	if x.gone && !x.st.lateOf(x.id) { // nothing of it is saved any more
		return x.fatal
	}
	if x.sess != nil {
		if err := x.sess.End(); err != nil {
			return err
		}
		x.sess = nil
	}
	if x.fatal != nil {
		return x.fatal
	}
	if x.gone {
		return nil
	}
	at, err := x.p.chart.Save(x.cfg)
	if err != nil {
		return err
	}
	x.st.s.setRaw(x.key("at"), at)
	return nil
}

// react has the graph react to an event.
func (x *instance) react(o *occurrence) error {
	if x.gone || x.cfg.Ended {
		return nil
	}
	x.cur = o
	if o.Type == "external" && o.InvokeID != "" {
		x.finalize(o)
	}
	if o.Type == "external" {
		x.st.forward(x, o)
	}
	if err := x.p.chart.Step(x.cfg, x, o.event()); err != nil {
		return err
	}
	return x.after()
}

// after draws the conclusions of a macrostep.
func (x *instance) after() error {
	if x.fatal != nil {
		return x.fatal
	}
	if x.cfg.Ended && x.id != "" && !x.gone {
		return x.st.ended(x)
	}
	return nil
}

// start begins the graph. given are values for its variables.
func (x *instance) start(given func(string) (any, bool)) error {
	x.cfg = &chart.Configuration{}
	var early []*occurrence
	note := func(e *chart.Event) { early = append(early, occurrenceOf(e)) }
	for _, d := range x.p.data {
		if !x.p.def.Late || d.In == "" {
			x.initialise(d, given, note)
		}
	}
	if x.p.script != nil {
		if _, err := x.session().Eval(x.p.script); err != nil {
			x.broken(note, nil, "script", err)
		}
	}
	if x.fatal != nil {
		return x.fatal
	}
	h := &starting{instance: x, early: early}
	if err := x.p.chart.Start(x.cfg, h); err != nil {
		return err
	}
	return x.after()
}

// graphOf returns the program that a sub-graph's node names: of the graphs of its own
// definition, or of those around it.
func (p *program) graphOf(name string) *program {
	for ; p != nil; p = p.outer {
		if g := p.graphs[name]; g != nil {
			return g
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
