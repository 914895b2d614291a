package perform

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// The waits between attempts to ask a planner whose failure may pass. There is
// no last attempt: an outage of a model's provider never fails a run.
const (
	planBackoff = time.Second
	planMaxWait = 5 * time.Minute
)

// How long a planner may think before it is given up and asked again, and an
// approval rule before a person decides. Planners bound their models themselves,
// and far below this: it is for those that hang.
const (
	planTimeout = time.Hour
	ruleTimeout = 30 * time.Second
)

// think is attend for a planner's own code, which has planTimeout.
func (p *Performer) think(ctx context.Context, j run.Job, do func(context.Context) run.Event, give func(run.Event)) {
	timed, cancel := context.WithTimeoutCause(ctx, planTimeout, agent.Transient(fmt.Errorf("the planner did not answer within %s", planTimeout), 0))
	defer cancel()
	failed := func(err error) run.Event { return p.planFailed(ctx, j, "", err) }
	attend(timed, func() run.Event { return do(timed) }, failed, give, nil)
}

// reason is an error of a planner's code as it is recorded: that of its time, if
// that was up.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Begin prepares a turn: the agent's terms, the instructions if they differ from
// the ones before, and the definition if the run goes by none yet.
func (p *Performer) Begin(ctx context.Context, v *agent.View, j run.Job, give func(run.Event)) {
	began := &run.TurnBegan{Slot: j.Slot, Terms: run.TermsOf(p.Agent, v.User)}
	b, briefs := p.Agent.Planner.(agent.Briefer)
	if none := ""; !briefs && v.Instructions != none { // those of an agent before
		began.Instructions = &none
	}
	if _, defines := p.Agent.Planner.(agent.Definer); !briefs && !defines {
		give(began)
		return
	}
	p.think(ctx, j, func(timed context.Context) run.Event {
		shown := *v
		stack, err := contain(func() (err error) {
			shown.Definition, began.Definition, err = p.define(timed, v.Run, j.Definition)
			return err
		})
		if err != nil {
			return p.planFailed(ctx, j, stack, reason(timed, err))
		}
		if !briefs {
			return began
		}
		var text string
		stack, err = contain(func() (err error) { text, err = b.Brief(timed, &shown); return err })
		if err != nil {
			return p.planFailed(ctx, j, stack, fmt.Errorf("the instructions of agent %s cannot be made: %w", p.Agent.Name, reason(timed, err)))
		}
		if text != v.Instructions {
			began.Instructions = &text
		}
		return began
	}, give)
}

// Plan asks the planner and admits its move. The basis is the last record that
// v shows.
func (p *Performer) Plan(ctx context.Context, v *agent.View, j run.Job, basis int64, basisID agent.RecordID, emit func(agent.Delta), give func(run.Event)) {
	shown := *v
	shown.Tools, shown.Delegates, shown.Handoffs = p.Agent.Tools, p.Agent.Delegates, p.Agent.Handoffs
	p.think(ctx, j, func(timed context.Context) run.Event {
		var move *agent.Move
		stack, err := contain(func() (err error) {
			if shown.Definition, err = p.definition(timed, v.Run, j.Definition); err != nil {
				return err
			}
			if shown.News, err = p.whole(timed, v); err != nil {
				return err
			}
			move, err = p.Agent.Planner.Plan(timed, &shown, emit)
			return err
		})
		if err != nil {
			return p.planFailed(ctx, j, stack, reason(timed, err))
		}
		desk := &run.Desk{
			Tools: p.Agent.Tools, Delegates: p.Agent.Delegates, Handoffs: p.Agent.Handoffs, Validate: p.Validate, Check: p.Check,
			NeedsApproval: func(t *agent.Tool, args json.RawMessage) *agent.Ask { return p.needsApproval(timed, t, v, args) },
		}
		moved, err := run.Admit(v, basis, basisID, move, desk)
		if err != nil {
			return p.planFailed(ctx, j, "", err)
		}
		return moved
	}, give)
}

// whole returns the news, for a planner that goes by a definition with large results
// in full, in the place of their previews: it computes with them.
func (p *Performer) whole(ctx context.Context, v *agent.View) ([]agent.News, error) {
	if _, defines := p.Agent.Planner.(agent.Definer); !defines || p.Blob == nil {
		return v.News, nil
	}
	news := v.News
	for i, n := range v.News {
		if n.Closed == nil || n.Closed.Blob == "" {
			continue
		}
		data, err := p.Blob(ctx, v.Run, n.Closed.Blob)
		if err != nil {
			return nil, fmt.Errorf("the result of %s, which is kept apart as it is large, cannot be read: %w", n.Closed.Name, err)
		}
		if &news[0] == &v.News[0] {
			news = slices.Clone(v.News)
		}
		closed := *n.Closed
		closed.Content = data
		news[i].Closed = &closed
	}
	return news, nil
}

// planFailed makes the event of a failed attempt, or nil if it was stopped.
func (p *Performer) planFailed(ctx context.Context, j run.Job, stack string, err error) run.Event {
	if ctx.Err() != nil {
		return nil
	}
	if stack != "" {
		p.Logger.Error("a planner panicked", "agent", p.Agent.Name, "error", err, "stack", stack)
	}
	after, transient := agent.IsTransient(err)
	e := &run.PlanFailed{Slot: j.Slot, Attempt: j.Attempt, Error: clip(err.Error(), maxError), Transient: transient}
	if transient {
		e.Wait = backoff(j.Attempt, planBackoff, planMaxWait, after)
	}
	return e
}

// needsApproval asks the tool's rule. One that fails leaves the decision to a
// person.
func (p *Performer) needsApproval(ctx context.Context, t *agent.Tool, v *agent.View, args json.RawMessage) *agent.Ask {
	if t.Approve == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ruleTimeout)
	defer cancel()
	type answer struct {
		ask *agent.Ask
		err error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errExit}
		defer func() { done <- a }()
		_, a.err = contain(func() (err error) {
			a.ask, err = t.Approve(ctx, agent.CallInfo{Run: v.Run, Agent: v.Agent, User: v.User, Meta: v.Meta, Path: v.Path}, args)
			return err
		})
	}()
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		a.err = context.Cause(ctx)
	}
	if a.err != nil {
		return &agent.Ask{Prompt: "its approval rule failed (" + clip(a.err.Error(), 200) + "), so a person decides"}
	}
	return a.ask
}
