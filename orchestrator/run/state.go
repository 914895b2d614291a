package run

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// State is what a run's log says, folded. Make one with [New], and change it
// only by [State.Apply]; read its fields freely.
type State struct {
	Run     agent.RunID       `json:"run"`
	Agent   string            `json:"agent"`
	First   string            `json:"first,omitempty"` // the agent with which it began, if it was handed off since
	User    agent.User        `json:"user,omitzero"`
	Meta    map[string]string `json:"meta,omitempty"`
	Title   string            `json:"title,omitempty"` // the beginning of the first message
	Created time.Time         `json:"created"`

	Deadline time.Time `json:"deadline,omitzero"` // it ends then, whatever it does; zero has none
	Parent   *Parent   `json:"parent,omitempty"`  // nil for a root

	Seq  int64          `json:"seq"`  // of the last record folded
	ID   agent.RecordID `json:"id"`   // of the last record folded
	Time time.Time      `json:"time"` // of the last record folded

	Terms        Terms                      `json:"terms"`
	Instructions string                     `json:"instructions,omitempty"`
	Definition   string                     `json:"definition,omitempty"` // the blob by which the agent's planner goes; "" if there is none, or no turn of the agent has begun
	Turn         Turn                       `json:"turn"`
	Spent        Spent                      `json:"spent"` // over the whole run
	Plan         PlanState                  `json:"plan"`
	Open         []*Open                    `json:"open,omitempty"` // actions that have not ended, the oldest first
	News         []News                     `json:"news,omitempty"` // what no move has taken up yet, in order
	Owed         []Owed                     `json:"owed,omitempty"` // calls of the last message whose results no planner was shown
	Keys         map[string]json.RawMessage `json:"keys,omitempty"` // what the planner has saved
	Signals      []Kept                     `json:"signals,omitempty"`
	Outbox       []*Letter                  `json:"outbox,omitempty"`     // what other runs have yet to be told, one letter for each
	Left         []Left                     `json:"left,omitempty"`       // delegates that were called off and have not ended yet
	Told         Report                     `json:"told,omitzero"`        // what the parent was last told, or will be
	Handed       bool                       `json:"handed,omitempty"`     // it was handed off, and the agent has not begun
	Subscribed   []Subscription             `json:"subscribed,omitempty"` // the waits that mailboxes were told of, or will be
	Mailbox      *Mailbox                   `json:"mailbox,omitempty"`    // of a run that is one
	LimitAsk     *agent.Ask                 `json:"limit_ask,omitempty"`
	Stuck        *Stuck                     `json:"stuck,omitempty"`
	Ending       *End                       `json:"ending,omitempty"` // how the run ends once its last action has ended
	Ended        bool                       `json:"ended,omitempty"`

	Claim   string                 `json:"claim,omitempty"`   // the last claim that the log tells of
	Seen    map[string]string      `json:"seen,omitempty"`    // idempotency keys of inputs, with what they stand for
	Asked   map[agent.AskID]AskEnd `json:"asked,omitempty"`   // asks that are closed, and how
	Decided []Decided              `json:"decided,omitempty"` // their late truth still matters

	Took map[agent.ActionID]agent.RecordID `json:"took,omitempty"` // waits that a mailbox's signal has ended, with the mailbox's record of it

	messages []*agent.Message
	shown    []*agent.Message // what the agent is shown of messages; nil: all
	blind    bool             // folded from a snapshot: the words before it are not known
}

// Terms are an agent's rules as they were when a turn began.
type Terms struct {
	TurnSteps  int             `json:"turn_steps,omitempty"`  // 0: no limit, here and below
	TurnTokens int             `json:"turn_tokens,omitempty"` //
	TurnTime   time.Duration   `json:"turn_time,omitempty"`
	RunSteps   int             `json:"run_steps,omitempty"`
	RunTokens  int             `json:"run_tokens,omitempty"`
	RunTime    time.Duration   `json:"run_time,omitempty"`
	OnReached  agent.OnReached `json:"on_reached,omitempty"`
	OnMessage  agent.OnMessage `json:"on_message,omitempty"`
	CloseAfter time.Duration   `json:"close_after,omitempty"` // 0: never
	Handoffs   int             `json:"handoffs,omitempty"`    // in a turn; 0: no limit
	Sees       agent.Sees      `json:"sees,omitempty"`
	Operators  []string        `json:"operators,omitempty"` // who answers outcomes and limits; none: anybody
}

// The defaults of an agent's rules.
const (
	DefaultTurnSteps  = 50
	DefaultCloseAfter = 30 * 24 * time.Hour
	DefaultTimeout    = time.Minute // of a tool
	DefaultHandoffs   = 10
)

// TermsOf returns the agent's rules in a run of a user, with the defaults filled in.
// Of its operators one whom nobody knows is none: an ask for them would be for nobody.
func TermsOf(a *agent.Agent, user agent.User) Terms {
	t := Terms{
		TurnSteps: a.Limits.TurnSteps, TurnTokens: max(a.Limits.TurnTokens, 0), TurnTime: max(a.Limits.TurnTime, 0),
		RunSteps: max(a.Limits.RunSteps, 0), RunTokens: max(a.Limits.RunTokens, 0), RunTime: max(a.Limits.RunTime, 0),
		OnReached: a.Limits.OnReached, OnMessage: a.OnMessage, CloseAfter: a.CloseAfter,
		Handoffs: a.Limits.Handoffs, Sees: a.Sees, Operators: a.Operators,
	}
	if _, bounded := a.Planner.(agent.Definer); t.TurnSteps == 0 && !bounded {
		t.TurnSteps = DefaultTurnSteps
	}
	if t.CloseAfter == 0 {
		t.CloseAfter = DefaultCloseAfter
	}
	if t.Handoffs == 0 {
		t.Handoffs = DefaultHandoffs
	}
	if user.ID == "" && slices.Contains(t.Operators, agent.TheUser) {
		t.Operators = slices.DeleteFunc(slices.Clone(t.Operators), func(o string) bool { return o == agent.TheUser })
	}
	t.TurnSteps, t.CloseAfter, t.Handoffs = max(t.TurnSteps, 0), max(t.CloseAfter, 0), max(t.Handoffs, 0)
	return t
}

// Turn is the turn that goes on, or the last one.
type Turn struct {
	N      int             `json:"n"` // from 1; 0 before the first
	Open   bool            `json:"open,omitempty"`
	Began  int64           `json:"began"`            // Seq of the record that began it
	Steps  int             `json:"steps,omitempty"`  // moves
	Usage  agent.Usage     `json:"usage,omitzero"`   // of all its moves, and of the delegates that ended in it
	Active time.Duration   `json:"active,omitempty"` // time spent planning and acting
	Extra  int             `json:"extra,omitempty"`  // how many times a person allowed more
	Hands  int             `json:"hands,omitempty"`  // hand-offs
	Bad    int             `json:"bad,omitempty"`    // moves in a row of which every call was refused
	Halted string          `json:"halted,omitempty"` // why it was ended before the planner ended it
	Output json.RawMessage `json:"output,omitempty"` // its structured result
	Trace  string          `json:"trace,omitempty"`  // W3C traceparent of its span, for whoever drives it on
}

// Spent is what a run has used.
type Spent struct {
	Steps int         `json:"steps,omitempty"`
	Usage agent.Usage `json:"usage,omitzero"`
	Extra int         `json:"extra,omitempty"` // how many times a person allowed more

	Active time.Duration `json:"active,omitempty"` // time spent planning and acting
}

// PlanState is how the asking of the planner stands.
type PlanState struct {
	// Slot is the Seq of the record that made all earlier planning void: the last
	// move, an interruption, a cancellation. A move whose basis is before it has
	// no effect.
	Slot      int64       `json:"slot"`
	Attempt   int         `json:"attempt,omitempty"` // failed ones
	NotBefore time.Time   `json:"not_before,omitzero"`
	Error     string      `json:"error,omitempty"` // of the last attempt
	LastMove  int64       `json:"last_move,omitempty"`
	Again     agent.Again `json:"again,omitempty"`
}

// News is something that no move has taken up yet: one of Message, Closed and
// Note is set, or none for the bare start of a run, and for one that was handed off or
// redefined.
// In a snapshot their words are left out.
type News struct {
	Seq     int64          `json:"seq"`
	ID      agent.RecordID `json:"id"`
	Kind    string         `json:"kind"` // message, closed, note, start, handoff, redefined
	Message *agent.Message `json:"-"`
	Closed  *agent.Closed  `json:"-"`
	Note    string         `json:"-"`
	Action  agent.ActionID `json:"action,omitempty"` // of Closed
	Trace   string         `json:"trace,omitempty"`  // of Message, or of the bare start
	Quiet   bool           `json:"quiet,omitempty"`  // nothing that its planner has to be asked about by itself

	stages []stage // how the closed action stood before
}

// Owed is a call of the last message whose result no planner was shown yet.
type Owed struct {
	CallID string         `json:"call_id"`
	Name   string         `json:"name"`
	Action agent.ActionID `json:"action"` // "" if nothing was done for it
}

// Decided is an attempt of a begun call whose outcome was unknown, and about
// which somebody decided without its result.
type Decided struct {
	Action  agent.ActionID `json:"action"`
	Attempt int            `json:"attempt"`
	CallID  string         `json:"call_id,omitempty"`
	Name    string         `json:"name"`
}

// Kept is a signal that nothing waited for when it came.
type Kept struct {
	Seq  int64           `json:"seq"`
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
	By   agent.User      `json:"by,omitzero"`
	Key  string          `json:"key,omitempty"` // the idempotency key under which it came
}

// End is how a run ends.
type End struct {
	Status  agent.Status `json:"status"`
	Reason  string       `json:"reason,omitempty"`
	By      agent.User   `json:"by,omitzero"`
	Expired bool         `json:"expired,omitempty"` // its deadline has passed
}

// AskEnd is how an ask was closed.
type AskEnd struct {
	How    string    `json:"how"` // answered, expired (also where a default was taken), withdrawn
	By     string    `json:"by,omitempty"`
	Digest string    `json:"digest,omitempty"` // of the answer
	At     time.Time `json:"at"`
}

// Phase is where an open action stands.
type Phase string

const (
	Held     Phase = "held"     // a call that waits for approval
	Ready    Phase = "ready"    // a call that should be going on, from NotBefore on
	Begun    Phase = "begun"    // a Once call that was made: its outcome is awaited
	Lost     Phase = "lost"     // a begun call whose outcome is unknown: Reconcile should be going on
	Doubted  Phase = "doubted"  // a begun call whose outcome is unknown: a person is asked
	Asking   Phase = "asking"   // an ask that is open
	Awaiting Phase = "awaiting" // a wait for a signal or a time
	Afield   Phase = "afield"   // a task that is another run's
)

// Open is an action that has not ended.
type Open struct {
	ID        agent.ActionID  `json:"id"`
	Seq       int64           `json:"seq"` // of the move that asked for it
	Action    Action          `json:"action"`
	Phase     Phase           `json:"phase"`
	Args      json.RawMessage `json:"args,omitempty"`    // of a call, as they will be used
	Digest    string          `json:"digest,omitempty"`  // of Args, where a person approved them
	Editor    *agent.User     `json:"editor,omitempty"`  // who has changed the arguments, if somebody has
	Edited    bool            `json:"edited,omitempty"`  // with Editor: the planner is told so
	Planned   json.RawMessage `json:"planned,omitempty"` // with Editor: the planner's own arguments
	Attempt   int             `json:"attempt,omitempty"`
	NotBefore time.Time       `json:"not_before,omitzero"`
	Claim     string          `json:"claim,omitempty"`   // who began it
	Deadline  time.Time       `json:"deadline,omitzero"` // when a begun call has ended by
	Stopped   agent.Outcome   `json:"stopped,omitempty"` // it is no longer wanted: Cancelled or Superseded, once its outcome is known
	Doubt     string          `json:"doubt,omitempty"`   // why the outcome is unknown
	Crashed   bool            `json:"crashed,omitempty"` // the doubt comes from a lost worker, not from an error of the call
	Tries     int             `json:"tries,omitempty"`   // of Reconcile
	Ask       *agent.Ask      `json:"ask,omitempty"`     // the open ask
	Due       time.Time       `json:"due,omitzero"`      // of a wait or a delegation
	Agent     string          `json:"agent,omitempty"`   // whose planner asked for it, if the run was handed off since
	Child     agent.RunID     `json:"child,omitempty"`   // the delegate's run
	Heard     int64           `json:"heard,omitempty"`   // number of the delegate's last letter
	Stands    Report          `json:"stands,omitzero"`   // what that said; zero: it goes on

	stages []stage // how it stood, as long as its call is owed a result
}

// Action is an action as admitted: what the planner asked for, and the terms
// that were resolved for it.
type Action struct {
	agent.Action
	Effect   agent.Effect    `json:"effect,omitempty"`
	Timeout  time.Duration   `json:"timeout,omitempty"`
	Attempts int             `json:"attempts,omitempty"` // in all; 0 is 1
	Backoff  time.Duration   `json:"backoff,omitempty"`  // the first wait
	MaxWait  time.Duration   `json:"max_wait,omitempty"` // the longest
	Lookup   bool            `json:"lookup,omitempty"`   // its tool has Reconcile
	Outlives bool            `json:"outlives,omitempty"` // a delegate goes on when the run ends
	Whole    bool            `json:"whole,omitempty"`    // a delegate is told the whole of the arguments
	Approval string          `json:"approval,omitempty"` // why a person has to approve; "" if not. Ask has the rest
	Schema   json.RawMessage `json:"schema,omitempty"`   // with Approval: of the arguments
	Output   json.RawMessage `json:"result,omitempty"`   // schema of a result that a person gives: with Approval, or of a call whose outcome may be unknown
}

// unknown reports whether nobody knows what became of the action.
func (o *Open) unknown() bool { return o.Phase == Lost || o.Phase == Doubted }

// resting reports whether the action waits for a person, an event or a time,
// or is no longer wanted, so that nothing of it holds up the planner.
func (o *Open) resting() bool {
	switch o.Phase {
	case Held, Doubted, Asking, Awaiting:
		return true
	case Begun, Lost:
		return o.Stopped != ""
	case Afield:
		return o.Stands.Status.Resting()
	}
	return false
}

// going reports whether something of the action goes on.
func (o *Open) going() bool {
	switch o.Phase {
	case Ready, Begun, Lost:
		return true
	}
	return o.Phase == Afield && !o.resting()
}

// New returns the state of a run that has no records yet.
func New(id agent.RunID) *State { return &State{Run: id} }

// Status says what the run is doing.
func (s *State) Status() agent.Status {
	switch {
	case s.Ended:
		return s.Ending.Status
	case s.Stuck != nil:
		return agent.StatusStuck
	case s.Mailbox != nil:
		return s.mailStatus()
	case s.wantsPlan():
		return agent.StatusPlanning
	}
	switch {
	case s.acts():
		return agent.StatusActing
	case s.repair() != nil:
		return agent.StatusStuck
	case len(s.Open) > 0 || s.LimitAsk != nil:
		return agent.StatusWaiting
	}
	return agent.StatusIdle
}

// acts reports whether something of an action goes on.
func (s *State) acts() bool {
	for _, o := range s.Open {
		if o.going() {
			return true
		}
	}
	return false
}

// Reason says why the run is stuck, or how it ended, or which delegate of it is
// stuck, or why its turn was ended.
func (s *State) Reason() string {
	if ask := s.repair(); ask != nil {
		return firstOf(cut(ask.Prompt, maxReason), "something failed, and it is asked what is to be done")
	}
	switch {
	case s.Ended:
		return s.Ending.Reason
	case s.Stuck != nil:
		return s.Stuck.Reason
	case s.Plan.Error != "":
		return s.Plan.Error
	}
	if why := s.stuckDelegate(); why != "" {
		return why
	}
	return s.Turn.Halted
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Action returns the open action with this id, or nil.
func (s *State) Action(id agent.ActionID) *Open {
	for _, o := range s.Open {
		if o.ID == id {
			return o
		}
	}
	return nil
}

// Asks returns the open asks, in the order of their actions. They are shared
// and must not be changed.
func (s *State) Asks() []*agent.Ask {
	var asks []*agent.Ask
	for _, o := range s.Open {
		if o.Ask != nil {
			asks = append(asks, o.Ask)
		}
	}
	if s.LimitAsk != nil {
		asks = append(asks, s.LimitAsk)
	}
	return asks
}

// Messages returns the conversation as taken up by moves so far. It is nil in a
// state that was restored from a snapshot. It is shared and must not be changed.
func (s *State) Messages() []*agent.Message { return s.messages[:len(s.messages):len(s.messages)] }
