package memorytest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// Store is a store in memory: one handle on it, as one process has one. Make
// the first with [NewStore] and more with [Store.Another].
type Store struct {
	data *data
	name int           // which process this is; guarded by data.mu after creation
	done chan struct{} // closed when the handle is closed or killed
}

var _ memory.Store = (*Store)(nil)

// NewStore makes an empty store whose clock is now; nil means time.Now. With a
// clock that is moved by hand call [Store.Recheck] after moving it.
func NewStore(now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	d := &data{
		now:      now,
		runs:     map[agent.RunID]*run{},
		erased:   map[agent.RunID]bool{},
		blobs:    map[agent.RunID]map[string][]byte{},
		ready:    map[string]*queue{},
		claimers: map[chan struct{}]bool{},
		watchers: map[agent.RunID]map[chan struct{}]bool{},
	}
	return d.handle()
}

// Another makes one more handle on the same runs, as another process has one.
func (s *Store) Another() *Store { return s.data.handle() }

// Kill ends the handle as the death of its process does: its claims are void
// at once, and all its calls fail.
func (s *Store) Kill() { s.end() }

// Recheck makes all waiting calls look at the clock again. It is for a clock
// that is moved by hand; timers need no such help.
func (s *Store) Recheck() {
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	s.data.pokeClaimersLocked()
}

// data is what all handles share.
type data struct {
	now func() time.Time

	mu       sync.Mutex
	handles  int
	runs     map[agent.RunID]*run
	erased   map[agent.RunID]bool
	blobs    map[agent.RunID]map[string][]byte
	ready    map[string]*queue // by agent: when each run next wants attention
	claimers map[chan struct{}]bool
	watchers map[agent.RunID]map[chan struct{}]bool
}

// run is what is kept of one run.
type run struct {
	id         agent.RunID
	log        []memory.Record
	snapshot   []byte
	snapshotAt memory.Position
	index      memory.Index
	asks       map[agent.AskID]memory.AskEntry
	words      memory.Words

	want    time.Time // when it next wants attention: a wake-up time or the end of a lease; zero: not by itself
	claim   *claim    // nil if there is none, or it was voided
	queue   *queue    // the one that the run is in; nil: none
	place   int       // in queue
	strikes int       // without that of a claim which has lapsed and which nobody took over yet
}

func (r *run) last() memory.Position {
	if len(r.log) == 0 {
		return memory.Position{}
	}
	return r.log[len(r.log)-1].Position()
}

func (d *data) handle() *Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handles++
	return &Store{data: d, name: d.handles, done: make(chan struct{})}
}

// Now returns the store's clock.
func (s *Store) Now() time.Time { return s.data.clock() }

func (d *data) clock() time.Time { return micro(d.now()) }

// micro returns t as a store keeps it.
func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// begin takes the lock, or says why the call cannot be served. After nil the
// caller unlocks.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.data.mu.Lock()
	if err := s.ended(); err != nil {
		s.data.mu.Unlock()
		return err
	}
	return nil
}

func (s *Store) ended() error {
	select {
	case <-s.done:
		return fmt.Errorf("memorytest: this handle was closed or killed: %w", fs.ErrClosed)
	default:
		return nil
	}
}

// Commit implements [memory.Store].
func (s *Store) Commit(ctx context.Context, c *memory.Commit) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	news, err := s.data.commitLocked(c)
	s.data.mu.Unlock()
	if news != nil {
		news(c.Run)
	}
	return err
}

// commitLocked returns whom to tell that somebody else has appended to a run
// that is claimed; nil: nobody.
func (d *data) commitLocked(c *memory.Commit) (news func(agent.RunID), err error) {
	if d.erased[c.Run] {
		return nil, fmt.Errorf("memorytest: commit to run %s: %w", c.Run, memory.ErrErased)
	}
	r := d.runs[c.Run]
	if r == nil {
		r = &run{id: c.Run, asks: map[agent.AskID]memory.AskEntry{}}
	}
	if r.last() != c.Base {
		if len(c.Records) > 0 && r.holds(c.Records) {
			return nil, nil
		}
		return nil, fmt.Errorf("memorytest: commit to run %s on record %d %q, but the log ends with %d %q: %w",
			c.Run, c.Base.Seq, c.Base.ID, r.last().Seq, r.last().ID, memory.ErrConflict)
	}
	if c.Claim != "" && (r.claim == nil || r.claim.token != c.Claim) {
		return nil, fmt.Errorf("memorytest: commit to run %s: %w", c.Run, memory.ErrClaimLost)
	}
	d.runs[c.Run] = r
	d.applyLocked(r, c)
	if c.Claim == "" && len(c.Records) > 0 && r.claim != nil {
		news = r.claim.news
	}
	return news, nil
}

// holds reports whether the records are in the log already.
func (r *run) holds(records []memory.Record) bool {
	for _, rec := range records {
		if rec.Seq > int64(len(r.log)) || r.log[rec.Seq-1].ID != rec.ID {
			return false
		}
	}
	return true
}

func (d *data) applyLocked(r *run, c *memory.Commit) {
	for _, rec := range c.Records {
		rec.Time, rec.Data = micro(rec.Time), bytes.Clone(rec.Data)
		r.log = append(r.log, rec)
	}
	if c.Snapshot != nil {
		r.snapshot, r.snapshotAt = bytes.Clone(c.Snapshot), c.Last()
	}
	r.index = c.Index
	r.index.Wake = micro(c.Index.Wake)
	for _, a := range c.Opened {
		a.Opened, a.Due, a.Run = micro(a.Opened), micro(a.Due), r.id
		r.asks[a.ID] = cloneAsk(a)
	}
	for _, id := range c.Closed {
		delete(r.asks, id)
	}
	if c.Progress {
		r.strikes = 0
	}
	if r.claim == nil {
		d.wantLocked(r, r.index.Wake)
	} else {
		d.wantLocked(r, r.want) // the agent may be another
	}
	d.pokeWatchersLocked(r.id)
}

// Read implements [memory.Store].
func (s *Store) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.data.mu.Unlock()
	r := s.data.runs[id]
	if r == nil {
		return nil, fmt.Errorf("memorytest: read run %s: %w", id, s.data.absenceLocked(id))
	}
	l := &memory.Log{Last: r.last()}
	after := max(o.After, 0)
	if o.Snapshot && r.snapshot != nil && r.snapshotAt.Seq >= after {
		l.Snapshot, l.SnapshotAt, after = bytes.Clone(r.snapshot), r.snapshotAt, r.snapshotAt.Seq
	}
	if after < int64(len(r.log)) {
		l.Records = slices.Clone(r.log[after:])
	}
	if o.Limit > 0 && len(l.Records) > o.Limit {
		l.Records = l.Records[:o.Limit]
	}
	for i := range l.Records {
		l.Records[i].Data = bytes.Clone(l.Records[i].Data)
	}
	return l, nil
}

func (d *data) absenceLocked(id agent.RunID) error {
	if d.erased[id] {
		return memory.ErrErased
	}
	return memory.ErrNotFound
}

// PutBlob implements [memory.Store].
func (s *Store) PutBlob(ctx context.Context, id agent.RunID, value []byte) (string, error) {
	if err := memory.CheckRun(id); err != nil {
		return "", err
	}
	if err := s.begin(ctx); err != nil {
		return "", err
	}
	defer s.data.mu.Unlock()
	if s.data.erased[id] {
		return "", fmt.Errorf("memorytest: keep a blob of run %s: %w", id, memory.ErrErased)
	}
	sum := sha256.Sum256(value)
	hash := hex.EncodeToString(sum[:])
	if s.data.blobs[id] == nil {
		s.data.blobs[id] = map[string][]byte{}
	}
	s.data.blobs[id][hash] = bytes.Clone(value)
	return hash, nil
}

// Blob implements [memory.Store].
func (s *Store) Blob(ctx context.Context, id agent.RunID, hash string) ([]byte, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.data.mu.Unlock()
	value, ok := s.data.blobs[id][hash]
	if !ok {
		return nil, fmt.Errorf("memorytest: blob %s of run %s: %w", hash, id, memory.ErrNotFound)
	}
	return bytes.Clone(value), nil
}

// Erase implements [memory.Store].
func (s *Store) Erase(ctx context.Context, id agent.RunID) error {
	if err := memory.CheckRun(id); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.data.mu.Unlock()
	if r := s.data.runs[id]; r != nil {
		s.data.forgetLocked(r)
		delete(s.data.runs, id)
	}
	delete(s.data.blobs, id)
	s.data.erased[id] = true
	s.data.pokeWatchersLocked(id)
	return nil
}

// Close implements [memory.Store].
func (s *Store) Close() error {
	s.end()
	return nil
}

func (s *Store) end() {
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	if s.ended() != nil {
		return
	}
	close(s.done)
	s.data.voidLocked(s.name)
}
