package orchestrator

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// metrics are the figures of one orchestrator.
type metrics struct {
	meter metric.Meter

	claims, takeovers, lost metric.Int64Counter
	commits, conflicts      metric.Int64Counter
	commitTime              metric.Float64Histogram

	started, finished metric.Int64Counter
	running           metric.Int64UpDownCounter
	firstJob, jobTime metric.Float64Histogram

	tokens   metric.Int64Histogram
	chatTime metric.Float64Histogram
}

// The limits of the histograms' buckets. Those of the GenAI figures are in the
// conventions.
var (
	commitBuckets = metric.WithExplicitBucketBoundaries(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
	jobBuckets    = metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
	chatBuckets   = metric.WithExplicitBucketBoundaries(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
	tokenBuckets  = metric.WithExplicitBucketBoundaries(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
)

func newMetrics(p metric.MeterProvider) (*metrics, error) {
	m := &metrics{meter: p.Meter(scope, metric.WithSchemaURL(schemaURL))}
	var failed []error
	count := func(name, unit, what string) metric.Int64Counter {
		c, err := m.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
		failed = append(failed, err)
		return c
	}
	seconds := func(name, what string, buckets metric.HistogramOption) metric.Float64Histogram {
		h, err := m.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), buckets)
		failed = append(failed, err)
		return h
	}
	var err error
	m.claims = count("fermata.claim.taken", "{claim}", "Claims of runs that this process took.")
	m.takeovers = count("fermata.claim.takeovers", "{claim}", "Of them, claims of runs whose last worker was lost.")
	m.lost = count("fermata.claim.lost", "{claim}", "Claims that this process lost to another, mostly because it could not renew them.")
	m.commits = count("fermata.commit.made", "{commit}", "Commits that the store took.")
	m.conflicts = count("fermata.commit.conflicts", "{commit}", "Commits that the store refused because somebody else had appended; they are decided anew.")
	m.commitTime = seconds("fermata.commit.duration", "How long the store took for a commit.", commitBuckets)
	m.started = count("fermata.job.started", "{job}", "Jobs that were started.")
	m.finished = count("fermata.job.finished", "{job}", "Jobs that have ended, one way or another.")
	m.running, err = m.meter.Int64UpDownCounter("fermata.job.running", metric.WithUnit("{job}"), metric.WithDescription("Jobs that go on in this process."))
	failed = append(failed, err)
	m.jobTime = seconds("fermata.job.duration", "How long a job took.", jobBuckets)
	m.firstJob = seconds("fermata.claim.first_job", "From the claim of a run to the start of its first job: reading the log and deciding.", commitBuckets)
	m.tokens, err = m.meter.Int64Histogram("gen_ai.client.token.usage", metric.WithUnit("{token}"), metric.WithDescription("Number of input and output tokens used."), tokenBuckets)
	failed = append(failed, err)
	m.chatTime = seconds("gen_ai.client.operation.duration", "GenAI operation duration.", chatBuckets)
	return m, errors.Join(failed...)
}

// jobStarted counts a job; claimed is zero if it is not its driver's first.
func (m *metrics) jobStarted(g *sight, claimed time.Time) {
	ctx, kind := context.Background(), metric.WithAttributes(attrKind.String(string(g.job.Kind)))
	m.started.Add(ctx, 1, kind)
	m.running.Add(ctx, 1, kind)
	if !claimed.IsZero() {
		m.firstJob.Record(ctx, g.started.Sub(claimed).Seconds())
	}
}

func (m *metrics) jobFinished(g *sight, e run.Event, outcome, errType string) {
	ctx, took := context.Background(), time.Since(g.started).Seconds()
	attrs := []attribute.KeyValue{attrKind.String(string(g.job.Kind)), attrAgent.String(g.agent), attrOutcome.String(outcome)}
	if g.tool != "" {
		attrs = append(attrs, attrTool.String(g.tool))
	}
	if errType != "" {
		attrs = append(attrs, attrError.String(errType))
	}
	m.running.Add(ctx, -1, metric.WithAttributes(attrs[0]))
	with := metric.WithAttributeSet(attribute.NewSet(attrs...))
	m.finished.Add(ctx, 1, with)
	m.jobTime.Record(ctx, took, with)
	if g.job.Kind == run.JobPlan {
		m.planned(ctx, g.agent, e, took, errType)
	}
}

// planned tells what a model took for a move, if one was asked.
func (m *metrics) planned(ctx context.Context, name string, e run.Event, took float64, errType string) {
	attrs := []attribute.KeyValue{attrOperation.String("chat"), attrAgent.String(name)}
	moved, ok := e.(*run.Moved)
	switch {
	case errType != "":
		m.chatTime.Record(ctx, took, metric.WithAttributes(append(attrs, attrError.String(errType))...))
		return
	case !ok || !asked(moved):
		return
	}
	if moved.Model != "" {
		attrs = append(attrs, attrModel.String(moved.Model))
	}
	m.chatTime.Record(ctx, took, metric.WithAttributes(attrs...))
	if moved.Usage.Total() == 0 {
		return
	}
	kind := len(attrs)
	attrs = append(attrs, attrTokenType.String("input"))
	m.tokens.Record(ctx, int64(moved.Usage.Input), metric.WithAttributes(attrs...))
	attrs[kind] = attrTokenType.String("output")
	m.tokens.Record(ctx, int64(moved.Usage.Output), metric.WithAttributes(attrs...))
}

// measured is a store whose claims and commits are counted.
type measured struct {
	memory.Store
	m *metrics
}

// Commit commits, and tells how long it took.
func (s *measured) Commit(ctx context.Context, c *memory.Commit) error {
	began := time.Now()
	err := s.Store.Commit(ctx, c)
	took := time.Since(began).Seconds()
	switch {
	case err == nil:
		s.m.commits.Add(ctx, 1)
		s.m.commitTime.Record(ctx, took)
		return nil
	case errors.Is(err, memory.ErrConflict):
		s.m.conflicts.Add(ctx, 1)
	}
	s.m.commitTime.Record(ctx, took, metric.WithAttributes(attrError.String(commitError(err))))
	return err
}

// commitError says what kind of failure of a commit err is.
func commitError(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{memory.ErrConflict, "conflict"}, {memory.ErrClaimLost, "claim_lost"}, {memory.ErrErased, "erased"},
		{memory.ErrFull, "full"}, {memory.ErrCorrupt, "corrupt"},
		{context.Canceled, "canceled"}, {context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "_OTHER"
}

// Claim claims, and counts what it got.
func (s *measured) Claim(ctx context.Context, r *memory.ClaimRequest) ([]memory.Claim, error) {
	claims, err := s.Store.Claim(ctx, r)
	for _, c := range claims {
		s.m.claims.Add(ctx, 1)
		if c.Strikes > 0 {
			s.m.takeovers.Add(ctx, 1)
		}
	}
	return claims, err
}

// statsTimeout is how long the store may take to count when figures are
// collected.
const statsTimeout = 5 * time.Second

// gauges has the runs that o drives, and what its store counts, told whenever
// figures are collected, until the store is closed.
func (t *telemetry) gauges(o *Orchestrator) error {
	if t == nil || t.metrics == nil {
		return nil
	}
	var failed []error
	gauge := func(name, unit, what string) metric.Int64ObservableGauge {
		g, err := t.metrics.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
		failed = append(failed, err)
		return g
	}
	held, err := t.metrics.meter.Int64ObservableUpDownCounter("fermata.run.held", metric.WithUnit("{run}"), metric.WithDescription("Runs that this process drives."))
	failed = append(failed, err)
	kept := gauge("fermata.run.kept", "{run}", "Runs in the store.")
	asks := gauge("fermata.ask.open", "{ask}", "Asks that people have not answered, over all runs.")
	ready := gauge("fermata.run.ready", "{run}", "Runs that want attention and that nobody has claimed.")
	lag, err := t.metrics.meter.Float64ObservableGauge("fermata.run.lag", metric.WithUnit("s"), metric.WithDescription("How long the run that has wanted attention for longest has waited for a worker."))
	failed = append(failed, err)
	if err := errors.Join(failed...); err != nil {
		return err
	}
	_, err = t.metrics.meter.RegisterCallback(func(ctx context.Context, to metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, statsTimeout)
		defer cancel()
		stats, err := o.store.Stats(ctx)
		if errors.Is(err, fs.ErrClosed) {
			return nil // as the process ends: there is nothing to tell any more
		}
		to.ObserveInt64(held, int64(o.drives()))
		if err != nil {
			o.opts.Logger.Warn("the store did not count what it keeps", "error", err)
			return err
		}
		to.ObserveInt64(kept, stats.Runs)
		to.ObserveInt64(asks, stats.Asks)
		for _, name := range o.drivable() {
			if _, ok := stats.Ready[name]; !ok {
				to.ObserveInt64(ready, 0, metric.WithAttributes(attrAgent.String(name)))
				to.ObserveFloat64(lag, 0, metric.WithAttributes(attrAgent.String(name)))
			}
		}
		for name, r := range stats.Ready {
			to.ObserveInt64(ready, r.Runs, metric.WithAttributes(attrAgent.String(name)))
			to.ObserveFloat64(lag, r.Lag.Seconds(), metric.WithAttributes(attrAgent.String(name)))
		}
		return nil
	}, held, kept, asks, ready, lag)
	return err
}

// drives returns how many runs this process drives.
func (o *Orchestrator) drives() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.drivers)
}
