package chart

import (
	"errors"
	"fmt"
	"slices"
)

// MaxMicrosteps is how many transitions one event may lead to, one after the other.
const MaxMicrosteps = 10_000

// ErrNeverEnds is the error of a step in which more than [MaxMicrosteps] follow one
// event: eventless transitions or raised events that go round in a circle.
var ErrNeverEnds = errors.New("the transitions that follow one event do not end")

// Start enters the chart's initial nodes and runs to completion. The configuration
// has to be the zero one.
func (c *Chart) Start(s *Configuration, h Host) error {
	if len(s.Active) > 0 {
		return fmt.Errorf("chart: this configuration has started already")
	}
	m := newMachine(c, s, h, nil)
	if err := m.enter([]*Edge{c.nodes[0].Initial}, c.nodes[:1]); err != nil {
		return err
	}
	return m.settle()
}

// Step takes an external event and runs to completion. A chart that has ended takes
// none. If it returns an error the configuration is to be thrown away.
func (c *Chart) Step(s *Configuration, h Host, e *Event) error {
	if s.Ended || len(s.Active) == 0 {
		return nil
	}
	m := newMachine(c, s, h, e)
	if err := m.react(e); err != nil {
		return err
	}
	return m.settle()
}

// Take takes one edge as if its event e had come and its guard held, and runs to
// completion. Its source has to be active.
func (c *Chart) Take(s *Configuration, h Host, edge *Edge, e *Event) error {
	if s.Ended || edge.source == nil || !s.In(edge.source) {
		return fmt.Errorf("chart: an edge can be taken only from a node that is active")
	}
	m := newMachine(c, s, h, e)
	if err := m.microstep([]*Edge{edge}); err != nil {
		return err
	}
	return m.settle()
}

// Stop leaves all active nodes, for their exit contents, and ends the chart: that of an
// invocation that is cancelled (SCXML 6.4.3).
func (c *Chart) Stop(s *Configuration, h Host) error {
	m := newMachine(c, s, h, nil)
	s.Ended = true
	return m.end()
}

// machine is a chart in the middle of a macrostep.
type machine struct {
	c *Chart
	s *Configuration
	h Host
	e *Event // that is being processed; nil in eventless transitions from Start on

	queue   []*Event // internal
	entered []*Node  // with Invokes, and not left since
	broken  []*Edge  // whose guards have failed
	steps   int

	up  func(*Event) // raise, made once
	one [1]*Edge     // room for what is selected, which most often is a single edge
}

func newMachine(c *Chart, s *Configuration, h Host, e *Event) *machine {
	m := &machine{c: c, s: s, h: h, e: e}
	m.up = m.raise
	return m
}

func (m *machine) raise(e *Event) { m.queue = append(m.queue, e) }

// settle takes eventless transitions and internal events until there are none, then
// invokes, and again if that has raised something. Events that are left when the chart
// ends are missed.
func (m *machine) settle() error {
	for !m.s.Ended {
		edges := m.selected(nil)
		if len(edges) == 0 {
			if len(m.queue) == 0 {
				if len(m.entered) == 0 {
					return nil
				}
				if err := m.invoke(); err != nil {
					return err
				}
				continue
			}
			m.e = m.queue[0]
			m.queue = m.queue[1:]
			if err := m.react(m.e); err != nil {
				return err
			}
			continue
		}
		if err := m.microstep(edges); err != nil {
			return err
		}
	}
	if err := m.end(); err != nil {
		return err
	}
	for _, e := range m.queue {
		m.h.Missed(e)
	}
	return nil
}

// react takes the transitions that an event enables.
func (m *machine) react(e *Event) error {
	edges := m.selected(e)
	if len(edges) == 0 {
		m.h.Missed(e)
		return m.count()
	}
	return m.microstep(edges)
}

func (m *machine) count() error {
	if m.steps++; m.steps > MaxMicrosteps {
		return fmt.Errorf("chart: %w: after %d steps it is in %q", ErrNeverEnds, m.steps-1, m.c.Basic(m.s))
	}
	return nil
}

func (m *machine) invoke() error {
	nodes := m.entered
	m.entered = nil
	slices.SortFunc(nodes, func(a, b *Node) int { return a.order - b.order })
	for _, n := range nodes {
		if err := asFatal(m.h.Invoke(n, m.e, m.up)); err != nil {
			return err
		}
	}
	return nil
}

// microstep takes transitions: leaves, acts, enters.
func (m *machine) microstep(edges []*Edge) error {
	if err := m.count(); err != nil {
		return err
	}
	for _, e := range edges {
		m.h.Took(e, m.e)
	}
	if len(edges) == 1 && edges[0].flat {
		return m.hop(edges[0])
	}
	exit := m.exitSet(edges)
	// Appendix D asks for the domains once more on entry. But a history that is left
	// now may mean other nodes then, and a node around them would not be entered again.
	domains := make([]*Node, len(edges))
	for i, e := range edges {
		domains[i] = m.domain(e)
	}
	m.remember(exit)
	for _, o := range slices.Backward(exit) {
		if err := m.leave(m.c.nodes[o]); err != nil {
			return err
		}
		m.s.remove(o)
	}
	for _, e := range edges {
		if err := m.run(e.Content); err != nil {
			return err
		}
	}
	return m.enter(edges, domains)
}

// hop takes a flat edge: what microstep does, where there is one node to leave and one
// to enter.
func (m *machine) hop(e *Edge) error {
	if err := m.leave(e.source); err != nil {
		return err
	}
	m.s.remove(e.source.order)
	if err := m.run(e.Content); err != nil {
		return err
	}
	return m.enterNode(e.Targets[0], nothing)
}

func (m *machine) run(contents []any) error {
	for _, c := range contents {
		if err := asFatal(m.h.Run(c, m.e, m.up)); err != nil {
			return err
		}
	}
	return nil
}
