package chart

import (
	"errors"
)

// An Event is what a chart reacts to.
type Event struct {
	Name string

	// Node, if not nil, says whose event it is: only the edges of that node and of
	// those around it are looked at. Otherwise those of all active nodes are.
	Node *Node

	Tag any // the host's own
}

// A Host gives meaning to a chart's guards and contents. An error of Holds counts as
// false, and one of Run ends that content: the host has raised what it wants to
// become of it (SCXML: error.execution). Only [Fatal] errors end the step.
type Host interface {
	// Holds evaluates a guard. e is the event that is being processed, also for
	// eventless transitions after it; nil before the first. raise is nil if the guard
	// has failed in this macrostep before.
	Holds(guard any, e *Event, raise func(*Event)) (bool, error)
	// Run runs a content. What it raises by calling raise is taken up in this
	// macrostep, before any other event.
	Run(content any, e *Event, raise func(*Event)) error
	// Entered is called for each node as it becomes active, before its entry
	// contents; Left after its exit contents, as it stops being active.
	Entered(n *Node, e *Event, raise func(*Event)) error
	Left(n *Node, e *Event) error
	// Done returns the event that says that a compound or parallel node is done, as
	// its final child was entered (nil for a parallel one); nil says nothing.
	Done(n, final *Node, e *Event, raise func(*Event)) *Event
	// Invoke begins what a node with Invokes does. It is called at the end of a
	// macrostep, in document order.
	Invoke(n *Node, e *Event, raise func(*Event)) error
	// Took is told of each transition that is taken, before anything of it is done.
	Took(e *Edge, ev *Event)
	// Missed is told of each event that no transition was taken for, also of those
	// that were raised and that the chart has ended before.
	Missed(e *Event)
}

// Fatal marks an error of a Host as one that ends the step: its configuration is to
// be thrown away.
func Fatal(err error) error { return &fatal{err} }

type fatal struct{ err error }

func (f *fatal) Error() string { return f.err.Error() }
func (f *fatal) Unwrap() error { return f.err }

func asFatal(err error) error {
	if err == nil {
		return nil
	}
	var f *fatal
	if errors.As(err, &f) {
		return f.err
	}
	return nil
}
