// Command approval has a refund wait for a person. The answer comes from a
// process that has no agents: here a second orchestrator over the same file.
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

type refund struct {
	Order int `json:"order" jsonschema:"description=Order number"`
	Euros int `json:"euros" jsonschema:"minimum=1,maximum=1000"`
}

func pay(ctx context.Context, r refund) (string, error) {
	// The key is the same for every attempt of this call, on every worker and
	// after every crash: hand it to the bank.
	key := agent.CallFrom(ctx).Key
	return fmt.Sprintf("%d euros paid back (bank key given: %t)", r.Euros, key != ""), nil
}

func overLimit(_ context.Context, r refund) *agent.Ask {
	if r.Euros > 100 {
		return &agent.Ask{Prompt: "refunds over 100 euros need a colleague's word"}
	}
	return nil
}

func main() {
	ctx := context.Background()
	model := scripted.New(
		scripted.Call("refund", refund{Order: 7, Euros: 250}),
		scripted.Say("A colleague has looked at it, and your money is on its way."),
	)
	desk := &agent.Agent{
		Name:    "desk",
		Planner: planner.Loop(model, "You are the service desk of a web shop.", nil),
		Tools:   []*agent.Tool{tools.Func("refund", "Pay an order back.", pay, &tools.Options{Approve: tools.ApproveIf(overLimit)})},
	}

	store, err := sqlite.Open("approval.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{desk}, nil)
	check(err)
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("My bicycle, order 7, arrived broken.")})
	check(err)
	ask := res.Asks[0]
	fmt.Printf("the run is %s: %s\n  %s %s\n", res.Status, ask.Prompt, ask.Tool, ask.Args)

	// A month may pass here: the run is in the file, and holds nothing else.

	office, err := orchestrator.New(store, nil, nil)
	check(err)
	answer := agent.Answer{By: agent.User{ID: "bob"}, Choice: agent.Edit, Value: []byte(`{"order": 7, "euros": 200}`), Note: "minus shipping"}
	check(office.Answer(ctx, ask.ID, answer))

	second := agent.Answer{By: agent.User{ID: "eve"}, Choice: agent.Deny}
	fmt.Println("a second answer:", office.Answer(ctx, ask.ID, second) != nil)

	res, err = o.Await(ctx, res.Run)
	check(err)
	fmt.Printf("the run is %s: %s\n", res.Status, res.Text)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
