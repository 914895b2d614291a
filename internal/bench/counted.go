package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// counted is a store that counts what passes, and tells when runs come to rest.
type counted struct {
	memory.Store
	commits, conflicts, lost, reads atomic.Int64
	records, recordBytes            atomic.Int64
	batch                           atomic.Pointer[batch]
}

// Commit commits, counts, and tells the batch.
func (c *counted) Commit(ctx context.Context, commit *memory.Commit) error {
	err := c.Store.Commit(ctx, commit)
	switch {
	case errors.Is(err, memory.ErrConflict):
		c.conflicts.Add(1)
	case errors.Is(err, memory.ErrClaimLost):
		c.lost.Add(1)
	}
	if err != nil {
		return err
	}
	size := 0
	for i := range commit.Records {
		size += len(commit.Records[i].Data)
	}
	c.commits.Add(1)
	c.records.Add(int64(len(commit.Records)))
	c.recordBytes.Add(int64(size))
	if b := c.batch.Load(); b != nil && len(commit.Records) > 0 && commit.Index.Status.Resting() {
		b.rested(commit.Run, &commit.Index)
	}
	return nil
}

// Read reads, and counts.
func (c *counted) Read(ctx context.Context, run agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	c.reads.Add(1)
	return c.Store.Read(ctx, run, o)
}

// tally is what a counted store has counted.
type tally struct {
	Commits     int64 `json:"commits"`
	Conflicts   int64 `json:"conflicts"`
	Lost        int64 `json:"claims_lost"`
	Reads       int64 `json:"reads"`
	Records     int64 `json:"records"`
	RecordBytes int64 `json:"record_bytes"`
}

func (c *counted) tally() tally {
	return tally{c.commits.Load(), c.conflicts.Load(), c.lost.Load(), c.reads.Load(), c.records.Load(), c.recordBytes.Load()}
}

func (t tally) minus(u tally) tally {
	return tally{t.Commits - u.Commits, t.Conflicts - u.Conflicts, t.Lost - u.Lost, t.Reads - u.Reads, t.Records - u.Records, t.RecordBytes - u.RecordBytes}
}

// A batch is a number of runs that are expected to come to rest in a certain
// way. One that rests otherwise ends it with an error.
type batch struct {
	want agent.Status
	left atomic.Int64
	once sync.Once
	done chan struct{}
	bad  error // read once done is closed
}

// expect makes the batch that the store tells from now on: n runs that come to
// rest as want.
func (c *counted) expect(n int, want agent.Status) *batch {
	b := &batch{want: want, done: make(chan struct{})}
	b.left.Store(int64(n))
	c.batch.Store(b)
	return b
}

func (b *batch) rested(id agent.RunID, x *memory.Index) {
	if x.Status != b.want {
		b.end(fmt.Errorf("run %s is %s and should be %s: %s", id, x.Status, b.want, x.Reason))
	} else if b.left.Add(-1) == 0 {
		b.end(nil)
	}
}

func (b *batch) end(err error) {
	b.once.Do(func() {
		b.bad = err
		close(b.done)
	})
}

// patience is how long a batch may go without a single commit before it is
// given up.
const patience = 2 * time.Minute

// wait waits until the batch is complete.
func (c *counted) wait(ctx context.Context, b *batch) error {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for before := c.commits.Load(); ; {
		select {
		case <-b.done:
			return b.bad
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			now := c.commits.Load()
			if now == before {
				return fmt.Errorf("no commit for %s, and %d runs are not %s yet", patience, b.left.Load(), b.want)
			}
			before = now
		}
	}
}
