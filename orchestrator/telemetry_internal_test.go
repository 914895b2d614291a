package orchestrator

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Nobody who is told nothing costs nothing: no allocation, and nothing is put
// between the orchestrator and its store.
func TestNobodyToTellCostsNothing(t *testing.T) {
	store := memorytest.NewStore(nil)
	o, err := New(store, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.store != memory.Store(store) || o.tel != nil {
		t.Errorf("the store is a %T, and the telemetry %v", o.store, o.tel)
	}
	spanned := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
	state, job := run.New("r"), &starting{job: run.Job{Kind: run.JobPlan, Attempt: 1}}
	var moved run.Event = &run.Moved{Model: "m", Usage: agent.Usage{Input: 1}}
	var ctx context.Context
	allocs := testing.AllocsPerRun(1000, func() {
		tel := o.tel.follow()
		var g *sight
		ctx, g = tel.job(spanned, state, job)
		g.gave(moved)
		tel.at(state)
		tel.claimLost()
		tel.end()
		if o.tel.sender(spanned) != "" {
			t.Error("there is a sender")
		}
	})
	if allocs != 0 || ctx != spanned {
		t.Errorf("there are %v allocations, and the context is %v", allocs, ctx)
	}
}
