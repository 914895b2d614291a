package run

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// approvalAsk is what is asked before a call is made. It carries all that an
// approver needs, so that any process can show it and judge the answer. Who
// approves and until when, the rule has said.
func approvalAsk(o *Open) agent.Ask {
	var ask agent.Ask
	if o.Action.Ask != nil {
		ask = *o.Action.Ask
	}
	ask.Kind = agent.AskApproval
	ask.Prompt = fmt.Sprintf("May %s be called? %s", o.Action.Name, o.Action.Approval)
	ask.Choices = []string{agent.Approve, agent.Edit, agent.Deny, agent.Instead}
	ask.Schema, ask.Output = o.Action.Schema, o.Action.Output
	ask.Tool, ask.Args, ask.Digest = o.Action.Name, o.Args, Digest(o.Args)
	return ask
}

// questionAsk is a planner's own question.
func (s *State) questionAsk(o *Open) agent.Ask {
	if o.Action.Ask == nil {
		return agent.Ask{Kind: agent.AskQuestion}
	}
	ask := *o.Action.Ask
	if ask.Kind == agent.AskRepair && len(ask.For) == 0 {
		ask.For = s.Terms.Operators
	}
	return ask
}

// repair returns the first open ask what is to be done about a failure, while
// nothing else of the run goes on; nil if there is none.
func (s *State) repair() *agent.Ask {
	i := slices.IndexFunc(s.Open, func(o *Open) bool { return o.Ask != nil && o.Ask.Kind == agent.AskRepair })
	if i < 0 || s.Ended || s.Stuck != nil || s.wantsPlan() || s.acts() {
		return nil
	}
	return s.Open[i].Ask
}

// retriable returns the open actions that ask what is to be done about a failure,
// and take it as an answer to try again.
func (s *State) retriable() (open []*Open) {
	for _, o := range s.Open {
		if o.Ask != nil && o.Ask.Kind == agent.AskRepair && slices.Contains(o.Ask.Choices, agent.RetryIt) {
			open = append(open, o)
		}
	}
	return open
}

// outcomeAsk asks what became of a begun call.
func (s *State) outcomeAsk(o *Open) agent.Ask {
	return agent.Ask{
		Kind: agent.AskOutcome, For: s.Terms.Operators,
		Prompt:  fmt.Sprintf("%s was begun, and nobody knows whether it took place: %s. Please look it up. What happened?", o.Action.Name, o.Doubt),
		Choices: outcomeChoices(o), Output: o.Action.Output,
		Tool: o.Action.Name, Args: o.Args, Digest: Digest(o.Args),
	}
}

// limitAsk asks whether to go on at a limit.
func (s *State) limitAsk(e *Limited, what string) agent.Ask {
	return agent.Ask{
		Kind: agent.AskLimit, For: s.Terms.Operators, Tool: e.Limit,
		Prompt:  what + ". Go on with the same allowance again?",
		Choices: []string{agent.Continue, agent.Stop},
	}
}

// openAsk completes an ask that r opens, the index-th of it.
func (s *State) openAsk(r *Record, index int, action agent.ActionID, ask agent.Ask) *agent.Ask {
	ask.ID = agent.AskID(fmt.Sprintf("%s.%s.%d", s.Run, r.ID, index))
	ask.Action, ask.Opened = action, s.Time
	ask.Agent, ask.User, ask.Path = s.Agent, s.User, s.Path()
	ask.For, ask.Not = s.resolved(ask.For), s.resolved(ask.Not)
	ask.Claimed, ask.Delegated, ask.Note, ask.Stage, ask.Reminded = agent.User{}, agent.User{}, "", 0, 0
	if ask.Within > 0 {
		ask.Due = s.Time.Add(ask.Within)
	}
	s.remindLater(&ask)
	return &ask
}

// resolved puts the run's user into a list of people.
func (s *State) resolved(people []string) []string { return Resolve(people, s.User) }

// Resolve puts the user into a list of people, where it has [agent.TheUser].
func Resolve(people []string, user agent.User) []string {
	if !slices.Contains(people, agent.TheUser) {
		return people
	}
	people = slices.Clone(people)
	for i := range people {
		if people[i] == agent.TheUser {
			people[i] = user.ID
		}
	}
	return people
}

// maxReminders is how often is reminded of an ask, so that one which nobody cares
// for does not fill its run's log.
const maxReminders = 100

func (s *State) remindLater(ask *agent.Ask) {
	ask.RemindAt = time.Time{}
	if ask.Remind > 0 && ask.Reminded < maxReminders {
		ask.RemindAt = s.Time.Add(ask.Remind)
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
			o.Edited = o.Edited || e.Edited
			s.take(r, o, "answered", &e.Answer)
			return
		}
	}
}

// take puts an answer into effect: an accepted one, or the default of an ask
// that has expired. Which kind of ask it was, the phase says.
func (s *State) take(r *Record, o *Open, how string, a *agent.Answer) {
	s.closeAsk(o, how, a.By.ID, answerDigest(a), s.Time)
	by := func(c *agent.Closed) {
		said := *a
		c.By, c.Answer = a.By, &said
	}
	switch o.Phase {
	case Held:
		s.takeApproval(r, o, a, by)
	case Doubted:
		s.takeOutcome(r, o, a, by)
	default:
		s.close(r, o, agent.Answered, answerContent(a), by)
	}
}

// answerContent is what the planner is told of an answer: the choice with what was
// said beside it, and otherwise the value.
func answerContent(a *agent.Answer) json.RawMessage {
	switch {
	case a.Choice == "" && len(a.Value) > 0:
		return a.Value
	case len(a.Value) > 0:
		return withValue(a)
	case a.Choice != "" && a.Note != "":
		return object("choice", a.Choice, "note", a.Note)
	}
	return agent.JSONText(a.Choice)
}

// withValue is a choice beside which a value was given.
func withValue(a *agent.Answer) json.RawMessage {
	content, err := json.Marshal(struct {
		Choice string          `json:"choice"`
		Value  json.RawMessage `json:"value"`
		Note   string          `json:"note,omitempty"`
	}{a.Choice, a.Value, a.Note})
	if err != nil {
		return agent.JSONText(a.Choice) // cannot happen: a value that was accepted is JSON
	}
	return content
}

func (s *State) takeApproval(r *Record, o *Open, a *agent.Answer, by func(*agent.Closed)) {
	switch a.Choice {
	case agent.Approve, agent.Edit:
		if a.Choice == agent.Edit {
			by := a.By
			o.Planned, o.Args, o.Editor = o.Args, a.Value, &by
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
	extra := &s.Turn.Extra
	if isRunLimit(limit) {
		extra = &s.Spent.Extra
	}
	*extra = max(*extra+1, s.usedUp(limit)) // what was used beyond it asks nobody again
}

// lapsedAsk is what follows when an ask's due time has come: others are asked, or
// the default is taken, or it expires.
func (s *State) lapsedAsk(r *Record, id agent.AskID) {
	held := s.openedAsk(id)
	if held == nil || (*held).Due.IsZero() || s.Time.Before((*held).Due) {
		return
	}
	ask := *held
	if len(ask.Escalate) > 0 {
		*held = s.escalated(ask)
		return
	}
	for _, o := range s.Open {
		if o.Ask != ask {
			continue
		}
		if ask.Default != nil {
			s.take(r, o, "expired", ask.Default)
			return
		}
		s.closeAsk(o, "expired", "", "", s.Time)
		s.close(r, o, agent.Expired, agent.JSONText("nobody answered in time"), nil)
		return
	}
}

// openedAsk returns where the open ask with this id is held; nil if there is none.
func (s *State) openedAsk(id agent.AskID) **agent.Ask {
	if s.LimitAsk != nil && s.LimitAsk.ID == id {
		return &s.LimitAsk
	}
	for _, o := range s.Open {
		if o.Ask != nil && o.Ask.ID == id {
			return &o.Ask
		}
	}
	return nil
}

// escalated returns the ask as it goes on with the next step of its chain.
func (s *State) escalated(ask *agent.Ask) *agent.Ask {
	next := *ask
	step := ask.Escalate[0]
	next.For, next.Escalate = s.resolved(step.For), ask.Escalate[1:]
	next.Claimed, next.Delegated, next.Note = agent.User{}, agent.User{}, ""
	next.Within, next.Due = step.Within, time.Time{}
	if step.Within > 0 {
		next.Due = s.Time.Add(step.Within)
	}
	next.Stage++
	s.remindLater(&next)
	return &next
}

func (s *State) reminded(e *Reminded) {
	held := s.openedAsk(e.Ask)
	if held == nil || (*held).RemindAt.IsZero() || s.Time.Before((*held).RemindAt) {
		return
	}
	next := **held
	next.Reminded++
	s.remindLater(&next)
	*held = &next
}

// Assignment says how the people whom an ask is for change.
type Assignment string

const (
	Claim    Assignment = "claim"    // one of them takes it: nobody else may answer
	Release  Assignment = "release"  // it is free again
	Delegate Assignment = "delegate" // others are to answer, beside the one who delegates
)

func (s *State) assigned(e *Assigned) {
	held := s.openedAsk(e.Ask)
	if held == nil {
		return
	}
	next := **held
	switch e.How {
	case Claim:
		next.Claimed = e.By
	case Release:
		next.Claimed = agent.User{}
	case Delegate:
		next.For, next.Delegated, next.Note, next.Claimed = s.delegatedTo(e), e.By, e.Note, agent.User{}
	default:
		return
	}
	*held = &next
}

// delegatedTo are those who may answer what e has delegated: who has done so may
// take it back.
func (s *State) delegatedTo(e *Assigned) []string {
	people := slices.Clone(s.resolved(e.To))
	if e.By.ID != "" && !slices.Contains(people, e.By.ID) {
		people = append(people, e.By.ID)
	}
	return people
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
