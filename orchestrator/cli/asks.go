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
		Short: "List, show and answer what people are asked",
		Long: `What people are asked, over all runs: approvals of calls, questions, choices,
whether a call took place, whether to go on at a limit. Without a subcommand the
open ones are listed. Wherever an id is wanted, its beginning will do.`,
		Example: p.example("asks", "what is open", "asks show 7k2m", "all that is needed to decide", "asks answer 7k2m --approve", "decide"),
		Args:    p.noCommand,
		RunE:    list.main,
	}
	list.flags(root)
	ls := &cobra.Command{
		Use: "list", Short: "List what is asked, the oldest first", Args: exactly(0, "no arguments"), RunE: list.main,
		Example: p.example("asks list --run 7k2m", "", "asks list --kind approval --json", ""),
	}
	list.flags(ls)
	root.AddCommand(ls, p.asksShowCommand(), p.asksAnswerCommand())
	return root
}

// askList is one invocation of asks list.
type askList struct {
	*program
	run, agent, kind string
}

func (l *askList) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.run, "run", "", "only those of the run whose id begins with `ID`")
	cmd.Flags().StringVar(&l.agent, "agent", "", "only those of this `agent`")
	cmd.Flags().StringVar(&l.kind, "kind", "", "only those of this `kind`: approval, question, choice, outcome, limit")
	_ = cmd.RegisterFlagCompletionFunc("run", l.completeRuns)
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(askKinds, cobra.ShellCompDirectiveNoFileComp))
}

var askKinds = []string{string(agent.AskApproval), string(agent.AskQuestion), string(agent.AskChoice), string(agent.AskOutcome), string(agent.AskLimit)}

func (l *askList) main(cmd *cobra.Command, _ []string) error {
	if l.kind != "" && !strings.Contains(" "+strings.Join(askKinds, " ")+" ", " "+l.kind+" ") {
		return usage("there is no kind %q; there are %s", l.kind, strings.Join(askKinds, ", "))
	}
	store, err := l.open(true)
	if err != nil {
		return err
	}
	defer store.Close()
	q := memory.AskQuery{Agent: l.agent, Kind: agent.AskKind(l.kind)}
	if l.run != "" {
		e, err := findRun(cmd.Context(), store, l.run)
		if err != nil {
			return err
		}
		q.Run = e.Run
	}
	asks, err := allAsks(cmd.Context(), store, q)
	if err != nil {
		return err
	}
	rows := &table{head: []string{"ASK", "AGE", "KIND", "WHAT"}, paint: painterFor(l.out, l.noColor)}
	for _, a := range asks {
		if l.json {
			if err := l.printJSON(a); err != nil {
				return err
			}
			continue
		}
		what := a.Prompt
		if a.Kind == agent.AskApproval {
			what = a.Tool + "  " + brief(a.Args)
		}
		rows.add([]cell{{string(a.ID), cyan}, {ago(store.Now().Sub(a.Opened)), dim}, {string(a.Kind), yellow}, {text: cleanLine(what)}})
	}
	if l.json {
		return nil
	}
	columns, _ := sizeOf(l.out)
	if len(asks) == 0 {
		l.remark("Nothing is asked in %s.", l.storeName())
	}
	return rows.print(l.out, columns)
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

func (p *program) asksShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show ASK",
		Short:             "Show what is asked, with all that is needed to decide",
		Example:           p.example("asks show 7k2m", "the only open ask of a run", "asks show 7k2m.9x --json", ""),
		Args:              exactly(1, "the id of an ask"),
		ValidArgsFunction: p.completeAsks,
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := p.open(true)
			if err != nil {
				return err
			}
			defer store.Close()
			a, err := findAsk(cmd.Context(), store, args[0])
			switch {
			case err != nil:
				return err
			case a.Kind == "":
				return fmt.Errorf("ask %s is not open; %s tells what became of it", a.ID, p.line("runs", "show", string(a.ID.Run())))
			case p.json:
				return p.printJSON(a)
			}
			c := painterFor(p.out, p.noColor)
			columns, _ := sizeOf(p.out)
			paras := append(showAsk(a, store.Now()), showChoices(a)...)
			paras = append(paras,
				para{gap: true, mark: "ask     ", tint: dim, text: string(a.ID)},
				para{mark: "opened  ", tint: dim, text: ago(store.Now().Sub(a.Opened)) + " ago"},
				para{mark: "answer  ", tint: dim, text: p.answerLine(a)})
			for _, para := range paras {
				for _, l := range para.lines(columns, c) {
					fmt.Fprintln(p.out, l)
				}
			}
			return nil
		},
	}
}
