// Command trip books trips, as trip.yaml says: the first workflow of docs/graph.md.
package main

import (
	"context"
	_ "embed"
	"errors"
	"os"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/cli"
	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/tools"
)

//go:embed trip.yaml
var definition []byte

type trip struct {
	City  string `json:"city"`
	Euros int    `json:"euros,omitempty"`
}

type price struct {
	Euros int `json:"euros"`
}

type booking struct {
	Ticket string `json:"ticket"`
}

func lookUpPrice(_ context.Context, t trip) (price, error) {
	return price{Euros: 20 * len(t.City)}, nil
}

func book(_ context.Context, t trip) (booking, error) {
	switch t.City {
	case "Bern":
		return booking{"T-1"}, nil
	case "Basel":
		return booking{}, agent.Coded("full", agent.NotDone(errors.New("no seat is left")))
	}
	return booking{}, agent.Coded("unknown-city", agent.NotDone(errors.New("no train goes there")))
}

func agents(cli.Setup) ([]*agent.Agent, error) {
	d, err := graph.Parse(definition)
	if err != nil {
		return nil, err
	}
	g, err := graph.New(d, nil)
	if err != nil {
		return nil, err
	}
	return []*agent.Agent{{
		Name: "trip", Description: "Books trips.", Planner: g,
		Tools: []*agent.Tool{
			tools.Func("look_up_price", "What a trip costs.", lookUpPrice, &tools.Options{Effect: agent.ReadOnly}),
			tools.Func("book", "Book a trip.", book, nil),
		},
	}}, nil
}

func main() {
	os.Exit(cli.Main(&cli.App{
		Name: "trip", Short: "Trips are booked when a manager says so", Agents: agents,
		NoModel: true, // the graph decides
	}))
}
