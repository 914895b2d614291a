package sqlite

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/memory"
)

// Claim implements [memory.Store].
func (s *Store) Claim(ctx context.Context, r *memory.ClaimRequest) ([]memory.Claim, error) {
	if r.Lease <= 0 {
		return nil, fmt.Errorf("sqlite: a claim with the lease %v; it must be more than 0", r.Lease)
	}
	if r.Wait <= 0 {
		claims, _, err := s.tryClaim(ctx, r)
		return claims, err
	}
	w := s.hub.join("")
	defer s.hub.leave(w)
	deadline := time.NewTimer(r.Wait)
	defer deadline.Stop()
	for {
		claims, next, err := s.tryClaim(ctx, r)
		if err != nil || len(claims) > 0 {
			return claims, err
		}
		s.hub.expect(w, next)
		select {
		case <-w.poke:
		case <-deadline.C:
			return nil, nil
		case <-s.done:
		case <-ctx.Done():
		}
	}
}

// tryClaim takes what can be taken now; next is when the next run wants
// attention.
func (s *Store) tryClaim(ctx context.Context, r *memory.ClaimRequest) (claims []memory.Claim, next sql.NullInt64, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, next, err
	}
	defer leave()
	now, any := s.Now(), false
	dead, err := s.deadProcesses()
	if err != nil {
		return nil, next, err
	}
	err = s.read("claim", func(c *conn) error { // most often there is nothing to write
		found, err := c.candidates(r, toMicro(now))
		any = len(found) > 0
		if err == nil && !any {
			next, err = c.next(r, toMicro(now))
		}
		return err
	})
	if err != nil || (!any && len(dead) == 0) {
		return nil, next, err
	}
	name, err := s.procs.join()
	if err != nil {
		return nil, next, err
	}
	err = s.write(ctx, "claim", func(c *conn) (err error) {
		for _, p := range dead {
			if err := c.reap(p, toMicro(now)); err != nil {
				return err
			}
		}
		if claims, err = c.claim(r, name, now); err == nil && len(claims) == 0 {
			next, err = c.next(r, toMicro(now))
		}
		return err
	})
	if err != nil {
		return nil, next, err
	}
	for _, p := range dead {
		s.procs.forget(p)
	}
	if len(dead) > 0 {
		s.hub.ready()
	}
	s.hub.listen(claims, r.News)
	return claims, next, nil
}

// claim takes runs for the process.
func (c *conn) claim(r *memory.ClaimRequest, process string, now time.Time) (claims []memory.Claim, err error) {
	found, err := c.candidates(r, toMicro(now))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if err := c.exec("INSERT OR IGNORE INTO processes (process) VALUES (?)", process); err != nil {
		return nil, err
	}
	for _, f := range found {
		m := memory.Claim{Run: f.run, Token: memory.Token(rand.Text()), Last: f.last, Strikes: f.strikes}
		if f.token.Valid { // its claim was neither released nor renewed
			m.Strikes++
		}
		err := c.exec("UPDATE runs SET want = ?, token = ?, worker = ?, process = ?, strikes = ? WHERE n = ?",
			toMicro(now.Add(r.Lease)), string(m.Token), r.Worker, process, m.Strikes, f.n)
		if err != nil {
			return nil, err
		}
		claims = append(claims, m)
	}
	return claims, nil
}

// candidates finds the runs that the request may have, the longest waiting first.
func (c *conn) candidates(r *memory.ClaimRequest, now int64) (found []*row, err error) {
	const suspect = "(strikes + (token IS NOT NULL) >= ?)"
	const free = " AND (token IS NULL OR NOT ?)"
	if r.Run != "" {
		const one = "SELECT " + rowColumns + " FROM runs WHERE run = ? AND want <= ? AND (NOT ? OR " + suspect + ")" + free
		return c.rows(one, string(r.Run), now, r.Suspects, memory.SuspectAfter, r.NoTakeOver)
	}
	limit := max(r.Max, 1)
	if r.Suspects {
		limit = 1
	}
	const some = "SELECT " + rowColumns + " FROM runs WHERE agent = ? AND want <= ? AND " + suspect + " = ?" + free + " ORDER BY want, run LIMIT ?"
	for _, name := range slices.Compact(slices.Sorted(slices.Values(r.Agents))) {
		of, err := c.rows(some, name, now, memory.SuspectAfter, r.Suspects, r.NoTakeOver, limit)
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	slices.SortFunc(found, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.want.Int64, b.want.Int64), cmp.Compare(a.run, b.run))
	})
	return found[:min(limit, len(found))], nil
}

func (c *conn) rows(query string, args ...any) (found []*row, err error) {
	err = c.each(context.Background(), func(rows *sql.Rows) error {
		r := &row{}
		found = append(found, r)
		return rows.Scan(r.columns()...)
	}, query, args...)
	return found, err
}

// next finds when the next of the runs that the request may have wants attention.
func (c *conn) next(r *memory.ClaimRequest, now int64) (next sql.NullInt64, err error) {
	if r.Run != "" {
		_, err := c.one("SELECT want FROM runs WHERE run = ? AND want > ? AND (token IS NULL OR NOT ?)", []any{string(r.Run), now, r.NoTakeOver}, &next)
		return next, err
	}
	for _, name := range r.Agents {
		var of sql.NullInt64
		const soonest = "SELECT min(want) FROM runs WHERE agent = ? AND want > ? AND (token IS NULL OR NOT ?)"
		if _, err := c.one(soonest, []any{name, now, r.NoTakeOver}, &of); err != nil {
			return next, err
		}
		if of.Valid && (!next.Valid || of.Int64 < next.Int64) {
			next = of
		}
	}
	return next, nil
}

// reap voids the claims of a process that is dead.
func (c *conn) reap(process string, now int64) error {
	const void = `UPDATE runs SET token = NULL, worker = NULL, process = NULL, strikes = strikes + 1,
		want = min(want, ?) WHERE process = ?`
	if err := c.exec(void, now, process); err != nil {
		return err
	}
	return c.exec("DELETE FROM processes WHERE process = ?", process)
}

// deadProcesses finds the processes that have died with claims, perhaps.
func (s *Store) deadProcesses() (dead []string, err error) {
	err = s.read("claim", func(c *conn) error {
		known, err := c.processes()
		for _, p := range known {
			if s.procs.dead(p) {
				dead = append(dead, p)
			}
		}
		return err
	})
	return dead, err
}

func (c *conn) processes() (known []string, err error) {
	err = c.each(context.Background(), func(rows *sql.Rows) error {
		var p string
		err := rows.Scan(&p)
		known = append(known, p)
		return err
	}, "SELECT process FROM processes")
	return known, err
}

// Renew implements [memory.Store]: one transaction for all.
func (s *Store) Renew(ctx context.Context, lease time.Duration, held []memory.Held) ([]memory.Renewal, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	renewals := make([]memory.Renewal, len(held))
	if len(held) == 0 {
		return renewals, nil
	}
	err = s.write(ctx, "renew", func(c *conn) error {
		end := toMicro(s.Now().Add(lease))
		for i, h := range held {
			r, err := c.row(h.Run)
			if err != nil {
				return err
			}
			renewals[i] = memory.Renewal{}
			if r == nil {
				continue
			}
			renewals[i].Last = r.last
			if r.token.Valid && r.token.String == string(h.Token) {
				renewals[i].Held = true
				if err := c.exec("UPDATE runs SET want = ? WHERE n = ?", end, r.n); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, h := range held {
		if !renewals[i].Held {
			s.hub.news.end(h.Run, h.Token)
		}
	}
	return renewals, nil
}

// Release implements [memory.Store].
func (s *Store) Release(ctx context.Context, h memory.Held) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	released := false
	err = s.write(ctx, "release run "+string(h.Run), func(c *conn) error {
		r, err := c.row(h.Run)
		if err != nil || r == nil || !r.token.Valid || r.token.String != string(h.Token) {
			return err
		}
		want, now := r.wake, toMicro(s.Now())
		if r.last != h.Last && (!want.Valid || want.Int64 > now) {
			want = sql.NullInt64{Int64: now, Valid: true}
		}
		if !h.NotBefore.IsZero() {
			want = orNull(h.NotBefore)
		}
		released = want.Valid
		return c.exec("UPDATE runs SET want = ?, token = NULL, worker = NULL, process = NULL, strikes = CASE WHEN ? THEN strikes ELSE 0 END WHERE n = ?",
			want, !h.NotBefore.IsZero(), r.n)
	})
	if err != nil {
		return err
	}
	s.hub.news.end(h.Run, h.Token)
	if released {
		s.hub.ready()
	}
	return nil
}
