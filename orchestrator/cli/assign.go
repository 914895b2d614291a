package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// assignJSON is what becomes of an ask's people, as --json prints it.
type assignJSON struct {
	Ask agent.AskID `json:"ask"`
	Run agent.RunID `json:"run"`
	How string      `json:"how"`
	By  string      `json:"by,omitempty"`
	To  []string    `json:"to,omitempty"`
}

// assigned prints that it is done.
func (p *program) assigned(a *agent.Ask, how string, by agent.User, to []string, words string) error {
	if p.json {
		return p.printJSON(assignJSON{a.ID, a.ID.Run(), how, by.ID, to})
	}
	fmt.Fprintln(p.out, words)
	return nil
}

func (p *program) asksClaimCommand() *cobra.Command {
	var by person
	cmd := &cobra.Command{
		Use:   "claim ASK",
		Short: "Take an ask: nobody else may answer it until it is released",
		Long: `Take an ask of those that you may answer: nobody else may answer it until it is
released, answered or escalated. To claim your own again does nothing.

` + vouched,
		Example:           p.example("asks claim 7k2m", "", "asks claim 7k2m --user bob --group supervisors", ""),
		Args:              exactly(1, "the id of an ask"),
		ValidArgsFunction: p.completeAsks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := by.bad(); err != nil {
				return err
			}
			return p.withAsk(cmd.Context(), args[0], func(_ memory.Store, o *orchestrator.Orchestrator, a *agent.Ask) error {
				if err := hinted(o.ClaimAsk(cmd.Context(), a.ID, by.as())); err != nil {
					return err
				}
				return p.assigned(a, "claim", by.as(), nil, fmt.Sprintf("%s is claimed by %s. Answer it with: %s", a.ID, by.as().ID, p.answerLine(a)))
			})
		},
	}
	by.flags(cmd, "claims it")
	return cmd
}

func (p *program) asksReleaseCommand() *cobra.Command {
	var by person
	cmd := &cobra.Command{
		Use:   "release ASK",
		Short: "Give a claimed ask back to all whom it is for",
		Long: `Give a claimed ask back to all whom it is for. Each of them may do so, also for
somebody who has left it lying.

` + vouched,
		Example:           p.example("asks release 7k2m", ""),
		Args:              exactly(1, "the id of an ask"),
		ValidArgsFunction: p.completeAsks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := by.bad(); err != nil {
				return err
			}
			return p.withAsk(cmd.Context(), args[0], func(_ memory.Store, o *orchestrator.Orchestrator, a *agent.Ask) error {
				if err := hinted(o.ReleaseAsk(cmd.Context(), a.ID, by.as())); err != nil {
					return err
				}
				return p.assigned(a, "release", by.as(), nil, fmt.Sprintf("%s is free again, for %s.", a.ID, askedFor(a)))
			})
		},
	}
	by.flags(cmd, "releases it")
	return cmd
}

func (p *program) asksDelegateCommand() *cobra.Command {
	var by person
	var to []string
	var note string
	cmd := &cobra.Command{
		Use:   "delegate ASK --to USER|group:GROUP…",
		Short: "Have others answer an ask",
		Long: `Have others answer an ask in your stead. You may still answer it, too; whoever else
it was for may not. Whom it excludes, it excludes still.

` + vouched,
		Example: p.example("asks delegate 7k2m --to bob", "", "asks delegate 7k2m --to bob,group:supervisors --note \"you know them\"", ""),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && !cmd.Flags().Changed("to") {
				return usage("%s takes the id of an ask, and says with --to to whom; try --to %s", cmd.CommandPath(), strings.Join(args[1:], ","))
			}
			return exactly(1, "the id of an ask")(cmd, args)
		},
		ValidArgsFunction: p.completeAsks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(to) == 0 {
				return usage("say to whom: --to USER, or --to group:GROUP; more of them with commas between")
			}
			if err := by.bad(); err != nil {
				return err
			}
			return p.withAsk(cmd.Context(), args[0], func(_ memory.Store, o *orchestrator.Orchestrator, a *agent.Ask) error {
				if err := hinted(o.DelegateAsk(cmd.Context(), a.ID, by.as(), to, note)); err != nil {
					return err
				}
				return p.assigned(a, "delegate", by.as(), to, fmt.Sprintf("%s is for %s now, and still for you.", a.ID, people(to)))
			})
		},
	}
	by.flags(cmd, "delegates it")
	cmd.Flags().StringSliceVar(&to, "to", nil, "the `people`: ids of users, and groups as group:name; repeatable")
	cmd.Flags().StringVar(&note, "note", "", "a `note` for them and the log")
	return cmd
}
