package cli_test

import (
	"os"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/cli"
	"github.com/fermata-run/fermata/planner"
)

// A program with an agent of its own gets chat, runs, asks and work, and its
// users the choice of model and store.
func ExampleMain() {
	os.Exit(cli.Main(&cli.App{
		Name:  "mydesk",
		Short: "My desk answers questions about my orders",
		Agents: func(s cli.Setup) ([]*agent.Agent, error) {
			return []*agent.Agent{{
				Name:    "desk",
				Planner: planner.Loop(s.Model, "You help the customers of a web shop.", nil),
			}}, nil
		},
	}))
}
