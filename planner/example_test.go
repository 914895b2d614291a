package planner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
)

// parrot is a model that calls the first tool it is offered, and once it has
// seen a result says so.
var parrot = agent.ModelFunc(func(_ context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
	last := req.Messages[len(req.Messages)-1]
	if last.Role == agent.RoleUser && len(req.Tools) > 0 {
		c := &agent.Call{ID: "call_1", Name: req.Tools[0].Name, Args: json.RawMessage(`{"id": 17}`)}
		return &agent.ModelReply{Message: agent.Message{Parts: []agent.Part{{Call: c}}}}, nil
	}
	return &agent.ModelReply{Message: *agent.Said(`{"state": "sent", "days": 3}`)}, nil
})

// The loop turns what a model wants into actions, which the orchestrator
// carries out.
func ExampleLoop() {
	loop := planner.Loop(parrot, "You help {{.Meta.name}}, a customer of a web shop.", nil)

	question := agent.Text("Where is order 17?")
	view := &agent.View{
		Meta:     map[string]string{"name": "Ann"},
		Messages: []*agent.Message{&question},
		Tools:    []*agent.Tool{{Name: "lookup", Description: "Find an order."}},
	}
	view.Instructions, _ = loop.(agent.Briefer).Brief(context.Background(), view)
	fmt.Println(view.Instructions)

	move, err := loop.Plan(context.Background(), view, func(agent.Delta) {})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range move.Actions {
		fmt.Println(a.Kind, a.Name, a.CallID)
	}
	// Output:
	// You help Ann, a customer of a web shop.
	// call lookup call_1
}

// A turn may end in data instead of words.
func ExampleOutputOf() {
	type Delivery struct {
		State string `json:"state" jsonschema:"enum=packed,enum=sent"`
		Days  int    `json:"days" jsonschema:"description=Until it arrives,minimum=0"`
	}
	loop := planner.Loop(parrot, "You track parcels.", &planner.LoopOptions{Output: planner.OutputOf[Delivery]()})

	question := agent.Text("Where is order 17?")
	move, err := loop.Plan(context.Background(), &agent.View{Messages: []*agent.Message{&question, agent.Said("…")}}, nil)
	fmt.Println(string(move.Output), err)
	// Output:
	// {"state":"sent","days":3} <nil>
}

func ExampleFallback() {
	broken := agent.ModelFunc(func(context.Context, *agent.ModelRequest, func(agent.Delta)) (*agent.ModelReply, error) {
		return nil, errors.New("the provider is down")
	})
	model := planner.Fallback(broken, parrot)

	question := agent.Text("Where is order 17?")
	reply, err := model.Generate(context.Background(), &agent.ModelRequest{Messages: []*agent.Message{&question}}, func(agent.Delta) {})
	fmt.Println(reply.Message.Text(), err)
	// Output:
	// {"state": "sent", "days": 3} <nil>
}

// Middleware is a function around a model. This one refuses instructions that
// are too long.
func Example_middleware() {
	limited := func(m agent.Model, tokens int) agent.Model {
		return agent.ModelFunc(func(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
			if size := len(req.System) / 4; size > tokens {
				return nil, fmt.Errorf("the instructions have about %d tokens, and %d are allowed", size, tokens)
			}
			return m.Generate(ctx, req, emit)
		})
	}
	model := limited(parrot, 2)

	_, err := model.Generate(context.Background(), &agent.ModelRequest{System: "You help the customers of a web shop."}, nil)
	fmt.Println(err)
	// Output:
	// the instructions have about 9 tokens, and 2 are allowed
}
