package crashtest

import (
	"slices"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// holders know which worker has which run, as far as the workers have told, and
// measure how long a run whose worker was killed waits for another.
type holders struct {
	mu      sync.Mutex
	has     map[agent.RunID]string // the worker that has it
	orphans map[agent.RunID]orphan
	taken   []takeover
}

// orphan is a run whose worker was killed.
type orphan struct {
	from time.Time
	calm bool // nothing else was done to anybody
}

// takeover is a run that has a worker again.
type takeover struct {
	run     agent.RunID
	from    time.Time
	took    time.Duration
	calm    bool
	suspect bool // it is given only to a worker that drives nothing else, and waits for that
}

func newHolders() *holders {
	return &holders{has: map[agent.RunID]string{}, orphans: map[agent.RunID]orphan{}}
}

func (h *holders) claimed(c claimed, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.has[c.Run] = c.Worker
	if o, ok := h.orphans[c.Run]; ok {
		h.taken = append(h.taken, takeover{c.Run, o.from, at.Sub(o.from), o.calm, c.Strikes >= memory.SuspectAfter})
		delete(h.orphans, c.Run)
	}
}

func (h *holders) released(c claimed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.has[c.Run] == c.Worker {
		delete(h.has, c.Run)
	}
}

// killed notes that a worker was killed at from, and returns how many runs it had.
func (h *holders) killed(worker string, from time.Time, calm bool) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for run, holder := range h.has {
		if holder == worker {
			h.orphans[run] = orphan{from, calm}
			delete(h.has, run)
			n++
		}
	}
	return n
}

// waiting returns how many runs wait for a worker since a calm kill.
func (h *holders) waiting() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.orphans {
		if o.calm {
			n++
		}
	}
	return n
}

// takeovers returns those that were measured in calm, and those of suspects and
// in the middle of other faults.
func (h *holders) takeovers() (calm, others []takeover) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.taken {
		if t.calm && !t.suspect {
			calm = append(calm, t)
		} else {
			others = append(others, t)
		}
	}
	return calm, others
}

// spread returns the median and the longest.
func spread(list []takeover) (median, longest time.Duration) {
	if len(list) == 0 {
		return 0, 0
	}
	times := make([]time.Duration, len(list))
	for i, t := range list {
		times[i] = t.took.Round(time.Millisecond)
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)-1]
}
