package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

type (
	ctx = context.Context
	raw = json.RawMessage
)

// nilError is an error whose nil pointer is often returned by mistake.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// exit ends the goroutine, as a failed test does.
func exit() { runtime.Goexit() }

// A tool that breaks ends its call, and nothing else.
func TestToolsThatBreak(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(ctx, raw) (raw, error)
		result string
	}{
		"panics":             {func(ctx, raw) (raw, error) { panic("oops") }, "act failed: panic: oops"},
		"panics with nil":    {func(ctx, raw) (raw, error) { panic(nil) }, "act failed: panic"},
		"panics with errors": {func(ctx, raw) (raw, error) { panic(errors.New("oops")) }, "act failed: panic: oops"},
		"typed nil":          {func(ctx, raw) (raw, error) { return nil, (*nilError)(nil) }, "act failed: panic"},
		"ends in exit":       {func(ctx, raw) (raw, error) { exit(); return nil, nil }, "act failed"},
		"hangs":              {func(c ctx, _ raw) (raw, error) { <-c.Done(); return nil, c.Err() }, "act failed: the tool act did not return within its time-out of 1m0s"},
		"gives no JSON":      {func(ctx, raw) (raw, error) { return raw("ok, done"), nil }, "act returned: ok, done"},
		"gives nothing":      {func(ctx, raw) (raw, error) { return nil, nil }, "act returned: null"},
		"a long error":       {func(ctx, raw) (raw, error) { return nil, errors.New(strings.Repeat("x", 1<<20)) }, "bytes in all"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				tool := newHand().tool("act", agent.ReadOnly)
				tool.Call = c.call
				l.work(nil, service(l.plays(step(act), step(done, c.result)), tool))
				id := l.start("act")
				l.after(5 * time.Minute)
				l.rests(id, agent.StatusIdle)
				for _, e := range orchestratortest.Find[*run.CallFailed](l.log(id)) {
					if strings.HasPrefix(e.Error, "panic") && !strings.Contains(e.Stack, "goroutine") {
						l.Errorf("the log has no stack of the panic: %+v", e)
					}
				}
			})
		})
	}
}

// A Once tool that breaks may have acted before.
func TestOnceToolThatPanics(t *testing.T) {
	inLab(t, func(l *lab) {
		tool := newHand().tool("act", agent.Once)
		tool.Call = func(ctx, raw) (raw, error) { panic("oops") }
		l.work(nil, service(l.says(act, done), tool))
		id := l.start("act")
		l.answer(l.asks(id, agent.AskOutcome), agent.Answer{Choice: agent.NotHappened})
		l.rests(id, agent.StatusIdle)
	})
}

// A planner that breaks parks its run as stuck, with the reason.
func TestPlannersThatBreak(t *testing.T) {
	for name, c := range map[string]struct {
		plan   func() (*agent.Move, error)
		reason string
	}{
		"panics":        {func() (*agent.Move, error) { panic("oops") }, "panic: oops"},
		"typed nil":     {func() (*agent.Move, error) { return nil, (*nilError)(nil) }, "panic"},
		"ends in exit":  {func() (*agent.Move, error) { exit(); return nil, nil }, "goroutine"},
		"gives nothing": {func() (*agent.Move, error) { return nil, nil }, "neither a move nor an error"},
		"an odd move": {func() (*agent.Move, error) {
			return &agent.Move{Actions: []agent.Action{{Kind: "dance"}}}, nil
		}, "every kind of action is known"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.work(nil, &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(func(ctx, *agent.View, func(agent.Delta)) (*agent.Move, error) { return c.plan() })})
				id := l.start("hello")
				l.after(time.Minute)
				if res := l.rests(id, agent.StatusStuck); !strings.Contains(res.Reason, c.reason) {
					l.Errorf("the reason is %q, want one with %q", res.Reason, c.reason)
				}
			})
		})
	}
}

// briefed is a planner whose instructions break.
type briefed struct {
	agent.Planner
	brief func() (string, error)
}

func (b *briefed) Brief(context.Context, *agent.View) (string, error) { return b.brief() }

func TestBriefThatBreaks(t *testing.T) {
	for name, brief := range map[string]func() (string, error){
		"panics": func() (string, error) { panic("oops") },
		"fails":  func() (string, error) { return "", errors.New("oops") },
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				desk := service(l.says(done))
				desk.Planner = &briefed{desk.Planner, brief}
				l.work(nil, desk)
				id := l.start("hello")
				if res := l.rests(id, agent.StatusStuck); !strings.Contains(res.Reason, "the instructions of agent desk cannot be made") || !strings.Contains(res.Reason, "oops") {
					l.Errorf("got %+v", res)
				}
			})
		})
	}
}

// An approval rule that breaks leaves the decision to a person.
func TestApprovalRulesThatBreak(t *testing.T) {
	for name, rule := range map[string]agent.Approval{
		"panics": func(ctx, agent.CallInfo, raw) (*agent.Ask, error) { panic("oops") },
		"fails":  func(ctx, agent.CallInfo, raw) (*agent.Ask, error) { return nil, errors.New("oops") },
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				l.work(nil, service(l.says(act, done), h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = rule })))
				id := l.start("act")
				ask := l.asks(id, agent.AskApproval)
				if !strings.Contains(ask.Prompt, "oops") || len(h.calls) != 0 {
					l.Errorf("the ask says %q, after %d calls", ask.Prompt, len(h.calls))
				}
				l.answer(ask, agent.Answer{Choice: agent.Approve})
				l.rests(id, agent.StatusIdle)
			})
		})
	}
}

// A tool that takes no notice of its context is given up when its time is up;
// what it gives later is a late result.
func TestDeafTool(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		h.deaf = true
		l.work(nil, service(l.plays(
			step(act), step(done, "act returned: late but true"),
		), h.tool("act", agent.Once)))
		id := l.start("act")
		began := time.Now()
		l.asks(id, agent.AskOutcome)
		if waited := time.Since(began); waited > time.Minute+2*time.Second {
			l.Errorf("the call was given up after %s", waited)
		}
		h.returns <- result{content: "late but true"}
		l.after(0)
		l.rests(id, agent.StatusIdle)
		asks, _, err := l.client.Asks(l.Context(), asksOf(id))
		if err != nil || len(asks) != 0 {
			l.Errorf("the ask was not withdrawn: %v, %v", asks, err)
		}
	})
}

// A late result is recorded once, however many replies of the store are lost.
func TestLateResultWithLostReplies(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		h.deaf = true
		store := memorytest.Faulty(l.store.Another(), nil)
		orchestratortest.Work(l.T, store, nil, service(l.says(act, done), h.tool("act", agent.Once)))
		id := l.start("act")
		l.asks(id, agent.AskOutcome)
		asked := store.Counts().Asked
		store.Plan(func(n int, _ *memory.Commit) memorytest.Fault {
			if n <= asked+4 {
				return memorytest.Fault{At: memorytest.After}
			}
			return memorytest.Fault{}
		})
		h.returns <- result{content: "acted"}
		l.after(time.Minute)
		l.rests(id, agent.StatusIdle)
		if n := count[*run.Returned](l.log(id)); n != 1 {
			l.Errorf("the result is recorded %d times\n%s", n, l.log(id))
		}
	})
}

// A tool that says, late, that it has not acted resolves the doubt.
func TestDeafToolThatIsNotDone(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		h.deaf = true
		l.work(nil, service(l.plays(step(act), step(done, "act failed: turned down")), h.tool("act", agent.Once)))
		id := l.start("act")
		l.asks(id, agent.AskOutcome)
		h.returns <- result{err: agent.NotDone(errors.New("turned down"))}
		l.after(0)
		l.rests(id, agent.StatusIdle)
	})
}

// A planner that hangs and takes no notice of its context does not hold up the
// user who interrupts it.
func TestDeafPlanner(t *testing.T) {
	inLab(t, func(l *lab) {
		plans := make(chan *agent.View, 10)
		over := make(chan struct{})
		l.work(nil, &agent.Agent{Name: "desk", OnMessage: agent.Interrupt, Planner: agent.PlannerFunc(func(_ ctx, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
			plans <- v
			if len(v.Messages) == 1 {
				<-over
				return &agent.Move{Message: agent.Said("late")}, nil
			}
			return &agent.Move{Message: agent.Said("at once")}, nil
		})})
		id := l.start("hello")
		l.after(time.Second)
		l.send(id, "well?")
		l.after(10 * time.Second)
		if res := l.rests(id, agent.StatusIdle); res.Text != "at once" {
			l.Errorf("got %+v", res)
		}
		close(over)
		l.after(time.Second)
		if res := l.rests(id, agent.StatusIdle); res.Text != "at once" {
			l.Errorf("a move that is void was taken: %+v", res)
		}
	})
}

// Large results are kept beside the log, with their beginning in it.
func TestLargeResult(t *testing.T) {
	inLab(t, func(l *lab) {
		big := strings.Repeat("all work and no play ", 10_000)
		tool := newHand().tool("act", agent.ReadOnly)
		tool.Call = func(ctx, raw) (raw, error) { return agent.JSONText(big), nil }
		l.work(nil, service(l.plays(step(act), step(done, "bytes in all")), tool))
		id := l.start("act")
		l.rests(id, agent.StatusIdle)
		got := orchestratortest.Find[*run.Returned](l.log(id))[0]
		if len(got.Content) > 20<<10 || got.Blob == "" {
			l.Fatalf("%d bytes are in the log, and the blob is %q", len(got.Content), got.Blob)
		}
		whole, err := l.store.Blob(l.Context(), id, got.Blob)
		if err != nil || agent.PlainText(whole) != big {
			l.Errorf("the blob has %d bytes, %v", len(whole), err)
		}
	})
}
