package redisserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/internal/redisserver"
)

func clusterClient(t *testing.T, c *redisserver.Cluster) *redis.ClusterClient {
	t.Helper()
	cl := redis.NewClusterClient(c.ClientOptions())
	t.Cleanup(func() { cl.Close() })
	return cl
}

func TestClusterHoldsKeysEverywhere(t *testing.T) {
	t.Parallel()
	c := redisserver.TestCluster(t, 3, nil)
	cl := clusterClient(t, c)
	const keys = 60
	for i := range keys {
		set(t, cl, fmt.Sprint("key", i), "v")
	}
	var total int64
	for _, s := range c.Servers() {
		n, err := client(t, s).DBSize(t.Context()).Result()
		must(t, err)
		if n == 0 {
			t.Errorf("%s holds no key", s.Addr())
		}
		total += n
	}
	if total != keys {
		t.Errorf("the nodes hold %d keys, not %d", total, keys)
	}
}

func TestClusterRestart(t *testing.T) {
	t.Parallel()
	c := redisserver.TestCluster(t, 2, &redisserver.Options{Appendfsync: "always", Dir: t.TempDir()})
	cl := clusterClient(t, c)
	set(t, cl, "k", "v")
	for _, s := range c.Servers() {
		must(t, s.Kill())
		must(t, s.Restart())
	}
	must(t, c.WaitOK(t.Context()))
	wantValue(t, cl, "k", "v")
}

func TestMoveSlot(t *testing.T) {
	t.Parallel()
	c := redisserver.TestCluster(t, 3, &redisserver.Options{Password: "secret", TLS: true})
	ctx, cl := t.Context(), clusterClient(t, c)
	const keys = 5
	key := func(i int) string { return fmt.Sprintf("{tag}%d", i) }
	for i := range keys {
		set(t, cl, key(i), "v")
	}
	slot, err := c.Slot(ctx, "{tag}")
	must(t, err)
	from, err := c.Owner(ctx, slot)
	must(t, err)
	to := (from + 1) % len(c.Servers())
	old := client(t, c.Servers()[from])

	m, err := c.StartMove(ctx, slot, to)
	must(t, err)
	if n, err := m.Keys(ctx, 2); n != 2 || err != nil {
		t.Fatalf("Keys moved %d keys, %v; want 2", n, err)
	}
	asks := 0
	for i := range keys {
		if err := old.Get(ctx, key(i)).Err(); err != nil && strings.HasPrefix(err.Error(), "ASK ") {
			asks++
		}
		wantValue(t, cl, key(i), "v")
	}
	if asks != 2 {
		t.Errorf("the old owner answers %d times with ASK, not 2", asks)
	}

	must(t, m.Finish(ctx))
	if owner, err := c.Owner(ctx, slot); owner != to || err != nil {
		t.Errorf("the owner is node %d, %v; want %d", owner, err, to)
	}
	if err := old.Get(ctx, key(0)).Err(); err == nil || !strings.HasPrefix(err.Error(), "MOVED ") || !strings.HasSuffix(err.Error(), c.Addrs()[to]) {
		t.Errorf("GET from the old owner: %v; want MOVED to %s", err, c.Addrs()[to])
	}
	for i := range keys {
		wantValue(t, cl, key(i), "v")
	}
	must(t, c.MoveSlot(ctx, slot, from))
	must(t, c.MoveSlot(ctx, slot, from))
	wantValue(t, old, key(0), "v")
	must(t, c.WaitOK(ctx))
}

func TestStartClusterSaysWhy(t *testing.T) {
	t.Parallel()
	if _, err := redisserver.StartCluster(0, nil); err == nil {
		t.Error("a cluster of no nodes has started")
	}
	_, err := redisserver.StartCluster(2, &redisserver.Options{Config: []string{"no-such-directive 7"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-directive") {
		t.Errorf("StartCluster with a wrong line: %v; want what redis-server printed", err)
	}
}
