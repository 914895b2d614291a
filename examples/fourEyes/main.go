// Command fourEyes has a payment wait for somebody of accounting who is not the
// one who asked for it. The log tells who approved which arguments.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
	"github.com/fermata-run/fermata/tools"
)

type payment struct {
	To    string `json:"to"`
	Euros int    `json:"euros" jsonschema:"minimum=1"`
}

func pay(_ context.Context, p payment) (string, error) {
	return fmt.Sprintf("%d euros paid to %s", p.Euros, p.To), nil
}

// The run's user asks for the payment, and so does not approve it.
func fourEyes(context.Context, payment) *agent.Ask {
	return &agent.Ask{Prompt: "Each payment needs four eyes.", For: []string{"group:accounting"}, Not: []string{agent.TheUser}}
}

func main() {
	ctx := context.Background()
	model := scripted.New(scripted.Call("pay", payment{"Lamps Ltd", 900}), scripted.Say("Lamps Ltd has its money."))
	office := &agent.Agent{
		Name:    "office",
		Planner: planner.Loop(model, "You pay bills.", nil),
		Tools:   []*agent.Tool{tools.Func("pay", "Pay a bill.", pay, &tools.Options{Approve: tools.ApproveIf(fourEyes)})},
	}
	store, err := sqlite.Open("fourEyes.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{office}, nil)
	check(err)

	// Whoever calls the API has authenticated these people, and knows their groups.
	ann := agent.User{ID: "ann", Groups: []string{"accounting"}}
	eve := agent.User{ID: "eve", Groups: []string{"sales"}}
	carl := agent.User{ID: "carl", Groups: []string{"accounting"}}

	res, err := o.Run(ctx, orchestrator.Request{Agent: "office", User: ann, Message: agent.Text("Please pay Lamps Ltd 900 euros.")})
	check(err)
	ask := res.Asks[0]
	fmt.Printf("%s\n  for %s, and not for %s: %s %s\n", ask.Prompt, ask.For, ask.Not, ask.Tool, ask.Args)

	for _, u := range []agent.User{ann, eve, carl} {
		err := o.Answer(ctx, ask.ID, agent.Answer{By: u, Choice: agent.Approve, Digest: ask.Digest}) // of what was shown
		var refused *agent.Refusal
		switch {
		case err == nil:
			fmt.Printf("%s's answer is taken\n", u.ID)
		case errors.As(err, &refused):
			fmt.Printf("%s's answer is refused as %s: %s\n", u.ID, refused.Kind, strings.ReplaceAll(refused.Detail, string(ask.ID), "ASK"))
		default:
			log.Fatal(err)
		}
	}
	res, err = o.Await(ctx, res.Run)
	check(err)
	fmt.Println(res.Text)

	for ev, err := range o.Watch(ctx, res.Run, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) {
		check(err)
		if ev.Record == nil {
			continue
		}
		if e, ok := ev.Record.Event.(*run.Answered); ok {
			fmt.Printf("the log says: %s, %s, arguments %s (shown: %t)\n", e.Answer.By.ID, e.Answer.Choice, e.Digest, e.Digest == ask.Digest)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
