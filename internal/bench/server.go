package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// server is the Redis server, as it tells of itself.
type server struct{ client *goredis.Client }

// dial connects to the one server at a URL. Its query is for the store, which
// knows more options.
func dial(ctx context.Context, url string) (*server, error) {
	url, _, _ = strings.Cut(url, "?")
	o, err := goredis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("the floor needs a single Redis, at a URL such as redis://localhost:6379: %w", err)
	}
	o.PoolTimeout = time.Minute // thousands of conversations share it
	s := &server{goredis.NewClient(o)}
	if err := s.client.Ping(ctx).Err(); err != nil {
		_ = s.client.Close()
		return nil, fmt.Errorf("the Redis at %s does not answer: %w", o.Addr, err)
	}
	return s, nil
}

// counters are what a server has done since it was started.
type counters struct {
	Reads    int64            // times that something was read from a client: what a client sends at once, mostly, so a round trip
	Commands int64            // executed, those within scripts included
	CPU      time.Duration    // of the server
	Memory   int64            // used now, in bytes
	ByName   map[string]int64 // Commands by name
}

// counters asks for the counters. What it takes itself is not in the difference
// of two of them.
func (s *server) counters(ctx context.Context) (counters, error) {
	text, err := s.client.Info(ctx, "everything").Result()
	if err != nil {
		return counters{}, fmt.Errorf("redis does not tell of itself: %w", err)
	}
	c := counters{ByName: map[string]int64{}}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, _ := strconv.ParseInt(value, 10, 64) // 0 where it is no number
		switch name {
		case "total_reads_processed":
			c.Reads = n
		case "total_commands_processed":
			c.Commands = n
		case "used_memory":
			c.Memory = n
		case "used_cpu_sys", "used_cpu_user":
			seconds, _ := strconv.ParseFloat(value, 64)
			c.CPU += time.Duration(seconds * float64(time.Second))
		}
		if command, ok := strings.CutPrefix(name, "cmdstat_"); ok && command != "info" {
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			c.ByName[command], _ = strconv.ParseInt(calls, 10, 64)
		}
	}
	return c, nil
}

// minus returns what was done between d and c, without the asking itself: the
// second of two INFOs is read before it is answered.
func (c counters) minus(d counters) counters {
	r := counters{
		Reads: c.Reads - d.Reads - 1, Commands: c.Commands - d.Commands - 1, CPU: c.CPU - d.CPU, Memory: c.Memory - d.Memory,
		ByName: map[string]int64{},
	}
	for name, n := range c.ByName {
		if n -= d.ByName[name]; n > 0 {
			r.ByName[name] = n
		}
	}
	return r
}

// names lists the commands of c, per step, the most frequent first.
func (c counters) names(steps int) string {
	names := slices.SortedFunc(maps.Keys(c.ByName), func(a, b string) int { return int(c.ByName[b] - c.ByName[a]) })
	var list []string
	for _, n := range names {
		if per := float64(c.ByName[n]) / float64(steps); per >= 0.005 {
			list = append(list, fmt.Sprintf("%s %.2f", n, per))
		}
	}
	return strings.Join(list, ", ")
}

// kept is how many bytes the keys of both sides take in Redis.
type kept struct{ fermata, floor int64 }

// kept adds up what each key takes, its name and its entry included.
func (s *server) kept(ctx context.Context) (k kept, err error) {
	var cursor uint64
	for {
		keys, next, err := s.client.Scan(ctx, cursor, "", 1000).Result()
		if err != nil {
			return k, fmt.Errorf("list the keys of Redis: %w", err)
		}
		pipe := s.client.Pipeline()
		sizes := make([]*goredis.IntCmd, len(keys))
		for i, key := range keys {
			sizes[i] = pipe.MemoryUsage(ctx, key, 0)
		}
		if _, err := pipe.Exec(ctx); err != nil && err != goredis.Nil {
			return k, fmt.Errorf("ask for the size of keys: %w", err)
		}
		for i, key := range keys {
			if strings.HasPrefix(key, floorPrefix) {
				k.floor += sizes[i].Val()
			} else {
				k.fermata += sizes[i].Val() // 0 for a key that has gone meanwhile
			}
		}
		if cursor = next; cursor == 0 {
			return k, nil
		}
	}
}

// ping measures round trips that do nothing.
func (s *server) ping(ctx context.Context, n int) ([]time.Duration, error) {
	var all []time.Duration
	for range n {
		began := time.Now()
		if err := s.client.Ping(ctx).Err(); err != nil {
			return nil, err
		}
		all = append(all, time.Since(began))
	}
	return all, nil
}

// settled returns the memory that is used once no rewrite of the append-only
// file goes on.
func (s *server) settled(ctx context.Context) (int64, error) {
	for {
		text, err := s.client.Info(ctx, "persistence").Result()
		if err != nil {
			return 0, err
		}
		if !strings.Contains(text, "aof_rewrite_in_progress:1") && !strings.Contains(text, "rdb_bgsave_in_progress:1") {
			break
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return 0, err
		}
	}
	c, err := s.counters(ctx)
	return c.Memory, err
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
