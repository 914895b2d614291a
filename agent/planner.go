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

// A Definer is a Planner that goes by a definition: its bytes are kept with each run
// that begins under it, by their SHA-256, and shown to Plan as View.Definition for as
// long as the run lives, whatever the program's own definition is by then. A run
// that is handed off goes on by the definition of the agent that takes it over.
type Definer interface {
	// Definition returns the program's own definition. It is asked for often, and must
	// not be changed; an empty one is none.
	Definition() []byte
}

// A Vetter is a Planner that names tools or delegates of its agent. Vet is asked when
// an orchestrator is made, and says what is missing.
type Vetter interface {
	Vet(*Agent) error
}

// A View is what a planner is shown. It is shared and must not be changed.
type View struct {
	Run          RunID
	Agent        string
	User         User
	Meta         map[string]string
	Instructions string                     // as briefed at the start of the turn
	Messages     []*Message                 // the conversation, with all that has happened up to now
	Whole        []*Message                 // all of it up to the last move, where Agent.Sees shows less in Messages: the ids of its calls are taken; nil otherwise
	News         []News                     // what has happened since the planner's last move
	Keys         map[string]json.RawMessage // what the planner has saved
	Tools        []*Tool                    // the agent's, and so are the next two
	Delegates    []*Agent                   // to whom it may give a task
	Handoffs     []*Agent                   // with whom the run may go on
	Definition   []byte                     // by which the run goes, where the planner is a Definer; nil if it was none when the turn began
	Path         []Place                    // the runs from the root to this one; empty in a root
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
	Blob    string          `json:"blob,omitempty"`   // as in Result; a Definer is shown the whole in Content nonetheless
	Code    string          `json:"code,omitempty"`   // of the error of a call that failed: see Coded
	By      User            `json:"by,omitzero"`      // who answered, where a person did
	Answer  *Answer         `json:"answer,omitempty"` // what was answered, or taken by default, where that ended the action
	Edited  json.RawMessage `json:"edited,omitempty"` // as in Result
	Ref     string          `json:"ref,omitempty"`    // as in Action

	// Signal is the name of the signal that ended a wait, and SignalKey the idempotency
	// key under which it came; "" if it came without.
	Signal    string `json:"signal,omitempty"`
	SignalKey string `json:"signal_key,omitempty"`
	// Correlation is the correlation key to which the signal was posted; "" of one that
	// was sent to the run.
	Correlation string `json:"correlation,omitempty"`
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
	ActCall     ActionKind = "call"     // call a tool
	ActDelegate ActionKind = "delegate" // give a task to another agent, in a run of its own; ends with that run
	ActHandoff  ActionKind = "handoff"  // go on with another agent in this run; ends at once, and stands alone in its move
	ActAsk      ActionKind = "ask"      // ask a person
	ActWait     ActionKind = "wait"     // wait for a signal, a time, or whichever comes first
	ActEmit     ActionKind = "emit"     // tell watchers something; ends at once
	ActCancel   ActionKind = "cancel"   // withdraw an open action; ends at once
)

// AnySignal is the name of a wait for any signal. A signal goes to a wait of its own
// name, where one is open, and otherwise to the oldest wait for any. One that was kept
// as nothing waited for it ends such a wait when that is opened, the first of several
// before the others, unless a wait of its name is opened by the same move.
const AnySignal = "*"

// An Action is one thing that a move asks for. Which fields count depends on
// Kind.
type Action struct {
	Kind   ActionKind `json:"kind"`
	Name   string     `json:"name,omitempty"`    // call: the tool; delegate, handoff: the agent; wait: the signal, "*" for any that no other wait takes by its name, "" to wait for the time alone; emit: the event
	CallID string     `json:"call_id,omitempty"` // the call in the move's message that this stands for; "" if there is none

	// Args are a call's arguments, an emitted event's data, or a delegate's task: the
	// text of the field "task" if that is the object's only one, and otherwise the
	// object; always the object where the agent has an Input. Empty with a CallID means the arguments as they stand in the message.
	Args json.RawMessage `json:"args,omitempty"`

	// Key is of a wait for a signal: a correlation key. The wait then also takes a
	// signal of this name that was posted to the key (Orchestrator.Post), and not to
	// the run.
	Key string `json:"key,omitempty"`

	// Except are of a wait for any signal: the names of those that it does not take. They
	// are kept until a wait for them is opened.
	Except []string `json:"except,omitempty"`

	Ask    *Ask          `json:"ask,omitempty"`     // ask: the question; call: the approval to wait for, also where its tool asks for none
	Within time.Duration `json:"within,omitempty"`  // wait, delegate: how long at most; 0 has no limit
	Due    time.Time     `json:"due,omitzero"`      // wait, delegate: until when at most, to the microsecond; zero has no limit, and the earlier of both counts
	Target ActionID      `json:"target,omitempty"`  // cancel: which one
	Refuse string        `json:"refused,omitempty"` // call, delegate, handoff: why it cannot be done; it ends at once as failed and the planner sees this

	// Ref is the planner's own name of the action, of at most 256 bytes. It comes back
	// in Closed and in View.Open; nobody else looks at it. That a wait with a Ref was
	// withdrawn is no reason to ask the planner again.
	Ref string `json:"ref,omitempty"`
}
