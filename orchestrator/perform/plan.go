package perform

import (
	"context"
	"encoding/json"
	"fmt"
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
func think[T any](ctx context.Context, f func(context.Context) (T, error)) (v T, stack string, err error) {
	timed, cancel := context.WithTimeoutCause(ctx, planTimeout, agent.Transient(fmt.Errorf("the planner did not answer within %s", planTimeout), 0))
	defer cancel()
	v, stack, err = attend(timed, func() (T, error) { return f(timed) })
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		err = context.Cause(timed)
	}
	return v, stack, err
}

// Begin prepares a turn: the agent's terms, and the instructions if they differ
// from the ones before.
func (p *Performer) Begin(ctx context.Context, v *agent.View, j run.Job) run.Event {
	began := &run.TurnBegan{Slot: j.Slot, Terms: run.TermsOf(p.Agent)}
	b, ok := p.Agent.Planner.(agent.Briefer)
	if !ok {
		return began
	}
	text, stack, err := think(ctx, func(ctx context.Context) (string, error) { return b.Brief(ctx, v) })
	if err != nil {
		return p.planFailed(ctx, j, stack, fmt.Errorf("the instructions of agent %s cannot be made: %w", p.Agent.Name, err))
	}
	if text != v.Instructions {
		began.Instructions = &text
	}
	return began
}

// Plan asks the planner and admits its move. The basis is the last record that
// v shows. It returns nil if ctx ended.
func (p *Performer) Plan(ctx context.Context, v *agent.View, j run.Job, basis int64, basisID agent.RecordID, emit func(agent.Delta)) run.Event {
	shown := *v
	shown.Tools = p.Agent.Tools
	move, stack, err := think(ctx, func(ctx context.Context) (*agent.Move, error) { return p.Agent.Planner.Plan(ctx, &shown, emit) })
	if err != nil {
		return p.planFailed(ctx, j, stack, err)
	}
	desk := &run.Desk{Tools: p.Agent.Tools, Validate: p.Validate, Check: p.Check, NeedsApproval: func(t *agent.Tool, args json.RawMessage) string {
		return p.needsApproval(ctx, t, v, args)
	}}
	moved, err := run.Admit(v, basis, basisID, move, desk)
	if err != nil {
		return p.planFailed(ctx, j, "", err)
	}
	return moved
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
func (p *Performer) needsApproval(ctx context.Context, t *agent.Tool, v *agent.View, args json.RawMessage) string {
	ctx, cancel := context.WithTimeout(ctx, ruleTimeout)
	defer cancel()
	reason, _, err := attend(ctx, func() (string, error) {
		return t.Approve(ctx, agent.CallInfo{Run: v.Run, Agent: v.Agent, User: v.User, Meta: v.Meta}, args)
	})
	if err != nil {
		return "its approval rule failed (" + clip(err.Error(), 200) + "), so a person decides"
	}
	return reason
}
