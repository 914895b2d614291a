package desk

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// Return are the arguments of the tool that makes a return label.
type Return struct {
	Order  int    `json:"order" jsonschema:"description=Order number,minimum=1000,maximum=9999"`
	Reason string `json:"reason" jsonschema:"description=Why it is sent back,maxLength=200"`
	Opened bool   `json:"opened" jsonschema:"description=Whether it was opened"`
	Pickup string `json:"pickup" jsonschema:"description=Day on which it is to be picked up\\, such as 2026-03-14"`
}

// A Label is what a customer puts on the parcel.
type Label struct {
	Order  int    `json:"order"`
	Number string `json:"label"`
	Pickup string `json:"pickup"`
}

// ReturnLabel makes a return label. The same call gets the same label, however
// often it is made: its number follows from the call's key.
func (s *Shop) ReturnLabel(ctx context.Context, r Return) (Label, error) {
	o, err := s.LookUp(ctx, Numbered{r.Order})
	if err != nil {
		return Label{}, err
	}
	if o.State != delivered {
		return Label{}, fmt.Errorf("order %d cannot be sent back before it was delivered; its state is %s", r.Order, o.State)
	}
	if _, err := time.Parse(time.DateOnly, r.Pickup); err != nil {
		return Label{}, fmt.Errorf("the day of the pick-up is written as 2026-03-14, and %q came", r.Pickup)
	}
	sum := sha256.Sum256([]byte(agent.CallFrom(ctx).Key))
	return Label{Order: r.Order, Number: fmt.Sprintf("FL-%d-%x", r.Order, sum[:2]), Pickup: r.Pickup}, nil
}
