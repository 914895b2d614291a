package orchestrator_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

func TestCancelIdle(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, service(l.says(done)))
		id := l.start("hello")
		l.rests(id, agent.StatusIdle)
		l.must(l.client.Cancel(l.Context(), id, "no need", &orchestrator.Input{By: agent.User{ID: "u2"}}))
		l.must(l.client.Cancel(l.Context(), id, "really", nil)) // does nothing
		res := l.rests(id, agent.StatusCancelled)
		if res.Reason != "no need" {
			l.Errorf("got %+v", res)
		}
		l.refused(l.client.Send(l.Context(), id, agent.Text("hello?"), nil), agent.RefusedConflict)
		l.refused(l.client.Retry(l.Context(), id, "", nil), agent.RefusedConflict)
	})
}

// A ReadOnly call that goes on is stopped at once; a begun Once call is stopped,
// and the run has ended when a person has said what became of it.
func TestCancelRunningCalls(t *testing.T) {
	inLab(t, func(l *lab) {
		look, once := held(), held()
		l.work(nil, service(l.says(act.And(scripted.Call("look", nil))), once.tool("act", agent.Once), look.tool("look", agent.ReadOnly)))
		id := l.start("act")
		l.after(time.Second)
		l.must(l.client.Cancel(l.Context(), id, "enough", nil))
		ask := l.asks(id, agent.AskOutcome)
		if slices.Contains(ask.Choices, agent.Rerun) {
			l.Errorf("a cancelled run offers to make the call again: %q", ask.Choices)
		}
		if err := l.client.Answer(l.Context(), ask.ID, agent.Answer{Choice: agent.Rerun}); !refused(err, agent.RefusedInvalid) {
			l.Errorf("rerun in a cancelled run: got %v", err)
		}
		l.answer(ask, agent.Answer{Choice: agent.Happened, Value: agent.JSONText("paid")})
		l.rests(id, agent.StatusCancelled)
		if len(once.calls) != 1 || len(look.calls) != 1 {
			l.Errorf("%d and %d calls, want 1 and 1", len(once.calls), len(look.calls))
		}
	})
}

// The truth of a begun call that takes no notice of being cancelled comes late
// and closes it.
func TestCancelThenTheLateTruth(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		h.deaf = true
		l.work(nil, service(l.says(act), h.tool("act", agent.Once)))
		id := l.start("act")
		l.after(time.Second)
		l.must(l.client.Cancel(l.Context(), id, "enough", nil))
		ask := l.asks(id, agent.AskOutcome)
		h.returns <- result{content: "acted"}
		l.after(0)
		l.rests(id, agent.StatusCancelled)
		l.refused(l.client.Answer(l.Context(), ask.ID, agent.Answer{Choice: agent.GiveUp}), agent.RefusedConflict)
		log := l.log(id)
		if o := log.Closed[ask.Action]; o != agent.Returned {
			l.Errorf("the call was closed as %s, want returned\n%s", o, log)
		}
	})
}

// A call that was begun and says that it is not done lets the run end without a
// question.
func TestCancelACallThatIsNotDone(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		h.deaf = true
		l.work(nil, service(l.says(act), h.tool("act", agent.Once)))
		id := l.start("act")
		l.after(time.Second)
		l.must(l.client.Cancel(l.Context(), id, "enough", nil))
		h.returns <- result{err: agent.NotDone(errors.New("turned down"))}
		l.rests(id, agent.StatusCancelled)
		if log := l.log(id); count[*run.CallFailed](log) != 1 {
			l.Errorf("want one failed call\n%s", log)
		}
	})
}

// A run that backs off, waits for approval, or waits for a person ends at once
// when it is cancelled.
func TestCancelWaiting(t *testing.T) {
	inLab(t, func(l *lab) {
		h := newHand()
		l.work(nil, service(l.says(act), h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = agent.Always })))
		id := l.start("act")
		ask := l.asks(id, agent.AskApproval)
		l.must(l.client.Cancel(l.Context(), id, "", nil))
		l.rests(id, agent.StatusCancelled)
		l.refused(l.client.Answer(l.Context(), ask.ID, agent.Answer{Choice: agent.Approve}), agent.RefusedConflict)
		l.after(time.Hour)
		if len(h.calls) != 0 {
			l.Error("a withdrawn call was made")
		}
		asks, _, err := l.client.Asks(l.Context(), asksOf(id))
		if err != nil || len(asks) != 0 {
			l.Errorf("the inbox has %v, %v", asks, err)
		}
	})
}

// An open question about a call that is not wanted any more no longer offers to
// make it again, in the inbox as in the run.
func TestCancelWithAnOpenQuestion(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		l.work(nil, service(l.says(act), h.tool("act", agent.Once)))
		id := l.start("act")
		l.after(0)
		h.returns <- result{err: errors.New("connection reset")}
		l.after(0)
		l.asks(id, agent.AskOutcome)
		l.must(l.client.Cancel(l.Context(), id, "", nil))
		asks, _, err := l.client.Asks(l.Context(), asksOf(id))
		l.must(err)
		if len(asks) != 1 || slices.Contains(asks[0].Choices, agent.Rerun) {
			l.Errorf("the inbox has %+v", asks)
		}
		l.answer(asks[0], agent.Answer{Choice: agent.NotHappened})
		l.rests(id, agent.StatusCancelled)
	})
}
