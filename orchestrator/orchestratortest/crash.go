package orchestratortest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
)

// CrashEverywhere plays a scenario again and again: once undisturbed, and then,
// for each commit of its worker, once with the worker killed just before that
// commit takes place, and once with it killed just after, before it learns of it.
// Another worker takes over, and the scenario checks that the end is as it should
// be. Each time is a subtest of its own, in a bubble of testing/synctest, with an
// empty store; when the scenario has returned, the log of each of its runs is
// checked as [ReadLog] does.
//
//	orchestratortest.CrashEverywhere(t, func(t *testing.T, w *orchestratortest.World) {
//		w.Work(desk(shop))
//		id, err := w.Client.Start(t.Context(), orchestrator.Request{…})
//		res, err := w.Client.Await(t.Context(), id)
//		if w.Crashed() { … } // a begun Once call may have an unknown outcome, and a person is asked
//		...
//	})
//
// What a tool is doing when its worker is killed goes on, as a request does that
// is on its way; what it gives is lost.
func CrashEverywhere(t *testing.T, scenario func(t *testing.T, w *World)) {
	commits := 0
	t.Run("undisturbed", func(t *testing.T) { commits = play(t, memorytest.Fault{}, 0, scenario) })
	if commits == 0 && !t.Failed() {
		t.Fatal("the worker of the scenario has committed nothing: was World.Work called?")
	}
	for n := 1; n <= commits; n++ {
		t.Run(fmt.Sprintf("before commit %d", n), func(t *testing.T) { play(t, memorytest.Fault{At: memorytest.Before}, n, scenario) })
		t.Run(fmt.Sprintf("after commit %d", n), func(t *testing.T) { play(t, memorytest.Fault{At: memorytest.After}, n, scenario) })
	}
}

// play plays a scenario with a fault at the n-th commit of its worker, and
// returns how many commits that worker asked for.
func play(t *testing.T, fault memorytest.Fault, n int, scenario func(*testing.T, *World)) (commits int) {
	synctest.Test(t, func(t *testing.T) {
		store := memorytest.NewStore(nil)
		client, err := orchestrator.New(store, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &World{Client: client, Store: store, t: t, handle: store.Another()}
		fault.Crash = w.crash
		w.doomed = memorytest.Faulty(w.handle, memorytest.At(fault, n))
		scenario(t, w)
		w.checkLogs()
		commits = w.doomed.Counts().Asked
	})
	return commits
}

// World is where a scenario of [CrashEverywhere] plays.
type World struct {
	// Client is a process that drives nothing and is never killed: it starts,
	// answers and watches.
	Client *orchestrator.Orchestrator
	Store  *memorytest.Store // the client's

	t       *testing.T
	handle  *memorytest.Store // the worker's, which is killed
	doomed  *memorytest.FaultyStore
	agents  []*agent.Agent
	crashed atomic.Bool
}

// Crashed reports whether the worker has been killed.
func (w *World) Crashed() bool { return w.crashed.Load() }

// Work begins the worker: call it once, and before anything else. When the
// worker is killed, another one with the same agents comes up.
func (w *World) Work(agents ...*agent.Agent) {
	w.agents = agents
	Work(w.t, w.doomed, nil, agents...)
}

// crash kills the worker.
func (w *World) crash() {
	w.crashed.Store(true)
	w.handle.Kill()
	Work(w.t, w.Store.Another(), nil, w.agents...)
}

func (w *World) checkLogs() {
	page, err := w.Store.Runs(context.Background(), memory.RunQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range page.Runs {
		ReadLog(w.t, w.Store, r.Run)
	}
}
