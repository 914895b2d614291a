// Command hello is a first agent: a model, a tool, one request.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
	"github.com/fermata-run/fermata/tools"
)

type place struct {
	City string `json:"city" jsonschema:"description=Name of the city"`
}

func weather(_ context.Context, p place) (string, error) { return "21 °C and sunny in " + p.City, nil }

func main() {
	// A script stands in for the model. With a key: openai.New("gpt-5-mini", nil)
	model := scripted.New(scripted.Call("weather", place{"Bern"}), scripted.Say("Take your sunglasses: 21 °C in Bern."))
	hello := &agent.Agent{
		Name:    "hello",
		Planner: planner.Loop(model, "You tell people what to wear.", nil),
		Tools:   []*agent.Tool{tools.Func("weather", "The weather in a city.", weather, &tools.Options{Effect: agent.ReadOnly})},
	}
	store, err := sqlite.Open("hello.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{hello}, nil)
	check(err)
	res, err := o.Run(context.Background(), orchestrator.Request{Agent: "hello", Message: agent.Text("What do I wear in Bern?")})
	check(err)
	fmt.Println(res.Text)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
