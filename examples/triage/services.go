package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/tools"
)

// services are pretend ones.
type services struct{ ledger *story.Ledger }

type orderNumber struct {
	Order int `json:"order"`
}

type order struct {
	Order   int    `json:"order"`
	Article string `json:"article"`
	Euros   int    `json:"euros"`
}

func (s *services) LookUp(_ context.Context, o orderNumber) (order, error) {
	return order{o.Order, "hand grinder", 89}, nil
}

type query struct {
	Words string `json:"words"`
}

func (s *services) Search(_ context.Context, q query) (string, error) {
	return "nothing was found about " + q.Words, nil
}

type repayment struct {
	Order int `json:"order"`
	Euros int `json:"euros" jsonschema:"minimum=1"`
}

func (s *services) Refund(ctx context.Context, r repayment) (string, error) {
	return fmt.Sprintf("%d euros", r.Euros), s.ledger.Do(ctx, "refund", fmt.Sprintf("order %d, %d euros", r.Order, r.Euros))
}

// Refunded looks up what became of a refund whose worker was lost.
func (s *services) Refunded(ctx context.Context, r repayment) (string, error) {
	done, err := s.ledger.Done(ctx, "refund")
	if err == nil && !done {
		err = agent.NotDone(errors.New("nothing was paid back"))
	}
	return fmt.Sprintf("%d euros", r.Euros), err
}

// approval is asked of a supervisor who is not the customer.
func approval(context.Context, repayment) *agent.Ask {
	return &agent.Ask{Prompt: "money leaves the house", For: []string{"group:supervisors"}, Not: []string{agent.TheUser}}
}

func (s *services) tools() []*agent.Tool {
	return []*agent.Tool{
		tools.Func("look_up", "Find an order.", s.LookUp, &tools.Options{Effect: agent.ReadOnly}),
		tools.Func("search", "Search the help pages.", s.Search, &tools.Options{Effect: agent.ReadOnly}),
		tools.Func("refund", "Pay back.", s.Refund, &tools.Options{
			Approve: tools.ApproveIf(approval), Reconcile: tools.Reconcile(s.Refunded), Timeout: 3 * time.Second,
		}),
	}
}
