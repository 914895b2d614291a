package run_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A check watches a world for one thing that must hold. Each of its functions
// may be nil.
type check struct {
	record func(w *world, sh *shelf, was *glance, r *run.Record) // after each record
	view   func(w *world, sh *shelf, v *agent.View, seq int64)   // of what a planner is shown that has seen the log up to seq
	end    func(w *world, sh *shelf)                             // when the world stands still
}

// allChecks are what the simulation watches.
var allChecks = []*check{foldCheck, actionCheck, resultCheck, idCheck, askCheck, endedCheck, aliveCheck, wakeCheck, deadlineCheck, sizeCheck, onceCheck, familyCheck, peopleCheck, closedCheck, signalCheck, definitionCheck, postCheck}

// foldCheck: the state is the fold of the log, however it came about.
var foldCheck = &check{end: func(w *world, sh *shelf) {
	whole := string(snapshotOf(w.t, sh.truth))
	var log []*run.Record // as a new process reads it
	for _, row := range sh.rows {
		log = append(log, w.decode(row))
	}
	state := run.New(sh.id)
	shadow := run.New(sh.id) // now and then restored from a snapshot
	for i, r := range log {
		state.Apply(r)
		shadow.Apply(r)
		if w.dice.percent(90) && i+1 < len(log) {
			continue
		}
		snap := snapshotOf(w.t, state)
		if string(snap) != string(snapshotOf(w.t, shadow)) {
			w.broken(sh, "after record %d, snapshot and tail give another state than the whole:\n%s\n%s", i+1, snap, snapshotOf(w.t, shadow))
		}
		if w.dice.percent(50) {
			var err error
			if shadow, err = run.Restore(snap); err != nil {
				w.broken(sh, "%v", err)
			}
		}
	}
	if whole != string(snapshotOf(w.t, state)) {
		w.broken(sh, "folding the log anew gives another state")
	}
	k := w.dice.upTo(len(log) + 1) // a process folds so far, and the rest later
	s := fold(sh.id, log[:k])
	for _, r := range log[k:] {
		s.Apply(r)
	}
	if whole != string(snapshotOf(w.t, s)) {
		w.broken(sh, "folding %d records and then the rest gives another state", k)
	}
}}

func fold(id agent.RunID, log []*run.Record) *run.State {
	s := run.New(id)
	for _, r := range log {
		s.Apply(r)
	}
	return s
}

// actionCheck: every action that is opened is closed exactly once.
var actionCheck = &check{
	record: func(w *world, sh *shelf, was *glance, r *run.Record) {
		s, l := sh.truth, sh.ledger
		for id := range was.open {
			if s.Action(id) == nil && l.closed[id] != 1 {
				w.broken(sh, "the action %s went away and was closed %d times", id, l.closed[id])
			}
		}
		for i, o := range s.Open {
			if l.opened[o.ID] != 1 || l.closed[o.ID] != 0 {
				w.broken(sh, "the open action %s was opened %d and closed %d times", o.ID, l.opened[o.ID], l.closed[o.ID])
			}
			if slices.ContainsFunc(s.Open[:i], func(x *run.Open) bool { return x.ID == o.ID }) {
				w.broken(sh, "the action %s is open twice", o.ID)
			}
		}
		for _, n := range s.News {
			if n.Kind == "closed" && (l.closed[n.Action] != 1 || l.opened[n.Action] != 1) {
				w.broken(sh, "the action %s was opened %d and closed %d times", n.Action, l.opened[n.Action], l.closed[n.Action])
			}
		}
		if m, ok := r.Event.(*run.Moved); ok && s.Plan.LastMove == r.Seq {
			for i, a := range m.Actions {
				id := agent.ActionID(fmt.Sprintf("%s.%d", r.ID, i))
				if l.opened[id] != 1 && (a.Kind != agent.ActEmit || a.CallID != "" || a.Refuse != "") {
					w.broken(sh, "action %s of the move was opened %d times", id, l.opened[id])
				}
			}
		}
	},
	end: func(w *world, sh *shelf) {
		for id := range sh.ledger.opened {
			if sh.truth.Ended && sh.ledger.closed[id] != 1 {
				w.broken(sh, "the run has ended, and its action %s was closed %d times", id, sh.ledger.closed[id])
			}
		}
	},
}

// idCheck: ids derive from the record and an index.
var idCheck = &check{record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	for _, o := range sh.truth.Open {
		if _, before := was.open[o.ID]; !before && (!strings.HasPrefix(string(o.ID), string(r.ID)+".") || o.Seq != r.Seq) {
			w.broken(sh, "record %s opened the action %s of record %d", r.ID, o.ID, o.Seq)
		}
	}
	open := map[agent.AskID]bool{}
	for _, a := range sh.truth.Asks() {
		before := slices.ContainsFunc(was.asks, func(b *agent.Ask) bool { return b.ID == a.ID })
		if !before && !strings.HasPrefix(string(a.ID), fmt.Sprintf("%s.%s.", sh.id, r.ID)) || a.ID.Run() != sh.id {
			w.broken(sh, "record %s opened the ask %s", r.ID, a.ID)
		}
		if open[a.ID] {
			w.broken(sh, "two asks have the id %s", a.ID)
		}
		open[a.ID] = true
	}
}}

// askCheck: an ask is open as long as its action waits for the answer, and how each
// one ended is known to who answers too late.
var askCheck = &check{record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	s := sh.truth
	for _, o := range s.Open {
		if asks := o.Phase == run.Held || o.Phase == run.Doubted || o.Phase == run.Asking; asks != (o.Ask != nil) {
			w.broken(sh, "action %s is %s, and its ask is %+v", o.ID, o.Phase, o.Ask)
		}
	}
	for _, a := range was.asks {
		_, ended := s.Asked[a.ID]
		if open := slices.ContainsFunc(s.Asks(), func(b *agent.Ask) bool { return b.ID == a.ID }); open == ended {
			w.broken(sh, "ask %s is open: %v, and has ended: %v", a.ID, open, ended)
		}
	}
}}

// endedCheck: ended states absorb. All that is left to do is to deliver the letters
// that they have.
var endedCheck = &check{record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	s := sh.truth
	if !s.Ended {
		return
	}
	delivers := len(s.Due(w.now.AddDate(9, 0, 0))) == len(s.Outbox) && s.Wake().IsZero() == (len(s.Outbox) == 0) &&
		!slices.ContainsFunc(s.Due(w.now), func(j run.Job) bool { return j.Kind != run.JobDeliver || s.LetterTo(j.To) == nil })
	if len(s.Open) > 0 || len(s.Asks()) > 0 || !delivers || s.Overdue(w.now.AddDate(9, 0, 0), "another") != nil || !s.Status().Ended() {
		w.broken(sh, "the run has ended and is not over")
	}
	if len(s.Outbox) > was.letters && was.ended {
		w.broken(sh, "the run has ended, and has more to say than before")
	}
	if was.ended && w.dice.percent(70) {
		return
	}
	now := essence(w, s)
	if was.ended && sh.ledger.words["at the end"] != now {
		w.broken(sh, "record %d changed a run that had ended", r.Seq)
	}
	sh.ledger.words["at the end"] = now
}}

// essence is what a state says, but for its place, its clock and the keys of
// inputs. Of a run that has ended it is also but for its letters, and whom else they
// were about.
func essence(w *world, s *run.State) string { return essenceOf(w.t, s) }

func essenceOf(t fataler, s *run.State) string {
	c := *s
	c.Seq, c.ID, c.Time, c.Seen = 0, "", time.Time{}, nil
	c.Turn.Active, c.Spent.Active = 0, 0
	if c.Ended {
		c.Outbox, c.Left = nil, nil
	}
	return string(snapshotOf(t, &c))
}

// aliveCheck: an open run is never silent.
var aliveCheck = &check{record: func(w *world, sh *shelf, was *glance, _ *run.Record) {
	s := sh.truth
	wantsWhatIsDue(w, sh, was)
	status := s.Status()
	subscribed := slices.ContainsFunc(s.Open, func(o *run.Open) bool { return o.Phase == run.Awaiting && o.Action.Name != "" })
	afield := slices.ContainsFunc(s.Open, func(o *run.Open) bool { return o.Phase == run.Afield })
	repairs := 0
	for _, a := range s.Asks() {
		if a.Kind == agent.AskRepair {
			repairs++
		}
	}
	if repairs > 0 && (status == agent.StatusWaiting || status == agent.StatusIdle) {
		w.broken(sh, "it is asked what is to be done about a failure, and the run is %s", status)
	}
	switch {
	case s.Ended:
	case status == agent.StatusStuck:
		if s.Reason() == "" {
			w.broken(sh, "the run is stuck and does not say why")
		}
		if s.Stuck == nil && repairs == 0 {
			w.broken(sh, "the run is stuck, and nobody is asked what is to be done")
		}
	case status == agent.StatusIdle:
		if s.Terms.CloseAfter > 0 && s.Wake().IsZero() || s.Turn.Open {
			w.broken(sh, "the run is idle, and will be so for good")
		}
	case len(s.Due(s.Time)) == 0 && s.Wake().IsZero() && len(s.Asks()) == 0 && !subscribed && !afield && !serves(s): // and of what is afield, familyCheck knows
		w.broken(sh, "the run is silent")
	}
	if status == agent.StatusWaiting && len(s.Asks()) == 0 && !subscribed && s.Wake().IsZero() && !afield && !serves(s) {
		w.broken(sh, "the run waits for nothing")
	}
	wrote := slices.ContainsFunc(s.News, func(n run.News) bool { return n.Kind == "message" })
	held := slices.ContainsFunc(s.Open, func(o *run.Open) bool {
		goesOn := o.Phase == run.Afield && !o.Stands.Status.Resting()
		return goesOn || o.Stopped == "" && (o.Phase == run.Ready || o.Phase == run.Begun || o.Phase == run.Lost)
	})
	if wrote && !held && s.Ending == nil && s.Stuck == nil && s.LimitAsk == nil && s.Turn.Halted == "" && status != agent.StatusPlanning {
		w.broken(sh, "the user wrote, all that is open may take long, and the run is %s", status)
	}
}}

// serves reports whether the run is a mailbox for which others wait.
func serves(s *run.State) bool { return s.Mailbox != nil && len(s.Mailbox.Waiting) > 0 }

// wantsWhatIsDue checks that what is due may go on, and that a call may not that
// has ended or is not wanted any more.
func wantsWhatIsDue(w *world, sh *shelf, was *glance) {
	s := sh.truth
	for _, j := range s.Due(w.now) {
		if !s.Wanted(j) {
			w.broken(sh, "the job %s is due and not wanted", j.Key())
		}
	}
	for id, before := range was.open {
		j := run.Job{Kind: run.JobCall, Action: id, Attempt: before.attempt}
		if o := s.Action(id); (o == nil || o.Stopped != "") && s.Wanted(j) {
			w.broken(sh, "the call %s is to be stopped, and is wanted", id)
		}
	}
}

// wakeCheck: Wake agrees with what is due and overdue.
var wakeCheck = &check{record: func(w *world, sh *shelf, _ *glance, _ *run.Record) {
	s := sh.truth
	if s.Ended || s.Stuck != nil && s.Stuck.Quarantine {
		first := time.Time{}
		for _, l := range s.Outbox {
			if at := later(l.NotBefore, s.Time); first.IsZero() || at.Before(first) {
				first = at
			}
		}
		if !s.Wake().Equal(first) {
			w.broken(sh, "nobody is to look at the run but for its letters from %s on, and it wakes at %s", first.Sub(epoch), s.Wake().Sub(epoch))
		}
		return
	}
	wake := s.Wake()
	if wake.IsZero() {
		if late := s.Time.AddDate(50, 0, 0); wants(s, late) {
			w.broken(sh, "something becomes due, and there is no time to wake at")
		}
		return
	}
	if wake.Before(s.Time) {
		w.broken(sh, "the run wakes %s before its last record", s.Time.Sub(wake))
	}
	if before := wake.Add(-1); !before.Before(s.Time) && wants(s, before) {
		w.broken(sh, "something is due before the run wakes at %s: %v, %v", wake.Sub(epoch), s.Due(before), s.Overdue(before, ""))
	}
	deadline := slices.ContainsFunc(s.Open, func(o *run.Open) bool { return o.Phase == run.Begun && !o.Deadline.After(wake) })
	if !wants(s, wake) && !deadline {
		w.broken(sh, "the run wakes at %s for nothing", wake.Sub(epoch))
	}
	if next := s.WakeAfter(wake); !next.IsZero() && !next.After(wake) {
		w.broken(sh, "WakeAfter(%s) is %s", wake.Sub(epoch), next.Sub(epoch))
	}
}}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// wants reports whether something is to be started or appended at a time.
func wants(s *run.State, at time.Time) bool {
	return s.Overdue(at, "") != nil || slices.ContainsFunc(s.Due(at), func(j run.Job) bool { return !j.Begun })
}

// deadlineCheck: the order in the log decides between an answer and its expiry,
// and no answer is in the log that came when its ask was due.
var deadlineCheck = &check{record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	if sh.truth.Time.Before(was.time) || sh.truth.Time.Before(r.Time) {
		w.broken(sh, "the run's clock went back")
	}
	for _, a := range was.asks {
		switch e := r.Event.(type) {
		case *run.Answered:
			if e.Ask == a.ID && !a.Due.IsZero() && !r.Time.Before(a.Due) {
				w.broken(sh, "the answer to %s was taken after its due time", a.ID)
			}
		case *run.Lapsed:
			if e.Ask == a.ID && r.Time.Before(a.Due) {
				w.broken(sh, "the ask %s expired before its due time", a.ID)
			}
			if e.Ask == a.ID && len(a.Escalate) == 0 {
				w.count.AsksExpired++
			}
		}
	}
}}

// sizeCheck: what an event costs does not depend on how long the run is.
var sizeCheck = &check{record: func(w *world, sh *shelf, _ *glance, _ *run.Record) {
	row := sh.rows[len(sh.rows)-1]
	bound := 600
	switch e := row.rec.Event.(type) {
	case *run.Moved:
		bound += 1100 * len(e.Actions) // a call stands in the message and in its action, and says whom to ask
	case *run.Started:
		bound += 100 * run.MaxDepth // its path
	case *run.Reported, *run.TurnBegan:
		bound += 600 // a reason
	}
	if len(row.data) > bound {
		w.broken(sh, "record %d has %d bytes, and at most %d are right: %s", row.rec.Seq, len(row.data), bound, row.data)
	}
}}

// onceCheck: an attempt is begun once, a further one has a reason in the log, and
// what was begun ends only by its outcome, found or decided. That a Once call is
// made as its Began says is seen to where it is made.
var onceCheck = &check{record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	for id, before := range was.open {
		if (before.phase == run.Begun || doubtful(before.phase)) && sh.truth.Action(id) == nil && !isOutcome(r.Event) {
			w.broken(sh, "the begun call %s was closed without its outcome", id)
		}
	}
	e, ok := r.Event.(*run.Began)
	if !ok {
		return
	}
	l := sh.ledger
	if n := l.begun[attempt{e.Action, e.Attempt}]; n > 1 {
		w.broken(sh, "attempt %d of %s is begun %d times", e.Attempt, e.Action, n)
	}
	if l.begun[attempt{e.Action, e.Attempt}] == 1 && e.Attempt > 1 && l.why[attempt{e.Action, e.Attempt - 1}] == "" {
		w.broken(sh, "attempt %d of %s is begun without a reason", e.Attempt, e.Action)
	}
}}

func isOutcome(e run.Event) bool {
	switch e.(type) {
	case *run.Returned, *run.CallFailed, *run.Answered:
		return true
	}
	return false
}
