package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/tools"
)

// services are pretend ones. What goes wrong the order itself says: the stock's line
// drops at the first try for a lamp, chairs are sold out, the card "declined" is, and
// nothing can be paid back to the card "closed"; nobody lives "nowhere".
type services struct{ ledger *story.Ledger }

type reservation struct {
	Order   int    `json:"order"`
	Article string `json:"article"`
}

func (r reservation) String() string { return fmt.Sprintf("%s for order %d", r.Article, r.Order) }

// Reserve may be asked again with the same key.
func (s *services) Reserve(ctx context.Context, r reservation) (reservation, error) {
	if r.Article == "chair" {
		return r, agent.Coded("sold-out", errors.New("chairs are sold out"))
	}
	if r.Article == "lamp" {
		tried, err := s.ledger.Has("lost", r.String())
		if err == nil && !tried {
			err = errors.Join(s.ledger.Do(ctx, "lost", r.String()), errors.New("the line dropped"))
			return r, agent.Coded("network", err)
		}
	}
	return r, s.ledger.DoOnce(ctx, "reserve", r.String())
}

func (s *services) Release(ctx context.Context, r reservation) (reservation, error) {
	return r, s.ledger.DoOnce(ctx, "release", r.String())
}

type charge struct {
	Order int    `json:"order"`
	Euros int    `json:"euros"`
	Card  string `json:"card"`
}

type receipt struct {
	Payment string `json:"payment"`
}

// Pay takes money whenever it is asked to: it is called once.
func (s *services) Pay(ctx context.Context, c charge) (receipt, error) {
	if c.Card == "declined" {
		return receipt{}, agent.Coded("card", agent.NotDone(errors.New("the card was declined")))
	}
	r := receipt{fmt.Sprintf("P-%d", c.Order)}
	return r, s.ledger.Do(ctx, "pay", fmt.Sprintf("%s, %d euros", r.Payment, c.Euros))
}

// Paid looks up what became of a payment whose worker was lost.
func (s *services) Paid(ctx context.Context, c charge) (receipt, error) {
	return receipt{fmt.Sprintf("P-%d", c.Order)}, s.lookUp(ctx, "pay")
}

func (s *services) lookUp(ctx context.Context, what string) error {
	done, err := s.ledger.Done(ctx, what)
	if err == nil && !done {
		return agent.NotDone(errors.New("no such thing was done"))
	}
	return err
}

type repayment struct {
	Payment string `json:"payment"`
	Euros   int    `json:"euros"`
	Card    string `json:"card"`
}

// Refund pays back.
func (s *services) Refund(ctx context.Context, r repayment) (string, error) {
	if r.Card == "closed" {
		return "", agent.Coded("card", agent.NotDone(errors.New("the card's account is closed")))
	}
	return "paid back", s.ledger.Do(ctx, "refund", fmt.Sprintf("%s, %d euros", r.Payment, r.Euros))
}

// Refunded looks up what became of one.
func (s *services) Refunded(ctx context.Context, r repayment) (string, error) {
	return "paid back", s.lookUp(ctx, "refund")
}

type delivery struct {
	Order   int    `json:"order"`
	Address string `json:"address"`
}

type label struct {
	Parcel string `json:"parcel"`
}

// Ship sends a parcel. What became of a call whose worker was lost a person has to
// find out.
func (s *services) Ship(ctx context.Context, d delivery) (label, error) {
	if strings.HasPrefix(d.Address, "nowhere") {
		return label{}, agent.Coded("address", agent.NotDone(errors.New("nobody lives at that address")))
	}
	l := label{fmt.Sprintf("F-%d", d.Order)}
	return l, s.ledger.Do(ctx, "ship", l.Parcel+" to "+d.Address)
}

// tools are the services as the graph calls them.
func (s *services) tools() []*agent.Tool {
	const soon = 3 * time.Second
	return []*agent.Tool{
		tools.Func("reserve", "Set an article aside.", s.Reserve, &tools.Options{Effect: agent.Idempotent, Timeout: soon}),
		tools.Func("release", "Give it back.", s.Release, &tools.Options{Effect: agent.Idempotent, Timeout: soon}),
		tools.Func("pay", "Charge a card.", s.Pay, &tools.Options{Reconcile: tools.Reconcile(s.Paid), Timeout: soon}),
		tools.Func("refund", "Pay back.", s.Refund, &tools.Options{Reconcile: tools.Reconcile(s.Refunded), Timeout: soon}),
		tools.Func("ship", "Send a parcel.", s.Ship, &tools.Options{Timeout: soon}),
	}
}
