package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"math"

	"github.com/fermata-run/fermata/memory"
)

// Lists look at the heads of asks, and read the data of those alone that they
// show: most of a large inbox is for others.
const (
	askHead   = "ask, run, agent, kind, opened, due, people, crc, sum"
	asksAfter = "(opened, ask) > (?1, ?2) AND opened <= ?3 ORDER BY opened, ask LIMIT ?4"

	listAsks   = "SELECT " + askHead + " FROM asks JOIN runs USING (n) WHERE " + asksAfter
	listAsksOf = "SELECT " + askHead + " FROM runs CROSS JOIN asks USING (n) WHERE run = ?5 AND " + asksAfter
)

// Asks implements [memory.Store].
func (s *Store) Asks(ctx context.Context, q memory.AskQuery) (*memory.AskPage, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	at, id, err := parseCursor(q.After, math.MinInt64)
	if err != nil {
		return nil, err
	}
	last := int64(math.MaxInt64)
	if !q.OpenedBefore.IsZero() {
		last = toMicro(q.OpenedBefore)
	}
	page, limit := &memory.AskPage{}, cmp.Or(q.Limit, pageSize)
	err = s.parts("list asks", func(c *conn) (bool, error) {
		query, args := listAsks, []any{at, id, last, listAtOnce}
		if q.Run != "" {
			query, args = listAsksOf, append(args, string(q.Run))
		}
		seen := 0
		var sums []int64 // of the data of those that were added
		err := c.each(ctx, func(rows *sql.Rows) error {
			a, sum, err := s.askHead(rows)
			if err != nil {
				return err
			}
			seen, at, id = seen+1, toMicro(a.Opened), string(a.ID)
			switch {
			case !q.Selects(&a):
			case len(page.Asks) < limit:
				page.Asks, sums = append(page.Asks, a), append(sums, sum)
			default:
				last := &page.Asks[limit-1]
				page.Next = cursor(toMicro(last.Opened), string(last.ID))
				return errEnough
			}
			return nil
		}, query, args...)
		if err == nil {
			err = s.askData(c, page.Asks[len(page.Asks)-len(sums):], sums)
		}
		return seen == listAtOnce && page.Next == "", err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// askHead takes all of an ask but its data, and the sum that these must have. What
// the query selects after that goes to rest.
func (s *Store) askHead(rows *sql.Rows, rest ...any) (a memory.AskEntry, of int64, err error) {
	var opened, crc int64
	var due sql.NullInt64
	var people string
	if err := rows.Scan(append([]any{&a.ID, &a.Run, &a.Agent, &a.Kind, &opened, &due, &people, &crc, &of}, rest...)...); err != nil {
		return a, 0, s.unreadable(err, "", "an ask")
	}
	a.Opened, a.Due = fromMicro(opened), fromNull(due)
	if crc != askSum(&a, people, of) || a.SetPeople(people) != nil {
		return a, of, s.askDamaged(&a)
	}
	return a, of, nil
}

// askData sets the data of asks, which must have these sums.
func (s *Store) askData(c *conn, asks []memory.AskEntry, sums []int64) error {
	for i := range asks {
		a := &asks[i]
		if _, err := c.one("SELECT data FROM asks WHERE ask = ?", []any{string(a.ID)}, &a.Data); err != nil {
			return s.unreadable(err, a.Run, "the ask %s", a.ID)
		}
		if sum(a.Data, "") != sums[i] {
			return s.askDamaged(a)
		}
	}
	return nil
}

func (s *Store) askDamaged(a *memory.AskEntry) error {
	return s.damagedRun(a.Run, "the ask %s is not as it was written: its checksum does not fit", a.ID)
}

// askSum is the checksum of an ask, whose people and sum of the data are these.
func askSum(a *memory.AskEntry, people string, of int64) int64 {
	return sum(nil, "%s.%s.%d.%d.%s.%d.", a.ID, a.Kind, toMicro(a.Opened), toMicro(a.Due), people, of)
}
