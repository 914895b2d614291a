// Command triage answers tickets of customers, as triage.yaml says. Graph and models mix
// in both directions: an agent is a node of the graph, a model chooses what is done
// within bounds that the graph sets, and the graph is itself a sub-agent of the desk, to
// which customers talk.
//
//	triage                     plays five tickets, and tells of them
//	triage chat 'Order 1045 arrived broken.'
//	triage chat --agent triage '{"ticket": "it arrived broken", "order": 1045}'
//	triage work                drives what others have started; see triage --help
//
// The model is a script, unless OPENAI_API_KEY or OPENAI_BASE_URL says which to ask.
package main

import (
	_ "embed"
	"os"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/orchestrator/cli"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/graph"
)

//go:embed triage.yaml
var definition []byte

// sorted is what the sorter answers.
type sorted struct {
	Kind string `json:"kind" jsonschema:"enum=complaint,enum=question,enum=legal,enum=spam"`
}

func agents(model agent.Model, ledger *story.Ledger) ([]*agent.Agent, error) {
	d, err := graph.Parse(definition)
	if err != nil {
		return nil, err
	}
	g, err := graph.New(d, &graph.Options{Models: map[string]agent.Model{"handler": model}})
	if err != nil {
		return nil, err
	}
	s := &services{ledger}
	sorter := &agent.Agent{
		Name: "sorter", Description: "Says of which kind a ticket is.",
		Planner: planner.Loop(model, "You sort tickets.", &planner.LoopOptions{NoAsk: true, Output: planner.OutputOf[sorted]()}),
	}
	triage := &agent.Agent{
		Name: "triage", Description: "Answers tickets of customers.", Planner: g, Input: d.Input,
		Tools: s.tools(), Delegates: []*agent.Agent{sorter},
	}
	desk := &agent.Agent{
		Name: "desk", Description: "Talks with customers.",
		Planner:   planner.Loop(model, "You are the desk of a web shop. Give what customers complain of to triage, and tell them what comes of it.", nil),
		Delegates: []*agent.Agent{triage},
	}
	return []*agent.Agent{desk, triage, sorter}, nil
}

func offline(ledger *story.Ledger) ([]*agent.Agent, error) { return agents(script, ledger) }

func main() {
	if len(os.Args) == 1 {
		story.Play("triage", offline, scenes)
		return
	}
	os.Exit(cli.Main(&cli.App{
		Name: "triage", Short: "Tickets of customers are sorted and answered",
		Agents:  func(s cli.Setup) ([]*agent.Agent, error) { return agents(s.Model, story.OpenLedger(s.Store+".ledger")) },
		Offline: script,
	}))
}
