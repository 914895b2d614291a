// Package perform does one job and tells what came of it: it asks a planner,
// calls a tool, or looks up what became of a call. It is the only place that
// touches the outside world, and so the only place where code that is not ours
// may hang, fail or panic. Whatever it does, a [Performer] answers with one
// event for the run's log.
package perform
