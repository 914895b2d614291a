package desk

import (
	"context"
	"fmt"

	"github.com/fermata-run/fermata/agent"
)

// A Shop is the pretend shop: orders and parcels that never change, and a bank
// whose ledger says what was paid back.
type Shop struct {
	bank   *Bank
	orders map[int]Order
	parcel map[int]Parcel
}

// NewShop opens the shop whose bank keeps its ledger in the file at ledger. The
// file is made with the first payment.
func NewShop(ledger string) *Shop {
	s := &Shop{bank: NewBank(ledger), orders: map[int]Order{}, parcel: map[int]Parcel{}}
	for _, o := range stock {
		s.orders[o.Number] = o
	}
	for _, p := range parcels {
		s.parcel[p.Order] = p
	}
	return s
}

// An Order is what a customer bought.
type Order struct {
	Number   int     `json:"order"`
	Items    string  `json:"items"`
	Total    float64 `json:"total"` // in EUR
	Placed   string  `json:"placed"`
	State    string  `json:"state"` // packing, sent or delivered
	Refunded float64 `json:"refunded,omitempty"`
}

// delivered is the state of an order that can be sent back.
const delivered = "delivered"

// A Parcel is where an order is.
type Parcel struct {
	Order   int    `json:"order"`
	Number  string `json:"parcel"`
	State   string `json:"state"`
	Seen    string `json:"last_seen"`
	Expects string `json:"expected,omitempty"`
}

var stock = []Order{
	{Number: 1042, Items: "espresso machine Aurora", Total: 249.00, Placed: "2 March", State: delivered},
	{Number: 1043, Items: "two bags of coffee beans, Yirgacheffe", Total: 31.80, Placed: "9 March", State: "sent"},
	{Number: 1044, Items: "gooseneck kettle", Total: 59.90, Placed: "10 March", State: "packing"},
	{Number: 1045, Items: "hand grinder with spare burrs", Total: 94.50, Placed: "27 February", State: delivered},
	{Number: 1046, Items: "café table and two chairs", Total: 480.00, Placed: "5 March", State: "sent"},
}

var parcels = []Parcel{
	{Order: 1042, Number: "FP-7714", State: "delivered to a neighbour", Seen: "Bremen, 4 March"},
	{Order: 1043, Number: "FP-7731", State: "out for delivery", Seen: "Bremen, this morning", Expects: "today before 18:00"},
	{Order: 1045, Number: "FP-7702", State: "delivered", Seen: "Bremen, 1 March"},
	{Order: 1046, Number: "FP-7719", State: "waiting at the depot for a second person to carry it", Seen: "Hannover, 8 March", Expects: "12 March"},
}

// Numbered are the arguments of tools that want an order's number.
type Numbered struct {
	Order int `json:"order" jsonschema:"description=Order number,minimum=1000,maximum=9999"`
}

// LookUp finds an order.
func (s *Shop) LookUp(_ context.Context, q Numbered) (Order, error) {
	o, ok := s.orders[q.Order]
	if !ok {
		return Order{}, fmt.Errorf("there is no order %d; this pretend shop has 1042 to 1046", q.Order)
	}
	paid, err := s.bank.Entries(q.Order)
	if err != nil {
		return Order{}, err
	}
	for _, p := range paid {
		o.Refunded += p.Amount
	}
	return o, nil
}

// Track finds the parcel of an order.
func (s *Shop) Track(_ context.Context, q Numbered) (Parcel, error) {
	if p, ok := s.parcel[q.Order]; ok {
		return p, nil
	}
	if o, ok := s.orders[q.Order]; ok {
		return Parcel{}, fmt.Errorf("order %d has no parcel yet; its state is %s", q.Order, o.State)
	}
	return Parcel{}, fmt.Errorf("there is no order %d; this pretend shop has 1042 to 1046", q.Order)
}

// Refund are the arguments of the refund tool.
type Refund struct {
	Order  int     `json:"order" jsonschema:"description=Order number,minimum=1000,maximum=9999"`
	Amount float64 `json:"amount" jsonschema:"description=What to pay back in EUR,exclusiveMinimum=0,maximum=10000"`
	Reason string  `json:"reason,omitempty" jsonschema:"description=Why\\, in the customer's words,maxLength=500"`
}

// Refund pays an order back. What the shop turns down never reaches the bank,
// and is marked as not done. What the bank does not answer stays unknown.
func (s *Shop) Refund(ctx context.Context, r Refund) (Payment, error) {
	key := agent.CallFrom(ctx).Key
	o, ok := s.orders[r.Order]
	if !ok {
		return Payment{}, agent.NotDone(fmt.Errorf("there is no order %d; this pretend shop has 1042 to 1046", r.Order))
	}
	paid, err := s.bank.Entries(r.Order)
	if err != nil {
		return Payment{}, agent.NotDone(err)
	}
	left := o.Total
	for _, p := range paid {
		if p.Key != key { // a call that is made twice by mistake is to be seen in the ledger, and not hidden here
			left -= p.Amount
		}
	}
	if r.Amount > left+0.001 {
		return Payment{}, agent.NotDone(fmt.Errorf("order %d has %.2f EUR left to pay back, and not %.2f", r.Order, max(left, 0), r.Amount))
	}
	return s.bank.Pay(ctx, key, Payment{Order: r.Order, Amount: r.Amount, Reason: r.Reason})
}

// Refunded looks up at the bank what became of a refund.
func (s *Shop) Refunded(ctx context.Context, r Refund) (Payment, error) {
	key := agent.CallFrom(ctx).Key
	paid, err := s.bank.Entries(r.Order)
	if err != nil {
		return Payment{}, err
	}
	for _, p := range paid {
		if p.Key == key {
			return p.Payment, nil
		}
	}
	return Payment{}, agent.NotDone(fmt.Errorf("the bank has no payment for order %d under the key %s", r.Order, key))
}
