package bench

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
)

// A worker is Fermata in this process: an orchestrator over a counted store,
// whose Work goes on between start and stop.
type worker struct {
	store *counted
	orch  *orchestrator.Orchestrator
	log   complaints

	stop func()
}

// newWorker makes a worker that is not started yet. Zero limits are Fermata's
// defaults.
func newWorker(store *counted, agents []*agent.Agent, runs, jobs int) (*worker, error) {
	w := &worker{store: store, stop: func() {}}
	var err error
	w.orch, err = orchestrator.New(store, agents, &orchestrator.Options{MaxRuns: runs, MaxJobs: jobs, Logger: slog.New(&w.log)})
	return w, err
}

// start has the worker drive runs until stop is called, which waits for it.
func (w *worker) start(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.orch.Work(ctx); err != nil {
			w.log.add(err.Error())
		}
	})
	w.stop = func() {
		cancel()
		wg.Wait()
	}
}

// complaints counts what an orchestrator warns of, and keeps the first.
type complaints struct {
	n     atomic.Int64
	mu    sync.Mutex
	first string
}

func (c *complaints) add(text string) {
	c.n.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == "" {
		c.first = text
	}
}

// err returns an error if there were complaints.
func (c *complaints) err() error {
	n := c.n.Load()
	if n == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("the worker complained %d times, first: %s", n, c.first)
}

// Enabled, Handle, WithAttrs and WithGroup make complaints an [slog.Handler].
func (c *complaints) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle counts a record.
func (c *complaints) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += fmt.Sprintf(", %s %v", a.Key, a.Value); return true })
	c.add(text)
	return nil
}

// WithAttrs and WithGroup keep nothing: what is counted needs no attributes.
func (c *complaints) WithAttrs([]slog.Attr) slog.Handler { return c }

// WithGroup returns c.
func (c *complaints) WithGroup(string) slog.Handler { return c }

var _ agent.Briefer = (*metered)(nil)

// metered is a planner whose calls are the beginnings of steps, and whose errors
// are counted.
type metered struct {
	agent.Planner
	meter  *meter
	failed atomic.Int64
}

// meteredAgent returns a with its planner metered.
func meteredAgent(a *agent.Agent) (*agent.Agent, *metered) {
	m := &metered{Planner: a.Planner}
	clone := *a
	clone.Planner = m
	return &clone, m
}

// Brief hands on to the planner within.
func (m *metered) Brief(ctx context.Context, v *agent.View) (string, error) {
	if b, ok := m.Planner.(agent.Briefer); ok {
		return b.Brief(ctx, v)
	}
	return "", nil
}

// Plan notes the time, and plans.
func (m *metered) Plan(ctx context.Context, v *agent.View, emit func(agent.Delta)) (*agent.Move, error) {
	m.meter.step(string(v.Run), time.Now())
	move, err := m.Planner.Plan(ctx, v, emit)
	if err != nil {
		m.failed.Add(1)
	}
	return move, err
}
