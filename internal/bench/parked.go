package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// parkedRow is what runs cost that wait for a person.
type parkedRow struct {
	Runs         int     `json:"runs"`
	Conversation int     `json:"conversation_bytes"` // the words and arguments of each
	Redis        float64 `json:"redis_bytes"`        // per run, used_memory; 0 if the store is not Redis
	Keys         float64 `json:"key_bytes"`          // per run, MEMORY USAGE of all keys; likewise
	Log          float64 `json:"log_bytes"`          // per run, records alone
	Heap         int64   `json:"heap_bytes"`         // of the worker, all runs parked, less before
	HeapAll      int64   `json:"heap_in_all"`
	Goroutines   int     `json:"goroutines"` // likewise
	InAll        int     `json:"goroutines_in_all"`
	Parking      float64 `json:"parked_per_second"`
}

// wakeRow is how long it takes from an answer to the planner.
type wakeRow struct {
	What string  `json:"what"`
	N    int     `json:"n"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
}

func wakeOf(what string, all []time.Duration) wakeRow {
	ms := func(d time.Duration) float64 { return micros(d) / 1000 }
	return wakeRow{what, len(all), ms(median(all)), ms(quantile(all, 0.99)), ms(quantile(all, 1))}
}

// What is measured of answers.
const (
	denied     = "denied in another process → planner"
	approved   = "approved in another process → call → planner"
	coldStart  = "start of a new worker's process → planner"
	coldWorker = "first claim of a new worker → planner"
)

// parking is the figure in the making.
type parking struct {
	*bed
	store  *counted
	parker *parker
	worker *worker
}

func measureParked(d *bed) (err error) {
	p := &parking{bed: d, parker: newParker(nil)}
	if p.store, err = d.open(); err != nil {
		return err
	}
	defer p.store.Close()
	if p.worker, err = newWorker(p.store, []*agent.Agent{p.parker.agent()}, 0, 0); err != nil {
		return err
	}
	p.worker.start(d.ctx)
	defer func() { p.worker.stop() }()
	row, err := p.park()
	if err != nil {
		return err
	}
	denials, approvals, err := p.answers()
	if err != nil {
		return err
	}
	wakes := []wakeRow{wakeOf(denied, denials), wakeOf(approved, approvals)}
	p.worker.stop()
	starts, claims, err := p.cold()
	if err != nil {
		return err
	}
	if len(starts) > 0 {
		wakes = append(wakes, wakeOf(coldStart, starts), wakeOf(coldWorker, claims))
	}
	pings, err := d.server.ping(d.ctx, 1000)
	if err != nil {
		return err
	}
	if err := p.worker.log.err(); err != nil {
		return err
	}
	d.report.parked(row, wakes, pings, d.shared)
	return nil
}

// park has the worker bring all runs to where they wait, and measures what they
// leave in the store and in this process.
func (p *parking) park() (row parkedRow, err error) {
	n := p.Parked
	p.progress("parking %s runs", number(float64(n)))
	// Some first, so that connections and pools are there before anything is measured.
	if _, err := p.parkSome(min(n, 500)); err != nil {
		return row, err
	}
	if err := sleep(p.ctx, p.Rest); err != nil {
		return row, err
	}
	if err := p.quiet(); err != nil {
		return row, err
	}
	memory, err := p.server.settled(p.ctx)
	if err != nil {
		return row, err
	}
	keys, err := p.server.kept(p.ctx)
	if err != nil {
		return row, err
	}
	heap, goroutines := live()
	before := p.store.tally()
	took, err := p.parkSome(n)
	if err != nil {
		return row, err
	}
	p.progress("letting them rest for %s", p.Rest)
	if err := sleep(p.ctx, p.Rest); err != nil {
		return row, err
	}
	if err := p.quiet(); err != nil {
		return row, err
	}
	row = parkedRow{Runs: n, Conversation: parkedBytes, Parking: float64(n) / took.Seconds()}
	row.HeapAll, row.InAll = live()
	row.Heap, row.Goroutines = row.HeapAll-heap, row.InAll-goroutines
	row.Log = float64(p.store.tally().minus(before).RecordBytes) / float64(n)
	now, err := p.server.settled(p.ctx)
	if err != nil || !p.shared {
		return row, err
	}
	row.Redis = float64(now-memory) / float64(n)
	after, err := p.server.kept(p.ctx)
	row.Keys = float64(after.fermata-keys.fermata) / float64(n)
	return row, err
}

// parkSome starts n runs and returns how long it took until all of them wait.
func (p *parking) parkSome(n int) (time.Duration, error) {
	batch := p.store.expect(n, agent.StatusWaiting)
	began := time.Now()
	err := parallel(p.ctx, n, 32, func(ctx context.Context, _ int) error {
		_, err := p.worker.orch.Start(ctx, orchestrator.Request{Agent: parkerName, Message: agent.Text(parkedRequest)})
		return err
	})
	if err == nil {
		err = p.store.wait(p.ctx, batch)
	}
	return time.Since(began), err
}

// quiet waits until the number of goroutines has not changed for a while, for a
// few seconds at most: what does not end by then is to be reported.
func (p *parking) quiet() error {
	last, since := runtime.NumGoroutine(), time.Now()
	for deadline := since.Add(5 * time.Second); time.Now().Before(deadline) && time.Since(since) < 300*time.Millisecond; {
		if err := sleep(p.ctx, 20*time.Millisecond); err != nil {
			return err
		}
		if n := runtime.NumGoroutine(); n != last {
			last, since = n, time.Now()
		}
	}
	return nil
}

// answers has another process answer some runs one by one, and returns how long
// each took from just before Answer was called there until the planner was
// called here. Both times are of this machine's clock.
func (p *parking) answers() (denials, approvals []time.Duration, err error) {
	n := min(p.Answers, p.Parked)
	p.progress("answering %d of them from another process", n)
	batch := p.store.expect(n, agent.StatusIdle)
	c, err := p.spawn("answerer", answererSpec{Store: p.at, Answers: n})
	if err != nil {
		return nil, nil, err
	}
	defer c.kill()
	var all []givenAnswer
	for range n {
		var g givenAnswer
		if err := c.read(&g); err != nil {
			return nil, nil, err
		}
		all = append(all, g)
	}
	if err := c.end(); err != nil {
		return nil, nil, err
	}
	if err := p.store.wait(p.ctx, batch); err != nil {
		return nil, nil, err
	}
	for _, g := range all {
		at, ok := p.parker.planned(g.Run)
		took := at.Sub(g.At)
		switch {
		case !ok:
			return nil, nil, fmt.Errorf("run %s was answered and the planner was not called for it", g.Run)
		case took < 0:
			return nil, nil, fmt.Errorf("the planner was called %s before the answer was given: the clock was set meanwhile; measure again", -took)
		case g.Choice == agent.Deny:
			denials = append(denials, took)
		default:
			approvals = append(approvals, took)
		}
	}
	return denials, approvals, nil
}

// cold answers runs while nobody works, and then starts a worker in a process of
// its own for each. It returns the times from the start of the process, and from
// the call of Work in it, until its planner was called.
func (p *parking) cold() (starts, claims []time.Duration, err error) {
	n := min(p.Cold, p.Parked-min(p.Answers, p.Parked))
	p.progress("resuming %d of them in new workers", n)
	asks, _, err := p.worker.orch.Asks(p.ctx, memory.AskQuery{Limit: max(n, 1)})
	if err != nil {
		return nil, nil, err
	}
	for _, a := range asks[:min(n, len(asks))] {
		if err := p.worker.orch.Answer(p.ctx, a.ID, agent.Answer{Choice: agent.Deny}); err != nil {
			return nil, nil, err
		}
		began := time.Now()
		r, err := p.resume(a.ID.Run())
		if err != nil {
			return nil, nil, err
		}
		starts, claims = append(starts, r.Planned.Sub(began)), append(claims, r.Planned.Sub(r.Working))
	}
	return starts, claims, nil
}

// resume has a new process take up the run.
func (p *parking) resume(run agent.RunID) (r resumed, err error) {
	c, err := p.spawn("resumer", resumerSpec{Store: p.at})
	if err != nil {
		return r, err
	}
	defer c.kill()
	if err := c.read(&r); err != nil {
		return r, err
	}
	if r.Run != run {
		return r, fmt.Errorf("a new worker has taken up run %s, and run %s was answered", r.Run, run)
	}
	return r, c.end()
}

// parked prints the figure.
func (r *report) parked(row parkedRow, wakes []wakeRow, pings []time.Duration, shared bool) {
	rows(r, "parked", []parkedRow{row})
	rows(r, "wake", wakes)
	table(r, "Runs that wait for an approval: bytes per run, and what all of them add to the worker", "runs|said B|log B|redis B|its keys B|heap B|goroutines|heap of worker MB|its goroutines|parked/s", []parkedRow{row}, func(p parkedRow) []string {
		return []string{number(float64(p.Runs)), number(float64(p.Conversation)), number(p.Log), number(p.Redis), number(p.Keys), number(float64(p.Heap)), fmt.Sprint(p.Goroutines),
			mega(p.HeapAll), fmt.Sprint(p.InAll), number(p.Parking)}
	})
	table(r, "Time until the planner is called, in ms", "what|times|p50|p99|most", wakes, func(w wakeRow) []string {
		return []string{w.What, fmt.Sprint(w.N), number(w.P50), number(w.P99), number(w.Max)}
	})
	network := micros(quantile(pings, 0.99)) / 1000
	r.note("a PING of Redis: p50 %s ms, p99 %s ms", number(micros(median(pings))/1000), number(network))
	if shared {
		r.atMost(6*1024, row.Redis, " B", "a parked run in Redis, with a conversation of 3 KB")
	}
	r.atMost(0, max(float64(row.Goroutines), 0), "", fmt.Sprintf("goroutines that %s parked runs leave in the worker", number(float64(row.Runs))))
	r.atMost(10, max(float64(row.Heap)/float64(row.Runs), 0), " B", "heap per parked run in the worker (the goal is 0; 10 allows for what is not of runs)")
	r.atMost(5, wakes[0].P99-network, " ms", "answer in another process → planner, p99 above the network's")
}
