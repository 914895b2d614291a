package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/memory"
)

const (
	pageSize   = 100  // of a list, when none is asked for
	listAtOnce = 1000 // how many entries are looked at in one transaction: a query that selects few holds no reader for long
)

// errEnough ends the reading of rows.
var errEnough = errors.New("enough")

// parts lets part look at a list, piece by piece, until it says that there is no more.
func (s *Store) parts(what string, part func(*conn) (more bool, err error)) error {
	for more := true; more; {
		err := s.read(what, func(c *conn) (err error) {
			more, err = part(c)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	runColumns = "run, agent, status, title, reason, parent, wake, want, worker, process, last_seq, created, updated"
	runsAfter  = "updated <= ?1 AND (updated < ?1 OR run > ?2) ORDER BY updated DESC, run LIMIT ?3"

	listRuns      = "SELECT " + runColumns + " FROM runs WHERE " + runsAfter
	listDelegates = "SELECT " + runColumns + " FROM runs INDEXED BY runs_parent WHERE parent = ?4 AND parent != '' AND " + runsAfter
)

// Runs implements [memory.Store].
func (s *Store) Runs(ctx context.Context, q memory.RunQuery) (*memory.RunPage, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	at, id, err := parseCursor(q.After, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	if last := toMicro(ceilMicro(q.Before)) - 1; !q.Before.IsZero() && last < at {
		at, id = last, ""
	}
	page, limit := &memory.RunPage{}, cmp.Or(q.Limit, pageSize)
	err = s.parts("list runs", func(c *conn) (bool, error) {
		query, args := listRuns, []any{at, id, listAtOnce}
		if q.Parent != "" {
			query, args = listDelegates, append(args, string(q.Parent))
		}
		seen := 0
		err := c.each(ctx, func(rows *sql.Rows) error {
			e, err := s.runEntry(rows)
			if err != nil {
				return err
			}
			seen, at, id = seen+1, toMicro(e.Updated), string(e.Run)
			switch {
			case !q.Selects(&e):
			case len(page.Runs) < limit:
				page.Runs = append(page.Runs, e)
			default:
				last := &page.Runs[limit-1]
				page.Next = cursor(toMicro(last.Updated), string(last.Run))
				return errEnough
			}
			return nil
		}, query, args...)
		return seen == listAtOnce && page.Next == "", err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

func (s *Store) runEntry(rows *sql.Rows) (e memory.RunEntry, err error) {
	var wake, want sql.NullInt64
	var worker, process sql.NullString
	var created, updated int64
	err = rows.Scan(&e.Run, &e.Index.Agent, &e.Index.Status, &e.Index.Title, &e.Index.Reason, &e.Index.Parent,
		&wake, &want, &worker, &process, &e.Records, &created, &updated)
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

// cursor names a place in a list that is ordered by time and id.
func cursor(at int64, id string) string { return strconv.FormatInt(at, 10) + "." + id }

// parseCursor returns the place that c names, or the time first of which nothing
// was seen yet.
func parseCursor(c string, first int64) (at int64, id string, err error) {
	if c == "" {
		return first, "", nil
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
