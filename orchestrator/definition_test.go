package orchestrator_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A chart is a planner that goes by a definition.
type chart struct {
	definition string
	plan       func(v *agent.View) *agent.Move

	mu    sync.Mutex
	shown []string // the definition that each view shows; "" for none
}

func (c *chart) Definition() []byte { return []byte(c.definition) }

func (c *chart) Plan(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
	c.mu.Lock()
	c.shown = append(c.shown, string(v.Definition))
	c.mu.Unlock()
	if c.plan != nil {
		return c.plan(v), nil
	}
	return &agent.Move{Message: agent.Said("Done.")}, nil
}

// shows checks what the views have shown.
func (c *chart) shows(l *lab, want ...string) {
	l.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.shown, want) {
		l.Errorf("the planner was shown the definitions %q, want %q", c.shown, want)
	}
}

func charted(p agent.Planner) *agent.Agent { return &agent.Agent{Name: "desk", Planner: p} }

// A library is a store whose blobs a test sees to.
type library struct {
	memory.Store
	mu    sync.Mutex
	put   int
	read  int
	fails error // what PutBlob and Blob give; nil: as ever
}

func (b *library) PutBlob(ctx context.Context, id agent.RunID, data []byte) (string, error) {
	b.mu.Lock()
	b.put++
	err := b.fails
	b.mu.Unlock()
	if err != nil {
		return "", err
	}
	return b.Store.PutBlob(ctx, id, data)
}

func (b *library) Blob(ctx context.Context, id agent.RunID, hash string) ([]byte, error) {
	b.mu.Lock()
	b.read++
	err := b.fails
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return b.Store.Blob(ctx, id, hash)
}

func (b *library) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails = err
}

// did checks how often blobs were written and read.
func (b *library) did(l *lab, put, read int) {
	l.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.put != put || b.read != read {
		l.Errorf("%d blobs were written and %d read, want %d and %d", b.put, b.read, put, read)
	}
}

// program works as a process of its own until it is stopped.
func (l *lab) program(agents ...*agent.Agent) (blobs *library, stop func()) {
	l.Helper()
	blobs = &library{Store: l.store.Another()}
	o, err := orchestrator.New(blobs, agents, nil)
	l.must(err)
	return blobs, l.until(o)
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// A run goes by the definition under which it began, whatever the program's own is
// by then. As long as that is the same, nothing is read.
func TestRunsKeepTheirDefinition(t *testing.T) {
	inLab(t, func(l *lab) {
		old := &chart{definition: "one"}
		blobs, stop := l.program(charted(old))
		id := l.start("hello")
		l.rests(id, agent.StatusIdle)
		l.send(id, "and again")
		l.rests(id, agent.StatusIdle)
		stop()
		old.shows(l, "one", "one")
		blobs.did(l, 1, 0)
		if s := l.state(id); s.Definition != hashOf("one") || s.Terms.TurnSteps != 0 {
			l.Errorf("the run goes by %q, and may take %d steps", s.Definition, s.Terms.TurnSteps)
		}
		fresh := &chart{definition: "two"}
		blobs, _ = l.program(charted(fresh))
		for range 2 {
			l.send(id, "and again")
			l.rests(id, agent.StatusIdle)
		}
		fresh.shows(l, "one", "one")
		blobs.did(l, 0, 1)
		other := l.start("hello")
		l.rests(other, agent.StatusIdle)
		fresh.shows(l, "one", "one", "two")
		began := orchestratortest.Find[*run.TurnBegan](l.log(id))
		if len(began) != 4 || began[0].Definition != hashOf("one") || began[1].Definition != "" {
			l.Errorf("the definition is to be recorded once\n%s", l.log(id))
		}
	})
}

// A planner without a definition is shown none, and its steps are bounded as ever.
func TestPlannersWithoutDefinition(t *testing.T) {
	inLab(t, func(l *lab) {
		for name, p := range map[string]agent.Planner{
			"none": agent.PlannerFunc(func(_ ctx, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
				if v.Definition != nil {
					l.Errorf("it is shown %q", v.Definition)
				}
				return &agent.Move{Message: agent.Said("Done.")}, nil
			}),
			"an empty one": &chart{},
		} {
			blobs, stop := l.program(charted(p))
			id := l.start(name)
			l.rests(id, agent.StatusIdle)
			stop()
			blobs.did(l, 0, 0)
			if s := l.state(id); s.Definition != "" {
				l.Errorf("%s: it goes by %q", name, s.Definition)
			}
		}
	})
}

// A run that is handed off goes on by the definition of who takes it over.
func TestHandOffToAnotherDefinition(t *testing.T) {
	inLab(t, func(l *lab) {
		second := charted(&chart{definition: "two"})
		second.Name = "second"
		first := charted(&chart{definition: "one", plan: func(*agent.View) *agent.Move {
			return &agent.Move{Actions: []agent.Action{{Kind: agent.ActHandoff, Name: "second"}}}
		}})
		first.Handoffs = []*agent.Agent{second}
		l.program(first)
		id := l.start("hello")
		l.rests(id, agent.StatusIdle)
		first.Planner.(*chart).shows(l, "one")
		second.Planner.(*chart).shows(l, "two")
		if s := l.state(id); s.Definition != hashOf("two") {
			l.Errorf("the run goes by %q\n%s", s.Definition, l.log(id))
		}
	})
}

// A store that is down is waited for, and a definition that is gone parks the run.
func TestDefinitionThatCannotBeHad(t *testing.T) {
	inLab(t, func(l *lab) {
		p := &chart{definition: "one"}
		blobs, stop := l.program(charted(p))
		blobs.fail(errors.New("no route to host"))
		id := l.start("hello")
		l.after(10 * time.Second)
		if e := l.entry(id); e.Index.Status != agent.StatusPlanning || !strings.Contains(e.Index.Reason, "the definition of agent desk cannot be kept with the run: no route to host") {
			l.Errorf("the run is %s: %s", e.Index.Status, e.Index.Reason)
		}
		blobs.fail(nil)
		l.rests(id, agent.StatusIdle)
		stop()
		fresh := &chart{definition: "two"}
		blobs, stop = l.program(charted(fresh))
		blobs.fail(errors.New("no route to host"))
		l.send(id, "and again")
		l.after(10 * time.Second)
		if e := l.entry(id); e.Index.Status != agent.StatusPlanning || !strings.Contains(e.Index.Reason, "cannot be read: no route to host") {
			l.Errorf("the run is %s: %s", e.Index.Status, e.Index.Reason)
		}
		blobs.fail(fmt.Errorf("blob: %w", memory.ErrNotFound))
		want := "the definition by which agent desk goes in this run (" + hashOf("one")[:12] + "…) cannot be read"
		if res := l.rests(id, agent.StatusStuck); !strings.Contains(res.Reason, want) || !strings.Contains(res.Reason, "bring it back") {
			l.Errorf("the reason is %q", res.Reason)
		}
		fresh.shows(l)
		blobs.fail(nil)
		l.must(l.client.Retry(l.Context(), id, "it is back", nil))
		l.rests(id, agent.StatusIdle)
		fresh.shows(l, "one")
		stop()
	})
}
