package agent

import "strings"

// RunID names one run. It is chosen at random, or derived from the caller's
// idempotency key, so that the same key always names the same run. It holds
// lowercase letters and digits only, and no dot.
type RunID string

// RecordID names one record of a run's log. It is random: a store that was put
// back in time and written anew can never look familiar.
type RecordID string

// ActionID names one action of a run: the record of the move that asked for it,
// a dot, and the action's index in that move. It is therefore the same on every
// worker and after every crash.
type ActionID string

// AskID names one question to a person, over all runs: the run, a dot, the
// record that opened the ask, a dot, and an index.
type AskID string

// Run returns the run that the ask belongs to, or "" when the id does not have
// the form of an ask's id.
func (id AskID) Run() RunID {
	run, rest, ok := strings.Cut(string(id), ".")
	if !ok || run == "" || !strings.Contains(rest, ".") {
		return ""
	}
	return RunID(run)
}
