package run

import (
	"encoding/json"
	"slices"

	"github.com/fermata-run/fermata/agent"
)

// Mailed says that a mailbox gave a signal to an action that waits.
type Mailed struct {
	Action agent.ActionID  `json:"action"`
	From   agent.RunID     `json:"from"`   // the mailbox
	Signal agent.RecordID  `json:"signal"` // its record of the signal
	Name   string          `json:"name"`
	Key    string          `json:"key"`
	Data   json.RawMessage `json:"data,omitempty"`
	By     agent.User      `json:"by,omitzero"`
}

func (*Mailed) kind() string { return "mailed" }

// A Subscription is which waits of a run take signals from a mailbox.
type Subscription struct {
	Address
	Actions []agent.ActionID `json:"actions,omitempty"` // the oldest first
}

// mailed ends the wait to which a mailbox gave a signal.
func (s *State) mailed(r *Record, e *Mailed) {
	o := s.Action(e.Action)
	if o == nil || !o.takes(e) {
		return
	}
	if s.Took == nil {
		s.Took = map[agent.ActionID]agent.RecordID{}
	}
	s.Took[o.ID] = e.Signal
	s.close(r, o, agent.Returned, e.Data, func(c *agent.Closed) { c.By, c.Signal, c.Correlation = e.By, e.Name, e.Key })
}

func (o *Open) takes(e *Mailed) bool {
	return o.Phase == Awaiting && o.Action.Key == e.Key && o.Action.Name == e.Name && e.Key != ""
}

// judgeMailed lets an open wait take a signal. One that has taken it is told of it
// again.
func (s *State) judgeMailed(e *Mailed) (bool, error) {
	if s.Took[e.Action] == e.Signal && e.Signal != "" {
		return false, nil
	}
	if o := s.Action(e.Action); o == nil || !o.takes(e) {
		return false, agent.Refuse(agent.RefusedConflict, "the wait %s of run %s has ended", e.Action, s.Run)
	}
	return true, nil
}

// subscriptions returns which waits are open that take signals from mailboxes.
func (s *State) subscriptions() []Subscription {
	var subs []Subscription
	for _, o := range s.Open {
		if o.Phase != Awaiting || o.Action.Key == "" {
			continue
		}
		to := Address{Name: o.Action.Name, Key: o.Action.Key}
		i := slices.IndexFunc(subs, func(x Subscription) bool { return x.Address == to })
		if i < 0 {
			i, subs = len(subs), append(subs, Subscription{Address: to})
		}
		subs[i].Actions = append(subs[i].Actions, o.ID)
	}
	return subs
}

// tellMailboxes has each mailbox told which waits are open, when these are others
// than it knows.
func (s *State) tellMailboxes() {
	now := s.subscriptions()
	if len(now) == 0 && len(s.Subscribed) == 0 {
		return
	}
	waits := func(subs []Subscription, of Address) []agent.ActionID {
		for _, x := range subs {
			if x.Address == of {
				return x.Actions
			}
		}
		return nil
	}
	for _, x := range s.Subscribed {
		s.tellMailbox(x.Actions, Subscription{x.Address, waits(now, x.Address)})
	}
	for _, x := range now {
		if waits(s.Subscribed, x.Address) == nil {
			s.tellMailbox(nil, x)
		}
	}
	s.Subscribed = now
}

// tellMailbox has one mailbox told. That a wait has ended by a signal of its own it
// knows; but if there is a letter to it that says otherwise, that is put right.
func (s *State) tellMailbox(told []agent.ActionID, now Subscription) {
	if slices.Equal(told, now.Actions) {
		return
	}
	to := MailboxID(now.Address, 0)
	knows := slices.DeleteFunc(slices.Clone(told), func(id agent.ActionID) bool { return s.Took[id] != "" })
	if slices.Equal(knows, now.Actions) && s.LetterTo(to) == nil {
		return
	}
	s.post(&Letter{To: to, Subscribe: &now})
}

// badAddress says what is wrong with the address that a wait names; "" if nothing is.
func badAddress(a Address) string {
	if err := a.Judge(); err != nil {
		return err.Error()
	}
	return ""
}
