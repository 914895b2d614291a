// Package run is the heart of Fermata: what a run is, as a pure function of
// its log.
//
// A [Record] is an [Event] with its place, its id and its time. [State.Apply]
// folds one record after the other into a [State]; it is total and
// deterministic, and needs neither the agents' code nor a store. From a state,
// [State.Due] derives all jobs that should be going on right now,
// [State.Overdue] what the clock makes true, and [State.Wake] when to look again.
// A planner's move passes [Admit] once, before it is recorded; an input from
// outside passes [State.Judge].
//
// Whoever drives a run does always the same: append what is overdue, start the
// due jobs that are not running, stop the running ones that are not
// [State.Wanted], and append what comes of them. Recovery after a crash,
// cancellation, time-outs and a user who changes their mind are this one
// mechanism.
//
// The package has no clock, no I/O, no goroutine and no randomness: times and
// ids arrive inside records.
package run
