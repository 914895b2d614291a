package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
)

// workersRow is what a number of workers make of the same load.
type workersRow struct {
	Workers       int     `json:"workers"`
	Conversations int     `json:"conversations"`
	Throughput    float64 `json:"steps_per_second"`
	Beside        float64 `json:"beside_one"` // throughput to that of one worker
	CPU           float64 `json:"cpu_us"`     // of all workers, per step
	RedisCPU      float64 `json:"redis_cpu_us"`
	Commits       int64   `json:"commits"`
	Conflicts     int64   `json:"conflicts"`
	Lost          int64   `json:"claims_lost"`
	Complaints    int64   `json:"complaints"`
	Most          int64   `json:"most_of_one"`  // runs that the busiest worker finished
	Least         int64   `json:"least_of_one"` // and the idlest
}

// The worker role is a worker of its own.
type (
	workerSpec struct {
		Store string  `json:"store"`
		Model modelAt `json:"model"`
		Runs  int     `json:"runs"` // how many it drives at once, at most
	}
	// workerLine is what it prints: once when it is ready, then whenever more runs
	// have ended, and once at its end.
	workerLine struct {
		Done       int64         `json:"done"`
		Calls      int64         `json:"calls"`
		CPU        time.Duration `json:"cpu"` // since it began to work
		Tally      tally         `json:"tally"`
		Complaints int64         `json:"complaints"`
		First      string        `json:"first,omitempty"`
		End        bool          `json:"end,omitempty"`
	}
)

// workerRole waits for a line on stdin, and then works until stdin ends.
func workerRole(ctx context.Context, spec []byte, stdin io.Reader, stdout io.Writer) error {
	var s workerSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return err
	}
	inner, err := openStore(ctx, s.Store)
	if err != nil {
		return err
	}
	store := &counted{Store: inner}
	defer store.Close()
	t := new(task)
	w, err := newWorker(store, []*agent.Agent{t.looper(loadLength, s.Model, s.Model.transport())}, s.Runs, s.Runs)
	if err != nil {
		return err
	}
	const many = 1 << 30 // the batch of one that does not know its share
	batch := store.expect(many, agent.StatusIdle)
	var cpu time.Duration
	now := func() workerLine {
		return workerLine{Done: many - batch.left.Load(), Calls: t.calls.Load(), CPU: cpuTime() - cpu, Tally: store.tally(), Complaints: w.log.n.Load()}
	}
	if err := printLine(stdout, workerLine{}); err != nil {
		return err
	}
	in := bufio.NewReader(stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return nil // it is not wanted any more
	}
	ctx = untilEOF(ctx, in)
	cpu = cpuTime()
	w.start(ctx)
	for told := int64(0); sleep(ctx, 5*time.Millisecond) == nil; {
		if l := now(); l.Done > told {
			told = l.Done
			if err := printLine(stdout, l); err != nil {
				return err
			}
		}
		select {
		case <-batch.done:
			return batch.bad
		default:
		}
	}
	w.stop()
	last := now()
	last.End = true
	if err := w.log.err(); err != nil {
		last.First = err.Error()
	}
	return printLine(stdout, last)
}

func measureWorkers(d *bed) error {
	store, err := d.open()
	if err != nil {
		return err
	}
	defer store.Close()
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		return err
	}
	var rows []workersRow
	for n := 1; n <= d.Workers; n++ {
		d.progress("%d workers, %d conversations", n, d.Conversations)
		row, err := d.work(o, n)
		if err != nil {
			return fmt.Errorf("%d workers: %w", n, err)
		}
		row.Beside = row.Throughput
		if len(rows) > 0 {
			row.Beside = row.Throughput / rows[0].Throughput
		} else {
			row.Beside = 1
		}
		rows = append(rows, row)
	}
	d.report.workers(rows)
	return nil
}

// work has n workers make the load.
func (d *bed) work(o *orchestrator.Orchestrator, n int) (row workersRow, err error) {
	if err := startRuns(d.ctx, o, d.Conversations, agent.Text(request)); err != nil {
		return row, err
	}
	heard := make(chan heard)
	var children []*child
	defer func() {
		for _, c := range children {
			c.kill()
		}
	}()
	share := min(200, max(1, d.Conversations/(2*d.Workers))) // of the load at once, so that no worker takes all of it
	for range n {
		c, err := d.spawn("worker", workerSpec{Store: d.at, Model: d.asks, Runs: share})
		if err != nil {
			return row, err
		}
		children = append(children, c)
		if err := c.read(new(workerLine)); err != nil { // it is ready
			return row, err
		}
	}
	listening, deaf := context.WithCancel(d.ctx)
	defer deaf()
	for i, c := range children {
		go listen(listening, i, c, heard)
	}
	last := make([]workerLine, n)
	s, err := d.measure(func() error {
		for _, c := range children {
			if err := c.tell("go"); err != nil {
				return err
			}
		}
		return d.hear(heard, last, func() bool { return sum(last, func(l workerLine) int64 { return l.Done }) >= int64(d.Conversations) })
	})
	if err != nil {
		return row, err
	}
	for _, c := range children {
		_ = c.stdin.Close() // it ends then; what it says last is heard
	}
	if err := d.hear(heard, last, func() bool { return sum(last, func(l workerLine) int64 { return truth(l.End) }) == int64(n) }); err != nil {
		return row, err
	}
	return d.workersRow(last, s)
}

// workersRow sums up what the workers have said last.
func (d *bed) workersRow(last []workerLine, s spent) (row workersRow, err error) {
	steps := d.Conversations * loadLength
	if calls := sum(last, func(l workerLine) int64 { return l.Calls }); calls != int64(steps) {
		return row, fmt.Errorf("%d calls were made, and %d were to be made", calls, steps)
	}
	row = workersRow{
		Workers: len(last), Conversations: d.Conversations, Throughput: float64(steps) / s.Wall.Seconds(),
		CPU:      micros(time.Duration(sum(last, func(l workerLine) int64 { return int64(l.CPU) }))) / float64(steps),
		RedisCPU: micros(s.Server.CPU) / float64(steps),
		Least:    last[0].Done,
	}
	for _, l := range last {
		row.Commits, row.Conflicts, row.Lost = row.Commits+l.Tally.Commits, row.Conflicts+l.Tally.Conflicts, row.Lost+l.Tally.Lost
		row.Complaints += l.Complaints
		row.Most, row.Least = max(row.Most, l.Done), min(row.Least, l.Done)
		if l.First != "" {
			d.progress("%s", l.First)
		}
	}
	return row, nil
}

// heard is a line of a worker, or why there is none.
type heard struct {
	from int
	line workerLine
	err  error
}

// listen hands on what a worker prints until its last line.
func listen(ctx context.Context, from int, c *child, to chan<- heard) {
	for {
		h := heard{from: from}
		h.err = c.read(&h.line)
		select {
		case to <- h:
		case <-ctx.Done():
			return
		}
		if h.err != nil || h.line.End {
			return
		}
	}
}

// hear takes what the workers say until enough was said.
func (d *bed) hear(from <-chan heard, last []workerLine, enough func() bool) error {
	for !enough() {
		select {
		case h := <-from:
			if h.err != nil {
				return h.err
			}
			last[h.from] = h.line
		case <-time.After(patience):
			return fmt.Errorf("no run has ended for %s", patience)
		case <-d.ctx.Done():
			return context.Cause(d.ctx)
		}
	}
	return nil
}

func sum(lines []workerLine, f func(workerLine) int64) (n int64) {
	for _, l := range lines {
		n += f(l)
	}
	return n
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// workers prints the figure.
func (r *report) workers(list []workersRow) {
	rows(r, "", list)
	what := fmt.Sprintf("%s × %s conversations, by the number of worker processes", number(float64(list[0].Conversations)), loopName(loadLength))
	table(r, what, "workers|steps/s|beside one|CPU µs/step|redis µs/step|commits|conflicts|claims lost|complaints|most runs|least", list, func(w workersRow) []string {
		return []string{fmt.Sprint(w.Workers), number(w.Throughput), number(w.Beside), number(w.CPU), number(w.RedisCPU), number(float64(w.Commits)),
			fmt.Sprint(w.Conflicts), fmt.Sprint(w.Lost), fmt.Sprint(w.Complaints), fmt.Sprint(w.Most), fmt.Sprint(w.Least)}
	})
	r.note("All workers, the model and Redis share the CPUs of this machine: throughput cannot grow beyond them.")
	for _, w := range list {
		r.atMost(0, float64(w.Conflicts), "", fmt.Sprintf("commit conflicts with %d workers (nobody else writes to the runs)", w.Workers))
	}
}
