package orchestrator

import (
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
// olderThan, and returns how many those were. It goes on after a run that cannot
// be erased as it is damaged, and returns the first such error at the end; any
// other error ends it.
//
// A run that has ended stays ended: what may come to its log between looking and
// erasing is a late result, which changes nothing any more. So any number of
// processes may do this at once; each counts what it has found itself.
func (o *Orchestrator) Prune(ctx context.Context, olderThan time.Duration) (erased int, err error) {
	if olderThan < 0 {
		return 0, fmt.Errorf("orchestrator: Prune was given the age %v; it must be 0 or more", olderThan)
	}
	var damaged error
	for q := pruneQuery(o.store.Now(), olderThan); ; {
		page, err := o.store.Runs(ctx, q)
		if err != nil {
			return erased, err
		}
		for i := range page.Runs {
			// Whether a run may go is decided here alone.
			err := o.store.Erase(ctx, page.Runs[i].Run)
			switch {
			case errors.Is(err, memory.ErrCorrupt):
				if damaged == nil {
					damaged = err
				}
			case err != nil:
				return erased, err
			default:
				erased++
			}
		}
		if page.Next == "" {
			return erased, damaged
		}
		q.After = page.Next
	}
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
