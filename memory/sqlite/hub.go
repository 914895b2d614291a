package sqlite

import (
	"database/sql"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

const (
	pollEvery = 15 * time.Millisecond // how often other processes' changes are looked for
	pollShare = 20                    // and looking takes at most one part in so many of the time
)

// waiter is a call that waits for news: a claim for any run that is ready, a
// watch for its run.
type waiter struct {
	poke chan struct{}
	run  agent.RunID // "" for a claim
	next int64       // claim: when the next run wants attention; guarded by hub.mu
}

func (w *waiter) wake() {
	select {
	case w.poke <- struct{}{}:
	default: // it is poked already
	}
}

// hub wakes the calls that wait, and tells the news of claims: at once for what
// this process does, and by looking for what others do and for the clock. One
// goroutine looks, and only while somebody waits or listens.
type hub struct {
	store *Store
	news  *news

	mu       sync.Mutex
	claimers map[*waiter]bool
	watchers map[agent.RunID]map[*waiter]bool
	looking  bool // a goroutine is there
	stopped  bool
	group    sync.WaitGroup

	// The rest belongs to the looking goroutine; disconnect comes after its end.
	conn    *conn
	version int64                // PRAGMA data_version: another value tells of a change
	seen    map[agent.RunID]sign // of the watched runs
	others  []string             // the processes with claims
}

// sign is what changes when a run or its sentence does.
type sign struct {
	seq     int64
	id      string
	place   sql.NullInt64
	attempt sql.NullString
}

func newHub(s *Store) *hub {
	return &hub{store: s, news: newNews(), claimers: map[*waiter]bool{}, watchers: map[agent.RunID]map[*waiter]bool{}, seen: map[agent.RunID]sign{}}
}

// join registers a waiter for a run, or with "" for claims.
func (h *hub) join(run agent.RunID) *waiter {
	w := &waiter{poke: make(chan struct{}, 1), run: run, next: math.MaxInt64}
	h.mu.Lock()
	defer h.mu.Unlock()
	if run == "" {
		h.claimers[w] = true
	} else {
		if h.watchers[run] == nil {
			h.watchers[run] = map[*waiter]bool{}
		}
		h.watchers[run][w] = true
	}
	h.lookLocked()
	return w
}

func (h *hub) lookLocked() {
	if !h.looking && !h.stopped {
		h.looking = true
		h.group.Go(h.look)
	}
}

// listen begins to tell the news of claims; nil tells nobody.
func (h *hub) listen(claims []memory.Claim, tell func(agent.RunID)) {
	h.news.listen(claims, tell)
	if tell != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lookLocked()
	}
}

func (h *hub) leave(w *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.claimers, w)
	if of := h.watchers[w.run]; of != nil {
		delete(of, w)
		if len(of) == 0 {
			delete(h.watchers, w.run)
		}
	}
}

// expect tells when a claim's next run wants attention.
func (h *hub) expect(w *waiter, next sql.NullInt64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.next = math.MaxInt64
	if next.Valid {
		w.next = next.Int64
	}
}

// changed wakes those who watch the run.
func (h *hub) changed(run agent.RunID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers[run] {
		w.wake()
	}
}

// ready wakes those who wait for a claim.
func (h *hub) ready() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.claimers {
		w.wake()
	}
}

// due wakes the claims whose next run wants attention now.
func (h *hub) due(now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.claimers {
		if w.next <= now {
			w.wake()
		}
	}
}

// everybody wakes all, for them to meet the error that stopped the looking.
func (h *hub) everybody() {
	h.ready()
	for _, run := range h.watched() {
		h.changed(run)
	}
}

func (h *hub) watched() []agent.RunID {
	h.mu.Lock()
	defer h.mu.Unlock()
	runs := make([]agent.RunID, 0, len(h.watchers))
	for run := range h.watchers {
		runs = append(runs, run)
	}
	return runs
}

// stop ends the looking and waits for its end.
func (h *hub) stop() {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.group.Wait()
}

func (h *hub) disconnect() {
	if h.conn != nil {
		h.conn.close()
		h.conn = nil
	}
}

// look runs while somebody waits or listens.
func (h *hub) look() {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var rest time.Time // no looking at runs before
	stale := true      // something may have changed since the last look at runs
	for h.wanted() {
		h.due(toMicro(h.store.Now()))
		changed, err := h.moved()
		listeners, fresh := h.news.listeners()
		stale = stale || changed || fresh || err != nil
		if start := time.Now(); stale && start.After(rest) {
			if err == nil {
				err = h.compare(listeners)
			}
			if err != nil {
				h.everybody()
			}
			end := time.Now()
			rest, stale = end.Add(pollShare*end.Sub(start)), err != nil
		}
		if slices.ContainsFunc(h.others, h.store.procs.dead) {
			h.ready()
		}
		select {
		case <-tick.C:
		case <-h.store.done:
		}
	}
}

// wanted reports whether somebody waits or listens; if not, the looking has
// ended.
func (h *hub) wanted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looking = !h.stopped && (len(h.claimers)+len(h.watchers) > 0 || h.news.any())
	return h.looking
}

// moved reports whether the file has changed since it was last called.
func (h *hub) moved() (bool, error) {
	if h.conn == nil {
		c, err := dial(h.store.db, "query_only=1")
		if err != nil {
			return false, err
		}
		h.conn = c
	}
	before := h.version
	_, err := h.conn.one("PRAGMA data_version", nil, &h.version)
	return h.version != before, err
}

// compare looks at what waiters wait for and listeners listen to, and wakes and
// tells those who have news.
func (h *hub) compare(listeners []*listener) error {
	h.ready()
	runs := h.watched()
	var claims map[agent.RunID]claimEnd
	seen := make(map[agent.RunID]sign, len(runs))
	err := h.conn.inside("BEGIN", func(c *conn) (err error) {
		if h.others, err = c.processes(); err != nil {
			return err
		}
		for _, run := range runs {
			if seen[run], err = c.sign(run); err != nil {
				return err
			}
		}
		if len(listeners) > 0 {
			claims, err = c.claimsOf(h.store.procs.joined())
		}
		return err
	})
	if err != nil {
		return err
	}
	for run, now := range seen {
		if was, known := h.seen[run]; !known || was != now {
			h.changed(run)
		}
	}
	h.seen = seen
	h.news.seen(listeners, claims)
	return nil
}

func (c *conn) sign(run agent.RunID) (s sign, err error) {
	const query = `SELECT r.last_seq, r.last_id, w.place, w.attempt FROM runs r LEFT JOIN words w ON w.place =
		(SELECT max(place) FROM words WHERE place BETWEEN r.n << 32 AND (r.n << 32) + 4294967295) WHERE r.run = ?`
	_, err = c.one(query, []any{string(run)}, &s.seq, &s.id, &s.place, &s.attempt)
	return s, err
}
