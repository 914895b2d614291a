package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
		Long: `A guided tour of a minute that needs no key and no network: tools in parallel, an
approval, and a worker process that is killed in the middle of a refund. The tour
types real commands, and proves from the log what it has shown; it fails if
anything was not so.`,
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
	question = "Where are orders 1043 and 1046?"
	request  = "Please refund order 1042, it arrived broken."
)

// acts are the tour.
func (t *tour) acts() error {
	t.heading("A tour of Fermata: a pretend web shop, its service desk, and a bank that keeps a ledger")
	t.tell("Every run is a log in one file. The processes of this machine share it.")
	t.typed("export FERMATA_STORE=" + t.path)

	t.heading("1  Tools in parallel")
	t.tell("The desk looks up two orders and two parcels at once. Each result is durable as it comes.")
	if err := t.command(0, "chat", question); err != nil {
		return err
	}
	t.heading("2  A person approves")
	t.tell("More than 100 EUR needs a person. The command ends here: a run that waits is bytes in a file.")
	if err := t.command(3, "chat", request); err != nil {
		return err
	}
	ask, err := t.openAsk()
	if err != nil {
		return err
	}
	t.tell("Anybody with the file may answer, from any process, now or next month.")
	if err := t.command(0, "asks", "answer", string(ask.ID), "--approve", "--by", "ann"); err != nil {
		return err
	}
	killed, err := t.kill(ask)
	if err != nil {
		return err
	}
	if err := t.takeOver(ask.ID.Run()); err != nil {
		return err
	}
	return t.prove(ask, killed)
}

// openAsk returns the ask that the second act has opened.
func (t *tour) openAsk() (*agent.Ask, error) {
	asks, _, err := t.orch.Asks(t.ctx, memory.AskQuery{})
	if err != nil {
		return nil, err
	}
	if len(asks) != 1 {
		return nil, fmt.Errorf("not proven: one approval should be open, and there are %d", len(asks))
	}
	return asks[0], nil
}

// kill has a worker begin the refund, and kills it when the bank has paid and
// has not answered yet.
func (t *tour) kill(ask *agent.Ask) (*worker, error) {
	t.heading("3  The worker is killed in the middle of the refund")
	t.tell("A worker takes the run up. This bank pays at once and answers after 2 seconds; in between, kill -9.")
	w, err := t.work(1, desk.PauseVar+"=2s")
	if err != nil {
		return nil, err
	}
	defer w.end()
	entry, err := t.paid(w)
	if err != nil {
		return nil, err
	}
	if err := w.kill(); err != nil {
		return nil, err
	}
	t.typed(fmt.Sprintf("kill -9 %d", w.pid()))
	t.tell(fmt.Sprintf("The bank's ledger says: order %d, %.2f EUR, paid, asked by process %d. That process is dead (%s), and so is all that it knew. Was the money paid? Nobody who is alive has heard.",
		entry.Order, entry.Amount, entry.Process, w.fate()))
	return w, nil
}

// paid waits for a payment in the ledger.
func (t *tour) paid(w *worker) (*desk.Entry, error) {
	ctx, cancel := context.WithTimeout(t.ctx, 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		entries, err := t.bank.Entries(0)
		if err != nil {
			return nil, err
		}
		if len(entries) > 0 {
			return &entries[0], nil
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
	t.heading("4  Another worker takes over")
	t.tell(fmt.Sprintf("It finds a refund that was begun. That may still come back until its time-out of %s has passed; then the outcome is unknown. It is not made again: the tool asks the bank what became of it.", desk.RefundTimeout))
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
