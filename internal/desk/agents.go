package desk

import (
	"context"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/tools"
)

// The desk may pay back up to ApproveAbove, in EUR, on its own, and up to
// SuperviseAbove when anybody approves, be it the customer: with one person at one
// laptop there is nobody else. Above that, one of Supervisors has to, and
// when none does in time, one of Managers; never the customer.
const (
	ApproveAbove   = 100.0
	SuperviseAbove = 400.0
	Supervisors    = "supervisors" // a group
	Managers       = "managers"    // a group
)

// How long supervisors and then managers have to answer, and how often they are
// reminded.
const (
	supervisorsWithin = 2 * time.Hour
	managersWithin    = 24 * time.Hour
	remindEvery       = 30 * time.Minute
)

// RefundTimeout is how long a refund may take. A refund whose worker was lost
// may still come back until then; after it the bank is asked what became of it.
const RefundTimeout = 3 * time.Second

// handoffs is how often a conversation may change hands in one turn.
const handoffs = 4

const instructions = `You are the service desk of a small web shop for coffee things.{{if .User.Name}} You talk with {{.User.Name}}.{{end}}
Look orders and parcels up before you speak of them, all that you need at once. Pay back only what an order has cost, and
only if the customer asks for it. Amounts are in EUR. What was charged, invoices and VAT billing explains: give it one task
for each order, all at once, and tell what it says. Who wants to send something back you hand off to returns. When it is
not clear which order is meant, ask. Be brief and kind.`

// Ledger returns the path of the bank's ledger that lies beside a store.
func Ledger(store string) string { return store + ".bank" }

// Agents makes the desk, its delegate billing and its colleague returns, with a
// shop whose bank keeps its ledger beside the store. The desk is the first.
func Agents(model agent.Model, store string) []*agent.Agent {
	shop := NewShop(Ledger(store))
	lookUp := tools.Func("look_up_order", "Find an order: what it is, what it cost, what was paid back.", shop.LookUp,
		&tools.Options{Effect: agent.ReadOnly})
	desk := &agent.Agent{
		Name:        "desk",
		Description: "The service desk of a pretend web shop: finds orders and parcels, and pays back.",
		Planner:     planner.Loop(model, instructions, nil),
		Limits:      agent.Limits{Handoffs: handoffs},
		Tools: []*agent.Tool{
			lookUp,
			tools.Func("track_parcel", "Find out where the parcel of an order is.", shop.Track,
				&tools.Options{Effect: agent.ReadOnly}),
			tools.Func("refund", "Pay back an order, or a part of it.", shop.Refund,
				&tools.Options{
					Timeout:   RefundTimeout,
					Approve:   tools.ApproveIf(overLimit),
					Reconcile: tools.Reconcile(shop.Refunded),
				}),
		},
	}
	billing, returns := billingAgent(model, shop), returnsAgent(model, shop, lookUp)
	desk.Delegates = []*agent.Agent{billing}
	desk.Handoffs, returns.Handoffs = []*agent.Agent{returns}, []*agent.Agent{desk}
	return []*agent.Agent{desk, billing, returns}
}

// overLimit says who has to approve a refund, if anybody.
func overLimit(_ context.Context, r Refund) *agent.Ask {
	switch {
	case r.Amount <= ApproveAbove:
		return nil
	case r.Amount <= SuperviseAbove:
		return &agent.Ask{Prompt: fmt.Sprintf("%.2f EUR is more than the %.0f EUR that the desk may pay back on its own", r.Amount, ApproveAbove)}
	}
	return &agent.Ask{
		Prompt:   fmt.Sprintf("%.2f EUR is more than %.0f EUR, and so for a supervisor to decide", r.Amount, SuperviseAbove),
		For:      []string{"group:" + Supervisors},
		Not:      []string{agent.TheUser},
		Within:   supervisorsWithin,
		Remind:   remindEvery,
		Escalate: []agent.Escalation{{For: []string{"group:" + Managers}, Within: managersWithin}},
		Default:  &agent.Answer{Choice: agent.Deny, Note: "neither a supervisor nor a manager has answered in time"},
	}
}
