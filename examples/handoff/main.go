// Command handoff has a desk hand the conversation off to returns: the same run
// goes on with another agent, in this turn and in those after. What was said
// before, returns is shown; what the desk has looked up it is not.
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

type order struct {
	ID int `json:"id" jsonschema:"description=Order number"`
}

func lookup(_ context.Context, o order) (string, error) {
	return fmt.Sprintf("order %d: a lamp", o.ID), nil
}

// listener is a model that tells what it is shown before it answers.
func listener(answers ...string) agent.Model {
	return scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		fmt.Println("returns is shown:")
		for _, m := range req.Messages {
			fmt.Printf("  %s: %s\n", m.Role, m.Text())
		}
		answer := answers[0]
		answers = answers[1:]
		return &agent.ModelReply{Message: *agent.Said(answer)}, nil
	})
}

func main() {
	ctx := context.Background()
	returns := &agent.Agent{
		Name: "returns", Description: "Takes things back.",
		Planner: planner.Loop(listener("Send it to us, and we pay.", "You are welcome."), "You take things back.", nil),
		Sees:    agent.SeesWords,
	}
	receptionist := scripted.New(
		scripted.Say("I look it up.").And(scripted.Call("lookup", order{7})),
		scripted.Say("My colleague takes over.").And(scripted.Call("hand_off_to_returns", `{"reason": "it is broken"}`)),
	)
	desk := &agent.Agent{
		Name:     "desk",
		Planner:  planner.Loop(receptionist, "You receive the customers of a web shop.", nil),
		Tools:    []*agent.Tool{tools.Func("lookup", "Find an order.", lookup, &tools.Options{Effect: agent.ReadOnly})},
		Handoffs: []*agent.Agent{returns},
	}

	store, err := sqlite.Open("handoff.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{desk}, nil)
	check(err)
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Order 7 arrived broken.")})
	check(err)
	tell(ctx, o, res)

	check(o.Send(ctx, res.Run, agent.Text("Thank you!"), nil))
	res, err = o.Await(ctx, res.Run)
	check(err)
	tell(ctx, o, res)
}

func tell(ctx context.Context, o *orchestrator.Orchestrator, res *orchestrator.Result) {
	state, err := o.State(ctx, res.Run)
	check(err)
	fmt.Printf("turn %d ends with %s: %s\n", state.Turn.N, state.Agent, res.Text)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
