package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A proof is what the logs and the ledger say of what the tour has shown.
type proof struct {
	*tour
	failed int
}

// A story is a run as its log tells it.
type story struct {
	records []*run.Record
	state   *run.State // at the end
}

// prove reads all anew, and says what is so and what is not.
func (t *tour) prove(asks []*agent.Ask, killed *worker) error {
	t.heading("What the logs and the ledger prove")
	p := &proof{tour: t}
	stories, err := p.complete()
	if err != nil {
		return err
	}
	p.calls(stories[t.parallel])
	if err := p.delegation(stories[t.tasks], stories); err != nil {
		return err
	}
	if err := p.handOff(stories[t.handed]); err != nil {
		return err
	}
	if err := p.approvals(asks, stories[t.refunds]); err != nil {
		return err
	}
	if err := p.refunded(asks, stories[t.refunds], killed); err != nil {
		return err
	}
	t.tell("")
	t.tell("The store is " + t.path + ". Look at it, or go on:")
	fmt.Println(t.paint("36", fmt.Sprintf("  %s runs show %s --store %s", t.name(), t.refunds, t.path)))
	fmt.Println(t.paint("36", fmt.Sprintf("  %s chat --store %s", t.name(), t.path)))
	if p.failed > 0 {
		return fmt.Errorf("%d of the tour's claims are not proven", p.failed)
	}
	return nil
}

// name is how the user runs this program: go run leaves no command behind.
func (t *tour) name() string {
	if strings.Contains(t.self, string(os.PathSeparator)+"go-build") {
		return "go run ./cmd/fermata"
	}
	return "fermata"
}

// read reads a run's log.
func (t *tour) read(id agent.RunID) (*story, error) {
	log, err := t.store.Read(t.ctx, id, memory.ReadOptions{})
	if err != nil {
		return nil, err
	}
	s := &story{state: run.New(id)}
	for _, m := range log.Records {
		e, err := run.Decode(m.Data)
		if err != nil {
			return nil, err
		}
		r := &run.Record{Seq: m.Seq, ID: m.ID, Time: m.Time, Event: e}
		s.records = append(s.records, r)
		s.state.Apply(r)
	}
	return s, nil
}

// check says whether something is so.
func (p *proof) check(ok bool, format string, args ...any) {
	if ok {
		p.fold("  ✓ ", "32", fmt.Sprintf(format, args...))
		return
	}
	p.failed++
	p.fold("  ✗ NOT PROVEN: ", "31", fmt.Sprintf(format, args...))
}

// complete checks that nothing of any run is missing or left open.
func (p *proof) complete() (map[agent.RunID]*story, error) {
	page, err := p.store.Runs(p.ctx, memory.RunQuery{})
	if err != nil {
		return nil, err
	}
	stories := map[agent.RunID]*story{}
	records, gaps, open, tasks := 0, 0, 0, 0
	for _, e := range page.Runs {
		s, err := p.read(e.Run)
		if err != nil {
			return nil, err
		}
		stories[e.Run] = s
		for i, r := range s.records {
			if r.Seq != int64(i)+1 {
				gaps++
			}
		}
		records += len(s.records)
		open += len(s.state.Open)
		over := agent.StatusIdle
		if s.state.Parent != nil {
			tasks++
			over = agent.StatusDone
		}
		if s.state.Status() != over {
			open++
		}
	}
	p.check(len(page.Runs)-tasks == 4 && tasks == 2, "%d conversations and %d tasks are in the store", len(page.Runs)-tasks, tasks)
	p.check(gaps == 0 && open == 0, "their %d records are numbered with %d gaps; %d things are open", records, gaps, open)
	return stories, nil
}

// calls checks that one move made several calls, and that each has returned
// once.
func (p *proof) calls(s *story) {
	calls, asked := 0, time.Time{}
	returned := map[agent.ActionID]int{}
	var last time.Time
	for _, r := range s.records {
		switch e := r.Event.(type) {
		case *run.Moved:
			if len(e.Actions) > calls {
				calls, asked = len(e.Actions), r.Time
			}
		case *run.Returned:
			returned[e.Action]++
			last = r.Time
		}
	}
	p.check(calls > 1 && len(returned) == calls && twice(returned) == 0, "1: one move made %d calls; %d have returned, %d of them twice, all within %s", calls, len(returned), twice(returned), last.Sub(asked).Round(time.Millisecond))
}

// twice counts what has happened more often than once.
func twice[K comparable](times map[K]int) (n int) {
	for _, t := range times {
		if t > 1 {
			n++
		}
	}
	return n
}
