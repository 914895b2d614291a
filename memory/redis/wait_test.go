package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
)

// acts is a step on the strength of which something happens.
func acts(s memory.Store, run agent.RunID, base memory.Position) *memory.Commit {
	c := step(s, run, base, 1)
	c.Acts = true
	return c
}

// unsure checks that err says that a commit is not known to be kept, in about the
// time that it may take.
func unsure(t *testing.T, err error, took, most time.Duration) {
	t.Helper()
	is(t, err, nil, "replicas")
	for _, known := range []error{memory.ErrConflict, memory.ErrClaimLost, memory.ErrFull, memory.ErrCorrupt} {
		if errors.Is(err, known) {
			t.Errorf("got %v, which says that nothing took place", err)
		}
	}
	if took < most || took > most+3*time.Second {
		t.Errorf("it took %v, want about %v", took, most)
	}
}

// replicated starts a primary with a replica that is in step.
func replicated(t *testing.T) (primary, replica *redisserver.Server) {
	primary, replica = redisserver.Test(t, nil), redisserver.Test(t, nil)
	host, port := hostPort(t, primary)
	p, r := admin(t, primary), admin(t, replica)
	must(t, r.Do(t.Context(), "REPLICAOF", host, port).Err())
	until(t, "the replica is in step", func() bool { return p.Wait(t.Context(), 1, time.Second).Val() == 1 })
	return primary, replica
}

func TestWaitsForReplicas(t *testing.T) {
	t.Parallel()
	primary, replica := replicated(t)
	c, r := admin(t, primary), admin(t, replica)
	const most = 200 * time.Millisecond
	s := open(t, primary.URL()+"?replicas=1&wait_timeout=200ms", nil)
	slow := open(t, primary.URL()+"?replicas=1&wait_timeout=3500ms", nil) // longer than the client waits for other replies
	try := func(s memory.Store, m *memory.Commit) (time.Duration, error) {
		begun := time.Now()
		err := s.Commit(t.Context(), m)
		return time.Since(begun), err
	}

	first := acts(s, "r1", memory.Position{})
	must(t, slow.Commit(t.Context(), first))
	if n := r.LLen(t.Context(), redis.Key("log", "r1")).Val(); n != 1 {
		t.Errorf("the replica has %d records when the commit has returned, want 1", n)
	}
	must(t, c.ScriptFlush(t.Context()).Err())
	base := first.Last()

	must(t, replica.Pause())
	must(t, s.Commit(t.Context(), step(s, "r2", memory.Position{}, 1))) // nothing happens upon it
	next := acts(s, "r1", base)
	took, err := try(s, next)
	unsure(t, err, took, most)
	ends(t, s, "r1", next.Last()) // it took place, and is not known to last
	took, err = try(s, next)      // the same again, which writes nothing, waits like the first time
	unsure(t, err, took, most)
	took, err = try(slow, next)
	unsure(t, err, took, 3500*time.Millisecond)

	must(t, replica.Resume())
	must(t, c.ConfigSet(t.Context(), "maxmemory", "1").Err())
	_, err = try(slow, next)
	is(t, err, nil, "it took place", "OOM")
	if errors.Is(err, memory.ErrFull) {
		t.Errorf("a commit that took place fails with %v, which says that it did not", err)
	}
	must(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err())
	until(t, "the same commit is found done, and kept", func() bool { return s.Commit(t.Context(), next) == nil })
	ends(t, s, "r1", next.Last())
	if n := r.LLen(t.Context(), redis.Key("log", "r1")).Val(); n != 2 {
		t.Errorf("the replica has %d records, want 2", n)
	}
	is(t, slow.Commit(t.Context(), acts(s, "r1", base)), memory.ErrConflict)
}

func TestFsyncNeedsServer(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, &redisserver.Options{Appendfsync: "everysec"})
	s, err := redis.Open(t.Context(), srv.URL()+"?fsync=true", nil)
	if err != nil { // the server is older
		is(t, err, nil, "WAITAOF", "7.2")
		return
	}
	must(t, s.Commit(t.Context(), acts(s, "r1", memory.Position{})))
	must(t, s.Close())
}

// TestMovedSlot moves the slot of a run to another node under a store that waits
// for replicas, which it asks of one node; here there are none.
func TestMovedSlot(t *testing.T) {
	t.Parallel()
	c := redisserver.TestCluster(t, 3, nil)
	const most = 50 * time.Millisecond
	s := open(t, clusterURL(c)+"?shards=1", &redis.Options{Replicas: 1, WaitTimeout: most})
	plain := open(t, clusterURL(c), nil)
	slot, err := c.Slot(t.Context(), shard+"run:r1")
	must(t, err)
	base := begin(t, plain, "r1")
	hints, claimed := watch(t, plain, "r1"), claims(t, plain)
	sees(t, hints, base)
	mine := soon(t, claimed, "the claim")
	for range 2 {
		owner, err := c.Owner(t.Context(), slot)
		must(t, err)
		must(t, c.MoveSlot(t.Context(), slot, (owner+1)%3))
		next := acts(s, "r1", base)
		next.Claim = mine.Token
		begun := time.Now()
		unsure(t, s.Commit(t.Context(), next), time.Since(begun), 0)
		base = next.Last()
		ends(t, plain, "r1", base)
		sees(t, hints, base)
		must(t, plain.Release(t.Context(), held(mine)))
		wakes := step(plain, "r1", base, 1)
		wakes.Index.Wake = plain.Now().Add(-time.Second)
		must(t, plain.Commit(t.Context(), wakes))
		base = wakes.Last()
		mine = soon(t, claimed, "the claim after the move")
	}
	until(t, "news come on the new node", func() bool {
		next := step(plain, "r1", base, 1)
		must(t, plain.Commit(t.Context(), next))
		base = next.Last()
		begun := time.Now()
		sees(t, hints, base)
		return time.Since(begun) < faster/2
	})
}
