package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/tools"
)

type Order struct {
	ID int `json:"id" jsonschema:"description=Order number,minimum=1"`
}

type Status struct {
	State string `json:"state"`
}

func lookup(ctx context.Context, o Order) (Status, error) {
	if o.ID == 17 {
		return Status{State: "sent"}, nil
	}
	return Status{}, fmt.Errorf("there is no order %d", o.ID)
}

func ExampleFunc() {
	tool := tools.Func("lookup", "Find an order.", lookup, &tools.Options{Effect: agent.ReadOnly})

	fmt.Println(string(tool.Input))
	out, err := tool.Call(context.Background(), json.RawMessage(`{"id": 17}`))
	fmt.Println(string(out), err)
	// Output:
	// {"properties":{"id":{"type":"integer","minimum":1,"description":"Order number"}},"additionalProperties":false,"type":"object","required":["id"]}
	// {"state":"sent"} <nil>
}

// Whoever pays back more than a hundred needs a second pair of eyes.
func ExampleApproveIf() {
	type Refund struct {
		Order  int     `json:"order"`
		Amount float64 `json:"amount"`
	}
	refund := tools.Func("refund", "Pay an order back.",
		func(ctx context.Context, r Refund) (string, error) { return "done", nil },
		&tools.Options{Approve: tools.ApproveIf(func(ctx context.Context, r Refund) *agent.Ask {
			if r.Amount <= 100 {
				return nil
			}
			return &agent.Ask{Prompt: fmt.Sprintf("%.0f is more than 100", r.Amount), For: []string{"group:supervisors"}}
		})})

	for _, args := range []string{`{"order": 17, "amount": 20}`, `{"order": 17, "amount": 900}`} {
		ask, err := refund.Approve(context.Background(), agent.CallInfo{}, json.RawMessage(args))
		if ask == nil {
			fmt.Println("no approval is needed", err)
			continue
		}
		fmt.Println(ask.Prompt, ask.For, err)
	}
	// Output:
	// no approval is needed <nil>
	// 900 is more than 100 [group:supervisors] <nil>
}

// A worker that died in the middle of a payment leaves open whether it took
// place. The bank knows: it kept the call's key.
func ExampleReconcile() {
	bank := map[string]string{"key-1": "payment 4711"}

	look := tools.Reconcile(func(ctx context.Context, o Order) (string, error) {
		if p, ok := bank[agent.CallFrom(ctx).Key]; ok {
			return p, nil
		}
		return "", agent.NotDone(errors.New("no such payment"))
	})

	for _, key := range []string{"key-1", "key-2"} {
		ctx := agent.WithCall(context.Background(), agent.CallInfo{Key: key})
		out, err := look(ctx, json.RawMessage(`{"id": 17}`))
		fmt.Println(string(out), err, agent.IsNotDone(err))
	}
	// Output:
	// "payment 4711" <nil> false
	//  no such payment true
}

// A middleware that logs each call of a tool.
func ExampleWrap() {
	logged := func(log *slog.Logger) tools.Middleware {
		return func(t *agent.Tool) *agent.Tool {
			next := t.Call
			t.Call = func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
				out, err := next(ctx, args)
				log.InfoContext(ctx, "called", "tool", t.Name, "bytes", len(out), "err", err)
				return out, err
			}
			return t
		}
	}

	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	tool := tools.Wrap(tools.Func("lookup", "Find an order.", lookup, nil), logged(log))
	for _, args := range []string{`{"id": 17}`, `{"id": 18}`} {
		if _, err := tool.Call(context.Background(), json.RawMessage(args)); err != nil {
			fmt.Println("failed:", err)
		}
	}
	// Output:
	// level=INFO msg=called tool=lookup bytes=16 err=<nil>
	// level=INFO msg=called tool=lookup bytes=0 err="there is no order 18"
	// failed: there is no order 18
}
