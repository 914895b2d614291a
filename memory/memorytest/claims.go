package memorytest

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// claim is a claim that was not released and not voided. When its lease has
// ended (run.want has come) it still stands until somebody takes the run.
type claim struct {
	token   memory.Token
	worker  string
	process int
	news    func(agent.RunID) // told when somebody appends without the claim; nil: nobody wants to know
}

// Claim implements [memory.Store].
func (s *Store) Claim(ctx context.Context, r *memory.ClaimRequest) ([]memory.Claim, error) {
	if r.Lease <= 0 {
		return nil, fmt.Errorf("memorytest: a claim with the lease %v; it must be more than 0", r.Lease)
	}
	poke := make(chan struct{}, 1)
	defer s.data.claimer(poke)()
	deadline := time.NewTimer(max(r.Wait, 0))
	defer deadline.Stop()
	for {
		claims, next, err := s.tryClaim(ctx, r)
		if err != nil || len(claims) > 0 || r.Wait <= 0 {
			return claims, err
		}
		if s.await(ctx, poke, deadline.C, next) {
			return nil, nil
		}
	}
}

// claimer registers poke with those who wait for a claim, until the returned
// function is called.
func (d *data) claimer(poke chan struct{}) (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claimers[poke] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.claimers, poke)
	}
}

// await returns when it is worth to look again, or with over when the wait has
// passed.
func (s *Store) await(ctx context.Context, poke chan struct{}, deadline <-chan time.Time, next time.Duration) (over bool) {
	var due <-chan time.Time
	if next > 0 {
		t := time.NewTimer(next)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-poke:
	case <-due:
	case <-deadline:
		return true
	case <-s.done:
	case <-ctx.Done():
	}
	return false
}

// tryClaim takes what can be taken now; next is the time until the next run
// wants attention, 0 if none will by itself.
func (s *Store) tryClaim(ctx context.Context, r *memory.ClaimRequest) (claims []memory.Claim, next time.Duration, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, 0, err
	}
	defer s.data.mu.Unlock()
	now := s.data.clock()
	for _, run := range s.data.takeLocked(r, now) {
		claims = append(claims, s.claimLocked(run, r, now))
	}
	if len(claims) > 0 {
		return claims, 0, nil
	}
	if at := s.data.nextLocked(r, now); !at.IsZero() {
		next = at.Sub(now)
	}
	return nil, next, nil
}

func (s *Store) claimLocked(run *run, r *memory.ClaimRequest, now time.Time) memory.Claim {
	if run.claim != nil {
		run.strikes++
	}
	run.claim = &claim{token: memory.Token(rand.Text()), worker: r.Worker, process: s.name, news: r.News}
	s.data.wantLocked(run, micro(now.Add(r.Lease)))
	return memory.Claim{Run: run.id, Token: run.claim.token, Last: run.last(), Strikes: run.strikes}
}

// takeLocked finds the runs that the request may have, the longest waiting first.
func (d *data) takeLocked(r *memory.ClaimRequest, now time.Time) []*run {
	if r.Run != "" {
		if one := d.runs[r.Run]; one != nil && one.readyAt(now) && (!r.Suspects || one.suspect()) && one.mayGoTo(r) {
			return []*run{one}
		}
		return nil
	}
	limit := max(r.Max, 1)
	if r.Suspects {
		limit = 1
	}
	var found []*run
	for _, name := range slices.Compact(slices.Sorted(slices.Values(r.Agents))) {
		found = append(found, d.takeOfLocked(name, limit, r, now)...)
	}
	slices.SortFunc(found, (*run).before)
	return found[:min(limit, len(found))]
}

// takeOfLocked is takeLocked for one agent.
func (d *data) takeOfLocked(name string, limit int, r *memory.ClaimRequest, now time.Time) (found []*run) {
	q := d.ready[name]
	if q == nil {
		return nil
	}
	var looked []*run
	for len(found) < limit && q.Len() > 0 && (*q)[0].readyAt(now) {
		one := heap.Pop(q).(*run)
		looked = append(looked, one)
		if one.suspect() == r.Suspects && one.mayGoTo(r) {
			found = append(found, one)
		}
	}
	for _, one := range looked {
		heap.Push(q, one)
	}
	return found
}

func (d *data) nextLocked(r *memory.ClaimRequest, now time.Time) (next time.Time) {
	earlier := func(run *run) {
		if run.want.After(now) && run.mayGoTo(r) && (next.IsZero() || run.want.Before(next)) {
			next = run.want
		}
	}
	if r.Run != "" {
		if run := d.runs[r.Run]; run != nil {
			earlier(run)
		}
		return next
	}
	for _, name := range r.Agents {
		if q := d.ready[name]; q != nil {
			for _, run := range *q {
				earlier(run)
			}
		}
	}
	return next
}

// Renew implements [memory.Store].
func (s *Store) Renew(ctx context.Context, lease time.Duration, held []memory.Held) ([]memory.Renewal, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.data.mu.Unlock()
	end := micro(s.data.clock().Add(lease))
	renewals := make([]memory.Renewal, len(held))
	for i, h := range held {
		run := s.data.runs[h.Run]
		if run == nil {
			continue
		}
		renewals[i].Last = run.last()
		if run.claim != nil && run.claim.token == h.Token {
			renewals[i].Held = true
			s.data.wantLocked(run, end)
		}
	}
	return renewals, nil
}

// Release implements [memory.Store].
func (s *Store) Release(ctx context.Context, h memory.Held) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.data.mu.Unlock()
	run := s.data.runs[h.Run]
	if run == nil || run.claim == nil || run.claim.token != h.Token {
		return nil
	}
	run.claim = nil
	if h.NotBefore.IsZero() {
		run.strikes = 0
	}
	want := run.index.Wake
	if now := s.data.clock(); run.last() != h.Last && (want.IsZero() || want.After(now)) {
		want = now
	}
	if !h.NotBefore.IsZero() {
		want = h.NotBefore
	}
	s.data.wantLocked(run, want)
	return nil
}

// voidLocked ends the claims of a process that is dead.
func (d *data) voidLocked(process int) {
	now := d.clock()
	for _, run := range d.runs {
		if run.claim == nil || run.claim.process != process {
			continue
		}
		run.claim = nil
		run.strikes++
		if run.want.After(now) {
			d.wantLocked(run, now)
		}
	}
}

// readyAt reports whether the run can be claimed.
func (r *run) readyAt(now time.Time) bool { return !r.want.IsZero() && !r.want.After(now) }

// mayGoTo reports whether nobody has claimed the run, or the request takes over
// claims that have lapsed.
func (r *run) mayGoTo(to *memory.ClaimRequest) bool { return r.claim == nil || !to.NoTakeOver }

// suspect reports whether the run, which can be claimed, is to be driven alone.
func (r *run) suspect() bool {
	strikes := r.strikes
	if r.claim != nil {
		strikes++
	}
	return strikes >= memory.SuspectAfter
}

// wantLocked sets when the run next wants attention.
func (d *data) wantLocked(r *run, want time.Time) {
	d.forgetLocked(r)
	r.want = want
	if want.IsZero() {
		return
	}
	q := d.ready[r.index.Agent]
	if q == nil {
		q = &queue{}
		d.ready[r.index.Agent] = q
	}
	r.queue = q
	heap.Push(q, r)
	if r.claim == nil {
		d.pokeClaimersLocked()
	}
}

// forgetLocked takes the run out of the queue that it is in.
func (d *data) forgetLocked(r *run) {
	if r.queue != nil {
		heap.Remove(r.queue, r.place)
		r.queue = nil
	}
}

func (d *data) pokeClaimersLocked() {
	for c := range d.claimers {
		poke(c)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is poked already
	}
}

// queue is a heap of the runs of one agent that want attention at some time,
// the earliest first. Each run knows its place in it.
type queue []*run

// before says which of two runs is served first.
func (r *run) before(o *run) int {
	return cmp.Or(r.want.Compare(o.want), cmp.Compare(r.id, o.id))
}

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].before(q[j]) < 0 }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	r := x.(*run)
	r.place = len(*q)
	*q = append(*q, r)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return r
}
