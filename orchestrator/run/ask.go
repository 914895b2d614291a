package run

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// approvalAsk asks whether a call may be made. It carries all that an approver
// needs, so that any process can show it and judge the answer.
func approvalAsk(id agent.AskID, o *Open, now time.Time) *agent.Ask {
	return &agent.Ask{
		ID: id, Action: o.ID, Kind: agent.AskApproval, Opened: now,
		Prompt:  fmt.Sprintf("May %s be called? %s", o.Action.Name, o.Action.Approval),
		Choices: []string{agent.Approve, agent.Edit, agent.Deny, agent.Instead},
		Schema:  o.Action.Schema, Output: o.Action.Output,
		Tool: o.Action.Name, Args: o.Args, Digest: Digest(o.Args),
	}
}

// openAsk opens a planner's own question.
func openAsk(id agent.AskID, o *Open, now time.Time) *agent.Ask {
	ask := agent.Ask{Kind: agent.AskQuestion}
	if o.Action.Ask != nil {
		ask = *o.Action.Ask
	}
	ask.ID, ask.Action, ask.Opened = id, o.ID, now
	if ask.Within > 0 {
		ask.Due = now.Add(ask.Within)
	}
	return &ask
}

// outcomeAsk asks what became of a begun call.
func outcomeAsk(id agent.AskID, o *Open, now time.Time) *agent.Ask {
	return &agent.Ask{
		ID: id, Action: o.ID, Kind: agent.AskOutcome, Opened: now,
		Prompt:  fmt.Sprintf("%s was begun, and nobody knows whether it took place: %s. Please look it up. What happened?", o.Action.Name, o.Doubt),
		Choices: outcomeChoices(o),
		Tool:    o.Action.Name, Args: o.Args, Digest: Digest(o.Args),
	}
}

// outcomeChoices are the answers to what became of a call. One that is not
// wanted any more is not made again.
func outcomeChoices(o *Open) []string {
	if o.Stopped != "" {
		return []string{agent.Happened, agent.NotHappened, agent.GiveUp}
	}
	return []string{agent.Happened, agent.Rerun, agent.NotHappened, agent.GiveUp}
}

func (s *State) answered(r *Record, e *Answered) {
	if s.LimitAsk != nil && s.LimitAsk.ID == e.Ask {
		s.answeredLimit(e)
		return
	}
	for _, o := range s.Open {
		if o.Ask != nil && o.Ask.ID == e.Ask {
			s.take(r, o, "answered", &e.Answer)
			return
		}
	}
}

// take puts an answer into effect: an accepted one, or the default of an ask
// that has expired. Which kind of ask it was, the phase says.
func (s *State) take(r *Record, o *Open, how string, a *agent.Answer) {
	s.closeAsk(o, how, a.By.ID, answerDigest(a), s.Time)
	by := func(c *agent.Closed) { c.By = a.By }
	switch o.Phase {
	case Held:
		s.takeApproval(r, o, a, by)
	case Doubted:
		s.takeOutcome(r, o, a, by)
	default:
		content := a.Value
		if len(content) == 0 {
			content = agent.JSONText(a.Choice)
		}
		if a.Note != "" && a.Choice != "" {
			content = object("choice", a.Choice, "note", a.Note)
		}
		s.close(r, o, agent.Answered, content, by)
	}
}

func (s *State) takeApproval(r *Record, o *Open, a *agent.Answer, by func(*agent.Closed)) {
	switch a.Choice {
	case agent.Approve, agent.Edit:
		if a.Choice == agent.Edit {
			o.Args = a.Value
		}
		o.Phase, o.Digest, o.NotBefore = Ready, Digest(o.Args), time.Time{}
	case agent.Instead:
		s.close(r, o, agent.Answered, a.Value, by)
	default:
		reason := a.Note
		if reason == "" {
			reason = "no reason was given"
		}
		s.close(r, o, agent.Denied, agent.JSONText(reason), by)
	}
}

func (s *State) takeOutcome(r *Record, o *Open, a *agent.Answer, by func(*agent.Closed)) {
	if a.Choice != agent.Happened {
		s.decide(o)
	}
	switch a.Choice {
	case agent.Happened:
		content := a.Value
		if len(content) == 0 {
			content = noted("a person confirms that it took place", a)
		}
		s.close(r, o, agent.Returned, content, by)
	case agent.Rerun, agent.NotHappened:
		switch {
		case o.Stopped != "":
			s.close(r, o, o.Stopped, noted("withdrawn; it did not take place", a), by)
		case a.Choice == agent.Rerun:
			s.again(o, time.Time{})
		default:
			s.close(r, o, agent.Failed, noted("it did not take place", a), by)
		}
	default:
		s.close(r, o, agent.Failed, noted("nobody can tell whether it took place: "+o.Doubt, a), by)
	}
}

// noted adds the person's note to the words about their answer.
func noted(words string, a *agent.Answer) json.RawMessage {
	if a.Note != "" {
		words += ". " + a.Note
	}
	return agent.JSONText(words)
}

func (s *State) answeredLimit(e *Answered) {
	limit := s.LimitAsk.Tool
	s.closeLimitAsk("answered", e.Answer.By.ID, answerDigest(&e.Answer), s.Time)
	if e.Answer.Choice != agent.Continue {
		s.halt("stopped at the limit " + limit)
		return
	}
	if isRunLimit(limit) {
		s.Spent.Extra++
	} else {
		s.Turn.Extra++
	}
}

// lapsedAsk takes the default answer of an ask whose due time has come, or lets
// it expire.
func (s *State) lapsedAsk(r *Record, id agent.AskID) {
	for _, o := range s.Open {
		if o.Ask == nil || o.Ask.ID != id {
			continue
		}
		if d := o.Ask.Default; d != nil {
			s.take(r, o, "expired", d)
			return
		}
		s.closeAsk(o, "expired", "", "", s.Time)
		s.close(r, o, agent.Expired, agent.JSONText("nobody answered in time"), nil)
		return
	}
}

// closeAsk closes an action's open ask, if it has one.
func (s *State) closeAsk(o *Open, how, by, digest string, at time.Time) {
	if o.Ask == nil {
		return
	}
	s.askEnded(o.Ask.ID, AskEnd{How: how, By: by, Digest: digest, At: at})
	o.Ask = nil
}

func (s *State) closeLimitAsk(how, by, digest string, at time.Time) {
	if s.LimitAsk == nil {
		return
	}
	s.askEnded(s.LimitAsk.ID, AskEnd{How: how, By: by, Digest: digest, At: at})
	s.LimitAsk = nil
}

func (s *State) askEnded(id agent.AskID, e AskEnd) {
	if s.Asked == nil {
		s.Asked = map[agent.AskID]AskEnd{}
	}
	s.Asked[id] = e
}

// object makes a JSON object of string fields, given as name, value, ….
func object(pairs ...string) json.RawMessage {
	b := []byte{'{'}
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, agent.JSONText(pairs[i])...), ':')
		b = append(b, agent.JSONText(pairs[i+1])...)
	}
	return append(b, '}')
}
