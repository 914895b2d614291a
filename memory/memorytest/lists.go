package memorytest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/memory"
)

// pageSize is the length of a page when none is asked for.
const pageSize = 100

// Runs implements [memory.Store].
func (s *Store) Runs(ctx context.Context, q memory.RunQuery) (*memory.RunPage, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.data.mu.Unlock()
	var runs []*run
	page, now := &memory.RunPage{}, s.data.clock()
	for _, r := range s.data.runs {
		if e := r.entry(now); q.Selects(&e) {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b *run) int {
		return cmp.Or(b.updated().Compare(a.updated()), cmp.Compare(a.id, b.id))
	})
	limit := cmp.Or(q.Limit, pageSize)
	for _, r := range runs {
		if q.After != "" && r.cursor() <= q.After {
			continue
		}
		if len(page.Runs) == limit {
			last := s.data.runs[page.Runs[limit-1].Run]
			page.Next = last.cursor()
			break
		}
		page.Runs = append(page.Runs, r.entry(now))
	}
	return page, nil
}

func (r *run) updated() time.Time { return r.log[len(r.log)-1].Time }

// cursor orders runs as lists do: a later time has a smaller one.
func (r *run) cursor() string {
	return fmt.Sprintf("%020d.%s", uint64(1)<<63-uint64(r.updated().UnixMicro()), r.id)
}

func (r *run) entry(now time.Time) memory.RunEntry {
	e := memory.RunEntry{
		Run: r.id, Index: r.index, Records: int64(len(r.log)),
		Created: r.log[0].Time, Updated: r.updated(),
	}
	if r.readyAt(now) {
		e.Late = now.Sub(r.want)
	} else if r.claim != nil {
		e.Worker = r.claim.worker
	}
	return e
}

// Asks implements [memory.Store].
func (s *Store) Asks(ctx context.Context, q memory.AskQuery) (*memory.AskPage, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.data.mu.Unlock()
	var asks []memory.AskEntry
	for _, r := range s.data.runs {
		for _, a := range r.asks {
			a.Agent = r.index.Agent
			if q.Selects(&a) {
				asks = append(asks, cloneAsk(a))
			}
		}
	}
	sortAsks(asks)
	return pageOf(asks, q), nil
}

// cloneAsk returns an ask that shares nothing with a.
func cloneAsk(a memory.AskEntry) memory.AskEntry {
	a.For, a.Not, a.Data = slices.Clone(a.For), slices.Clone(a.Not), bytes.Clone(a.Data)
	return a
}

// sortAsks puts asks in the order of lists.
func sortAsks(asks []memory.AskEntry) {
	slices.SortFunc(asks, func(a, b memory.AskEntry) int {
		return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID))
	})
}

func pageOf(asks []memory.AskEntry, q memory.AskQuery) *memory.AskPage {
	page, limit := &memory.AskPage{}, cmp.Or(q.Limit, pageSize)
	for _, a := range asks {
		if q.After != "" && askCursor(a) <= q.After {
			continue
		}
		if len(page.Asks) == limit {
			page.Next = askCursor(page.Asks[limit-1])
			break
		}
		page.Asks = append(page.Asks, a)
	}
	return page
}

// askCursor orders asks as lists do.
func askCursor(a memory.AskEntry) string {
	return fmt.Sprintf("%020d.%s", uint64(1)<<63+uint64(a.Opened.UnixMicro()), a.ID)
}
