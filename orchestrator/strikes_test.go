package orchestrator_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/planner/scripted"
)

// A run that kills worker after worker is driven alone, and then quarantined;
// its neighbours go on, and nothing of it is lost.
func TestStrikes(t *testing.T) {
	inLab(t, func(l *lab) {
		bad := held()
		var alone []int // how many runs the worker drives when the bad call is made
		desk := service(scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
			if last := req.Messages[len(req.Messages)-1]; last.Role == agent.RoleUser && last.Text() == "bad" {
				m := agent.Message{Parts: []agent.Part{{Call: &agent.Call{ID: "c", Name: "act"}}}}
				return &agent.ModelReply{Message: m}, nil
			}
			return &agent.ModelReply{Message: *agent.Said("Done.")}, nil
		}), bad.tool("act", agent.Idempotent))
		poison := l.start("bad")
		var neighbours []agent.RunID
		for deaths := 0; deaths < 5; deaths++ {
			for range 3 {
				neighbours = append(neighbours, l.start("good"))
			}
			worker := l.work(nil, desk)
			<-bad.calls
			page, err := l.client.Runs(l.Context(), memory.RunQuery{})
			l.must(err)
			n := 0
			for _, r := range page.Runs {
				if r.Worker != "" {
					n++
				}
			}
			alone = append(alone, n)
			worker.Kill()
		}
		for i, n := range alone {
			if i >= memory.SuspectAfter && n != 1 {
				l.Errorf("after %d deaths the worker drives %d runs beside the suspect", i, n-1)
			}
		}
		l.work(nil, desk)
		for _, id := range neighbours {
			l.rests(id, agent.StatusIdle)
		}
		res := l.rests(poison, agent.StatusStuck)
		if !strings.Contains(res.Reason, "5 workers in a row") {
			l.Errorf("the reason is %q", res.Reason)
		}
		l.send(poison, "good") // to write is not to retry
		l.after(time.Hour)
		if l.rests(poison, agent.StatusStuck); len(bad.calls) != 0 {
			l.Error("a run in quarantine was run")
		}
		l.must(l.client.Retry(l.Context(), poison, "the tool is mended", nil))
		<-bad.calls
		bad.returns <- result{content: "mended"}
		l.rests(poison, agent.StatusIdle)
		if e := l.entry(poison); e.Worker != "" || e.Late != 0 {
			l.Errorf("got %+v", e)
		}
	})
}

// strike has one worker die with the run, and another hold it.
func (l *lab) strike(id agent.RunID) (holder *memorytest.Store) {
	l.Helper()
	take := func() *memorytest.Store {
		handle := l.store.Another()
		if claims, err := handle.Claim(l.Context(), &memory.ClaimRequest{Run: id, Lease: time.Hour}); err != nil || len(claims) != 1 {
			l.Fatalf("got %v, %v", claims, err)
		}
		return handle
	}
	take().Kill()
	return take()
}

// A worker that is to end while a suspect waits for its neighbours gives it
// back, and does not drive it beside them.
func TestSuspectWhileShuttingDown(t *testing.T) {
	inLab(t, func(l *lab) {
		suspect := l.start("bad")
		holder := l.strike(suspect)
		h := held()
		stop := l.shutDown(nil, service(l.says(act, done), h.tool("act", agent.Once)))
		good := l.start("good")
		l.after(time.Second)
		holder.Kill()
		l.after(10 * time.Second)
		if e := l.entry(suspect); e.Worker == "" {
			l.Fatalf("nobody has taken the suspect: %+v", e)
		}
		go func() {
			time.Sleep(5 * time.Second)
			h.returns <- result{content: "acted"}
		}()
		stop()
		l.kinds(suspect, "started", "messaged")
		if e := l.entry(suspect); e.Worker != "" || len(h.calls) != 1 {
			l.Errorf("the suspect is not given back, or was driven: %+v", e)
		}
		l.kinds(good, "started", "messaged", "turnbegan", "moved", "began", "returned")
	})
}

// A worker that drives other runs lets their jobs end before it drives a
// suspect, and takes no other run meanwhile.
func TestSuspectIsDrivenAlone(t *testing.T) {
	inLab(t, func(l *lab) {
		suspect := l.start("bad")
		holder := l.strike(suspect)
		h := held()
		l.work(nil, service(l.says(act, done), h.tool("act", agent.Once)))
		l.start("good")
		l.after(time.Second)
		holder.Kill() // which makes it a suspect, and free
		l.after(10 * time.Second)
		third := l.start("good")
		l.after(10 * time.Second)
		if len(h.calls) != 1 || l.entry(third).Worker != "" {
			l.Fatalf("beside a suspect there are %d calls", len(h.calls)-1)
		}
		h.returns <- result{content: "acted"}
		l.after(10 * time.Second)
		if <-h.calls; len(h.calls) != 1 || (<-h.calls).Run != suspect || l.entry(third).Worker != "" {
			l.Fatal("the suspect is not driven, or not alone")
		}
		h.returns <- result{content: "acted"}
		l.after(10 * time.Second)
		h.returns <- result{content: "acted"}
		l.rests(third, agent.StatusIdle)
		l.rests(suspect, agent.StatusIdle)
	})
}

// A worker whose other runs go on for long puts a suspect back, still a suspect,
// and drives what else there is.
func TestSuspectStopsNobody(t *testing.T) {
	inLab(t, func(l *lab) {
		suspect := l.start("bad")
		holder := l.strike(suspect)
		slow := held()
		l.work(nil, service(l.says(act, done), slow.tool("act", agent.Once, func(t *agent.Tool) { t.Timeout = time.Hour })))
		l.start("slow")
		l.after(time.Second)
		holder.Kill()
		l.after(2 * time.Second)
		third := l.start("good")
		l.after(time.Minute)
		if e := l.entry(third); e.Worker == "" {
			l.Errorf("a run waits for a suspect: %+v", e)
		}
		claims, err := l.store.Claim(l.Context(), &memory.ClaimRequest{Agents: []string{"desk"}, Suspects: true, Lease: time.Minute, Wait: time.Minute})
		l.must(err)
		if len(claims) != 1 || claims[0].Run != suspect {
			l.Errorf("another worker claims %+v, want the suspect", claims)
		}
		slow.returns <- result{content: "acted"}
		slow.returns <- result{content: "acted"}
		l.after(time.Minute)
	})
}

// A run that gets on is not suspected, however many workers die while they
// drive it.
func TestProgressClearsStrikes(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		desk := service(l.says(act, act, act, act, act, act, act, act, done), h.tool("act", agent.Idempotent))
		id := l.start("act")
		for range 8 {
			worker := l.work(nil, desk)
			<-h.calls
			h.returns <- result{content: "acted"}
			l.after(0)
			worker.Kill()
			l.after(2 * time.Minute) // what it was doing ends
			for len(h.calls) > 0 {
				<-h.calls
			}
		}
		l.work(nil, desk)
		l.rests(id, agent.StatusIdle)
	})
}

// An input that comes just when a run is to be quarantined does not save it.
func TestQuarantineMeetsAnInput(t *testing.T) {
	inLab(t, func(l *lab) {
		id := l.start("bad")
		for range 5 {
			handle := l.store.Another()
			if claims, err := handle.Claim(l.Context(), &memory.ClaimRequest{Run: id, Lease: time.Minute}); err != nil || len(claims) != 1 {
				l.Fatalf("got %v, %v", claims, err)
			}
			handle.Kill()
		}
		sent := false
		h := newHand()
		store := &before{Store: l.store.Another(), commit: func() {
			if !sent {
				sent = true
				l.send(id, "hello?")
			}
		}}
		orchestratortest.Work(l.T, store, nil, service(l.says(act, done), h.tool("act", agent.Once)))
		l.after(time.Second)
		l.rests(id, agent.StatusStuck)
		if len(h.calls) != 0 || !sent {
			l.Errorf("the run was driven\n%s", l.log(id))
		}
	})
}

// A run that is stuck as its planner failed, and whose call kills worker after worker,
// is quarantined like any other.
func TestStuckRunThatKillsWorkers(t *testing.T) {
	inLab(t, func(l *lab) {
		bad := held()
		desk := &agent.Agent{Name: "desk", Tools: []*agent.Tool{bad.tool("act", agent.Idempotent)}, Planner: agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
			if v.Steps > 0 {
				return nil, errors.New("no idea")
			}
			return &agent.Move{Again: agent.AtEachClosing, Actions: []agent.Action{
				{Kind: agent.ActCall, Name: "act", Args: raw(`{}`)},
				{Kind: agent.ActWait, Name: "paid", Within: time.Second},
			}}, nil
		})}
		id := l.start("go")
		for range 5 {
			worker := l.work(nil, desk)
			<-bad.calls
			l.after(5 * time.Second)
			if s := l.entry(id).Index.Status; s != agent.StatusStuck {
				l.Fatalf("the run is %s\n%s", s, l.log(id))
			}
			worker.Kill()
		}
		l.work(nil, desk)
		l.after(time.Minute)
		res := l.rests(id, agent.StatusStuck)
		if len(bad.calls) != 0 || !strings.Contains(res.Reason, "5 workers in a row") {
			l.Errorf("the reason is %q, and the call is made %d times more\n%s", res.Reason, len(bad.calls), l.log(id))
		}
	})
}

// before does something before each commit.
type before struct {
	memory.Store
	commit func()
}

func (s *before) Commit(ctx context.Context, c *memory.Commit) error {
	s.commit()
	return s.Store.Commit(ctx, c)
}

// MaxJobs and Tool.Limit bound what goes on at once in a worker, and runs that
// wait for their turn cost nothing.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		o           orchestrator.Options
		limit, most int
	}{
		"MaxJobs":           {orchestrator.Options{MaxJobs: 3}, 0, 3},
		"MaxRuns":           {orchestrator.Options{MaxRuns: 2}, 0, 4},
		"Tool.Limit":        {orchestrator.Options{}, 5, 5},
		"Tool.Limit of one": {orchestrator.Options{MaxJobs: 3}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				tool := h.tool("act", agent.Once, func(t *agent.Tool) { t.Limit = c.limit })
				var mu sync.Mutex
				running, most := 0, 0
				tool.Call = func(ctx context.Context, args raw) (raw, error) {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					time.Sleep(10 * time.Second)
					mu.Lock()
					running--
					mu.Unlock()
					return h.call(ctx, args)
				}
				desk := service(l.says(act.And(act), done), tool)
				reads := 0
				store := &counting{Store: l.store.Another(), reads: &reads, mu: &mu}
				orchestratortest.Work(l.T, store, &c.o, desk)
				var ids []agent.RunID
				for range 10 {
					ids = append(ids, l.start("act"))
				}
				began := time.Now()
				for _, id := range ids {
					for l.rest(id).Status != agent.StatusIdle {
						l.after(time.Second)
					}
				}
				if most != c.most || len(h.calls) != 20 {
					l.Errorf("%d calls went on at once, want %d, of %d", most, c.most, len(h.calls))
				}
				if took := time.Since(began); took > time.Duration(20/c.most+2)*10*time.Second {
					l.Errorf("it took %s", took)
				}
				if mu.Lock(); reads > 400 {
					l.Errorf("the log was read %d times for ten runs", reads)
				}
				mu.Unlock()
			})
		})
	}
}

// counting counts the reads of logs.
type counting struct {
	memory.Store
	mu    *sync.Mutex
	reads *int
}

func (s *counting) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	s.mu.Lock()
	*s.reads++
	s.mu.Unlock()
	return s.Store.Read(ctx, id, o)
}
