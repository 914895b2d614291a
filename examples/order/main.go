// Command order takes orders of a shop through three services, as order.yaml says. The
// services fail now and then: what can be tried again is, what cannot is taken back, and
// what cannot be taken back a person sees to.
//
//	order                     plays four orders, and tells of them
//	order chat '{"order": 7, "articles": ["desk"], "euros": 90, "card": "visa", "address": "1 High Street"}'
//	order work                drives what others have started; see order --help
package main

import (
	_ "embed"
	"os"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/cli"
	"github.com/fermata-run/fermata/planner/graph"
)

//go:embed order.yaml
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
	return []*agent.Agent{{
		Name: "order", Description: "Takes an order through the services of a shop.",
		Planner: g, Tools: s.tools(), Operators: []string{"group:operators"},
	}}, nil
}

// mia is told what cannot be undone, and does it by hand.
var mia = agent.User{ID: "mia", Groups: []string{"operators"}}

func people(a *agent.Ask) []story.Deed {
	if a.Kind == agent.AskRepair {
		return []story.Deed{story.Chooses(mia, agent.Skip, "I have sent a cheque")}
	}
	return nil
}

func order(what string) orchestrator.Request {
	return orchestrator.Request{Agent: "order", User: agent.User{ID: "ann"}, Message: agent.Text(what)}
}

var scenes = []story.Scene{
	{Title: "All goes well, but for a line that drops",
		Request: order(`{"order": 1, "articles": ["desk", "lamp"], "euros": 140, "card": "visa", "address": "1 High Street"}`)},
	{Title: "The card is declined",
		Request: order(`{"order": 2, "articles": ["desk"], "euros": 90, "card": "declined", "address": "2 High Street"}`)},
	{Title: "The parcel cannot be sent",
		Request: order(`{"order": 3, "articles": ["desk", "shelf"], "euros": 190, "card": "visa", "address": "nowhere"}`)},
	{Title: "The parcel cannot be sent, and the money not paid back", People: people,
		Request: order(`{"order": 4, "articles": ["desk", "shelf"], "euros": 190, "card": "closed", "address": "nowhere"}`)},
}

func main() {
	if len(os.Args) == 1 {
		story.Play("order", agents, scenes)
		return
	}
	os.Exit(cli.Main(&cli.App{
		Name: "order", Short: "Orders of a shop go through three services",
		Agents:  func(s cli.Setup) ([]*agent.Agent, error) { return agents(story.OpenLedger(s.Store + ".ledger")) },
		NoModel: true, // the graph decides
	}))
}
