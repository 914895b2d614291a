package agent

import (
	"encoding/json"
	"time"
)

// An Agent is a named planner with its tools and rules. It is declared by the
// program and not changed once an orchestrator has it.
type Agent struct {
	Name        string // letters, digits, _ and -; at most 64
	Description string // what it is for, for people and for other agents
	Planner     Planner
	Tools       []*Tool
	Limits      Limits
	OnMessage   OnMessage     // what to do when the user writes in the middle of a turn
	CloseAfter  time.Duration // how long a run may be idle before it is done; 0 means 30 days

	// Delegates are agents to which it may give a task: each task is a run of its
	// own, with its own conversation, and its result comes back. Handoffs are
	// agents with which the same run may go on in its stead. Both may form cycles.
	// An orchestrator that has an agent has these, too.
	Delegates []*Agent
	Handoffs  []*Agent

	// Input is the JSON Schema, of an object, of the tasks that it takes as a delegate;
	// nil takes text. With it the first message of such a task is always the whole
	// object, as JSON. A conversation that is begun with it may begin in any way.
	Input json.RawMessage

	// Sees is what it is shown of a conversation that is handed to it.
	Sees Sees
	// Outlives says that a task of it goes on when the run that gave it ends before;
	// otherwise it is cancelled then.
	Outlives bool
	// Operators may answer what Fermata asks by itself: what became of a call, and
	// whether to go on at a limit; and what to do about a failure, where the planner
	// asks that of nobody else. As in Ask.For; none means anybody.
	Operators []string
}

// Sees says what an agent is shown of a conversation that is handed to it. What
// happens from then on it sees all of.
type Sees string

const (
	SeesAll   Sees = ""      // all of it
	SeesWords Sees = "words" // what the user and the agents before said, without calls, results and notes
	SeesTurn  Sees = "turn"  // all from the last message of the user on
)

// OnMessage says what becomes of a user's message that arrives while a turn is
// going on.
type OnMessage string

const (
	Queue     OnMessage = ""          // it is taken up at the next move
	Interrupt OnMessage = "interrupt" // running calls are cancelled, open asks withdrawn, and the planner sees it now
	Reject    OnMessage = "reject"    // it is refused; the user may write again when the turn is over
)

// Limits bound what an agent may spend. A zero field takes the default; a
// negative one is no limit. A user's message that is taken up begins a turn and
// so a new allowance per turn.
type Limits struct {
	TurnSteps  int           // moves per turn; default 50, and none where the planner is a Definer: its definition bounds it
	TurnTokens int           // per turn, with what its delegates have used; default none
	TurnTime   time.Duration // of planning and acting per turn, not of waiting for people or for a model that is down; default none
	RunSteps   int           // default none
	RunTokens  int           // default none
	RunTime    time.Duration // as TurnTime, over the whole run; default none

	// Handoffs is how often a run may be handed off in one turn; one more is refused,
	// and the planner told so. Default 10.
	Handoffs int

	// OnReached says what happens at a limit: AskPerson (the default) opens an
	// ask whether to go on with the same allowance again, as often as it was overrun
	// by then; EndTurn ends the turn.
	OnReached OnReached
}

// OnReached says what happens when a limit is reached.
type OnReached string

const (
	AskPerson OnReached = ""         // ask whether to go on
	EndTurn   OnReached = "end-turn" // end the turn, saying why
)

// A Status says what a run is doing.
type Status string

const (
	StatusPlanning  Status = "planning"  // the planner is being asked, or will be at a known time
	StatusActing    Status = "acting"    // calls are running, or will be at a known time
	StatusWaiting   Status = "waiting"   // for a person, an event or a time
	StatusIdle      Status = "idle"      // the turn is over; the user may write
	StatusStuck     Status = "stuck"     // it cannot go on by itself: the reason says why, and a person may retry or cancel
	StatusDone      Status = "done"      // ended: finished
	StatusFailed    Status = "failed"    // ended: the planner gave up
	StatusCancelled Status = "cancelled" // ended: cancelled
)

// Ended reports whether the run is over for good.
func (s Status) Ended() bool { return s == StatusDone || s == StatusFailed || s == StatusCancelled }

// Resting reports whether nothing will happen until somebody outside does
// something or an awaited time comes.
func (s Status) Resting() bool {
	return s == StatusWaiting || s == StatusIdle || s == StatusStuck || s.Ended()
}
