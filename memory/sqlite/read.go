package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// Read implements [memory.Store]. A record that is missing or not as it was
// written makes it fail with [memory.ErrCorrupt], naming run and record.
func (s *Store) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (l *memory.Log, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	what := "read run " + string(id)
	err = s.read(what, func(c *conn) error {
		r, err := c.row(id)
		if err != nil {
			return err
		}
		if r == nil {
			err := c.absence(id)
			if errors.Is(err, memory.ErrNotFound) || errors.Is(err, memory.ErrErased) {
				return fmt.Errorf("sqlite: %s: %w", what, err)
			}
			return err
		}
		l, err = s.log(ctx, c, r, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (s *Store) log(ctx context.Context, c *conn, r *row, o memory.ReadOptions) (*memory.Log, error) {
	l := &memory.Log{Last: r.last}
	after := min(max(o.After, 0), r.last.Seq)
	if o.Snapshot {
		if err := s.snapshot(c, r, after, l); err != nil {
			return nil, err
		}
		after = max(after, l.SnapshotAt.Seq)
	}
	count := r.last.Seq - after
	if o.Limit > 0 {
		count = min(count, int64(o.Limit))
	}
	next := after + 1
	err := c.each(ctx, func(rows *sql.Rows) error {
		rec, err := s.record(rows, r, next)
		if err == nil {
			l.Records = append(l.Records, *rec)
			next++
		}
		return err
	}, "SELECT place, id, time, crc, data FROM records WHERE place > ? AND place <= ? ORDER BY place LIMIT ?", r.first()+after, r.end(), count)
	if err != nil {
		return nil, err
	}
	if next != after+1+count {
		return nil, s.damagedRun(r.run, "record %d is missing; the log has records up to %d", next, r.last.Seq)
	}
	if n := len(l.Records); n > 0 && next > r.last.Seq && l.Records[n-1].ID != r.last.ID {
		return nil, s.damagedRun(r.run, "record %d has the id %q; the run's entry says %q", r.last.Seq, l.Records[n-1].ID, r.last.ID)
	}
	return l, nil
}

// record takes the next record, which must be the one with the number seq.
func (s *Store) record(rows *sql.Rows, r *row, seq int64) (*memory.Record, error) {
	rec, at, err := s.placed(rows, r)
	if at > seq {
		return nil, s.damagedRun(r.run, "record %d is missing; the next one is %d", seq, at)
	}
	return rec, err
}

// placed takes the next record, whatever its number, and says what that is, also
// when the record is damaged.
func (s *Store) placed(rows *sql.Rows, r *row) (rec *memory.Record, seq int64, err error) {
	var place, at, crc int64
	rec = &memory.Record{}
	err = rows.Scan(&place, &rec.ID, &at, &crc, &rec.Data)
	seq = place - r.first()
	if err != nil {
		return nil, seq, s.unreadable(err, r.run, "record %d", seq)
	}
	rec.Seq, rec.Time = seq, fromMicro(at)
	if crc != recordSum(r.run, rec) {
		return nil, seq, s.damagedRun(r.run, "record %d is not as it was written: its checksum does not fit", seq)
	}
	return rec, seq, nil
}

// snapshot sets the log's snapshot, if there is one at or after the number after.
func (s *Store) snapshot(c *conn, r *row, after int64, l *memory.Log) error {
	var at memory.Position
	var crc int64
	var data []byte
	found, err := c.one("SELECT seq, id, crc, data FROM snapshots WHERE n = ? AND seq >= ?", []any{r.n, after}, &at.Seq, &at.ID, &crc, &data)
	if err != nil {
		return s.unreadable(err, r.run, "the snapshot")
	}
	if !found {
		return nil
	}
	if crc != snapshotSum(r.run, at, data) || at.Seq > r.last.Seq {
		return s.damagedRun(r.run, "the snapshot at record %d is not as it was written; read the log without it", at.Seq)
	}
	l.Snapshot, l.SnapshotAt = blob(data), at
	return nil
}
