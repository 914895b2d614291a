package run_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// closedCheck: how an action ended is told by its planner's own name, and with the
// answer that ended it.
var closedCheck = &check{view: showsRefs, record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	if was.ended {
		return
	}
	l := sh.ledger
	if m, ok := r.Event.(*run.Moved); ok {
		for i := range m.Actions {
			l.refs[actionID(r, i)] = m.Actions[i].Ref
		}
	}
	said := saidBy(was, r)
	for _, n := range sh.truth.News {
		if n.Seq != r.Seq || n.Closed == nil {
			continue
		}
		code := ""
		if e, ok := r.Event.(*run.CallFailed); ok && e.Action == n.Action && n.Closed.Outcome == agent.Failed {
			code = e.Code
		}
		if n.Closed.Code != code {
			w.broken(sh, "%s failed with the code %q, and is told to have %q", n.Action, code, n.Closed.Code)
		}
		if n.Closed.Ref != l.refs[n.Action] {
			w.broken(sh, "the planner calls %s %q, and is told the end of %q", n.Action, l.refs[n.Action], n.Closed.Ref)
		}
		if a, want := n.Closed.Answer, said[n.Action]; (a == nil) != (want == nil) || a != nil && !reflect.DeepEqual(a, want) {
			w.broken(sh, "the answer to %s is told as %+v, and right is %+v", n.Action, a, want)
		}
	}
}}

func showsRefs(w *world, sh *shelf, v *agent.View, _ int64) {
	for _, o := range v.Open {
		if o.Action.Ref != sh.ledger.refs[o.ID] {
			w.broken(sh, "the planner calls %s %q, and is shown it as %q", o.ID, sh.ledger.refs[o.ID], o.Action.Ref)
		}
	}
}

// saidBy returns what a record answers, by the action whose ask it is.
func saidBy(was *glance, r *run.Record) map[agent.ActionID]*agent.Answer {
	said := map[agent.ActionID]*agent.Answer{}
	for _, a := range was.asks {
		switch e := r.Event.(type) {
		case *run.Answered:
			if e.Ask == a.ID {
				said[a.Action] = &e.Answer
			}
		case *run.Lapsed:
			if e.Ask == a.ID && len(a.Escalate) == 0 {
				said[a.Action] = a.Default
			}
		case *run.Retried:
			if retries(was, a, e) {
				said[a.Action] = &agent.Answer{By: e.By, Choice: agent.RetryIt, Note: e.Note}
			}
		}
	}
	return said
}

// retries reports whether to retry a run is to answer one of its asks.
func retries(was *glance, a *agent.Ask, e *run.Retried) bool {
	return a.Kind == agent.AskRepair && slices.Contains(a.Choices, agent.RetryIt) && !was.parked && a.May(e.By) && (a.Claimed.ID == "" || a.Claimed.ID == e.By.ID)
}

// closings returns how actions have ended that no move has taken up, the oldest
// first.
func (s *script) closings() []*agent.Closed {
	var all []*agent.Closed
	for _, n := range s.state.News {
		if n.Closed != nil {
			all = append(all, n.Closed)
		}
	}
	return all
}

// A planner's own name of an action comes back with it, also where the action was
// refused.
func TestActionsHaveNamesOfTheirPlanner(t *testing.T) {
	s := newScript(t)
	s.play("start bare\n\nbegin\n\nmove each\n    wait paid ref=node-7\n    refused sing \"there is no tool sing\" ref=node-8\n    wait sent")
	open := s.state.View(s.now).Open
	if len(open) != 2 || open[0].Action.Ref != "node-7" || open[1].Action.Ref != "" {
		t.Errorf("open are %+v", open)
	}
	s.step("signal paid")
	var told []string
	for _, c := range s.closings() {
		told = append(told, fmt.Sprint(c.Ref, " ", c.Outcome))
	}
	if !slices.Equal(told, []string{"node-8 failed", "node-7 returned"}) {
		t.Errorf("told is %q", told)
	}
}

func TestAdmissionOfNames(t *testing.T) {
	waiting := func(ref string) *agent.Move {
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Name: "paid", Ref: ref}}}
	}
	if moved, err := admit(waiting(strings.Repeat("x", 256))); err != nil || len(moved.Actions[0].Ref) != 256 {
		t.Errorf("a name of 256 bytes: %+v, %v", moved, err)
	}
	for _, ref := range []string{strings.Repeat("x", 257), "\xff"} {
		if _, err := admit(waiting(ref)); err == nil || !strings.Contains(err.Error(), "its Ref is text of at most 256 bytes") {
			t.Errorf("the name %q: %v", ref, err)
		}
	}
}

// What a person said is told where it ended an action, and so is a default that was
// taken.
func TestAnswersAreTold(t *testing.T) {
	s := newScript(t)
	s.play(`start bare

begin

move "I ask." each
    call refund {"order":1} approve
    call pay {}
    ask "Which colour?"
    ask "Which size?" choices=small,large within=1h default=small
    call wire {"order":2} approve

began c2

failed c2 "connection reset"

answer c1 deny note="not that one" by=ann

answer c2 happened value="P7" by=ann

answer c3 value="blue" by=ann

answer c5 approve by=ann

tick 1h

began c5

returned c5 "done"`)
	want := map[string]*agent.Answer{
		"c1": {By: agent.User{ID: "ann", Groups: []string{}}, Choice: agent.Deny, Note: "not that one"},
		"c2": {By: agent.User{ID: "ann", Groups: []string{}}, Choice: agent.Happened, Value: agent.JSONText("P7")},
		"c3": {By: agent.User{ID: "ann", Groups: []string{}}, Value: agent.JSONText("blue")},
		"c4": {Choice: "small"},
		"c5": nil, // what ended it is what the call gave
	}
	closings := s.closings()
	if len(closings) != len(want) {
		t.Fatalf("told is %+v", closings)
	}
	for _, c := range closings {
		if got := want[c.CallID]; !reflect.DeepEqual(c.Answer, got) {
			t.Errorf("%s: %+v, want %+v", c.CallID, c.Answer, got)
		}
	}
}
