package orchestrator_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

func mentions(err error, words string) bool {
	return err != nil && strings.Contains(err.Error(), words)
}

// frozen is a handle whose renewals, claims and releases do not reach the store
// while it is frozen, as those of a process that was stopped for a while.
type frozen struct {
	memory.Store
	mu sync.Mutex
	on bool
}

func (s *frozen) freeze(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
}

func (s *frozen) is() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

func (s *frozen) Renew(ctx context.Context, lease time.Duration, held []memory.Held) ([]memory.Renewal, error) {
	for s.is() {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Store.Renew(ctx, lease, held)
}

func (s *frozen) Claim(ctx context.Context, r *memory.ClaimRequest) ([]memory.Claim, error) {
	if s.is() {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	}
	q := *r
	q.Wait = min(q.Wait, time.Second)
	return s.Store.Claim(ctx, &q)
}

// A process that was frozen for longer than its lease finds that its claim is
// lost: it begins no more calls, and what its begun call gave is recorded.
func TestLostLease(t *testing.T) {
	inLab(t, func(l *lab) {
		once, look := held(), held()
		desk := service(l.plays(
			step(act.And(scripted.Call("look", nil))),
			step(act, "act returned: acted", "look returned: seen"),
			step(done, "act returned: acted again"),
		), once.tool("act", agent.Once), look.tool("look", agent.ReadOnly))
		ice := &frozen{Store: l.store.Another()}
		orchestratortest.Work(l.T, ice, nil, desk)
		id := l.start("act")
		l.after(time.Second)
		ice.freeze(true)
		l.work(nil, desk)
		l.after(11 * time.Second)
		log := l.log(id)
		if count[*run.TookOver](log) != 1 || len(once.calls) != 1 || len(look.calls) != 2 {
			l.Fatalf("want a take-over, one Once call and a second ReadOnly call; there are %d and %d\n%s", len(once.calls), len(look.calls), log)
		}
		ice.freeze(false)
		l.after(5 * time.Second)
		if look.stopped.Load() != 1 || once.stopped.Load() != 0 {
			l.Errorf("of the process that has lost its claim %d ReadOnly and %d Once calls were stopped, want 1 and 0", look.stopped.Load(), once.stopped.Load())
		}
		once.returns <- result{content: "acted"} // of the process that has lost its claim
		look.returns <- result{content: "seen"}
		l.after(time.Second)
		if len(once.calls) != 2 {
			l.Fatalf("%d Once calls, want 2\n%s", len(once.calls), l.log(id))
		}
		once.returns <- result{content: "acted again"}
		l.rests(id, agent.StatusIdle)
		log = l.log(id)
		if began := orchestratortest.Find[*run.Began](log); len(began) != 2 || began[1].Claim == began[0].Claim {
			l.Errorf("a process without claim has begun a call\n%s", log)
		}
	})
}

// A worker that has just started takes over what it finds abandoned as soon as it
// knows that nobody else could have renewed: when a lease has passed.
func TestNewWorkerTakesOver(t *testing.T) {
	inLab(t, func(l *lab) {
		look := held()
		desk := service(l.plays(step(act), step(done, "act returned: seen")), look.tool("act", agent.ReadOnly))
		opts := &orchestrator.Options{Lease: 12 * time.Second}
		ice := &frozen{Store: l.store.Another()}
		orchestratortest.Work(l.T, ice, opts, desk)
		id := l.start("act")
		l.after(time.Second)
		ice.freeze(true)
		l.work(opts, desk)
		l.after(11 * time.Second)
		if len(look.calls) != 1 {
			l.Errorf("the run was taken over before its worker could have renewed its claim")
		}
		l.after(1100 * time.Millisecond)
		if len(look.calls) != 2 {
			l.Errorf("the run was not taken over when a lease had passed")
		}
		look.returns <- result{content: "seen"}
		l.rests(id, agent.StatusIdle)
	})
}

// A worker that loses its claim, and then takes the run again itself while its
// old call goes on, ends within its Grace all the same.
func TestLostLeaseAndShutDown(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		desk := service(l.says(act, done), h.tool("act", agent.Once, func(t *agent.Tool) { t.Timeout = time.Hour }))
		ice := &frozen{Store: l.store.Another()}
		o, err := orchestrator.New(ice, []*agent.Agent{desk}, nil)
		l.must(err)
		stop := l.until(o)
		id := l.start("act")
		l.after(time.Second)
		ice.freeze(true)
		l.after(12 * time.Second)
		other := l.store.Another() // takes the run, and dies
		if claims, err := other.Claim(l.Context(), &memory.ClaimRequest{Agents: []string{"desk"}, Lease: time.Minute}); err != nil || len(claims) != 1 {
			l.Fatalf("got %v, %v", claims, err)
		}
		ice.freeze(false)
		l.after(5 * time.Second) // it learns that its claim is lost
		other.Kill()
		l.after(5 * time.Second) // and takes the run again
		if n := count[*run.TookOver](l.log(id)); n != 1 {
			l.Fatalf("it has not taken the run again\n%s", l.log(id))
		}
		began := time.Now()
		stop()
		if took := time.Since(began); took > 12*time.Second {
			l.Errorf("Work took %s to end", took)
		}
	})
}

// unrenewed is a handle whose renewals get no answer.
type unrenewed struct{ memory.Store }

func (unrenewed) Renew(ctx context.Context, _ time.Duration, _ []memory.Held) ([]memory.Renewal, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A worker that takes a run again, since its own claim has lapsed, and brings it to
// rest, does not hold what it kept of it then for a log that has lost records.
func TestOldDriverMeetsWarmRun(t *testing.T) {
	inLab(t, func(l *lab) {
		var calls atomic.Int32
		gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
		look := &agent.Tool{Name: "act", Effect: agent.ReadOnly, Timeout: time.Hour, Call: func(context.Context, raw) (raw, error) {
			<-gates[calls.Add(1)-1]
			return raw(`"seen"`), nil
		}}
		var said strings.Builder
		opts := &orchestrator.Options{Logger: slog.New(slog.NewTextHandler(&said, nil))}
		orchestratortest.Work(l.T, unrenewed{l.store.Another()}, opts, service(l.plays(step(act), step(done, "act returned: seen")), look))
		id := l.start("act")
		l.after(15 * time.Second)
		if calls.Load() != 2 {
			l.Fatalf("the tool was called %d times, want one call under the claim that has lapsed, and one under the next", calls.Load())
		}
		close(gates[1])
		l.rests(id, agent.StatusIdle)
		close(gates[0])
		l.after(time.Second)
		if strings.Contains(said.String(), "lost records") {
			l.Errorf("the worker said: %s", &said)
		}
	})
}

// lostBegan is a store that was put back in time, and keeps what is appended to it then
// for a test to look at.
type lostBegan struct {
	rewound
	mu   sync.Mutex
	kept []memory.Record
}

func (s *lostBegan) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rewound.Read(ctx, id, o)
}

func (s *lostBegan) Commit(ctx context.Context, c *memory.Commit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut == 0 {
		return s.rewound.Commit(ctx, c)
	}
	s.kept = append(s.kept, c.Records...)
	return nil
}

// When the store has lost that a call was begun, the run is quarantined, so that nobody
// makes the call again; also one that is stuck already, as calls of it go on.
func TestStuckRunWhoseCallIsLost(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		pay := h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = agent.Always })
		store := &lostBegan{rewound: rewound{Store: l.store.Another()}}
		orchestratortest.Work(l.T, store, nil, &agent.Agent{Name: "desk", Tools: []*agent.Tool{pay}, Planner: agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
			if v.Steps > 0 {
				return nil, errors.New("no idea")
			}
			return &agent.Move{Again: agent.AtEachClosing, Actions: []agent.Action{
				{Kind: agent.ActCall, Name: "act", Args: raw(`{}`)},
				{Kind: agent.ActWait, Name: "paid", Within: time.Second},
			}}, nil
		})})
		id := l.start("go")
		l.after(2 * time.Second)
		res := l.rests(id, agent.StatusStuck)
		l.answer(res.Asks[0], agent.Answer{Choice: agent.Approve})
		<-h.calls
		store.mu.Lock()
		store.cut = 2 // began, and the message that has the worker look
		store.mu.Unlock()
		l.send(id, "well?")
		l.after(20 * time.Second)
		store.mu.Lock()
		defer store.mu.Unlock()
		parked := slices.ContainsFunc(store.kept, func(r memory.Record) bool {
			e, err := run.Decode(r.Data)
			l.must(err)
			s, ok := e.(*run.Stuck)
			return ok && s.Quarantine && strings.Contains(s.Reason, "lost records")
		})
		if !parked {
			l.Errorf("the run is not quarantined, and its call would be made again; appended were %d records\n%s", len(store.kept), l.log(id))
		}
	})
}

// A run that is erased while it is driven is driven no more.
func TestEraseWhileRunning(t *testing.T) {
	inLab(t, func(l *lab) {
		once, look := held(), held()
		l.work(nil, service(l.says(act.And(scripted.Call("look", nil))), once.tool("act", agent.Once), look.tool("look", agent.ReadOnly)))
		id := l.start("act")
		l.after(time.Second)
		l.must(l.client.Erase(l.Context(), id))
		once.returns <- result{content: "acted"}
		l.after(time.Minute)
		other := l.start("act")
		l.after(time.Second)
		if len(once.calls) != 2 || l.entry(other).Worker == "" {
			l.Error("the worker does not go on with other runs")
		}
		_, err := l.client.State(l.Context(), id)
		l.refused(err, agent.RefusedUnknown)
	})
}

// Drive drives one run and no other, and only if its agent is at hand.
func TestDrive(t *testing.T) {
	inLab(t, func(l *lab) {
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{service(l.says(done, done))}, nil)
		l.must(err)
		id, other := l.start("hello"), l.start("hello")
		ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
		defer cancel()
		go func() {
			time.Sleep(30 * time.Second)
			l.must(l.client.Send(l.Context(), id, agent.Text("and?"), nil))
		}()
		l.must(o.Drive(ctx, id))
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "messaged", "turnbegan", "moved")
		l.kinds(other, "started", "messaged")
		strange, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "till"})
		l.must(err)
		l.refused(o.Drive(l.Context(), strange), agent.RefusedUnknown)
		l.refused(o.Drive(l.Context(), "nobody"), agent.RefusedUnknown)
	})
}

// A worker whose claim was taken while its planner thought, and which has not
// learned of that, decides nothing and begins nothing any more.
func TestLostClaimCommitsNothing(t *testing.T) {
	inLab(t, func(l *lab) {
		h := newHand()
		model := scripted.New(act, done)
		model.Delay = time.Second
		slow := agent.ModelFunc(func(c ctx, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
			time.Sleep(15 * time.Second)
			return model.Generate(c, req, emit)
		})
		ice := &frozen{Store: l.store.Another()}
		orchestratortest.Work(l.T, ice, nil, service(slow, h.tool("act", agent.Once)))
		id := l.start("act")
		l.after(time.Second)
		ice.freeze(true)
		l.after(11 * time.Second)
		claims, err := l.store.Another().Claim(l.Context(), &memory.ClaimRequest{Run: id, Lease: time.Hour})
		if err != nil || len(claims) != 1 {
			l.Fatalf("got %v, %v", claims, err)
		}
		l.after(10 * time.Second)
		l.kinds(id, "started", "messaged", "turnbegan")
		if len(h.calls) != 0 {
			l.Error("a worker without claim has made a call")
		}
	})
}

// Whoever drives one run only and is left in the middle of a thought ends at
// once; whoever drives it next asks again.
func TestDriveIsLeftWhilePlanning(t *testing.T) {
	inLab(t, func(l *lab) {
		desk := service(l.speaking("one two three"))
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{desk}, nil)
		l.must(err)
		id := l.start("count")
		ctx, cancel := context.WithTimeout(l.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		l.must(o.Drive(ctx, id))
		if took := time.Since(began); took != 2*time.Second {
			l.Errorf("Drive took %s to end", took)
		}
		l.kinds(id, "started", "messaged", "turnbegan")
		l.work(nil, desk)
		l.rests(id, agent.StatusIdle)
	})
}

// TestResultsOfALostClaimComeOneByOne loses the claim of a run with two calls
// that go on: the result of the quick one is recorded when it comes, and not
// when the slow one has ended, so that nobody is asked what became of it.
func TestResultsOfALostClaimComeOneByOne(t *testing.T) {
	inLab(t, func(l *lab) {
		quick, slow := held(), held()
		desk := service(l.plays(step(act.And(scripted.Call("slow", nil))), step(done)),
			quick.tool("act", agent.Once), slow.tool("slow", agent.Once, func(t *agent.Tool) { t.Timeout = time.Hour }))
		ice := &frozen{Store: l.store.Another()}
		orchestratortest.Work(l.T, ice, nil, desk)
		id := l.start("act")
		l.after(time.Second)
		ice.freeze(true)
		l.work(nil, desk)
		l.after(11 * time.Second)
		ice.freeze(false)
		l.after(5 * time.Second)
		quick.returns <- result{content: "acted"}
		l.after(30 * time.Second)
		if n := count[*run.Returned](l.log(id)); n != 1 {
			l.Errorf("30 s after the call returned, %d results are in the log", n)
		}
		l.after(30 * time.Second) // its deadline passes
		if asks := l.state(id).Asks(); len(asks) > 0 {
			l.Errorf("a person is asked what became of a call whose result is known: %s", asks[0].Prompt)
		}
		slow.returns <- result{content: "x"}
		l.rests(id, agent.StatusIdle)
	})
}
