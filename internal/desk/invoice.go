package desk

import (
	"context"
	"math"
)

// An Invoice is what a customer was charged for an order, in EUR with VAT.
type Invoice struct {
	Number  string    `json:"invoice"`
	Order   int       `json:"order"`
	Date    string    `json:"date"`
	Lines   []Line    `json:"lines"`
	Total   float64   `json:"total"`
	Rate    int       `json:"vat_percent"`
	VAT     float64   `json:"vat"` // of Total
	Paid    string    `json:"paid"`
	Refunds []Payment `json:"refunds,omitempty"`
}

// A Line is one line of an invoice.
type Line struct {
	Text   string  `json:"text"`
	Amount float64 `json:"amount"`
}

var invoices = map[int]Invoice{
	1042: {Number: "FI-1042", Rate: 19, Paid: "by card on 2 March", Lines: []Line{{"espresso machine Aurora", 249.00}}},
	1043: {Number: "FI-1043", Rate: 7, Paid: "by card on 9 March", Lines: []Line{{"two bags of coffee beans", 27.90}, {"delivery", 3.90}}},
	1044: {Number: "FI-1044", Rate: 19, Paid: "by bank transfer on 10 March", Lines: []Line{{"gooseneck kettle", 55.00}, {"delivery", 4.90}}},
	1045: {Number: "FI-1045", Rate: 19, Paid: "by card on 27 February", Lines: []Line{{"hand grinder", 79.50}, {"spare burrs", 15.00}}},
	1046: {Number: "FI-1046", Rate: 19, Paid: "by bank transfer on 6 March", Lines: []Line{{"café table", 220.00}, {"two chairs", 260.00}}},
}

// Invoice finds the invoice of an order.
func (s *Shop) Invoice(ctx context.Context, q Numbered) (Invoice, error) {
	o, err := s.LookUp(ctx, q)
	if err != nil {
		return Invoice{}, err
	}
	paid, err := s.bank.Entries(q.Order)
	if err != nil {
		return Invoice{}, err
	}
	i := invoices[q.Order]
	i.Order, i.Date, i.Total = o.Number, o.Placed, o.Total
	i.VAT = math.Round(o.Total*100*float64(i.Rate)/float64(100+i.Rate)) / 100
	for _, p := range paid {
		i.Refunds = append(i.Refunds, p.Payment)
	}
	return i, nil
}
