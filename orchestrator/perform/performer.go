package perform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/panics"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// ErrStopped is the cause of a context that ends because the job is not wanted
// any more, or because the worker shuts down.
var ErrStopped = errors.New("the job was stopped")

// A Performer does the jobs of one agent's runs. It is safe for use by many
// goroutines. Each job wants a goroutine of its own, in which foreign code runs,
// and calls give exactly once with what came of it: the goroutine may then go on
// for as long as that code does not return. Nil is given for a job that was
// stopped and may simply be done again.
type Performer struct {
	Agent    *agent.Agent
	Validate run.Validate
	Check    func(schema json.RawMessage) error // what is wrong with a JSON Schema
	// PutBlob keeps a large result, or a definition, and returns its name; nil keeps
	// all results in the log.
	PutBlob func(ctx context.Context, r agent.RunID, data []byte) (string, error)
	// Blob reads what PutBlob kept for a run. An error that may pass is marked with
	// agent.Transient.
	Blob   func(ctx context.Context, r agent.RunID, hash string) ([]byte, error)
	Now    func() time.Time // the store's clock
	Logger *slog.Logger

	definitions definitions
}

// The bounds of what is written to the log for one result.
const (
	maxInline = 64 << 10 // bytes; a larger result is kept as a blob
	preview   = 16 << 10 // bytes of it that the planner is shown
	maxError  = 4 << 10
	maxStack  = 8 << 10
)

// Tool returns the agent's tool of this name, or nil.
func (p *Performer) Tool(name string) *agent.Tool {
	for _, t := range p.Agent.Tools {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// contain calls f and turns a panic into an error and its stack. An error that
// panics when it is read – most often a nil pointer – is one, too.
func contain(f func() error) (stack string, err error) {
	caught := panics.Try(func() {
		if err = f(); err != nil {
			_ = err.Error()
		}
	})
	if caught == nil {
		return "", err
	}
	return clip(string(caught.Stack), maxStack), fmt.Errorf("panic: %s", clip(fmt.Sprint(caught.Value), maxError))
}

// stopGrace is how long foreign code whose context has ended may take to return
// before it is given up. It goes on in the background, since nothing can stop it.
const stopGrace = time.Second

// errExit is the error of foreign code that ends its goroutine.
var errExit = errors.New("it ended its own goroutine (runtime.Goexit), as FailNow does in a test")

// attend does a job that runs foreign code, in the caller's goroutine, and gives
// what came of it, once. When ctx has ended and do has not returned stopGrace
// later, what failed makes of the reason is given in its stead, and what do
// returns after all goes to late, if that is not nil. do contains its panics.
func attend(ctx context.Context, do func() run.Event, failed func(error) run.Event, give, late func(run.Event)) {
	var given atomic.Bool
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(stopGrace, func() {
			if given.CompareAndSwap(false, true) {
				give(failed(context.Cause(ctx)))
			}
		})
	})
	returned := false
	var e run.Event
	defer func() {
		stop()
		if !returned {
			e = failed(errExit)
		}
		switch {
		case given.CompareAndSwap(false, true):
			give(e)
		case e != nil && late != nil:
			late(e)
		}
	}()
	e = do()
	returned = true
}

// backoff returns how long to wait after the n-th failed attempt in a row: base
// doubled each time, at most most, of which a random half is left out, so that
// what failed together does not come back together.
func backoff(n int, base, most, atLeast time.Duration) time.Duration {
	d := base << min(max(n-1, 0), 30)
	if d > most || d <= 0 {
		d = most
	}
	d = d/2 + rand.N(d/2+1)
	return max(d, atLeast)
}

// clip shortens s to n bytes and says so.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + fmt.Sprintf("… (%d bytes in all)", len(s))
}
