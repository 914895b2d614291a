package run

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// View returns what the planner is shown at now, but for the tools, which the
// fold does not know. It is nil for a state that was restored from a snapshot,
// which has no words.
func (s *State) View(now time.Time) *agent.View {
	if s.blind {
		return nil
	}
	v := &agent.View{
		Run: s.Run, Agent: s.Agent, User: s.User, Meta: s.Meta, Instructions: s.Instructions,
		Path: s.Path(), Messages: append(s.agentsMessages(), s.takenUp(s.Seq, s.ID)...),
		Keys: s.Keys, Turn: s.Turn.N, Steps: s.Turn.Steps, Attempt: s.Plan.Attempt + 1, Now: now,
	}
	if s.shown != nil {
		v.Whole = s.Messages()
	}
	if s.Keys != nil {
		v.Keys = cloneKeys(s.Keys)
	}
	for _, n := range s.News {
		if n.Message != nil || n.Closed != nil {
			v.News = append(v.News, agent.News{Message: n.Message, Closed: n.Closed})
		}
	}
	for _, o := range s.Open {
		a := o.Action.Action
		a.Args = o.Args
		open := agent.OpenAction{ID: o.ID, Action: a, State: stateOf(o)}
		if o.Ask != nil {
			open.Ask = o.Ask.ID
		}
		v.Open = append(v.Open, open)
	}
	return v
}

// agentsMessages returns what the agent is shown of the conversation so far.
func (s *State) agentsMessages() []*agent.Message {
	if s.shown == nil {
		return s.Messages()
	}
	return slices.Clip(s.shown)
}

func cloneKeys[M ~map[K]V, K comparable, V any](m M) M {
	c := make(M, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// takenUp returns the messages that a move with this basis adds to the
// conversation before its own: one result for each call that is owed one, then
// what else has happened, in order. It depends on the log up to basis alone, so
// that it is what the planner was shown, whatever has happened since.
func (s *State) takenUp(basis int64, basisID agent.RecordID) []*agent.Message {
	if s.blind {
		return nil
	}
	var out []*agent.Message
	owed := map[agent.ActionID]bool{}
	if len(s.Owed) > 0 {
		results := &agent.Message{ID: string(basisID) + ".results", Role: agent.RoleTool}
		for _, w := range s.Owed {
			owed[w.Action] = true
			results.Parts = append(results.Parts, agent.Part{Result: s.resultOf(w, basis)})
		}
		out = append(out, results)
	}
	for _, n := range s.News {
		if n.Seq > basis {
			break
		}
		switch {
		case n.Message != nil:
			out = append(out, n.Message)
		case n.Note != "":
			out = append(out, note(string(n.ID)+".note", n.Note))
		case n.Closed != nil && n.Closed.CallID != "" && !owed[n.Closed.Action]:
			out = append(out, note(fmt.Sprintf("%s.%s.note", n.ID, n.Closed.Action), lateNews(n.Closed)))
		}
	}
	return out
}

// resultOf returns the one result that a call of the last message has for a
// planner that has seen the log up to basis.
func (s *State) resultOf(w Owed, basis int64) *agent.Result {
	res := &agent.Result{CallID: w.CallID, Name: w.Name, Outcome: agent.Failed, Content: agent.JSONText("nothing was done for this call")}
	var stages []stage
	if o := s.Action(w.Action); o != nil {
		stages = o.stages
	}
	for _, n := range s.News {
		if n.Closed == nil || n.Action != w.Action || w.Action == "" {
			continue
		}
		if c := n.Closed; n.Seq <= basis {
			res.Outcome, res.Content, res.Blob, res.Edited = c.Outcome, c.Content, c.Blob, c.Edited
			return res
		}
		stages = n.stages // it has ended since
	}
	for _, g := range stages {
		if g.seq <= basis {
			res.Outcome, res.Content, res.Edited = g.outcome, agent.JSONText(g.words), g.edited
		}
	}
	return res
}

// stage is how an open action stood for a planner from a record on.
type stage struct {
	seq     int64
	outcome agent.Outcome
	words   string
	edited  json.RawMessage
}

// noteStages notes how the actions stand whose calls are owed a result, where
// that has changed: a planner may be thinking about how they stood before.
func (s *State) noteStages() {
	for _, o := range s.Open {
		if s.blind || o.Seq != s.Plan.LastMove || o.Action.CallID == "" {
			continue
		}
		now := stage{s.Seq, stateOf(o), pendingWords(o), o.edited()}
		if n := len(o.stages); n == 0 || o.stages[n-1].outcome != now.outcome || o.stages[n-1].words != now.words {
			o.stages = append(o.stages, now)
		}
	}
}

// edited returns the arguments that a person has put in the place of the planner's,
// where it is told so; nil otherwise.
func (o *Open) edited() json.RawMessage {
	if o.Editor == nil || !o.Edited {
		return nil
	}
	return o.Args
}

func stateOf(o *Open) agent.Outcome {
	if o.unknown() {
		return agent.Unknown
	}
	return agent.Pending
}

// pendingWords tells a planner why a call has no outcome yet.
func pendingWords(o *Open) string {
	switch {
	case o.Phase == Held:
		return "this call waits for a person's approval and has not been made; a note will follow"
	case o.unknown():
		return "this call was begun, and nobody knows yet whether it took place (" + o.Doubt + "); do not make it again; a note will follow"
	case o.Phase == Asking:
		return "the person has not answered yet; a note will follow"
	case o.Phase == Afield && o.Stands.Status == agent.StatusStuck:
		return o.Action.Name + " works on it, but cannot go on for now; a note will follow"
	case o.Phase == Afield && o.resting():
		return o.Action.Name + " works on it, and waits for a person or an event; a note will follow"
	case o.Phase == Afield:
		return o.Action.Name + " works on it; a note will follow"
	case o.Phase == Awaiting:
		return "what is waited for has not come yet; a note will follow"
	}
	return "this call has not ended yet; a note will follow"
}

// lateNews tells a planner how a call ended that it was shown as open.
func lateNews(c *agent.Closed) string {
	text := fmt.Sprintf("The call %s (%s), which was open, has ended.", c.Name, c.CallID)
	if len(c.Edited) > 0 {
		text += fmt.Sprintf(" A person had changed its arguments to %s.", c.Edited)
	}
	text += fmt.Sprintf(" Outcome: %s.", c.Outcome)
	if len(c.Content) > 0 {
		text += " " + agent.PlainText(c.Content)
	}
	return text
}

func note(id, text string) *agent.Message {
	return &agent.Message{ID: id, Role: agent.RoleNote, Parts: []agent.Part{{Text: text}}}
}

// markTaken drops what a move with this basis takes up.
func (s *State) markTaken(basis int64) {
	s.News = slices.DeleteFunc(slices.Clone(s.News), func(n News) bool { return n.Seq <= basis })
	s.Owed = nil
}
