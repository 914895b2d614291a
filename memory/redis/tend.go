package redis

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/sourcegraph/conc"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

const (
	tendEvery = 5 * time.Second // how often a tender takes a step
	tendKeys  = 200             // how many keys a step goes on by
)

// A tender walks slowly over all runs, as long as the store claims some, and puts
// the lists in order that follow from them: a run whose list was lost would be
// silent until somebody repairs the store. It is Check with repair, but for what
// cannot be mended, and for logs. What fails is tried again when the walk comes
// round.
type tender struct {
	s     *Store
	every time.Duration
	once  sync.Once
	work  conc.WaitGroup

	turn    int               // of the nodes, which are served one after the other
	cursors map[string]uint64 // how far the walk has come on each
}

func newTender(s *Store) *tender {
	return &tender{s: s, every: tendEvery, cursors: map[string]uint64{}}
}

// begin begins the walk, once.
func (t *tender) begin() {
	t.once.Do(func() {
		if t.s.life.Err() == nil {
			t.work.Go(t.walk)
		}
	})
}

// close waits for the end of the walk, which comes with the store's.
func (t *tender) close() {
	t.once.Do(func() {})
	t.work.Wait()
}

func (t *tender) walk() {
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-t.s.life.Done():
			return
		case <-tick.C:
			t.s.hub.confirm()
			t.step(t.s.life)
		}
	}
}

// step mends some runs of one node.
func (t *tender) step(ctx context.Context) {
	nodes := t.s.nodes(ctx)
	if len(nodes) == 0 {
		return
	}
	t.turn++
	node := nodes[t.turn%len(nodes)]
	pattern := globQuote.Replace(t.s.keys.prefix) + "{f*}:run:*"
	keys, next, err := node.Scan(ctx, t.cursors[node.name], pattern, tendKeys).Result()
	if err != nil {
		return
	}
	t.cursors[node.name] = next
	var runs []agent.RunID
	for _, key := range keys {
		if _, run, ok := strings.Cut(strings.TrimPrefix(key, t.s.keys.prefix), "}:run:"); ok {
			runs = append(runs, agent.RunID(run))
		}
	}
	c := &checker{s: t.s, repair: true, yield: func(memory.Problem, error) bool { return true }}
	_ = c.mend(ctx, runs)
}

// node is a server that has keys.
type node struct {
	goredis.Cmdable
	name string
}

// nodes returns the servers that have keys: one, or all masters of a Cluster; none
// if they are not known now.
func (s *Store) nodes(ctx context.Context) (all []node) {
	cluster, ok := s.client.(*goredis.ClusterClient)
	if !ok {
		return []node{{s.client, ""}}
	}
	var mu sync.Mutex
	_ = cluster.ForEachMaster(ctx, func(_ context.Context, c *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, node{c, c.Options().Addr})
		return nil
	})
	slices.SortFunc(all, func(a, b node) int { return strings.Compare(a.name, b.name) })
	return all
}
