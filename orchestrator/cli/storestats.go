package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

func (p *program) storeStatsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Count what is kept, and what waits for a worker",
		Long: `Count the runs by how they stand, the open asks, and for each agent the runs that
want attention and have no worker, with how long the first of them has waited.`,
		Example: p.example("store stats", "", "store stats --json", "one object, for a monitor"),
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStore(cmd.Context(), func(ctx context.Context, store memory.Store, _ *orchestrator.Orchestrator) error {
				s, err := p.count(ctx, store)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(s)
				}
				return p.tellStats(s)
			})
		},
	}
}

// storeStats is what store stats --json prints.
type storeStats struct {
	Store  string                 `json:"store"`
	Bytes  int64                  `json:"bytes,omitempty"` // of a file
	Runs   int64                  `json:"runs"`
	Status map[agent.Status]int64 `json:"status"`
	Asks   int64                  `json:"asks"`
	Ready  map[string]readyStats  `json:"ready"` // by agent
}

// readyStats is what wants attention of one agent's runs.
type readyStats struct {
	Runs   int64   `json:"runs"`
	Lag    float64 `json:"lag_seconds"` // how long the first of them has waited
	Driven int64   `json:"driven"`      // runs of this agent that workers have
}

func (r readyStats) lag() time.Duration { return time.Duration(r.Lag * float64(time.Second)) }

// count counts what is kept. The runs are counted one by one, so that the sums
// fit even while they change.
func (p *program) count(ctx context.Context, store memory.Store) (*storeStats, error) {
	kept, err := store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	s := &storeStats{
		Store: p.storeName(), Bytes: p.storeSize(), Asks: kept.Asks,
		Status: map[agent.Status]int64{}, Ready: map[string]readyStats{},
	}
	driven := map[string]int64{}
	for q := (memory.RunQuery{Limit: 500}); ; {
		page, err := store.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Runs {
			e := &page.Runs[i]
			s.Runs++
			s.Status[e.Index.Status]++
			if e.Worker != "" {
				driven[e.Index.Agent]++
			}
		}
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	for name, r := range kept.Ready {
		s.Ready[name] = readyStats{Runs: r.Runs, Lag: r.Lag.Seconds(), Driven: driven[name]}
	}
	return s, nil
}

// storeSize returns the bytes of a store that is a file, with what is not merged
// into it yet; 0 if it is none.
func (p *program) storeSize() (n int64) {
	path, _ := p.storePath()
	if isURL(path) {
		return 0
	}
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
	}
	return n
}

func (p *program) tellStats(s *storeStats) error {
	where := s.Store
	if s.Bytes > 0 {
		where += ", " + bytesText(s.Bytes)
	}
	asks := "none open"
	if s.Asks > 0 {
		asks = fmt.Sprintf("%d open; they are listed with: %s", s.Asks, p.line("asks"))
	}
	paras := []para{
		{mark: "store  ", tint: dim, text: where},
		{mark: "runs   ", tint: dim, text: s.runsText()},
		{mark: "asks   ", tint: dim, text: asks},
	}
	if len(s.Ready) == 0 {
		paras = append(paras, para{mark: "ready  ", tint: dim, text: "no run waits for a worker"})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ready)) {
		paras = append(paras, p.readyPara(name, s.Ready[name]))
	}
	c := painterFor(p.out, p.noColor)
	columns, _ := sizeOf(p.out)
	for _, para := range paras {
		for _, l := range para.lines(columns, c) {
			if _, err := fmt.Fprintln(p.out, p.discreet(l)); err != nil {
				return err
			}
		}
	}
	return nil
}

// runsText counts the runs by status, in the order of their lives.
func (s *storeStats) runsText() string {
	var parts []string
	for _, status := range allStatuses {
		if n := s.Status[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	text := fmt.Sprint(s.Runs)
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}

// readyPara tells of the runs of one agent that want attention: one that waits for
// longer than a worker takes has none, or too few.
func (p *program) readyPara(name string, r readyStats) para {
	verb := "want"
	if r.Runs == 1 {
		verb = "wants"
	}
	what := plural(int(r.Runs), "run") + " of " + cleanLine(name)
	if name == run.MailboxAgent {
		what = strings.Replace(plural(int(r.Runs), "mailbox"), "xs", "xes", 1)
	}
	out := para{mark: "ready  ", tint: dim, text: fmt.Sprintf("%s %s attention, the first for %s", what, verb, ago(r.lag()))}
	if r.lag() < lateAfter {
		return out
	}
	out.paint = yellow
	if r.Driven > 0 {
		out.text += fmt.Sprintf("; workers have %d others: more of them would help", r.Driven)
	} else if name == run.MailboxAgent {
		out.text += "; no worker seems to be there, start one with: " + p.line("work")
	} else {
		out.text += fmt.Sprintf("; no worker seems to have agent %s, start one with: %s", cleanLine(name), p.line("work"))
	}
	return out
}

// lateAfter is how long a run waits that no worker takes.
const lateAfter = 2 * time.Second

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	switch {
	case n < 10_000:
		return plural(int(n), "byte")
	case n < 10_000_000:
		return fmt.Sprintf("%d KB", n/1000)
	case n < 10_000_000_000:
		return fmt.Sprintf("%d MB", n/1_000_000)
	}
	return fmt.Sprintf("%d GB", n/1_000_000_000)
}
