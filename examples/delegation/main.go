// Command delegation has a desk give two tasks to billing at once. Each is a run
// of its own. One of them has to ask a person; the other does not wait for that.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

type task struct {
	Task string `json:"task"`
}

// clerk plays one script for order 7 and another for the rest: a task is all that
// billing knows.
func clerk() agent.Model {
	clear := scripted.New(scripted.Say("Order 7 was paid on 3 May."))
	unclear := scripted.New(
		scripted.Call(planner.AskPerson, `{"question": "Two payments came for order 8. Which one counts?", "choices": ["4 May", "6 May"]}`),
		scripted.Say("Order 8 was paid on 6 May."),
	)
	return scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		script := unclear
		if strings.Contains(req.Messages[0].Text(), "order 7") {
			script = clear
		}
		return script.Generate(context.Background(), req, nil)
	})
}

func main() {
	ctx := context.Background()
	billing := &agent.Agent{
		Name: "billing", Description: "Knows what was paid, and when.",
		Planner: planner.Loop(clerk(), "You look payments up.", nil),
	}
	talker := scripted.New(
		scripted.Call("delegate_to_billing", task{"When was order 7 paid?"}).And(scripted.Call("delegate_to_billing", task{"When was order 8 paid?"})),
		scripted.Say("Both are paid: order 7 on 3 May, order 8 on 6 May."),
	)
	desk := &agent.Agent{
		Name:      "desk",
		Planner:   planner.Loop(talker, "You are the service desk of a web shop.", nil),
		Delegates: []*agent.Agent{billing},
	}

	store, err := sqlite.Open("delegation.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{desk}, nil)
	check(err)
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Are orders 7 and 8 paid?")})
	check(err)
	ask := res.Asks[0] // of a delegate; the result has those of the whole tree
	fmt.Printf("the run is %s: %s\n  asked by %s\n", res.Status, ask.Prompt, way(ask.Path))
	print(ctx, o, res.Run)

	check(o.Answer(ctx, ask.ID, agent.Answer{By: agent.User{ID: "carl"}, Choice: "6 May"}))
	res, err = o.Await(ctx, res.Run)
	check(err)
	fmt.Printf("the run is %s: %s\n", res.Status, res.Text)
	print(ctx, o, res.Run)
}

// way tells the runs from the root to the one that asks.
func way(path []agent.Place) string {
	var names []string
	for _, p := range path {
		names = append(names, p.Agent)
	}
	return strings.Join(names, " › ")
}

func print(ctx context.Context, o *orchestrator.Orchestrator, id agent.RunID) {
	t, err := o.Tree(ctx, id)
	check(err)
	show(t, "  ")
}

func show(t *orchestrator.Tree, indent string) {
	fmt.Printf("%s%s is %s: %s\n", indent, t.Agent, t.State.Status(), t.State.Title)
	if t.State.Ended {
		fmt.Printf("%s  result: %s\n", indent, agent.PlainText(t.State.Result()))
	}
	for _, c := range t.Children {
		show(c, indent+"  ")
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
