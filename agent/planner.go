package agent

import (
	"context"
	"encoding/json"
	"time"
)

// A Planner chooses what a run does next. It is safe for use by many
// goroutines and holds no run's state: any worker can plan for any run.
type Planner interface {
	// Plan chooses the next move. It may ask a model; it must not act on the
	// world. Words go to emit as they come. An error marked with [Transient] is
	// tried again later, for as long as it takes; any other parks the run as
	// stuck, for a person to look at.
	Plan(ctx context.Context, v *View, emit func(Delta)) (*Move, error)
}

// PlannerFunc is a Planner that is a function.
type PlannerFunc func(ctx context.Context, v *View, emit func(Delta)) (*Move, error)

// Plan calls f.
func (f PlannerFunc) Plan(ctx context.Context, v *View, emit func(Delta)) (*Move, error) {
	return f(ctx, v, emit)
}

// A Briefer is a Planner with instructions. Brief is called at the start of
// each turn, and what it returns is recorded and shown to Plan until the next.
type Briefer interface {
	Brief(ctx context.Context, v *View) (string, error)
}

// A View is what a planner is shown. It is shared and must not be changed.
type View struct {
	Run          RunID
	Agent        string
	User         User
	Meta         map[string]string
	Instructions string                     // as briefed at the start of the turn
	Messages     []*Message                 // the conversation, with all that has happened up to now
	News         []News                     // what has happened since the planner's last move
	Keys         map[string]json.RawMessage // what the planner has saved
	Tools        []*Tool                    // the agent's
	Open         []OpenAction               // actions that have not ended
	Turn         int                        // from 1
	Steps        int                        // moves made in this turn
	Attempt      int                        // of this move, from 1
	Now          time.Time                  // of the store's clock
}

// News is something that happened: one of its fields is set.
type News struct {
	Message *Message `json:"message,omitempty"` // the user wrote
	Closed  *Closed  `json:"closed,omitempty"`  // an action ended
}

// Closed says how an action ended.
type Closed struct {
	Action  ActionID        `json:"action"`
	Name    string          `json:"name,omitempty"` // the action's own name, or its tool's
	CallID  string          `json:"call_id,omitempty"`
	Outcome Outcome         `json:"outcome"`
	Content json.RawMessage `json:"content,omitempty"`
	Blob    string          `json:"blob,omitempty"` // as in Result
	By      User            `json:"by,omitzero"`    // who answered, where a person did
}

// OpenAction is an action that has not ended.
type OpenAction struct {
	ID     ActionID
	Action Action
	State  Outcome // Pending or Unknown
	Ask    AskID   // the open ask, if any
}

// A Move is what a planner answers. A move without actions, Finish or Fail
// ends the turn.
type Move struct {
	Message *Message                   // what is said, with the calls it makes; nil says nothing
	Actions []Action                   // what is to be done, all at once
	Keys    map[string]json.RawMessage // changes to the saved keys; null deletes one
	Output  json.RawMessage            // the turn's structured result, if there is one
	Again   Again                      // when to plan again while actions are open
	Usage   Usage
	Model   string // which model answered

	// Finish says that the run is done, Fail that it has failed, and why. Open
	// actions are withdrawn. If the user wrote what the planner had not seen, the run
	// does not end yet, and the planner is asked once more.
	Finish bool
	Fail   string
}

// Again says when a planner is asked again.
type Again string

const (
	WhenAllClosed Again = ""     // when all actions of the move have ended
	AtEachClosing Again = "each" // whenever one has ended
)

// An ActionKind says what an action does.
type ActionKind string

const (
	ActCall   ActionKind = "call"   // call a tool
	ActAsk    ActionKind = "ask"    // ask a person
	ActWait   ActionKind = "wait"   // wait for a signal, a time, or whichever comes first
	ActEmit   ActionKind = "emit"   // tell watchers something; ends at once
	ActCancel ActionKind = "cancel" // withdraw an open action; ends at once
)

// An Action is one thing that a move asks for. Which fields count depends on
// Kind.
type Action struct {
	Kind   ActionKind `json:"kind"`
	Name   string     `json:"name,omitempty"`    // call: the tool; wait: the signal, "" to wait for the time alone; emit: the event
	CallID string     `json:"call_id,omitempty"` // the call in the move's message that this stands for; "" if there is none

	// Args are a call's arguments or an emitted event's data. Empty with a CallID
	// means the arguments as they stand in the message.
	Args json.RawMessage `json:"args,omitempty"`

	Ask    *Ask          `json:"ask,omitempty"`     // ask: the question
	Within time.Duration `json:"within,omitempty"`  // wait: how long at most; 0 has no limit
	Target ActionID      `json:"target,omitempty"`  // cancel: which one
	Refuse string        `json:"refused,omitempty"` // call: why it cannot be done; it ends at once as failed and the planner sees this
}
