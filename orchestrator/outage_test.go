package orchestrator_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// During an outage of the store the worker goes on by itself; when the store is
// back it renews first, and takes over nothing before one lease has passed.
func TestStoreOutage(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		desk := service(l.plays(step(act), step(done, "act returned")), h.tool("act", agent.Once))
		store := memorytest.Faulty(l.store.Another(), nil)
		var mu sync.Mutex
		var renewed, claimed time.Time
		spy := &spy{Store: store, renew: func() { mu.Lock(); renewed = earliest(renewed); mu.Unlock() }, takeOver: func() { mu.Lock(); claimed = earliest(claimed); mu.Unlock() }}
		orchestratortest.Work(l.T, spy, nil, desk)
		id := l.start("act")
		l.after(time.Second)
		store.Outage(errors.New("no route to host"))
		h.returns <- result{content: "acted"}
		l.after(30 * time.Second)
		other := l.start("act")
		mu.Lock()
		renewed, claimed = time.Time{}, time.Time{}
		mu.Unlock()
		store.Outage(nil)
		back := time.Now()
		l.after(time.Minute)
		h.returns <- result{content: "acted"}
		l.rests(id, agent.StatusIdle)
		l.rests(other, agent.StatusIdle)
		if len(h.calls) != 2 {
			l.Errorf("%d calls, want one for each run", len(h.calls))
		}
		if n := count[*run.Returned](l.log(id)); n != 1 {
			l.Errorf("the result of the outage is lost\n%s", l.log(id))
		}
		mu.Lock()
		defer mu.Unlock()
		if renewed.IsZero() || claimed.Sub(renewed) < 10*time.Second-time.Millisecond {
			l.Errorf("back at %s, it has renewed at %s and would have taken over at %s", back, renewed, claimed)
		}
	})
}

func earliest(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

// spy tells of successful renewals, and of claims that may take runs over.
type spy struct {
	memory.Store
	renew, takeOver func()
}

func (s *spy) Renew(ctx context.Context, lease time.Duration, held []memory.Held) ([]memory.Renewal, error) {
	r, err := s.Store.Renew(ctx, lease, held)
	if err == nil {
		s.renew()
	}
	return r, err
}

func (s *spy) Claim(ctx context.Context, r *memory.ClaimRequest) ([]memory.Claim, error) {
	if !r.NoTakeOver {
		s.takeOver()
	}
	return s.Store.Claim(ctx, r)
}

// After a long outage what was finished meanwhile is durable soon, and news are
// heard at once again.
func TestAfterALongOutage(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		desk := service(l.says(act, act, done), h.tool("act", agent.Once, func(t *agent.Tool) { t.Timeout = time.Hour }))
		store := memorytest.Faulty(l.store.Another(), nil)
		orchestratortest.Work(l.T, breaking{store}, nil, desk)
		id := l.start("act")
		l.after(time.Second)
		store.Outage(errors.New("no route to host"))
		l.after(5 * time.Second)
		h.returns <- result{content: "acted"}
		l.after(20*time.Minute + 10*time.Second) // in the middle of a wait for the next try
		store.Outage(nil)
		l.after(4 * time.Second)
		if n := count[*run.Returned](l.log(id)); n != 1 || len(h.calls) != 2 {
			l.Fatalf("four seconds after the outage the run has not gone on\n%s", l.log(id))
		}
		l.must(l.client.Cancel(l.Context(), id, "", nil))
		l.after(1100 * time.Millisecond)
		if n := count[*run.CallFailed](l.log(id)); n != 1 {
			l.Errorf("the worker has not heard of the cancellation\n%s", l.log(id))
		}
	})
}

// breaking is a store whose outages break its watches, too.
type breaking struct{ *memorytest.FaultyStore }

func (s breaking) Watch(ctx context.Context, id agent.RunID) iter.Seq2[memory.Hint, error] {
	return func(yield func(memory.Hint, error) bool) {
		for h, err := range s.FaultyStore.Watch(ctx, id) {
			if _, down := s.FaultyStore.Runs(ctx, memory.RunQuery{Limit: 1}); down != nil {
				yield(memory.Hint{}, down)
				return
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

// A worker that is to end during an outage does so when its Grace has passed.
func TestShutDownDuringAnOutage(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		store := memorytest.Faulty(l.store.Another(), nil)
		o, err := orchestrator.New(store, []*agent.Agent{service(l.says(act, done), h.tool("act", agent.Once))}, nil)
		l.must(err)
		stop := l.until(o)
		id := l.start("act")
		l.after(time.Second)
		store.Outage(errors.New("no route to host"))
		h.returns <- result{content: "acted"}
		l.after(time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 12*time.Second {
			l.Errorf("Work took %s to end", took)
		}
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "began")
	})
}

// A result is recorded once, however many replies of the store are lost.
func TestResultWithLostReplies(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		store := memorytest.Faulty(l.store.Another(), nil)
		orchestratortest.Work(l.T, store, nil, service(l.says(act, done), h.tool("act", agent.Once)))
		id := l.start("act")
		l.after(time.Second)
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

// mute is a store that gives no hints after the first.
type mute struct{ *memorytest.Store }

func (s mute) Watch(ctx context.Context, id agent.RunID) iter.Seq2[memory.Hint, error] {
	return func(yield func(memory.Hint, error) bool) {
		for h, err := range s.Store.Watch(ctx, id) {
			if yield(h, err) {
				<-ctx.Done()
			}
			return
		}
	}
}

// Hints may be lost: a worker hears of what others append when it renews.
func TestNewsWithoutHints(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		orchestratortest.Work(l.T, mute{l.store.Another()}, nil, service(l.says(act), h.tool("act", agent.Once)))
		id := l.start("act")
		l.after(time.Second)
		l.must(l.client.Cancel(l.Context(), id, "", nil))
		l.after(5 * time.Second)
		if h.stopped.Load() != 1 {
			l.Errorf("the worker has not heard of the cancellation\n%s", l.log(id))
		}
	})
}
