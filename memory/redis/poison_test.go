package redis_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
)

// TestPoison has one run take worker after worker down with it, and whatever else
// they drive. It is quarantined with the reason; its neighbours go on.
func TestPoison(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	client := open(t, srv.URL(), nil)
	h := newHand()
	good := &agent.Agent{Name: "good", Planner: agent.PlannerFunc(func(context.Context, *agent.View, func(agent.Delta)) (*agent.Move, error) {
		return &agent.Move{Message: agent.Said("Done.")}, nil
	})}
	opts := &orchestrator.Options{Lease: time.Second, Grace: -1}
	poison := start(t, client, "bad")
	var neighbours []agent.RunID
	for range 5 {
		for range 3 {
			neighbours = append(neighbours, start(t, client, "good"))
		}
		handle := open(t, srv.URL(), nil)
		orchestratortest.Work(t, handle, opts, desk(t, "bad", h, agent.Idempotent), good)
		if info := soon(t, h.begun, "the call"); info.Run != poison {
			t.Fatalf("the call is of run %s", info.Run)
		}
		must(t, handle.Close()) // what it holds is void, as if its process had died
	}
	orchestratortest.Work(t, open(t, srv.URL(), nil), opts, desk(t, "bad", h, agent.Idempotent), good)
	for _, id := range neighbours {
		becomes(t, client, id, agent.StatusIdle)
	}
	becomes(t, client, poison, agent.StatusStuck)
	if e := entry(t, client, poison); !strings.Contains(e.Index.Reason, "5 workers in a row") || h.made(poison) != 5 {
		t.Errorf("the run is stuck with the reason %q after %d calls", e.Index.Reason, h.made(poison))
	}
}
