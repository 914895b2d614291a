package orchestrator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

// Each result of a parallel batch is durable as it comes, while others hang.
func TestParallelCalls(t *testing.T) {
	inLab(t, func(l *lab) {
		quick, slow, slower := newHand(), held(), held()
		l.work(nil, service(l.plays(
			step(act.And(scripted.Call("slow", nil)).And(scripted.Call("slower", nil)).And(scripted.Call("nothing", nil))),
			step(done, "act returned: done", "slow returned: at last", "slower failed: too much", "nothing failed: there is no tool"),
		), quick.tool("act", agent.Once), slow.tool("slow", agent.Idempotent), slower.tool("slower", agent.ReadOnly)))
		id := l.start("act")
		l.after(time.Second)
		results := func(want int) {
			l.Helper()
			log := l.log(id)
			if n := count[*run.Returned](log) + count[*run.CallFailed](log); n != want {
				l.Fatalf("%d results are durable, want %d\n%s", n, want, log)
			}
		}
		results(1)
		if len(slow.calls) != 1 || len(slower.calls) != 1 {
			l.Fatal("the calls of one message do not go on together")
		}
		slower.returns <- result{err: errors.New("too much")}
		l.after(0)
		results(2)
		slow.returns <- result{content: "at last"}
		l.rests(id, agent.StatusIdle)
	})
}

// The start of a Once call is durable before it is made, with its claim and its
// deadline; other calls have none.
func TestBeganIsDurableBeforeTheCall(t *testing.T) {
	inLab(t, func(l *lab) {
		once, other := newHand(), newHand()
		once.check = func(c agent.CallInfo) {
			log := l.log(c.Run)
			for _, b := range orchestratortest.Find[*run.Began](log) {
				if b.Action == c.Action && b.Attempt == c.Attempt && b.Claim != "" && b.Deadline.Equal(time.Now().Add(time.Minute)) {
					return
				}
			}
			l.Errorf("the call %+v is made, and the log does not say that it begins\n%s", c, log)
		}
		l.work(nil, service(l.says(act.And(scripted.Call("look", nil)), done), once.tool("act", agent.Once), other.tool("look", agent.ReadOnly)))
		id := l.start("act")
		l.rests(id, agent.StatusIdle)
		if log := l.log(id); count[*run.Began](log) != 1 || len(once.calls) != 1 || len(other.calls) != 1 {
			l.Errorf("want one beginning\n%s", log)
		}
	})
}

// What a tool may know of its call.
func TestCallInfo(t *testing.T) {
	inLab(t, func(l *lab) {
		h := newHand()
		l.work(nil, service(l.says(act.And(act), done), h.tool("act", agent.Idempotent)))
		id, err := l.client.Start(l.Context(), orchestrator.Request{
			Agent: "desk", Message: agent.Text("act"), User: agent.User{ID: "u1", Groups: []string{"vip"}}, Meta: map[string]string{"shop": "north"}})
		l.must(err)
		l.rests(id, agent.StatusIdle)
		a, b := <-h.calls, <-h.calls
		if a.Key == b.Key || a.Key == "" || a.Action == b.Action {
			l.Errorf("two calls have the keys %q and %q", a.Key, b.Key)
		}
		if a.Run != id || a.Agent != "desk" || a.Attempt != 1 || a.User.ID != "u1" || a.User.Groups[0] != "vip" || a.Meta["shop"] != "north" {
			l.Errorf("got %+v", a)
		}
	})
}

// A worker dies in the middle of a call: what becomes of it is a matter of its
// effect.
func TestWorkerDiesInACall(t *testing.T) {
	for _, c := range []struct {
		effect agent.Effect
		again  bool
	}{{agent.ReadOnly, true}, {agent.Idempotent, true}, {agent.Once, false}} {
		t.Run("effect "+string(c.effect), func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := held()
				desk := service(l.plays(step(act), step(done, "act returned: acted")), h.tool("act", c.effect))
				first := l.work(nil, desk)
				id := l.start("act")
				before := <-h.calls
				first.Kill()
				l.work(nil, desk)
				if !c.again {
					l.after(59 * time.Second)
					if s := l.state(id); s.Status() != agent.StatusActing {
						l.Fatalf("before its deadline the call may still end; the run is %s\n%s", s.Status(), l.log(id))
					}
					ask := l.asks(id, agent.AskOutcome)
					if !strings.Contains(ask.Prompt, "its worker was lost") {
						l.Errorf("the ask says %q", ask.Prompt)
					}
					l.after(time.Second) // the call of the dead worker ends
					l.answer(ask, agent.Answer{Choice: agent.Rerun})
				}
				again := <-h.calls
				if again.Key != before.Key || again.Action != before.Action {
					l.Errorf("made again, the call is another one: %+v, before %+v", again, before)
				}
				if wantAttempt := map[bool]int{true: 1, false: 2}[c.again]; again.Attempt != wantAttempt {
					l.Errorf("made again, it is attempt %d, want %d", again.Attempt, wantAttempt)
				}
				h.returns <- result{content: "acted"}
				if c.again { // the call of the dead worker goes on, too
					h.returns <- result{content: "acted"}
				}
				l.rests(id, agent.StatusIdle)
			})
		})
	}
}

// What a person says that a call gave has to fit its tool's schema, also after its
// approval.
func TestResultOfAnUnknownOutcome(t *testing.T) {
	for _, rule := range []agent.Approval{nil, agent.Always} {
		inLab(t, func(l *lab) {
			tool := &agent.Tool{Name: "act", Approve: rule, Output: raw(`{"type":"object","required":["receipt"]}`), Call: func(ctx, raw) (raw, error) {
				return nil, errors.New("connection reset")
			}}
			l.work(nil, service(l.plays(step(act), step(done, `act returned: {"receipt":9}`)), tool))
			id := l.start("act")
			if rule != nil {
				l.answer(l.asks(id, agent.AskApproval), agent.Answer{Choice: agent.Approve})
			}
			ask := l.asks(id, agent.AskOutcome)
			if string(ask.Output) != string(tool.Output) {
				l.Errorf("the ask has the schema %s", ask.Output)
			}
			l.refused(l.client.Answer(l.Context(), ask.ID, agent.Answer{Choice: agent.Happened, Value: raw(`"done"`)}), agent.RefusedInvalid)
			l.answer(ask, agent.Answer{Choice: agent.Happened, Value: raw(`{"receipt":9}`)})
			l.rests(id, agent.StatusIdle)
		})
	}
}

func TestAnswersToAnUnknownOutcome(t *testing.T) {
	for _, c := range []struct {
		answer agent.Answer
		result string
		calls  int
	}{
		{agent.Answer{Choice: agent.Happened}, "act returned: a person confirms that it took place", 1},
		{agent.Answer{Choice: agent.Happened, Value: agent.JSONText("receipt 9")}, "act returned: receipt 9", 1},
		{agent.Answer{Choice: agent.NotHappened, Note: "looked it up"}, "act failed: it did not take place. looked it up", 1},
		{agent.Answer{Choice: agent.GiveUp}, "act failed: nobody can tell whether it took place", 1},
		{agent.Answer{Choice: agent.Rerun}, "act returned: done", 2},
	} {
		t.Run(c.answer.Choice, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				tool := h.tool("act", agent.Once)
				call := tool.Call
				calls := 0
				tool.Call = func(ctx ctx, args raw) (raw, error) {
					v, err := call(ctx, args)
					if calls++; calls == 1 {
						return nil, errors.New("connection reset")
					}
					return v, err
				}
				l.work(nil, service(l.plays(step(act), step(done, c.result)), tool))
				id := l.start("act")
				ask := l.asks(id, agent.AskOutcome)
				if !strings.Contains(ask.Prompt, "connection reset") || ask.Tool != "act" || string(ask.Args) != "{}" {
					l.Errorf("the ask is %+v", ask)
				}
				l.answer(ask, c.answer)
				l.rests(id, agent.StatusIdle)
				if len(h.calls) != c.calls {
					l.Errorf("%d calls, want %d\n%s", len(h.calls), c.calls, l.log(id))
				}
			})
		})
	}
}

// A call that was given up took place after all: its late result is shown at
// the next move.
func TestLateTruthAfterGivingUp(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		h.deaf = true
		l.work(nil, service(l.plays(
			step(act), step(done, "act failed: nobody can tell"), step(done, "acted"),
		), h.tool("act", agent.Once)))
		id := l.start("act")
		ask := l.asks(id, agent.AskOutcome)
		if !strings.Contains(ask.Prompt, "did not return within its time-out of 1m0s") {
			l.Errorf("the ask says %q", ask.Prompt)
		}
		l.answer(ask, agent.Answer{Choice: agent.GiveUp})
		l.rests(id, agent.StatusIdle)
		h.returns <- result{content: "acted"}
		l.after(0)
		l.rests(id, agent.StatusIdle)
		if log := l.log(id); count[*run.Moved](log) != 3 {
			l.Errorf("the planner was not shown the late truth\n%s", log)
		}
	})
}

// lookup gives a tool a Reconcile that a test guides.
func lookup(h *hand) func(*agent.Tool) {
	return func(t *agent.Tool) { t.Reconcile = h.call }
}

func TestReconcile(t *testing.T) {
	for _, c := range []struct {
		name    string
		lookups []result
		result  string
		calls   int
	}{
		{"found", []result{{content: "receipt 9"}}, "act returned: receipt 9", 1},
		{"not done, made again", []result{{err: agent.NotDone(errors.New("no such payment"))}}, "act returned: acted", 2},
		{"found at last", []result{{err: errors.New("down")}, {err: errors.New("down")}, {content: "receipt 9"}}, "act returned: receipt 9", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h, look := held(), held()
				desk := service(l.plays(step(act), step(done, c.result)), h.tool("act", agent.Once, lookup(look)))
				first := l.work(nil, desk)
				id := l.start("act")
				<-h.calls
				first.Kill()
				l.work(nil, desk)
				for i, r := range c.lookups {
					info := <-look.calls
					if info.Attempt != 1 || info.Run != id {
						l.Errorf("look-up %d is of the call %+v", i, info)
					}
					look.returns <- r
				}
				if c.calls == 2 {
					<-h.calls
					h.returns <- result{content: "acted"}
				}
				l.rests(id, agent.StatusIdle)
				if len(h.calls)+len(look.calls) != 0 {
					l.Errorf("there are more calls than expected\n%s", l.log(id))
				}
			})
		})
	}
}

// Reconcile that cannot tell is asked again, and then a person is.
func TestReconcileCannotTell(t *testing.T) {
	inLab(t, func(l *lab) {
		h, look := newHand(), newHand()
		tool := h.tool("act", agent.Once, lookup(look))
		tool.Call = func(ctx ctx, args raw) (raw, error) { return nil, errors.New("connection reset") }
		tool.Reconcile = func(ctx ctx, args raw) (raw, error) {
			v, _ := look.call(ctx, args)
			return v, errors.New("down")
		}
		l.work(nil, service(l.says(act, done), tool))
		id := l.start("act")
		ask := l.asks(id, agent.AskOutcome)
		if !strings.Contains(ask.Prompt, "connection reset") || !strings.Contains(ask.Prompt, "looking it up failed: down") {
			l.Errorf("the ask says %q", ask.Prompt)
		}
		if n := len(look.calls); n != 5 {
			l.Errorf("%d look-ups, want 5", n)
		}
		l.answer(ask, agent.Answer{Choice: agent.NotHappened})
		l.rests(id, agent.StatusIdle)
	})
}

// Reconcile that hangs or panics cannot tell.
func TestReconcileThatBreaks(t *testing.T) {
	for name, reconcile := range map[string]func(ctx, raw) (raw, error){
		"hangs":        func(c ctx, _ raw) (raw, error) { <-c.Done(); return nil, c.Err() },
		"panics":       func(ctx, raw) (raw, error) { panic("oops") },
		"typed nil":    func(ctx, raw) (raw, error) { return nil, (*nilError)(nil) },
		"ends in exit": func(ctx, raw) (raw, error) { exit(); return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				tool := h.tool("act", agent.Once)
				tool.Call = func(ctx, raw) (raw, error) { return nil, errors.New("connection reset") }
				tool.Reconcile = reconcile
				l.work(nil, service(l.says(act, done), tool))
				id := l.start("act")
				l.after(time.Hour)
				l.answer(l.asks(id, agent.AskOutcome), agent.Answer{Choice: agent.Happened})
				l.rests(id, agent.StatusIdle)
			})
		})
	}
}

// The crash of a worker at every commit of a run with all three effects.
func TestCrashAtEveryCommit(t *testing.T) {
	orchestratortest.CrashEverywhere(t, func(t *testing.T, w *orchestratortest.World) {
		l := &lab{T: t, store: w.Store, client: w.Client}
		once, sure, idem, look := newHand(), newHand(), newHand(), newHand()
		made := map[string]bool{}
		sure.check = func(c agent.CallInfo) { made[c.Key] = true }
		w.Work(service(l.plays(
			step(act.And(scripted.Call("sure", nil)).And(scripted.Call("idem", nil)).And(scripted.Call("look", nil))),
			step(scripted.Say("And").And(act), "act ", "sure returned: done", "idem returned: done", "look returned: done"),
			step(done, "act "),
		), once.tool("act", agent.Once), idem.tool("idem", agent.Idempotent), look.tool("look", agent.ReadOnly),
			sure.tool("sure", agent.Once, func(t *agent.Tool) {
				t.Reconcile = func(c ctx, _ raw) (raw, error) {
					if made[agent.CallFrom(c).Key] {
						return agent.JSONText("done"), nil
					}
					return nil, agent.NotDone(errors.New("not found"))
				}
			})))
		id := l.start("act")
		for i := 0; ; i++ {
			res := l.rest(id)
			if len(res.Asks) == 0 {
				break
			}
			if !w.Crashed() || i > 1 {
				l.Fatalf("a person is asked: %+v\n%s", res.Asks, l.log(id))
			}
			l.answer(res.Asks[0], agent.Answer{Choice: agent.NotHappened})
		}
		res := l.rests(id, agent.StatusIdle)
		log := l.log(id)
		if res.Text != "Done." || len(once.calls) > 2 || len(sure.calls) != 1 || len(log.Closed) != 5 {
			l.Errorf("got %+v, %d, %d calls and %d closed actions\n%s", res, len(once.calls), len(sure.calls), len(log.Closed), log)
		}
		if !w.Crashed() && (len(once.calls) != 2 || len(idem.calls) != 1 || len(look.calls) != 1) {
			l.Errorf("undisturbed, the calls are %d, %d and %d", len(once.calls), len(idem.calls), len(look.calls))
		}
	})
}

// TestLostReplies loses the reply to each commit: twice, which sending it again
// mends, and three times, after which the log is read to see what became of it.
func TestLostReplies(t *testing.T) {
	for n := 2; n <= 8; n++ {
		for _, lost := range [][]int{{n, n + 1}, {n, n + 1, n + 2}} {
			inLab(t, func(l *lab) {
				h := newHand()
				store := memorytest.Faulty(l.store.Another(), memorytest.At(memorytest.Fault{At: memorytest.After}, lost...))
				orchestratortest.Work(l.T, store, nil, service(l.plays(step(act), step(act, "act returned"), step(done, "act returned")), h.tool("act", agent.Once)))
				id := l.start("act")
				l.rests(id, agent.StatusIdle)
				if len(h.calls) != 2 {
					l.Errorf("with the replies to commits %v lost, %d calls\n%s", lost, len(h.calls), l.log(id))
				}
			})
		}
	}
}
