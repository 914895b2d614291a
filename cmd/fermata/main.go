// Command fermata talks with agents, lists and answers what they ask, and
// drives their runs. The agents that it is born with are the service desk of a
// pretend web shop; fermata demo is a guided tour of a minute.
package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/desk"
	"github.com/fermata-run/fermata/orchestrator/cli"
)

func main() { os.Exit(fermata()) }

func fermata() int {
	return cli.Main(&cli.App{
		Name:     "fermata",
		Short:    "Fermata conducts agents, tools and people through long-running work",
		Agents:   func(s cli.Setup) ([]*agent.Agent, error) { return desk.Agents(s.Model, s.Store), nil },
		Offline:  desk.Model(pace()),
		Commands: []*cobra.Command{demoCommand(), benchCommand()},
	})
}

// pace is how long the offline model takes for a word: on a terminal somebody
// reads along.
func pace() time.Duration {
	if term.IsTerminal(int(os.Stdout.Fd())) {
		return 25 * time.Millisecond
	}
	return 0
}
