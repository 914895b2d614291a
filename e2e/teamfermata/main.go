// Command teamfermata is a process of the test beside it: a worker that has three
// agents, or a person who answers what she is asked as it is due.
//
//	teamfermata work             drives runs until it is told to end
//	teamfermata answer ID        answers what ID is asked, and prints how each answer fared
//
// The desk gives a payment to billing, whose tool waits for an approval by ann or
// bob; when that is over, the desk hands the customer over to the returns agent.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/openai"
	"github.com/fermata-run/fermata/tools"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := do(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func do(ctx context.Context, args []string) error {
	store, err := open(ctx, os.Getenv("FERMATA_STORE"))
	if err != nil {
		return err
	}
	defer store.Close()
	switch {
	case len(args) == 1 && args[0] == "work":
		o, err := orchestrator.New(store, agents(), &orchestrator.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		if err != nil {
			return err
		}
		fmt.Println("working")
		return o.Work(ctx)
	case len(args) == 2 && args[0] == "answer":
		o, err := orchestrator.New(store, nil, nil)
		if err != nil {
			return err
		}
		p := &person{User: agent.User{ID: args[1]}, o: o, store: store, out: json.NewEncoder(os.Stdout), seen: map[agent.AskID]bool{}}
		return p.live(ctx)
	}
	return fmt.Errorf("%q: work, or answer and an id, was expected", args)
}

func open(ctx context.Context, address string) (memory.Store, error) {
	if strings.HasPrefix(address, "redis://") {
		return redis.Open(ctx, address, nil)
	}
	return sqlite.Open(address, nil)
}

// payment are the arguments of the tool.
type payment struct {
	Euros int `json:"euros"`
}

// within is how long people have to answer.
func within() time.Duration {
	d, err := time.ParseDuration(os.Getenv("TEAM_WITHIN"))
	if err != nil {
		panic(err)
	}
	return d
}

// agents makes the three agents. What is paid goes to the ledger, a line for each
// call.
func agents() []*agent.Agent {
	model, within := openai.New("gpt-test", nil), within()
	approve := func(context.Context, agent.CallInfo, json.RawMessage) (*agent.Ask, error) {
		return &agent.Ask{Prompt: "money leaves the house", For: []string{"ann", "bob"}, Not: []string{agent.TheUser}, Within: within}, nil
	}
	billing := &agent.Agent{
		Name: "billing", Description: "Pays.", Planner: planner.Loop(model, "You are billing.", nil),
		Tools: []*agent.Tool{tools.Func("pay", "Pay.", pay, &tools.Options{Approve: approve})},
	}
	returns := &agent.Agent{Name: "returns", Description: "Takes things back.", Planner: planner.Loop(model, "You are returns.", nil)}
	return []*agent.Agent{{
		Name: "desk", Planner: planner.Loop(model, "You are the desk.", nil),
		Delegates: []*agent.Agent{billing}, Handoffs: []*agent.Agent{returns},
	}}
}

func pay(ctx context.Context, p payment) (string, error) {
	c := agent.CallFrom(ctx)
	f, err := os.OpenFile(os.Getenv("TEAM_LEDGER"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", agent.NotDone(err)
	}
	_, err = fmt.Fprintf(f, "%s %s %d\n", c.Path[0].Run, c.Run, p.Euros)
	return "paid", errors.Join(err, f.Close())
}

// A person answers each ask once: at once, or about when it is due.
type person struct {
	agent.User
	o     *orchestrator.Orchestrator
	store memory.Store

	seen map[agent.AskID]bool
	mu   sync.Mutex
	out  *json.Encoder
}

// said is a line of what a person prints.
type said struct {
	Ask     agent.AskID       `json:"ask"`
	By      string            `json:"by"`
	Choice  string            `json:"choice"`
	Refused agent.RefusalKind `json:"refused,omitempty"` // "" accepted
	Error   string            `json:"error,omitempty"`
}

// live looks into the inbox until ctx ends.
func (p *person) live(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	for ctx.Err() == nil {
		asks, _, err := p.o.Asks(ctx, memory.AskQuery{For: p.User})
		if err != nil && ctx.Err() == nil {
			return err
		}
		for _, a := range asks {
			if !p.seen[a.ID] {
				p.seen[a.ID] = true
				group.Go(func() { p.decide(ctx, a) })
			}
		}
		pause(ctx, time.Millisecond)
	}
	return nil
}

// decide answers, now and then twice, as who lost the reply to the first does.
func (p *person) decide(ctx context.Context, a *agent.Ask) {
	if rand.N(3) > 0 {
		about := within() / 15
		pause(ctx, a.Due.Sub(p.store.Now())+rand.N(2*about)-about)
	}
	answer := agent.Answer{By: p.User, Choice: agent.Approve, Digest: a.Digest}
	if rand.N(2) == 0 {
		answer = agent.Answer{By: p.User, Choice: agent.Deny, Note: "not today"}
	}
	for range 1 + rand.N(2) {
		err := p.o.Answer(context.WithoutCancel(ctx), a.ID, answer)
		line := said{Ask: a.ID, By: p.ID, Choice: answer.Choice}
		var refused *agent.Refusal
		if errors.As(err, &refused) {
			line.Refused = refused.Kind
		}
		if err != nil {
			line.Error = err.Error()
		}
		p.mu.Lock()
		err = p.out.Encode(line)
		p.mu.Unlock()
		if err != nil {
			panic(err) // the test has gone
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(max(d, 0)):
	case <-ctx.Done():
	}
}
