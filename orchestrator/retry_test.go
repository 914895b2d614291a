package orchestrator_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

func asksOf(id agent.RunID) memory.AskQuery { return memory.AskQuery{Run: id} }

// broken makes a model that fails with what err holds, if anything.
func broken(m agent.Model, err *atomic.Pointer[error]) agent.Model {
	return agent.ModelFunc(func(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
		if e := err.Load(); e != nil {
			return nil, *e
		}
		return m.Generate(ctx, req, emit)
	})
}

func TestRetryStuck(t *testing.T) {
	inLab(t, func(l *lab) {
		var fault atomic.Pointer[error]
		wrong := errors.New("401: wrong key")
		fault.Store(&wrong)
		l.work(nil, service(broken(l.says(done), &fault)))
		id := l.start("hello")
		if res := l.rests(id, agent.StatusStuck); res.Reason != "401: wrong key" {
			l.Errorf("got %+v", res)
		}
		l.after(24 * time.Hour)
		if e := l.entry(id); e.Late != 0 || e.Worker != "" || e.Index.Reason != "401: wrong key" {
			l.Errorf("a stuck run wants no attention: %+v", e)
		}
		fault.Store(nil)
		l.must(l.client.Retry(l.Context(), id, "the key is mended", nil))
		l.rests(id, agent.StatusIdle)
		l.kinds(id, "started", "messaged", "turnbegan", "planfailed", "retried", "moved")
		l.refused(l.client.Retry(l.Context(), id, "", nil), agent.RefusedConflict)
	})
}

// To write to a stuck run is to retry it.
func TestWriteToStuck(t *testing.T) {
	inLab(t, func(l *lab) {
		var fault atomic.Pointer[error]
		wrong := errors.New("wrong")
		fault.Store(&wrong)
		l.work(nil, service(broken(l.says(done), &fault)))
		id := l.start("hello")
		l.rests(id, agent.StatusStuck)
		fault.Store(nil)
		l.send(id, "and now?")
		l.rests(id, agent.StatusIdle)
	})
}

// A planner whose failure may pass is asked again at durable times, for as long
// as it takes, and meanwhile nobody holds the run; a retry ends the wait.
func TestBackOffOfThePlanner(t *testing.T) {
	inLab(t, func(l *lab) {
		var fault atomic.Pointer[error]
		busy := agent.Transient(errors.New("overloaded"), 20*time.Minute)
		fault.Store(&busy)
		first := l.work(nil, service(broken(l.says(done), &fault)))
		id := l.start("hello")
		l.after(time.Second)
		e := l.entry(id)
		if e.Worker != "" || e.Index.Wake.Sub(l.store.Now()) < 19*time.Minute || e.Index.Status != agent.StatusPlanning {
			l.Fatalf("want a run that is released and wakes up in 20 minutes, got %+v", e)
		}
		first.Kill()
		l.work(nil, service(broken(l.says(done), &fault)))
		l.after(time.Hour)
		log := l.log(id)
		if n := count[*run.PlanFailed](log); n != 4 {
			l.Errorf("%d failures in an hour, want 4\n%s", n, log)
		}
		fault.Store(nil)
		before := time.Now()
		l.must(l.client.Retry(l.Context(), id, "", nil))
		l.rests(id, agent.StatusIdle)
		if waited := time.Since(before); waited > time.Second {
			l.Errorf("a retry waited for %s", waited)
		}
	})
}

// A call that fails is made again after a wait that grows; meanwhile the run is
// released, and another worker makes the next attempt at the right time.
func TestBackOffOfACall(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		tool := h.tool("act", agent.Idempotent, func(t *agent.Tool) {
			t.Retry = agent.Retry{Attempts: 4, Backoff: time.Minute, Max: time.Hour}
		})
		desk := service(l.plays(step(act), step(done, "act returned: at last")), tool)
		store := l.work(nil, desk)
		id := l.start("act")
		var keys []string
		for n := 1; n <= 3; n++ {
			info := <-h.calls
			keys = append(keys, info.Key)
			if info.Attempt != n {
				l.Fatalf("attempt %d, want %d", info.Attempt, n)
			}
			h.returns <- result{err: errors.New("busy")}
			l.after(0)
			e := l.entry(id)
			wait, base := e.Index.Wake.Sub(l.store.Now()), time.Minute<<(n-1)
			if e.Worker != "" || wait < base/2 || wait > base {
				l.Fatalf("after attempt %d want a released run that wakes up within %s to %s, got %s: %+v", n, base/2, base, wait, e)
			}
			store.Kill()
			store = l.work(nil, desk)
			l.after(wait - time.Millisecond)
			if len(h.calls) != 0 {
				l.Fatal("the next attempt comes early")
			}
			l.after(time.Millisecond)
			if len(h.calls) != 1 {
				l.Fatal("the next attempt does not come at its time")
			}
		}
		h.returns <- result{content: "at last"}
		l.rests(id, agent.StatusIdle)
		if keys[0] != keys[1] || keys[1] != keys[2] {
			l.Errorf("the attempts of one call have the keys %q", keys)
		}
	})
}

func TestRetryRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		effect agent.Effect
		retry  agent.Retry
		err    error
		calls  int
	}{
		{"as often as it may be", agent.ReadOnly, agent.Retry{Attempts: 3}, errors.New("x"), 3},
		{"not at all by default", agent.ReadOnly, agent.Retry{}, errors.New("x"), 1},
		{"not where its rule says no", agent.ReadOnly, agent.Retry{Attempts: 3, On: func(error) bool { return false }}, errors.New("x"), 1},
		{"not where its rule panics", agent.ReadOnly, agent.Retry{Attempts: 3, On: func(error) bool { panic("oops") }}, errors.New("x"), 1},
		{"a Once call that is not done", agent.Once, agent.Retry{Attempts: 3}, agent.NotDone(errors.New("x")), 3},
		{"a Once call that is not done, by default", agent.Once, agent.Retry{}, agent.NotDone(errors.New("x")), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := held()
				l.work(nil, service(l.plays(step(act), step(done, "act failed: x")), h.tool("act", c.effect, func(t *agent.Tool) { t.Retry = c.retry })))
				id := l.start("act")
				for range c.calls {
					h.returns <- result{err: c.err}
				}
				l.rests(id, agent.StatusIdle)
				if n := len(h.calls); n != c.calls {
					l.Errorf("%d calls, want %d\n%s", n, c.calls, l.log(id))
				}
			})
		})
	}
}
