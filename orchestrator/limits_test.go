package orchestrator_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

// restless is a planner that calls "act" again and again, for ten tokens a step.
func restless(think time.Duration) agent.Planner {
	return agent.PlannerFunc(func(ctx context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
		select {
		case <-time.After(think):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActCall, Name: "act"}}, Usage: agent.Usage{Input: 7, Output: 3}}, nil
	})
}

func TestLimits(t *testing.T) {
	for name, limits := range map[string]agent.Limits{
		"turn_steps":  {TurnSteps: 5},
		"turn_tokens": {TurnTokens: 50},
		"turn_time":   {TurnTime: 5 * time.Second},
		"run_steps":   {RunSteps: 5},
		"run_tokens":  {RunTokens: 41},
		"run_time":    {RunTime: 5 * time.Second},
	} {
		t.Run(name+" asks a person", func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				l.work(nil, &agent.Agent{Name: "desk", Planner: restless(time.Second), Limits: limits, Tools: []*agent.Tool{h.tool("act", agent.ReadOnly)}})
				id := l.start("go")
				ask := l.asks(id, agent.AskLimit)
				if !strings.Contains(ask.Prompt, name) || len(h.calls) < 4 || len(h.calls) > 5 {
					l.Errorf("after %d calls the ask says %q", len(h.calls), ask.Prompt)
				}
				l.after(24 * time.Hour) // of waiting for a person, which is not the turn's
				l.answer(ask, agent.Answer{Choice: agent.Continue})
				ask = l.asks(id, agent.AskLimit)
				if len(h.calls) < 8 || len(h.calls) > 10 {
					l.Errorf("with the same allowance again there were %d calls", len(h.calls))
				}
				l.answer(ask, agent.Answer{Choice: agent.Stop})
				if res := l.rests(id, agent.StatusIdle); !strings.Contains(res.Reason, name) {
					l.Errorf("got %+v", res)
				}
			})
		})
		t.Run(name+" ends the turn", func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				limits.OnReached = agent.EndTurn
				l.work(nil, &agent.Agent{Name: "desk", Planner: restless(time.Second), Limits: limits, Tools: []*agent.Tool{h.tool("act", agent.ReadOnly)}})
				id := l.start("go")
				if res := l.rests(id, agent.StatusIdle); !strings.Contains(res.Reason, name) {
					l.Errorf("got %+v", res)
				}
				calls := len(h.calls)
				l.send(id, "go on")
				l.rests(id, agent.StatusIdle)
				if again := len(h.calls) - calls; strings.HasPrefix(name, "turn_") && again < 4 || strings.HasPrefix(name, "run_") && again > 0 {
					l.Errorf("in the next turn there were %d calls", again)
				}
			})
		})
	}
}

// A model that is down for a day uses up nothing of the time that a turn has.
func TestTurnTimeIsNotForOutages(t *testing.T) {
	inLab(t, func(l *lab) {
		asked := 0
		l.work(nil, &agent.Agent{Name: "desk", Limits: agent.Limits{TurnTime: time.Minute, RunTime: time.Minute}, Planner: agent.PlannerFunc(func(context.Context, *agent.View, func(agent.Delta)) (*agent.Move, error) {
			if asked++; asked < 10 {
				return nil, agent.Transient(errors.New("it is down"), 3*time.Hour)
			}
			return &agent.Move{Message: agent.Said("here I am")}, nil
		})})
		id := l.start("go")
		if res := l.rests(id, agent.StatusIdle); res.Text != "here I am" || asked != 10 {
			l.Errorf("after %d questions got %+v", asked, res)
		}
	})
}

// A planner that thinks for longer than its turn may is stopped.
func TestTurnTimeStopsThinking(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, &agent.Agent{Name: "desk", Planner: restless(time.Hour), Limits: agent.Limits{TurnTime: time.Minute}, Tools: []*agent.Tool{newHand().tool("act", agent.ReadOnly)}})
		id := l.start("go")
		began := time.Now()
		l.asks(id, agent.AskLimit)
		if took := time.Since(began); took != time.Minute {
			l.Errorf("asked after %s", took)
		}
		l.after(2 * time.Hour)
		if n := count[*run.Moved](l.log(id)); n != 0 {
			l.Errorf("%d moves were made beyond the limit", n)
		}
	})
}

// A turn that is too long by default ends in a question, and a message begins
// another one, which withdraws it.
func TestMessageBeginsANewAllowance(t *testing.T) {
	inLab(t, func(l *lab) {
		h := newHand()
		l.work(nil, &agent.Agent{Name: "desk", Planner: restless(0), Tools: []*agent.Tool{h.tool("act", agent.ReadOnly)}})
		id := l.start("go")
		ask := l.asks(id, agent.AskLimit)
		if len(h.calls) != run.DefaultTurnSteps {
			l.Errorf("%d calls, want %d", len(h.calls), run.DefaultTurnSteps)
		}
		l.send(id, "go on")
		second := l.asks(id, agent.AskLimit)
		if second.ID == ask.ID || len(h.calls) != 2*run.DefaultTurnSteps {
			l.Errorf("%d calls, want %d", len(h.calls), 2*run.DefaultTurnSteps)
		}
		l.refused(l.client.Answer(l.Context(), ask.ID, agent.Answer{Choice: agent.Continue}), agent.RefusedConflict)
	})
}

// An idle run closes by itself after its time, and until then costs no worker
// anything.
func TestIdleCloses(t *testing.T) {
	for name, c := range map[string]struct{ set, want time.Duration }{"by default": {0, 30 * 24 * time.Hour}, "soon": {time.Hour, time.Hour}} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				desk := service(l.says(done, done))
				desk.CloseAfter = c.set
				l.work(&orchestrator.Options{Lease: time.Hour}, desk)
				id := l.start("hello")
				l.rests(id, agent.StatusIdle)
				l.after(c.want - time.Second)
				if e := l.entry(id); e.Worker != "" || e.Index.Status != agent.StatusIdle || e.Late != 0 {
					l.Fatalf("an idle run is held: %+v", e)
				}
				l.after(time.Second)
				l.kinds(id, "started", "messaged", "turnbegan", "moved", "lapsed")
				l.refused(l.client.Send(l.Context(), id, agent.Text("hello?"), nil), agent.RefusedConflict)
				if res := l.rests(id, agent.StatusDone); !strings.Contains(res.Reason, "idle for") {
					l.Errorf("got %+v", res)
				}
			})
		})
	}
}

// An idle run that nobody's worker has looked at is over all the same when its
// time has passed: whoever writes finds that out.
func TestIdleClosesWithoutAWorker(t *testing.T) {
	inLab(t, func(l *lab) {
		desk := service(l.says(done))
		desk.CloseAfter = time.Hour
		first := l.work(nil, desk)
		id := l.start("hello")
		l.rests(id, agent.StatusIdle)
		first.Kill()
		l.after(time.Hour)
		l.refused(l.client.Send(l.Context(), id, agent.Text("hello?"), nil), agent.RefusedConflict)
		l.rests(id, agent.StatusDone)
	})
}

// A run that waits holds no goroutine of a worker.
func TestWaitingHoldsNothing(t *testing.T) {
	inLab(t, func(l *lab) {
		h := newHand()
		l.work(nil, service(l.says(act, done), h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = agent.Always })))
		l.after(time.Second)
		before := l.goroutines()
		for range 100 {
			l.asks(l.start("act"), agent.AskApproval)
		}
		l.after(time.Second)
		if after := l.goroutines(); after > before {
			l.Errorf("a hundred runs that wait hold %d goroutines", after-before)
		}
	})
}

// The usage and the model of each move are in the log, and their sum with the result.
func TestUsage(t *testing.T) {
	inLab(t, func(l *lab) {
		first, second := scripted.Call("act", nil), scripted.Say("Done.")
		first.Usage, second.Usage = agent.Usage{Input: 10, Output: 2}, agent.Usage{Input: 20, Output: 3, Cached: 5}
		l.work(nil, service(l.says(first, second), newHand().tool("act", agent.ReadOnly)))
		res := l.rests(l.start("act"), agent.StatusIdle)
		if want := (agent.Usage{Input: 30, Output: 5, Cached: 5}); res.Usage != want {
			l.Errorf("got %+v, want %+v", res.Usage, want)
		}
	})
}
