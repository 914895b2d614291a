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
	AskForm     AskKind = "form"     // an object that fits Schema, to be filled in field by field
	AskOutcome  AskKind = "outcome"  // did this begun call take place? choices: happened, rerun, not-happened, give-up
	AskLimit    AskKind = "limit"    // a limit is reached; choices: continue, stop
	AskRepair   AskKind = "repair"   // something failed and nothing handles it: what is to be done? one of Choices
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

// Choices that a planner may give with an AskRepair, beside those of its own. Who
// retries a run answers its open asks that have RetryIt with that.
const (
	RetryIt = "retry" // do again what failed
	Skip    = "skip"  // go on as if it had been done; Answer.Value, if any, is what it gave
)

// An Ask is a question to a person. A planner sets Kind (AskQuestion, AskChoice,
// AskForm or AskRepair), Prompt, and as needed Schema, Choices and the fields from For
// to Remind. An approval rule sets Prompt, as the reason, and these fields. The rest is
// set when it is opened. An Ask that is open is never changed: another takes its place.
//
// The prompt of an AskRepair says what failed: while one is open and nothing else of
// its run goes on, the run is stuck, and that is the reason. It is for the agent's
// Operators, unless it says For whom it is.
type Ask struct {
	ID      AskID           `json:"id,omitempty"`
	Action  ActionID        `json:"action,omitempty"`
	Kind    AskKind         `json:"kind"`
	Prompt  string          `json:"prompt"`
	Choices []string        `json:"choices,omitempty"`
	Schema  json.RawMessage `json:"schema,omitempty"` // of Answer.Value: for a question or form of the answer, for an approval of edited arguments, with choices of what may be given beside one
	Output  json.RawMessage `json:"output,omitempty"` // schema of a result given in the tool's stead, or of what it gave

	Tool   string          `json:"tool,omitempty"`   // approval and outcome: which
	Args   json.RawMessage `json:"args,omitempty"`   // and with which arguments
	Digest string          `json:"digest,omitempty"` // of Args: what an approval approves

	// For are those who may answer, and Not those who may not: ids of users, groups
	// as "group:name", and [TheUser]. No For means anybody who is not in Not.
	For []string `json:"for,omitempty"`
	Not []string `json:"not,omitempty"`

	Within   time.Duration `json:"within,omitempty"`   // how long it may stay open; 0 has no limit
	Due      time.Time     `json:"due,omitzero"`       // when that is over; Within, if set, wins
	Escalate []Escalation  `json:"escalate,omitempty"` // who is asked when nobody has answered until then, one after the other
	Default  *Answer       `json:"default,omitempty"`  // taken at the last due time; nil lets it expire
	Remind   time.Duration `json:"remind,omitempty"`   // how often an event reminds of it; 0 never

	Agent     string    `json:"agent,omitempty"` // whose run asks
	User      User      `json:"user,omitzero"`   // on whose behalf
	Path      []Place   `json:"path,omitempty"`  // the runs from the root to the one that asks; empty in a root
	Opened    time.Time `json:"opened,omitzero"`
	Claimed   User      `json:"claimed,omitzero"`   // who has claimed it: nobody else may answer until it is released
	Delegated User      `json:"delegated,omitzero"` // who has last delegated it to For
	Note      string    `json:"note,omitempty"`     // what they said as they delegated it
	Stage     int       `json:"stage,omitempty"`    // how often it was escalated
	Reminded  int       `json:"reminded,omitempty"` // how often it was reminded of
	RemindAt  time.Time `json:"remind_at,omitzero"` // when it is reminded of next
}

// An Escalation is a step of an ask's chain: For are asked instead of those
// before them, for as long as Within (0 has no limit).
type Escalation struct {
	For    []string      `json:"for"`
	Within time.Duration `json:"within,omitempty"`
}

// TheUser stands in Ask.For and Ask.Not for the user on whose behalf the run goes
// on: in Not it makes sure that four eyes look at something. It is resolved when
// the ask is opened.
const TheUser = "@user"

// A Place is a run on the way from a root to one of its descendants.
type Place struct {
	Run   RunID  `json:"run"`
	Agent string `json:"agent"` // with which it began
}

// May reports whether u may answer. Whether somebody else has claimed it does not
// matter here.
func (a *Ask) May(u User) bool {
	return (len(a.For) == 0 || u.Among(a.For)) && (len(a.Not) == 0 || u.ID != "" && !u.Among(a.Not))
}

// Answer is a person's reply to an ask. An ask takes one: the same answer by the
// same person again is accepted without effect, any other is refused.
type Answer struct {
	By     User            `json:"by,omitzero"`
	Choice string          `json:"choice,omitempty"` // one of the ask's choices
	Value  json.RawMessage `json:"value,omitempty"`  // the answer to a question, edited arguments, a result
	Note   string          `json:"note,omitempty"`   // for the log, and for the planner beside Deny, a choice of its own, and what became of a begun call
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

	RefusedForbidden RefusalKind = "forbidden" // it is not theirs to do: the ask is for others
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
