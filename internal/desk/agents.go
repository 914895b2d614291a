package desk

import (
	"context"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/tools"
)

// ApproveAbove is how much, in EUR, the desk may pay back on its own.
const ApproveAbove = 100.0

// RefundTimeout is how long a refund may take. A refund whose worker was lost
// may still come back until then; after it the bank is asked what became of it.
const RefundTimeout = 3 * time.Second

const instructions = `You are the service desk of a small web shop for coffee things.{{if .User.Name}} You talk with {{.User.Name}}.{{end}}
Look orders and parcels up before you speak of them, all that you need at once. Pay back only what an order has cost, and
only if the customer asks for it. Amounts are in EUR. When it is not clear which order is meant, ask. Be brief and kind.`

// Ledger returns the path of the bank's ledger that lies beside a store.
func Ledger(store string) string { return store + ".bank" }

// Agents makes the desk, with a shop whose bank keeps its ledger beside the
// store.
func Agents(model agent.Model, store string) []*agent.Agent {
	shop := NewShop(Ledger(store))
	return []*agent.Agent{{
		Name:        "desk",
		Description: "The service desk of a pretend web shop: finds orders and parcels, and pays back.",
		Planner:     planner.Loop(model, instructions, nil),
		Tools: []*agent.Tool{
			tools.Func("look_up_order", "Find an order: what it is, what it cost, what was paid back.", shop.LookUp,
				&tools.Options{Effect: agent.ReadOnly}),
			tools.Func("track_parcel", "Find out where the parcel of an order is.", shop.Track,
				&tools.Options{Effect: agent.ReadOnly}),
			tools.Func("refund", "Pay back an order, or a part of it.", shop.Refund,
				&tools.Options{
					Timeout:   RefundTimeout,
					Approve:   tools.ApproveIf(overLimit),
					Reconcile: tools.Reconcile(shop.Refunded),
				}),
		},
	}}
}

func overLimit(_ context.Context, r Refund) string {
	if r.Amount <= ApproveAbove {
		return ""
	}
	return fmt.Sprintf("%.2f EUR is more than the %.0f EUR that the desk may pay back on its own", r.Amount, ApproveAbove)
}
