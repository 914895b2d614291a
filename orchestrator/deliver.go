package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/perform"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// delivery is one letter on its way: all of it is known when it leaves, so that the
// run that sends it may go on.
type delivery struct {
	job      run.Job
	from     agent.RunID
	opening  []run.Event    // of a run that is to begin
	cancel   *run.Cancelled // of one that is to end
	reported *run.Reported  // to the parent
	result   json.RawMessage
	waits    *run.Subscription // to a mailbox
	mailbox  run.Address       // that has sent it, with posts
	posts    []run.Given
	keep     *perform.Performer // keeps a large result; nil keeps it in the log
}

// letter makes up the delivery of what the outbox has for a run.
func (d *driver) letter(job run.Job) *delivery {
	s := d.j.state
	l := s.LetterTo(job.To)
	out := &delivery{job: job, from: s.Run, opening: s.Opening(l), cancel: l.Cancel, waits: l.Subscribe, posts: l.Posts, keep: d.o.agents[s.Agent]}
	if s.Mailbox != nil {
		out.mailbox = s.Mailbox.Address
	}
	if l.Report != nil {
		out.reported = &run.Reported{Action: s.Parent.Action, Run: s.Run, N: l.N, Report: *l.Report}
		if l.Report.Status == agent.StatusDone {
			out.result = s.Result()
		}
		if l.Report.Status.Ended() {
			out.reported.Usage = s.Spent.Usage
		}
	}
	return out
}

// The waits between tries to deliver a letter to a run that cannot be reached.
const (
	deliverWait    = time.Second
	deliverMaxWait = time.Hour
)

// deliver tells another run, and returns what came of it. It may be done any
// number of times, by any number of workers; nil says that it was stopped.
func (o *Orchestrator) deliver(ctx context.Context, l *delivery) run.Event {
	done := &run.Delivered{To: l.job.To, N: l.job.N}
	back, err := o.hand(ctx, l)
	done.Back = back
	var refused *agent.Refusal
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &refused), errors.Is(err, memory.ErrErased):
		done.Error = err.Error()
	default:
		done.Error = err.Error()
		done.Wait = min(deliverWait<<min(l.job.Attempt-1, 20), deliverMaxWait)
	}
	return done
}

// hand hands a letter over. Back are the waits that had ended to which a mailbox gave
// signals.
func (o *Orchestrator) hand(ctx context.Context, l *delivery) (back []agent.ActionID, err error) {
	switch {
	case l.reported != nil:
		return nil, o.handReport(ctx, l)
	case l.opening != nil:
		return nil, o.handOpening(ctx, l)
	case l.waits != nil:
		return nil, o.toMailbox(ctx, l.waits.Address, &run.Subscribed{Run: l.from, N: l.job.N, Actions: l.waits.Actions})
	case l.posts != nil:
		return o.handPosts(ctx, l)
	}
	return nil, o.handCancel(ctx, l)
}

func (o *Orchestrator) handReport(ctx context.Context, l *delivery) error {
	e := *l.reported
	e.Content = l.result
	if l.keep != nil && l.result != nil {
		e.Content, e.Blob = l.keep.Keep(ctx, l.job.To, l.result)
	}
	if err := run.JudgeForm(&e); err != nil { // a refusal would end the delivery
		return fmt.Errorf("the result has no room in the log of run %s, and could not be kept beside it; it is tried again: %v", l.job.To, err)
	}
	return o.input(ctx, l.job.To, &e)
}

// handOpening begins a run. One that has begun already is told the rest.
func (o *Orchestrator) handOpening(ctx context.Context, l *delivery) error {
	j := &journal{store: o.store, state: run.New(l.job.To)}
	err := j.begin(ctx, l.opening)
	if !errors.Is(err, memory.ErrConflict) {
		return err
	}
	there, err := read(ctx, o.store, l.job.To, true, nil)
	if err != nil {
		return err
	}
	if p := there.state.Parent; p == nil || p.Run != l.from {
		return agent.Refuse(agent.RefusedConflict, "there is another run %s", l.job.To)
	}
	return o.handCancel(ctx, l)
}

// handCancel calls a run off, if that is to be told. That it has ended by itself is
// as good.
func (o *Orchestrator) handCancel(ctx context.Context, l *delivery) error {
	if l.cancel == nil {
		return nil
	}
	err := o.input(ctx, l.job.To, l.cancel)
	var refused *agent.Refusal
	if errors.As(err, &refused) && refused.Kind == agent.RefusedConflict {
		return nil
	}
	return err
}
