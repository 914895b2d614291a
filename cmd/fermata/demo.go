package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/desk"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
)

func demoCommand() *cobra.Command {
	var fast bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A guided tour of a minute, in a store of its own",
		Long: `A guided tour of a minute that needs no key and no network: tools in parallel, tasks
for another agent, a hand-off, who may approve what, and a worker process that is
killed in the middle of two refunds. The tour types real commands, and proves from
the logs what it has shown; it fails if anything was not so.`,
		Example: "  fermata demo\n  fermata demo --fast    # without pauses for reading",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			noColor, err := cmd.Flags().GetBool("no-color")
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("store") {
				return fmt.Errorf("the tour makes a store of its own; leave out --store")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return demo(ctx, fast, noColor)
		},
	}
	cmd.Flags().BoolVar(&fast, "fast", false, "without pauses for reading")
	return cmd
}

// A tour is one demonstration. What it prints of the program comes from the
// program's own commands, run as processes of their own; what it proves comes
// from the store's log and the bank's ledger.
type tour struct {
	ctx   context.Context
	self  string // this program
	path  string // of the store
	pause time.Duration
	color bool

	store memory.Store
	orch  *orchestrator.Orchestrator
	bank  *desk.Bank

	// The runs of its acts.
	parallel, tasks, handed, refunds agent.RunID
}

func demo(ctx context.Context, fast, noColor bool) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the tour cannot find its own program: %w", err)
	}
	dir, err := os.MkdirTemp("", "fermata-demo-")
	if err != nil {
		return fmt.Errorf("the tour cannot make a directory for its store: %w", err)
	}
	t := &tour{ctx: ctx, self: self, path: filepath.Join(dir, "demo.db"), pause: 2 * time.Second}
	t.color = !noColor && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(os.Stdout.Fd()))
	if fast {
		t.pause = 0
	}
	store, err := sqlite.Open(t.path, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	t.store, t.bank = store, desk.NewBank(desk.Ledger(t.path))
	if t.orch, err = orchestrator.New(store, nil, nil); err != nil {
		return err
	}
	err = t.acts()
	if ctx.Err() != nil {
		return fmt.Errorf("the tour was interrupted; its store is %s", t.path)
	}
	return err
}

const (
	where    = "Where are orders 1043 and 1046?"
	charged  = "Why was I charged VAT on orders 1042 and 1043?"
	sendBack = "I want to return order 1045."
	request  = "Please refund orders 1042 and 1046."
	customer = "ann"
	helper   = "carl"
	chief    = "bob"
)

// acts are the tour.
func (t *tour) acts() error {
	t.heading("A tour of Fermata: a pretend web shop, its service desk, and a bank that keeps a ledger")
	t.tell("Every run is a log in one file. The processes of this machine share it.")
	t.typed("export FERMATA_STORE=" + t.path)

	for _, act := range []func() error{t.toolsAct, t.tasksAct, t.handOffAct} {
		if err := act(); err != nil {
			return err
		}
	}
	asks, err := t.approvalsAct()
	if err != nil {
		return err
	}
	killed, err := t.kill(len(asks))
	if err != nil {
		return err
	}
	if err := t.takeOver(t.refunds); err != nil {
		return err
	}
	return t.prove(asks, killed)
}

func (t *tour) toolsAct() (err error) {
	t.heading("1  Tools in parallel")
	t.tell("The desk looks up two orders and two parcels at once. Each result is durable as it comes.")
	t.parallel, err = t.chat(0, where)
	return err
}

func (t *tour) tasksAct() (err error) {
	t.heading("2  Tasks for another agent")
	t.tell("Invoices are for billing. Each task is a run of its own, on any worker.")
	if t.tasks, err = t.chat(0, charged); err != nil {
		return err
	}
	return t.command(0, "runs", "show", string(t.tasks))
}

func (t *tour) handOffAct() (err error) {
	t.heading("3  A hand-off, and a form")
	t.tell("Returns goes on with the customer, in the same run. It waits for a form; a run that waits is bytes in a file.")
	if t.handed, err = t.chat(3, sendBack, "--user", customer); err != nil {
		return err
	}
	asks, err := t.openAsks(1)
	if err != nil {
		return err
	}
	if err := t.command(0, "asks", "answer", string(asks[0].ID), "--user", customer,
		"--field", "reason=I changed my mind", "--field", "opened=no", "--field", "pickup=2026-03-14"); err != nil {
		return err
	}
	return t.command(0, "chat", "--run", string(t.handed), nothing)
}

// approvalsAct has two refunds approved, and returns the asks.
func (t *tour) approvalsAct() (asks []*agent.Ask, err error) {
	t.heading("4  Who may approve")
	t.tell(fmt.Sprintf("More than %.0f EUR needs a person, more than %.0f EUR a supervisor who is not the customer. If none answers within 2 hours, the managers are asked.", desk.ApproveAbove, desk.SuperviseAbove))
	if t.refunds, err = t.chat(3, request, "--user", customer); err != nil {
		return nil, err
	}
	if asks, err = t.openAsks(2); err != nil {
		return nil, err
	}
	low, high := string(asks[0].ID), string(asks[1].ID)
	if err := t.command(0, "asks", "show", high); err != nil {
		return nil, err
	}
	t.tell("From any process, now or next month:")
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{low, "--approve", "--user", helper}},
		{1, []string{high, "--approve", "--user", customer}},
		{1, []string{high, "--approve", "--user", helper}},
		{0, []string{high, "--approve", "--user", chief, "--group", desk.Supervisors}},
	} {
		if err := t.command(c.code, append([]string{"asks", "answer"}, c.args...)...); err != nil {
			return nil, err
		}
	}
	return asks, nil
}

// chat says something in a new run, and returns that.
func (t *tour) chat(want int, words string, more ...string) (agent.RunID, error) {
	if err := t.command(want, append([]string{"chat", words}, more...)...); err != nil {
		return "", err
	}
	page, err := t.orch.Runs(t.ctx, memory.RunQuery{Roots: true, Limit: 1})
	if err != nil {
		return "", err
	}
	if len(page.Runs) != 1 {
		return "", errors.New("not proven: the chat has left no run in the store")
	}
	return page.Runs[0].Run, nil
}

// openAsks returns what is asked, which are so many, the oldest first.
func (t *tour) openAsks(want int) ([]*agent.Ask, error) {
	asks, _, err := t.orch.Asks(t.ctx, memory.AskQuery{})
	if err != nil {
		return nil, err
	}
	if len(asks) != want {
		return nil, fmt.Errorf("not proven: %d should be asked, and %d is", want, len(asks))
	}
	slices.SortFunc(asks, func(a, b *agent.Ask) int { return cmp.Compare(a.ID, b.ID) })
	return asks, nil
}

// kill has a worker begin the refunds, and kills it when the bank has paid and
// has not answered yet.
func (t *tour) kill(refunds int) (*worker, error) {
	t.heading("5  The worker is killed in the middle of the refunds")
	t.tell("This bank pays at once and answers after 2 seconds; in between, kill -9.")
	w, err := t.work(1, desk.PauseVar+"=2s")
	if err != nil {
		return nil, err
	}
	defer w.end()
	entries, err := t.paid(w, refunds)
	if err != nil {
		return nil, err
	}
	if err := w.kill(); err != nil {
		return nil, err
	}
	t.typed(fmt.Sprintf("kill -9 %d", w.pid()))
	var paid []string
	for _, e := range entries {
		paid = append(paid, fmt.Sprintf("%.2f EUR for order %d", e.Amount, e.Order))
	}
	t.tell(fmt.Sprintf("The bank's ledger says: %s, paid. Process %d, which asked for it, is dead (%s). Was the money paid? Nobody who is alive has heard.",
		strings.Join(paid, ", "), w.pid(), w.fate()))
	return w, nil
}

// paid waits for so many payments in the ledger.
func (t *tour) paid(w *worker, want int) ([]desk.Entry, error) {
	ctx, cancel := context.WithTimeout(t.ctx, 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		entries, err := t.bank.Entries(0)
		if err != nil {
			return nil, err
		}
		if len(entries) >= want {
			return entries, nil
		}
		select {
		case <-tick.C:
		case <-w.gone:
			return nil, fmt.Errorf("not proven: worker 1 ended before the bank had paid (%s)", w.fate())
		case <-ctx.Done():
			return nil, fmt.Errorf("not proven: the bank has not paid: %w", context.Cause(ctx))
		}
	}
}

// takeOver has a second worker go on with the run to the end of its turn.
func (t *tour) takeOver(id agent.RunID) error {
	t.heading("6  Another worker takes over")
	t.tell(fmt.Sprintf("It finds refunds that were begun, and makes none again: when their time-out of %s has passed, the tool asks the bank what became of them.", desk.RefundTimeout))
	w, err := t.work(2)
	if err != nil {
		return err
	}
	defer w.end()
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	for _, err := range t.orch.Watch(ctx, id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) {
		if err != nil {
			return fmt.Errorf("not proven: the second worker did not bring the run to the end of its turn: %w", err)
		}
	}
	w.end()
	return nil
}
