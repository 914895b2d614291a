package run_test

import (
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A task is a job that goes on in a worker.
type task struct {
	w       *world
	sh      *shelf
	job     run.Job
	ends    time.Time
	stopped bool

	agent   string      // that the run goes on with
	view    *agent.View // of planning
	basis   int64
	basisID agent.RecordID

	open   run.Open // of a call or a look-up, as it was at the start
	act    *act     // of a call
	nature string   // how the call ends: returns, fails, declines, panics, hangs

	flight *flight // of a delivery
	handed bool
	lost   error            // why it could not be delivered
	back   []agent.ActionID // waits that had ended, of a mailbox's letter
}

// An act is what a tool did to the world in one attempt.
type act struct {
	attempt  int
	happened bool
}

// newTask starts a job.
func (g *grip) newTask(job run.Job) *task {
	w, s := g.worker.w, g.j.state
	t := &task{w: w, sh: g.sh, job: job, agent: s.Agent, ends: w.now.Add(time.Duration(w.dice.upTo(4000)) * time.Millisecond)}
	switch job.Kind {
	case run.JobPlan:
		w.count.Plans++
		t.view, t.basis, t.basisID = s.View(w.now), s.Seq, s.ID
		w.show(g.sh, t.view, t.basis)
	case run.JobDeliver:
		t.flight = w.letter(g.sh, s, job)
	case run.JobLookup:
		t.open = *s.Action(job.Action)
	case run.JobCall:
		t.open = *s.Action(job.Action)
		t.call(g.claim)
	}
	return t
}

// call makes a call: at this moment, or never, it takes place.
func (t *task) call(claim string) {
	w := t.w
	t.nature = pick(w.dice, "returns", "returns", "returns", "returns", "fails", "declines", "panics", "hangs")
	if !w.faults {
		t.nature = "returns"
	}
	t.act = &act{happened: t.nature == "returns" || t.nature != "declines" && w.dice.percent(50)}
	switch t.nature {
	case "hangs":
		t.ends = w.now.Add(t.open.Action.Timeout)
	default:
		t.ends = w.now.Add(time.Duration(w.dice.upTo(9000)) * time.Millisecond)
	}
	w.called(t, claim)
}

// stop ends the context of a call. Tools heed that, or not.
func (t *task) stop() {
	t.stopped = true
	if t.nature == "hangs" || t.w.dice.percent(50) {
		t.nature, t.ends = "fails", t.w.now
	}
}

// outcome is the event that a job gives at its end, or nil if it gives none.
func (t *task) outcome() run.Event {
	switch t.job.Kind {
	case run.JobBegin:
		return t.begun()
	case run.JobPlan:
		return t.planned()
	case run.JobLookup:
		return t.lookedUp()
	case run.JobDeliver:
		return t.delivered()
	}
	if t.stopped && t.open.Action.Effect != agent.Once && t.nature != "returns" {
		return nil
	}
	a, n := t.open.ID, t.open.Attempt
	again, wait := t.w.dice.percent(70), time.Duration(t.w.dice.upTo(20))*time.Second
	switch t.nature {
	case "returns":
		return &run.Returned{Action: a, Attempt: n, Content: t.w.content(), Blob: pick(t.w.dice, "", "", "", "b10b")}
	case "declines":
		return &run.CallFailed{Action: a, Attempt: n, Error: "the request was turned down", Code: pick(t.w.dice, "", "card.declined"), NotDone: true, Again: again, Wait: wait}
	case "panics":
		return &run.CallFailed{Action: a, Attempt: n, Error: "panic: index out of range", Again: again, Wait: wait, Stack: "goroutine 1 [running]"}
	case "hangs":
		if t.w.dice.percent(50) { // what became of it comes after all
			t.w.report(t.sh, t.late(again, wait), time.Duration(t.w.dice.upTo(600))*time.Second)
		}
		return &run.CallFailed{Action: a, Attempt: n, Error: "it did not end in time", Again: again, Wait: wait}
	}
	return &run.CallFailed{Action: a, Attempt: n, Error: "connection reset", Code: pick(t.w.dice, "", "reset"), Again: again, Wait: wait}
}

// late is what a call that was given up tells at its end.
func (t *task) late(again bool, wait time.Duration) run.Event {
	if t.act.happened {
		return &run.Returned{Action: t.open.ID, Attempt: t.open.Attempt, Content: agent.JSONText("late")}
	}
	return &run.CallFailed{Action: t.open.ID, Attempt: t.open.Attempt, Error: "it was turned down", NotDone: true, Again: again, Wait: wait}
}

func (t *task) begun() run.Event {
	e := &run.TurnBegan{Slot: t.job.Slot, Terms: t.w.termsOf(t.sh, t.agent)}
	if t.w.dice.percent(30) {
		text := "Be kind."
		e.Instructions = &text
	}
	if t.job.Definition == "" {
		e.Definition = definitionOf(t.agent)
	}
	if t.w.faults && t.w.dice.percent(2) {
		return t.planFailed("the instructions cannot be made")
	}
	return e
}

func (t *task) planned() run.Event {
	d := t.w.dice
	if t.w.faults && d.percent(6) {
		return t.planFailed("the model is overloaded")
	}
	moved, err := run.Admit(t.view, t.basis, t.basisID, t.w.move(t.sh, t.view), t.w.desk())
	if err != nil {
		return &run.PlanFailed{Slot: t.job.Slot, Attempt: t.job.Attempt, Error: err.Error()}
	}
	return moved
}

func (t *task) planFailed(why string) run.Event {
	e := &run.PlanFailed{Slot: t.job.Slot, Attempt: t.job.Attempt, Error: why, Transient: t.w.dice.percent(85)}
	if e.Transient {
		e.Wait = time.Duration(t.w.dice.upTo(60)) * time.Second
	}
	return e
}

// lookedUp is what an honest Reconcile tells.
func (t *task) lookedUp() run.Event {
	a, n := t.open.ID, t.open.Attempt
	switch {
	case t.w.faults && t.w.dice.percent(40):
		return &run.Unresolved{Action: a, Attempt: n, Try: t.job.Attempt, Error: "the service cannot be reached", Wait: time.Duration(t.w.dice.upTo(30)) * time.Second}
	case t.sh.happened(a):
		return &run.Returned{Action: a, Attempt: n, Content: t.w.content(), Lookup: true}
	}
	return &run.CallFailed{Action: a, Attempt: n, Error: "it is not there", NotDone: true, Lookup: true, Again: true, Wait: time.Duration(t.w.dice.upTo(5)) * time.Second}
}

// called records that a tool was called, and checks that it may be.
func (w *world) called(t *task, claim string) {
	o, at := &t.open, attempt{t.open.ID, t.open.Attempt}
	w.count.Calls++
	durable := t.sh.truth.Action(o.ID)
	if t.sh.ledger.opened[o.ID] == 0 {
		w.broken(t.sh, "%s is called, and its action is not durable", o.ID)
	}
	acts := t.sh.acts[o.ID]
	if o.Action.Effect == agent.Once {
		w.count.OnceCalls++
		if durable == nil || durable.Phase != run.Begun || durable.Claim != claim || durable.Attempt != at.n {
			w.broken(t.sh, "the Once call %s is made, and the log does not say that %s began it", o.ID, claim)
		}
		if slices.ContainsFunc(acts, func(a *act) bool { return a.attempt == at.n }) {
			w.broken(t.sh, "attempt %d of the Once call %s is made twice", at.n, at.action)
		}
		if at.n > 1 && t.sh.ledger.why[attempt{at.action, at.n - 1}] == "" {
			w.broken(t.sh, "attempt %d of the Once call %s is made, and nothing in the log says why", at.n, at.action)
		}
		if t.act.happened && t.sh.happened(o.ID) && !t.sh.misled[o.ID] {
			w.broken(t.sh, "the Once call %s takes place twice, and nobody said wrongly that it did not", o.ID)
		}
	}
	t.act.attempt = at.n
	t.sh.acts[o.ID] = append(acts, t.act)
}

// happened reports whether a call has taken place, in any attempt.
func (sh *shelf) happened(id agent.ActionID) bool {
	return slices.ContainsFunc(sh.acts[id], func(a *act) bool { return a.happened })
}
