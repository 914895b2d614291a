package perform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Task is one attempt of a call.
type Task struct {
	Info     agent.CallInfo
	Action   run.Action
	Args     json.RawMessage
	Digest   string          // of the approved arguments; "" if nobody had to approve
	Editor   *agent.User     // the person who has changed the arguments; nil if nobody has
	Planned  json.RawMessage // with Editor: what they were before
	Deadline time.Time       // by which a begun call has ended; zero: Action.Timeout from now
}

// outcome is what a tool gave.
type outcome struct {
	content json.RawMessage
	stack   string
	err     error
}

// Call makes one attempt of a call and gives what came of it. If the tool does
// not return when its time is up, late is called when it says whether it has
// acted.
func (p *Performer) Call(ctx context.Context, t *Task, give, late func(run.Event)) {
	tool, err := p.check(t)
	if err == nil {
		err = p.judgeEdited(ctx, t, tool)
	}
	if err != nil {
		give(&run.CallFailed{Action: t.Info.Action, Attempt: t.Info.Attempt, Error: err.Error(), NotDone: true})
		return
	}
	left := t.Action.Timeout
	if !t.Deadline.IsZero() {
		left = t.Deadline.Sub(p.Now())
	}
	timed, cancel := context.WithTimeoutCause(agent.WithCall(ctx, t.Info), left,
		fmt.Errorf("the tool %s did not return within its time-out of %s", tool.Name, t.Action.Timeout))
	defer cancel()
	attend(timed,
		func() run.Event { return p.told(ctx, timed, t, tool, invoke(timed, tool.Call, t.Args)) },
		func(err error) run.Event { return p.told(ctx, timed, t, tool, outcome{err: err}) },
		give,
		func(e run.Event) {
			if failed, ok := e.(*run.CallFailed); !ok || failed.NotDone {
				late(e)
			}
		})
}

// check says why a call cannot be made; it has then not taken place.
func (p *Performer) check(t *Task) (*agent.Tool, error) {
	tool := p.Tool(t.Action.Name)
	if tool == nil {
		return nil, fmt.Errorf("agent %s has no tool %q any more", p.Agent.Name, t.Action.Name)
	}
	if t.Digest != "" && run.Digest(t.Args) != t.Digest {
		return nil, fmt.Errorf("the arguments of %s are not the ones that were approved", t.Action.Name)
	}
	if !t.Deadline.IsZero() && !p.Now().Before(t.Deadline) {
		return nil, fmt.Errorf("the time to call %s had passed before it was called", t.Action.Name)
	}
	return tool, nil
}

// judgeEdited asks the tool's rule about arguments that a person has changed: who
// may approve the one call may not always approve the other. Whom the rule has asked in
// the end, as those before them did not answer, may also decide another call for which
// it names the same people. To whom somebody has delegated the one may not.
func (p *Performer) judgeEdited(ctx context.Context, t *Task, tool *agent.Tool) error {
	if t.Editor == nil || len(t.Planned) > 0 && run.Digest(t.Args) == run.Digest(t.Planned) {
		return nil // it is the call that the ask was about
	}
	c := &t.Info
	v := &agent.View{Run: c.Run, Agent: c.Agent, User: c.User, Meta: c.Meta, Path: c.Path}
	ask := p.needsApproval(ctx, tool, v, t.Args)
	if ask == nil || mayDecide(t, agent.Ask{For: ask.For, Not: ask.Not}) {
		return nil
	}
	if len(t.Planned) > 0 && mayDecide(t, *ask) {
		was := p.needsApproval(ctx, tool, v, t.Planned)
		if was != nil && slices.Equal(was.For, ask.For) && slices.Equal(was.Not, ask.Not) && mayDecide(t, *was) {
			return nil
		}
	}
	return fmt.Errorf("%s has changed the arguments to ones that others have to approve (%s); make the call with these arguments, so that they are asked", t.Editor.ID, ask.Prompt)
}

// mayDecide reports whether an ask is for who has changed the arguments, or comes to them
// by its escalation.
func mayDecide(t *Task, ask agent.Ask) bool {
	user := t.Info.User
	terms := agent.Ask{For: slices.Clone(run.Resolve(ask.For, user)), Not: run.Resolve(ask.Not, user)}
	for _, step := range ask.Escalate {
		terms.For = append(terms.For, run.Resolve(step.For, user)...)
	}
	return terms.May(*t.Editor)
}

func invoke(ctx context.Context, f func(context.Context, json.RawMessage) (json.RawMessage, error), args json.RawMessage) (out outcome) {
	out.stack, out.err = contain(func() (err error) {
		out.content, err = f(ctx, args)
		return err
	})
	return out
}

// told turns what a tool gave into an event.
func (p *Performer) told(ctx, timed context.Context, t *Task, tool *agent.Tool, out outcome) run.Event {
	if out.err == nil {
		return p.returned(context.WithoutCancel(ctx), t, out.content)
	}
	if ctx.Err() != nil && t.Action.Effect != agent.Once {
		return nil // nobody waits for it, or somebody else makes it again
	}
	err := out.err
	if errors.Is(err, context.DeadlineExceeded) && timed.Err() != nil {
		err = context.Cause(timed)
	}
	e := &run.CallFailed{
		Action: t.Info.Action, Attempt: t.Info.Attempt, Error: clip(err.Error(), maxError),
		Code: agent.CodeOf(out.err), NotDone: agent.IsNotDone(out.err), Stack: out.stack,
		Again: t.Info.Attempt < t.Action.Attempts && (tool.Retry.On == nil || retryable(tool.Retry.On, out.err)),
	}
	if e.Again {
		after, _ := agent.IsTransient(out.err)
		e.Wait = backoff(t.Info.Attempt, orElse(t.Action.Backoff, time.Second), orElse(t.Action.MaxWait, time.Minute), after)
	}
	return e
}

// retryable asks the tool's own rule; one that panics says no.
func retryable(on func(error) bool, err error) (yes bool) {
	_, _ = contain(func() error { yes = on(err); return nil })
	return yes
}

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// returned makes the event of a result. A large one is kept as a blob, with its
// beginning as a preview.
func (p *Performer) returned(ctx context.Context, t *Task, content json.RawMessage) *run.Returned {
	e := &run.Returned{Action: t.Info.Action, Attempt: t.Info.Attempt, Content: content}
	switch {
	case len(content) == 0:
		e.Content = json.RawMessage("null")
	case !json.Valid(content):
		e.Content = agent.JSONText(string(content)) // it was done, whatever it says
	}
	e.Content, e.Blob = p.Keep(ctx, t.Info.Run, e.Content)
	return e
}

// Keep returns a result as the run's log keeps it: as it is, or, if it is large, a
// preview and the name of the blob.
func (p *Performer) Keep(ctx context.Context, id agent.RunID, content json.RawMessage) (inline json.RawMessage, blob string) {
	if len(content) <= maxInline || p.PutBlob == nil {
		return content, ""
	}
	blob, err := p.PutBlob(ctx, id, content)
	if err != nil {
		p.Logger.Warn("a large result is kept in the log, since the store did not take it as a blob", "run", id, "error", err)
		return content, ""
	}
	return agent.JSONText(clip(agent.PlainText(content), preview)), blob
}

// The waits between look-ups of what became of a call.
const (
	lookupBackoff = 2 * time.Second
	lookupMaxWait = time.Minute
)

// Lookup asks the tool what became of a begun call.
func (p *Performer) Lookup(ctx context.Context, t *Task, try int, give func(run.Event)) {
	tool := p.Tool(t.Action.Name)
	if tool == nil || tool.Reconcile == nil {
		give(p.found(ctx, t, try, outcome{err: fmt.Errorf("agent %s has no way any more to look up what became of a call of %q", p.Agent.Name, t.Action.Name)}))
		return
	}
	timed, cancel := context.WithTimeout(agent.WithCall(ctx, t.Info), t.Action.Timeout)
	defer cancel()
	attend(timed,
		func() run.Event { return p.found(ctx, t, try, invoke(timed, tool.Reconcile, t.Args)) },
		func(err error) run.Event { return p.found(ctx, t, try, outcome{err: err}) },
		give, nil)
}

// found turns what a look-up gave into an event.
func (p *Performer) found(ctx context.Context, t *Task, try int, out outcome) run.Event {
	switch {
	case ctx.Err() != nil:
		return nil
	case out.err == nil:
		e := p.returned(ctx, t, out.content)
		e.Lookup = true
		return e
	case agent.IsNotDone(out.err):
		return &run.CallFailed{
			Action: t.Info.Action, Attempt: t.Info.Attempt, Error: clip(out.err.Error(), maxError), Code: agent.CodeOf(out.err), NotDone: true, Lookup: true,
			Again: true, Wait: backoff(t.Info.Attempt, orElse(t.Action.Backoff, time.Second), orElse(t.Action.MaxWait, time.Minute), 0),
		}
	}
	return &run.Unresolved{
		Action: t.Info.Action, Attempt: t.Info.Attempt, Try: try, Error: clip(out.err.Error(), maxError),
		Wait: backoff(try, lookupBackoff, lookupMaxWait, 0),
	}
}
