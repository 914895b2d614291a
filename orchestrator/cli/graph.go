package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

func (p *program) graphCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "graph",
		Short: "Check, draw and try graphs, and move runs to new ones",
		Long: `A graph is a workflow that is written down, as YAML, JSON or SCXML: what is done, in
which order, who is asked, and what happens when something fails.`,
		Example: p.example("graph check order.yaml", "all that is wrong with it", "graph show order.yaml", "what it does, as text",
			"graph show 7k2m --format mermaid", "a picture of a run, with where it stands", "graph run order.yaml paid +36h --virtual-time", "try it, without a store"),
		Args: p.noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(p.graphCheckCommand(), p.graphShowCommand(), p.graphRunCommand(), p.graphMigrateCommand())
	return root
}

func (p *program) graphCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Say all that is wrong with graphs",
		Long: `Read graphs and say all that is wrong with them, a line for each thing: where, what
was expected and what is there, and the name of the rule. With --json it is an object
{"path", "rule", "message", "line"} each, so that a program, or a model, can mend its
own draft. - is standard input. Names of tools and agents are not looked up.

It ends with code 0 if nothing is wrong, and with 1 otherwise.`,
		Example: p.example("graph check order.yaml", "", "graph check --json - < draft.yaml", "for programs"),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return nil
			}
			return usage("%s takes the files of graphs, and none came; see %s --help", cmd.CommandPath(), cmd.CommandPath())
		},
		RunE: func(_ *cobra.Command, args []string) error { return p.checkGraphs(args) },
	}
}

func (p *program) checkGraphs(files []string) error {
	wrong := 0
	for _, file := range files {
		_, problems, err := p.readGraph(file, false)
		if err != nil {
			return err
		}
		wrong += len(problems)
		of := ""
		if len(files) > 1 {
			of = file
		}
		for _, problem := range problems {
			if err := p.tellGraphProblem(p.out, of, problem); err != nil {
				return err
			}
		}
		if len(problems) == 0 && !p.json {
			p.remark("%s is in order.", file)
		}
	}
	if wrong > 0 {
		return &coded{code: exitError}
	}
	return nil
}

// graphProblem is what is wrong with a graph, as --json prints it.
type graphProblem struct {
	File string `json:"file,omitempty"` // if there are several
	graph.Problem
}

func (p *program) tellGraphProblem(w io.Writer, file string, problem graph.Problem) error {
	if p.json && w == io.Writer(p.out) {
		return p.printJSON(graphProblem{file, problem})
	}
	text := problem.String()
	if file != "" {
		text = file + ": " + text
	}
	_, err := fmt.Fprintln(w, p.discreet(cleanLine(text)))
	return err
}

// readGraph reads a graph from a file, or from standard input if that is called -. It
// returns what could be read, and all that is wrong with it. With lax an SCXML document
// may have what the recommendation lets fail when it is reached.
func (p *program) readGraph(file string, lax bool) (*graph.Definition, []graph.Problem, error) {
	data, err := p.readFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("the graph cannot be read: %w", err)
	}
	foreign := isSCXML(file, data)
	var d *graph.Definition
	switch {
	case foreign && file == "-":
		d, err = scxml.Load(data, &scxml.LoadOptions{Lax: lax})
	case foreign:
		d, err = scxml.LoadFile(file, &scxml.LoadOptions{Lax: lax})
	default:
		d, err = graph.Parse(data)
	}
	var invalid *graph.Invalid
	switch {
	case errors.As(err, &invalid):
		return nil, invalid.Problems, nil
	case err != nil:
		return nil, nil, err
	}
	problems := graph.Check(d, p.graphOptions(d, foreign))
	if !foreign {
		graph.Locate(data, problems)
	}
	return d, problems, nil
}

// mostRead is how much is read of a file: enough to see that it is too large for a graph.
const mostRead = 2 << 20

func (p *program) readFile(file string) ([]byte, error) {
	in := p.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, mostRead))
}

// isSCXML says whether a document is SCXML: by its name, or by its first sign.
func isSCXML(file string, data []byte) bool {
	return strings.EqualFold(filepath.Ext(file), ".scxml") || bytes.HasPrefix(bytes.TrimSpace(data), []byte("<"))
}

// graphOptions are the program's, with a stand-in for each model that it does not
// have: the models of a run are those of its worker.
func (p *program) graphOptions(d *graph.Definition, lax bool) *graph.Options {
	o := graph.Options{Lax: lax, Models: map[string]agent.Model{}}
	if p.app.Graphs != nil {
		o.Funcs = p.app.Graphs.Funcs
		for name, m := range p.app.Graphs.Models {
			o.Models[name] = m
		}
	}
	asked := modelsOf(d, map[string]bool{})
	for name := range asked {
		if _, ok := o.Models[name]; !ok && name != "" {
			o.Models[name] = nobody
		}
	}
	if asked[""] && len(o.Models) == 0 {
		o.Models["model"] = nobody
	}
	return &o
}

var nobody agent.Model = agent.ModelFunc(nil)

// modelsOf adds the names of the models that a definition asks.
func modelsOf(d *graph.Definition, names map[string]bool) map[string]bool {
	for _, list := range [][]graph.Node{d.Nodes, d.Steps} {
		for _, n := range list {
			if n.Plan != nil {
				names[n.Plan.Model] = true
			}
		}
	}
	for _, g := range d.Graphs {
		if g != nil {
			modelsOf(g, names)
		}
	}
	return names
}

// soundGraph reads a graph that is to be used: if it is refused, it says why, and
// returns an error that says no more.
func (p *program) soundGraph(file string, lax bool) (*graph.Graph, error) {
	d, problems, err := p.readGraph(file, lax)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		p.complain(fmt.Sprintf("the graph %s is refused:", file))
		for _, problem := range problems {
			if err := p.tellGraphProblem(p.err, "", problem); err != nil {
				return nil, err
			}
		}
		return nil, &coded{code: exitError}
	}
	return graph.New(d, p.graphOptions(d, d.Language == "ecmascript"))
}
