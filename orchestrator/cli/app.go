package cli

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/planner/graph"
)

// An App is a program with agents, whose command line [Main] is.
type App struct {
	Name    string // of the command
	Short   string // what it is, in a few words
	Version string // for --version; empty takes what the Go toolchain has recorded

	// Agents makes the agents for chat and work. The first is the one that a chat
	// talks with, unless --agent names another.
	Agents func(Setup) ([]*agent.Agent, error)

	// Model is the name of the model that is asked where the user names none;
	// empty is gpt-5-mini.
	Model string
	// Offline is asked when the user has configured no endpoint, or says
	// --model offline. Nil leaves it to the user to configure one.
	Offline agent.Model
	// NoModel says that the agents ask no model, as those that go by graphs: the user has
	// none to choose, and Setup.Model is nil.
	NoModel bool

	// Open opens the store at a path. Nil is one file of memory/sqlite, or where the
	// path is a URL, a server of memory/redis.
	Open func(path string) (memory.Store, error)

	// Graphs has what the program's graphs use beside their definitions: functions of
	// Go and models. Nil is nothing.
	Graphs *graph.Options

	Commands []*cobra.Command // the program's own, beside chat, runs, asks, signal, work, graph and store
}

// Setup is what agents are made of.
type Setup struct {
	Model agent.Model // that the user has chosen; nil with NoModel
	Store string      // a path beside which what the agents keep themselves may lie: the store's, if it is a file
}

// Main runs the command line and returns the exit code.
func Main(app *App) int {
	p := &program{app: app, in: os.Stdin, out: os.Stdout, err: os.Stderr}
	root := p.command()
	return p.exitCode(root.Execute())
}

// program is one invocation of an App.
type program struct {
	app          *App
	in, out, err *os.File

	storeFlag string
	json      bool
	noColor   bool
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   p.app.Name,
		Short: p.app.Short,
		Long: p.app.Short + `.

Everything that happens is kept in the store, one file, or a Redis for many
machines: a chat in one terminal, an answer from another and a worker in a third
share it, and each of them may be killed at any moment.`,
		Example:       p.example("chat", "a conversation", "chat \"Where is order 1043?\"", "one answer, for scripts", "asks", "what people are asked", "runs", "what goes on", "work", "drive the runs that others have started"),
		Version:       p.version(),
		Args:          p.noCommand,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v; see %s --help", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&p.storeFlag, "store", "", "the store's `file`, or redis://host:port (FERMATA_STORE; default "+tilde(p.defaultStore())+")")
	flags.BoolVar(&p.json, "json", false, "print JSON, one object per line")
	flags.BoolVar(&p.noColor, "no-color", false, "never use colours (NO_COLOR)")
	root.AddCommand(p.chatCommand(), p.runsCommand(), p.asksCommand(), p.signalCommand(), p.workCommand(), p.graphCommand(), p.storeCommand())
	root.AddCommand(p.app.Commands...)
	return root
}

func (p *program) version() string {
	if p.app.Version != "" {
		return p.app.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown version)"
}

// example lays out examples, given as command, what it is for, ….
func (p *program) example(pairs ...string) string {
	var out string
	for i := 0; i < len(pairs); i += 2 {
		line := "  " + p.app.Name + " " + pairs[i]
		if pairs[i+1] != "" {
			line = fmt.Sprintf("%-48s # %s", line, pairs[i+1])
		}
		out += line + "\n"
	}
	return out[:max(len(out)-1, 0)]
}

// noCommand refuses arguments where a command was expected.
func (p *program) noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		hint = fmt.Sprintf("did you mean %q? ", s[0])
	}
	return usage("there is no command %q of %s; %ssee %s --help", args[0], cmd.CommandPath(), hint, cmd.CommandPath())
}

// exactly wants n arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usage("%s takes %s, and %d arguments came; see %s --help", cmd.CommandPath(), what, len(args), cmd.CommandPath())
	}
}
