package cli

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner/graph"
)

func (p *program) graphMigrateCommand() *cobra.Command {
	var nodes map[string]string
	var text, who string
	cmd := &cobra.Command{
		Use:   "migrate RUN FILE",
		Short: "Have a run go by another graph from now on",
		Long: `Have a run, which goes on by the graph that it began with, go by another one from now
on. --map says what nodes are called there; the others keep their names. What is going
on stays so: it is refused where that is ambiguous, as when a node that is active is
not there or does something else. New variables get their first values.`,
		Example: p.example("graph migrate 7k2m order.yaml --map pay=charge,ask=review", "", "graph migrate 7k2m order.yaml --note \"a new carrier\"", ""),
		Args:    exactly(2, "the id of a run and the file of a graph"),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := p.soundGraph(args[1], false)
			if err != nil {
				return err
			}
			return p.withRun(cmd.Context(), args[0], func(store memory.Store, o *orchestrator.Orchestrator, e *memory.RunEntry) error {
				in := &orchestrator.Input{By: agent.User{ID: orLogin(who)}, Note: text}
				change := func(v *agent.View) (map[string]json.RawMessage, error) { return p.migrated(g, v, nodes) }
				if err := o.Redefine(cmd.Context(), e.Run, g.Definition(), change, in); err != nil {
					return err
				}
				return p.report(cmd.Context(), store, o, e.Run, "moved to the graph of "+args[1])
			})
		},
		ValidArgsFunction: p.completeFilesAndRuns,
	}
	cmd.Flags().StringToStringVar(&nodes, "map", nil, "what nodes are called in the new graph: `old=new,…`; those of a graph in it are GRAPH:NODE")
	cmd.Flags().Lookup("map").DefValue = "" // nothing to tell of
	cmd.Flags().StringVar(&text, "note", "", "`why`, for the log")
	cmd.Flags().StringVar(&who, "user", "", "the `id` of who does it; default is who is logged in")
	return cmd
}

// migrated returns the changes to what a run has saved that make it fit a graph.
func (p *program) migrated(g *graph.Graph, v *agent.View, nodes map[string]string) (map[string]json.RawMessage, error) {
	switch {
	case len(v.Definition) == 0:
		return nil, errors.New("the graph by which it goes is lost, and without it nothing can be carried over")
	case bytes.Equal(v.Definition, g.Definition()):
		return nil, errors.New("it goes by this graph already")
	}
	if len(v.Tools)+len(v.Delegates) > 0 { // this program has the agent
		if err := g.Vet(&agent.Agent{Name: v.Agent, Tools: v.Tools, Delegates: v.Delegates}); err != nil {
			return nil, err
		}
	}
	d, err := decodeGraph(v.Definition)
	if err != nil {
		return nil, err
	}
	old, err := graph.New(d, p.graphOptions(d, true))
	if err != nil {
		return nil, err
	}
	return g.Migrate(old, v.Keys, graph.Facts{User: v.User, Meta: v.Meta, Now: v.Now, Tools: v.Tools, Delegates: v.Delegates}, nodes)
}
