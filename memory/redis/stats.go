package redis

import (
	"context"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/memory"
)

// Stats implements [memory.Store].
func (s *Store) Stats(ctx context.Context) (*memory.Stats, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	pipe := s.client.Pipeline()
	var runs, asks []*goredis.IntCmd
	var names []*goredis.StringSliceCmd
	for n := range s.keys.shards {
		sh := s.keys.shard(n)
		runs, asks = append(runs, pipe.ZCard(ctx, sh.runs())), append(asks, pipe.ZCard(ctx, sh.inbox()))
		names = append(names, pipe.SMembers(ctx, sh.agents()))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, s.fail(ctx, "count", err)
	}
	st := &memory.Stats{Ready: map[string]memory.Ready{}}
	for n := range s.keys.shards {
		st.Runs, st.Asks = st.Runs+runs[n].Val(), st.Asks+asks[n].Val()
	}
	return st, s.fail(ctx, "count", s.ready(ctx, st, names))
}

// ready counts what wants attention.
func (s *Store) ready(ctx context.Context, st *memory.Stats, names []*goredis.StringSliceCmd) error {
	type query struct {
		agent string
		count *goredis.IntCmd
		first *goredis.ZSliceCmd
	}
	now := s.Now()
	until := strconv.FormatInt(now.UnixMicro(), 10)
	pipe := s.client.Pipeline()
	var queries []query
	for n := range s.keys.shards {
		sh := s.keys.shard(n)
		for _, name := range names[n].Val() {
			for _, key := range []string{sh.want(name), sh.suspects(name)} {
				queries = append(queries, query{name, pipe.ZCount(ctx, key, "-inf", until), pipe.ZRangeWithScores(ctx, key, 0, 0)})
			}
		}
	}
	if len(queries) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for _, q := range queries {
		n, first := q.count.Val(), q.first.Val()
		if n == 0 || len(first) == 0 {
			continue
		}
		r := st.Ready[q.agent]
		r.Runs += n
		r.Lag = max(r.Lag, now.Sub(time.UnixMicro(int64(first[0].Score))))
		st.Ready[q.agent] = r
	}
	return nil
}
