package orchestrator_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
)

// ended starts a run and calls it off.
func (l *lab) ended() agent.RunID {
	l.Helper()
	id := l.start("hello")
	l.must(l.client.Cancel(l.Context(), id, "", nil))
	return id
}

// kept returns how many runs are kept.
func (l *lab) kept() int64 {
	l.Helper()
	stats, err := l.store.Stats(l.Context())
	l.must(err)
	return stats.Runs
}

// TestRetain has workers erase what has ended long ago, and nothing else.
func TestRetain(t *testing.T) {
	inLab(t, func(l *lab) {
		desk := service(l.says(done))
		desk.CloseAfter = -1
		idle, asking := l.start("hello"), l.start("hello")
		old := l.ended()
		l.after(30 * time.Hour)
		opts := &orchestrator.Options{Retain: 24 * time.Hour}
		l.work(opts, desk)
		l.work(opts, desk)
		l.after(0)
		if _, err := l.client.State(l.Context(), old); err == nil || l.kept() != 2 {
			l.Fatalf("at its start the worker has not erased what is old: %v, %d runs are kept", err, l.kept())
		}
		l.rests(idle, agent.StatusIdle)
		l.rests(asking, agent.StatusIdle)
		for range 150 {
			l.ended() // more than a page
		}
		l.after(24 * time.Hour)
		if n := l.kept(); n != 152 {
			l.Errorf("after a day %d runs are kept, want 152", n)
		}
		l.after(70 * time.Minute)
		if n := l.kept(); n != 2 {
			l.Errorf("after a day and more %d runs are kept, want 2", n)
		}
		l.rests(idle, agent.StatusIdle)
	})
}

// TestRetainShort has workers look more often where runs are kept for less.
func TestRetainShort(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(&orchestrator.Options{Retain: time.Second}, service(l.says(done)))
		l.after(time.Second)
		l.ended()
		l.after(50 * time.Second)
		if l.kept() != 1 {
			l.Error("it looks more often than once a minute")
		}
		l.after(20 * time.Second)
		if l.kept() != 0 {
			l.Error("it has not looked within a minute")
		}
	})
}

// TestRetainNothing has workers keep runs for ever, and one that drives a single
// run erase nothing.
func TestRetainNothing(t *testing.T) {
	inLab(t, func(l *lab) {
		l.ended()
		l.work(nil, service(l.says(done)))
		l.after(30 * 24 * time.Hour)
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{service(l.says(done))}, &orchestrator.Options{Retain: time.Minute})
		l.must(err)
		_, err = o.Run(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("hello")})
		l.must(err)
		if l.kept() != 2 {
			l.Error("runs were erased")
		}
		if _, err := orchestrator.New(l.store, nil, &orchestrator.Options{Retain: -1}); err == nil {
			l.Error("a negative Retain was taken")
		}
	})
}

// TestRetainInAnOutage has a sweep fail, which the log of the program says, and
// the next one do its work.
func TestRetainInAnOutage(t *testing.T) {
	inLab(t, func(l *lab) {
		l.ended()
		l.after(2 * time.Hour)
		store := memorytest.Faulty(l.store.Another(), nil)
		store.Outage(errors.New("no answer"))
		var said lockedText
		o, err := orchestrator.New(store, []*agent.Agent{service(l.says(done))}, &orchestrator.Options{Retain: time.Hour, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		l.must(err)
		l.until(o)
		l.after(time.Second)
		if !strings.Contains(said.text(), "runs that have ended could not be erased") {
			l.Errorf("the log does not say that they could not be erased:\n%s", said.text())
		}
		store.Outage(nil)
		l.after(10 * time.Minute)
		if l.kept() != 0 || !strings.Contains(said.text(), "runs=1") {
			l.Errorf("the next sweep has left %d runs\n%s", l.kept(), said.text())
		}
	})
}

// lockedText is what was written.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *lockedText) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(b)
}

func (t *lockedText) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// TestPrune erases what has ended by now, over the stores that programs have.
func TestPrune(t *testing.T) {
	eachStore(t, func(t *testing.T, store memory.Store) {
		o, asking := question(t, store)
		ctx := t.Context()
		var ended []agent.RunID
		for range 120 {
			id, err := o.Start(ctx, orchestrator.Request{Agent: "desk"})
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Cancel(ctx, id, "", nil); err != nil {
				t.Fatal(err)
			}
			ended = append(ended, id)
		}
		if n, err := o.Prune(ctx, time.Hour); n != 0 || err != nil {
			t.Errorf("%d runs were erased that are not an hour old, %v", n, err)
		}
		if n, err := o.Prune(ctx, -time.Second); n != 0 || err == nil {
			t.Errorf("a negative age was taken: %d, %v", n, err)
		}
		if n, err := o.Prune(ctx, 0); n != len(ended) || err != nil {
			t.Errorf("%d runs were erased, %v; want %d", n, err, len(ended))
		}
		if n, err := o.Prune(ctx, 0); n != 0 || err != nil {
			t.Errorf("%d runs were erased again, %v", n, err)
		}
		page, err := store.Runs(ctx, memory.RunQuery{})
		if err != nil || len(page.Runs) != 1 || page.Runs[0].Run != asking {
			t.Errorf("%+v are left, %v", page, err)
		}
		if _, err := store.Read(ctx, ended[0], memory.ReadOptions{}); !errors.Is(err, memory.ErrErased) {
			t.Errorf("an erased run reads as %v", err)
		}
		found(t, checked(t, o, false), asking, false)
	})
}

// unerasable is a store in which some runs cannot be erased.
type unerasable struct {
	memory.Store
	errs map[agent.RunID]error
}

func (s *unerasable) Erase(c ctx, id agent.RunID) error {
	if err := s.errs[id]; err != nil {
		return err
	}
	return s.Store.Erase(c, id)
}

// TestPruneGoesOn leaves out a run that is damaged, and ends when the store does
// not answer.
func TestPruneGoesOn(t *testing.T) {
	inLab(t, func(l *lab) {
		var ids []agent.RunID
		for range 3 {
			ids = append(ids, l.ended())
			l.after(time.Second)
		}
		store := &unerasable{l.store, map[agent.RunID]error{ids[1]: memory.ErrCorrupt}}
		o, err := orchestrator.New(store, nil, nil)
		l.must(err)
		if n, err := o.Prune(l.Context(), 0); n != 2 || !errors.Is(err, memory.ErrCorrupt) {
			l.Errorf("%d runs were erased, %v; want 2, and the damage told of", n, err)
		}
		store.errs[ids[1]] = errors.New("no answer")
		if n, err := o.Prune(l.Context(), 0); n != 0 || err == nil {
			l.Errorf("%d runs were erased, %v", n, err)
		}
	})
}
