package orchestrator

import (
	"context"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// warmFor is how long a run that rests stays in memory: a person who reads along
// answers within it, and one who does not costs nothing after it.
const warmFor = 10 * time.Second

// warm keeps the runs that this process has driven until a moment ago, so that
// the next event need not read them again. They are not claimed: whoever claims
// one holds it against the end of its log.
type warm struct {
	most int

	mu   sync.Mutex
	runs map[agent.RunID]*warmRun
	old  []*warmRun // in the order in which they came, those that were taken included
	tick *time.Timer
}

type warmRun struct {
	j     *journal // nil: taken
	until time.Time
}

func newWarm(most int) *warm { return &warm{most: most, runs: map[agent.RunID]*warmRun{}} }

// put keeps a run that has nothing to append.
func (w *warm) put(j *journal) {
	if j.state.Ended {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.runs[j.state.Run]; old != nil {
		old.j = nil
	}
	r := &warmRun{j: j, until: time.Now().Add(warmFor)}
	w.runs[j.state.Run] = r
	w.old = append(w.old, r)
	w.dropLocked()
	if w.tick == nil {
		w.tick = time.AfterFunc(warmFor, w.sweep)
	}
}

// take takes a run out; nil if it is not there.
func (w *warm) take(id agent.RunID) *journal {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[id]
	if r == nil {
		return nil
	}
	delete(w.runs, id)
	j := r.j
	r.j = nil
	return j
}

// sweep drops those whose time is over, and comes again as long as there are any.
func (w *warm) sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tick = nil
	w.dropLocked()
	if len(w.old) > 0 {
		w.tick = time.AfterFunc(max(time.Until(w.old[0].until), time.Millisecond), w.sweep)
	}
}

// dropLocked drops from the oldest on what is taken, over, or too many.
func (w *warm) dropLocked() {
	now := time.Now()
	for len(w.old) > 0 {
		r := w.old[0]
		if r.j != nil && now.Before(r.until) && len(w.runs) <= w.most {
			return
		}
		if r.j != nil {
			delete(w.runs, r.j.state.Run)
		}
		w.old[0] = nil
		w.old = w.old[1:]
	}
}

// reread returns the claimed run as it stands: from memory if it is warm, with
// what has been appended since, and otherwise from the store. each sees the
// records that were read, and at least the last one that is known.
func (o *Orchestrator) reread(ctx context.Context, c memory.Claim, each func(*run.Record)) (*journal, error) {
	if j := o.warm.take(c.Run); j != nil {
		if j.base == c.Last {
			return j, nil
		}
		if same, err := j.readOn(ctx, each); err == nil && same {
			return j, nil
		}
	}
	return read(ctx, o.store, c.Run, run.IsMailbox(c.Run), each)
}
