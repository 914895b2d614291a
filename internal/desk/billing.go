package desk

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/tools"
)

const billingInstructions = `You explain the invoices of a small web shop to its service desk, which gives you one task at a time. You do not talk
with the customer, and cannot ask back. Look the invoice up, and answer the task in a sentence or three: what was charged, the
VAT in it, how it was paid, what was paid back. Amounts are in EUR. If the task does not say which order it is about, say so.`

// The names of the functions by which the offline model gives tasks and hands off.
const (
	toBilling = "delegate_to_billing"
	toReturns = "hand_off_to_returns"
	toDesk    = "hand_off_to_desk"
)

const lookUpInvoice = "look_up_invoice"

// billingAgent makes the delegate that explains invoices.
func billingAgent(model agent.Model, shop *Shop) *agent.Agent {
	return &agent.Agent{
		Name:        "billing",
		Description: "Explains invoices.",
		Planner:     planner.Loop(model, billingInstructions, &planner.LoopOptions{NoAsk: true}),
		Tools: []*agent.Tool{
			tools.Func(lookUpInvoice, "Find the invoice of an order: its lines, the VAT, how it was paid, what was refunded.", shop.Invoice,
				&tools.Options{Effect: agent.ReadOnly}),
		},
	}
}

// bill has billing explain the invoices, all at once, and tells what it says.
func (g goal) bill(t turn) (text string, calls []agent.Call) {
	if told := t.of(toBilling); len(told) > 0 {
		return tellAll(told), nil
	}
	for _, n := range g.numbers {
		calls = append(calls, call(toBilling, struct {
			Task string `json:"task"`
		}{fmt.Sprintf("Explain the invoice of order %d: the charges, the VAT and the payment.", n)}))
	}
	return "", calls
}

// explain is what the offline model does as billing.
func explain(t turn) (text string, calls []agent.Call) {
	if found := t.of(lookUpInvoice); len(found) > 0 {
		return tellAll(found), nil
	}
	for _, n := range orderForm.FindAllString(t.said, -1) {
		number, _ := strconv.Atoi(n) // four digits
		calls = append(calls, call(lookUpInvoice, Numbered{number}))
	}
	if len(calls) == 0 {
		return "The task does not say which order it is about.", nil
	}
	return "", calls
}

func tellInvoice(content json.RawMessage) (string, bool) {
	var i Invoice
	if json.Unmarshal(content, &i) != nil || i.Number == "" {
		return "", false
	}
	var lines []string
	for _, l := range i.Lines {
		lines = append(lines, fmt.Sprintf("%s %.2f", l.Text, l.Amount))
	}
	s := fmt.Sprintf("Invoice %s is over %.2f EUR (%s), with %.2f EUR of VAT at %d%%, and was paid %s.",
		i.Number, i.Total, strings.Join(lines, ", "), i.VAT, i.Rate, i.Paid)
	refunded := 0.0
	for _, p := range i.Refunds {
		refunded += p.Amount
	}
	if refunded > 0 {
		s += fmt.Sprintf(" %.2f EUR of it were paid back.", refunded)
	}
	return s, true
}
