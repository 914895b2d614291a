package main

import (
	"context"
	"errors"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/tools"
)

// services are pretend ones.
type services struct{ ledger *story.Ledger }

type colleague struct {
	Name   string `json:"name"`
	Laptop string `json:"laptop"`
}

type account struct {
	Account string `json:"account"`
}

// Open opens an account, unless it is there: when the deadline passes while it is being
// opened, and all goes on later, it is asked to do so again.
func (s *services) Open(ctx context.Context, c colleague) (account, error) {
	a := account{c.Name + "@example.com"}
	if there, err := s.ledger.Has("open", a.Account); there || err != nil {
		return a, agent.NotDone(err)
	}
	return a, s.ledger.DoOnce(ctx, "open", a.Account)
}

func (s *services) Close(ctx context.Context, a account) (account, error) {
	return a, s.ledger.DoOnce(ctx, "close", a.Account)
}

type letter struct {
	Name    string `json:"name"`
	Account string `json:"account"`
	Plan    string `json:"plan"`
}

// Welcome sends a letter, which nobody wants to get twice.
func (s *services) Welcome(ctx context.Context, l letter) (string, error) {
	return "sent", s.ledger.Do(ctx, "welcome", l.Name+": "+l.Plan)
}

// Welcomed looks up whether one was sent.
func (s *services) Welcomed(ctx context.Context, l letter) (string, error) {
	done, err := s.ledger.Done(ctx, "welcome")
	if err == nil && !done {
		err = agent.NotDone(errors.New("no letter was sent"))
	}
	return "sent", err
}

func (s *services) tools() []*agent.Tool {
	const soon = 3 * time.Second
	return []*agent.Tool{
		tools.Func("open_account", "Open an account.", s.Open, &tools.Options{Effect: agent.Idempotent, Timeout: soon}),
		tools.Func("close_account", "Close it.", s.Close, &tools.Options{Effect: agent.Idempotent, Timeout: soon}),
		tools.Func("send_welcome", "Send a letter.", s.Welcome, &tools.Options{Reconcile: tools.Reconcile(s.Welcomed), Timeout: soon}),
	}
}
