// Command onboarding prepares for new colleagues, as onboarding.yaml says: with people
// of three departments, reminders, a deadline, and weeks in which nothing happens.
//
//	onboarding                     plays three of them, in short days, and tells of them
//	onboarding chat '{"name": "eve", "manager": "max", "days": 14}'
//	onboarding chat '{"name": "eve", "manager": "max", "days": 14, "day": 500}'     # a day in half a second
//	onboarding asks                what people are asked
//	onboarding work                drives what others have started; see onboarding --help
package main

import (
	_ "embed"
	"os"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/orchestrator/cli"
	"github.com/fermata-run/fermata/planner/graph"
)

//go:embed onboarding.yaml
var definition []byte

func agents(ledger *story.Ledger) ([]*agent.Agent, error) {
	d, err := graph.Parse(definition)
	if err != nil {
		return nil, err
	}
	g, err := graph.New(d, nil)
	if err != nil {
		return nil, err
	}
	s := &services{ledger}
	return []*agent.Agent{{Name: "onboarding", Description: "Prepares for a new colleague.", Planner: g, Tools: s.tools()}}, nil
}

func main() {
	if len(os.Args) == 1 {
		story.Play("onboarding", agents, scenes)
		return
	}
	os.Exit(cli.Main(&cli.App{
		Name: "onboarding", Short: "New colleagues are prepared for, and looked after",
		Agents:  func(s cli.Setup) ([]*agent.Agent, error) { return agents(story.OpenLedger(s.Store + ".ledger")) },
		NoModel: true, // the graph decides
	}))
}
