package play

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// Options say who runs a graph, and when it begins. A nil *Options and the zero value
// of each field are the defaults.
type Options struct {
	User agent.User
	Meta map[string]string
	From time.Time // when it begins; the zero time is 1 January 2026

	// Logged is told what the graph logs, says and emits.
	Logged func(string)
}

// A Player is a graph in play. It is for one goroutine at a time. After an error it is
// not to be used any more.
type Player struct {
	g    *graph.Graph
	o    Options
	keys map[string]json.RawMessage
	now  time.Time
	open []agent.Action // waits, in the order in which they began
	last *graph.Step
	at   []string
}

// New makes a player that has yet to start.
func New(g *graph.Graph, o *Options) *Player {
	p := &Player{g: g, keys: map[string]json.RawMessage{}}
	if o != nil {
		p.o = *o
	}
	if p.now = p.o.From; p.now.IsZero() {
		p.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return p
}

// Start begins the graph with its input, a JSON value that fits the definition's Input;
// nil is null.
func (p *Player) Start(input json.RawMessage) error {
	return p.step(graph.Input{Start: &graph.Start{Data: input}})
}

// Send gives the graph an event from outside, with any JSON value as its data; nil is
// null. A node that waits for a signal of this name takes it.
func (p *Player) Send(name string, data json.RawMessage) error {
	if p.Ended() {
		return nil
	}
	for i, a := range p.open {
		if a.Due.IsZero() && a.Name == name {
			p.open = slices.Delete(p.open, i, i+1)
			return p.step(graph.Input{Closed: &agent.Closed{Ref: a.Ref, Name: name, Outcome: agent.Returned, Content: data, Signal: name}})
		}
	}
	return p.step(graph.Input{Event: &graph.Event{Name: name, Data: data}})
}

// Pass lets time pass, as Until.
func (p *Player) Pass(d time.Duration) error { return p.Until(p.now.Add(d)) }

// maxTurns is how often a graph may go on by itself while no time passes, beside what
// is due at that instant already.
const maxTurns = 10_000

// Until lets time pass up to an instant. What is due on the way, or at it, comes in
// order, each at its time. An instant that has passed is now. The error may be that the
// graph goes on and on with timers that take no time.
func (p *Player) Until(t time.Time) error {
	for left := maxTurns + len(p.open); ; left-- {
		due, ok := p.Due()
		if !ok || due.After(t) && due.After(p.now) {
			break
		}
		if due.After(p.now) {
			left = maxTurns + len(p.open)
		}
		if left == 0 {
			return fmt.Errorf("the graph has gone on by itself %d times and no time has passed, and it still does: it is in %v; give a timer of it time", maxTurns, p.At())
		}
		if err := p.come(due); err != nil {
			return err
		}
	}
	p.now = later(p.now, t)
	return nil
}

// come has the first thing come that is due at an instant.
func (p *Player) come(due time.Time) error {
	p.now = later(p.now, due)
	i := slices.IndexFunc(p.open, func(a agent.Action) bool { return a.Due.Equal(due) })
	a := p.open[i]
	p.open = slices.Delete(p.open, i, i+1)
	return p.step(graph.Input{Closed: &agent.Closed{Ref: a.Ref, Outcome: agent.Returned}})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Due returns when the graph goes on by itself; not ok if it waits for no time.
func (p *Player) Due() (due time.Time, ok bool) {
	for _, a := range p.open {
		if !a.Due.IsZero() && (!ok || a.Due.Before(due)) {
			due, ok = a.Due, true
		}
	}
	return due, ok
}

// Now returns the time that it is in the graph.
func (p *Player) Now() time.Time { return p.now }

// At returns the ids of the innermost nodes that are active, in the order of the
// definition, without those of sub-graphs.
func (p *Player) At() []string {
	return slices.DeleteFunc(slices.Clone(p.at), func(id string) bool { return strings.Contains(id, ":") })
}

// Ended reports whether the graph has ended.
func (p *Player) Ended() bool { return p.last != nil && p.last.Ended }

// Last returns what followed from the last input; nil before the start.
func (p *Player) Last() *graph.Step { return p.last }

// Keys returns what is saved of the graph. It must not be changed.
func (p *Player) Keys() map[string]json.RawMessage { return p.keys }

// step has the graph react to an input.
func (p *Player) step(in graph.Input) error {
	st, err := p.g.Next(p.keys, graph.Facts{User: p.o.User, Meta: p.o.Meta, Now: p.now}, in)
	if err != nil {
		return err
	}
	for k, v := range st.Keys {
		if string(v) == "null" {
			delete(p.keys, k)
		} else {
			p.keys[k] = v
		}
	}
	p.open = slices.DeleteFunc(p.open, func(a agent.Action) bool { return slices.Contains(st.Cancel, a.Ref) })
	for _, a := range st.Actions {
		if err := p.begin(a); err != nil {
			return err
		}
	}
	if len(st.Choices) > 0 {
		return fmt.Errorf("the planner node %s asks a model, and here is none: run the graph with an orchestrator", st.Choices[0].Node)
	}
	for _, list := range [][]string{st.Said, st.Logged} {
		for _, text := range list {
			p.log(text)
		}
	}
	if p.last = st; st.At != nil {
		p.at = st.At
	}
	if st.Ended {
		p.open = nil
	}
	return nil
}

func (p *Player) begin(a agent.Action) error {
	switch a.Kind {
	case agent.ActWait:
		p.open = append(p.open, a)
	case agent.ActEmit:
		p.log(strings.TrimSpace(a.Name + " " + string(a.Args)))
	case agent.ActCall:
		return fmt.Errorf("the graph calls the tool %q, and here is none: run it with an orchestrator", a.Name)
	case agent.ActDelegate:
		return fmt.Errorf("the graph gives a task to the agent %q, and here is none: run it with an orchestrator", a.Name)
	case agent.ActAsk:
		return fmt.Errorf("the graph asks a person, and here is none (run it with an orchestrator): %s", a.Ask.Prompt)
	default:
		return fmt.Errorf("the graph wants what only an orchestrator does (an action of the kind %v): run it with one", a.Kind)
	}
	return nil
}

func (p *Player) log(text string) {
	if p.o.Logged != nil {
		p.o.Logged(text)
	}
}
