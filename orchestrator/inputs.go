package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Request starts a run.
type Request struct {
	Agent   string            // which agent's run it is
	Message agent.Message     // the first message; without parts, the planner is asked without one
	User    agent.User        // on whose behalf
	Meta    map[string]string // for the agent's instructions and tools; no secrets: it is kept in the log
	// Deadline is when the run ends as failed, and all delegates of it, whatever it does;
	// zero has none.
	Deadline time.Time
	// Key makes starting idempotent: the same request with the same key names the
	// same run, however often it is sent. Another request of the same user to the
	// same agent with that key is refused. Empty starts a new run.
	Key string
}

// Start starts a run and returns its id. The run is durable when Start returns;
// some worker that has its agent drives it. The error is an *[agent.Refusal] if
// the request cannot be taken.
func (o *Orchestrator) Start(ctx context.Context, r Request) (agent.RunID, error) {
	events, err := o.opening(ctx, r)
	if err != nil {
		return "", err
	}
	id := runID(&r)
	j := &journal{store: o.store, state: run.New(id)}
	err = j.begin(ctx, events)
	if r.Key != "" && errors.Is(err, memory.ErrConflict) {
		return id, o.sameStart(ctx, id, events)
	}
	if err != nil {
		return "", fmt.Errorf("start a run of %s: %w", r.Agent, err)
	}
	return id, nil
}

// opening returns the first events of a run.
func (o *Orchestrator) opening(ctx context.Context, r Request) ([]run.Event, error) {
	if r.Agent == "" {
		return nil, agent.Refuse(agent.RefusedUnknown, "the request names no agent")
	}
	if r.Agent == run.MailboxAgent {
		return nil, agent.Refuse(agent.RefusedUnknown, "%s is no agent: a mailbox begins when a signal is posted to it", r.Agent)
	}
	if len(o.agents) > 0 && o.agents[r.Agent] == nil {
		return nil, agent.Refuse(agent.RefusedUnknown, "there is no agent %q; this program has: %s", r.Agent, strings.Join(slices.Sorted(slices.Values(o.names())), ", "))
	}
	if err := judgeMeta(r.Meta); err != nil {
		return nil, err
	}
	if err := run.JudgeKey(r.Key); err != nil {
		return nil, err
	}
	if err := run.JudgeUser(r.User); err != nil {
		return nil, err
	}
	started := &run.Started{Agent: r.Agent, User: r.User, Meta: r.Meta, Key: r.Key, Deadline: r.Deadline.UTC()}
	if err := run.JudgeForm(started); err != nil {
		return nil, err
	}
	if len(r.Message.Parts) == 0 {
		started.Bare, started.Trace = true, o.tel.sender(ctx)
		return []run.Event{started}, nil
	}
	if err := run.JudgeText(&r.Message); err != nil {
		return nil, err
	}
	messaged := &run.Messaged{Message: r.Message, By: r.User, Trace: o.tel.sender(ctx)}
	if err := run.JudgeForm(messaged); err != nil {
		return nil, err
	}
	return []run.Event{started, messaged}, nil
}

// maxMeta bounds a request's Meta, in bytes of its keys and values.
const maxMeta = 64 << 10

func judgeMeta(meta map[string]string) error {
	size := 0
	for k, v := range meta {
		size += len(k) + len(v)
	}
	if size > maxMeta {
		return agent.Refuse(agent.RefusedInvalid, "the request's Meta has %d bytes, and at most %d are taken; put large content where a tool can read it", size, maxMeta)
	}
	return nil
}

// sameStart returns nil if the run began with these events.
func (o *Orchestrator) sameStart(ctx context.Context, id agent.RunID, events []run.Event) error {
	log, err := o.store.Read(ctx, id, memory.ReadOptions{Limit: len(events)})
	if err != nil {
		return fmt.Errorf("read run %s: %w", id, err)
	}
	same := len(log.Records) == len(events)
	for i := 0; same && i < len(events); i++ {
		if there, err := run.Decode(log.Records[i].Data); err == nil {
			sameSender(events[i], there)
		}
		data, err := run.Encode(events[i])
		if err != nil {
			return err
		}
		same = run.Digest(data) == run.Digest(log.Records[i].Data)
	}
	if !same {
		return agent.Refuse(agent.RefusedConflict, "the idempotency key was used for another request, which started run %s; use a new key for a new request", id)
	}
	return nil
}

// Input says who gives an input, and makes it idempotent.
type Input struct {
	By agent.User
	// Key makes the input idempotent within its run: the same input with the same
	// key is accepted again without effect; another input with it is refused.
	Key string
	// Note says why, for the log. Redefine keeps it; what other inputs have to say of
	// themselves is an argument of theirs.
	Note string
}

// Send adds a user's message to a run. What becomes of it in the middle of a
// turn is the agent's OnMessage. A nil in is the zero Input.
func (o *Orchestrator) Send(ctx context.Context, id agent.RunID, m agent.Message, in *Input) error {
	in = orZero(in)
	return o.input(ctx, id, &run.Messaged{Message: m, By: in.By, Key: in.Key, Trace: o.tel.sender(ctx)})
}

// Answer answers an ask. It returns nil when the answer is accepted and durable,
// or is the same as the one that was; otherwise an *[agent.Refusal].
func (o *Orchestrator) Answer(ctx context.Context, id agent.AskID, a agent.Answer) error {
	if id.Run() == "" {
		return agent.Refuse(agent.RefusedUnknown, "%q is not the id of an ask; list the open ones to find it", id)
	}
	return o.input(ctx, id.Run(), &run.Answered{Ask: id, Answer: a})
}

// ClaimAsk takes an open ask for by: nobody else may answer it until it is released,
// answered or escalated. The error is an *[agent.Refusal] if somebody else has it, or
// it is not for by. To claim one's own again does nothing.
func (o *Orchestrator) ClaimAsk(ctx context.Context, id agent.AskID, by agent.User) error {
	return o.assign(ctx, &run.Assigned{Ask: id, How: run.Claim, By: by})
}

// ReleaseAsk gives a claimed ask back to all whom it is for. Each of them may do so,
// also for somebody who has left it lying.
func (o *Orchestrator) ReleaseAsk(ctx context.Context, id agent.AskID, by agent.User) error {
	return o.assign(ctx, &run.Assigned{Ask: id, How: run.Release, By: by})
}

// DelegateAsk has others answer an ask: to are ids of users, and groups as
// "group:name". By may still answer it, too; whoever else it was for may not.
// Whom it excludes, it excludes still. The note is for them, and stands in the ask.
func (o *Orchestrator) DelegateAsk(ctx context.Context, id agent.AskID, by agent.User, to []string, note string) error {
	return o.assign(ctx, &run.Assigned{Ask: id, How: run.Delegate, By: by, To: to, Note: note})
}

func (o *Orchestrator) assign(ctx context.Context, e *run.Assigned) error {
	if e.Ask.Run() == "" {
		return agent.Refuse(agent.RefusedUnknown, "%q is not the id of an ask; list the open ones to find it", e.Ask)
	}
	return o.input(ctx, e.Ask.Run(), e)
}

// Signal tells a run of an event from outside, for an action that waits for
// name. One that nothing waits for yet is kept. Data is any JSON value, or nil.
func (o *Orchestrator) Signal(ctx context.Context, id agent.RunID, name string, data json.RawMessage, in *Input) error {
	in = orZero(in)
	return o.input(ctx, id, &run.Signaled{Name: name, Data: data, By: in.By, Key: in.Key})
}

// Cancel calls a run off, and its delegates: what is open is withdrawn, and the run
// has ended when the outcome of each begun call is known. To cancel a cancelled run
// does nothing.
func (o *Orchestrator) Cancel(ctx context.Context, id agent.RunID, reason string, in *Input) error {
	in = orZero(in)
	return o.input(ctx, id, &run.Cancelled{By: in.By, Reason: reason, Key: in.Key})
}

// Retry has a stuck run, or one that waits for its next attempt, try again now. Each
// open ask what to do about a failure ([agent.AskRepair]) is answered with
// [agent.RetryIt], where that is among its choices and in.By may answer. The error is an
// *[agent.Refusal] if there is nothing to try again, or it is not theirs to say.
func (o *Orchestrator) Retry(ctx context.Context, id agent.RunID, note string, in *Input) error {
	in = orZero(in)
	return o.input(ctx, id, &run.Retried{By: in.By, Note: note, Key: in.Key})
}

func orZero(in *Input) *Input {
	if in == nil {
		return &Input{}
	}
	return in
}

// input appends an input to a run's log, if it may be.
func (o *Orchestrator) input(ctx context.Context, id agent.RunID, e run.Event) error {
	record := newRecordID()
	return o.untilDone(ctx, id, func() (done bool, err error) { return o.tryInput(ctx, id, record, e) })
}

// untilDone tries to append to a run's log until nobody else has appended meanwhile.
func (o *Orchestrator) untilDone(ctx context.Context, id agent.RunID, try func() (done bool, err error)) error {
	for {
		done, err := try()
		switch {
		case errors.Is(err, memory.ErrConflict):
			if err := ctx.Err(); err != nil {
				return err
			}
			continue // somebody else appended: judge again
		case errors.Is(err, memory.ErrNotFound):
			return agent.Refuse(agent.RefusedUnknown, "there is no run %s", id)
		case errors.Is(err, memory.ErrErased):
			return agent.Refuse(agent.RefusedUnknown, "run %s was erased", id)
		}
		if done {
			o.poke(id)
		}
		return err
	}
}

// tryInput judges and appends an input once. Done says that the log has grown.
func (o *Orchestrator) tryInput(ctx context.Context, id agent.RunID, record agent.RecordID, e run.Event) (done bool, err error) {
	j, err := read(ctx, o.store, id, true, nil)
	if err != nil {
		return false, err
	}
	j.moment = o.store.Now() // so that nothing falls due between the judgement and the record
	if err := j.addOverdue(""); err != nil {
		return false, err
	}
	ok, refusal := j.state.Judge(e, schema.Validate)
	if ok {
		if _, err := j.add(record, completed(j.state, e)); err != nil {
			return false, err
		}
	}
	done = len(j.batch) > 0
	if err := j.commit(ctx, ""); err != nil {
		return false, err
	}
	return done, refusal
}

// completed adds to an accepted answer what the log has to say of it: which
// arguments were approved, and whether these are others than those asked about.
func completed(s *run.State, e run.Event) run.Event {
	answered, ok := e.(*run.Answered)
	if !ok {
		return e
	}
	full := *answered
	for _, a := range s.Asks() {
		if a.ID != full.Ask || a.Kind != agent.AskApproval {
			continue
		}
		switch full.Answer.Choice {
		case agent.Approve:
			full.Digest = a.Digest
		case agent.Edit:
			full.Digest = run.Digest(full.Answer.Value)
			full.Edited = full.Digest != a.Digest
		}
	}
	return &full
}
