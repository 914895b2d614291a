package agent

import (
	"encoding/json"
	"fmt"
	"time"
)

// AskKind says what is asked.
type AskKind string

const (
	AskApproval AskKind = "approval" // may this call be made? choices: approve, edit, deny, instead
	AskQuestion AskKind = "question" // a free answer: any JSON value that fits Schema
	AskChoice   AskKind = "choice"   // one of Choices
	AskOutcome  AskKind = "outcome"  // did this begun call take place? choices: happened, rerun, not-happened, give-up
	AskLimit    AskKind = "limit"    // a limit is reached; choices: continue, stop
)

// The choices of the asks that Fermata opens by itself.
const (
	Approve     = "approve"      // make the call with the arguments shown
	Edit        = "edit"         // make the call with Answer.Value as its arguments
	Deny        = "deny"         // do not make the call; Answer.Note tells the planner why
	Instead     = "instead"      // do not make the call; Answer.Value is its result
	Happened    = "happened"     // it took place; Answer.Value, if any, is its result
	Rerun       = "rerun"        // it did not take place: make the call
	NotHappened = "not-happened" // it did not take place, and is not to be made
	GiveUp      = "give-up"      // nobody can tell, or it does not matter any more
	Continue    = "continue"     // go on, with the same allowance again
	Stop        = "stop"         // end the turn here
)

// An Ask is a question to a person. A planner sets Kind (AskQuestion or
// AskChoice), Prompt, and as needed Schema, Choices, Default and Within or Due
// (Within wins); the rest is set when it is opened.
type Ask struct {
	ID      AskID           `json:"id,omitempty"`
	Action  ActionID        `json:"action,omitempty"`
	Kind    AskKind         `json:"kind"`
	Prompt  string          `json:"prompt"`
	Choices []string        `json:"choices,omitempty"`
	Schema  json.RawMessage `json:"schema,omitempty"` // of Answer.Value: for a question of the answer, for an approval of edited arguments
	Output  json.RawMessage `json:"output,omitempty"` // schema of a result given in the tool's stead

	Tool   string          `json:"tool,omitempty"`   // approval and outcome: which
	Args   json.RawMessage `json:"args,omitempty"`   // and with which arguments
	Digest string          `json:"digest,omitempty"` // of Args: what an approval approves

	Within  time.Duration `json:"within,omitempty"`  // how long it may stay open; 0 has no limit
	Due     time.Time     `json:"due,omitzero"`      // when it expires
	Default *Answer       `json:"default,omitempty"` // taken at the due time; nil lets it expire
	Opened  time.Time     `json:"opened,omitzero"`
}

// Answer is a person's reply to an ask. An ask takes one: the same answer by the
// same person again is accepted without effect, any other is refused.
type Answer struct {
	By     User            `json:"by,omitzero"`
	Choice string          `json:"choice,omitempty"` // one of the ask's choices
	Value  json.RawMessage `json:"value,omitempty"`  // the answer to a question, edited arguments, a result
	Note   string          `json:"note,omitempty"`   // for the planner and the log
	// Digest, if set, is that of the arguments that the person has seen. An
	// approval whose arguments have another digest is refused.
	Digest string `json:"digest,omitempty"`
}

// RefusalKind says why an input was refused.
type RefusalKind string

const (
	RefusedConflict RefusalKind = "conflict" // somebody else was first, or the run is not in a state to take it
	RefusedExpired  RefusalKind = "expired"  // the due time has passed
	RefusedUnknown  RefusalKind = "unknown"  // there is no such run, ask or agent
	RefusedInvalid  RefusalKind = "invalid"  // it does not have the right form
)

// A Refusal is the error of an input that was not accepted. Nothing of it is
// in effect.
type Refusal struct {
	Kind   RefusalKind
	Detail string // what was expected, what came, and what to do
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s (%s)", r.Detail, r.Kind) }

// Refuse makes a Refusal.
func Refuse(kind RefusalKind, format string, args ...any) *Refusal {
	return &Refusal{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
