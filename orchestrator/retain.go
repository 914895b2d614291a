package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// The distance between two sweeps of Work.
const (
	sweepMost  = time.Hour
	sweepLeast = time.Minute
)

// Prune erases the runs that have ended and whose last record is older than
// olderThan, and returns how many those were. Runs that belong together go
// together, when all of them may. It goes on after a run that cannot be erased as it
// is damaged, and returns the first such error at the end; any other error ends it.
//
// A run that has ended stays ended: what may come to its log between looking and
// erasing is a late result, which changes nothing any more. So any number of
// processes may do this at once; each counts what it has found itself.
func (o *Orchestrator) Prune(ctx context.Context, olderThan time.Duration) (erased int, err error) {
	if olderThan < 0 {
		return 0, fmt.Errorf("orchestrator: Prune was given the age %v; it must be 0 or more", olderThan)
	}
	var damaged error
	for q, before := pruneQuery(o.store.Now(), olderThan), o.store.Now().Add(-olderThan); ; {
		page, err := o.store.Runs(ctx, q)
		if err != nil {
			return erased, err
		}
		for i := range page.Runs {
			n, err := o.pruneTree(ctx, &page.Runs[i], before)
			erased += n
			if errors.Is(err, memory.ErrCorrupt) || errors.Is(err, errUnreadable) {
				damaged = cmp.Or(damaged, err)
			} else if err != nil {
				return erased, err
			}
		}
		if page.Next == "" {
			return erased, damaged
		}
		q.After = page.Next
	}
}

// pruneTree erases the tree of which an ended run is the root, if all of it has ended
// before then and has nothing left to tell. Whether a run may go is decided here
// alone. A delegate is its root's to decide about, unless its parent is gone.
func (o *Orchestrator) pruneTree(ctx context.Context, e *memory.RunEntry, before time.Time) (erased int, err error) {
	if e.Index.Parent != "" {
		_, err := o.store.Read(ctx, e.Index.Parent, memory.ReadOptions{Limit: 1})
		if !errors.Is(err, memory.ErrNotFound) && !errors.Is(err, memory.ErrErased) {
			return 0, err
		}
	}
	t, err := o.tree(ctx, &Tree{Run: e.Run})
	if errors.Is(err, memory.ErrNotFound) || errors.Is(err, memory.ErrErased) {
		return 0, nil // somebody else has erased it
	}
	if err != nil {
		return 0, err
	}
	may := t.all(func(x *Tree) bool {
		return x.State.Ended && len(x.State.Outbox) == 0 && x.State.Time.Before(before)
	})
	if !may {
		return 0, nil
	}
	return o.eraseAll(ctx, t)
}

// pruneQuery selects the runs that Prune erases at a time.
func pruneQuery(now time.Time, olderThan time.Duration) memory.RunQuery {
	return memory.RunQuery{
		Statuses: []agent.Status{agent.StatusDone, agent.StatusFailed, agent.StatusCancelled},
		Before:   now.Add(-olderThan),
	}
}

// sweepLoop prunes now and then, until ctx ends. What fails is tried again at the
// next sweep.
func (o *Orchestrator) sweepLoop(ctx context.Context) {
	for ctx.Err() == nil {
		erased, err := o.Prune(ctx, o.opts.Retain)
		if erased > 0 {
			o.opts.Logger.Info("runs that had ended were erased", "runs", erased, "older_than", o.opts.Retain)
		}
		if err != nil && ctx.Err() == nil {
			o.opts.Logger.Error("runs that have ended could not be erased; the next sweep tries again", "error", err)
		}
		sleep(ctx, o.sweepWait())
	}
}

// sweepWait is the time to the next sweep: an hour or, if that is shorter, a tenth
// of Options.Retain, and a little that differs, so that many workers do not come
// at once.
func (o *Orchestrator) sweepWait() time.Duration {
	wait := max(min(sweepMost, o.opts.Retain/10), sweepLeast)
	return wait + rand.N(wait/10)
}
