package run

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// JobKind says what a job does.
type JobKind string

const (
	JobBegin  JobKind = "begin"  // begin a turn: terms and instructions
	JobPlan   JobKind = "plan"   // ask the planner
	JobCall   JobKind = "call"   // call a tool
	JobLookup JobKind = "lookup" // ask a tool's Reconcile

	JobDeliver JobKind = "deliver" // tell another run what is in the outbox for it
)

// A Job is something that should be going on right now. Two jobs are the same
// if their keys are.
type Job struct {
	Kind    JobKind
	Slot    int64 // begin and plan: State.Plan.Slot
	Attempt int   // from 1
	Action  agent.ActionID
	Open    *Open       // the action, where there is one; not part of what names the job
	To      agent.RunID // deliver: the other run
	N       int64       // deliver: of the letter
	// Definition is the blob by which the planner goes; "" if that has yet to be said.
	Definition string
	// Begun says that the call was begun already. Who has it running lets it go
	// on; anybody else must not make it.
	Begun bool
}

// JobKey names a job.
type JobKey string

// Key returns the job's name. Begin and plan share one: a run is planned for
// once at a time.
func (j Job) Key() JobKey {
	switch j.Kind {
	case JobBegin, JobPlan:
		return JobKey("plan/" + strconv.FormatInt(j.Slot, 10) + "/" + strconv.Itoa(j.Attempt))
	case JobDeliver:
		return JobKey("deliver/" + string(j.To) + "/" + strconv.FormatInt(j.N, 10) + "/" + strconv.Itoa(j.Attempt))
	case JobLookup:
		return JobKey("lookup/" + string(j.Action) + "/" + strconv.Itoa(j.Attempt))
	}
	return JobKey("call/" + string(j.Action) + "/" + strconv.Itoa(j.Attempt))
}

// Due returns all jobs that should be going on at now. It is level-triggered:
// whoever drives the run starts what it does not have running.
func (s *State) Due(now time.Time) []Job {
	var jobs []Job
	for _, l := range s.Outbox {
		if !l.NotBefore.After(now) {
			jobs = append(jobs, Job{Kind: JobDeliver, To: l.To, N: l.N, Attempt: l.Tries + 1})
		}
	}
	if s.Ended || s.quarantined() {
		return jobs
	}
	for _, o := range s.Open {
		switch {
		case o.Phase == Ready && !o.NotBefore.After(now):
			jobs = append(jobs, Job{Kind: JobCall, Action: o.ID, Open: o, Attempt: o.Attempt})
		case o.Phase == Begun && o.Stopped == "":
			jobs = append(jobs, Job{Kind: JobCall, Action: o.ID, Open: o, Attempt: o.Attempt, Begun: true})
		case o.Phase == Lost && !o.NotBefore.After(now):
			jobs = append(jobs, Job{Kind: JobLookup, Action: o.ID, Open: o, Attempt: o.Tries + 1})
		}
	}
	if s.wantsPlan() && !s.Plan.NotBefore.After(now) && s.limit(now) == nil {
		j := Job{Kind: JobPlan, Slot: s.Plan.Slot, Attempt: s.Plan.Attempt + 1, Definition: s.Definition}
		if s.needsTurn() {
			j.Kind = JobBegin
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// Wanted reports whether a job that is running may go on. Planning goes on
// until something makes it void, even if it would not be started now: what has
// happened meanwhile is news for the next move. So does a call that was begun, also
// in quarantine: to stop it would leave its outcome unknown.
func (s *State) Wanted(j Job) bool {
	if j.Kind == JobDeliver {
		l := s.LetterTo(j.To)
		return l != nil && l.N == j.N && l.Tries+1 == j.Attempt
	}
	o := s.Action(j.Action)
	switch j.Kind {
	case JobBegin, JobPlan:
		return j.Slot == s.Plan.Slot && j.Attempt == s.Plan.Attempt+1 && s.mayPlan()
	case JobLookup:
		return o != nil && o.Phase == Lost && o.Tries+1 == j.Attempt && !s.quarantined()
	}
	return o != nil && o.Attempt == j.Attempt && o.Stopped == "" && (o.Phase == Begun || o.Phase == Ready && !s.quarantined())
}

func (s *State) quarantined() bool { return s.Stuck != nil && s.Stuck.Quarantine }

// mayPlan reports whether nothing forbids to ask the planner.
func (s *State) mayPlan() bool {
	return !s.Ended && s.Ending == nil && s.Stuck == nil && s.LimitAsk == nil && s.Turn.Halted == ""
}

// wantsPlan reports whether the planner is to be asked: there is news, and
// nothing that it has to wait for.
func (s *State) wantsPlan() bool {
	if !s.mayPlan() || !slices.ContainsFunc(s.News, func(n News) bool { return !n.Quiet }) {
		return false
	}
	if s.Plan.Again == agent.AtEachClosing || s.has("redefined") {
		return true
	}
	wrote := s.wrote()
	for _, o := range s.Open {
		// Of what its last move asked for, the planner is told when all has ended;
		// unless the user wrote, and all that is open may take long.
		if !o.resting() || !wrote && o.Seq == s.Plan.LastMove && o.Stopped == "" {
			return false
		}
	}
	return true
}

// wrote reports whether there is a message of the user that no move has taken up.
func (s *State) wrote() bool { return s.has("message") }

// has reports whether there is news of a kind that no move has taken up.
func (s *State) has(kind string) bool {
	return slices.ContainsFunc(s.News, func(n News) bool { return n.Kind == kind })
}

// needsTurn reports whether terms and instructions are needed before the planner
// is asked: a turn has to begin, or another agent goes on with it.
func (s *State) needsTurn() bool { return s.Handed || s.beginsTurn() }

// beginsTurn reports whether a turn has to begin before the planner is asked:
// there is none, or all that it would be asked about is a new message and what
// came with it.
func (s *State) beginsTurn() bool {
	if !s.Turn.Open {
		return true
	}
	wrote := false
	for i := range s.News {
		if s.News[i].Kind == "message" && s.News[i].Seq > s.Turn.Began {
			wrote = true
		} else if s.News[i].Kind != "closed" && s.News[i].Seq <= s.Turn.Began {
			return false
		}
	}
	return wrote
}

// Overdue returns the first of the events that the clock, or a claim that
// differs from the log's, makes due, or nil. Whoever appends an input appends
// these first, one after the other: so an answer that comes after its due time
// finds the expiry in the log. What jobs gave is appended before: a result that
// is here wins over its deadline. claim is empty for who holds none.
func (s *State) Overdue(now time.Time, claim string) Event {
	if s.Ended {
		return nil
	}
	if now.Before(s.Time) {
		now = s.Time
	}
	if at, e := s.nextLapse(); e != nil && !at.After(now) {
		return e
	}
	if claim != "" && claim != s.Claim {
		for _, o := range s.Open {
			if o.Phase == Begun && o.Claim != claim {
				return &TookOver{Claim: claim}
			}
		}
	}
	if s.wantsPlan() {
		if l := s.limit(now); l != nil {
			return l
		}
	}
	return nil
}

// nextLapse returns what lapses first, and when.
func (s *State) nextLapse() (time.Time, Event) {
	var at time.Time
	var first Event
	consider := func(t time.Time, e Event) {
		if !t.IsZero() && (first == nil || t.Before(at)) {
			at, first = t, e
		}
	}
	for _, a := range s.Asks() {
		consider(a.Due, &Lapsed{Ask: a.ID})
		consider(a.RemindAt, &Reminded{Ask: a.ID})
	}
	for _, o := range s.Open {
		switch {
		case o.Phase == Awaiting, o.Phase == Afield:
			consider(o.Due, &Lapsed{Wait: o.ID})
		case o.Phase == Begun && o.Claim != s.Claim:
			consider(o.Deadline, &Lapsed{Call: o.ID, Attempt: o.Attempt})
		}
	}
	if s.Ending == nil {
		consider(s.Deadline, &Lapsed{Deadline: true})
	}
	if s.Mailbox != nil {
		for _, p := range s.Mailbox.Kept {
			consider(p.Until, &Lapsed{Signal: p.ID})
		}
	}
	if s.Status() == agent.StatusIdle && s.Terms.CloseAfter > 0 {
		consider(s.Time.Add(s.Terms.CloseAfter), &Lapsed{})
	}
	return at, first
}

// Wake returns when the run next wants attention by itself; the zero time if
// never. A time that has passed means now.
func (s *State) Wake() time.Time { return s.WakeAfter(time.Time{}) }

// WakeAfter returns the first time after t at which something becomes due by
// itself; the zero time if nothing does.
func (s *State) WakeAfter(t time.Time) time.Time {
	var wake time.Time
	for _, at := range s.wakes() {
		if at.Before(s.Time) {
			at = s.Time
		}
		if at.After(t) && (wake.IsZero() || at.Before(wake)) {
			wake = at
		}
	}
	return wake
}

// wakes returns all times at which something becomes due by itself.
func (s *State) wakes() []time.Time {
	var times []time.Time
	for _, l := range s.Outbox {
		times = append(times, l.NotBefore)
	}
	if s.Ended || s.quarantined() {
		return times
	}
	if at, e := s.nextLapse(); e != nil {
		times = append(times, at)
	}
	for _, o := range s.Open {
		switch o.Phase {
		case Ready, Lost:
			times = append(times, o.NotBefore)
		case Begun:
			times = append(times, o.Deadline)
		}
	}
	switch {
	case !s.wantsPlan():
	case s.limit(s.Time) != nil:
		times = append(times, s.Time)
	default:
		times = append(times, s.Plan.NotBefore)
		for _, l := range s.clocks() {
			if l.most > 0 {
				times = append(times, s.activeFrom().Add(max(l.most-l.active, 0)))
			}
		}
	}
	return times
}

// limit returns the first limit that is reached at now, or nil.
func (s *State) limit(now time.Time) *Limited {
	turn, run := 1+s.Turn.Extra, 1+s.Spent.Extra
	if s.beginsTurn() { // its own allowance is a new one
		turn = 0
	}
	counts := []struct {
		name      string
		used, max int
	}{
		{"turn_steps", s.Turn.Steps, s.Terms.TurnSteps * turn},
		{"turn_tokens", s.Turn.Usage.Total(), s.Terms.TurnTokens * turn},
		{"run_steps", s.Spent.Steps, s.Terms.RunSteps * run},
		{"run_tokens", s.Spent.Usage.Total(), s.Terms.RunTokens * run},
	}
	for _, c := range counts {
		if c.max > 0 && c.used >= c.max {
			return &Limited{Limit: c.name, Used: fmt.Sprint(c.used), Max: fmt.Sprint(c.max)}
		}
	}
	for _, c := range s.clocks() {
		if active := c.active + max(now.Sub(s.activeFrom()), 0); c.most > 0 && active >= c.most {
			return &Limited{Limit: c.name, Used: active.Round(time.Millisecond).String(), Max: c.most.String()}
		}
	}
	return nil
}

// timeLimit is how long something was active, and may be; most is 0 if that is
// not limited.
type timeLimit struct {
	name         string
	active, most time.Duration
}

// clocks returns the limits of time. A turn that has yet to begin has an
// allowance of its own.
func (s *State) clocks() []timeLimit {
	turn := time.Duration(1 + s.Turn.Extra)
	if s.beginsTurn() {
		turn = 0
	}
	return []timeLimit{
		{"turn_time", s.Turn.Active, s.Terms.TurnTime * turn},
		{"run_time", s.Spent.Active, s.Terms.RunTime * time.Duration(1+s.Spent.Extra)},
	}
}

// activeFrom returns from when on time counts as active, if the run is: a wait
// for the next attempt to ask the planner does not.
func (s *State) activeFrom() time.Time {
	if s.wantsPlan() && s.Plan.NotBefore.After(s.Time) {
		return s.Plan.NotBefore
	}
	return s.Time
}

// usedUp returns how many times the allowance of a limit was used, in whole.
func (s *State) usedUp(limit string) int {
	switch limit {
	case "turn_steps":
		return times(s.Turn.Steps, s.Terms.TurnSteps)
	case "turn_tokens":
		return times(s.Turn.Usage.Total(), s.Terms.TurnTokens)
	case "turn_time":
		return times(s.Turn.Active, s.Terms.TurnTime)
	case "run_steps":
		return times(s.Spent.Steps, s.Terms.RunSteps)
	case "run_tokens":
		return times(s.Spent.Usage.Total(), s.Terms.RunTokens)
	case "run_time":
		return times(s.Spent.Active, s.Terms.RunTime)
	}
	return 0
}

func times[T int | time.Duration](used, most T) int {
	if most <= 0 {
		return 0 // it is none any more
	}
	return int(used / most)
}

func isRunLimit(name string) bool { return strings.HasPrefix(name, "run_") }
