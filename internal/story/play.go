package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
)

// A Scene is a run, and the people in it.
type Scene struct {
	Title   string
	Request orchestrator.Request
	// People says what people do about an ask that was opened, or is for others now, one
	// after the other. Nothing leaves it open.
	People func(*agent.Ask) []Deed
}

// Play plays scenes one after the other to their ends, on a fresh store, a file in the
// working directory, and tells of them to standard output. It ends the program if
// something goes wrong with that.
func Play(name string, agents func(*Ledger) ([]*agent.Agent, error), scenes []Scene) {
	log.SetFlags(0)
	if err := play(name, agents, scenes); err != nil {
		log.Fatal(err)
	}
}

func play(name string, agents func(*Ledger) ([]*agent.Agent, error), scenes []Scene) error {
	dir, err := os.MkdirTemp("", name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(dir+"/story.db", nil)
	if err != nil {
		return err
	}
	defer store.Close()
	ledger := OpenLedger(dir + "/story.ledger")
	list, err := agents(ledger)
	if err != nil {
		return err
	}
	o, err := orchestrator.New(store, list, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	worked := make(chan error, 1)
	go func() { worked <- o.Work(ctx) }()
	for i, s := range scenes {
		if i > 0 {
			fmt.Println()
		}
		fmt.Printf("# %s\n", s.Title)
		id, err := o.Start(ctx, s.Request)
		if err != nil {
			return err
		}
		if _, err := s.Follow(ctx, o, id, os.Stdout); err != nil {
			return err
		}
	}
	cancel()
	if err := <-worked; err != nil {
		return err
	}
	return printLedger(ledger)
}

func printLedger(l *Ledger) error {
	lines, err := l.Lines()
	if err != nil || len(lines) == 0 {
		return err
	}
	fmt.Printf("\n# What the services did\n")
	for _, line := range lines {
		fmt.Println(line)
	}
	return nil
}

// Follow watches a run to its end, or that of its turn, has the scene's people act when it rests, and tells
// of it. It returns how the run ended.
func (s *Scene) Follow(ctx context.Context, o *orchestrator.Orchestrator, id agent.RunID, out io.Writer) (*orchestrator.Result, error) {
	f := &following{Scene: s, o: o, seen: map[string]bool{}, rests: map[agent.RunID]bool{}}
	f.tells = &teller{out: out, open: map[agent.AskID]*agent.Ask{}, acts: map[string]string{}, was: map[agent.RunID]agent.Status{}, at: map[agent.RunID]string{}}
	var last *orchestrator.Result
	for ev, err := range o.Watch(ctx, id, &orchestrator.WatchOptions{Until: orchestrator.RunEnd, Tree: true}) {
		if err != nil {
			return nil, err
		}
		if ev.Record == nil {
			continue
		}
		f.tells.tell(ev)
		if err := f.people(ctx, ev); err != nil {
			return nil, err
		}
		if ev.Run != id {
			continue
		}
		last = orchestrator.ResultOf(ev.State)
		if ev.Status == agent.StatusIdle && ev.State.Turn.N > 0 {
			break
		}
	}
	return last, nil
}

// following is one Follow.
type following struct {
	*Scene
	o     *orchestrator.Orchestrator
	tells *teller
	seen  map[string]bool
	rests map[agent.RunID]bool
	asks  []*agent.Ask // that nobody has done anything about
}

// people has people act, one ask after the other, each when what followed from the one
// before has been done: so a scene goes the same way each time.
func (f *following) people(ctx context.Context, ev orchestrator.Event) error {
	f.rests[ev.Run] = ev.Status.Resting()
	open := map[agent.AskID]bool{}
	for _, a := range ev.State.Asks() {
		open[a.ID] = true
		if stage := fmt.Sprint(a.ID, a.Stage, a.For); f.People != nil && !f.seen[stage] {
			f.seen[stage] = true
			f.asks = append(f.asks, a)
		}
	}
	f.asks = slices.DeleteFunc(f.asks, func(a *agent.Ask) bool { return a.ID.Run() == ev.Run && !open[a.ID] })
	for len(f.asks) > 0 && f.rests[f.asks[0].ID.Run()] {
		next := f.asks[0]
		f.asks = f.asks[1:]
		if done, err := f.act(ctx, next); done || err != nil {
			return err
		}
	}
	return nil
}

// act has people act, and reports whether anything came of that. What is refused is
// told.
func (f *following) act(ctx context.Context, a *agent.Ask) (done bool, err error) {
	for _, d := range f.People(a) {
		err := d.Do(ctx, f.o, a)
		var refused *agent.Refusal
		switch {
		case errors.As(err, &refused):
			f.tells.line("refused", "%s, who %s: %s", d.Who, d.What, refused.Kind)
		case err != nil:
			return done, err
		default:
			done = true
		}
	}
	return done, nil
}

// Ending says in a line how a run has ended: its status, why, and what came of it; of a
// conversation whose turn has ended, what was said last.
func Ending(r *orchestrator.Result) string {
	result := string(r.JSON)
	if r.Status == agent.StatusIdle {
		result = r.Text
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Status, r.Reason, result))
}
