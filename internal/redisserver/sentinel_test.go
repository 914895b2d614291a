package redisserver_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/internal/redisserver"
)

func TestFailover(t *testing.T) {
	t.Parallel()
	s := redisserver.TestSentinel(t, &redisserver.SentinelOptions{
		Servers:   redisserver.Options{Appendfsync: "always", Password: "secret"},
		DownAfter: 3 * time.Second, // a busy machine holds nobody up for so long, and one fail-over is wanted
	})
	ctx := t.Context()
	cl := redis.NewFailoverClient(s.ClientOptions())
	defer cl.Close()
	set(t, cl, "k", "v")
	if n, err := cl.Wait(ctx, 1, 10*time.Second).Result(); n != 1 || err != nil {
		t.Fatalf("%d replicas have the write, %v; want 1", n, err)
	}

	first, err := s.Primary(ctx)
	must(t, err)
	replica, err := s.Replica(ctx)
	must(t, err)
	if first == replica {
		t.Fatal("the primary is its own replica")
	}
	second, err := s.Failover(ctx)
	must(t, err)
	if second != replica || first.Running() {
		t.Errorf("the new primary is %s and the old one runs: %t; want %s, and that it is down", second.Addr(), first.Running(), replica.Addr())
	}
	eventually(t, "the client finds the new primary", func() bool { return cl.Set(ctx, "k2", "v", 0).Err() == nil })
	wantValue(t, cl, "k", "v")

	must(t, first.Restart())
	got, err := s.WaitReplica(ctx)
	must(t, err)
	if got != first {
		t.Errorf("the replica is %s; want the old primary, %s", got.Addr(), first.Addr())
	}
	wantValue(t, client(t, first), "k2", "v")
}

func TestPausedPrimaryIsReplaced(t *testing.T) {
	t.Parallel()
	s := redisserver.TestSentinel(t, &redisserver.SentinelOptions{Servers: redisserver.Options{TLS: true}})
	old, err := s.Primary(t.Context())
	must(t, err)
	must(t, s.Sentinels()[0].Kill()) // two of three are enough
	must(t, old.Pause())
	primary, err := s.WaitFailover(t.Context(), old)
	must(t, err)
	set(t, client(t, primary), "k", "v")
	must(t, old.Resume())
	_, err = s.WaitReplica(t.Context())
	must(t, err)
	wantValue(t, client(t, old), "k", "v")
}
