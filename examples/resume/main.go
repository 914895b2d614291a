// Command resume survives its own death. The first time, the process dies in
// the middle of a run; started again, it goes on where it was, since the same
// key names the same run. What had been done is not done again.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
	"github.com/fermata-run/fermata/tools"
)

type none struct{}

func charge(context.Context, none) (string, error) {
	fmt.Println("the card is charged")
	return "charged", nil
}

func ship(context.Context, none) (string, error) {
	if _, err := os.Stat("died"); os.IsNotExist(err) {
		fmt.Println("shipping… and the power goes out")
		if err := os.WriteFile("died", nil, 0o600); err != nil {
			return "", err
		}
		os.Exit(1)
	}
	fmt.Println("shipping")
	return "shipped", nil
}

func main() {
	ctx := context.Background()
	model := scripted.New(scripted.Call("charge", none{}), scripted.Call("ship", none{}), scripted.Say("Your order is on its way."))
	seller := &agent.Agent{
		Name:    "seller",
		Planner: planner.Loop(model, "You sell things.", nil),
		Tools: []*agent.Tool{
			tools.Func("charge", "Charge the card.", charge, nil),                                  // Once: never twice
			tools.Func("ship", "Send the parcel.", ship, &tools.Options{Effect: agent.Idempotent}), // may be run again
		},
	}
	store, err := sqlite.Open("resume.db", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{seller}, nil)
	if err != nil {
		log.Fatal(err)
	}
	res, err := o.Run(ctx, orchestrator.Request{Agent: "seller", Message: agent.Text("One bicycle, please."), Key: "order 7"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Text)
}
