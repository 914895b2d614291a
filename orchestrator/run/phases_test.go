package run_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// phases are stories of runs in which an action stands in each of its phases.
var phases = map[string]string{
	"held":        "start bare\n\nbegin definition=d\n\nmove\n    call pay {} approve attempts=2 within=1m escalate=bob/1m remind=20s",
	"ready":       "start bare\n\nbegin interrupt\n\nmove\n    call put {} idempotent attempts=2",
	"begun":       "start bare\n\nbegin interrupt definition=d\n\nmove each\n    call pay {} attempts=3\n\nbegan c1",
	"lost":        "start bare\n\nbegin interrupt\n\nmove\n    call pay {} attempts=2 lookup\n\nbegan c1\n\nworker w2\n\ntick 2m",
	"doubted":     "start bare\n\nbegin interrupt definition=d\n\nmove\n    call pay {} attempts=2\n\nbegan c1\n\nworker w2\n\ntick 2m",
	"looked up":   "start bare\n\nbegin\n\nmove\n    call pay {} attempts=2 lookup\n\nbegan c1\n\nfailed c1 no\n\nlooked-up c1 \"no\" wait=5s\n\ntick 5s\n\nlooked-up c1 \"no\" wait=5s\n\ntick 5s\n\nlooked-up c1 \"no\" wait=5s\n\ntick 5s\n\nlooked-up c1 \"no\" wait=5s\n\ntick 5s\n\nlooked-up c1 \"no\" wait=5m",
	"asking":      "start bare\n\nbegin interrupt\n\nmove\n    ask \"q\" within=1m choices=a,b default=a remind=20s",
	"repair":      "start bare\n\nbegin\n\nmove each\n    ask \"q\" within=1m choices=retry,skip repair\n    call pay {}",
	"awaiting":    "start bare\n\nbegin\n\nmove\n    wait paid key=k within=1m\n\ndelivered paid/k",
	"afield":      "start bare child\n\nbegin\n\nmove\n    delegate billing {\"task\":\"x\"} within=1h",
	"at a limit":  "start bare child\n\nbegin steps=1 run-steps=2 interrupt definition=d\n\nmove each\n    call pay {}\n    call put {} idempotent\n\nbegan c1\n\nreturned c2 1\n\ntick 0s",
	"overrun":     "start bare\n\nbegin tokens=100\n\nmove each\n    delegate billing {\"task\":\"x\"}\n    ask \"q\"\n\ndelivered c1\n\nreported c1 done tokens=450\n\ntick 0s",
	"halted":      "start bare child\n\nbegin steps=1 end-turn\n\nmove each\n    call pay {}\n    call put {} idempotent\n\nbegan c1\n\nreturned c2 1\n\ntick 0s",
	"handed off":  "start bare\n\nbegin definition=d\n\nmove\n    call pay {} approve\n\nsay \"x\"\n\nmove\n    handoff returns",
	"to end":      "start bare child deadline=2m\n\nbegin\n\nmove each\n    call pay {} attempts=2\n    delegate billing {\"task\":\"x\"}\n    ask \"q\"\n\nbegan c1 for=10m",
	"stuck":       "start bare\n\nbegin\n\nmove each\n    call pay {} attempts=2\n    call wire {} approve\n    wait paid\n\nbegan c1\n\nsignal paid\n\nplan-failed \"no\"",
	"quarantined": "start bare\n\nbegin\n\nmove each\n    call pay {} attempts=2 lookup\n    call wire {} approve\n\nbegan c1\n\nquarantine no",
}

// TestEachEventInEachPhase has each event come in each phase of an action, also late, a
// second time, or of an attempt before, and then each event once more.
func TestEachEventInEachPhase(t *testing.T) {
	depth := 2
	if raceEnabled || testing.Short() {
		depth = 1
	}
	for phase, story := range phases {
		s := newScript(t)
		s.play(story)
		p := &phaseWalk{t: t}
		for _, row := range s.log {
			p.log = append(p.log, row.rec)
		}
		p.walk(phase, s.now, depth)
	}
}

// A phaseWalk walks all ways from where a log ends.
type phaseWalk struct {
	t   *testing.T
	log []*run.Record
}

func (p *phaseWalk) walk(way string, now time.Time, depth int) {
	if depth == 0 {
		return
	}
	for _, e := range everyEvent(fold("run", p.log), now) {
		next := &phaseWalk{p.t, slices.Clone(p.log)}
		if next.take(way, now, e) {
			next.walk(way+", "+describe(e), now, depth-1)
		}
	}
	for _, d := range []time.Duration{30 * time.Second, 3 * time.Minute, time.Hour} {
		next := &phaseWalk{p.t, slices.Clone(p.log)}
		next.overdue(way, now.Add(d), "w2")
		next.walk(way+", "+d.String(), now.Add(d), depth-1)
	}
}

// take appends an event as whoever has it does, and reports whether that was possible.
func (p *phaseWalk) take(way string, now time.Time, e run.Event) bool {
	switch e.(type) {
	case *run.Messaged, *run.Answered, *run.Assigned, *run.Reported, *run.Signaled, *run.Mailed, *run.Cancelled, *run.Retried, *run.Redefined:
	default:
		p.add(way, now, e)
		return true
	}
	p.overdue(way, now, "")
	s := fold("run", p.log)
	if ok, _ := s.Judge(e, nil); !ok {
		return false
	}
	if before := essenceOf(p.t, s); essenceOf(p.t, p.add(way, now, e)) == before {
		p.t.Fatalf("%s: an input was accepted and has no effect: %s", way, describe(e))
	}
	return true
}

func (p *phaseWalk) overdue(way string, now time.Time, claim string) {
	s := fold("run", p.log)
	for e := s.Overdue(now, claim); e != nil; e = s.Overdue(now, claim) {
		if s = p.add(way, now, e); len(p.log) > 60 {
			p.t.Fatalf("%s: what is overdue does not end: %s", way, describe(e))
		}
	}
}

// add appends an event, and checks what holds after each.
func (p *phaseWalk) add(way string, now time.Time, e run.Event) *run.State {
	s := fold("run", p.log)
	was := glanceAt(s)
	r := &run.Record{Seq: s.Seq + 1, ID: agent.RecordID(fmt.Sprintf("r%d", s.Seq+1)), Time: now, Event: e}
	p.log = append(p.log, r)
	s.Apply(r)
	if bad := misfit(s, was, r, now); bad != "" {
		p.t.Fatalf("%s, %s: %s", way, describe(e), bad)
	}
	return s
}

// misfit says what does not hold of a state after r; "" if all does.
func misfit(s *run.State, was *glance, r *run.Record, now time.Time) string {
	for _, a := range was.asks {
		open := slices.ContainsFunc(s.Asks(), func(b *agent.Ask) bool { return b.ID == a.ID })
		if _, ended := s.Asked[a.ID]; open == ended {
			return fmt.Sprintf("the ask %s is open: %v, and has ended: %v", a.ID, open, ended)
		}
	}
	for _, o := range s.Open {
		unknown := doubtful(o.Phase)
		switch asks := o.Phase == run.Held || o.Phase == run.Doubted || o.Phase == run.Asking; {
		case asks != (o.Ask != nil):
			return fmt.Sprintf("%s is %s, and its ask is %+v", o.ID, o.Phase, o.Ask)
		case unknown != (o.Doubt != ""), o.Phase == run.Ready && (o.Claim != "" || o.Tries > 0 || o.Crashed || !o.Deadline.IsZero()):
			return fmt.Sprintf("%s is %s, with what is left of another phase: %+v", o.ID, o.Phase, o)
		case (o.Stopped != "" || s.Ending != nil) && o.Phase != run.Begun && !unknown, s.Ending != nil && o.Stopped == "":
			return fmt.Sprintf("%s is %s, and not wanted any more", o.ID, o.Phase)
		case o.Phase == run.Doubted && slices.Contains(o.Ask.Choices, agent.Rerun) == (o.Stopped != ""):
			return fmt.Sprintf("of %s, which is stopped as %q, one of %q is asked", o.ID, o.Stopped, o.Ask.Choices)
		}
	}
	for id, before := range was.open {
		if (before.phase == run.Begun || doubtful(before.phase)) && s.Action(id) == nil && !isOutcome(r.Event) {
			return fmt.Sprintf("the begun call %s was closed without its outcome", id)
		}
	}
	for _, j := range s.Due(now) {
		if !s.Wanted(j) {
			return fmt.Sprintf("the job %s is due and not wanted", j.Key())
		}
	}
	if s.LimitAsk != nil && (s.Ending != nil || s.Status() == agent.StatusPlanning) || s.Turn.Open && s.Status() == agent.StatusIdle {
		return fmt.Sprintf("the run is %s, and its turn %+v", s.Status(), s.Turn)
	}
	if l, again := s.Overdue(now, "").(*run.Limited); again && isAnswer(r.Event) && s.LimitAsk == nil && slices.ContainsFunc(was.asks, func(a *agent.Ask) bool { return a.Kind == agent.AskLimit && a.Tool == l.Limit }) {
		return "to go on at a limit asks again at once"
	}
	if err := wellformed.Check(s.View(now).Messages); err != nil {
		return err.Error()
	}
	return ""
}

func isAnswer(e run.Event) bool { _, ok := e.(*run.Answered); return ok }

// everyEvent is what may come now, or come late, whether or not it fits.
func everyEvent(s *run.State, now time.Time) (all []run.Event) {
	for _, a := range s.Asks() {
		for _, choice := range append(a.Choices, "") {
			answer := agent.Answer{By: bob, Choice: choice}
			if choice == "" || choice == agent.Edit || choice == agent.Instead {
				answer.Value = json.RawMessage(`{"a":1}`)
			}
			all = append(all, &run.Answered{Ask: a.ID, Answer: answer, Edited: choice == agent.Edit})
		}
		all = append(all, &run.Assigned{Ask: a.ID, How: run.Claim, By: bob}, &run.Assigned{Ask: a.ID, How: run.Release, By: bob},
			&run.Assigned{Ask: a.ID, How: run.Delegate, By: bob, To: []string{"cid"}})
	}
	attempts := map[agent.ActionID]int{"r3.0": 1} // which may have ended
	for _, o := range s.Open {
		attempts[o.ID] = o.Attempt
		all = append(all, &run.Moved{Basis: s.Seq, BasisID: s.ID, Actions: []run.Action{{Action: agent.Action{Kind: agent.ActCancel, Target: o.ID}}}},
			&run.Unresolved{Action: o.ID, Attempt: o.Attempt, Try: o.Tries + 1, Error: "no", Wait: time.Minute})
		for _, status := range []agent.Status{"", agent.StatusWaiting, agent.StatusStuck, agent.StatusDone, agent.StatusFailed} {
			all = append(all, &run.Reported{Action: o.ID, Run: o.Child, N: o.Heard + 1, Report: run.Report{Status: status, Reason: "why"}})
		}
	}
	for id, last := range attempts {
		for n := max(last-1, 1); n <= last; n++ {
			all = append(all, &run.Began{Action: id, Attempt: n, Claim: "w1", Deadline: now.Add(time.Minute)})
			for _, lookup := range []bool{false, true} {
				all = append(all, &run.Returned{Action: id, Attempt: n, Content: json.RawMessage(`1`), Lookup: lookup},
					&run.CallFailed{Action: id, Attempt: n, Error: "no", NotDone: true, Again: true, Wait: time.Second, Lookup: lookup})
			}
			all = append(all, &run.CallFailed{Action: id, Attempt: n, Error: "no"}, &run.CallFailed{Action: id, Attempt: n, Error: "no", Again: true},
				&run.CallFailed{Action: id, Attempt: n, Error: "no", NotDone: true})
		}
	}
	for _, l := range s.Left {
		all = append(all, &run.Reported{Action: l.Action, Run: l.Run, N: l.Heard + 1, Report: run.Report{Status: agent.StatusDone}})
	}
	for _, l := range s.Outbox {
		all = append(all, &run.Delivered{To: l.To, N: l.N}, &run.Delivered{To: l.To, N: l.N, Error: "no"}, &run.Delivered{To: l.To, N: l.N, Error: "no", Wait: time.Second})
	}
	return append(all, &run.Messaged{Message: agent.Text("hi"), By: bob}, &run.Signaled{Name: "paid"}, &run.Mailed{Action: "r3.0", From: "m", Signal: "m1", Name: "paid", Key: "k"},
		&run.Cancelled{By: bob}, &run.Retried{By: bob}, &run.Redefined{Definition: "d2"}, &run.TookOver{Claim: "w3"},
		&run.TurnBegan{Slot: s.Plan.Slot, Terms: s.Terms}, &run.Moved{Basis: s.Seq, BasisID: s.ID}, &run.Moved{Basis: s.Seq, BasisID: s.ID, Finish: true},
		&run.Moved{Basis: max(s.Seq-1, 0), BasisID: "before", Message: agent.Said("late")}, &run.PlanFailed{Slot: s.Plan.Slot, Attempt: s.Plan.Attempt + 1, Error: "no"},
		&run.PlanFailed{Slot: s.Plan.Slot, Attempt: s.Plan.Attempt + 1, Error: "no", Transient: true, Wait: time.Minute}, &run.Stuck{Reason: "no", Quarantine: true})
}
