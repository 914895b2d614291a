package orchestrator_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Two workers with stores of their own, over one file and over one Redis: signals and
// waits come in any order, each signal twice from two sides, and some runs are called
// off while signals are on their way to them. Each signal is taken once or kept, and
// whoever goes on gets one.
func TestPostsOverRealStores(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "t.db")
		postAndWait(t, func() (memory.Store, error) { return sqlite.Open(path, nil) })
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := redisserver.Test(t, nil)
		postAndWait(t, func() (memory.Store, error) { return redis.Open(t.Context(), server.URL(), nil) })
	})
}

func postAndWait(t *testing.T, open func() (memory.Store, error)) {
	const keys, each = 6, 8
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	client := func(work bool) (memory.Store, *orchestrator.Orchestrator) {
		store, err := open()
		must(err)
		t.Cleanup(func() { must(store.Close()) })
		if work {
			return store, orchestratortest.Work(t, store, nil, waiter())
		}
		o, err := orchestrator.New(store, nil, nil)
		must(err)
		return store, o
	}
	_, one := client(true)
	_, two := client(true)
	store, three := client(false)
	sides := []*orchestrator.Orchestrator{one, two, three}

	var group sync.WaitGroup
	var mu sync.Mutex
	var goOn []agent.RunID
	off := map[agent.RunID]bool{}
	for k := range keys {
		key := fmt.Sprint(k)
		for i := range each {
			group.Go(func() {
				id, err := three.Start(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text(key)})
				if err != nil {
					t.Error(err)
					return
				}
				cancelled := i%4 == 3
				mu.Lock()
				off[id] = cancelled
				if !cancelled {
					goOn = append(goOn, id)
				}
				mu.Unlock()
				if cancelled {
					if _, err := three.Await(ctx, id); err != nil {
						t.Error(err)
					}
					_ = sides[rand.N(3)].Cancel(ctx, id, "enough", nil) // it may have ended
				}
			})
			for _, o := range []*orchestrator.Orchestrator{sides[i%3], sides[(i+1)%3]} {
				group.Go(func() {
					if err := o.Post(ctx, "paid", key, raw(fmt.Sprintf(`"%d/%d"`, k, i)), &orchestrator.PostInput{ID: fmt.Sprint(i)}); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	group.Wait()
	for _, id := range goOn {
		for ev, err := range three.Watch(ctx, id, nil) {
			must(err)
			if ev.Status == agent.StatusIdle && ev.State.Turn.N > 0 {
				break
			}
		}
	}
	for k := range keys { // until all that was on its way has come to rest
		for ev, err := range three.Watch(ctx, mailbox(fmt.Sprint(k), 0), nil) {
			must(err)
			if len(ev.State.Outbox)+len(ev.State.Mailbox.Waiting) == 0 && ev.State.Seq == endOf(t, store, ev.Run) {
				break
			}
		}
	}
	seen := map[string]int{}
	for id := range off {
		for _, e := range orchestratortest.Find[*run.Mailed](orchestratortest.ReadLog(t, store, id)) {
			seen[string(e.Data)]++
		}
	}
	for k := range keys {
		s := orchestratortest.ReadLog(t, store, mailbox(fmt.Sprint(k), 0)).State
		for _, p := range s.Mailbox.Kept {
			seen[string(p.Data)]++
		}
		for _, l := range s.Outbox { // to one that was called off, and told so late that it waited
			for _, g := range l.Posts {
				seen[string(g.Post.Data)]++
			}
		}
	}
	for data, n := range seen {
		if n != 1 {
			t.Errorf("the signal %s is taken or kept %d times", data, n)
		}
	}
	if len(seen) != keys*each {
		t.Errorf("%d signals are taken or kept, and %d were posted", len(seen), keys*each)
	}
	for p, err := range three.Check(ctx, false) {
		t.Errorf("run %s: %s (%v)", p.Run, p.What, err)
	}
}

// endOf returns the number of a run's last record.
func endOf(t *testing.T, store memory.Store, id agent.RunID) int64 {
	t.Helper()
	log, err := store.Read(t.Context(), id, memory.ReadOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return log.Last.Seq
}
