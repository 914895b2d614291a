package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// checkAtOnce is how many records, and how many runs, Check reads in one
// transaction.
const checkAtOnce = 1000

// Check implements [memory.Store]. It reads the whole file: the structure of its
// pages and indexes, each record, snapshot, ask and blob against its checksum,
// and what a run's row says that follows from other rows. That is also what it
// can repair: the indexes, the times of the first and the last record, that a
// run which wants attention has a time for it, and the list of processes.
func (s *Store) Check(ctx context.Context, repair bool) iter.Seq2[memory.Problem, error] {
	return func(yield func(memory.Problem, error) bool) {
		k := &check{store: s, repair: repair, yield: yield}
		_ = k.pages(ctx) && k.runs(ctx) && k.rows(ctx) && k.asks(ctx) && k.blobs(ctx)
	}
}

// check is one walk over the file. Each of its parts is one transaction, and what
// that has found is yielded after it, when nothing is held any more; a part
// returns false when the walk is over.
type check struct {
	store  *Store
	repair bool
	yield  func(memory.Problem, error) bool
	found  []finding
}

// finding is a problem and how it is repaired; nil: it is not.
type finding struct {
	memory.Problem
	repair func(*conn) error
}

func (k *check) report(run agent.RunID, repair func(*conn) error, format string, args ...any) {
	k.found = append(k.found, finding{memory.Problem{Run: run, What: fmt.Sprintf(format, args...)}, repair})
}

// damaged reports an error that tells of damage, and returns any other.
func (k *check) damaged(run agent.RunID, err error) error {
	var d *damage
	switch {
	case errors.As(err, &d):
		k.report(d.run, nil, "%s", d.what)
	case errors.Is(err, memory.ErrCorrupt):
		k.report(run, nil, "%v", err)
	default:
		return err
	}
	return nil
}

// part reads in one transaction. Damage that ends it is a problem, of the run if
// there is one.
func (k *check) part(ctx context.Context, run agent.RunID, f func(*conn) error) (goOn bool) {
	k.found = nil
	err := k.try(ctx, run, f)
	for _, p := range k.found {
		if !k.yield(p.Problem, nil) {
			return false
		}
	}
	if err != nil {
		k.yield(memory.Problem{}, err)
	}
	return err == nil
}

func (k *check) try(ctx context.Context, run agent.RunID, f func(*conn) error) error {
	leave, err := k.store.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := k.damaged(run, k.store.read("check", f)); err != nil || !k.repair {
		return err
	}
	for i := range k.found {
		p := &k.found[i]
		if p.repair == nil {
			continue
		}
		if err := k.store.write(ctx, "repair", p.repair); err != nil {
			p.What += fmt.Sprintf("; it could not be repaired: %v", err)
			continue
		}
		p.Repaired = true
	}
	return nil
}

// runs looks at each run's row and log.
func (k *check) runs(ctx context.Context) bool {
	type known struct {
		n   int64
		run agent.RunID
	}
	for after, more := int64(-1<<63), true; more; {
		more = false
		var some []known
		if !k.part(ctx, "", func(c *conn) error {
			err := c.each(ctx, func(rows *sql.Rows) error {
				var r known
				err := rows.Scan(&r.n, &r.run)
				some, after = append(some, r), r.n
				return err
			}, "SELECT n, run FROM runs WHERE n > ? ORDER BY n LIMIT ?", after, checkAtOnce)
			more = err == nil && len(some) == checkAtOnce
			return err
		}) {
			return false
		}
		for _, r := range some {
			if !k.run(ctx, r.n, r.run) {
				return false
			}
		}
	}
	return true
}

// run looks at one run, a part of its log at a time. One that was erased
// meanwhile is left.
func (k *check) run(ctx context.Context, n int64, run agent.RunID) bool {
	if !k.part(ctx, run, func(c *conn) error {
		r, err := k.row(c, n, run)
		if err != nil || r == nil {
			return err
		}
		err = k.damaged(run, k.store.snapshot(c, r, 0, &memory.Log{}))
		return errors.Join(err, k.times(ctx, c, r))
	}) {
		return false
	}
	for next := int64(1); next > 0; {
		from := next
		next = 0
		if !k.part(ctx, run, func(c *conn) error {
			r, err := k.row(c, n, run)
			if err == nil && r != nil {
				next, err = k.records(ctx, c, r, from)
			}
			return err
		}) {
			return false
		}
	}
	return true
}

// row finds the row of a run with its number; nil if it is not there any more.
func (k *check) row(c *conn, n int64, run agent.RunID) (*row, error) {
	r := &row{}
	found, err := c.one("SELECT "+rowColumns+" FROM runs WHERE n = ?", []any{n}, r.columns()...)
	if err != nil {
		return nil, k.store.unreadable(err, run, "its entry")
	}
	if !found || r.run != run {
		return nil, nil
	}
	return r, nil
}

// records looks at some records from the number next on, and returns the number
// to go on with, or 0 after the last one.
func (k *check) records(ctx context.Context, c *conn, r *row, next int64) (int64, error) {
	count := 0
	var last *memory.Record
	err := c.each(ctx, func(rows *sql.Rows) error {
		count++
		rec, seq, err := k.store.placed(rows, r)
		if seq > next {
			k.missing(r, next, seq-1)
		}
		last, next = rec, seq+1
		return k.damaged(r.run, err)
	}, "SELECT place, id, time, crc, data FROM records WHERE place >= ? AND place <= ? ORDER BY place LIMIT ?",
		r.first()+next, r.end(), checkAtOnce)
	if err != nil || count == checkAtOnce {
		return next, err
	}
	switch {
	case next <= r.last.Seq:
		k.missing(r, next, r.last.Seq)
	case next > r.last.Seq+1:
		k.report(r.run, nil, "record %d is there; the run's entry says that the log ends with %d", next-1, r.last.Seq)
	case last != nil && last.ID != r.last.ID:
		k.report(r.run, nil, "record %d has the id %q; the run's entry says %q", last.Seq, last.ID, r.last.ID)
	}
	return 0, nil
}

func (k *check) missing(r *row, from, to int64) {
	if from == to {
		k.report(r.run, nil, "record %d is missing; the log has records up to %d", from, r.last.Seq)
		return
	}
	k.report(r.run, nil, "record %d and those after it up to %d are missing; the log has records up to %d", from, to, r.last.Seq)
}

// asks looks at each open ask.
func (k *check) asks(ctx context.Context) bool {
	return k.part(ctx, "", func(c *conn) error {
		return c.each(ctx, func(rows *sql.Rows) error {
			var data []byte
			a, of, err := k.store.askHead(rows, &data)
			if err == nil && sum(data, "") != of {
				err = k.store.askDamaged(&a)
			}
			if err == nil && a.ID.Run() != a.Run {
				k.report(a.ID.Run(), nil, "the ask %s stands with the run %q, which is not its own", a.ID, a.Run)
			}
			return k.damaged(a.Run, err)
		}, `SELECT ask, ifnull(run, ''), ifnull(agent, ''), kind, opened, due, people, crc, sum, data FROM asks LEFT JOIN runs USING (n)`)
	})
}

// blobs looks at each blob, one at a time, as they are large.
func (k *check) blobs(ctx context.Context) bool {
	var all [][2]string
	if !k.part(ctx, "", func(c *conn) error {
		return c.each(ctx, func(rows *sql.Rows) error {
			var b [2]string
			err := rows.Scan(&b[0], &b[1])
			all = append(all, b)
			return err
		}, "SELECT run, hash FROM blobs")
	}) {
		return false
	}
	for _, b := range all {
		run := agent.RunID(b[0])
		if !k.part(ctx, run, func(c *conn) error {
			_, err := k.store.blobOf(c, run, b[1])
			if errors.Is(err, memory.ErrNotFound) { // erased meanwhile
				return nil
			}
			return err
		}) {
			return false
		}
	}
	return true
}
