package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// pageSize is the length of a page when none is asked for.
const pageSize = 100

// Runs implements [memory.Store].
func (s *Store) Runs(ctx context.Context, q memory.RunQuery) (*memory.RunPage, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	at, id, err := parseCursor(q.After)
	if err != nil {
		return nil, err
	}
	const query = `SELECT run, agent, status, title, reason, wake, want, worker, process, last_seq, created, updated FROM runs
		WHERE (?1 = '' OR agent = ?1) AND (?2 IS NULL OR status IN (SELECT value FROM json_each(?2)))
		AND (?3 = '' OR (run >= ?3 AND run < ?3 || char(1114111))) AND (?4 = 0 OR updated < ?5 OR (updated = ?5 AND run > ?6))
		AND (?8 IS NULL OR updated < ?8) ORDER BY updated DESC, run LIMIT ?7`
	page, limit := &memory.RunPage{}, cmp.Or(q.Limit, pageSize)
	err = s.read("list runs", func(c *conn) error {
		return c.each(ctx, func(rows *sql.Rows) error {
			e, err := s.runEntry(rows)
			page.Runs = append(page.Runs, e)
			return err
		}, query, q.Agent, statuses(q.Statuses), q.Prefix, q.After != "", at, id, limit+1, orNull(ceilMicro(q.Before)))
	})
	if err != nil {
		return nil, err
	}
	if len(page.Runs) > limit {
		page.Runs = page.Runs[:limit]
		last := page.Runs[limit-1]
		page.Next = cursor(toMicro(last.Updated), string(last.Run))
	}
	return page, nil
}

// statuses returns the list as JSON, or nil for any.
func statuses(of []agent.Status) any {
	if of == nil {
		return nil
	}
	list, err := json.Marshal(of)
	if err != nil {
		panic("sqlite: a list of strings has no JSON form: " + err.Error()) // cannot happen
	}
	return string(list)
}

func (s *Store) runEntry(rows *sql.Rows) (e memory.RunEntry, err error) {
	var wake, want sql.NullInt64
	var worker, process sql.NullString
	var created, updated int64
	err = rows.Scan(&e.Run, &e.Index.Agent, &e.Index.Status, &e.Index.Title, &e.Index.Reason, &wake, &want,
		&worker, &process, &e.Records, &created, &updated)
	if err != nil {
		return e, s.unreadable(err, "", "an entry of the list of runs")
	}
	e.Index.Wake, e.Created, e.Updated = fromNull(wake), fromMicro(created), fromMicro(updated)
	now := s.Now()
	if want.Valid && want.Int64 <= toMicro(now) {
		e.Late = now.Sub(fromMicro(want.Int64))
	} else if process.Valid && !s.procs.dead(process.String) {
		e.Worker = worker.String
	}
	return e, nil
}

// Asks implements [memory.Store].
func (s *Store) Asks(ctx context.Context, q memory.AskQuery) (*memory.AskPage, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	at, id, err := parseCursor(q.After)
	if err != nil {
		return nil, err
	}
	const query = `SELECT ask, run, agent, kind, opened, due, crc, data FROM asks JOIN runs USING (n)
		WHERE (?1 = '' OR run = ?1) AND (?2 = '' OR agent = ?2) AND (?3 = '' OR kind = ?3)
		AND (?4 = 0 OR (opened, ask) > (?5, ?6)) ORDER BY opened, ask LIMIT ?7`
	page, limit := &memory.AskPage{}, cmp.Or(q.Limit, pageSize)
	err = s.read("list asks", func(c *conn) error {
		return c.each(ctx, func(rows *sql.Rows) error {
			a, err := s.askEntry(rows)
			page.Asks = append(page.Asks, a)
			return err
		}, query, string(q.Run), q.Agent, string(q.Kind), q.After != "", at, id, limit+1)
	})
	if err != nil {
		return nil, err
	}
	if len(page.Asks) > limit {
		page.Asks = page.Asks[:limit]
		last := page.Asks[limit-1]
		page.Next = cursor(toMicro(last.Opened), string(last.ID))
	}
	return page, nil
}

func (s *Store) askEntry(rows *sql.Rows) (a memory.AskEntry, err error) {
	var opened, crc int64
	var due sql.NullInt64
	if err := rows.Scan(&a.ID, &a.Run, &a.Agent, &a.Kind, &opened, &due, &crc, &a.Data); err != nil {
		return a, s.unreadable(err, "", "an ask")
	}
	a.Opened, a.Due = fromMicro(opened), fromNull(due)
	if crc != askSum(&a) {
		return a, s.damagedRun(a.Run, "the ask %s is not as it was written: its checksum does not fit", a.ID)
	}
	return a, nil
}

// cursor names a place in a list that is ordered by time and id.
func cursor(at int64, id string) string { return strconv.FormatInt(at, 10) + "." + id }

func parseCursor(c string) (at int64, id string, err error) {
	if c == "" {
		return 0, "", nil
	}
	head, id, ok := strings.Cut(c, ".")
	if at, err = strconv.ParseInt(head, 10, 64); !ok || err != nil {
		return 0, "", fmt.Errorf("sqlite: the page %q of a list does not exist; use the Next of the page before", c)
	}
	return at, id, nil
}

// Stats implements [memory.Store]. The runs of a process that has died count as
// ready when their leases end, or when somebody has looked for runs to claim.
func (s *Store) Stats(ctx context.Context) (*memory.Stats, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	stats, now := &memory.Stats{Ready: map[string]memory.Ready{}}, s.Now()
	err = s.read("count", func(c *conn) error {
		if _, err := c.one("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM asks)", nil, &stats.Runs, &stats.Asks); err != nil {
			return err
		}
		return c.each(ctx, func(rows *sql.Rows) error {
			var name string
			var count, first int64
			err := rows.Scan(&name, &count, &first)
			stats.Ready[name] = memory.Ready{Runs: count, Lag: now.Sub(fromMicro(first))}
			return err
		}, "SELECT agent, count(*), min(want) FROM runs WHERE want <= ? GROUP BY agent", toMicro(now))
	})
	if err != nil {
		return nil, err
	}
	return stats, nil
}
