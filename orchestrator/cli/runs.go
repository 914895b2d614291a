package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

func (p *program) runsCommand() *cobra.Command {
	list := &runList{program: p}
	root := &cobra.Command{
		Use:   "runs",
		Short: "List, show, watch, cancel and retry runs",
		Long: `A run is one conversation, or one piece of work, with its whole history. Without
a subcommand the latest are listed, with --all also those of delegates, and mailboxes. Wherever an id
is wanted, its beginning will do.`,
		Example: p.example("runs", "the latest runs", "runs list --status waiting,stuck", "those that need somebody",
			"runs show 7k2m", "all that happened in one", "runs watch 7k2m", "what happens in it"),
		Args: p.noCommand,
		RunE: list.main,
	}
	list.flags(root)
	ls := &cobra.Command{
		Use: "list", Short: "List runs, the last changed first", Args: exactly(0, "no arguments"), RunE: list.main,
		Example: p.example("runs list --agent desk --status stuck", "", "runs list --limit 0 --json", "all of them, a line of JSON each"),
	}
	list.flags(ls)
	root.AddCommand(ls, p.runsShowCommand(), p.runsWatchCommand(), p.runsCancelCommand(), p.runsRetryCommand())
	return root
}

// runList is one invocation of runs list.
type runList struct {
	*program
	agent    string
	statuses []string
	limit    int
	all      bool
}

func (l *runList) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.agent, "agent", "", "only runs of this `agent`")
	cmd.Flags().StringSliceVar(&l.statuses, "status", nil, "only runs of these `statuses`: planning, acting, waiting, idle, stuck, done, failed, cancelled")
	cmd.Flags().BoolVar(&l.all, "all", false, "also the runs that others have started as delegates, marked by ↳, and the mailboxes of signals with a key")
	cmd.Flags().IntVar(&l.limit, "limit", 20, "at most so many; 0 lists all")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(statusNames(), cobra.ShellCompDirectiveNoFileComp))
}

// allStatuses are the statuses that a run may have.
var allStatuses = []agent.Status{
	agent.StatusPlanning, agent.StatusActing, agent.StatusWaiting, agent.StatusIdle,
	agent.StatusStuck, agent.StatusDone, agent.StatusFailed, agent.StatusCancelled,
}

func statusNames() (names []string) {
	for _, s := range allStatuses {
		names = append(names, string(s))
	}
	return names
}

// query turns the flags into a query.
func (l *runList) query() (memory.RunQuery, error) {
	q := memory.RunQuery{Agent: l.agent, Limit: l.limit, Roots: !l.all}
	if l.limit < 0 {
		return q, usage("--limit is %d; it must be 0 or more", l.limit)
	}
	for _, s := range l.statuses {
		if !strings.Contains(" "+strings.Join(statusNames(), " ")+" ", " "+s+" ") {
			return q, usage("there is no status %q; there are %s", s, strings.Join(statusNames(), ", "))
		}
		q.Statuses = append(q.Statuses, agent.Status(s))
	}
	return q, nil
}

func (l *runList) main(cmd *cobra.Command, _ []string) error {
	q, err := l.query()
	if err != nil {
		return err
	}
	store, err := l.open(true)
	if err != nil {
		return err
	}
	defer store.Close()
	rows := &table{head: []string{"RUN", "AGE", "STATUS", "AGENT", "RECORDS", "WORKER", "TITLE"}, paint: painterFor(l.out, l.noColor)}
	for {
		page, err := store.Runs(cmd.Context(), q)
		if err != nil {
			return err
		}
		for i := range page.Runs {
			e := &page.Runs[i]
			if l.json {
				if err := l.printJSON(runJSONOf(e)); err != nil {
					return err
				}
				continue
			}
			rows.add(runRow(e, store.Now()))
		}
		if page.Next == "" || l.limit > 0 {
			return l.finish(rows, page.Next != "")
		}
		q.After = page.Next
	}
}

// finish prints the table, and where it comes from.
func (l *runList) finish(rows *table, more bool) error {
	if l.json {
		return nil
	}
	columns, _ := sizeOf(l.out)
	if err := rows.print(l.out, columns); err != nil {
		return err
	}
	switch {
	case len(rows.rows) == 0 && l.agent != "" && !l.all:
		l.remark("No runs in %s are that agent's own; --all looks at those of delegates, too.", l.storeName())
	case len(rows.rows) == 0:
		l.remark("No runs in %s.", l.storeName())
	case more:
		l.remark("There are more in %s; --limit 0 lists all.", l.storeName())
	default:
		l.remark("%s in %s.", plural(len(rows.rows), "run"), l.storeName())
	}
	return nil
}

// statusPaint is how a status looks.
func statusPaint(s agent.Status) paint {
	switch s {
	case agent.StatusStuck, agent.StatusFailed:
		return red
	case agent.StatusWaiting:
		return yellow
	case agent.StatusPlanning, agent.StatusActing:
		return cyan
	case agent.StatusIdle, agent.StatusDone:
		return green
	}
	return dim
}

func runRow(e *memory.RunEntry, now time.Time) []cell {
	worker := cell{text: e.Worker}
	switch {
	case e.Worker == "" && e.Late >= 2*time.Second:
		worker = cell{"nobody for " + ago(e.Late), yellow}
	case e.Worker == "":
		worker = cell{"–", dim}
	}
	title := e.Index.Title
	if e.Index.Reason != "" {
		title += " – " + e.Index.Reason
	}
	name := cleanLine(e.Index.Agent)
	if e.Index.Parent != "" {
		name = "↳ " + name
	}
	return []cell{
		{string(e.Run), cyan}, {ago(now.Sub(e.Updated)), dim}, {string(e.Index.Status), statusPaint(e.Index.Status)},
		{text: name}, {text: fmt.Sprint(e.Records)}, worker, {text: cleanLine(title)},
	}
}

// runJSON is a run as --json lists it.
type runJSON struct {
	Run     agent.RunID  `json:"run"`
	Agent   string       `json:"agent"`
	Parent  agent.RunID  `json:"parent,omitempty"` // that has started it as a delegate
	Status  agent.Status `json:"status"`
	Reason  string       `json:"reason,omitempty"`
	Title   string       `json:"title,omitempty"`
	Created time.Time    `json:"created"`
	Updated time.Time    `json:"updated"`
	Records int64        `json:"records"`
	Wake    time.Time    `json:"wake,omitzero"`
	Worker  string       `json:"worker,omitempty"`
	Late    float64      `json:"late_seconds,omitempty"` // how long it has wanted attention without getting it
}

func runJSONOf(e *memory.RunEntry) runJSON {
	return runJSON{
		Run: e.Run, Agent: e.Index.Agent, Parent: e.Index.Parent, Status: e.Index.Status, Reason: e.Index.Reason, Title: e.Index.Title,
		Created: e.Created, Updated: e.Updated, Records: e.Records, Wake: e.Index.Wake, Worker: e.Worker, Late: e.Late.Seconds(),
	}
}

// withRun opens the store and finds the run that an argument means.
func (p *program) withRun(ctx context.Context, prefix string, do func(store memory.Store, o *orchestrator.Orchestrator, e *memory.RunEntry) error) error {
	store, err := p.open(true)
	if err != nil {
		return err
	}
	defer store.Close()
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		return err
	}
	e, err := findRun(ctx, store, prefix)
	if err != nil {
		return err
	}
	return do(store, o, e)
}
