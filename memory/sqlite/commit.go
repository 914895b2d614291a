package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"hash/crc32"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// row is what a run's row says, as far as calls decide by it.
type row struct {
	n       int64
	run     agent.RunID
	last    memory.Position
	wake    sql.NullInt64
	want    sql.NullInt64
	token   sql.NullString
	strikes int
}

// first returns the place of the record before the run's first.
func (r *row) first() int64 { return r.n << 32 }

// end returns the highest place that a record of the run can have.
func (r *row) end() int64 { return r.n<<32 | (1<<32 - 1) }

const rowColumns = "n, run, last_seq, last_id, wake, want, token, strikes"

func (r *row) columns() []any {
	return []any{&r.n, &r.run, &r.last.Seq, &r.last.ID, &r.wake, &r.want, &r.token, &r.strikes}
}

// row finds the run's row; nil if there is none.
func (c *conn) row(id agent.RunID) (*row, error) {
	r := &row{}
	found, err := c.one("SELECT "+rowColumns+" FROM runs WHERE run = ?", []any{string(id)}, r.columns()...)
	if err != nil || !found {
		return nil, err
	}
	if r.run != id {
		return nil, fmt.Errorf("sqlite: the entry of run %s holds another run, %q: %w", id, r.run, memory.ErrCorrupt)
	}
	return r, nil
}

// absence says why there is no row: the run was erased, or it is not there.
func (c *conn) absence(id agent.RunID) error {
	found, err := c.one("SELECT 1 FROM erased WHERE run = ?", []any{string(id)}, new(int))
	switch {
	case err != nil:
		return err
	case found:
		return memory.ErrErased
	default:
		return memory.ErrNotFound
	}
}

// Commit implements [memory.Store]: one transaction.
func (s *Store) Commit(ctx context.Context, c *memory.Commit) error {
	if err := c.Check(); err != nil {
		return err
	}
	s.hub.news.commits(c)
	if err := s.tryCommit(ctx, c); err != nil {
		return err
	}
	s.hub.news.committed(c) // whoever is told may use the store, or close it
	return nil
}

func (s *Store) tryCommit(ctx context.Context, c *memory.Commit) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	var ready bool
	err = s.write(ctx, "commit to run "+string(c.Run), func(w *conn) (err error) {
		ready, err = s.commit(w, c)
		return err
	})
	if err != nil {
		return err
	}
	s.hub.changed(c.Run)
	if ready {
		s.hub.ready()
	}
	return nil
}

// commit checks and writes; ready tells that the run may now be wanted.
func (s *Store) commit(w *conn, c *memory.Commit) (ready bool, err error) {
	r, err := w.row(c.Run)
	if err != nil {
		return false, err
	}
	if r == nil {
		if err := w.absence(c.Run); err != memory.ErrNotFound {
			return false, s.refuse(c, err)
		}
		r = &row{run: c.Run}
	}
	if r.last != c.Base {
		if there, err := w.holds(r, c.Records); there || err != nil {
			return false, err
		}
		return false, fmt.Errorf("sqlite: commit to run %s on record %d %q, but the log ends with %d %q: %w",
			c.Run, c.Base.Seq, c.Base.ID, r.last.Seq, r.last.ID, memory.ErrConflict)
	}
	if c.Claim != "" && (!r.token.Valid || r.token.String != string(c.Claim)) {
		return false, s.refuse(c, memory.ErrClaimLost)
	}
	if err := w.putRow(r, c); err != nil {
		return false, err
	}
	if err := w.putRecords(r, c); err != nil {
		return false, err
	}
	return !r.token.Valid && !c.Index.Wake.IsZero(), w.putAsks(r, c)
}

func (s *Store) refuse(c *memory.Commit, err error) error {
	return fmt.Errorf("sqlite: commit to run %s: %w", c.Run, err)
}

// holds reports whether there are records, and they are in the run's log already.
func (c *conn) holds(r *row, records []memory.Record) (bool, error) {
	for _, rec := range records {
		var id agent.RecordID
		found, err := c.one("SELECT id FROM records WHERE place = ?", []any{r.first() + rec.Seq}, &id)
		if err != nil || !found || id != rec.ID {
			return false, err
		}
	}
	return len(records) > 0, nil
}

// putRow writes how the run stands after the commit.
func (c *conn) putRow(r *row, m *memory.Commit) error {
	x, last, updated := m.Index, m.Last(), sql.NullInt64{}
	if n := len(m.Records); n > 0 {
		updated = orNull(m.Records[n-1].Time)
	}
	if r.n == 0 {
		const insert = `INSERT INTO runs (run, agent, status, title, reason, parent, wake, want, last_seq, last_id, created, updated)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11) RETURNING n`
		_, err := c.one(insert, []any{string(m.Run), x.Agent, string(x.Status), x.Title, x.Reason, string(x.Parent), orNull(x.Wake),
			last.Seq, string(last.ID), toMicro(m.Records[0].Time), updated}, &r.n)
		return err
	}
	const update = `UPDATE runs SET agent = ?2, status = ?3, title = ?4, reason = ?5, parent = ?6, wake = ?7,
		want = CASE WHEN token IS NULL THEN ?7 ELSE want END,
		strikes = CASE WHEN ?8 THEN 0 ELSE strikes END, last_seq = ?9, last_id = ?10, updated = ifnull(?11, updated) WHERE n = ?1`
	return c.exec(update, r.n, x.Agent, string(x.Status), x.Title, x.Reason, string(x.Parent), orNull(x.Wake), m.Progress,
		last.Seq, string(last.ID), updated)
}

func (c *conn) putRecords(r *row, m *memory.Commit) error {
	for i := range m.Records {
		rec := &m.Records[i]
		if rec.Seq >= 1<<32 {
			return fmt.Errorf("sqlite: run %s has %d records, the most that a run can have", m.Run, rec.Seq-1)
		}
		err := c.exec("INSERT INTO records (place, id, time, crc, data) VALUES (?, ?, ?, ?, ?)",
			r.first()+rec.Seq, string(rec.ID), toMicro(rec.Time), recordSum(m.Run, rec), blob(rec.Data))
		if err != nil {
			return err
		}
	}
	if m.Snapshot == nil {
		return nil
	}
	at := m.Last()
	return c.exec("INSERT OR REPLACE INTO snapshots (n, seq, id, crc, data) VALUES (?, ?, ?, ?, ?)",
		r.n, at.Seq, string(at.ID), snapshotSum(m.Run, at, m.Snapshot), blob(m.Snapshot))
}

func (c *conn) putAsks(r *row, m *memory.Commit) error {
	for i := range m.Opened {
		a := &m.Opened[i]
		people, of := a.People(), sum(a.Data, "")
		err := c.exec("INSERT OR REPLACE INTO asks (ask, n, kind, opened, due, people, crc, sum, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			string(a.ID), r.n, string(a.Kind), toMicro(a.Opened), orNull(a.Due), people, askSum(a, people, of), of, blob(a.Data))
		if err != nil {
			return err
		}
	}
	for _, id := range m.Closed {
		if err := c.exec("DELETE FROM asks WHERE ask = ?", string(id)); err != nil {
			return err
		}
	}
	return nil
}

// blob returns data as a value that is never NULL.
func blob(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of a head and data.
func sum(data []byte, head string, args ...any) int64 {
	return int64(crc32.Update(crc32.Checksum(fmt.Appendf(nil, head, args...), castagnoli), castagnoli, data))
}

func recordSum(run agent.RunID, r *memory.Record) int64 {
	return sum(r.Data, "%s.%d.%s.%d.", run, r.Seq, r.ID, toMicro(r.Time))
}

func snapshotSum(run agent.RunID, at memory.Position, data []byte) int64 {
	return sum(data, "%s.%d.%s.", run, at.Seq, at.ID)
}
