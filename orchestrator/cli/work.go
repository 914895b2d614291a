package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

func (p *program) workCommand() *cobra.Command {
	var model string
	var grace, retain time.Duration
	cmd := &cobra.Command{
		Use:   "work",
		Short: "Drive the runs that others have started or answered",
		Long: `Drive the runs of this program's agents that want attention: those that others
have started, whose asks were answered, whose time has come, or whose worker was
lost. There may be any number of workers over one store.

SIGINT or SIGTERM ends it: running calls may finish, for --grace at most, and
nothing is lost. A second one ends it at once.`,
		Example: p.example("work", "until Ctrl-C", "work --store /srv/desk.db --json", "a line of JSON per event", "work --retain 720h", "and erase what ended a month ago"),
		Args:    exactly(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.work(cmd.Context(), model, grace, retain) },
	}
	p.modelFlag(cmd, &model)
	cmd.Flags().Var(spanOf(&grace, 10*time.Second), "grace", "how long running calls may go on after a signal")
	cmd.Flags().Var(spanOf(&retain, 0), "retain", "erase runs this `long` after their end, such as 720h; 0 keeps them")
	return cmd
}

func (p *program) work(ctx context.Context, model string, grace, retain time.Duration) error {
	if retain < 0 {
		return usage("--retain is %v; give how long ended runs are kept, or 0 to keep them", retain)
	}
	m, err := p.chooseModel(model)
	if err != nil {
		return err
	}
	agents, err := p.agents(m)
	if err != nil {
		return err
	}
	store, err := p.open(false)
	if err != nil {
		return err
	}
	defer store.Close()
	log := &workLog{program: p, paint: painterFor(p.out, p.noColor), runs: map[agent.RunID]*followed{}}
	if grace <= 0 {
		grace = -1
	}
	o, err := orchestrator.New(&witness{store, log}, agents, &orchestrator.Options{
		Grace: grace, Retain: retain, Logger: slog.New(slog.NewTextHandler(&complaints{p}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	p.remark("Working on the runs of %s in %s%s. Ctrl-C ends it.", strings.Join(named(agents), ", "), p.storeName(), m.after(", with "))
	if m.offline {
		p.remark(offlineNotice)
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	told := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(told)
		p.remark("Ending: running calls may finish, for %s at most. Another Ctrl-C ends it at once; nothing is lost.", max(grace, 0))
	})
	if err := o.Work(ctx); err != nil {
		return err
	}
	<-told
	p.remark("Ended; all runs were given back.")
	return nil
}

// complaints prints what the engine logs, a line each.
type complaints struct{ p *program }

func (c *complaints) Write(line []byte) (int, error) {
	_, err := io.WriteString(c.p.err, c.p.discreet(string(line)))
	return len(line), err
}

// A witness is a store that tells of the commits which a worker makes.
type witness struct {
	memory.Store
	log *workLog
}

// Commit commits, and tells of it if it was done.
func (w *witness) Commit(ctx context.Context, c *memory.Commit) error {
	err := w.Store.Commit(ctx, c)
	if err == nil && c.Claim != "" {
		w.log.committed(ctx, w.Store, c)
	}
	return err
}

// Release gives a claim back, and forgets what is known of the run.
func (w *witness) Release(ctx context.Context, h memory.Held) error {
	w.log.forget(h.Run)
	return w.Store.Release(ctx, h)
}

// A workLog prints a line for each event of interest.
type workLog struct {
	*program
	paint painter

	mu   sync.Mutex
	runs map[agent.RunID]*followed
}

// committed tells the records of a commit.
func (l *workLog) committed(ctx context.Context, store memory.Store, c *memory.Commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.runs[c.Run]
	if f == nil || f.state.Seq != c.Base.Seq {
		f = follow(c.Run, "")
		l.runs[c.Run] = f
	}
	err := f.readOn(ctx, store, func(ev orchestrator.Event) {
		paras := f.tell.tell(ev)
		if ev.Record.Seq > c.Base.Seq && ev.Record.Seq <= c.Last().Seq {
			l.print(ev, paras)
		}
	})
	if err != nil {
		fmt.Fprintf(l.err, "run %s cannot be told of: %v\n", c.Run, err)
		return
	}
	l.printRest(f.state)
}

func (l *workLog) print(ev orchestrator.Event, paras []para) {
	if l.json {
		if err := l.printJSON(ev); err != nil {
			l.complain(err.Error())
		}
		return
	}
	if began, ok := ev.Record.Event.(*run.Began); ok && ev.State.Action(began.Action) != nil {
		paras = append(paras, note("begins "+ev.State.Action(began.Action).Action.Name))
	}
	for _, p := range paras {
		l.row(ev.State, ev.Record.Time, p)
	}
}

// printRest tells what the run waits for, or that its turn is over.
func (l *workLog) printRest(s *run.State) {
	if l.json || !s.Status().Resting() {
		return
	}
	for _, a := range s.Asks() {
		l.row(s, s.Time, warn("waits for an answer: "+a.Prompt+"  "+l.line("asks", "answer", string(a.ID))))
	}
	if len(s.Asks()) == 0 {
		l.row(s, s.Time, note(strings.TrimSuffix(string(s.Status())+": "+s.Reason(), ": ")))
	}
}

func (l *workLog) row(s *run.State, at time.Time, p para) {
	if spoken(p) {
		p.mark = "says "
	}
	text := strings.Join(strings.Fields(p.mark+p.text), " ")
	fmt.Fprintf(l.out, "%s  %s  %s\n", l.paint.do(dim, at.Local().Format("15:04:05")), l.paint.do(cyan, string(s.Run)), l.discreet(l.paint.do(p.tint, fit(text, 300))))
}

func (l *workLog) forget(id agent.RunID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs, id)
}
