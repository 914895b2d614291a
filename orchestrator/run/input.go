package run

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fermata-run/fermata/agent"
)

func (s *State) started(r *Record, e *Started) {
	if r.Seq != 1 {
		return
	}
	s.Agent, s.User, s.Meta, s.Created = e.Agent, e.User, e.Meta, s.Time
	s.Deadline, s.Parent = e.Deadline, e.Parent
	if e.Mailbox != nil {
		s.Mailbox, s.Title, s.Terms.CloseAfter = &Mailbox{Address: *e.Mailbox}, e.Mailbox.title(), MailboxIdle
		return
	}
	if e.Bare {
		s.news(r, News{Kind: "start", Trace: e.Trace})
	}
}

func (s *State) messaged(r *Record, e *Messaged) {
	if s.Ending != nil {
		return
	}
	s.see(e.Key, keyOf(e))
	if s.Title == "" {
		s.Title = cut(e.Message.Text(), maxTitle)
	}
	if s.Terms.OnMessage == agent.Interrupt && s.Turn.Open {
		s.withdrawAll(r, agent.Superseded)
		s.voidPlans(r)
	}
	if s.LimitAsk != nil && strings.HasPrefix(s.LimitAsk.Tool, "turn_") {
		s.closeLimitAsk("withdrawn", "", "", s.Time)
		s.Turn.Open = false // the message begins a turn, with its own allowance
	}
	s.Turn.Halted = ""
	s.unstick(r)
	m := e.Message
	m.Role, m.ID = agent.RoleUser, string(r.ID)
	s.news(r, News{Kind: "message", Message: &m, Trace: e.Trace})
}

func (s *State) signaled(r *Record, e *Signaled) {
	if s.Ending != nil {
		return
	}
	s.see(e.Key, keyOf(e))
	k := Kept{Seq: r.Seq, Name: e.Name, Data: e.Data, By: e.By, Key: e.Key}
	if o := s.awaits(e.Name); o != nil {
		s.arrived(r, o, &k)
		return
	}
	s.Signals = append(s.Signals, k)
}

// awaits returns the open wait that a signal of this name ends, or nil: one for it
// comes before one for any.
func (s *State) awaits(name string) *Open {
	var first *Open
	for _, o := range s.Open {
		switch {
		case o.Phase != Awaiting:
		case o.Action.Name == name:
			return o
		case first == nil && o.Action.takesAny(name):
			first = o
		}
	}
	return first
}

// takesAny reports whether an action is a wait for any signal that takes one of this name.
func (a *Action) takesAny(name string) bool {
	return a.Name == agent.AnySignal && !slices.Contains(a.Except, name)
}

// arrived ends a wait with a signal.
func (s *State) arrived(r *Record, o *Open, k *Kept) {
	s.close(r, o, agent.Returned, k.Data, func(c *agent.Closed) { c.By, c.Signal, c.SignalKey = k.By, k.Name, k.Key })
}

func (s *State) cancelled(r *Record, e *Cancelled) {
	if s.Ending != nil {
		return
	}
	s.see(e.Key, keyOf(e))
	s.end(r, &End{Status: agent.StatusCancelled, Reason: e.Reason, By: e.By}, agent.Cancelled)
}

func (s *State) retried(r *Record, e *Retried) {
	s.see(e.Key, keyOf(e))
	if s.Stuck != nil {
		s.Stuck = nil
		s.Turn.Bad = 0
		s.voidPlans(r)
		return
	}
	s.hurry()
	for _, o := range s.retriable() {
		if mayAct(o.Ask, e.By) == nil {
			s.take(r, o, "answered", &agent.Answer{By: e.By, Choice: agent.RetryIt, Note: e.Note})
		}
	}
}

// redefined has the run go by another definition: the planner is asked at once, with
// the changes to its saved keys, whatever is going on.
func (s *State) redefined(r *Record, e *Redefined) {
	if s.Ending != nil || s.Definition == "" {
		return
	}
	s.see(e.Key, keyOf(e))
	s.Definition = e.Definition
	s.patch(e.Keys)
	s.unstick(r)
	s.voidPlans(r)
	s.Turn.Halted = ""
	s.news(r, News{Kind: "redefined"})
}

// unstick lets a run whose planning failed try again: to write is to retry. A
// quarantined run waits for an explicit retry.
func (s *State) unstick(r *Record) {
	if s.Stuck != nil && !s.Stuck.Quarantine {
		s.Stuck = nil
		s.Turn.Bad = 0
		s.voidPlans(r)
	}
}

// hurry ends the waits of back-offs.
func (s *State) hurry() {
	s.Plan.NotBefore = time.Time{}
	for _, o := range s.Open {
		o.NotBefore = time.Time{}
	}
}

// see remembers an input's idempotency key.
func (s *State) see(key, what string) {
	if key == "" {
		return
	}
	if s.Seen == nil {
		s.Seen = map[string]string{}
	}
	s.Seen[key] = what
}

// maxTitle is how many bytes of the first message a run's title has: with the
// ellipsis 64, up to which Redis keeps a field of a hash in little room.
const maxTitle = 61

// cut shortens s to one line of at most n bytes.
func cut(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	s = s[:n]
	for !utf8.ValidString(s) && len(s) > 0 {
		s = s[:len(s)-1]
	}
	return s + "…"
}
