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

// Begin prepares a turn: the agent's terms, and the instructions if they differ
// from the ones before.
func (p *Performer) Begin(ctx context.Context, v *agent.View, j run.Job) run.Event {
	began := &run.TurnBegan{Slot: j.Slot, Terms: run.TermsOf(p.Agent)}
	b, ok := p.Agent.Planner.(agent.Briefer)
	if !ok {
		return began
	}
	text, stack, err := attend(ctx, func() (string, error) { return b.Brief(ctx, v) })
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
	move, stack, err := attend(ctx, func() (*agent.Move, error) { return p.Agent.Planner.Plan(ctx, &shown, emit) })
	if err != nil {
		return p.planFailed(ctx, j, stack, err)
	}
	desk := &run.Desk{Tools: p.Agent.Tools, Validate: p.Validate, NeedsApproval: func(t *agent.Tool, args json.RawMessage) string {
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
	reason, _, err := attend(ctx, func() (string, error) {
		return t.Approve(ctx, agent.CallInfo{Run: v.Run, Agent: v.Agent, User: v.User, Meta: v.Meta}, args)
	})
	if err != nil {
		return "its approval rule failed (" + clip(err.Error(), 200) + "), so a person decides"
	}
	return reason
}
