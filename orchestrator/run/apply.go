package run

import (
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// Apply folds one more record into the state. It is total and deterministic:
// any event in any state has a defined outcome, and an event that does not fit
// any more changes nothing but the position and the clock.
//
//	Apply
//	├── input.go  started, messaged, signaled, cancelled, retried, redefined
//	├── ask.go    answered, assigned, reminded, and the lapse of an ask
//	├── family.go reported, delivered
//	├── turn.go   turnbegan, moved, planfailed, limited, stuck
//	├── mailbox.go, subscribe.go  a run that is a mailbox; mailed
//	├── call.go   began, returned, callfailed, unresolved, tookover, and the lapse of a call or wait
//	└── settle    what holds after every record
func (s *State) Apply(r *Record) {
	s.clock(r)
	if s.Ended {
		if e, ok := r.Event.(*Delivered); ok { // what it had to say
			s.delivered(r, e)
		}
		return
	}
	if s.Mailbox != nil {
		s.mail(r)
		return
	}
	switch e := r.Event.(type) {
	case *Started:
		s.started(r, e)
	case *Messaged:
		s.messaged(r, e)
	case *Answered:
		s.answered(r, e)
	case *Assigned:
		s.assigned(e)
	case *Reminded:
		s.reminded(e)
	case *Reported:
		s.reported(r, e)
	case *Delivered:
		s.delivered(r, e)
	case *Signaled:
		s.signaled(r, e)
	case *Mailed:
		s.mailed(r, e)
	case *Cancelled:
		s.cancelled(r, e)
	case *Retried:
		s.retried(r, e)
	case *Redefined:
		s.redefined(r, e)
	case *TurnBegan:
		s.turnBegan(r, e)
	case *Moved:
		s.moved(r, e)
	case *PlanFailed:
		s.planFailed(r, e)
	case *Limited:
		s.limited(r, e)
	case *Stuck:
		s.stuck(r, e)
	case *Began:
		s.began(e)
	case *Returned:
		s.returned(r, e)
	case *CallFailed:
		s.callFailed(r, e)
	case *Unresolved:
		s.unresolved(r, e)
	case *TookOver:
		s.Claim = e.Claim
	case *Lapsed:
		s.lapsed(r, e)
	}
	s.settle(r)
}

// clock moves the state to the record's place and time, and counts the time
// since the record before as active if something was going on in it.
func (s *State) clock(r *Record) {
	if s.Seq > 0 && !s.Status().Resting() {
		active := max(r.Time.Sub(s.activeFrom()), 0)
		s.Turn.Active += active
		s.Spent.Active += active
	}
	s.Seq, s.ID = r.Seq, r.ID
	if r.Time.After(s.Time) {
		s.Time = r.Time
	}
}

// settle draws the conclusions that do not depend on which record came last.
func (s *State) settle(r *Record) {
	if s.Turn.Open && s.Status() == agent.StatusIdle {
		s.Turn.Open = false
	}
	s.endOfTask(r)
	if s.Ending != nil && len(s.Open) == 0 {
		s.Ended = true
		s.Turn.Open = false
	}
	s.noteStages()
	s.tellMailboxes()
	s.tellParent()
}

// end has the run end with e. What is open is withdrawn; the run is over when
// the last begun call's outcome is known.
func (s *State) end(r *Record, e *End, outcome agent.Outcome) {
	s.Ending = e
	s.Stuck = nil
	s.withdrawAll(r, outcome)
	s.closeLimitAsk("withdrawn", "", "", s.Time)
	s.voidPlans(r)
}

// voidPlans makes all planning that began before r void.
func (s *State) voidPlans(r *Record) {
	s.Plan.Slot, s.Plan.Attempt, s.Plan.NotBefore, s.Plan.Error = r.Seq, 0, time.Time{}, ""
}

// withdrawAll withdraws every open action.
func (s *State) withdrawAll(r *Record, outcome agent.Outcome) {
	for _, o := range slices.Clone(s.Open) {
		s.withdraw(r, o, outcome)
	}
}

// withdraw ends an action that is not wanted any more. A call that was begun
// stays open until its outcome is known.
func (s *State) withdraw(r *Record, o *Open, outcome agent.Outcome) {
	if o.Phase == Begun || o.unknown() {
		if o.Stopped == "" {
			o.Stopped = outcome
		}
		if o.Phase == Doubted {
			ask := *o.Ask // who has read the old one keeps it as it was
			ask.Choices = outcomeChoices(o)
			o.Ask = &ask
		}
		return
	}
	if o.Phase == Afield && (s.Ending == nil || !o.Action.Outlives) {
		s.callOff(o, "the run that gave the task does not want its result any more")
	}
	why := "withdrawn"
	if o.Action.Kind == agent.ActCall && o.Action.Effect == agent.Idempotent && o.Phase == Ready {
		why = "withdrawn; it may have been made already"
	}
	s.close(r, o, outcome, agent.JSONText(why), nil)
}

// close ends an open action and makes that news.
func (s *State) close(r *Record, o *Open, outcome agent.Outcome, content []byte, more func(*agent.Closed)) {
	s.closeAsk(o, "withdrawn", "", "", s.Time)
	s.Open = slices.DeleteFunc(s.Open, func(x *Open) bool { return x == o })
	c := &agent.Closed{Action: o.ID, Name: o.Action.title(), CallID: o.Action.CallID, Outcome: outcome, Content: content, Edited: o.edited(), Ref: o.Action.Ref}
	if more != nil {
		more(c)
	}
	s.news(r, News{Kind: "closed", Closed: c, Action: o.ID, stages: o.stages})
}

// news adds to what no move has taken up yet.
func (s *State) news(r *Record, n News) {
	n.Seq, n.ID = r.Seq, r.ID
	if s.blind {
		n.Message, n.Closed, n.Note = nil, nil, ""
	}
	s.News = append(s.News, n)
}

// title names an action for people and planners.
func (a *Action) title() string {
	switch {
	case a.Name != "":
		return a.Name
	case a.Kind == agent.ActAsk:
		return "ask"
	}
	return string(a.Kind)
}
