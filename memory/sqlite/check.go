package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// checkAtOnce is how many records Check reads in one transaction.
const checkAtOnce = 1000

// Check reads the whole file and compares all that has a checksum with it: the
// pages' structure, each record, snapshot, ask and blob. It returns nil, or all
// the damage found (errors that are [memory.ErrCorrupt]). It changes nothing;
// others may go on meanwhile.
func (s *Store) Check(ctx context.Context) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	found := []error{s.checkPages(ctx)}
	var runs []agent.RunID
	var blobs [][2]string
	err = s.read("check", func(c *conn) error {
		err := c.each(ctx, func(rows *sql.Rows) error {
			var run agent.RunID
			err := rows.Scan(&run)
			runs = append(runs, run)
			return err
		}, "SELECT run FROM runs")
		if err != nil {
			return err
		}
		return c.each(ctx, func(rows *sql.Rows) error {
			var b [2]string
			err := rows.Scan(&b[0], &b[1])
			blobs = append(blobs, b)
			return err
		}, "SELECT run, hash FROM blobs")
	})
	found = append(found, err)
	for _, run := range runs {
		found = append(found, s.checkRun(ctx, run))
	}
	for _, b := range blobs {
		_, err := s.Blob(ctx, agent.RunID(b[0]), b[1])
		found = append(found, err)
	}
	return errors.Join(append(found, s.checkAsks(ctx))...)
}

func (s *Store) checkPages(ctx context.Context) error {
	return s.read("check", func(c *conn) error {
		var found []error
		err := c.each(ctx, func(rows *sql.Rows) error {
			var verdict string
			err := rows.Scan(&verdict)
			if err == nil && verdict != "ok" {
				found = append(found, s.damaged("the file's pages are not in order (%s)", verdict))
			}
			return err
		}, "PRAGMA integrity_check(10)")
		return errors.Join(append(found, err)...)
	})
}

func (s *Store) checkRun(ctx context.Context, run agent.RunID) error {
	_, err := s.Read(ctx, run, memory.ReadOptions{Snapshot: true, Limit: 1})
	if err != nil {
		return err
	}
	for after := int64(0); ; after += checkAtOnce {
		log, err := s.Read(ctx, run, memory.ReadOptions{After: after, Limit: checkAtOnce})
		if errors.Is(err, memory.ErrErased) { // meanwhile
			return nil
		}
		if err != nil || len(log.Records) < checkAtOnce {
			return err
		}
	}
}

func (s *Store) checkAsks(ctx context.Context) error {
	for q := (memory.AskQuery{}); ; {
		page, err := s.Asks(ctx, q)
		if err != nil || page.Next == "" {
			return err
		}
		q.After = page.Next
	}
}
