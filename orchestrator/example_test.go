package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
	"github.com/fermata-run/fermata/tools"
)

// conduct makes an orchestrator over a store in memory.
func conduct(a *agent.Agent) *orchestrator.Orchestrator {
	o, err := orchestrator.New(memorytest.NewStore(nil), []*agent.Agent{a}, nil)
	if err != nil {
		log.Fatal(err)
	}
	return o
}

func talker(replies ...scripted.Reply) *agent.Agent {
	return &agent.Agent{Name: "desk", Planner: planner.Loop(scripted.New(replies...), "You help.", nil)}
}

func ExampleOrchestrator_Run() {
	o := conduct(talker(scripted.Say("Good morning.")))
	res, err := o.Run(context.Background(), orchestrator.Request{Agent: "desk", Message: agent.Text("Hello!")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, res.Text)
	// Output: idle Good morning.
}

func ExampleOrchestrator_Start() {
	o := conduct(talker(scripted.Say("Good morning.")))
	ctx := context.Background()
	request := orchestrator.Request{Agent: "desk", Message: agent.Text("Hello!"), Key: "mail 4711"}
	first, err := o.Start(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	again, err := o.Start(ctx, request) // the reply to the first was lost, say
	if err != nil {
		log.Fatal(err)
	}
	request.Message = agent.Text("Something else")
	_, err = o.Start(ctx, request)
	fmt.Println(first == again, err != nil)
	// Output: true true
}

func ExampleOrchestrator_Send() {
	o := conduct(talker(scripted.Say("Good morning."), scripted.Say("At nine.")))
	ctx := context.Background()
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Hello!")})
	if err != nil {
		log.Fatal(err)
	}
	if err := o.Send(ctx, res.Run, agent.Text("When do you open?"), nil); err != nil {
		log.Fatal(err)
	}
	if res, err = o.Await(ctx, res.Run); err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Text)
	// Output: At nine.
}

func ExampleOrchestrator_Answer() {
	// The model asks the person by itself.
	o := conduct(talker(scripted.Call(planner.AskPerson, `{"question": "Which size?", "choices": ["M", "L"]}`), scripted.Say("One shirt in L.")))
	ctx := context.Background()
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("A shirt, please.")})
	if err != nil {
		log.Fatal(err)
	}
	ask := res.Asks[0]
	fmt.Println(res.Status, ask.Prompt, ask.Choices)

	fmt.Println(o.Answer(ctx, ask.ID, agent.Answer{Choice: "L"}))
	fmt.Println(o.Answer(ctx, ask.ID, agent.Answer{Choice: "M"}) != nil)

	if res, err = o.Await(ctx, res.Run); err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, res.Text)
	// Output:
	// waiting Which size? [M L]
	// <nil>
	// true
	// idle One shirt in L.
}

func ExampleOrchestrator_Watch() {
	lookup := tools.Func("lookup", "Find an order.", func(context.Context, struct{}) (string, error) { return "a bicycle", nil }, &tools.Options{Effect: agent.ReadOnly})
	a := talker(scripted.Call("lookup", `{}`), scripted.Say("A bicycle."))
	a.Tools = []*agent.Tool{lookup}
	o := conduct(a)
	res, err := o.Run(context.Background(), orchestrator.Request{Agent: "desk", Message: agent.Text("What did I order?")})
	if err != nil {
		log.Fatal(err)
	}
	for ev, err := range o.Watch(context.Background(), res.Run, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) {
		if err != nil {
			log.Fatal(err)
		}
		if r := ev.Record; r != nil {
			fmt.Printf("%d %T %s\n", r.Seq, r.Event, ev.Status)
		}
	}
	// Output:
	// 1 *run.Started idle
	// 2 *run.Messaged planning
	// 3 *run.TurnBegan planning
	// 4 *run.Moved acting
	// 5 *run.Returned planning
	// 6 *run.Moved idle
}

func ExampleOrchestrator_Signal() {
	// A planner that is a Go function: it waits for the parcel, and ends the run.
	track := agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
		for _, n := range v.News {
			if n.Closed != nil {
				return &agent.Move{Message: agent.Said("It is here: " + string(n.Closed.Content)), Finish: true}, nil
			}
		}
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Name: "parcel", Within: 72 * time.Hour}}}, nil
	})
	o := conduct(&agent.Agent{Name: "parcel", Planner: track})
	ctx := context.Background()
	res, err := o.Run(ctx, orchestrator.Request{Agent: "parcel"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status)
	if err := o.Signal(ctx, res.Run, "parcel", json.RawMessage(`{"door": "back"}`), nil); err != nil {
		log.Fatal(err)
	}
	if res, err = o.Await(ctx, res.Run); err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, res.Text)
	// Output:
	// waiting
	// done It is here: {"door":"back"}
}

func ExampleOrchestrator_Cancel() {
	o := conduct(talker(scripted.Say("Good morning.")))
	ctx := context.Background()
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Hello!")})
	if err != nil {
		log.Fatal(err)
	}
	if err := o.Cancel(ctx, res.Run, "wrong number", nil); err != nil {
		log.Fatal(err)
	}
	page, err := o.Runs(ctx, memory.RunQuery{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Runs[0].Index.Status, page.Runs[0].Index.Reason)
	// Output: cancelled wrong number
}

func ExampleOrchestrator_Retry() {
	down := true
	model := scripted.Func(func(*agent.ModelRequest) (*agent.ModelReply, error) {
		if down {
			return nil, errors.New("the key is wrong")
		}
		return &agent.ModelReply{Message: *agent.Said("Good morning.")}, nil
	})
	o := conduct(&agent.Agent{Name: "desk", Planner: planner.Loop(model, "You help.", nil)})
	ctx := context.Background()
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Hello!")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, res.Reason)

	down = false // somebody has mended it
	if err := o.Retry(ctx, res.Run, "the key is right now", nil); err != nil {
		log.Fatal(err)
	}
	if res, err = o.Await(ctx, res.Run); err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, res.Text)
	// Output:
	// stuck the key is wrong
	// idle Good morning.
}

func ExampleOrchestrator_Work() {
	o := conduct(talker(scripted.Say("Good morning.")))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- o.Work(ctx) }() // in as many processes as you like

	id, err := o.Start(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Hello!")})
	if err != nil {
		log.Fatal(err)
	}
	for ev, err := range o.Watch(ctx, id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) {
		if err != nil {
			log.Fatal(err)
		}
		if ev.Status == agent.StatusIdle && ev.Record.Seq > 1 {
			fmt.Println(orchestrator.ResultOf(ev.State).Text)
		}
	}
	stop() // running calls may finish, and nothing is lost
	fmt.Println(<-ended)
	// Output:
	// Good morning.
	// <nil>
}

// A limit asks a person whether to go on.
func Example_limits() {
	again := scripted.Call("again", `{}`)
	a := talker(again, again, again, scripted.Say("Done."))
	a.Tools = []*agent.Tool{tools.Func("again", "Try again.", func(context.Context, struct{}) (string, error) { return "not yet", nil }, nil)}
	a.Limits = agent.Limits{TurnSteps: 2}
	o := conduct(a)
	ctx := context.Background()
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Go!")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, res.Asks[0].Prompt)
	if err := o.Answer(ctx, res.Asks[0].ID, agent.Answer{Choice: agent.Continue}); err != nil {
		log.Fatal(err)
	}
	if res, err = o.Await(ctx, res.Run); err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, res.Text)
	// Output:
	// waiting the limit turn_steps is reached: 2 of 2. Go on with the same allowance again?
	// idle Done.
}

// A tool failed in a way that leaves open whether it acted. Nobody makes the call
// again by accident: a person says what happened.
func Example_unknownOutcome() {
	a := talker(scripted.Call("pay", `{}`), scripted.Say("It is paid."))
	a.Tools = []*agent.Tool{tools.Func("pay", "Pay.", func(context.Context, struct{}) (string, error) { return "", errors.New("connection reset") }, nil)}
	o := conduct(a)
	ctx := context.Background()
	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Pay!")})
	if err != nil {
		log.Fatal(err)
	}
	ask := res.Asks[0]
	fmt.Println(ask.Prompt)
	fmt.Println(ask.Choices)
	if err := o.Answer(ctx, ask.ID, agent.Answer{Choice: agent.Happened, Note: "the bank's statement says so"}); err != nil {
		log.Fatal(err)
	}
	if res, err = o.Await(ctx, res.Run); err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status, res.Text)
	// Output:
	// pay was begun, and nobody knows whether it took place: connection reset. Please look it up. What happened?
	// [happened rerun not-happened give-up]
	// idle It is paid.
}
