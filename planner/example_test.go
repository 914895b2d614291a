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

// Delegates and hand-offs are functions like any other to the model: a task comes
// back with its result, a hand-off leaves the conversation to the other agent.
func ExampleLoop_delegates() {
	eager := agent.ModelFunc(func(_ context.Context, req *agent.ModelRequest, _ func(agent.Delta)) (*agent.ModelReply, error) {
		for _, tool := range req.Tools {
			fmt.Println("offered", tool.Name)
		}
		return &agent.ModelReply{Message: agent.Message{Parts: []agent.Part{
			{Call: &agent.Call{ID: "1", Name: "delegate_to_research", Args: json.RawMessage(`{"task": "Find a source on bees."}`)}},
			{Call: &agent.Call{ID: "2", Name: "delegate_to_research", Args: json.RawMessage(`{"task": "Find a source on wasps."}`)}},
		}}}, nil
	})

	question := agent.Text("What do bees and wasps differ in?")
	move, err := planner.Loop(eager, "You answer.", nil).Plan(context.Background(), &agent.View{
		Messages:  []*agent.Message{&question},
		Delegates: []*agent.Agent{{Name: "research", Description: "Finds sources."}},
		Handoffs:  []*agent.Agent{{Name: "beekeeper", Description: "Talks about bees, at length."}},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range move.Actions {
		fmt.Println(a.Kind, a.Name, a.CallID)
	}
	// Output:
	// offered delegate_to_research
	// offered hand_off_to_beekeeper
	// offered ask_person
	// delegate research 1
	// delegate research 2
}

// A model that needs several things at once asks a form. What the person fills in
// is the result of the call, as an object.
func ExampleAskPerson() {
	curious := agent.ModelFunc(func(context.Context, *agent.ModelRequest, func(agent.Delta)) (*agent.ModelReply, error) {
		return &agent.ModelReply{Message: agent.Message{Parts: []agent.Part{{Call: &agent.Call{ID: "1", Name: planner.AskPerson, Args: json.RawMessage(`{
			"question": "Where shall it go?",
			"fields": [
				{"name": "city", "type": "string"},
				{"name": "floor", "type": "integer", "required": false}
			]
		}`)}}}}}, nil
	})

	question := agent.Text("Send me a mug.")
	move, err := planner.Loop(curious, "You sell mugs.", nil).Plan(context.Background(), &agent.View{Messages: []*agent.Message{&question}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ask := move.Actions[0].Ask
	fmt.Println(ask.Kind, ask.Prompt)
	fmt.Println(string(ask.Schema))
	// Output:
	// form Where shall it go?
	// {"type":"object","properties":{"city":{"type":"string"},"floor":{"type":"integer"}},"required":["city"],"additionalProperties":false}
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
