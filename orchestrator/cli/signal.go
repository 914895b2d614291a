package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/graph"
)

// signalling is one invocation of signal.
type signalling struct {
	*program
	key, run, data, id, by string
	keep                   time.Duration
}

func (p *program) signalCommand() *cobra.Command {
	s := &signalling{program: p}
	cmd := &cobra.Command{
		Use:   "signal NAME",
		Short: "Tell of an event from outside: to a run, or to whoever waits for it",
		Long: `Tell of an event from outside, such as a payment that has come, with any JSON as
its data.

With --key, whoever waits for the signal with that correlation key gets it, now or
as long as --keep says: one of those that wait, the first that is there. With --run
that run gets it. With --id it counts once, however often it is sent.`,
		Example: p.example("signal paid --key order-7 --data '{\"sum\": 3}'", "whoever waits for it", "signal paid --key order-7 --id tx-99 --keep 1h", "once, within an hour",
			"signal paid --run 7k2m", "to this run"),
		Args: exactly(1, "the name of a signal"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.main(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&s.key, "key", "", "the correlation `key` that who waits for it names")
	flags.StringVar(&s.run, "run", "", "the `id` of the run that is to get it")
	flags.StringVar(&s.data, "data", "", "its data, as `JSON`")
	flags.StringVar(&s.id, "id", "", "an `id` of the event: the signal counts once")
	flags.Var(spanOf(&s.keep, orchestrator.DefaultKeep), "keep", "with --key: how `long` it is kept when nothing waits, at most 720h")
	flags.StringVar(&s.by, "user", "", "the `id` of who sends it; default is who is logged in")
	_ = cmd.RegisterFlagCompletionFunc("run", p.completeRuns)
	return cmd
}

func (s *signalling) main(cmd *cobra.Command, name string) error {
	byKey, byRun := cmd.Flags().Changed("key"), cmd.Flags().Changed("run")
	switch {
	case byKey == byRun:
		return usage("say who is to get the signal: --key for whoever waits for it with that key, or --run for one run")
	case byRun && cmd.Flags().Changed("keep"):
		return usage("--keep goes with --key: a run keeps a signal that it does not wait for yet as long as it lives")
	case s.data != "" && !json.Valid([]byte(s.data)):
		return usage("--data is to be JSON, such as '{\"sum\": 3}' or '\"text\"', and %q came", s.data)
	case byKey && s.keep <= 0:
		return usage("--keep is %v; give how long the signal counts, such as 24h", s.keep)
	}
	data, by := json.RawMessage(s.data), agent.User{ID: orLogin(s.by)}
	if s.data == "" {
		data = nil
	}
	if byRun {
		return s.withRun(cmd.Context(), s.run, func(store memory.Store, o *orchestrator.Orchestrator, e *memory.RunEntry) error {
			if err := s.heed(cmd.Context(), store, o, e.Run, name, data); err != nil {
				return err
			}
			if err := o.Signal(cmd.Context(), e.Run, name, data, &orchestrator.Input{By: by, Key: s.id}); err != nil {
				return err
			}
			return s.report(cmd.Context(), store, o, e.Run, "told of "+cleanLine(name))
		})
	}
	return s.withStore(cmd.Context(), func(ctx context.Context, _ memory.Store, o *orchestrator.Orchestrator) error {
		if err := o.Post(ctx, name, s.key, data, &orchestrator.PostInput{By: by, ID: s.id, Keep: s.keep}); err != nil {
			return err
		}
		return s.posted(name)
	})
}

// heed holds a signal against what may happen in the run's graph now, if it goes by one:
// data that does not fit what the graph says of the event is refused; of a signal that
// nothing reacts to now, whoever sends it is told.
func (s *signalling) heed(ctx context.Context, store memory.Store, o *orchestrator.Orchestrator, id agent.RunID, name string, data json.RawMessage) error {
	state, err := o.State(ctx, id)
	if err != nil {
		return err
	}
	may, deaf := s.reaction(ctx, store, state, name)
	if may != nil && len(may.Schema) > 0 {
		if err := schema.Validate(may.Schema, orNull(data)); err != nil {
			return usage("the data of %s do not fit what the run's graph says of it: %v", name, err)
		}
	}
	if deaf != "" {
		s.remark("%s", deaf)
	}
	return nil
}

// reaction tells how a run that goes by a graph reacts to an event now; in words, if it
// does not. Of other runs, and of one whose graph only its worker can read, nothing is
// known.
func (p *program) reaction(ctx context.Context, store memory.Store, s *run.State, name string) (may *graph.Enabled, deaf string) {
	g, err := p.graphRunOf(ctx, store, s)
	if err != nil || g.whyNo != nil || s.Status().Ended() {
		return nil, ""
	}
	var names []string
	for _, e := range g.now {
		switch {
		case e.Kind != "event":
		case e.Name == name:
			return &e, ""
		default:
			names = append(names, cleanLine(e.Name))
		}
	}
	what := "nothing from outside"
	if len(names) > 0 {
		slices.Sort(names)
		what = strings.Join(slices.Compact(names), ", ")
	}
	return nil, fmt.Sprintf("Nothing in the run's graph reacts to %s now; it reacts to: %s.", cleanLine(name), what)
}

func orNull(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return json.RawMessage("null")
	}
	return data
}

// postedJSON is a signal that was posted, as --json prints it.
type postedJSON struct {
	Signal string `json:"signal"`
	Key    string `json:"key"`
	ID     string `json:"id,omitempty"`
}

func (s *signalling) posted(name string) error {
	if s.json {
		return s.printJSON(postedJSON{name, s.key, s.id})
	}
	_, err := fmt.Fprintf(s.out, "Posted: the first that waits for %s with the key %s gets it, now or within %s.\n", cleanLine(name), cleanLine(s.key), ago(s.keep))
	return err
}

// mail tells what happened in a mailbox, or came from one.
func (t *teller) mail(e run.Event) []para {
	switch e := e.(type) {
	case *run.Mailed:
		return []para{note("the signal " + e.Name + " with the key " + e.Key + " came" + by(e.By) + withData(e.Data))}
	case *run.Posted:
		return []para{note("a signal was posted" + by(e.By) + withData(e.Data))}
	case *run.Subscribed:
		if len(e.Actions) == 0 {
			return []para{note("run " + string(e.Run) + " waits no more")}
		}
		return []para{note(fmt.Sprintf("run %s waits for %s", e.Run, plural(len(e.Actions), "signal")))}
	}
	return nil
}

// withData is what came with a signal, if something did.
func withData(v json.RawMessage) string {
	if len(v) == 0 {
		return ""
	}
	return ": " + brief(v)
}
