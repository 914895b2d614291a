package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

func TestMessageIsQueued(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		l.work(nil, service(l.plays(
			orchestratortest.Step{User: "act", Reply: act},
			orchestratortest.Step{User: "and hurry", Results: []string{"act returned: acted"}, Reply: done},
		), h.tool("act", agent.Once)))
		id := l.start("act")
		l.after(time.Second)
		l.send(id, "and hurry")
		l.after(time.Second)
		if s := l.state(id); s.Status() != agent.StatusActing || s.Plan.LastMove == 0 {
			l.Fatalf("a message in the queue has stopped the call: %s", l.log(id))
		}
		h.returns <- result{content: "acted"}
		l.rests(id, agent.StatusIdle)
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "began", "messaged", "returned", "turnbegan", "moved")
	})
}

func TestMessageInterrupts(t *testing.T) {
	inLab(t, func(l *lab) {
		once, look := held(), held()
		desk := service(l.plays(
			orchestratortest.Step{Reply: act.And(scripted.Call("look", nil))},
			orchestratortest.Step{User: "stop", Results: []string{"act ", "look superseded:"}, Reply: scripted.Say("Stopped.")},
			orchestratortest.Step{Results: []string{"note: The call act"}, Reply: done},
		), once.tool("act", agent.Once), look.tool("look", agent.ReadOnly))
		desk.OnMessage = agent.Interrupt
		l.work(nil, desk)
		id := l.start("act")
		l.after(time.Second)
		l.send(id, "stop")
		ask := l.asks(id, agent.AskOutcome)
		if slices.Contains(ask.Choices, agent.Rerun) {
			l.Errorf("a call that is not wanted any more may be made again: %q", ask.Choices)
		}
		if res := l.rest(id); res.Text != "Stopped." {
			l.Errorf("the planner has not seen the message at once: %+v", res)
		}
		l.answer(ask, agent.Answer{Choice: agent.NotHappened})
		l.rests(id, agent.StatusIdle)
		if n := len(once.calls); n != 1 {
			l.Errorf("%d calls, want 1", n)
		}
	})
}

func TestMessageIsRejected(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		desk := service(l.says(act, done, done), h.tool("act", agent.Once))
		desk.OnMessage = agent.Reject
		l.work(nil, desk)
		id := l.start("act")
		l.after(time.Second)
		l.refused(l.client.Send(l.Context(), id, agent.Text("hurry"), nil), agent.RefusedConflict)
		h.returns <- result{content: "acted"}
		l.rests(id, agent.StatusIdle)
		l.send(id, "thank you")
		l.rests(id, agent.StatusIdle)
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "began", "returned", "moved", "messaged", "turnbegan", "moved")
	})
}

// While an approval is open the user goes on talking: the model is shown the
// call as pending, and what became of it as a note.
func TestTalkWhileAnApprovalIsOpen(t *testing.T) {
	inLab(t, func(l *lab) {
		h := newHand()
		l.work(nil, service(l.plays(
			orchestratortest.Step{User: "act", Reply: act},
			orchestratortest.Step{User: "how long", Results: []string{"act pending:"}, Reply: scripted.Say("A while.")},
			orchestratortest.Step{User: "still there", Results: []string{}, Reply: scripted.Say("Yes.")},
			orchestratortest.Step{Results: []string{"note: The call act (call_0_0), which was open, has ended. Outcome: returned. done"}, Reply: done},
		), h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = agent.Always })))
		id := l.start("act")
		ask := l.asks(id, agent.AskApproval)
		for _, c := range [][2]string{{"how long?", "A while."}, {"still there?", "Yes."}} {
			l.send(id, c[0])
			if res := l.rests(id, agent.StatusWaiting); res.Text != c[1] || len(res.Asks) != 1 {
				l.Fatalf("%s: got %+v", c[0], res)
			}
		}
		l.answer(ask, agent.Answer{Choice: agent.Approve})
		if res := l.rests(id, agent.StatusIdle); res.Text != "Done." || len(h.calls) != 1 {
			l.Errorf("got %+v and %d calls", res, len(h.calls))
		}
		if a := orchestratortest.Find[*run.Answered](l.log(id))[0]; a.Digest != ask.Digest || a.Digest == "" {
			l.Errorf("the log does not say which arguments were approved: %+v", a)
		}
	})
}

// Every input with a key is accepted again without effect, and another input
// with that key is refused.
func TestInputsWithKeys(t *testing.T) {
	inLab(t, func(l *lab) {
		desk := service(l.says(act, done))
		desk.Planner = agent.PlannerFunc(func(context.Context, *agent.View, func(agent.Delta)) (*agent.Move, error) {
			return nil, errors.New("out of order")
		})
		l.work(nil, desk)
		id := l.start("hello")
		in := func(key string) *orchestrator.Input { return &orchestrator.Input{Key: key, By: agent.User{ID: "u1"}} }
		ctx, o := l.Context(), l.client
		for _, c := range []struct {
			kind        string
			give, other func() error
		}{
			{"retried", func() error { return o.Retry(ctx, id, "mended", in("r")) }, func() error { return o.Retry(ctx, id, "again", in("r")) }},
			{"messaged", func() error { return o.Send(ctx, id, agent.Text("a"), in("m")) }, func() error { return o.Send(ctx, id, agent.Text("b"), in("m")) }},
			{"signaled", func() error { return o.Signal(ctx, id, "s", json.RawMessage(`1`), in("s")) }, func() error { return o.Signal(ctx, id, "s", json.RawMessage(`2`), in("s")) }},
			{"cancelled", func() error { return o.Cancel(ctx, id, "no", in("c")) }, func() error { return o.Cancel(ctx, id, "never", in("m")) }},
		} {
			l.rests(id, agent.StatusStuck)
			before := len(l.log(id).Records)
			l.must(c.give())
			l.must(c.give())
			l.refused(c.other(), agent.RefusedConflict)
			l.after(time.Second)
			n := 0
			for _, k := range l.log(id).Kinds()[before:] {
				if k == c.kind {
					n++
				}
			}
			if n != 1 {
				l.Errorf("%s: %d events, want 1\n%s", c.kind, n, l.log(id))
			}
		}
		l.rests(id, agent.StatusCancelled)
	})
}

func TestSignals(t *testing.T) {
	inLab(t, func(l *lab) {
		seen := make([]string, 4) // by the step: what a move comes too late for is planned again
		l.work(nil, &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
			for _, n := range v.News {
				if n.Closed != nil {
					seen[v.Steps-1] = string(n.Closed.Outcome) + " " + agent.PlainText(n.Closed.Content) + " " + n.Closed.By.ID
				}
			}
			wait := agent.Action{Kind: agent.ActWait, Name: "parcel", Within: time.Hour}
			switch v.Steps {
			case 0, 1, 2:
				return &agent.Move{Actions: []agent.Action{wait}}, nil
			case 3:
				return &agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Within: time.Hour}}}, nil
			}
			return &agent.Move{Finish: true}, nil
		})})
		id := l.start("wait")
		in := &orchestrator.Input{By: agent.User{ID: "carrier"}}
		l.must(l.client.Signal(l.Context(), id, "parcel", agent.JSONText("early"), in)) // before anybody waits for it
		l.must(l.client.Signal(l.Context(), id, "letter", nil, in))
		l.after(time.Minute)
		l.must(l.client.Signal(l.Context(), id, "parcel", agent.JSONText("in time"), in))
		l.after(time.Second)
		began := time.Now()
		l.after(time.Hour) // the third wait expires
		l.after(time.Hour) // and the time is what the last one waits for
		if s := l.state(id); s.Status() != agent.StatusDone {
			l.Fatalf("after %s the run is %s\n%s", time.Since(began), s.Status(), l.log(id))
		}
		want := []string{"returned early carrier", "returned in time carrier", "expired the time has come ", "returned the time has come "}
		if !slices.Equal(seen, want) {
			l.Errorf("got %q, want %q", seen, want)
		}
		l.refused(l.client.Signal(l.Context(), id, "parcel", nil, nil), agent.RefusedConflict)
		if n := count[*run.Signaled](l.log(id)); n != 3 {
			l.Errorf("%d signals in the log, want 3", n)
		}
	})
}

func TestSignalThatIsRefused(t *testing.T) {
	inLab(t, func(l *lab) {
		id := l.start("hello")
		l.refused(l.client.Signal(l.Context(), id, "", nil, nil), agent.RefusedInvalid)
		l.refused(l.client.Signal(l.Context(), id, "x", json.RawMessage(`{`), nil), agent.RefusedInvalid)
		l.kinds(id, "started", "messaged")
	})
}

// The same input with the same key is known again, also one which the log gives back as
// another: it is no UTF-8 text, or names no groups of nobody.
func TestKeyOfWhatIsReadAsAnother(t *testing.T) {
	inLab(t, func(l *lab) {
		id := l.start("hello")
		for range 2 {
			l.must(l.client.Send(l.Context(), id, agent.Text("a caf\xe9"), &orchestrator.Input{Key: "m"}))
			l.must(l.client.Signal(l.Context(), id, "caf\xe9", nil, &orchestrator.Input{Key: "s"}))
			l.must(l.client.Signal(l.Context(), id, "paid", nil, &orchestrator.Input{Key: "g", By: agent.User{Groups: []string{}}}))
			l.must(l.client.Cancel(l.Context(), id, "caf\xe9", &orchestrator.Input{Key: "c"}))
		}
		l.kinds(id, "started", "messaged", "messaged", "signaled", "signaled", "cancelled")
	})
}
