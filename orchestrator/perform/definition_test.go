package perform_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/perform"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// defined is a planner that goes by a definition, and tells which it is shown.
type defined struct{ own, shown []byte }

func (d *defined) Definition() []byte { return d.own }

func (d *defined) Plan(_ ctx, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
	d.shown = v.Definition
	return &agent.Move{}, nil
}

func planUnder(p *perform.Performer, c ctx, definition string) run.Event {
	return given(func(give func(run.Event)) {
		j := run.Job{Kind: run.JobPlan, Slot: 7, Attempt: 1, Definition: definition}
		p.Plan(c, &agent.View{Run: "r1", Agent: "desk"}, j, 9, "e9", nil, give)
	})
}

// Definitions that were read are remembered, up to a bound.
func TestDefinitionsAreRemembered(t *testing.T) {
	d := &defined{own: []byte("own")}
	texts := map[string][]byte{"big": bytes.Repeat([]byte("x"), 9<<20), "one": bytes.Repeat([]byte("1"), 5<<20), "two": bytes.Repeat([]byte("2"), 5<<20), "small": []byte("3")}
	read := 0
	p := &perform.Performer{
		Agent: &agent.Agent{Name: "desk", Planner: d}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Blob: func(_ ctx, _ agent.RunID, hash string) ([]byte, error) { read++; return texts[hash], nil },
	}
	for _, step := range []struct {
		hash  string
		reads int
	}{
		{"small", 1}, {"small", 0}, // it is remembered
		{"one", 1}, {"one", 0},
		{"two", 1}, {"two", 0}, {"one", 1}, // the other had to go for it
		{"big", 1}, {"big", 1}, // it is too large
	} {
		read = 0
		if e, ok := planUnder(p, t.Context(), step.hash).(*run.Moved); !ok || !bytes.Equal(d.shown, texts[step.hash]) || read != step.reads {
			t.Errorf("%s: %d reads, want %d (%+v)", step.hash, read, step.reads, e)
		}
	}
	if _, ok := planUnder(p, t.Context(), "").(*run.Moved); !ok || d.shown != nil {
		t.Errorf("a run that goes by none is shown %q", d.shown)
	}
}

// Without a store of blobs, a run cannot begin under a definition, nor go on under
// another one.
func TestDefinitionWithoutBlobs(t *testing.T) {
	p := &perform.Performer{Agent: &agent.Agent{Name: "desk", Planner: &defined{own: []byte("own")}}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	begun := given(func(give func(run.Event)) {
		p.Begin(t.Context(), &agent.View{Run: "r1", Agent: "desk"}, run.Job{Kind: run.JobBegin, Attempt: 1}, give)
	})
	if e, ok := begun.(*run.PlanFailed); !ok || !e.Transient || !strings.Contains(e.Error, "cannot be kept with the run: there is no store for it") {
		t.Errorf("it begins with %+v", begun)
	}
	if e, ok := planUnder(p, t.Context(), "another").(*run.PlanFailed); !ok || e.Transient || !strings.Contains(e.Error, "cannot be read: there is no store for it") {
		t.Errorf("it goes on with %+v", e)
	}
}
