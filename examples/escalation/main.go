// Command escalation has two refunds wait for approval, for a short time. A small
// one is not made when nobody has answered by then. Of a large one people are
// reminded; then it is escalated to a manager, who answers.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
	"github.com/fermata-run/fermata/tools"
)

type refund struct {
	Order int `json:"order"`
	Euros int `json:"euros"`
}

func pay(_ context.Context, r refund) (string, error) { return "paid back", nil }

// In an office these would be hours and days.
func rule(_ context.Context, r refund) *agent.Ask {
	if r.Euros < 100 {
		return &agent.Ask{
			For: []string{"group:desk"}, Within: 200 * time.Millisecond,
			Default: &agent.Answer{Choice: agent.Deny, Note: "nobody had the time to look at it"},
		}
	}
	return &agent.Ask{
		For: []string{"group:desk"}, Within: 900 * time.Millisecond, Remind: 800 * time.Millisecond,
		Escalate: []agent.Escalation{{For: []string{"mia"}}}, // for as long as it takes
	}
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	model := scripted.New(
		scripted.Call("refund", refund{7, 20}).And(scripted.Call("refund", refund{8, 900})),
		scripted.Say("Order 8 is paid back, order 7 is not."),
	)
	desk := &agent.Agent{
		Name:    "desk",
		Planner: planner.Loop(model, "You are the service desk of a web shop.", nil),
		Tools:   []*agent.Tool{tools.Func("refund", "Pay an order back.", pay, &tools.Options{Approve: tools.ApproveIf(rule)})},
	}
	store, err := sqlite.Open("escalation.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{desk}, nil)
	check(err)

	worked := make(chan error, 1)
	go func() { worked <- o.Work(ctx) }() // due times need a worker, or somebody's answer, to be noticed
	id, err := o.Start(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Orders 7 and 8 arrived broken.")})
	check(err)
	asked := map[agent.AskID]*agent.Ask{}
	for ev, err := range o.Watch(ctx, id, nil) {
		check(err)
		if ev.Record == nil {
			continue
		}
		open := map[agent.AskID]*agent.Ask{}
		for _, a := range ev.State.Asks() {
			open[a.ID] = a
			if asked[a.ID] == nil {
				asked[a.ID] = a
				fmt.Printf("asked     %s of %s\n", a.Args, a.For)
			}
		}
		switch e := ev.Record.Event.(type) {
		case *run.Reminded:
			fmt.Printf("reminded  %s of %s\n", asked[e.Ask].Args, asked[e.Ask].For)
		case *run.Lapsed:
			if a := open[e.Ask]; a != nil {
				fmt.Printf("escalated %s to %s\n", a.Args, a.For)
				check(o.Answer(ctx, a.ID, agent.Answer{By: agent.User{ID: "mia"}, Choice: agent.Approve}))
			} else {
				fmt.Printf("expired   %s default: %s\n", asked[e.Ask].Args, asked[e.Ask].Default.Choice)
			}
		case *run.Answered:
			fmt.Printf("answered  %s %s by %s\n", asked[e.Ask].Args, e.Answer.Choice, e.Answer.By.ID)
		}
		if ev.Status == agent.StatusIdle && ev.State.Turn.N > 0 {
			fmt.Println(orchestrator.ResultOf(ev.State).Text)
			break
		}
	}
	cancel()
	check(<-worked)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
