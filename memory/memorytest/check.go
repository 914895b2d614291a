package memorytest

import (
	"context"
	"fmt"
	"iter"

	"github.com/fermata-run/fermata/memory"
)

// Stats implements [memory.Store].
func (s *Store) Stats(ctx context.Context) (*memory.Stats, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.data.mu.Unlock()
	stats := &memory.Stats{Runs: int64(len(s.data.runs)), Ready: map[string]memory.Ready{}}
	now := s.data.clock()
	for _, r := range s.data.runs {
		stats.Asks += int64(len(r.asks))
		if r.readyAt(now) {
			of := stats.Ready[r.index.Agent]
			of.Runs++
			of.Lag = max(of.Lag, now.Sub(r.want))
			stats.Ready[r.index.Agent] = of
		}
	}
	return stats, nil
}

// Check implements [memory.Store]. It compares the queues with the runs that
// belong into them, by which a mistake of this package would show; nothing else
// can be damaged here, and there is nothing to repair.
func (s *Store) Check(ctx context.Context, _ bool) iter.Seq2[memory.Problem, error] {
	return func(yield func(memory.Problem, error) bool) {
		if err := s.begin(ctx); err != nil {
			yield(memory.Problem{}, err)
			return
		}
		found := s.data.checkLocked()
		s.data.mu.Unlock()
		for _, p := range found {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (d *data) checkLocked() (found []memory.Problem) {
	problem := func(r *run, format string, args ...any) {
		found = append(found, memory.Problem{Run: r.id, What: fmt.Sprintf(format, args...)})
	}
	for _, r := range d.runs {
		switch {
		case r.want.IsZero() != (r.queue == nil):
			problem(r, "it wants attention at %v; it is in a queue: %v", r.want, r.queue != nil)
		case r.queue != nil && (r.queue != d.ready[r.index.Agent] || (*r.queue)[r.place] != r):
			problem(r, "it is not at its place in the queue of its agent %q", r.index.Agent)
		}
	}
	for name, q := range d.ready {
		for i, r := range *q {
			if d.runs[r.id] != r || r.queue != q {
				problem(r, "the queue of the agent %q has it, and it is not kept or is in another", name)
			}
			if q.Less(i, (i-1)/2) {
				problem(r, "the queue of the agent %q serves it after a run that comes later", name)
			}
		}
	}
	return found
}
