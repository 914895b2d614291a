package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

func (p *program) storeCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "store",
		Short: "Look after the store: check, count, erase what is old",
		Long:  `Look after the store, for whoever runs it. Workers and chats may go on meanwhile.`,
		Example: p.example("store stats", "what is in it, and what waits", "store check", "whether it is in order",
			"store prune --older-than 720h", "erase what ended a month ago"),
		Args: p.noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(p.storeStatsCommand(), p.storeCheckCommand(), p.storePruneCommand())
	return root
}

func (p *program) storeCheckCommand() *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check whether all that is kept is in order",
		Long: `Read all that is kept, and tell what is wrong with it: what is damaged or missing,
and what stands beside a run's log – its entry in the lists, its open asks – and is
not what its log says. With --repair this is written anew; logs are never changed.

It ends with code 0 if nothing is wrong any more, and with 1 otherwise.`,
		Example: p.example("store check", "a line for each problem", "store check --repair --json", "a line of JSON each"),
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, _ memory.Store, o *orchestrator.Orchestrator) error {
				return p.check(ctx, o, repair)
			})
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "write anew what follows from the logs")
	return cmd
}

// withStore opens the store that is there, for a command that may be interrupted.
func (p *program) withStore(ctx context.Context, do func(context.Context, memory.Store, *orchestrator.Orchestrator) error) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	store, err := p.open(true)
	if err != nil {
		return err
	}
	defer store.Close()
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		return err
	}
	return do(ctx, store, o)
}

func (p *program) check(ctx context.Context, o *orchestrator.Orchestrator, repair bool) error {
	found, repaired := 0, 0
	for problem, err := range o.Check(ctx, repair) {
		if err != nil {
			return err
		}
		found++
		if problem.Repaired {
			repaired++
		}
		if err := p.tellProblem(problem); err != nil {
			return err
		}
	}
	switch {
	case found == 0:
		p.remark("All is in order in %s.", p.storeName())
	case found == repaired:
		p.remark("%s in %s, repaired.", plural(found, "problem"), p.storeName())
		return nil
	case repair:
		p.remark("%s in %s, %d repaired.", plural(found, "problem"), p.storeName(), repaired)
	default:
		p.remark("%s in %s; what follows from the logs is put right with: %s", plural(found, "problem"), p.storeName(), p.line("store", "check", "--repair"))
	}
	if found > repaired {
		return &coded{code: exitError}
	}
	return nil
}

// tellProblem prints one problem on a line.
func (p *program) tellProblem(problem memory.Problem) error {
	if p.json {
		return p.printJSON(problem)
	}
	c := painterFor(p.out, p.noColor)
	of, end := "the store", ""
	if problem.Run != "" {
		of = "run " + string(problem.Run)
	}
	if problem.Repaired {
		end = "  " + c.do(green, "repaired")
	}
	_, err := fmt.Fprintf(p.out, "%s  %s%s\n", c.do(cyan, of), p.discreet(cleanLine(unprefixed(problem.What))), end)
	return err
}

func (p *program) storePruneCommand() *cobra.Command {
	var olderThan time.Duration
	var yes bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Erase the runs that ended long ago",
		Long: `Erase the runs that are done, have failed or were cancelled, and whose last record
is older than --older-than, with all that is kept of them, for good. Runs that have
not ended stay, however old. work --retain does the same all the time.`,
		Example: p.example("store prune --older-than 720h", "what ended a month ago", "store prune --older-than 24h --yes", "without asking, for scripts"),
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !cmd.Flags().Changed("older-than"):
				return usage("say how old a run must be: --older-than 720h erases what ended a month ago")
			case olderThan < 0:
				return usage("--older-than is %v; it must be 0 or more", olderThan)
			case !yes && (!isTerminal(p.in) || !isTerminal(p.err)):
				return usage("runs are erased for good, and there is no terminal to ask whether that is meant; give --yes")
			}
			return p.withStore(cmd.Context(), func(ctx context.Context, store memory.Store, o *orchestrator.Orchestrator) error {
				return p.prune(ctx, store, o, olderThan, yes)
			})
		},
	}
	cmd.Flags().Var(spanOf(&olderThan, 0), "older-than", "how long ago a run's last record must be, such as 720h")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (p *program) prune(ctx context.Context, store memory.Store, o *orchestrator.Orchestrator, olderThan time.Duration, yes bool) error {
	if !yes {
		n, err := countEnded(ctx, store, olderThan)
		if err != nil {
			return err
		}
		if n > 0 && !p.confirms(ctx, fmt.Sprintf("Erase %s from %s for good? [y/N] ", plural(n, "run"), p.storeName())) {
			code := exitError
			if ctx.Err() != nil {
				code = exitInterrupted
			}
			return &coded{code, errors.New("nothing was erased")}
		}
	}
	n, err := o.Prune(ctx, olderThan)
	if p.json {
		if err := p.printJSON(struct {
			Erased int `json:"erased"`
		}{n}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.out, "%s erased.\n", plural(n, "run"))
	}
	return err
}

// countEnded counts the runs that a prune would erase now.
func countEnded(ctx context.Context, store memory.Store, olderThan time.Duration) (n int, err error) {
	q := memory.RunQuery{Before: store.Now().Add(-olderThan)}
	for _, s := range allStatuses {
		if s.Ended() {
			q.Statuses = append(q.Statuses, s)
		}
	}
	for {
		page, err := store.Runs(ctx, q)
		if err != nil {
			return n, err
		}
		n += len(page.Runs)
		if page.Next == "" {
			return n, nil
		}
		q.After = page.Next
	}
}

// confirms asks the person at the terminal. Whoever interrupts has not said yes.
func (p *program) confirms(ctx context.Context, question string) bool {
	fmt.Fprint(p.err, question)
	said := make(chan string, 1)
	go func() { // it ends with the program: a terminal's line cannot be waited for with a context
		line, _ := bufio.NewReader(p.in).ReadString('\n')
		said <- line
	}()
	select {
	case line := <-said:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes"
	case <-ctx.Done():
		return false
	}
}
