package orchestratortest

import (
	"context"
	"sync"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// Work makes an orchestrator of these agents and has it work until the test
// ends.
func Work(t testing.TB, store memory.Store, opts *orchestrator.Options, agents ...*agent.Agent) *orchestrator.Orchestrator {
	t.Helper()
	o, err := orchestrator.New(store, agents, opts)
	if err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) {
		if err := o.Work(ctx); err != nil {
			t.Errorf("Work: %v", err)
		}
	})
	return o
}

// background runs f until the test ends, which waits for it.
func background(t testing.TB, f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() { f(ctx) })
	t.Cleanup(func() { // in one, as a crash may come while the test ends
		cancel()
		group.Wait()
	})
}
