package scripted_test

import (
	"context"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/scripted"
)

func ExampleNew() {
	m := scripted.New(
		scripted.Say("I look it up.").And(scripted.Call("lookup", `{"order": 7}`)),
		scripted.Say("It is on its way."),
	)
	hello := agent.Text("Where is order 7?")
	req := &agent.ModelRequest{Messages: []*agent.Message{&hello}}

	first, _ := m.Generate(context.Background(), req, nil)
	fmt.Println(first.Message.Text(), first.Message.Calls()[0].Name, string(first.Message.Calls()[0].Args))

	req.Messages = append(req.Messages, &first.Message, &agent.Message{Role: agent.RoleTool, Parts: []agent.Part{
		{Result: &agent.Result{CallID: first.Message.Calls()[0].ID, Outcome: agent.Returned, Content: agent.JSONText("on its way")}},
	}})
	second, _ := m.Generate(context.Background(), req, nil)
	fmt.Println(second.Message.Text())
	// Output:
	// I look it up. lookup {"order": 7}
	// It is on its way.
}
