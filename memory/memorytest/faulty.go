package memorytest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// ErrInjected is the error of a fault that does not name another.
var ErrInjected = errors.New("a fault that a test has planned")

// Fault is what happens at one commit. The zero value lets it pass.
type Fault struct {
	// At says where it happens; Nowhere lets the commit pass.
	At Moment
	// Err is what the caller is told; nil means [ErrInjected].
	Err error
	// Crash, if set, is called there, for what the death of a process does at
	// this moment, such as [Store.Kill].
	Crash func()
}

// Moment is a place in a commit where a fault may happen.
type Moment int

const (
	Nowhere Moment = iota // no fault
	Before                // nothing is committed, and the caller is told of a failure
	After                 // it is committed, but the caller is told of a failure: the reply is lost
)

// Plan says what happens at the n-th commit, from 1, that a [FaultyStore] is
// asked for. It is called under a lock, in the order of n, and must not call
// the store.
type Plan func(n int, c *memory.Commit) Fault

// At is the plan of a fault at the commits with these numbers.
func At(f Fault, numbers ...int) Plan {
	return func(n int, _ *memory.Commit) Fault {
		if slices.Contains(numbers, n) {
			return f
		}
		return Fault{}
	}
}

// Every is the plan of a fault at each k-th commit.
func Every(k int, f Fault) Plan {
	return func(n int, _ *memory.Commit) Fault {
		if n%k == 0 {
			return f
		}
		return Fault{}
	}
}

// Plans joins plans: the first fault that any of them has for a commit happens.
func Plans(plans ...Plan) Plan {
	return func(n int, c *memory.Commit) Fault {
		for _, p := range plans {
			if f := p(n, c); f.At != Nowhere {
				return f
			}
		}
		return Fault{}
	}
}

// Counts are how often things happened to a [FaultyStore].
type Counts struct {
	Asked   int // commits that were asked for, whatever became of them
	Passed  int // that the plan let pass
	Failed  int // of the others, those that failed before
	Lost    int // and those that took place, or were refused by the store, with the reply lost
	Refused int // calls of any kind that met an outage
}

// FaultyStore is a store whose commits fail as planned. Everything else goes to
// the store within.
type FaultyStore struct {
	within memory.Store

	mu     sync.Mutex
	plan   Plan
	outage error
	counts Counts
}

var _ memory.Store = (*FaultyStore)(nil)

// Faulty makes a store of another one, whose commits fail as planned; a nil
// plan has no faults.
func Faulty(s memory.Store, plan Plan) *FaultyStore { return &FaultyStore{within: s, plan: plan} }

// Plan replaces the plan; nil ends the faults. The numbers of commits go on.
func (s *FaultyStore) Plan(p Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = p
}

// Outage lets all calls fail with err, without reaching the store, until it is
// called with nil. A Watch or a Claim that waits in the store goes on waiting.
func (s *FaultyStore) Outage(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = err
}

// Counts returns what has happened so far.
func (s *FaultyStore) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// up fails during an outage.
func (s *FaultyStore) up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upLocked()
}

func (s *FaultyStore) upLocked() error {
	if s.outage != nil {
		s.counts.Refused++
		return fmt.Errorf("memorytest: outage: %w", s.outage)
	}
	return nil
}

// next draws the fault of the next commit.
func (s *FaultyStore) next(c *memory.Commit) (Fault, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.upLocked(); err != nil {
		return Fault{}, err
	}
	s.counts.Asked++
	var f Fault
	if s.plan != nil {
		f = s.plan(s.counts.Asked, c)
	}
	switch f.At {
	case Before:
		s.counts.Failed++
	case After:
		s.counts.Lost++
	default:
		s.counts.Passed++
	}
	return f, nil
}

func (f Fault) strike() error {
	if f.Crash != nil {
		f.Crash()
	}
	if f.Err != nil {
		return f.Err
	}
	return ErrInjected
}

// Commit implements [memory.Store], with faults.
func (s *FaultyStore) Commit(ctx context.Context, c *memory.Commit) error {
	f, err := s.next(c)
	if err != nil {
		return err
	}
	switch f.At {
	case Before:
		return f.strike()
	case After:
		// What the store says is lost with the reply.
		_ = s.within.Commit(ctx, c)
		return f.strike()
	default:
		return s.within.Commit(ctx, c)
	}
}

// Now implements [memory.Store].
func (s *FaultyStore) Now() time.Time { return s.within.Now() }

// Read implements [memory.Store].
func (s *FaultyStore) Read(ctx context.Context, run agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	if err := s.up(); err != nil {
		return nil, err
	}
	return s.within.Read(ctx, run, o)
}

// Claim implements [memory.Store].
func (s *FaultyStore) Claim(ctx context.Context, r *memory.ClaimRequest) ([]memory.Claim, error) {
	if err := s.up(); err != nil {
		return nil, err
	}
	return s.within.Claim(ctx, r)
}

// Renew implements [memory.Store].
func (s *FaultyStore) Renew(ctx context.Context, lease time.Duration, held []memory.Held) ([]memory.Renewal, error) {
	if err := s.up(); err != nil {
		return nil, err
	}
	return s.within.Renew(ctx, lease, held)
}

// Release implements [memory.Store].
func (s *FaultyStore) Release(ctx context.Context, h memory.Held) error {
	if err := s.up(); err != nil {
		return err
	}
	return s.within.Release(ctx, h)
}

// Watch implements [memory.Store].
func (s *FaultyStore) Watch(ctx context.Context, run agent.RunID) iter.Seq2[memory.Hint, error] {
	return func(yield func(memory.Hint, error) bool) {
		if err := s.up(); err != nil {
			yield(memory.Hint{}, err)
			return
		}
		for h, err := range s.within.Watch(ctx, run) {
			if !yield(h, err) {
				return
			}
		}
	}
}

// Speak implements [memory.Store].
func (s *FaultyStore) Speak(ctx context.Context, run agent.RunID, w memory.Words) error {
	if err := s.up(); err != nil {
		return err
	}
	return s.within.Speak(ctx, run, w)
}

// Runs implements [memory.Store].
func (s *FaultyStore) Runs(ctx context.Context, q memory.RunQuery) (*memory.RunPage, error) {
	if err := s.up(); err != nil {
		return nil, err
	}
	return s.within.Runs(ctx, q)
}

// Asks implements [memory.Store].
func (s *FaultyStore) Asks(ctx context.Context, q memory.AskQuery) (*memory.AskPage, error) {
	if err := s.up(); err != nil {
		return nil, err
	}
	return s.within.Asks(ctx, q)
}

// Stats implements [memory.Store].
func (s *FaultyStore) Stats(ctx context.Context) (*memory.Stats, error) {
	if err := s.up(); err != nil {
		return nil, err
	}
	return s.within.Stats(ctx)
}

// Check implements [memory.Store].
func (s *FaultyStore) Check(ctx context.Context, repair bool) iter.Seq2[memory.Problem, error] {
	return func(yield func(memory.Problem, error) bool) {
		if err := s.up(); err != nil {
			yield(memory.Problem{}, err)
			return
		}
		for p, err := range s.within.Check(ctx, repair) {
			if !yield(p, err) {
				return
			}
		}
	}
}

// PutBlob implements [memory.Store].
func (s *FaultyStore) PutBlob(ctx context.Context, run agent.RunID, data []byte) (string, error) {
	if err := s.up(); err != nil {
		return "", err
	}
	return s.within.PutBlob(ctx, run, data)
}

// Blob implements [memory.Store].
func (s *FaultyStore) Blob(ctx context.Context, run agent.RunID, hash string) ([]byte, error) {
	if err := s.up(); err != nil {
		return nil, err
	}
	return s.within.Blob(ctx, run, hash)
}

// Erase implements [memory.Store].
func (s *FaultyStore) Erase(ctx context.Context, run agent.RunID) error {
	if err := s.up(); err != nil {
		return err
	}
	return s.within.Erase(ctx, run)
}

// Close implements [memory.Store]; it closes the store within.
func (s *FaultyStore) Close() error { return s.within.Close() }
