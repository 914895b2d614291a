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
)

// expect returns the verdicts that are right for the input.
func expect(sh *shelf, j *journal, e run.Event) []string {
	if key := keyOf(e); key != "" && sh.ledger.said[key] != "" {
		if sh.ledger.said[key] == contentOfStored(e) {
			return []string{repeated}
		}
		return []string{conflict}
	}
	s := j.state
	ending := s.Ending != nil
	switch e := e.(type) {
	case *run.Answered:
		return []string{sh.ledger.expectAnswer(j, e)}
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
		case e.Name == "" || e.Data != nil && !json.Valid(e.Data):
			return []string{invalid}
		}
	case *run.Cancelled:
		if ending && s.Ending.Status == agent.StatusCancelled {
			return []string{repeated}
		} else if ending {
			return []string{conflict}
		}
	case *run.Retried:
		switch {
		case s.Ended:
			return []string{conflict}
		case s.Stuck == nil:
			return []string{conflict, accepted} // as it waits for another attempt, or not
		}
	}
	return []string{accepted}
}

// expectAnswer returns the verdict that is right for an answer.
func (l *ledger) expectAnswer(j *journal, e *run.Answered) string {
	f := l.asks[e.Ask]
	switch {
	case f == nil:
		return unknown
	case f.how == "answered":
		if f.by == e.Answer.By.ID && f.got.Choice == e.Answer.Choice && f.got.Note == e.Answer.Note && sameJSON(f.got.Value, e.Answer.Value) {
			return repeated
		}
		return conflict
	case f.how == "expired", f.how == "" && !f.ask.Due.IsZero() && !f.ask.Due.After(j.w.now):
		return expired
	case f.how == "withdrawn":
		return conflict
	}
	return fits(&f.ask, &e.Answer)
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
	case approval && a.Choice == agent.Edit:
		schema = json.RawMessage(`{"type":"object"}`)
	case approval && a.Choice == agent.Instead, ask.Kind == agent.AskOutcome:
		schema = ask.Output
	case approval:
		schema = nil
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
