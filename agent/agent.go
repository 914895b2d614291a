package agent

import "time"

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
}

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
	TurnSteps  int           // moves per turn; default 50
	TurnTokens int           // per turn; default none
	TurnTime   time.Duration // of planning and acting per turn, not of waiting for people or for a model that is down; default none
	RunSteps   int           // default none
	RunTokens  int           // default none
	RunTime    time.Duration // as TurnTime, over the whole run; default none

	// OnReached says what happens at a limit: AskPerson (the default) opens an
	// ask whether to go on with the same allowance again; EndTurn ends the turn.
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
