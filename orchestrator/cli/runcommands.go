package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

func (p *program) runsWatchCommand() *cobra.Command {
	var turn, fromNow bool
	cmd := &cobra.Command{
		Use:   "watch RUN",
		Short: "Show what happens in a run and its delegates, from its beginning on",
		Long: `Show what happens in a run and in those that work for it, from its beginning on,
until it has ended or Ctrl-C. A run that somebody else drives is watched without getting in its way.`,
		Example:           p.example("runs watch 7k2m", "until it has ended", "runs watch 7k2m --turn --json", "each event as a line of JSON, until the turn is over"),
		Args:              exactly(1, "the id of a run"),
		ValidArgsFunction: p.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return p.withRun(ctx, args[0], func(store memory.Store, o *orchestrator.Orchestrator, e *memory.RunEntry) error {
				opts := &orchestrator.WatchOptions{Until: orchestrator.RunEnd, Tree: true}
				if turn {
					opts.Until = orchestrator.TurnEnd
				}
				f := newFamily(e.Run, "")
				f.whole = true
				if fromNow {
					if err := f.readOn(ctx, store, nil); err != nil {
						return err
					}
				}
				return p.watch(ctx, o, f, opts)
			})
		},
	}
	cmd.Flags().BoolVar(&turn, "turn", false, "end when the turn is over, or the run waits for somebody")
	cmd.Flags().BoolVar(&fromNow, "new", false, "only what happens from now on")
	return cmd
}

// watch prints the events of a run and its delegates: all of them, or those that
// are not in their logs yet.
func (p *program) watch(ctx context.Context, o *orchestrator.Orchestrator, f *family, opts *orchestrator.WatchOptions) error {
	c := painterFor(p.out, p.noColor)
	columns, _ := sizeOf(p.out)
	for ev, err := range o.Watch(ctx, f.root, opts) {
		switch {
		case err != nil && ctx.Err() != nil:
			return &coded{code: exitInterrupted}
		case err != nil:
			return err
		case !f.news(ev):
			continue
		}
		paras := f.take(ev)
		if p.json {
			if err := p.printJSON(ev); err != nil {
				return err
			}
			continue
		}
		for _, para := range paras {
			for _, l := range para.lines(columns, c) {
				if _, err := fmt.Fprintln(p.out, p.discreet(l)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *program) runsCancelCommand() *cobra.Command {
	var reason, who string
	cmd := &cobra.Command{
		Use:   "cancel RUN",
		Short: "Call a run off",
		Long: `Call a run off: what is open is withdrawn. A call that has begun is not torn off:
the run ends when its outcome is known.`,
		Example:           p.example("runs cancel 7k2m --reason \"a duplicate\"", ""),
		Args:              exactly(1, "the id of a run"),
		ValidArgsFunction: p.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withRun(cmd.Context(), args[0], func(store memory.Store, o *orchestrator.Orchestrator, e *memory.RunEntry) error {
				in := &orchestrator.Input{By: agent.User{ID: orLogin(who)}}
				if err := o.Cancel(cmd.Context(), e.Run, reason, in); err != nil {
					return err
				}
				return p.report(cmd.Context(), store, o, e.Run, "cancelled")
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the log")
	cmd.Flags().StringVar(&who, "user", "", "the `id` of who does it; default is who is logged in")
	return cmd
}

func (p *program) runsRetryCommand() *cobra.Command {
	var text string
	var who person
	cmd := &cobra.Command{
		Use:   "retry RUN",
		Short: "Have a stuck run try again, or one that waits for its next attempt",
		Long: `Have a stuck run try again, or one that waits for its next attempt. Where a run asks
what is to be done about a failure, that is answered with retry, if it is among the
choices and you may answer.

` + vouched,
		Example:           p.example("runs retry 7k2m --note \"the key was mended\"", ""),
		Args:              exactly(1, "the id of a run"),
		ValidArgsFunction: p.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := who.bad(); err != nil {
				return err
			}
			return p.withRun(cmd.Context(), args[0], func(store memory.Store, o *orchestrator.Orchestrator, e *memory.RunEntry) error {
				in := &orchestrator.Input{By: who.as()}
				if err := hinted(o.Retry(cmd.Context(), e.Run, text, in)); err != nil {
					return err
				}
				return p.report(cmd.Context(), store, o, e.Run, "to be tried again")
			})
		},
	}
	cmd.Flags().StringVar(&text, "note", "", "`why`, for the log")
	who.flags(cmd, "does it")
	return cmd
}

func orLogin(who string) string {
	if who != "" {
		return who
	}
	return login()
}

// report prints how a run stands after an input, and whether anybody drives it.
func (p *program) report(ctx context.Context, store memory.Store, o *orchestrator.Orchestrator, id agent.RunID, what string) error {
	state, err := o.State(ctx, id)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(orchestrator.ResultOf(state))
	}
	fmt.Fprintf(p.out, "Run %s is %s.\n", id, what)
	if state.Status().Resting() {
		return nil
	}
	return p.whoDrives(ctx, store, state)
}

// whoDrives tells who goes on with a run, or how to.
func (p *program) whoDrives(ctx context.Context, store memory.Store, s *run.State) error {
	if s.Status().Resting() {
		fmt.Fprintf(p.out, "The run is %s.\n", s.Status())
		return nil
	}
	who, err := driver(ctx, store, s.Run, s.Seq)
	switch {
	case err != nil:
		return err
	case who != "":
		fmt.Fprintf(p.out, "%s goes on with the run.\n", who)
	default:
		fmt.Fprintf(p.out, "Nobody drives the run now. Go on with: %s, or: %s\n", p.line("chat", "--run", string(rootRun(s))), p.line("work"))
	}
	return nil
}

// driver returns who drives a run whose log ends with record seq: the worker
// that has it, or that has appended to it meanwhile; "" if there is none within
// a moment.
func driver(ctx context.Context, store memory.Store, id agent.RunID, seq int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, driverWait)
	defer cancel()
	for {
		page, err := store.Runs(ctx, memory.RunQuery{Prefix: string(id), Limit: 1})
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return "", nil
		case err != nil:
			return "", err
		case len(page.Runs) == 0:
			return "", nil
		case page.Runs[0].Worker != "":
			return "Worker " + page.Runs[0].Worker, nil
		case page.Runs[0].Records > seq:
			return "A worker", nil
		}
		if !moment(ctx) {
			return "", nil
		}
	}
}
