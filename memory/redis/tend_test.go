package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
)

// TestTender deletes every list while runs wait in them, and has a claim that
// waits get them all the same.
func TestTender(t *testing.T) {
	t.Parallel()
	t.Run("on one server", func(t *testing.T) {
		t.Parallel()
		srv := redisserver.Test(t, nil)
		tended(t, srv.URL(), []*redisserver.Server{srv})
	})
	t.Run("on a cluster", func(t *testing.T) {
		t.Parallel()
		c := redisserver.TestCluster(t, 3, nil)
		tended(t, clusterURL(c), c.Servers())
	})
}

func tended(t *testing.T, url string, servers []*redisserver.Server) {
	s := open(t, url, &redis.Options{Shards: 6})
	redis.TendEvery(s, time.Millisecond)
	var want []agent.RunID
	for i := range 250 { // more than one step takes
		want = append(want, agent.RunID(fmt.Sprintf("r%03d", i)))
		begin(t, s, want[i])
	}
	suspect, dies := want[0], open(t, url, nil)
	take(t, dies, suspect, lease(time.Millisecond))
	pass(t, s, 5*time.Millisecond)
	take(t, dies, suspect)
	must(t, dies.Close())
	resting := step(s, "rests", memory.Position{}, 1)
	must(t, s.Commit(t.Context(), resting))
	var clients []*goredis.Client
	for _, srv := range servers {
		c := admin(t, srv)
		clients = append(clients, c)
		keys, err := c.Keys(t.Context(), "*").Result()
		must(t, err)
		for _, key := range keys {
			_, name, _ := strings.Cut(key, "}:")
			if kind, _, _ := strings.Cut(name, ":"); slices.Contains([]string{"want", "suspects", "runs", "inbox", "agents"}, kind) {
				must(t, c.Del(t.Context(), key).Err())
			}
		}
	}
	if got, err := s.Claim(t.Context(), request()); err != nil || len(got) != 0 {
		t.Fatalf("claimed %v (%v) with no lists", got, err)
	}
	var got []agent.RunID
	for len(got) < len(want)-1 {
		claimed, err := s.Claim(t.Context(), request(wait))
		must(t, err)
		if len(claimed) == 0 {
			t.Fatalf("claimed %d runs after %v, want %d", len(got), patience, len(want)-1)
		}
		got = append(got, runsOf(claimed)...)
	}
	slices.Sort(got)
	if fmt.Sprint(got) != fmt.Sprint(want[1:]) {
		t.Errorf("claimed %v, want all but the suspect", got)
	}
	until(t, "the suspect is there", func() bool {
		claimed, err := s.Claim(t.Context(), request(func(r *memory.ClaimRequest) { r.Suspects = true }))
		must(t, err)
		return fmt.Sprint(runsOf(claimed)) == fmt.Sprint([]agent.RunID{suspect})
	})
	until(t, "check finds nothing any more", func() bool { return len(problems(t, s, false)) == 0 })
	stats, err := s.Stats(t.Context())
	must(t, err)
	if stats.Runs != int64(len(want)+1) || stats.Asks != int64(len(want)) {
		t.Errorf("counted %d runs and %d asks, want %d and %d", stats.Runs, stats.Asks, len(want)+1, len(want))
	}

	// It ends with the store.
	must(t, s.Close())
	walked := func() (n string) {
		for _, c := range clients {
			info, err := c.InfoMap(t.Context(), "commandstats").Result()
			must(t, err)
			n += info["Commandstats"]["cmdstat_scan"] + "\n"
		}
		return n
	}
	before, since := walked(), time.Now()
	until(t, "20 steps would have been taken", func() bool { return time.Since(since) > 20*time.Millisecond })
	if after := walked(); after != before {
		t.Errorf("it goes on when the store is closed: %s, and then %s", before, after)
	}
}

// TestTenderOutlivesAnOutage has the server be away for a while.
func TestTenderOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, &redisserver.Options{Appendfsync: "always"})
	s, c := open(t, srv.URL(), nil), admin(t, srv)
	redis.TendEvery(s, time.Millisecond)
	claimed := claims(t, s)
	must(t, srv.Kill())
	must(t, srv.Restart())
	other := open(t, srv.URL(), nil)
	later := full(other, "r1", memory.Position{})
	later.Index.Wake = other.Now().Add(300 * time.Millisecond)
	must(t, other.Commit(t.Context(), later))
	must(t, c.Del(t.Context(), redis.Key("want", "r1")[:strings.LastIndexByte(redis.Key("want", "r1"), ':')]+":x").Err())
	if got := soon(t, claimed, "a claim"); got.Run != "r1" {
		t.Errorf("claimed %+v, want r1", got)
	}
}
