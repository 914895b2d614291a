// Command form has people fill in forms: one that a program asks for, with the
// schema of a Go type, and one whose fields a model has chosen. What does not fit
// is refused, and the form stays open.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

type address struct {
	Street string `json:"street"`
	Zip    string `json:"zip" jsonschema:"pattern=^[0-9]{5}$"`
	Parcel int    `json:"parcel" jsonschema:"minimum=1,description=How many parcels"`
}

// pickUp asks for an address, and says where the van goes.
func pickUp(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
	for _, n := range v.News {
		if n.Closed == nil {
			continue
		}
		var a address
		if err := json.Unmarshal(n.Closed.Content, &a); err != nil {
			return nil, err
		}
		return &agent.Move{Message: agent.Said(fmt.Sprintf("The van fetches %d parcels in %s, %s.", a.Parcel, a.Zip, a.Street))}, nil
	}
	ask := &agent.Ask{Kind: agent.AskForm, Prompt: "Where are the parcels?", Schema: planner.OutputOf[address]()}
	return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: ask}}}, nil
}

func main() {
	model := scripted.New(
		scripted.Call(planner.AskPerson, `{"question": "What shall we send you?", "fields": [
			{"name": "colour", "type": "string", "choices": ["red", "blue"]},
			{"name": "pieces", "type": "integer", "description": "How many"},
			{"name": "gift", "type": "boolean", "required": false}]}`),
		scripted.Say("Two red ones are on their way."),
	)
	store, err := sqlite.Open("form.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{
		{Name: "van", Planner: agent.PlannerFunc(pickUp)},
		{Name: "shop", Planner: planner.Loop(model, "You sell lamps.", nil)},
	}, nil)
	check(err)

	play(o, "van", `{"street": "Am Wall 3", "zip": "2819", "parcel": 2}`, `{"street": "Am Wall 3", "zip": "28195", "parcel": 2}`)
	play(o, "shop", `{"colour": "green", "pieces": "two"}`, `{"colour": "red", "pieces": 2}`)
}

// play starts a run and fills in its form until an answer is taken.
func play(o *orchestrator.Orchestrator, name string, answers ...string) {
	ctx := context.Background()
	res, err := o.Run(ctx, orchestrator.Request{Agent: name, Message: agent.Text("Hello.")})
	check(err)
	ask := res.Asks[0]
	fmt.Printf("%s: %s\n  %s\n", ask.Kind, ask.Prompt, ask.Schema)
	for _, a := range answers {
		taken := "taken"
		if err := o.Answer(ctx, ask.ID, agent.Answer{By: agent.User{ID: "ann"}, Value: []byte(a)}); err != nil {
			taken = err.Error()
		}
		fmt.Printf("  %s\n    %s\n", a, taken)
	}
	res, err = o.Await(ctx, res.Run)
	check(err)
	fmt.Println(res.Text)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
