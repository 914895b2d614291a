package run

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// maxBad is how many moves in a row may consist of refused calls only before
// the run is stuck: a model that repairs its calls needs one or two.
const maxBad = 5

func (s *State) turnBegan(r *Record, e *TurnBegan) {
	if e.Slot != s.Plan.Slot || !s.wantsPlan() || !s.needsTurn() {
		return
	}
	s.Terms = e.Terms
	if e.Instructions != nil {
		s.Instructions = *e.Instructions
	}
	if s.Definition == "" {
		s.Definition = e.Definition
	}
	if s.beginsTurn() {
		s.Turn = Turn{N: s.Turn.N + 1, Open: true, Began: r.Seq, Trace: e.Trace}
	}
	if s.Handed {
		s.takeOver(r)
	}
}

// moved applies a move. One whose basis is older than the last thing that
// makes planning void has no effect, but what it cost was spent.
func (s *State) moved(r *Record, e *Moved) {
	s.Spent.Usage = s.Spent.Usage.Add(e.Usage)
	s.Turn.Usage = s.Turn.Usage.Add(e.Usage)
	if e.Basis < s.Plan.Slot || e.Basis >= r.Seq || s.Ending != nil || s.Stuck != nil || s.LimitAsk != nil || !s.Turn.Open {
		return
	}
	taken := s.takenUp(e.Basis, e.BasisID)
	s.markTaken(e.Basis)
	s.voidPlans(r)
	s.Plan.LastMove, s.Plan.Again = r.Seq, e.Again
	s.Turn.Steps++
	s.Spent.Steps++
	s.converse(r, taken, e.Message)
	s.patch(e.Keys)
	if e.Output != nil {
		s.Turn.Output = e.Output
	}
	s.oweResults(r, e)
	refused := 0
	for i := range e.Actions {
		if s.open(r, e, i) == agent.Failed {
			refused++
		}
	}
	s.takeAny(r)
	s.judgeRepairs(r, refused, len(e.Actions))
	switch {
	case s.wrote():
		// The user wrote meanwhile, and was told that it is taken: the planner is
		// asked once more before the run ends.
	case e.Finish:
		s.end(r, &End{Status: agent.StatusDone}, agent.Cancelled)
	case e.Fail != "":
		s.end(r, &End{Status: agent.StatusFailed, Reason: e.Fail}, agent.Cancelled)
	}
}

// converse adds to the conversation.
func (s *State) converse(r *Record, taken []*agent.Message, said *agent.Message) {
	if s.blind {
		return
	}
	if said != nil {
		m := *said
		m.Role, m.ID = agent.RoleAssistant, string(r.ID)
		taken = append(taken, &m)
	}
	s.messages = append(s.messages, taken...)
	if s.shown != nil {
		s.shown = append(s.shown, taken...)
	}
}

// oweResults notes which calls the move's message makes: each is owed exactly
// one result before the next message of the planner.
func (s *State) oweResults(r *Record, e *Moved) {
	s.Owed = nil
	for _, c := range e.Message.Calls() {
		owed := Owed{CallID: c.ID, Name: c.Name}
		for i := range e.Actions {
			if e.Actions[i].CallID == c.ID {
				owed.Action = actionID(r, i)
				break
			}
		}
		s.Owed = append(s.Owed, owed)
	}
}

// patch changes the saved keys.
func (s *State) patch(keys map[string]json.RawMessage) {
	for k, v := range keys {
		if string(v) == "null" {
			delete(s.Keys, k)
			continue
		}
		if s.Keys == nil {
			s.Keys = map[string]json.RawMessage{}
		}
		s.Keys[k] = v
	}
}

func actionID(r *Record, index int) agent.ActionID {
	return agent.ActionID(fmt.Sprintf("%s.%d", r.ID, index))
}

// open opens the i-th action of a move. It returns Failed for a refused one,
// and "" otherwise.
func (s *State) open(r *Record, e *Moved, i int) agent.Outcome {
	a := e.Actions[i]
	o := &Open{ID: actionID(r, i), Seq: r.Seq, Action: a, Attempt: 1}
	if a.Refuse != "" {
		o.Action.Args = nil
		s.close(r, o, agent.Failed, agent.JSONText(a.Refuse), nil)
		return agent.Failed
	}
	switch a.Kind {
	case agent.ActCall:
		o.Args = argsOf(e.Message, &a)
		o.Action.Args = nil
		o.Phase = Ready
		if a.Approval != "" {
			o.Phase = Held
			o.Ask = s.openAsk(r, i, o.ID, approvalAsk(o))
			o.Action.Schema, o.Action.Ask = nil, nil // they stand in the ask
		}
	case agent.ActDelegate:
		o.Args = argsOf(e.Message, &a)
		o.Action.Args = nil
		s.delegate(o)
	case agent.ActHandoff:
		o.Action.Args = nil
		return s.handOff(r, o)
	case agent.ActAsk:
		o.Phase = Asking
		o.Ask = s.openAsk(r, i, o.ID, s.questionAsk(o))
		o.Action.Ask = nil
	case agent.ActWait:
		o.Phase = Awaiting
		o.Due = s.until(&a)
		if a.Name != agent.AnySignal && s.takeSignal(r, o) {
			return ""
		}
	case agent.ActCancel:
		s.callBack(r, o)
		return ""
	default: // an emitted event is there by being in the log
		if a.CallID != "" {
			s.close(r, o, agent.Returned, agent.JSONText("ok"), nil)
		}
		return ""
	}
	s.Open = append(s.Open, o)
	return ""
}

// until returns when an action that has limits of time ends at the latest; zero if
// it has none.
func (s *State) until(a *Action) time.Time {
	due := a.Due
	if a.Within > 0 {
		due = earlier(due, s.Time.Add(a.Within))
	}
	return due
}

// earlier returns the earlier of two times, of which the zero one stands for none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// callBack withdraws an open action for its planner. Of a wait that has a Ref that is
// quiet news: there is nothing in its end which its planner does not know.
func (s *State) callBack(r *Record, o *Open) {
	words, before := "withdrawn", len(s.News)
	t := s.Action(o.Action.Target)
	if t != nil {
		s.withdraw(r, t, agent.Cancelled)
	}
	if s.Action(o.Action.Target) != nil {
		words = "not wanted any more, but it was begun already; a note will say what became of it"
	}
	s.close(r, o, agent.Returned, agent.JSONText(words), nil)
	if t == nil || t.Phase != Awaiting || t.Action.Ref == "" || o.Action.CallID != "" {
		return
	}
	for i := before; i < len(s.News); i++ {
		s.News[i].Quiet = true
	}
}

// takeSignal ends a wait with a signal that came before it.
func (s *State) takeSignal(r *Record, o *Open) bool {
	for i, k := range s.Signals {
		if o.Action.takesAny(k.Name) || o.Action.Name != "" && k.Name == o.Action.Name {
			s.Signals = append(s.Signals[:i:i], s.Signals[i+1:]...)
			s.arrived(r, o, &k)
			return true
		}
	}
	return false
}

// takeAny has the waits for any signal take those that came before them, and that no
// other wait of the same move takes.
func (s *State) takeAny(r *Record) {
	for _, o := range slices.Clone(s.Open) {
		if o.Phase == Awaiting && o.Action.Name == agent.AnySignal {
			s.takeSignal(r, o)
		}
	}
}

// argsOf returns a call's arguments: its own, or those that stand in the message.
func argsOf(m *agent.Message, a *Action) json.RawMessage {
	if len(a.Args) > 0 {
		return a.Args
	}
	for _, c := range m.Calls() {
		if c.ID == a.CallID && len(c.Args) > 0 {
			return c.Args
		}
	}
	return json.RawMessage("{}")
}

// judgeRepairs parks a run whose planner keeps making calls that are refused.
func (s *State) judgeRepairs(r *Record, refused, actions int) {
	if refused == 0 || refused < actions {
		s.Turn.Bad = 0
		return
	}
	s.Turn.Bad++
	if s.Turn.Bad >= maxBad {
		s.stuck(r, &Stuck{Reason: fmt.Sprintf("the planner made %d moves in a row whose calls were all refused; see the last results in the log, mend the agent, and retry", s.Turn.Bad)})
	}
}

func (s *State) planFailed(r *Record, e *PlanFailed) {
	if e.Slot != s.Plan.Slot || e.Attempt != s.Plan.Attempt+1 || !s.wantsPlan() {
		return
	}
	if !e.Transient {
		s.stuck(r, &Stuck{Reason: e.Error})
		return
	}
	s.Plan.Attempt, s.Plan.Error = e.Attempt, e.Error
	s.Plan.NotBefore = s.Time.Add(e.Wait)
}

func (s *State) stuck(r *Record, e *Stuck) {
	if s.Stuck != nil && s.Stuck.Quarantine {
		return
	}
	s.Stuck = e
	s.voidPlans(r)
}

// limited opens an ask whether to go on, or ends the turn.
func (s *State) limited(r *Record, e *Limited) {
	if !s.wantsPlan() {
		return
	}
	s.voidPlans(r)
	what := fmt.Sprintf("the limit %s is reached: %s of %s", e.Limit, e.Used, e.Max)
	if s.Terms.OnReached == agent.EndTurn {
		s.halt(what)
		return
	}
	s.LimitAsk = s.openAsk(r, 0, "", s.limitAsk(e, what))
}

// halt ends the turn before its planner does. What no move has taken up stays
// news for the next turn.
func (s *State) halt(why string) {
	s.Turn.Halted = why
	s.Turn.Open = false
}
