package memorytest_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
)

// A faulty store without a plan is a store.
func TestFaultyStore(t *testing.T) {
	memorytest.Run(t, func(t *testing.T, clock *memorytest.Clock) memorytest.Fixture {
		first := memorytest.NewStore(clock.Now)
		clock.OnAdvance(first.Recheck)
		return memorytest.Fixture{Open: func(*testing.T) memory.Store { return memorytest.Faulty(first.Another(), nil) }}
	})
}

func TestFaults(t *testing.T) {
	ctx, within := t.Context(), memorytest.NewStore(nil)
	worker := within.Another()
	own := errors.New("the disk is on fire")
	s := memorytest.Faulty(worker, memorytest.Plans(
		memorytest.At(memorytest.Fault{At: memorytest.Before}, 1),
		memorytest.At(memorytest.Fault{At: memorytest.After, Err: own}, 1, 2),
		memorytest.At(memorytest.Fault{At: memorytest.After, Crash: worker.Kill}, 4),
		memorytest.Every(5, memorytest.Fault{At: memorytest.Before}),
	))
	length := func() int64 {
		log, err := within.Read(ctx, "r1", memory.ReadOptions{})
		if errors.Is(err, memory.ErrNotFound) {
			return 0
		} else if err != nil {
			t.Fatal(err)
		}
		return log.Last.Seq
	}
	expect := func(what string, err, want error, records int64) {
		t.Helper()
		if !errors.Is(err, want) || length() != records {
			t.Fatalf("%s: got the error %v and %d records, want %v and %d", what, err, length(), want, records)
		}
	}
	first := commit(within, "r1", memory.Position{}, "a", time.Time{})
	second := commit(within, "r1", first.Last(), "b", time.Time{})
	expect("fails before", s.Commit(ctx, first), memorytest.ErrInjected, 0)
	expect("fails after", s.Commit(ctx, first), own, 1)
	expect("is repeated", s.Commit(ctx, first), nil, 1)

	down := errors.New("no route")
	s.Outage(down)
	expect("meets an outage", s.Commit(ctx, second), down, 1)
	if _, err := s.Read(ctx, "r1", memory.ReadOptions{}); !errors.Is(err, down) {
		t.Fatalf("Read during an outage: %v", err)
	}
	if _, err := s.Stats(ctx); !errors.Is(err, down) {
		t.Fatalf("Stats during an outage: %v", err)
	}
	for _, err := range s.Check(ctx, false) {
		if !errors.Is(err, down) {
			t.Fatalf("Check during an outage: %v", err)
		}
	}
	s.Outage(nil)
	expect("crashes after", s.Commit(ctx, second), memorytest.ErrInjected, 2)
	expect("is the fifth", s.Commit(ctx, second), memorytest.ErrInjected, 2)
	expect("comes after a crash", s.Commit(ctx, second), fs.ErrClosed, 2)
	want := memorytest.Counts{Asked: 6, Passed: 2, Failed: 2, Lost: 2, Refused: 4}
	if got := s.Counts(); got != want {
		t.Fatalf("counts are %+v, want %+v", got, want)
	}
}
