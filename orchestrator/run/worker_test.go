package run_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// lease is how long a simulated claim lasts without being renewed.
const lease = 30 * time.Second

// A worker drives the runs that it has claimed as the engine does, one small
// step at a time, so that anything may happen between any two.
type worker struct {
	w      *world
	name   string
	held   []*grip
	asleep time.Time // until then it renews nothing and does nothing
}

// A grip is a run that a worker has claimed.
type grip struct {
	worker  *worker
	sh      *shelf
	claim   string
	j       *journal // nil: to be read
	running map[run.JobKey]*task
	order   []run.JobKey // of running
	pending []draft
}

// A draft is an event on its way into the log, under an id that stays the same
// however often appending it is tried.
type draft struct {
	id    agent.RecordID
	event run.Event
}

// claimOne claims a run that wants attention, if there is one.
func (k *worker) claimOne() bool {
	w := k.w
	from := w.dice.upTo(len(w.shelves))
	for i := range w.shelves {
		sh := w.shelves[(from+i)%len(w.shelves)]
		if !sh.wants(w.now) || k.grip(sh) != nil {
			continue
		}
		if sh.claim != "" || sh.torn {
			w.count.TakeOvers++
		}
		w.claims++
		sh.claim, sh.lease, sh.torn, sh.ready = fmt.Sprintf("%s/%d", k.name, w.claims), w.now.Add(lease), false, false
		k.held = append(k.held, &grip{worker: k, sh: sh, claim: sh.claim, running: map[run.JobKey]*task{}})
		return true
	}
	return false
}

func (k *worker) grip(sh *shelf) *grip {
	for _, g := range k.held {
		if g.sh == sh {
			return g
		}
	}
	return nil
}

// renew extends the claims that are still the worker's, and lets go of others.
func (k *worker) renew() {
	for _, g := range slices.Clone(k.held) {
		if g.sh.claim == g.claim {
			g.sh.lease = k.w.now.Add(lease)
		} else {
			g.abandon()
		}
	}
}

// crash forgets all that the worker knows. What it was calling may have taken
// place, and may even still be reported.
func (k *worker) crash() {
	w := k.w
	w.count.Crashes++
	for _, g := range k.held {
		for _, key := range g.order {
			t := g.running[key]
			if t.act != nil && w.dice.percent(25) {
				w.report(g.sh, t.outcome(), time.Duration(w.dice.upTo(200))*time.Second)
			}
			w.leave(t)
		}
		if g.sh.claim == g.claim && w.dice.percent(50) {
			g.sh.claim, g.sh.torn = "", true // the store could tell that its process is dead
		}
	}
	k.held = nil
}

// step drives a run by one commit at most. It reports whether there was
// anything to do.
func (g *grip) step() bool {
	w := g.worker.w
	if g.j == nil {
		g.load()
		return true
	}
	if g.j.seen < len(g.sh.rows) && w.dice.percent(50) {
		g.j.readOn() // a hint that there is news; it may be lost
	}
	g.collect()
	start := g.prepare()
	busy := len(g.j.batch) > 0 || len(start) > 0
	if busy && w.faults && w.dice.upTo(150) == 0 {
		g.worker.crash() // before the commit
		return true
	}
	if err := g.j.commit(g.claim); err != nil {
		g.refused(err)
		return true
	}
	if busy && w.faults && w.dice.upTo(150) == 0 {
		g.worker.crash() // after it
		return true
	}
	g.pending = nil
	g.stopUnwanted()
	for _, job := range start {
		g.start(job)
	}
	if !busy && g.rests() {
		g.release()
	}
	return busy
}

// refused does what a refused commit, or one without a reply, asks for.
func (g *grip) refused(err error) {
	g.j = nil
	switch {
	case errors.Is(err, errClaimLost):
		g.abandon()
	case errors.Is(err, errNoReply):
		g.worker.w.count.LostReplies++
	}
}

// load reads the log, and drops from pending what it has already.
func (g *grip) load() {
	g.j = g.worker.w.read(g.sh, false)
	g.pending = slices.DeleteFunc(g.pending, func(d draft) bool { return g.sh.known[d.id] })
}

// collect takes in what the running jobs gave.
func (g *grip) collect() {
	w := g.worker.w
	for _, key := range slices.Clone(g.order) {
		t := g.running[key]
		if t.ends.After(w.now) {
			continue
		}
		if t.flight != nil && !t.handed {
			t.hand()
			if w.dice.percent(30) { // what came of it is recorded some time later
				t.ends = w.now.Add(time.Duration(w.dice.upTo(20_000)) * time.Millisecond)
				continue
			}
		}
		g.drop(key)
		if e := t.outcome(); e != nil {
			g.pending = append(g.pending, draft{w.newRecordID(), e})
			if w.faults && w.dice.percent(5) {
				w.report(g.sh, e, time.Duration(w.dice.upTo(120))*time.Second) // it comes a second time
			}
		}
	}
}

// prepare puts into the batch what jobs gave, what is overdue, and Began for the
// Once calls that are about to be made. It returns the jobs to start.
func (g *grip) prepare() []run.Job {
	w := g.worker.w
	for _, d := range g.pending {
		g.j.add(d.id, d.event)
	}
	g.j.addOverdue(g.claim)
	var start []run.Job
	for _, job := range g.j.state.Due(w.now) {
		if job.Begun || g.running[job.Key()] != nil || w.dice.percent(10) { // no slot is free
			continue
		}
		start = append(start, job)
		o := g.j.state.Action(job.Action)
		if job.Kind == run.JobCall && o.Action.Effect == agent.Once {
			g.j.add("", &run.Began{Action: o.ID, Attempt: job.Attempt, Claim: g.claim, Deadline: w.now.Add(o.Action.Timeout)})
		}
	}
	return start
}

func (g *grip) stopUnwanted() {
	for _, key := range slices.Clone(g.order) {
		t := g.running[key]
		if t.stopped || g.j.state.Wanted(t.job) {
			continue
		}
		g.worker.w.count.StoppedJobs++
		t.stopped = true
		if t.act == nil {
			g.worker.w.leave(t)
			g.drop(key) // it gives nothing any more
		} else {
			t.stop()
		}
	}
}

func (g *grip) drop(key run.JobKey) {
	delete(g.running, key)
	g.order = slices.DeleteFunc(g.order, func(k run.JobKey) bool { return k == key })
}

func (g *grip) start(job run.Job) {
	key := job.Key()
	g.running[key] = g.newTask(job)
	g.order = append(g.order, key)
}

// rests reports whether the worker has nothing to do for the run.
func (g *grip) rests() bool {
	wake := g.j.state.WakeAfter(g.worker.w.now)
	return len(g.running) == 0 && len(g.pending) == 0 && (wake.IsZero() || wake.After(g.worker.w.now)) && g.idle()
}

// idle reports whether no job is due that is not going on already.
func (g *grip) idle() bool {
	return !slices.ContainsFunc(g.j.state.Due(g.worker.w.now), func(j run.Job) bool { return !j.Begun })
}

// release gives the claim back. If there is more in the log than was seen, the
// run stays ready.
func (g *grip) release() {
	if g.sh.claim == g.claim {
		g.sh.claim, g.sh.ready = "", g.sh.end() != g.j.base
	}
	g.forget()
}

// abandon ends the driving of a run that another worker has now. Calls that go
// on are reported when they end.
func (g *grip) abandon() {
	w := g.worker.w
	for _, key := range g.order {
		if t := g.running[key]; t.act != nil {
			if !t.stopped {
				t.stop()
			}
			w.report(g.sh, t.outcome(), max(t.ends.Sub(w.now), 0))
		} else {
			w.leave(t)
		}
	}
	for _, d := range g.pending {
		w.report(g.sh, d.event, 0)
	}
	g.forget()
}

func (g *grip) forget() {
	g.worker.held = slices.DeleteFunc(g.worker.held, func(x *grip) bool { return x == g })
}
