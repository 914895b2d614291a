package cli

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/planner/graph/play"
)

func (p *program) graphRunCommand() *cobra.Command {
	var virtual bool
	var input string
	cmd := &cobra.Command{
		Use:   "run FILE [EVENT...]",
		Short: "Try a graph: give it events, and see where it goes",
		Long: `Run a graph by itself, without a store, and print where it stands after each event
and each delay. Events are the arguments, or else the lines of standard input: a name,
or a name and JSON data behind a space. A time such as +36h lets so much pass; with
--virtual-time it passes at once, as all delays do. With --json each line is an object
with the active nodes; the last says how it has ended.

Tools, agents and people are not at hand here: a graph that needs one of them ends
with an error when it gets there.

It ends with code 0 if the graph has ended in a final node, with 1 if that one says
that it failed, or is called fail, and with 2 if the graph has not ended.`,
		Example: p.example("graph run light.scxml turn turn --json", "two events", "graph run order.yaml 'paid {\"sum\": 3}' +14d --virtual-time", "an event with data, and two weeks",
			"graph run light.scxml < events.txt", "a line for each event"),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return nil
			}
			return usage("%s takes the file of a graph, and none came; see %s --help", cmd.CommandPath(), cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &play.RunOptions{Lines: args[1:], Virtual: virtual, JSON: p.json, Out: p.out}
			if input != "" {
				if o.Input = json.RawMessage(input); !json.Valid(o.Input) {
					return usage("--input is to be JSON, such as '{\"id\": 7}', and %q came", input)
				}
			}
			if len(o.Lines) == 0 && args[0] != "-" {
				o.In = p.in
			}
			return p.playGraph(cmd, args[0], o)
		},
	}
	cmd.Flags().BoolVar(&virtual, "virtual-time", false, "delays pass at once")
	cmd.Flags().StringVar(&input, "input", "", "what the graph is started with, as `JSON`")
	return cmd
}

func (p *program) playGraph(cmd *cobra.Command, file string, o *play.RunOptions) error {
	g, err := p.soundGraph(file, true)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	if o.In == io.Reader(p.in) && isTerminal(p.in) {
		p.remark("Events, a line each; Ctrl-D ends.")
	}
	if !o.JSON {
		o.Out = cleanWriter{o.Out}
	}
	outcome, err := play.Run(ctx, g, o)
	switch {
	case err != nil && ctx.Err() != nil:
		return &coded{code: exitInterrupted}
	case err != nil:
		return err
	case outcome != play.Ended:
		return &coded{code: int(outcome)}
	}
	return nil
}
