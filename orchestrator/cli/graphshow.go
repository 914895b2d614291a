package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner/graph"
)

// pictureForms are the values of --format.
var pictureForms = []string{"text", "mermaid", "dot", "flow"}

// graphShowing is one invocation of graph show.
type graphShowing struct {
	*program
	format, part string
}

func (p *program) graphShowCommand() *cobra.Command {
	s := &graphShowing{program: p}
	cmd := &cobra.Command{
		Use:   "show FILE|RUN",
		Short: "Draw a graph, or a run with where it stands and how it came there",
		Long: `Draw a graph: as text, or as a picture in the language of Mermaid (for Markdown), of
Graphviz (dot), or as JSON for React Flow (flow). Of a run, the graph is the one by
which it goes; the nodes that are active, those that were, the edges that were taken
and where the run is stuck are marked.`,
		Example: p.example("graph show order.yaml", "as text", "graph show 7k2m --format dot | dot -Tsvg > run.svg", "a picture of a run",
			"graph show order.yaml --graph invoice", "a graph in it"),
		Args:              exactly(1, "a file, or the id of a run"),
		ValidArgsFunction: p.completeFilesAndRuns,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.main(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&s.format, "format", "", "`how`: "+strings.Join(pictureForms, ", ")+"; default is text, with --json flow")
	cmd.Flags().StringVar(&s.part, "graph", "", "the `name` of a graph in it that is to be drawn")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(pictureForms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// completeFilesAndRuns completes the id of a run, or the name of a file.
func (p *program) completeFilesAndRuns(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	runs, _ := p.completeRuns(cmd, args, begun)
	return runs, cobra.ShellCompDirectiveDefault
}

func (s *graphShowing) main(ctx context.Context, what string) error {
	switch {
	case s.format == "" && s.json:
		s.format = "flow"
	case s.format == "":
		s.format = "text"
	case !slices.Contains(pictureForms, s.format):
		return usage("there is no format %q; there are %s", s.format, strings.Join(pictureForms, ", "))
	}
	if isGraphFile(what) {
		return s.file(what)
	}
	return s.withRun(ctx, what, func(store memory.Store, o *orchestrator.Orchestrator, e *memory.RunEntry) error {
		return s.run(ctx, store, o, e.Run)
	})
}

// run draws a run; as text with what may happen now.
func (s *graphShowing) run(ctx context.Context, store memory.Store, o *orchestrator.Orchestrator, id agent.RunID) error {
	f, t := follow(id, ""), trail{}
	if err := f.readOn(ctx, store, t.take); err != nil {
		return err
	}
	r, err := s.graphRunOf(ctx, store, f.state)
	if err != nil {
		return err
	}
	if err := s.print(r.def, r.marks(&t, s.part)); err != nil || s.format != "text" {
		return err
	}
	if r.whyNo != nil {
		s.remark("What may happen next cannot be said here: %s", plainly(r.whyNo))
	}
	tree, err := o.Tree(ctx, id)
	if err != nil {
		return err
	}
	v := &runView{program: s.program, paint: painterFor(s.out, s.noColor), now: store.Now()}
	v.columns, _ = sizeOf(s.out)
	v.writeAsks(tree)
	v.write(s.mayHappen(r)...)
	return nil
}

// isGraphFile says whether an argument means a file and not a run: it is there, or its
// name is none that a run can have.
func isGraphFile(what string) bool {
	if _, err := os.Stat(what); !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return what == "-" || filepath.Ext(what) != "" || strings.ContainsRune(what, filepath.Separator)
}

// file draws the graph of a file, also one that is refused.
func (s *graphShowing) file(name string) error {
	d, problems, err := s.readGraph(name, false)
	switch {
	case err != nil:
		return err
	case d == nil:
		for _, problem := range problems {
			if err := s.tellGraphProblem(s.err, name, problem); err != nil {
				return err
			}
		}
		return &coded{code: exitError}
	case len(problems) > 0:
		s.remark("%s: %s; see: %s", name, plural(len(problems), "problem"), s.line("graph", "check", name))
	}
	return s.print(d, nil)
}

func (s *graphShowing) print(d *graph.Definition, m *graph.Marks) error {
	if s.part != "" {
		inner := findGraph(d, s.part)
		if inner == nil {
			return usage("the graph %s has no graph %q in it", d.Graph, s.part)
		}
		d = inner
	}
	text := ""
	switch s.format {
	case "mermaid":
		text = d.Mermaid(m)
	case "dot":
		text = d.DOT(m)
	case "flow":
		data, err := d.Flow(m)
		if err != nil {
			return err
		}
		text = string(data) + "\n"
	default:
		text = d.Outline(m)
	}
	_, err := fmt.Fprint(s.out, s.discreet(text))
	return err
}

func findGraph(d *graph.Definition, name string) *graph.Definition {
	for _, g := range d.Graphs {
		if g == nil {
			continue
		}
		if g.Graph == name {
			return g
		}
		if inner := findGraph(g, name); inner != nil {
			return inner
		}
	}
	return nil
}
