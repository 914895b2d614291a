package main

import (
	"context"
	"errors"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/sqlite"
)

// inStore opens a script's store.
func inStore(ts *testscript.TestScript, args []string, n int, do func(ctx context.Context, s memory.Store)) {
	if len(args) != n {
		ts.Fatalf("want %d arguments, the first of them a store", n)
	}
	store, err := sqlite.Open(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	defer store.Close()
	do(context.Background(), store)
}

// begin puts a run into a store that has waited for a worker for long.
func begin(ts *testscript.TestScript, s memory.Store, id agent.RunID, name, data string) {
	at := time.Now().Add(-100 * time.Hour)
	ts.Check(s.Commit(context.Background(), &memory.Commit{
		Run: id, Index: memory.Index{Agent: name, Status: agent.StatusPlanning, Wake: at},
		Records: []memory.Record{{Seq: 1, ID: "a", Time: at, Data: []byte(data)}},
	}))
}

// stranger starts a run of an agent that no worker has: stranger file agent
func stranger(ts *testscript.TestScript, neg bool, args []string) {
	inStore(ts, args, 2, func(_ context.Context, s memory.Store) {
		begin(ts, s, "stranger", args[1], `{"v":1,"kind":"started","event":{"agent":"`+args[1]+`","bare":true}}`)
	})
}

// unreadable puts a run into a store that a newer program wrote: unreadable file
func unreadable(ts *testscript.TestScript, neg bool, args []string) {
	inStore(ts, args, 1, func(_ context.Context, s memory.Store) {
		begin(ts, s, "newer", "desk", `{"v":99,"kind":"started","event":{}}`)
	})
}

// disturb has a store's lists say that all runs are done: disturb file
func disturb(ts *testscript.TestScript, neg bool, args []string) {
	inStore(ts, args, 1, func(ctx context.Context, s memory.Store) {
		page, err := s.Runs(ctx, memory.RunQuery{})
		ts.Check(err)
		for _, e := range page.Runs {
			log, err := s.Read(ctx, e.Run, memory.ReadOptions{})
			ts.Check(err)
			e.Index.Status = agent.StatusDone
			ts.Check(s.Commit(ctx, &memory.Commit{Run: e.Run, Base: log.Last, Index: e.Index}))
		}
	})
}

// gone waits until a run is erased: gone file run
func gone(ts *testscript.TestScript, neg bool, args []string) {
	inStore(ts, args, 2, func(ctx context.Context, s memory.Store) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		for range s.Watch(ctx, agent.RunID(args[1])) {
			if _, err := s.Read(ctx, agent.RunID(args[1]), memory.ReadOptions{}); errors.Is(err, memory.ErrErased) {
				return
			}
		}
		ts.Fatalf("run %s is still there", args[1])
	})
}
