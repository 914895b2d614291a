// Package chart is the kernel of the logic graph: a statechart as a pure function
// of a definition, a saved configuration and an event.
//
// The semantics are those of the W3C recommendation State Chart XML (SCXML) of
// 1 September 2015, whose algorithm stands in its appendix D: compound and parallel
// states, shallow and deep history, document order, inner before outer, pre-emption
// of conflicting transitions, run to completion over an internal queue, internal and
// targetless transitions, invocations, final states and their done events.
//
// A [Chart] is built once from [Node]s and [Edge]s. [Chart.Start] and [Chart.Step]
// take a [Configuration] to the next one. What guards and contents mean, the chart
// does not know: it hands them to a [Host], which evaluates and runs them, and
// raises events with what it is given.
//
//	c, err := chart.New(root)
//	var s chart.Configuration
//	err = c.Start(&s, host)
//	err = c.Step(&s, host, &chart.Event{Name: "paid"})
//
// The package has no clock, no I/O, no goroutine and no randomness.
package chart
