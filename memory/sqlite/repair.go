package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// pages lets SQLite look at the structure of the file. What is wrong with an
// index alone is repaired by making the indexes anew from their tables.
func (k *check) pages(ctx context.Context) bool {
	return k.part(ctx, "", func(c *conn) error {
		verdicts, err := c.integrity(ctx)
		for _, v := range verdicts {
			var repair func(*conn) error
			if strings.Contains(v, " index ") {
				repair = func(c *conn) error { return c.reindex(ctx, v) }
			}
			k.report("", repair, "the file's pages are not in order (%s)", v)
		}
		return err
	})
}

// integrity returns what SQLite finds wrong with the file.
func (c *conn) integrity(ctx context.Context) (verdicts []string, err error) {
	err = c.each(ctx, func(rows *sql.Rows) error {
		var verdict string
		err := rows.Scan(&verdict)
		if err == nil && verdict != "ok" {
			verdicts = append(verdicts, verdict)
		}
		return err
	}, "PRAGMA integrity_check(100)")
	return verdicts, err
}

// reindex makes the indexes anew, unless that has helped against the verdict
// already.
func (c *conn) reindex(ctx context.Context, verdict string) error {
	for range 2 {
		left, err := c.integrity(ctx)
		if err != nil || !slices.Contains(left, verdict) {
			return err
		}
		if err := c.exec("REINDEX"); err != nil {
			return err
		}
	}
	return errors.New("it is still so after making the indexes anew; restore the file from a copy")
}

// times looks whether a run's row has the times of its first and its last record.
// Of a record that cannot be read others tell.
func (k *check) times(ctx context.Context, c *conn, r *row) error {
	first, last, err := k.store.ends(ctx, c, r)
	if err != nil {
		return nil
	}
	var created, updated int64
	if _, err := c.one("SELECT created, updated FROM runs WHERE n = ?", []any{r.n}, &created, &updated); err != nil {
		return k.damaged(r.run, k.store.unreadable(err, r.run, "the times of its entry"))
	}
	if created == toMicro(first) && updated == toMicro(last) {
		return nil
	}
	k.report(r.run, func(c *conn) error {
		r, err := c.row(r.run)
		if err != nil || r == nil {
			return err
		}
		first, last, err := k.store.ends(ctx, c, r)
		if err != nil {
			return err
		}
		return c.exec("UPDATE runs SET created = ?, updated = ? WHERE n = ?", toMicro(first), toMicro(last), r.n)
	}, "its entry says that its first record is of %v and its last one of %v; they are of %v and %v",
		fromMicro(created), fromMicro(updated), first, last)
	return nil
}

// ends returns the times of a run's first and last record.
func (s *Store) ends(ctx context.Context, c *conn, r *row) (first, last time.Time, err error) {
	for _, end := range []struct {
		seq  int64
		into *time.Time
	}{{1, &first}, {r.last.Seq, &last}} {
		log, err := s.log(ctx, c, r, memory.ReadOptions{After: end.seq - 1, Limit: 1})
		if err != nil {
			return first, last, err
		}
		if len(log.Records) != 1 {
			return first, last, s.damagedRun(r.run, "its log ends with record %d, which cannot be", r.last.Seq)
		}
		*end.into = log.Records[0].Time
	}
	return first, last, nil
}

// oddities are rows that do not fit others. Each query yields the runs that it
// finds, "" where there is none, and one word more. What repair there is repairs
// all that the query finds.
var oddities = []struct {
	what   string // about the word
	query  string
	repair string // "" if there is none
}{
	{
		"it has a wake-up time or a claim, and no time at which it wants attention; its status is %s",
		"SELECT run, status FROM runs WHERE want IS NULL AND (wake IS NOT NULL OR token IS NOT NULL)",
		"UPDATE runs SET want = ifnull(wake, updated) WHERE want IS NULL AND (wake IS NOT NULL OR token IS NOT NULL)",
	},
	{ // SQLite looks whether such an index lacks something, and not whether it has too much
		"the index of what wants attention has it at %s, and its entry does not",
		`SELECT run, want FROM (SELECT agent, want, run FROM runs INDEXED BY runs_want WHERE want IS NOT NULL
			EXCEPT SELECT agent, want, run FROM runs NOT INDEXED WHERE want IS NOT NULL)`,
		"REINDEX runs_want",
	},
	{
		"the index of claims has some of the process %s, and no run's entry does",
		`SELECT '', process FROM (SELECT process FROM runs INDEXED BY runs_process WHERE process IS NOT NULL
			EXCEPT SELECT process FROM runs NOT INDEXED WHERE process IS NOT NULL)`,
		"REINDEX runs_process",
	},
	{
		"the index of delegates has it under the run %s, and its entry does not",
		`SELECT run, parent FROM (SELECT parent, run FROM runs INDEXED BY runs_parent WHERE parent != ''
			EXCEPT SELECT parent, run FROM runs NOT INDEXED WHERE parent != '')`,
		"REINDEX runs_parent",
	},
	{
		"it is claimed by the process %s, which is not in the list of processes",
		"SELECT run, process FROM runs WHERE process IS NOT NULL AND process NOT IN (SELECT process FROM processes)",
		"INSERT OR IGNORE INTO processes (process) SELECT process FROM runs WHERE process IS NOT NULL",
	},
	{
		"it is erased, and there is still %s",
		`SELECT run, 'its entry' FROM runs WHERE run IN (SELECT run FROM erased) UNION ALL
			SELECT run, 'the blob ' || hash FROM blobs WHERE run IN (SELECT run FROM erased)`,
		"",
	},
	{
		"there is a snapshot of the run with the number %s, which is not there",
		"SELECT '', n FROM snapshots WHERE n NOT IN (SELECT n FROM runs)",
		"",
	},
	{
		"there are records of the run with the number %s, which is not there",
		`WITH RECURSIVE hop (n) AS (SELECT min(place) >> 32 FROM records UNION ALL
			SELECT (SELECT min(place) >> 32 FROM records WHERE place > (hop.n << 32 | 4294967295)) FROM hop WHERE hop.n IS NOT NULL)
			SELECT '', n FROM hop WHERE n IS NOT NULL AND n NOT IN (SELECT n FROM runs)`,
		"",
	},
}

// rows looks for rows that do not fit others.
func (k *check) rows(ctx context.Context) bool {
	for _, o := range oddities {
		var repair func(*conn) error
		if o.repair != "" {
			repair = func(c *conn) error { return c.exec(o.repair) }
		}
		if !k.part(ctx, "", func(c *conn) error {
			return c.each(ctx, func(rows *sql.Rows) error {
				var run agent.RunID
				var word string
				err := rows.Scan(&run, &word)
				k.report(run, repair, o.what, word)
				return err
			}, o.query)
		}) {
			return false
		}
	}
	return true
}
