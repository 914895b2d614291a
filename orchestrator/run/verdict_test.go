package run_test

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// What Judge may say of an input, by its documentation, worked out from the
// ledger and not from the state where that is possible.
const (
	accepted = "accepted"
	repeated = "repeated"
	conflict = string(agent.RefusedConflict)
	expired  = string(agent.RefusedExpired)
	unknown  = string(agent.RefusedUnknown)
	invalid  = string(agent.RefusedInvalid)

	forbidden = string(agent.RefusedForbidden)
)

// expect returns the verdicts that are right for the input.
func expect(sh *shelf, j *journal, e run.Event) []string {
	if key := keyOf(e); key != "" && sh.ledger.said[key] != "" {
		if sh.ledger.said[key] == contentOfStored(keyed(e)) {
			return []string{repeated}
		}
		return []string{conflict}
	}
	s := j.state
	ending := s.Ending != nil
	switch e.(type) {
	case *run.Posted, *run.Subscribed, *run.Mailed:
		return expectMail(sh, j, e)
	}
	if s.Mailbox != nil {
		return expectMail(sh, j, e)
	}
	switch e := e.(type) {
	case *run.Answered:
		return []string{sh.ledger.expectAnswer(j, e)}
	case *run.Assigned:
		return []string{sh.ledger.expectAssigned(j, e)}
	case *run.Reported:
		return expectReport(sh, j, e)
	case *run.Messaged:
		plain := len(e.Message.Parts) == 1 && e.Message.Parts[0].Text != ""
		switch {
		case ending:
			return []string{conflict}
		case !plain:
			return []string{invalid}
		case s.Terms.OnMessage == agent.Reject && (s.Turn.Open || s.Status() == agent.StatusPlanning):
			return []string{conflict}
		}
	case *run.Signaled:
		switch {
		case ending:
			return []string{conflict}
		case e.Name == "" || e.Name == agent.AnySignal || e.Data != nil && !json.Valid(e.Data):
			return []string{invalid}
		}
	case *run.Cancelled:
		if ending && s.Ending.Status == agent.StatusCancelled {
			return []string{repeated}
		} else if ending {
			return []string{conflict}
		}
	case *run.Redefined:
		switch {
		case ending || s.Definition == "":
			return []string{conflict}
		case e.Definition == "" || len(e.Keys["c"]) > 0:
			return []string{invalid}
		}
	case *run.Retried:
		switch {
		case s.Ended:
			return []string{conflict}
		case s.Stuck == nil:
			return sh.ledger.expectRetry(j, e)
		}
	}
	return []string{accepted}
}

// expectReport returns the verdicts that are right for what a delegate says.
func expectReport(sh *shelf, j *journal, e *run.Reported) []string {
	k := sh.ledger.kin[e.Action]
	switch {
	case k == nil || sh.truth.Ended || !k.open && !k.left || e.N <= k.heard:
		return []string{repeated}
	case len(j.batch) > 0 && j.state.Ending != nil:
		return []string{accepted, repeated} // the run's own deadline has passed meanwhile
	}
	return []string{accepted}
}

// expectAnswer returns the verdict that is right for an answer.
func (l *ledger) expectAnswer(j *journal, e *run.Answered) string {
	f := l.asks[e.Ask]
	if f == nil {
		return unknown
	}
	how, p := f.standing(j)
	switch {
	case f.how == "answered":
		if f.by == e.Answer.By.ID && f.got.Choice == e.Answer.Choice && f.got.Note == e.Answer.Note && sameJSON(f.got.Value, e.Answer.Value) {
			return repeated
		}
		return conflict
	case how == "expired":
		return expired
	case how == "withdrawn":
		return conflict
	case !p.let(e.Answer.By):
		return forbidden
	case p.claimed != "" && p.claimed != e.Answer.By.ID:
		return conflict
	}
	ask := f.ask
	if i := slices.IndexFunc(j.state.Asks(), func(a *agent.Ask) bool { return a.ID == e.Ask }); i >= 0 {
		ask.Choices = j.state.Asks()[i].Choices // of a call that is not wanted any more since now
	}
	return fits(&ask, &e.Answer)
}

// expectRetry returns the verdicts that are right for a retry of a run that is not
// stuck because of its planner or its workers.
func (l *ledger) expectRetry(j *journal, e *run.Retried) []string {
	verdicts := []string{conflict, accepted} // as it waits for another attempt, or not
	for _, a := range j.state.Asks() {
		if a.Kind != agent.AskRepair || !slices.Contains(a.Choices, agent.RetryIt) {
			continue
		}
		p := &people{may: a.For, not: a.Not, claimed: a.Claimed.ID}
		if f := l.asks[a.ID]; f != nil {
			_, now := f.standing(j)
			p = &now
		}
		if p.let(e.By) && (p.claimed == "" || p.claimed == e.By.ID) {
			return []string{accepted}
		}
		verdicts = append(verdicts, forbidden)
	}
	return verdicts
}

// fits judges the form of an answer to an open ask.
func fits(ask *agent.Ask, a *agent.Answer) string {
	if a.Digest != "" && ask.Digest != "" && a.Digest != ask.Digest {
		return conflict
	}
	if len(ask.Choices) > 0 && !slices.Contains(ask.Choices, a.Choice) {
		return invalid
	}
	if len(ask.Choices) == 0 && (a.Choice != "" || len(a.Value) == 0) {
		return invalid
	}
	approval := ask.Kind == agent.AskApproval
	if len(a.Value) == 0 {
		if approval && (a.Choice == agent.Edit || a.Choice == agent.Instead) {
			return invalid
		}
		return accepted
	}
	schema := ask.Schema
	switch {
	case approval && a.Choice != agent.Edit && a.Choice != agent.Instead,
		ask.Kind == agent.AskOutcome && a.Choice != agent.Happened, ask.Kind == agent.AskLimit:
		return invalid
	case approval && a.Choice == agent.Edit:
		schema = json.RawMessage(`{"type":"object"}`)
	case approval && a.Choice == agent.Instead, ask.Kind == agent.AskOutcome:
		schema = ask.Output
	}
	if !json.Valid(a.Value) || len(schema) > 0 && validate(schema, a.Value) != nil {
		return invalid
	}
	return accepted
}

// compare holds what Judge said against what is right.
func (w *world) compare(sh *shelf, e run.Event, expected []string, ok bool, err error) {
	got := repeated
	var refusal *agent.Refusal
	switch {
	case errors.As(err, &refusal):
		got = string(refusal.Kind)
	case err != nil:
		got = "an error that is no refusal: " + err.Error()
	case ok:
		got = accepted
	}
	if ok && err != nil {
		w.broken(sh, "Judge accepts and refuses at once: %s: %v", describe(e), err)
	}
	if !slices.Contains(expected, got) {
		w.broken(sh, "Judge says %s (%v), and %q is right: %s", got, err, expected, describe(e))
	}
}

func sameJSON(a, b json.RawMessage) bool { return run.Digest(a) == run.Digest(b) }

// contentOfStored spells an event out as it comes back from the store. Of one
// that cannot be stored nothing comes back.
func contentOfStored(e run.Event) string {
	if _, err := run.Encode(e); err != nil {
		return ""
	}
	return contentOf(e)
}
