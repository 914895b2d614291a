// Command structured has the model answer in a form that a program can use. An
// answer that does not fit goes back to the model with what is wrong.
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

type ticket struct {
	Topic  string `json:"topic" jsonschema:"enum=refund,enum=parcel,enum=other"`
	Urgent bool   `json:"urgent"`
	Order  int    `json:"order" jsonschema:"minimum=1"`
}

func main() {
	replies := []string{
		`{"topic": "complaint", "urgent": "very", "order": 7}`, // does not fit
		`{"topic": "refund", "urgent": true, "order": 7}`,
	}
	asked := 0
	model := scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		asked++
		if asked == 2 {
			fmt.Println("the model is told:", req.Messages[len(req.Messages)-1].Text())
		}
		return &agent.ModelReply{Message: *agent.Said(replies[asked-1])}, nil
	})
	sorter := &agent.Agent{
		Name:    "sorter",
		Planner: planner.Loop(model, "You sort the mail.", &planner.LoopOptions{Output: planner.OutputOf[ticket](), NoAsk: true}),
	}
	store, err := sqlite.Open("structured.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{sorter}, nil)
	check(err)
	res, err := o.Run(context.Background(), orchestrator.Request{Agent: "sorter", Message: agent.Text("My bike, order 7, is BROKEN!!")})
	check(err)
	var t ticket
	check(json.Unmarshal(res.JSON, &t))
	fmt.Printf("topic %s, urgent %t, order %d\n", t.Topic, t.Urgent, t.Order)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
