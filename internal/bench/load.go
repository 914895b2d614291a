package bench

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
)

// loadLength is how many steps each conversation of a load has.
const loadLength = 10

// loadRow is what one side makes of a load.
type loadRow struct {
	Side          string  `json:"side"`
	Conversations int     `json:"conversations"` // at once
	Rounds        int     `json:"rounds"`
	Ratio         float64 `json:"cpu_ratio"` // to the floor under the same load; the median of the rounds
	CPU           float64 `json:"cpu_us"`    // of this process, per step
	Throughput    float64 `json:"steps_per_second"`
	Slowest       float64 `json:"slowest_steps_per_second"` // Throughput of the slowest round
	P50           float64 `json:"step_p50_ms"`
	P99           float64 `json:"step_p99_ms"`
	PeakRSS       int64   `json:"peak_rss"`  // bytes
	PeakHeap      int64   `json:"peak_heap"` // bytes
	Goroutines    int     `json:"peak_goroutines"`
	Errors        int64   `json:"errors"`
	First         string  `json:"first_error,omitempty"`
}

// A loadContest is both sides under a load.
type loadContest struct {
	contest
	store   *counted
	looper  *agent.Agent
	planner *metered
	paths   struct{ floor, fermata *http.Transport } // to the model
}

func measureLoad(d *bed) error {
	store, err := d.open()
	if err != nil {
		return err
	}
	defer store.Close()
	c := &loadContest{contest: contest{bed: d, task: new(task)}, store: store}
	c.paths.floor, c.paths.fermata = d.asks.transport(), d.asks.transport()
	c.floor = newFloor(c.task, d.asks, c.paths.floor, d.server.client)
	c.looper, c.planner = meteredAgent(c.task.looper(loadLength, d.asks, c.paths.fermata))
	small, large := 5, 1
	if d.Rounds > 0 {
		small, large = d.Rounds, d.Rounds
	}
	if err := c.warmUp(); err != nil {
		return err
	}
	// The small load comes before the large one and after it, as a machine that
	// others use is not as fast at all times.
	before, err := c.load(d.Small, (small+1)/2)
	if err != nil {
		return err
	}
	many, err := c.load(d.Large, large)
	if err != nil {
		return err
	}
	after, err := c.load(d.Small, (small+1)/2)
	if err != nil {
		return err
	}
	for i := range after.fermata { // what they take is not free of what the large load has left
		after.floor[i].forgetPeaks()
		after.fermata[i].forgetPeaks()
	}
	few := rounds{append(before.floor, after.floor...), append(before.fermata, after.fermata...)}
	d.report.load(few.rows(), many.rows())
	return nil
}

// warmUp has both sides work once without being measured.
func (c *loadContest) warmUp() error {
	c.progress("warming up")
	_, err := c.load(min(c.Small, 200), 1)
	return err
}

// rounds are what both sides made of a load, round by round.
type rounds struct{ floor, fermata []loadRow }

// load puts n conversations at once on both sides, in turn.
func (c *loadContest) load(n, times int) (r rounds, err error) {
	for range times {
		f, err := c.floorLoad(n)
		if err != nil {
			return r, err
		}
		s, err := c.fermataLoad(n)
		if err != nil {
			return r, err
		}
		r.floor, r.fermata = append(r.floor, f), append(r.fermata, s)
	}
	return r, nil
}

// rows sums the rounds up: a row for each side.
func (r rounds) rows() (rows [2]loadRow) {
	var ratios []float64
	for i, s := range r.fermata {
		ratios = append(ratios, s.CPU/r.floor[i].CPU)
	}
	rows[0], rows[1] = middle(r.floor), middle(r.fermata)
	rows[0].Ratio, rows[1].Ratio = 1, median(ratios)
	return rows
}

func (l *loadRow) forgetPeaks() { l.PeakRSS, l.PeakHeap, l.Goroutines = 0, 0, 0 }

// middle returns the medians of what was measured in rounds, the highest peaks,
// and all errors.
func middle(rows []loadRow) loadRow {
	m := rows[0]
	of := func(f func(loadRow) float64) float64 {
		var values []float64
		for _, r := range rows {
			values = append(values, f(r))
		}
		return median(values)
	}
	m.Rounds, m.Errors = len(rows), 0
	m.CPU, m.Throughput = of(func(r loadRow) float64 { return r.CPU }), of(func(r loadRow) float64 { return r.Throughput })
	m.P50, m.P99 = of(func(r loadRow) float64 { return r.P50 }), of(func(r loadRow) float64 { return r.P99 })
	for _, r := range rows {
		m.Slowest = min(m.Slowest, r.Slowest)
		m.PeakRSS, m.PeakHeap, m.Goroutines = max(m.PeakRSS, r.PeakRSS), max(m.PeakHeap, r.PeakHeap), max(m.Goroutines, r.Goroutines)
		m.Errors += r.Errors
		if m.First == "" {
			m.First = r.First
		}
	}
	return m
}

// floorLoad has the floor make n conversations in as many goroutines.
func (c *loadContest) floorLoad(n int) (loadRow, error) {
	m := newMeter()
	c.floor.meter = m
	keys := make([]string, n)
	for i := range keys {
		keys[i] = c.ids.next("load")
	}
	defer hangUp(c.paths.floor, n)
	return c.underLoad("floor", n, m, func() error {
		return parallel(c.ctx, n, n, func(ctx context.Context, i int) error { return c.floor.converse(ctx, loadLength, keys[i]) })
	})
}

// fermataLoad starts n runs, and then has a worker make all of them at once.
func (c *loadContest) fermataLoad(n int) (loadRow, error) {
	c.planner.meter = newMeter()
	failed := c.planner.failed.Load()
	jobs := c.Jobs
	if jobs == 0 {
		jobs = n
	}
	w, err := newWorker(c.store, []*agent.Agent{c.looper}, n, jobs)
	if err != nil {
		return loadRow{}, err
	}
	if err := startRuns(c.ctx, w.orch, n, agent.Text(request)); err != nil {
		return loadRow{}, err
	}
	defer hangUp(c.paths.fermata, n)
	batch := c.store.expect(n, agent.StatusIdle)
	row, err := c.underLoad("fermata", n, c.planner.meter, func() error {
		w.start(c.ctx)
		return c.store.wait(c.ctx, batch)
	})
	w.stop()
	row.Errors += c.planner.failed.Load() - failed + w.log.n.Load()
	if complaint := w.log.err(); complaint != nil && row.First == "" {
		row.First = complaint.Error()
	}
	return row, err
}

// hangUp closes the connections of a large load: those of both sides would be
// more than a process may have.
func hangUp(t *http.Transport, n int) {
	if n > 1000 {
		t.CloseIdleConnections()
	}
}

// startRuns starts n runs of the first agent of o.
func startRuns(ctx context.Context, o *orchestrator.Orchestrator, n int, m agent.Message) error {
	return parallel(ctx, n, 32, func(ctx context.Context, _ int) error {
		_, err := o.Start(ctx, orchestrator.Request{Agent: loopName(loadLength), Message: m})
		return err
	})
}

// underLoad measures what one side makes of n conversations.
func (c *loadContest) underLoad(side string, n int, m *meter, f func() error) (loadRow, error) {
	debug.FreeOSMemory() // what came before is not this side's
	made := c.task.calls.Load()
	end := watchPeaks(c.ctx)
	s, err := c.measure(f)
	p := end()
	if err != nil {
		return loadRow{}, err
	}
	if err := c.task.check(made, n*loadLength, side); err != nil {
		return loadRow{}, err
	}
	steps := float64(n * loadLength)
	rate := steps / s.Wall.Seconds()
	c.progress("%s: %d conversations in %s", side, n, s.Wall.Round(time.Millisecond))
	return loadRow{
		Side: side, Conversations: n, CPU: micros(s.CPU) / steps, Throughput: rate, Slowest: rate,
		P50: micros(quantile(m.steps, 0.5)) / 1000, P99: micros(quantile(m.steps, 0.99)) / 1000,
		PeakRSS: p.RSS, PeakHeap: p.Heap, Goroutines: p.Goroutines,
	}, nil
}

// load prints the figure. Each load has a row of the floor and one of Fermata.
func (r *report) load(small, large [2]loadRow) {
	what := fmt.Sprintf("%s at once: CPU of this process per step, steps per second, time of a step, most memory", loopName(loadLength))
	list := append(small[:], large[:]...)
	rows(r, "", list)
	table(r, what, "at once|side|rounds|CPU µs|ratio|steps/s|slowest|p50 ms|p99 ms|RSS MB|heap MB|goroutines|errors", list, func(l loadRow) []string {
		return []string{number(float64(l.Conversations)), l.Side, fmt.Sprint(l.Rounds), number(l.CPU), number(l.Ratio), number(l.Throughput), number(l.Slowest),
			number(l.P50), number(l.P99), mega(l.PeakRSS), mega(l.PeakHeap), number(float64(l.Goroutines)), fmt.Sprint(l.Errors)}
	})
	r.note("Runs are started before the time is taken. The model answers at once, so that a step's time is its place in the queue for the CPUs.")
	for _, l := range list {
		if l.First != "" {
			r.note("%s, %d at once, first error: %s", l.Side, l.Conversations, l.First)
		}
	}
	few, many := number(float64(small[1].Conversations)), number(float64(large[1].Conversations))
	r.note("the floor's throughput with %s at once is %s × that with %s", many, number(large[0].Throughput/small[0].Throughput), few)
	r.atMost(0, float64(large[1].Errors), "", fmt.Sprintf("errors with %s conversations at once", many))
	r.atLeast(0.7, large[1].Throughput/small[1].Throughput, " ×", fmt.Sprintf("throughput with %s at once, beside %s", many, few))
}
