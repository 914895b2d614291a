package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/perform"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// quarantineAfter is how many workers in a row a run may take down with it
// before nobody runs it any more.
const quarantineAfter = 5

// The waits of a driver whose store, or whose run's log, cannot be read.
const (
	troubleWait    = 250 * time.Millisecond
	troubleMaxWait = 30 * time.Second
	unreadableWait = time.Minute // before a worker tries again what no worker may be able to read
)

// A driver drives one claimed run. Its loop is the whole engine:
//
//	drive
//	├── load     read the log, if it is not known
//	├── append   in one commit: what jobs gave, what is overdue, Began for Once calls
//	├── stop and start jobs, so that those go on that should
//	└── wait     for a job, for news, or for a time
//
// All of it is one goroutine; jobs run in their own and report to it. Planning
// acts on nothing, and starts while the commit of what it plans for is under way;
// everything else starts when the commit is durable.
type driver struct {
	o     *Orchestrator
	claim memory.Claim

	ctx  context.Context // of the jobs; it never ends by itself
	stop context.CancelCauseFunc
	jobs conc.WaitGroup // of what is reported without the claim
	crew crew
	tel  *trail // nil: there is nobody to tell

	j       *journal // nil: to be read
	durable atomic.Int64
	before  []*driver       // which drive the run still, for an earlier claim
	mu      sync.Mutex      // held where known and called are written, and where others read them
	known   memory.Position // the last record that was durable, as far as this driver has seen
	running map[run.JobKey]*running
	called  map[run.JobKey]agent.ActionID // jobs that were started, ever; the action of a Once call
	results chan result
	pending []pending
	trouble int  // failures of the store in a row
	starved bool // a due job got no slot; it is poked when one is free
	alone   bool // it is driven by Drive, Run or Await
	foreign bool // it was given back, as the run goes on with an agent that this program does not have

	follow func(*run.State) // told how the run stands, to drive what works for it; nil if nobody wants to know
	over   chan struct{}    // closed when it has ended

	news chan struct{}
	lost chan struct{} // closed when the claim is lost
	quit chan struct{} // closed when no new job is to be started
}

// running is a job that goes on.
type running struct {
	job  run.Job
	stop context.CancelCauseFunc
	tool *agent.Tool // nil for planning
	once bool        // a Once call, whose outcome is wanted whoever drives the run
	void bool        // it plans for records that did not become durable: what it gives is dropped
}

// result is what a job gave; event is nil if it was stopped.
type result struct {
	from  *running
	event run.Event
}

// pending is what a job gave and the log does not have yet, under an id that
// stays the same however often appending it is tried.
type pending struct {
	id    agent.RecordID
	job   run.Job
	event run.Event
}

func newDriver(ctx context.Context, o *Orchestrator, c memory.Claim, quit chan struct{}) *driver {
	d := &driver{
		o: o, claim: c, tel: o.tel.follow(), running: map[run.JobKey]*running{}, called: map[run.JobKey]agent.ActionID{}, results: make(chan result),
		news: make(chan struct{}, 1), lost: make(chan struct{}), quit: quit, over: make(chan struct{}),
	}
	d.ctx, d.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	return d
}

// poke has the driver look at the log again.
func (d *driver) poke() {
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// drive drives the run until it rests, until its claim is lost, or until quit is
// closed and the running jobs have ended.
func (d *driver) drive() {
	defer d.tel.end()
	defer d.o.slots.forget(d)
	defer d.crew.dismiss()
	defer d.jobs.Wait()
	quit := d.quit
	for {
		wake, err := d.step()
		switch {
		case errors.Is(err, memory.ErrClaimLost), errors.Is(err, memory.ErrErased), errors.Is(err, memory.ErrNotFound):
			if errors.Is(err, memory.ErrClaimLost) {
				d.tel.claimLost()
			}
			d.abandon()
			return
		case errors.Is(err, ErrRewound):
			d.o.opts.Logger.Error("the store has lost records of a run; it is left alone", "run", d.claim.Run, "error", err)
			d.abandon()
			return
		case errors.Is(err, errUnreadable), errors.Is(err, memory.ErrCorrupt):
			d.putOff(err)
			return
		case err != nil:
			wake = d.troubled(err)
			if d.quitting() && len(d.running) == 0 {
				d.abandon()
				return
			}
		case d.rests(wake):
			d.release(d.j.base, time.Time{})
			d.o.warm.put(d.j)
			return
		}
		if d.wait(wake, &quit) {
			d.tel.claimLost()
			d.abandon()
			return
		}
	}
}

// wait waits until there is something to do. It reports whether the claim is
// lost.
func (d *driver) wait(wake time.Time, quit *chan struct{}) (lost bool) {
	var alarm <-chan time.Time
	if !wake.IsZero() {
		timer := time.NewTimer(until(d.o.store.Now(), wake))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case r := <-d.results:
		d.take(r)
		d.takeReady()
	case <-d.news:
		d.catchUp()
	case <-alarm:
	case <-*quit:
		*quit = nil // once
	case <-d.lost:
		return true
	}
	return false
}

// takeReady takes what other jobs have to give right now, so that one commit has it all.
func (d *driver) takeReady() {
	for {
		select {
		case r := <-d.results:
			d.take(r)
		default:
			return
		}
	}
}

// troubled notes a failure of the store and returns when to try again.
func (d *driver) troubled(err error) time.Time {
	d.j = nil
	d.trouble++
	d.o.opts.Logger.Error("a run cannot be driven now", "run", d.claim.Run, "tries", d.trouble, "error", err)
	return d.o.store.Now().Add(min(troubleWait<<min(d.trouble, 10), troubleMaxWait))
}

func (d *driver) quitting() bool {
	select {
	case <-d.quit:
		return true
	default:
		return false
	}
}

// drops reports whether a job is planning that is not worth waiting for: who
// drives one run only is left by a person, and whoever drives it next asks again.
func (d *driver) drops(r *running) bool {
	planning := r.job.Kind == run.JobBegin || r.job.Kind == run.JobPlan
	return d.alone && planning && d.quitting()
}

// rests reports whether the driver has nothing to do: no job goes on, none is
// due, and nothing is left to append. A run that is due later is left to whoever
// claims it then.
func (d *driver) rests(wake time.Time) bool {
	if len(d.running) > 0 || len(d.pending) > 0 || d.j == nil {
		return false
	}
	if d.foreign = !d.ours(); d.foreign {
		return true
	}
	return d.quitting() || !d.starved && (wake.IsZero() || wake.After(d.o.store.Now()))
}

// step brings the log, and then the jobs, to where they should be. It returns
// when to look again if nothing else happens; the zero time if never. What waits
// for a slot is poked when one is free.
func (d *driver) step() (wake time.Time, err error) {
	if d.j == nil {
		if err := d.load(); err != nil {
			return wake, err
		}
	}
	now := d.o.store.Now() // before anything is judged by the clock, so that no time falls between
	start, err := d.append()
	if errors.Is(err, memory.ErrConflict) {
		d.j = nil
		return d.o.store.Now(), nil // somebody else appended: read on and decide again
	}
	if err != nil {
		return wake, err
	}
	d.trouble = 0
	d.tel.at(d.j.state)
	for _, r := range d.running {
		if !d.j.state.Wanted(r.job) || d.drops(r) {
			r.stop(perform.ErrStopped)
		}
	}
	for _, s := range start {
		d.start(s)
	}
	if d.follow != nil {
		d.follow(d.j.state)
	}
	return d.j.state.WakeAfter(now), nil
}

// ours reports whether this program has the agent with which the run goes on. It
// may have been handed off since it was claimed. A mailbox is everybody's.
func (d *driver) ours() bool { return d.j.state.Mailbox != nil || d.o.agents[d.j.state.Agent] != nil }

// quarantined reports whether nothing of the run is to be run. Of one that is stuck as
// its planner failed, calls go on.
func (d *driver) quarantined() bool {
	stuck := d.j.state.Stuck
	return stuck != nil && stuck.Quarantine
}

// load reads the run's log, or at first reads on where this process has left it a
// moment ago, and drops from pending what it has already.
func (d *driver) load() error {
	if d.known.Seq == 0 {
		d.inherit()
	}
	there, began := map[agent.RecordID]bool{}, map[run.JobKey]bool{}
	same := d.known.Seq == 0
	see := func(r *run.Record) {
		there[r.ID] = true
		same = same || r.Seq == d.known.Seq && r.ID == d.known.ID
		if b, ok := r.Event.(*run.Began); ok {
			began[run.Job{Kind: run.JobCall, Action: b.Action, Attempt: b.Attempt}.Key()] = true
		}
	}
	var j *journal
	var err error
	if ctx := context.WithoutCancel(d.ctx); same {
		j, err = d.o.reread(ctx, d.claim, see)
	} else { // what is warm now is another driver's, and may be further on than what this one has to find
		j, err = read(ctx, d.o.store, d.claim.Run, run.IsMailbox(d.claim.Run), see)
		if err == nil && !same && run.IsMailbox(d.claim.Run) {
			same, err = d.stillThere(ctx) // it may stand before the snapshot
		}
	}
	if err != nil {
		return err
	}
	if !same {
		return d.rewound(j, began)
	}
	var missing []pending
	for _, p := range d.pending {
		if !there[p.id] {
			missing = append(missing, p)
		}
	}
	d.pending = missing
	d.has(j)
	return nil
}

// stillThere reports whether the log has the record that was known to be durable.
func (d *driver) stillThere(ctx context.Context) (bool, error) {
	log, err := d.o.store.Read(ctx, d.claim.Run, memory.ReadOptions{After: d.known.Seq - 1, Limit: 1})
	return err == nil && len(log.Records) == 1 && log.Records[0].Position() == d.known, err
}

// inherit takes over what is known to the drivers of this process that still see
// to calls of the run: their claim was lost, perhaps since the store was rewound.
func (d *driver) inherit() {
	for _, old := range d.before {
		old.mu.Lock()
		if old.known.Seq > d.known.Seq {
			d.known = old.known
		}
		for key, action := range old.called {
			d.called[key] = action
		}
		old.mu.Unlock()
	}
	d.before = nil
}

// has takes the log as this process knows it.
func (d *driver) has(j *journal) {
	d.mu.Lock()
	d.j, d.known = j, j.base
	d.mu.Unlock()
	d.durable.Store(j.base.Seq)
}

// rewound is what is done when the log has no longer what was durable: the store
// was put back in time. The run is written to no more, but for one thing that
// nobody else can know: calls that were begun and of which the log says nothing,
// so that whoever drives the run next would make them again. Then a person has to
// decide.
func (d *driver) rewound(j *journal, began map[run.JobKey]bool) error {
	err := fmt.Errorf("%w: run %s had the record %s at %d, and ends with %s at %d", ErrRewound, d.claim.Run, d.known.ID, d.known.Seq, j.base.ID, j.base.Seq)
	var made []string
	for key, action := range d.called {
		if action != "" && !began[key] {
			made = append(made, string(action))
		}
	}
	if stuck := j.state.Stuck; len(made) == 0 || j.state.Ended || stuck != nil && stuck.Quarantine {
		return err
	}
	slices.Sort(made)
	_, added := j.add("", &run.Stuck{Quarantine: true, Reason: fmt.Sprintf(
		"the store has lost records of this run, and with them what became of calls that were made (%s); find out what they did before you retry it", strings.Join(made, ", "))})
	if added == nil {
		added = j.commit(context.WithoutCancel(d.ctx), d.claim.Token)
	}
	return errors.Join(err, added)
}

// append appends what is pending and what follows from it, in one commit, and
// returns the jobs to start after it. Nothing that acts is started before the
// action that it belongs to is durable, and no Once call before its Began is.
// Planning starts at once: if the commit fails, it is for nothing.
func (d *driver) append() (start []*starting, err error) {
	var ahead []*running
	defer func() {
		if err != nil {
			d.j = nil
			d.giveBack(start)
			start = nil
			for _, r := range ahead {
				r.void = true
				r.stop(perform.ErrStopped)
			}
		}
	}()
	for _, p := range d.pending {
		if _, err := d.j.add(p.id, p.event); err != nil {
			if _, err := d.j.add(p.id, storable(p.job, p.event, err)); err != nil {
				return nil, err
			}
		}
	}
	quarantine := d.claim.Strikes >= quarantineAfter && !d.quarantined()
	if quarantine {
		reason := fmt.Sprintf("%d workers in a row were lost while they drove this run; find out why, and retry it", d.claim.Strikes)
		if _, err := d.j.add("", &run.Stuck{Reason: reason, Quarantine: true}); err != nil {
			return nil, err
		}
	}
	if err := d.j.addOverdue(d.claim.Token); err != nil {
		return nil, err
	}
	if !d.quitting() {
		if start, err = d.prepare(); err != nil {
			return start, err
		}
		ahead, start = d.startAhead(start)
	}
	if err := d.j.commit(context.WithoutCancel(d.ctx), d.claim.Token); err != nil {
		return start, err
	}
	if quarantine {
		d.claim.Strikes = 0 // a person who retries it begins anew
	}
	d.pending = nil
	d.has(d.j)
	return start, nil
}

// startAhead starts what needs not wait for the commit, and returns the rest.
func (d *driver) startAhead(start []*starting) (ahead []*running, rest []*starting) {
	for _, s := range start {
		if s.job.Kind == run.JobBegin || s.job.Kind == run.JobPlan {
			ahead = append(ahead, d.start(s))
		} else {
			rest = append(rest, s)
		}
	}
	return ahead, rest
}

// catchUp reads on if the log has grown.
func (d *driver) catchUp() {
	if d.j == nil {
		return
	}
	if same, err := d.j.readOn(context.WithoutCancel(d.ctx), nil); err != nil || !same {
		d.j = nil // read all of it anew, and see what is wrong there
		return
	}
	d.has(d.j)
}

// take takes what a job gave.
func (d *driver) take(r result) {
	r.from.stop(nil)
	delete(d.running, r.from.job.Key())
	d.o.slots.give(r.from.tool)
	if r.event != nil && !r.from.void {
		d.pending = append(d.pending, pending{newRecordID(), r.from.job, r.event})
	}
}

// putOff gives back a run whose log this program cannot read: a newer version
// may, or somebody has to mend it. Other runs go on.
func (d *driver) putOff(err error) {
	d.o.opts.Logger.Error("a run cannot be read, and is put off", "run", d.claim.Run, "for", unreadableWait, "error", err)
	if err := d.tellUnread(context.WithoutCancel(d.ctx), err); err != nil {
		d.o.opts.Logger.Warn("the list of runs does not say that a run cannot be read", "run", d.claim.Run, "error", err)
	}
	d.abandon()
	d.release(memory.Position{}, d.o.store.Now().Add(unreadableWait))
}

// release gives the claim back.
func (d *driver) release(last memory.Position, notBefore time.Time) {
	h := memory.Held{Run: d.claim.Run, Token: d.claim.Token, Last: last, NotBefore: notBefore}
	if err := d.o.store.Release(context.WithoutCancel(d.ctx), h); err != nil {
		d.o.opts.Logger.Warn("a claim was not given back; its lease will end", "run", d.claim.Run, "error", err)
	}
}

// abandon stops driving a run whose claim is lost. Once calls that were begun go
// on, and what they give is recorded as it comes: results need no claim.
func (d *driver) abandon() {
	for _, r := range d.running {
		if !r.once {
			r.stop(perform.ErrStopped)
		}
	}
	d.reportPending()
	for len(d.running) > 0 {
		d.take(<-d.results)
		d.reportPending()
	}
}

// reportPending has the results that are not durable yet recorded without the
// claim, each by itself.
func (d *driver) reportPending() {
	for _, p := range d.pending {
		if isResult(p.event) {
			d.jobs.Go(func() { d.o.report(d.ctx, d.claim.Run, p.id, p.event) })
		}
	}
	d.pending = nil
}
