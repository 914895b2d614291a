package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/perform"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Work claims runs of this program's agents that want attention and drives
// them, until ctx ends. It then claims nothing more, lets running jobs go on for
// Options.Grace, gives its claims back and returns nil. An outage of the store
// does not end it.
func (o *Orchestrator) Work(ctx context.Context) error { return o.work(ctx, "") }

// Drive is Work for one run and its delegates only. It goes on while they rest, and
// drives them again when they want attention, unless another process does. It refuses a run of
// an agent that this program does not have.
func (o *Orchestrator) Drive(ctx context.Context, id agent.RunID) error {
	j, err := read(ctx, o.store, id, true, nil)
	if err != nil {
		return fmt.Errorf("read run %s: %w", id, o.known(id, err))
	}
	if o.agents[j.state.Agent] == nil {
		return agent.Refuse(agent.RefusedUnknown, "run %s is of agent %s, which this program does not have", id, j.state.Agent)
	}
	return o.work(ctx, id)
}

// work is Work for all runs, or for only one and its delegates.
func (o *Orchestrator) work(ctx context.Context, only agent.RunID) error {
	if len(o.agents) == 0 {
		return fmt.Errorf("orchestrator: Work needs agents; give them to New")
	}
	w := &worker{o: o, only: only, held: map[agent.RunID]*driver{}, driving: map[*driver]bool{}, quit: make(chan struct{}), freed: make(chan struct{}, 1), settled: o.store.Now()}
	renewing, stopRenewing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRenewing()
	var renewer conc.WaitGroup
	renewer.Go(func() { w.renewLoop(renewing) })
	if only == "" && o.opts.Retain > 0 {
		renewer.Go(func() { o.sweepLoop(ctx) })
	}
	if only == "" {
		w.claimLoop(ctx)
	} else {
		w.follow(ctx, only)
		<-ctx.Done()
	}
	close(w.quit)
	w.following.Wait()
	w.drain()
	stopRenewing()
	renewer.Wait()
	return nil
}

// A worker holds the claims of one Work.
type worker struct {
	o    *Orchestrator
	only agent.RunID
	quit chan struct{} // closed when no new job is to be started

	mu      sync.Mutex
	held    map[agent.RunID]*driver
	driving map[*driver]bool // those of held, and those whose claim was lost and whose calls go on
	settled time.Time        // since when the store has answered without a failure
	outage  bool

	lookAt     time.Time // before then no suspects are looked for: there were none a moment ago; claimLoop's own
	noSuspects time.Time // before then none is claimed while others are driven; claimLoop's own

	followed  map[agent.RunID]bool // with only: that run, and delegates; under mu
	following conc.WaitGroup

	drivers conc.WaitGroup
	freed   chan struct{} // a driver has ended
}

// claimWait is how long one claim waits for a run that wants attention.
const claimWait = 5 * time.Second

// claimLoop claims runs until ctx ends.
func (w *worker) claimLoop(ctx context.Context) {
	for ctx.Err() == nil {
		free := w.o.opts.MaxRuns - w.holds()
		if free <= 0 {
			w.pause(ctx, 0)
			continue
		}
		if w.claimSuspect(ctx) {
			continue
		}
		r := w.request()
		r.Max = free
		claims, err := w.o.store.Claim(ctx, r)
		if err != nil && ctx.Err() == nil {
			w.storeFailed(err)
			w.pause(ctx, time.Second)
		}
		for _, c := range claims {
			w.drive(w.adopt(ctx, c))
		}
	}
}

// follow claims one run, again and again, until ctx ends or the run has, and so its
// delegates.
func (w *worker) follow(ctx context.Context, id agent.RunID) {
	w.mu.Lock()
	known := w.followed[id]
	if w.followed == nil {
		w.followed = map[agent.RunID]bool{}
	}
	w.followed[id] = true
	w.mu.Unlock()
	if known || ctx.Err() != nil {
		return
	}
	w.following.Go(func() {
		for ended := w.look(ctx, id); !ended && ctx.Err() == nil; {
			ended = !w.claimOne(ctx, id)
		}
	})
}

// look follows the delegates of a run that may rest itself, and reports whether it
// has ended, as far as it can be told.
func (w *worker) look(ctx context.Context, id agent.RunID) (ended bool) {
	j, err := read(ctx, w.o.store, id, true, nil)
	if err != nil {
		return errors.Is(err, memory.ErrErased) || errors.Is(err, memory.ErrNotFound)
	}
	w.followAll(ctx, j.state)
	return j.state.Ended && len(j.state.Outbox) == 0
}

// followAll follows what works for a run: its delegates, and the mailboxes that know
// of its waits.
func (w *worker) followAll(ctx context.Context, s *run.State) {
	w.o.eachTask(s, func(child agent.RunID) { w.follow(ctx, child) })
	w.followMailboxes(ctx, s)
}

// eachTask calls f with each delegate that works for a run and that this program
// can drive.
func (o *Orchestrator) eachTask(s *run.State, f func(agent.RunID)) {
	for _, a := range s.Open {
		if l := s.LetterTo(a.Child); a.Phase == run.Afield && o.agents[a.Action.Name] != nil && (l == nil || l.Spawn == nil) {
			f(a.Child)
		}
	}
}

// claimOne drives one run for once, or waits for it. It reports whether to go on.
func (w *worker) claimOne(ctx context.Context, id agent.RunID) bool {
	r := w.request()
	r.Run = id
	claims, err := w.o.store.Claim(ctx, r)
	if err != nil && ctx.Err() == nil {
		w.storeFailed(err)
		sleep(ctx, time.Second)
	}
	if len(claims) == 0 {
		return err != nil || !w.look(ctx, id)
	}
	d := w.adopt(ctx, claims[0])
	d.follow = func(s *run.State) { w.followAll(ctx, s) }
	w.drive(d)
	<-d.over
	return !d.foreign
}

// request is what every claim asks for. Runs of other workers are not taken over
// before the store has answered for a whole lease: if it did not, they had no
// chance to renew, and are alive. Such a request does not wait longer than it holds.
func (w *worker) request() *memory.ClaimRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	lease := w.o.opts.Lease
	r := &memory.ClaimRequest{
		Worker: w.o.opts.Worker, Agents: w.o.drivable(), Lease: lease, News: w.news, Wait: claimWait,
	}
	switch left := w.settled.Add(lease).Sub(w.o.store.Now()); {
	case w.outage:
		r.NoTakeOver, r.Wait = true, min(claimWait, lease/3) // a renewal tells when it is over
	case left > 0:
		r.NoTakeOver, r.Wait = true, min(claimWait, left)
	}
	return r
}

// news tells the driver of a run that somebody has appended to it.
func (w *worker) news(id agent.RunID) {
	w.mu.Lock()
	d := w.held[id]
	w.mu.Unlock()
	if d != nil {
		d.poke()
	}
}

// How long a worker that has claimed a suspect waits for the other runs to rest,
// and how long it lets suspects be after it waited in vain.
const (
	aloneWait = 30 * time.Second
	aloneRest = 10 * aloneWait
)

// suspectsEvery is how often a worker looks for suspects.
const suspectsEvery = time.Second

// claimSuspect claims one run that made workers fail, and drives it while
// nothing else goes on, so that it takes no neighbour down with it. A worker
// whose other runs go on for long puts it back: it stops nothing.
func (w *worker) claimSuspect(ctx context.Context) bool {
	now := w.o.store.Now()
	if now.Before(w.lookAt) || w.holds() > 0 && now.Before(w.noSuspects) {
		return false
	}
	r := w.request()
	r.Suspects, r.Wait = true, 0
	claims, err := w.o.store.Claim(ctx, r)
	if err != nil && ctx.Err() == nil {
		w.storeFailed(err)
	}
	if err != nil || len(claims) == 0 {
		w.lookAt = now.Add(suspectsEvery)
		return false
	}
	d := w.adopt(ctx, claims[0])
	waiting, enough := context.WithTimeout(ctx, aloneWait)
	w.fewer(waiting, 1)
	enough()
	if w.holds() > 1 || ctx.Err() != nil {
		w.noSuspects = now.Add(aloneRest)
		d.release(memory.Position{}, now.Add(aloneWait))
		d.stop(perform.ErrStopped)
		w.ended(d)
		return true
	}
	w.drive(d)
	w.fewer(ctx, 0)
	return true
}

// fewer waits until no more than n runs are held, or ctx ends.
func (w *worker) fewer(ctx context.Context, n int) {
	for w.holds() > n && ctx.Err() == nil {
		w.pause(ctx, 0)
	}
}

// pause waits until a driver has ended or d has passed, if it is more than 0.
func (w *worker) pause(ctx context.Context, d time.Duration) {
	var timer <-chan time.Time
	if d > 0 {
		timer = time.After(d)
	}
	select {
	case <-ctx.Done():
	case <-w.freed:
	case <-timer:
	}
}

func (w *worker) holds() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held)
}

// adopt makes a claim one that is renewed.
func (w *worker) adopt(ctx context.Context, c memory.Claim) *driver {
	d := newDriver(ctx, w.o, c, w.quit)
	d.alone = w.only != ""
	w.mu.Lock()
	for old := range w.driving {
		if old.claim.Run == c.Run {
			d.before = append(d.before, old)
		}
	}
	w.held[c.Run] = d
	w.driving[d] = true
	w.mu.Unlock()
	w.o.mu.Lock()
	w.o.drivers[c.Run] = d
	w.o.mu.Unlock()
	return d
}

// drive has a run driven in a goroutine of its own.
func (w *worker) drive(d *driver) {
	w.drivers.Go(func() {
		defer w.ended(d)
		if caught := panics.Try(d.drive); caught != nil {
			w.o.opts.Logger.Error("a driver panicked; its claim will end", "run", d.claim.Run, "error", caught.AsError())
		}
		d.stop(perform.ErrStopped)
	})
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (w *worker) ended(d *driver) {
	close(d.over)
	w.mu.Lock()
	delete(w.driving, d)
	if w.held[d.claim.Run] == d { // and not a later claim of the same run
		delete(w.held, d.claim.Run)
	}
	w.mu.Unlock()
	w.o.mu.Lock()
	if w.o.drivers[d.claim.Run] == d {
		delete(w.o.drivers, d.claim.Run)
	}
	w.o.mu.Unlock()
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// renewLoop renews the claims, however long jobs take, and tells drivers of
// news and of lost claims.
func (w *worker) renewLoop(ctx context.Context) {
	tick := time.NewTicker(w.o.opts.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.renew(ctx)
		}
	}
}

func (w *worker) renew(ctx context.Context) {
	var drivers []*driver
	var held []memory.Held
	w.mu.Lock()
	for _, d := range w.held {
		drivers = append(drivers, d)
		held = append(held, memory.Held{Run: d.claim.Run, Token: d.claim.Token})
	}
	w.mu.Unlock()
	if len(held) == 0 && !w.troubled() {
		return
	}
	renewals, err := w.o.store.Renew(ctx, w.o.opts.Lease, held)
	if err != nil {
		if ctx.Err() == nil {
			w.storeFailed(err)
		}
		return
	}
	w.storeBack()
	for i, r := range renewals {
		d := drivers[i]
		switch {
		case !r.Held:
			w.lose(d)
		case r.Last.Seq > d.durable.Load():
			d.poke()
		}
	}
}

// lose tells a driver that its claim is lost, unless it has just ended.
func (w *worker) lose(d *driver) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[d.claim.Run] != d {
		return
	}
	select {
	case <-d.lost:
	default:
		close(d.lost)
	}
}

func (w *worker) troubled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outage
}

// storeFailed and storeBack see to it that after an outage of the store every
// worker renews its own claims before any takes over what seems abandoned, and
// that drivers which could not go on try again at once.
func (w *worker) storeFailed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.outage && !errors.Is(err, context.Canceled) {
		w.o.opts.Logger.Error("the store does not answer; trying on", "error", err)
	}
	w.outage = true
}

func (w *worker) storeBack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.outage {
		return
	}
	w.outage, w.settled = false, w.o.store.Now()
	w.o.opts.Logger.Info("the store answers again", "take_over_from", w.settled.Add(w.o.opts.Lease))
	for _, d := range w.held {
		d.poke()
	}
}

// drain waits for the drivers; when Grace has passed it stops their jobs.
func (w *worker) drain() {
	grace := time.AfterFunc(w.o.opts.Grace, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for d := range w.driving {
			d.stop(perform.ErrStopped)
		}
	})
	defer grace.Stop()
	w.drivers.Wait()
}
