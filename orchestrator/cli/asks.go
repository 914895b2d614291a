package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

func (p *program) asksCommand() *cobra.Command {
	list := &askList{program: p}
	root := &cobra.Command{
		Use:   "asks",
		Short: "List, show, answer, claim, release and delegate what people are asked",
		Long: `What people are asked, over all runs and their delegates: approvals of calls,
questions, choices, forms, whether a call took place, whether to go on at a limit,
what to do about a failure.
Without a subcommand the open ones are listed. Wherever an id is wanted, its
beginning will do.`,
		Example: p.example("asks", "what is open", "asks --mine", "what you may answer", "asks show 7k2m", "all that is needed to decide",
			"asks answer 7k2m --approve", "decide", "asks claim 7k2m", "it is yours: nobody else may answer", "asks delegate 7k2m --to bob", "have somebody else answer"),
		Args: p.noCommand,
		RunE: list.main,
	}
	list.flags(root)
	ls := &cobra.Command{
		Use: "list", Short: "List what is asked, the oldest first", Args: exactly(0, "no arguments"), RunE: list.main,
		Long: `List what is asked, the oldest first. With --for or --mine it is what that user may
answer, without what others have claimed; --group then names a group of that user.
With --group alone it is what that group is asked by name.`,
		Example: p.example("asks list --for bob --group supervisors", "what bob of the supervisors may answer", "asks list --group supervisors", "what that group is asked",
			"asks list --run 7k2m", "", "asks list --kind approval --json", "", "asks list --older 24h --due 1h", "what is pressing"),
	}
	list.flags(ls)
	root.AddCommand(ls, p.asksShowCommand(), p.asksAnswerCommand(), p.asksClaimCommand(), p.asksReleaseCommand(), p.asksDelegateCommand())
	return root
}

// allAsks returns all open asks that a query selects.
func allAsks(ctx context.Context, store memory.Store, q memory.AskQuery) (all []*agent.Ask, err error) {
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		return nil, err
	}
	for {
		asks, next, err := o.Asks(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, asks...)
		if next == "" {
			return all, nil
		}
		q.After = next
	}
}

// findAsk returns the one open ask whose id begins with prefix. One that has the
// form of a whole id, and is not open, is returned without content: the
// orchestrator knows what became of it.
func findAsk(ctx context.Context, store memory.Store, prefix string) (*agent.Ask, error) {
	beginning, _, whole := strings.Cut(prefix, ".")
	e, err := findRun(ctx, store, beginning)
	if err != nil {
		return nil, fmt.Errorf("no ask is %q: %w", prefix, err)
	}
	if whole {
		prefix = string(e.Run) + strings.TrimPrefix(prefix, beginning)
	} else {
		prefix = string(e.Run) + "."
	}
	asks, err := allAsks(ctx, store, memory.AskQuery{Run: e.Run})
	if err != nil {
		return nil, err
	}
	var found []*agent.Ask
	for _, a := range asks {
		if string(a.ID) == prefix {
			return a, nil
		}
		if strings.HasPrefix(string(a.ID), prefix) {
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%q is the beginning of %d asks' ids; write more of it, such as %s", prefix, len(found), found[0].ID)
	case strings.Count(prefix, ".") == 2:
		return &agent.Ask{ID: agent.AskID(prefix)}, nil
	}
	return nil, fmt.Errorf("run %s has no open ask that begins with %q", e.Run, prefix)
}

// withAsk opens the store and finds the ask that an argument means. It is without
// content if it is not open.
func (p *program) withAsk(ctx context.Context, prefix string, do func(store memory.Store, o *orchestrator.Orchestrator, a *agent.Ask) error) error {
	store, err := p.open(true)
	if err != nil {
		return err
	}
	defer store.Close()
	a, err := findAsk(ctx, store, prefix)
	if err != nil {
		return err
	}
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		return err
	}
	return do(store, o, a)
}

// notOpen is the error of an ask that is closed.
func (p *program) notOpen(id agent.AskID) error {
	return fmt.Errorf("ask %s is not open; %s tells what became of it", id, p.line("runs", "show", string(id.Run())))
}
