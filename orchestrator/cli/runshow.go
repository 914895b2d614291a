package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/graph"
)

func (p *program) runsShowCommand() *cobra.Command {
	var log bool
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show all that happened in a run, and how it and its delegates stand",
		Long: `Show a run: the conversation, the calls with their outcomes, the tree of its
delegates with what each waits for, what is asked, what may happen next in the graph by
which it goes, how it stands and why, and what it has spent. With --json it is one object, with --log each record of the log.`,
		Example:           p.example("runs show 7k2m", "", "runs show 7k2m --log --json", "the log as it is stored, a line each"),
		Args:              exactly(1, "the id of a run"),
		ValidArgsFunction: p.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withRun(cmd.Context(), args[0], func(store memory.Store, o *orchestrator.Orchestrator, e *memory.RunEntry) error {
				v := &runView{program: p, entry: e, paint: painterFor(p.out, p.noColor), now: store.Now()}
				v.columns, _ = sizeOf(p.out)
				f := follow(e.Run, "")
				f.tell.whole, f.tell.asksToo = true, true
				err := f.readOn(cmd.Context(), store, func(ev orchestrator.Event) { v.take(ev, f.tell.tell(ev), log) })
				if err != nil {
					return err
				}
				if v.tree, err = o.Tree(cmd.Context(), e.Run); err != nil {
					return err
				}
				if v.graph, err = p.graphRunOf(cmd.Context(), store, f.state); err != nil && !errors.Is(err, errNoGraph) {
					return err
				}
				return v.print(f.state, log)
			})
		},
	}
	cmd.Flags().BoolVar(&log, "log", false, "show the records of the log")
	return cmd
}

// runView is what runs show prints.
type runView struct {
	*program
	entry   *memory.RunEntry
	paint   painter
	columns int
	now     time.Time
	tree    *orchestrator.Tree
	graph   *graphRun // nil if the run goes by none

	told    []para
	records []orchestrator.Event // with --log; only their records are looked at
}

func (v *runView) take(ev orchestrator.Event, paras []para, log bool) {
	if log {
		v.records = append(v.records, orchestrator.Event{Run: ev.Run, Record: ev.Record, Status: ev.Status})
		return
	}
	v.told = append(v.told, paras...)
}

func (v *runView) print(s *run.State, log bool) error {
	switch {
	case log:
		return v.printLog()
	case v.json:
		return v.printJSON(v.whole(s))
	}
	v.write(v.heading(s)...)
	v.write(v.told...)
	if len(v.tree.Children) > 0 {
		v.write(drawTree(v.tree, v.now)...)
	}
	v.writeAsks(v.tree)
	v.write(v.mayHappen(v.graph)...)
	v.write(v.footing(s)...)
	return nil
}

func (v *runView) writeAsks(t *orchestrator.Tree) {
	for _, a := range asksOf(t) {
		v.write(showAsk(a, v.now)...)
		v.write(showFields(a)...)
		v.write(para{mark: "    ", text: "answer with: " + v.answerLine(a), paint: dim})
	}
}

func (v *runView) write(paras ...para) {
	for _, p := range paras {
		for _, l := range p.lines(v.columns, v.paint) {
			fmt.Fprintln(v.out, v.discreet(l))
		}
	}
}

// printLog prints the records: a line of JSON each, or when and what.
func (v *runView) printLog() error {
	for _, ev := range v.records {
		if v.json {
			if err := v.printJSON(ev); err != nil {
				return err
			}
			continue
		}
		r := ev.Record
		data, err := run.Encode(r.Event)
		if err != nil {
			return err
		}
		v.write(para{mark: fmt.Sprintf("%4d  %s  ", r.Seq, r.Time.Local().Format("15:04:05.000")), tint: dim, text: string(data), cut: 2})
	}
	return nil
}

func (v *runView) heading(s *run.State) []para {
	text := fmt.Sprintf("%s · begun %s ago", cleanLine(s.Agent), ago(v.now.Sub(s.Created)))
	if who := nameOf(s.User); who != "" {
		text += " for " + cleanLine(who)
	}
	out := []para{{text: "run " + string(s.Run), paint: bold}, {text: text, paint: dim}}
	if s.Parent != nil {
		out = append(out, para{text: fmt.Sprintf("a task of %s, in run %s", pathOf(s.Parent.Path), s.Parent.Run), paint: dim})
	}
	return out
}

func (v *runView) footing(s *run.State) []para {
	status := string(s.Status())
	if s.Reason() != "" {
		status += ": " + cleanLine(s.Reason())
	}
	out := []para{{gap: true, mark: "status  ", tint: dim, text: status, paint: statusPaint(s.Status())}}
	switch {
	case v.entry.Worker != "":
		out = append(out, para{mark: "worker  ", tint: dim, text: v.entry.Worker})
	case v.entry.Late >= 2*time.Second:
		out = append(out, para{mark: "worker  ", tint: dim, text: "nobody for " + ago(v.entry.Late) + "; drive it with: " + v.line("work"), paint: yellow})
	}
	spent := []string{plural(s.Spent.Steps, "step"), plural(int(s.Seq), "record")}
	if u := s.Spent.Usage; u.Total() > 0 {
		spent = append(spent, fmt.Sprintf("%d tokens in, %d out", u.Input, u.Output))
	}
	return append(out, para{mark: "spent   ", tint: dim, text: strings.Join(spent, ", ")})
}

// wholeRun is a run as runs show --json prints it.
type wholeRun struct {
	runJSON
	User     agent.User       `json:"user,omitzero"`
	Messages []*agent.Message `json:"messages"`
	Open     []*run.Open      `json:"open,omitempty"`
	Asks     []*agent.Ask     `json:"asks,omitempty"`
	Spent    run.Spent        `json:"spent"`
	Enabled  []graph.Enabled  `json:"enabled,omitempty"` // what may happen now in the graph by which it goes
	Below    []treeJSON       `json:"delegates,omitempty"`
}

func (v *runView) whole(s *run.State) wholeRun {
	view := s.View(v.now) // with what no move has taken up yet
	w := wholeRun{runJSON: runJSONOf(v.entry), User: s.User, Messages: view.Messages, Open: s.Open, Asks: s.Asks(), Spent: s.Spent, Below: treesJSON(v.tree.Children, v.now)}
	if v.graph != nil {
		w.Enabled = v.graph.now
	}
	return w
}
