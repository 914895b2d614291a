package redis_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
)

// writes are all calls that write, on a store where r1 was begun, and claimed as
// mine, r2 wants attention, and r3 rests.
func writes(s memory.Store, p map[agent.RunID]memory.Position, mine memory.Claim) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"a commit that creates a run": func(ctx context.Context) error { return s.Commit(ctx, full(s, "new", memory.Position{})) },
		"a commit": func(ctx context.Context) error {
			c := full(s, "r1", p["r1"])
			c.Claim, c.Progress = mine.Token, true
			return s.Commit(ctx, c)
		},
		"a commit that gives the run to another agent": func(ctx context.Context) error {
			c := full(s, "r1", p["r1"])
			c.Index.Agent = "y"
			return s.Commit(ctx, c)
		},
		"a commit that closes asks": func(ctx context.Context) error {
			asks, err := s.Asks(ctx, memory.AskQuery{Run: "r3"})
			if err != nil || len(asks.Asks) != 1 {
				return fmt.Errorf("the asks of r3 are %v (%v)", asks, err)
			}
			c := step(s, "r3", p["r3"], 1)
			c.Closed = []agent.AskID{asks.Asks[0].ID}
			return s.Commit(ctx, c)
		},
		"a commit without records": func(ctx context.Context) error {
			c := full(s, "r2", p["r2"])
			c.Records, c.Snapshot = nil, nil
			return s.Commit(ctx, c)
		},
		"a claim": func(ctx context.Context) error { _, err := s.Claim(ctx, request()); return err },
		"a renewal": func(ctx context.Context) error {
			_, err := s.Renew(ctx, time.Minute, []memory.Held{held(mine)})
			return err
		},
		"a blob": func(ctx context.Context) error { _, err := s.PutBlob(ctx, "r1", []byte("blob")); return err },
		"erase":  func(ctx context.Context) error { return s.Erase(ctx, "r3") },
		"an answer": func(ctx context.Context) error {
			return s.Speak(ctx, "r1", memory.Words{Attempt: "a", Data: []byte("words")})
		},
	}
}

// prepare makes the runs of writes, and claims r1.
func prepare(t *testing.T, s *redis.Store) (map[agent.RunID]memory.Position, memory.Claim) {
	p := map[agent.RunID]memory.Position{}
	for _, run := range []agent.RunID{"r1", "r2"} {
		p[run] = begin(t, s, run)
	}
	rests := full(s, "r3", memory.Position{})
	rests.Index.Wake = time.Time{}
	must(t, s.Commit(t.Context(), rests))
	p["r3"] = rests.Last()
	return p, take(t, s, "r1")
}

// reads checks that all can be read.
func reads(t *testing.T, s memory.Store, p map[agent.RunID]memory.Position) {
	t.Helper()
	for run, last := range p {
		ends(t, s, run, last)
	}
	page, err := s.Runs(t.Context(), memory.RunQuery{})
	must(t, err)
	asks, err := s.Asks(t.Context(), memory.AskQuery{})
	must(t, err)
	stats, err := s.Stats(t.Context())
	must(t, err)
	if len(page.Runs) != len(p) || len(asks.Asks) != len(p) || stats.Runs != int64(len(p)) {
		t.Errorf("listed are %d runs and %d asks, counted %d, want %d each", len(page.Runs), len(asks.Asks), stats.Runs, len(p))
	}
	for h, err := range s.Watch(t.Context(), "r1") {
		must(t, err)
		if h.Last != p["r1"] {
			t.Errorf("a watcher is told the end %+v, want %+v", h.Last, p["r1"])
		}
		break
	}
}

func TestFullServer(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, &redisserver.Options{Config: []string{"maxmemory-policy noeviction"}})
	s, c := open(t, srv.URL(), nil), admin(t, srv)
	p, mine := prepare(t, s)
	before := dump(t, c)
	must(t, c.ConfigSet(t.Context(), "maxmemory", "1").Err())
	for what, write := range writes(s, p, mine) {
		if err := write(t.Context()); !errors.Is(err, memory.ErrFull) {
			t.Errorf("%s on a full server: got the error %v, want %v", what, err, memory.ErrFull)
		}
	}
	unchanged(t, c, before)
	reads(t, s, p)
	again := open(t, srv.URL(), nil) // a store that is there needs no room to open
	reads(t, again, p)
	if found := problems(t, s, false); len(found) > 0 {
		t.Errorf("check finds %v", found)
	}
	must(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err())
	all := writes(s, p, mine)
	for what, write := range all {
		if what == "erase" {
			continue // last, as another needs the run
		}
		if err := write(t.Context()); err != nil && !errors.Is(err, memory.ErrConflict) { // two of them have one base
			t.Errorf("%s when there is room again: %v", what, err)
		}
	}
	must(t, all["erase"](t.Context()))
}

func TestReplicaTakesNoWrites(t *testing.T) {
	t.Parallel()
	srv, other := redisserver.Test(t, nil), redisserver.Test(t, nil)
	s, c := open(t, srv.URL(), nil), admin(t, srv)
	p, mine := prepare(t, s)
	before := dump(t, c)
	must(t, c.ConfigSet(t.Context(), "repl-diskless-load", "disabled").Err())
	must(t, other.Kill()) // its primary does not answer, so its data stay
	host, port := hostPort(t, other)
	must(t, c.Do(t.Context(), "REPLICAOF", host, port).Err())
	for what, write := range writes(s, p, mine) {
		err := write(t.Context())
		if err == nil {
			t.Errorf("%s on a replica succeeded", what)
			continue
		}
		is(t, err, nil, "replica", "primary")
		for _, known := range []error{memory.ErrConflict, memory.ErrClaimLost, memory.ErrFull, memory.ErrCorrupt} {
			if errors.Is(err, known) {
				t.Errorf("%s on a replica: %v", what, err)
			}
		}
	}
	unchanged(t, c, before)
	reads(t, s, p)
	reads(t, open(t, srv.URL(), nil), p)
	_, err := redis.Open(t.Context(), srv.URL(), &redis.Options{Prefix: "new:"})
	is(t, err, nil, "replica", "primary")
	must(t, c.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	next := step(s, "r1", p["r1"], 1)
	next.Claim = mine.Token
	must(t, s.Commit(t.Context(), next))
	ends(t, s, "r1", next.Last())
}
