package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sourcegraph/conc/panics"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/perform"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// starting is a job that starts once the commit is durable. It has its slot.
type starting struct {
	job  run.Job
	tool *agent.Tool
	task *perform.Task // of a call or look-up
}

// prepare takes slots for the due jobs that do not go on yet, and adds Began for
// the Once calls among them. What gets no slot stays due. A call that was begun
// is started only if its Began is this driver's own and was all that it did: the
// reply to that commit was lost.
func (d *driver) prepare() ([]*starting, error) {
	var start []*starting
	d.starved = false
	now := d.o.store.Now()
	for _, job := range d.j.state.Due(now) {
		if job.Kind != run.JobDeliver && !d.ours() {
			continue // whoever has the agent does it
		}
		open := job.Open
		_, called := d.called[job.Key()]
		if d.running[job.Key()] != nil || job.Begun && (called || open.Claim != string(d.claim.Token)) {
			continue
		}
		s := &starting{job: job}
		if open != nil {
			s.task = d.task(open)
			p := d.o.agents[s.task.Info.Agent]
			if p != nil {
				s.tool = p.Tool(open.Action.Name)
			}
			if s.tool == nil {
				return start, d.park(s.task)
			}
		}
		if !d.o.slots.take(d, s.tool) {
			d.starved = true
			if d.o.slots.none() {
				break // what is due after this one gets none either
			}
			continue
		}
		start = append(start, s)
		if job.Kind != run.JobCall || s.task.Action.Effect != agent.Once || job.Begun {
			continue
		}
		s.task.Deadline = now.Add(s.task.Action.Timeout)
		began := &run.Began{Action: job.Action, Attempt: job.Attempt, Claim: string(d.claim.Token), Deadline: s.task.Deadline}
		if _, err := d.j.add("", began); err != nil {
			return start, err
		}
	}
	return start, nil
}

// park parks a run that has a call of a tool which this program does not have: it
// may be an older or a newer one than the program that admitted the call.
func (d *driver) park(t *perform.Task) error {
	_, err := d.j.add("", &run.Stuck{Quarantine: true, Reason: fmt.Sprintf(
		"agent %s of worker %s has no tool %q, which is to be called; deploy a program that has it, and retry", t.Info.Agent, d.o.opts.Worker, t.Action.Name)})
	return err
}

// giveBack gives back the slots of jobs that are not started after all.
func (d *driver) giveBack(start []*starting) {
	for _, s := range start {
		d.o.slots.give(s.tool)
	}
}

func (d *driver) task(o *run.Open) *perform.Task {
	s := d.j.state
	whose := o.Agent
	if whose == "" {
		whose = s.Agent
	}
	return &perform.Task{
		Info: agent.CallInfo{
			Run: s.Run, Agent: whose, Path: s.Path(), Action: o.ID, Key: fmt.Sprintf("%s.%s", s.Run, o.ID),
			Attempt: o.Attempt, User: s.User, Meta: s.Meta,
		},
		Action: o.Action, Args: o.Args, Digest: o.Digest, Editor: o.Editor, Planned: o.Planned, Deadline: o.Deadline,
	}
}

// start has a job go on in its own goroutine.
func (d *driver) start(s *starting) *running {
	ctx, stop := context.WithCancelCause(d.ctx)
	r := &running{job: s.job, stop: stop, tool: s.tool}
	r.once = s.job.Kind == run.JobCall && s.task.Action.Effect == agent.Once
	d.running[s.job.Key()] = r
	d.mu.Lock()
	d.called[s.job.Key()] = ""
	if r.once {
		d.called[s.job.Key()] = s.job.Action
	}
	d.mu.Unlock()
	ctx, sight := d.tel.job(ctx, d.j.state, s)
	do := d.doing(ctx, s)
	give := func(e run.Event) { sight.gave(e); d.results <- result{r, e} }
	d.crew.do(func() { // not waited for: foreign code may never return
		if caught := panics.Try(func() { do(give) }); caught != nil {
			d.o.opts.Logger.Error("a job panicked outside of foreign code", "run", d.claim.Run, "job", s.job.Key(), "error", caught.AsError())
			give(failed(s.job, s.attempt(), fmt.Sprintf("the orchestrator panicked: %v", caught.Value)))
		}
	})
	return r
}

// attempt returns which attempt of a call the job is about.
func (s *starting) attempt() int {
	if s.task == nil {
		return 0
	}
	return s.task.Info.Attempt
}

// failed returns the event that says why a job gave none; attempt is that of the
// call that a look-up is about.
func failed(job run.Job, attempt int, why string) run.Event {
	switch job.Kind {
	case run.JobCall:
		return &run.CallFailed{Action: job.Action, Attempt: job.Attempt, Error: why}
	case run.JobDeliver:
		return &run.Delivered{To: job.To, N: job.N, Error: why, Wait: time.Minute}
	case run.JobLookup:
		return &run.Unresolved{Action: job.Action, Attempt: attempt, Try: job.Attempt, Error: why, Wait: time.Minute}
	}
	return &run.PlanFailed{Slot: job.Slot, Attempt: job.Attempt, Error: why}
}

// storable returns what is recorded in the stead of an event that has no stored
// form: a result as the text that it is, and otherwise why there is none.
func storable(job run.Job, e run.Event, err error) run.Event {
	if r, ok := e.(*run.Returned); ok {
		text := *r
		text.Content = agent.JSONText(string(r.Content))
		return &text
	}
	return failed(job, 0, fmt.Sprintf("what the %s gave cannot be recorded: %v", job.Kind, err))
}

// doing returns what the job does. It reads the state now, and not later.
func (d *driver) doing(ctx context.Context, s *starting) func(give func(run.Event)) {
	job, task := s.job, s.task
	if job.Kind == run.JobDeliver {
		l := d.letter(job)
		return func(give func(run.Event)) { give(d.o.deliver(ctx, l)) }
	}
	p := d.o.agents[d.j.state.Agent]
	if task != nil {
		p = d.o.agents[task.Info.Agent]
	}
	switch job.Kind {
	case run.JobCall:
		late := func(e run.Event) { d.o.report(context.WithoutCancel(ctx), d.claim.Run, newRecordID(), e) }
		return func(give func(run.Event)) { p.Call(ctx, task, give, late) }
	case run.JobLookup:
		return func(give func(run.Event)) { p.Lookup(ctx, task, job.Attempt, give) }
	}
	view := d.j.state.View(d.o.store.Now())
	if job.Kind == run.JobBegin {
		return func(give func(run.Event)) { p.Begin(ctx, view, job, give) }
	}
	seq, id := d.j.state.Seq, d.j.state.ID
	return func(give func(run.Event)) {
		sp := newSpeaker(ctx, d.o.store, d.claim.Run, job)
		p.Plan(ctx, view, job, seq, id, sp.say, func(e run.Event) { sp.close(); give(e) })
	}
}

// isResult reports whether an event is the outcome of a call, which is recorded
// whoever has the claim.
func isResult(e run.Event) bool {
	switch e.(type) {
	case *run.Returned, *run.CallFailed:
		return true
	}
	return false
}

// reportTries is how often a result is tried to be recorded that came after its
// driver had gone; the waits between double from a tenth of a second. If all
// fail, the call's outcome is unknown, and the run's next worker finds that out.
const reportTries = 10

// report records a result that came late, without a claim. When ctx has ended,
// a failure of the store is its last try; a conflict never is, since it says that
// the store answers.
func (o *Orchestrator) report(ctx context.Context, id agent.RunID, record agent.RecordID, e run.Event) {
	for try := 0; try == 0 || try < reportTries && ctx.Err() == nil; {
		err := o.tryReport(context.WithoutCancel(ctx), id, record, e)
		switch {
		case err == nil:
			o.poke(id)
			return
		case errors.Is(err, memory.ErrNotFound), errors.Is(err, memory.ErrErased):
			return
		case !errors.Is(err, memory.ErrConflict): // which says that others append, and is tried again at once
			o.opts.Logger.Warn("a late result is not recorded yet", "run", id, "error", err)
			sleep(ctx, 100*time.Millisecond<<try)
			try++
		}
	}
	o.opts.Logger.Error("a late result could not be recorded", "run", id, "kind", run.KindOf(e))
}

func (o *Orchestrator) tryReport(ctx context.Context, id agent.RunID, record agent.RecordID, e run.Event) error {
	there := false
	j, err := read(ctx, o.store, id, true, func(r *run.Record) { there = there || r.ID == record })
	if err != nil || there {
		return err
	}
	if err := j.addOverdue(""); err != nil {
		return err
	}
	if _, err := j.add(record, e); err != nil {
		if _, err := j.add(record, storable(run.Job{Kind: run.JobCall}, e, err)); err != nil {
			return err
		}
	}
	return j.commit(ctx, "")
}
