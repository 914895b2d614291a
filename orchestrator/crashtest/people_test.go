package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// A person starts runs and writes to them, answers what they ask, or reads along.
type person struct {
	*world
	agent.User
	dice *rand.Rand
	n    int // inputs given
}

func (w *world) person(n uint64) *person {
	return &person{world: w, User: agent.User{ID: fmt.Sprint("person ", n)}, dice: w.roll(n)}
}

// try does what may fail, and does it again until there is an answer; now and
// then the person loses patience, and never learns what became of it. Each try is
// given up after a while, as callers do.
func (p *person) try(f func(context.Context) error) verdict {
	for {
		patience := time.Minute
		if p.hurried {
			patience = between(p.dice, 200*time.Millisecond, 6*time.Second)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Context()), patience)
		err := f(ctx)
		cancel()
		var no *agent.Refusal
		switch {
		case err == nil:
			return accepted
		case errors.As(err, &no):
			return refused
		}
		p.ledger.note(func() { p.ledger.failures++ })
		if p.dice.IntN(8) == 0 {
			return unsure
		}
		p.rest(50 * time.Millisecond)
	}
}

// rest waits.
func (p *person) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// use starts runs as long as there are tickets, and writes to them and others.
func (p *person) use() {
	for range p.tickets {
		p.start()
		if p.dice.IntN(2) == 0 {
			p.write()
		}
	}
}

// start starts a run, and some twice with the same key.
func (p *person) start() {
	p.n++
	r := orchestrator.Request{Agent: agentNames[p.dice.IntN(len(agentNames))], Message: agent.Text("Act."), User: p.User, Key: fmt.Sprint("run ", p.n)}
	var id agent.RunID
	do := func(ctx context.Context) error {
		got, err := p.o.Start(ctx, r)
		if err == nil && id != "" && got != id {
			p.Errorf("the same request again gave %s, and not %s", got, id)
		}
		if err == nil {
			id = got
		}
		return err
	}
	switch p.try(do) {
	case accepted:
		p.ledger.note(func() { p.ledger.runs = append(p.ledger.runs, id) })
	case refused:
		p.Errorf("the start %q of %s was refused", r.Key, r.User.ID)
	case unsure:
		p.ledger.note(func() { p.ledger.unsure++ })
	}
	if id != "" && p.dice.IntN(4) == 0 && p.try(do) == refused {
		p.Errorf("the start %q of %s was accepted, and the same again was refused", r.Key, r.User.ID)
	}
}

// write gives an input to one of the last runs, whatever it is doing.
func (p *person) write() {
	p.n++
	in := &orchestrator.Input{By: p.User, Key: fmt.Sprintf("%s: %d", p.ID, p.n)}
	i := &input{run: p.ledger.recent(p.dice.IntN), key: in.Key}
	if i.run == "" {
		return
	}
	var do func(context.Context) error
	switch n := p.dice.IntN(20); {
	case n == 0:
		i.kind, do = "cancellation", func(ctx context.Context) error { return p.o.Cancel(ctx, i.run, "enough", in) }
	case n < 8:
		i.kind, do = "signal", func(ctx context.Context) error { return p.o.Signal(ctx, i.run, "go", nil, in) }
	default:
		i.kind, do = "message", func(ctx context.Context) error { return p.o.Send(ctx, i.run, agent.Text("And go on."), in) }
	}
	p.ledger.begin(i)
	p.ledger.end(i, p.try(do))
}

// attend answers what is asked until ctx ends.
func (p *person) attend(ctx context.Context) {
	for ctx.Err() == nil {
		p.rest(100 * time.Millisecond)
		var asks []*agent.Ask
		look := func(ctx context.Context) (err error) {
			asks, _, err = p.o.Asks(ctx, memory.AskQuery{Limit: 1000})
			return err
		}
		if p.try(look) != accepted {
			continue
		}
		p.dice.Shuffle(len(asks), func(i, j int) { asks[i], asks[j] = asks[j], asks[i] })
		for _, ask := range asks {
			p.answer(ask)
		}
	}
}

// answer answers one ask. Others may be about to answer it, too.
func (p *person) answer(ask *agent.Ask) {
	a := agent.Answer{By: p.User}
	switch ask.Kind {
	case agent.AskOutcome:
		if a.Choice = p.outcome(ask); a.Choice == "" {
			return // later
		}
	case agent.AskApproval:
		a.Choice = []string{agent.Approve, agent.Approve, agent.Approve, agent.Edit, agent.Deny, agent.Instead}[p.dice.IntN(6)]
		if a.Choice == agent.Edit || a.Choice == agent.Instead {
			a.Value = []byte(`{"by":"hand"}`)
		}
	case agent.AskChoice:
		if p.dice.IntN(3) == 0 {
			return // it may expire
		}
		a.Choice = ask.Choices[p.dice.IntN(len(ask.Choices))]
	default:
		p.Errorf("the ask %+v is none that was to be expected", ask)
		return
	}
	i := p.ledger.begin(&input{run: ask.ID.Run(), kind: "answer", key: string(ask.ID), answer: p.ID + ": " + a.Choice})
	v := p.try(func(ctx context.Context) error { return p.o.Answer(ctx, ask.ID, a) })
	p.ledger.end(i, v)
	if v == accepted {
		p.ledger.count("answers about " + string(ask.Kind))
	}
}

// outcome looks up what became of a begun call, as a person does.
func (p *person) outcome(ask *agent.Ask) string {
	s, err := p.o.State(p.Context(), ask.ID.Run())
	if err != nil {
		return ""
	}
	open := s.Action(ask.Action)
	if open == nil || open.Ask == nil || open.Ask.ID != ask.ID {
		return ""
	}
	acted, going := p.service.fate(requestOf(s.Run, open.Action.Name, open.ID, open.Attempt))
	switch {
	case acted:
		return agent.Happened
	case going:
		return ""
	}
	return []string{agent.Rerun, agent.Rerun, agent.NotHappened}[p.dice.IntN(3)]
}

func requestOf(id agent.RunID, tool string, action agent.ActionID, attempt int) request {
	return request{Tool: tool, Key: fmt.Sprintf("%s.%s", id, action), Attempt: attempt}
}

// read reads along with one run after the other until ctx ends.
func (p *person) read(ctx context.Context) {
	for ctx.Err() == nil {
		p.rest(50 * time.Millisecond)
		if id := p.ledger.recent(p.dice.IntN); id != "" {
			p.follow(ctx, id, time.Now().Add(between(p.dice, time.Second, 8*time.Second)))
		}
	}
}

// follow reads along with a run. There are no gaps and no repeats, also when it
// broke off and is begun again where it was.
func (p *person) follow(ctx context.Context, id agent.RunID, until time.Time) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for seen := int64(0); ctx.Err() == nil; p.rest(50 * time.Millisecond) {
		var broken error
		for ev, err := range p.o.Watch(ctx, id, &orchestrator.WatchOptions{After: seen, Until: orchestrator.RunEnd}) {
			if broken = err; err != nil || ev.Record == nil {
				continue
			}
			if seen++; ev.Record.Seq != seen {
				p.Errorf("who reads along with run %s is shown the record %d, and not %d", id, ev.Record.Seq, seen)
				return
			}
			p.ledger.count("records read along")
		}
		var no *agent.Refusal
		switch {
		case broken == nil:
			return // the run has ended
		case errors.As(broken, &no) || errors.Is(broken, orchestrator.ErrRewound):
			p.Errorf("who reads along with run %s is told: %v", id, broken)
			return
		case ctx.Err() == nil:
			p.ledger.count("watches broken off")
		}
	}
}

// people are at work until stop is called; gone is closed when there are no
// tickets left and all who had one have done what they wanted.
func (w *world) people(users, clerks int) (gone <-chan struct{}, stop func()) {
	var using, attending sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	for n := range users {
		using.Go(w.person(uint64(n)).use)
	}
	for n := range clerks {
		attending.Go(func() { w.person(uint64(users + n)).attend(ctx) })
		attending.Go(func() { w.person(uint64(users + clerks + n)).read(ctx) })
	}
	left := make(chan struct{})
	go func() { using.Wait(); close(left) }()
	stop = sync.OnceFunc(func() { cancel(); <-left; attending.Wait() })
	return left, stop
}
