package memorytest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
)

func TestStore(t *testing.T) {
	memorytest.Run(t, func(t *testing.T, clock *memorytest.Clock) memorytest.Fixture {
		first := memorytest.NewStore(clock.Now)
		clock.OnAdvance(first.Recheck)
		return memorytest.Fixture{
			Open: func(*testing.T) memory.Store { return first.Another() },
			Kill: func(_ *testing.T, s memory.Store) { s.(*memorytest.Store).Kill() },
		}
	})
}

// The suite itself is sound on real time, also when the clocks of handles are a
// little off.
func TestStoreOnRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for real time")
	}
	t.Parallel()
	memorytest.Run(t, func(t *testing.T, _ *memorytest.Clock) memorytest.Fixture {
		first, off := memorytest.NewStore(nil), 30*time.Millisecond
		return memorytest.Fixture{RealTime: true, Open: func(*testing.T) memory.Store {
			off = -off
			return &skewed{first.Another(), off}
		}}
	})
}

// skewed is a handle whose clock is off.
type skewed struct {
	memory.Store
	by time.Duration
}

func (s *skewed) Now() time.Time { return s.Store.Now().Add(s.by) }

func commit(s memory.Store, run agent.RunID, base memory.Position, id agent.RecordID, wake time.Time) *memory.Commit {
	return &memory.Commit{Run: run, Base: base,
		Records: []memory.Record{{Seq: base.Seq + 1, ID: id, Time: s.Now()}},
		Index:   memory.Index{Agent: "x", Wake: wake}}
}

// In a bubble the store waits by timers alone: a month passes at once.
func TestStoreInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memorytest.NewStore(time.Now)
		start := time.Now()
		if err := s.Commit(t.Context(), commit(s, "r1", memory.Position{}, "a", s.Now().Add(30*24*time.Hour))); err != nil {
			t.Fatal(err)
		}
		r := &memory.ClaimRequest{Agents: []string{"x"}, Lease: time.Minute, Wait: 365 * 24 * time.Hour}
		claims, err := s.Claim(t.Context(), r)
		if err != nil || len(claims) != 1 || time.Since(start) != 30*24*time.Hour {
			t.Fatalf("claimed %v (%v) after %v, want r1 after 30 days", claims, err, time.Since(start))
		}
		claims, err = s.Another().Claim(t.Context(), r) // the lease ends
		if err != nil || len(claims) != 1 || claims[0].Strikes != 1 || time.Since(start) != 30*24*time.Hour+time.Minute {
			t.Fatalf("claimed %v (%v) after %v, want r1 a minute later", claims, err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		hints := 0
		for _, err := range s.Watch(ctx, "r1") {
			if err != nil {
				t.Fatal(err)
			}
			hints++
		}
		if hints < 3 {
			t.Fatalf("%d hints in ten seconds, want one each few seconds", hints)
		}
	})
}

// A waiting claim that takes nothing over does not look again and again at a run
// whose claim has lapsed: in the bubble the clock would stand still.
func TestNoTakeOverWaitsInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := memorytest.NewStore(time.Now), time.Now()
		if err := s.Commit(t.Context(), commit(s, "r1", memory.Position{}, "a", s.Now())); err != nil {
			t.Fatal(err)
		}
		r := &memory.ClaimRequest{Agents: []string{"x"}, Lease: time.Minute, NoTakeOver: true}
		if claims, err := s.Claim(t.Context(), r); err != nil || len(claims) != 1 {
			t.Fatalf("claimed %v (%v), want r1", claims, err)
		}
		r.Wait = time.Hour
		claims, err := s.Another().Claim(t.Context(), r)
		if err != nil || len(claims) != 0 || time.Since(start) != time.Hour {
			t.Fatalf("claimed %v (%v) after %v, want nothing after an hour", claims, err, time.Since(start))
		}
	})
}
