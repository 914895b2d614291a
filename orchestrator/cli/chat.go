package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A chat is one invocation of the chat command.
type chat struct {
	*program
	run, agent, model, key string
	by                     person
	patience               time.Duration

	store memory.Store
	orch  *orchestrator.Orchestrator
	names []string // of the agents, and of those to whom they delegate or hand off
	asked chosen
}

func (p *program) chatCommand() *cobra.Command {
	c := &chat{program: p}
	cmd := &cobra.Command{
		Use:   "chat [MESSAGE]",
		Short: "Talk with an agent",
		Long: `Talk with an agent. Without a message, on a terminal, it is a conversation:
what the agent or a delegate of it asks you is answered right there, forms too, and
Ctrl-C leaves it so that you can come back. What is asked of others is shown, and
told of when they answer. With a message, or with one from a pipe, it prints the answer and ends;
what goes on meanwhile is told on stderr.

` + p.configured() + vouched + `

Exit codes: 0 the turn is over; 1 an error; 2 wrong use; 3 it waits for a person,
an event or a time; 4 the run is stuck, has failed or was cancelled; 130 interrupted.`,
		Example: p.example("chat", "a conversation", "chat \"Where is order 1043?\"", "one answer",
			"chat --run 7k2m", "come back to a run", "chat --run 7k2m </dev/null", "go on with a run, saying nothing",
			"chat --json < question.txt", "each event as a line of JSON"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.main(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&c.run, "run", "", "come back to the run whose id begins with `ID`")
	f.StringVar(&c.agent, "agent", "", "the `name` of the agent to talk with")
	p.modelFlag(cmd, &c.model)
	c.by.flags(cmd, "is talking")
	f.StringVar(&c.key, "key", "", "idempotency `key`: the same message with the same key is the same run, for scripts that may be repeated")
	f.Var(spanOf(&c.patience, 0), "patience", "without a terminal: how long to go on while the model cannot be asked")
	_ = cmd.RegisterFlagCompletionFunc("run", p.completeRuns)
	return cmd
}

func (c *chat) main(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	if cmd.Flags().Changed("run") && c.run == "" {
		return usage("--run needs the id of a run; %s lists them", c.line("runs"))
	}
	if err := c.by.bad(); err != nil {
		return err
	}
	if c.run != "" && (c.key != "" || c.agent != "") {
		return usage("--run goes on with a run, and --key and --agent begin one; leave out either")
	}
	talks := len(args) == 0 && !c.json && isTerminal(c.in) && isTerminal(c.out)
	var text string
	if !talks {
		var err error
		if text, err = c.message(args); err != nil {
			return err
		}
	}
	if err := c.prepare(); err != nil {
		return err
	}
	defer c.store.Close()
	if c.run != "" {
		entry, err := c.rootOf(ctx, c.run)
		if err != nil {
			return err
		}
		c.run, c.agent = string(entry.Run), entry.Index.Agent
		if err := c.hasAgent(); err != nil {
			return err
		}
	}
	if talks {
		return c.talk(ctx)
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	return c.once(ctx, text)
}

// prepare opens the store and makes the agents.
func (c *chat) prepare() (err error) {
	if c.asked, err = c.chooseModel(c.model); err != nil {
		return err
	}
	agents, err := c.agents(c.asked)
	if err != nil {
		return err
	}
	c.names = named(agents)
	if c.run == "" {
		if err := c.hasAgent(); err != nil {
			return err
		}
	}
	if c.store, err = c.open(c.run != ""); err != nil {
		return err
	}
	c.orch, err = orchestrator.New(c.store, agents, nil)
	if err != nil {
		return errors.Join(err, c.store.Close())
	}
	return nil
}

// hasAgent sees to it that the chat's agent is one of the program's.
func (c *chat) hasAgent() error {
	c.agent = cmp.Or(c.agent, c.names[0])
	for _, n := range c.names {
		if n == c.agent {
			return nil
		}
	}
	if c.run != "" {
		return fmt.Errorf("run %s is of the agent %q, which this program does not have; it has %s", c.run, c.agent, strings.Join(c.names, ", "))
	}
	return usage("there is no agent %q; there are %s", c.agent, strings.Join(c.names, ", "))
}

// rootOf returns the run with which one talks: a delegate's is its root.
func (c *chat) rootOf(ctx context.Context, prefix string) (*memory.RunEntry, error) {
	entry, err := findRun(ctx, c.store, prefix)
	if err != nil || entry.Index.Parent == "" {
		return entry, err
	}
	state, err := c.orch.State(ctx, entry.Run)
	if err != nil {
		return nil, err
	}
	return findRun(ctx, c.store, string(rootRun(state)))
}

// rootRun is the run at the top of the tree to which one belongs.
func rootRun(s *run.State) agent.RunID {
	if s.Parent == nil || len(s.Parent.Path) == 0 {
		return s.Run
	}
	return s.Parent.Path[0].Run
}

// named returns the names of agents, and of those to whom they delegate or hand off.
func named(agents []*agent.Agent) (names []string) {
	for i := 0; i < len(agents); i++ { // which grows
		if a := agents[i]; a != nil && !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
			agents = append(append(agents[:len(agents):len(agents)], a.Delegates...), a.Handoffs...)
		}
	}
	return names
}

func (c *chat) who() agent.User { return c.by.as() }

// login returns who is logged in, or "".
func login() string {
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// message reads the message from the arguments or from what is piped in, all of
// which is one message. "" says nothing, which only an existing run may be told.
func (c *chat) message(args []string) (string, error) {
	text := strings.Join(args, " ")
	if len(args) == 0 {
		if isTerminal(c.in) {
			return "", usage("give a message, or pipe one in; a conversation needs a terminal for its output, and no --json")
		}
		b, err := io.ReadAll(io.LimitReader(c.in, run.MaxMessage+1))
		if err != nil {
			return "", fmt.Errorf("the message cannot be read: %w", err)
		}
		text = string(b)
	}
	empty := strings.TrimSpace(text) == ""
	switch {
	case empty && len(args) == 0 && c.run != "":
		return "", nil
	case empty:
		return "", usage("the message is empty; write something")
	case len(text) > run.MaxMessage:
		return "", usage("the message has more than %d bytes, which is the most that is taken; put large content where a tool can read it, and send a reference", run.MaxMessage)
	case strings.ContainsRune(text, 0) || !utf8.ValidString(text):
		return "", usage("the message is not text: it has bytes that are no UTF-8, or NUL")
	}
	return strings.TrimRight(text, "\n"), nil
}

// interruptible returns a context that ends at the first signal to stop. The
// second ends the process at once.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
