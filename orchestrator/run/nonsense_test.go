package run_test

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// source makes events of bytes. Half of the ids in them are ones that the run
// knows, so that much of the nonsense has an effect.
type source struct {
	data  []byte
	state *run.State
}

func (s *source) empty() bool { return len(s.data) == 0 }

func (s *source) upTo(n int) int {
	if s.empty() {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b) % n
}

func pickFrom[T any](s *source, choices ...T) T { return choices[s.upTo(len(choices))] }

// record is the number of a record: mostly of one that there is.
func (s *source) record() int64 {
	if s.bool() {
		return pickFrom(s, s.state.Plan.Slot, s.state.Plan.Slot, s.state.Seq)
	}
	return pickFrom(s, int64(s.upTo(40)), int64(s.upTo(8)), -1, math.MaxInt64)
}

func (s *source) action() agent.ActionID {
	if n := len(s.state.Open); n > 0 && s.bool() {
		return s.state.Open[s.upTo(n)].ID
	}
	return pickFrom(s, agent.ActionID(fmt.Sprintf("r%d.%d", s.upTo(40), s.upTo(4))), "", "nonsense")
}

func (s *source) ask() agent.AskID {
	if asks := s.state.Asks(); len(asks) > 0 && s.bool() {
		return pickFrom(s, asks...).ID
	}
	return pickFrom(s, agent.AskID(fmt.Sprintf("run.r%d.%d", s.upTo(40), s.upTo(4))), "", "nonsense")
}

func (s *source) attempt() int { return pickFrom(s, 1, 1, 1, 1, 1, 2, 2, 3, 0, -1, math.MaxInt) }

func (s *source) wait() time.Duration {
	return pickFrom(s, 0, time.Second, time.Hour, -time.Hour, time.Duration(math.MaxInt64))
}

func (s *source) json() json.RawMessage {
	return pickFrom(s, nil, json.RawMessage(`null`), json.RawMessage(`{}`), json.RawMessage(`"text"`), json.RawMessage(`[1]`))
}

func (s *source) user() agent.User { return pickFrom(s, agent.User{}, ann, bob) }
func (s *source) key() string      { return pickFrom(s, "", "", "k1", "k2") }
func (s *source) bool() bool       { return s.upTo(2) == 0 }

// event makes any event.
func (s *source) event() run.Event {
	switch s.upTo(29) {
	case 28:
		return &run.Redefined{Definition: pickFrom(s, "d1", "d2", ""), Keys: map[string]json.RawMessage{"k": s.json()}, By: s.user(), Key: s.key()}
	case 0:
		e := &run.Started{Agent: "desk", Bare: s.bool(), User: s.user(), Deadline: pickFrom(s, time.Time{}, time.Time{}, epoch, epoch.AddDate(0, 0, 3))}
		e.Mailbox = pickFrom(s, nil, nil, &run.Address{Name: "paid", Key: "7"})
		e.Parent = pickFrom(s, nil, nil, &run.Parent{}, &run.Parent{Run: "parent", Action: "p1.0", Path: []agent.Place{{Run: "parent"}}}, &run.Parent{Run: "run", Path: make([]agent.Place, 99)})
		return e
	case 1:
		return &run.Messaged{Message: pickFrom(s, agent.Text("Hello."), agent.Message{}), By: s.user(), Key: s.key()}
	case 2:
		return &run.Answered{Ask: s.ask(), Answer: s.answer(), Edited: s.bool()}
	case 3:
		return &run.Signaled{Name: pickFrom(s, "paid", "sent", "", "*"), Data: s.json(), Key: s.key()}
	case 4:
		return pickFrom[run.Event](s, &run.Cancelled{Reason: "enough", Key: s.key()}, &run.Signaled{Name: "paid"}, &run.Retried{})
	case 5:
		return &run.Retried{By: s.user(), Key: s.key()}
	case 6, 7:
		return &run.TurnBegan{Slot: s.record(), Terms: s.terms(), Definition: pickFrom(s, "", "d1", "d2")}
	case 8, 9, 10:
		return s.moved()
	case 11:
		return &run.PlanFailed{Slot: s.record(), Attempt: s.attempt(), Error: "no", Transient: s.bool(), Wait: s.wait()}
	case 12:
		return &run.Began{Action: s.action(), Attempt: s.attempt(), Claim: pickFrom(s, "w", "x", ""), Deadline: pickFrom(s, time.Time{}, epoch, epoch.AddDate(1, 0, 0))}
	case 13:
		return &run.Returned{Action: s.action(), Attempt: s.attempt(), Content: s.json(), Lookup: s.bool()}
	case 14:
		return &run.CallFailed{Action: s.action(), Attempt: s.attempt(), Error: "no", Code: pickFrom(s, "", "x"), NotDone: s.bool(), Again: s.bool(), Wait: s.wait(), Lookup: s.bool()}
	case 15:
		return &run.Unresolved{Action: s.action(), Attempt: s.attempt(), Try: s.attempt(), Error: "no", Wait: s.wait()}
	case 16:
		return &run.TookOver{Claim: pickFrom(s, "w", "x", "")}
	case 17:
		return pickFrom[run.Event](s, &run.Lapsed{Ask: s.ask()}, &run.Lapsed{Wait: s.action()}, &run.Lapsed{Call: s.action(), Attempt: s.attempt()}, &run.Lapsed{}, &run.Lapsed{Deadline: true})
	case 18, 19:
		return s.reported()
	case 20:
		to, n := s.letter()
		return &run.Delivered{To: to, N: n, Error: pickFrom(s, "", "no"), Wait: s.wait()}
	case 21:
		return &run.Assigned{Ask: s.ask(), How: pickFrom(s, run.Claim, run.Release, run.Delegate, "nonsense"), By: s.user(), To: s.people()}
	case 22:
		return &run.Reminded{Ask: s.ask()}
	case 23, 24, 25:
		return s.mail()
	}
	return pickFrom[run.Event](s, &run.Limited{Limit: "turn_steps", Used: "1", Max: "1"}, &run.Limited{Limit: "run_steps"}, &run.Stuck{Reason: "no"}, &run.Stuck{Reason: "no", Quarantine: true}, nil)
}

// mail is what mailboxes take and give, or nobody.
func (s *source) mail() run.Event {
	runs := []agent.RunID{"parent", "run", ""}
	switch s.upTo(5) {
	case 0:
		return &run.Posted{Data: s.json(), By: s.user(), ID: s.key(), Keep: s.wait()}
	case 1:
		return &run.Subscribed{Run: pickFrom(s, runs...), N: s.record(), Actions: []agent.ActionID{s.action(), s.action()}}
	case 2:
		to, n := s.letter()
		return &run.Delivered{To: to, N: n, Error: pickFrom(s, "", "", "no"), Wait: s.wait(), Back: []agent.ActionID{s.action(), "nonsense"}}
	case 3:
		e := &run.Lapsed{Signal: "nonsense"}
		if m := s.state.Mailbox; m != nil && len(m.Kept) > 0 {
			e.Signal = pickFrom(s, m.Kept...).ID
		}
		return e
	}
	return &run.Mailed{Action: s.action(), From: pickFrom(s, runs...), Signal: pickFrom(s, agent.RecordID("m1"), "m2", ""), Name: pickFrom(s, "paid", ""), Key: pickFrom(s, "7", ""), Data: s.json()}
}

// reported is what a delegate says of itself, or somebody in its stead.
func (s *source) reported() run.Event {
	e := &run.Reported{
		Action: s.action(), Run: pickFrom(s, agent.RunID("parent"), "run", ""), N: s.record(), Content: s.json(),
		Report: run.Report{
			Status: pickFrom(s, "", agent.StatusWaiting, agent.StatusStuck, agent.StatusDone, agent.StatusDone, agent.StatusFailed, agent.StatusCancelled, "nonsense"),
			Reason: pickFrom(s, "", "why"), Expired: s.bool(),
		},
		Usage: agent.Usage{Input: pickFrom(s, 0, 7, -1, math.MaxInt32)},
	}
	if o := s.state.Action(e.Action); o != nil && o.Child != "" {
		e.Run = o.Child
	}
	if n := len(s.state.Left); n > 0 && s.bool() {
		l := s.state.Left[s.upTo(n)]
		e.Action, e.Run = l.Action, l.Run
	}
	return e
}

// letter names a letter, mostly one that there is.
func (s *source) letter() (to agent.RunID, n int64) {
	if k := len(s.state.Outbox); k > 0 && s.upTo(4) > 0 {
		l := s.state.Outbox[s.upTo(k)]
		return l.To, l.N
	}
	return pickFrom(s, agent.RunID("parent"), "run", ""), s.record()
}

func (s *source) people() []string {
	return pickFrom(s, nil, []string{"ann"}, []string{agent.TheUser, "group:finance"}, []string{"", "group:"})
}

func (s *source) answer() agent.Answer {
	choice := pickFrom(s, agent.Approve, agent.Edit, agent.Deny, agent.Instead, agent.Happened, agent.Rerun, agent.NotHappened, agent.GiveUp, agent.Continue, agent.Stop, "")
	return agent.Answer{By: s.user(), Choice: choice, Value: s.json(), Note: pickFrom(s, "", "note")}
}

func (s *source) terms() run.Terms {
	return run.Terms{
		TurnSteps: pickFrom(s, 0, 2, -1, math.MaxInt), TurnTime: s.wait(), RunTokens: pickFrom(s, 0, 10, -5),
		OnReached: pickFrom(s, agent.AskPerson, agent.EndTurn), OnMessage: pickFrom(s, agent.Queue, agent.Interrupt, agent.Reject, "nonsense"),
		CloseAfter: s.wait(), Handoffs: pickFrom(s, 0, 1, -1), Sees: pickFrom(s, agent.SeesAll, agent.SeesWords, agent.SeesTurn, "nonsense"),
		Operators: s.people(),
	}
}

func (s *source) moved() run.Event {
	e := &run.Moved{Basis: s.record(), Again: pickFrom(s, agent.WhenAllClosed, agent.AtEachClosing, "nonsense"), Finish: s.upTo(16) == 1, Usage: agent.Usage{Input: pickFrom(s, 1, -1, math.MaxInt32)}}
	if s.upTo(16) == 1 {
		e.Fail = "no"
	}
	if s.bool() {
		e.Message = &agent.Message{Role: agent.RoleUser, Parts: []agent.Part{{Call: &agent.Call{ID: "c1"}}, {Call: &agent.Call{ID: pickFrom(s, "c1", "c2", "")}}}}
	}
	if s.bool() {
		e.Keys = map[string]json.RawMessage{"k": s.json()}
	}
	for range s.upTo(4) {
		e.Actions = append(e.Actions, s.moveAction())
	}
	return e
}

func (s *source) moveAction() run.Action {
	a := run.Action{
		Effect: pickFrom(s, agent.Once, agent.ReadOnly, agent.Idempotent, "nonsense"), Attempts: s.attempt(), Lookup: s.bool(),
		Approval: pickFrom(s, "", "", "why"),
	}
	a.Kind = pickFrom(s, agent.ActCall, agent.ActCall, agent.ActAsk, agent.ActWait, agent.ActEmit, agent.ActCancel, agent.ActDelegate, agent.ActDelegate, agent.ActHandoff, "nonsense")
	a.Outlives, a.Whole = s.bool(), s.bool()
	a.Name, a.CallID, a.Args = pickFrom(s, "paid", "pay", "", "*"), pickFrom(s, "", "c1", "c2", "c9"), s.json()
	a.Within, a.Target, a.Ref = s.wait(), s.action(), pickFrom(s, "", "node")
	a.Due = pickFrom(s, time.Time{}, time.Time{}, epoch.Add(-time.Hour), epoch.Add(time.Hour))
	a.Key = pickFrom(s, "", "7")
	if s.upTo(8) == 0 {
		a.Refuse = "no"
	}
	if s.bool() {
		a.Ask = &agent.Ask{Kind: pickFrom(s, agent.AskQuestion, agent.AskChoice, agent.AskApproval, agent.AskOutcome, agent.AskLimit, agent.AskForm, agent.AskRepair, "nonsense"), Within: s.wait()}
		a.Ask.Choices = pickFrom(s, nil, []string{agent.RetryIt, agent.Skip}, []string{"other"})
		a.Ask.For, a.Ask.Not, a.Ask.Remind = s.people(), s.people(), s.wait()
		for range s.upTo(3) {
			a.Ask.Escalate = append(a.Ask.Escalate, agent.Escalation{For: s.people(), Within: s.wait()})
		}
		if s.bool() {
			d := s.answer()
			a.Ask.Default = &d
		}
	}
	return a
}
