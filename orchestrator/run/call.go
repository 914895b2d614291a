package run

import (
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// maxLookups is how often Reconcile is asked before a person is.
const maxLookups = 5

func (s *State) began(e *Began) {
	o := s.Action(e.Action)
	if o == nil || o.Phase != Ready || o.Attempt != e.Attempt {
		return
	}
	o.Phase, o.Claim, o.Deadline = Begun, e.Claim, e.Deadline
	s.Claim = e.Claim
}

// returned takes a result, also a late one: of a call whose outcome was
// unknown, or of an attempt before one that was not begun yet.
func (s *State) returned(r *Record, e *Returned) {
	o := s.Action(e.Action)
	if o == nil || e.Attempt < o.Attempt && (o.Phase == Begun || o.unknown()) {
		s.lateTruth(r, e)
		return
	}
	if o.Action.Kind != agent.ActCall || o.Phase == Held || e.Attempt > o.Attempt {
		return
	}
	s.known(e)
	s.close(r, o, agent.Returned, e.Content, func(c *agent.Closed) { c.Blob = e.Blob })
}

// lateTruth shows that an attempt took place about which somebody had decided
// already.
func (s *State) lateTruth(r *Record, e *Returned) {
	d := s.known(e)
	if d == nil {
		return
	}
	s.news(r, News{Kind: "note", Note: fmt.Sprintf("It was not known whether attempt %d of the call %s (%s) took place. It did: %s",
		d.Attempt, d.Name, d.CallID, agent.PlainText(e.Content))})
}

// known returns the decision about the attempt whose result is known now, and
// forgets it; nil if there was none.
func (s *State) known(e *Returned) *Decided {
	for i, d := range s.Decided {
		if d.Action == e.Action && d.Attempt == e.Attempt {
			s.Decided = slices.Delete(slices.Clone(s.Decided), i, i+1)
			return &d
		}
	}
	return nil
}

// decide remembers that it is decided, without its result, what becomes of a
// call in doubt.
func (s *State) decide(o *Open) {
	s.Decided = append(s.Decided, Decided{Action: o.ID, Attempt: o.Attempt, CallID: o.Action.CallID, Name: o.Action.Name})
}

// callFailed takes an error: another attempt, the end, or doubt.
func (s *State) callFailed(r *Record, e *CallFailed) {
	o := s.Action(e.Action)
	if o == nil || o.Attempt != e.Attempt || o.Action.Kind != agent.ActCall || o.Phase == Held {
		return
	}
	sure := e.NotDone || e.Lookup || o.Action.Effect != agent.Once
	if !sure {
		if o.Phase == Begun {
			s.doubt(r, o, e.Error, false)
		}
		return
	}
	if e.Lookup && o.unknown() {
		s.decide(o)
	}
	lost := e.Lookup && o.Crashed
	switch {
	case o.Stopped != "":
		s.close(r, o, o.Stopped, agent.JSONText("withdrawn; it did not take place"), nil)
	case lost || e.Again && o.Attempt < o.Action.Attempts:
		s.again(o, s.Time.Add(e.Wait))
	default:
		s.close(r, o, agent.Failed, agent.JSONText(e.Error), func(c *agent.Closed) { c.Code = e.Code })
	}
}

// again has a call made once more. Whoever was asked what became of the attempt
// before is not needed any more.
func (s *State) again(o *Open, notBefore time.Time) {
	s.closeAsk(o, "withdrawn", "", "", s.Time)
	o.Phase, o.Attempt, o.NotBefore = Ready, o.Attempt+1, notBefore
	o.Claim, o.Deadline, o.Doubt, o.Crashed, o.Tries = "", time.Time{}, "", false, 0
}

// doubt marks a begun call's outcome as unknown: its tool is asked what became
// of it, or else a person.
func (s *State) doubt(r *Record, o *Open, why string, crashed bool) {
	o.Doubt, o.Crashed = why, crashed
	if o.Action.Lookup {
		o.Phase, o.Tries, o.NotBefore = Lost, 0, time.Time{}
		return
	}
	s.askOutcome(r, o)
}

func (s *State) askOutcome(r *Record, o *Open) {
	o.Phase, o.NotBefore = Doubted, time.Time{}
	o.Ask = s.openAsk(r, 0, o.ID, s.outcomeAsk(o))
}

func (s *State) unresolved(r *Record, e *Unresolved) {
	o := s.Action(e.Action)
	if o == nil || o.Phase != Lost || o.Attempt != e.Attempt || o.Tries+1 != e.Try {
		return
	}
	o.Tries, o.NotBefore = e.Try, s.Time.Add(e.Wait)
	if e.Try >= maxLookups {
		o.Doubt += "; looking it up failed: " + e.Error
		s.askOutcome(r, o)
	}
}

// lapsed puts a time that has come into effect.
func (s *State) lapsed(r *Record, e *Lapsed) {
	switch {
	case e.Ask != "":
		s.lapsedAsk(r, e.Ask)
	case e.Wait != "":
		if o := s.Action(e.Wait); o != nil && o.Phase == Afield && !o.Due.IsZero() && !s.Time.Before(o.Due) {
			s.callOff(o, "it was not done in time")
			s.close(r, o, agent.Expired, agent.JSONText("it was not done in time"), nil)
		} else if o != nil && o.Phase == Awaiting {
			outcome := agent.Expired
			if o.Action.Name == "" {
				outcome = agent.Returned // the time was what it waited for
			}
			s.close(r, o, outcome, agent.JSONText("the time has come"), nil)
		}
	case e.Call != "":
		// Unknown only when a later claim is in the log and the deadline has passed.
		if o := s.Action(e.Call); o != nil && o.Phase == Begun && o.Attempt == e.Attempt &&
			o.Claim != s.Claim && !s.Time.Before(o.Deadline) {
			s.doubt(r, o, "its worker was lost while it was going on", true)
		}
	case e.Deadline:
		if s.Ending == nil && !s.Deadline.IsZero() && !s.Time.Before(s.Deadline) {
			s.end(r, &End{Status: agent.StatusFailed, Expired: true, Reason: "it had to end by " + s.Deadline.Format(time.RFC3339)}, agent.Cancelled)
		}
	default:
		if s.Status() == agent.StatusIdle {
			s.end(r, &End{Status: agent.StatusDone, Reason: "idle for " + s.Terms.CloseAfter.String()}, agent.Cancelled)
		}
	}
}
