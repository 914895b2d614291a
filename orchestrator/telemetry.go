package orchestrator

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// What is told of runs, to whom Options.Tracer and Options.Meter stand for:
//
//	telemetry   one for each orchestrator
//	├── metrics     the figures, and the store as one that is measured (metrics.go)
//	└── trail       one for each driver: the span of its turn (traces.go)
//	    └── sight   one for each job: its span and its figures
//
// Who is not there is nil, and a call of it does nothing.
//
// What people, models and tools say is told to nobody: no attribute and no status
// has the words of a message, the arguments or the result of a call, or the text
// of an error, which may quote them. They stand in the run's log.

// scope is the name under which spans and figures are told; their attributes
// are those of the semantic conventions at schemaURL.
const (
	scope     = "github.com/fermata-run/fermata/orchestrator"
	schemaURL = "https://opentelemetry.io/schemas/1.41.0"
)

// The attributes. The conventions know the first ones.
const (
	attrOperation    = attribute.Key("gen_ai.operation.name")
	attrAgent        = attribute.Key("gen_ai.agent.name")
	attrConversation = attribute.Key("gen_ai.conversation.id")
	attrModel        = attribute.Key("gen_ai.response.model")
	attrInput        = attribute.Key("gen_ai.usage.input_tokens")
	attrOutput       = attribute.Key("gen_ai.usage.output_tokens")
	attrCached       = attribute.Key("gen_ai.usage.cache_read.input_tokens")
	attrReasoning    = attribute.Key("gen_ai.usage.reasoning.output_tokens")
	attrTokenType    = attribute.Key("gen_ai.token.type")
	attrTool         = attribute.Key("gen_ai.tool.name")
	attrToolType     = attribute.Key("gen_ai.tool.type")
	attrToolCall     = attribute.Key("gen_ai.tool.call.id")
	attrError        = attribute.Key("error.type")

	attrTurn    = attribute.Key("fermata.turn")        // which one of the run, from 1
	attrStatus  = attribute.Key("fermata.run.status")  // when the span ended
	attrWorker  = attribute.Key("fermata.worker")      // Options.Worker
	attrKind    = attribute.Key("fermata.job.kind")    // begin, plan, call, lookup
	attrOutcome = attribute.Key("fermata.job.outcome") // done, failed, stopped
	attrAttempt = attribute.Key("fermata.job.attempt") // from 1
	attrAction  = attribute.Key("fermata.action")      // whose call it is
)

// The values of attrOutcome.
const (
	jobDone    = "done"
	jobFailed  = "failed"
	jobStopped = "stopped" // it was not wanted any more, or its worker shuts down
)

type telemetry struct {
	tracer  trace.Tracer
	metrics *metrics
	worker  string
}

// newTelemetry returns nil if there is nobody to tell.
func newTelemetry(o *Options) (*telemetry, error) {
	if o.Tracer == nil && o.Meter == nil {
		return nil, nil
	}
	t := &telemetry{worker: o.Worker}
	if o.Tracer != nil {
		t.tracer = o.Tracer.Tracer(scope, trace.WithSchemaURL(schemaURL))
	}
	if o.Meter != nil {
		m, err := newMetrics(o.Meter)
		if err != nil {
			return nil, fmt.Errorf("orchestrator: Options.Meter: %w", err)
		}
		t.metrics = m
	}
	return t, nil
}

// measure returns the store as one that is measured, if there is somebody to
// tell.
func (t *telemetry) measure(s memory.Store) memory.Store {
	if t == nil || t.metrics == nil {
		return s
	}
	return &measured{s, t.metrics}
}

// follow returns the trail of a driver that begins.
func (t *telemetry) follow() *trail {
	if t == nil {
		return nil
	}
	return &trail{telemetry: t, claimed: time.Now()}
}

// A trail is what is told of one driver. Only the driver's goroutine uses it.
type trail struct {
	*telemetry
	claimed time.Time // zero when the first job has started
	status  agent.Status
	lost    bool

	turn  stretch // the turn that goes on, as far as this process drives it
	begun stretch // a turn that begins, as long as the log does not have it
}

// claimLost notes why the driver ends.
func (t *trail) claimLost() {
	if t == nil {
		return
	}
	t.lost = true
	if t.metrics != nil {
		t.metrics.lost.Add(context.Background(), 1)
	}
}

// A sight is what is told of one job.
type sight struct {
	metrics *metrics
	span    trace.Span // nil: none; of a job that begins a turn, that of the turn
	job     run.Job
	agent   string
	tool    string // "" for planning
	once    bool
	started time.Time
}

// job returns the context of a job that starts, and what is to be told of its
// end.
func (t *trail) job(ctx context.Context, s *run.State, st *starting) (context.Context, *sight) {
	if t == nil {
		return ctx, nil
	}
	g := &sight{metrics: t.metrics, job: st.job, agent: s.Agent, started: time.Now()}
	if st.task != nil {
		g.tool = st.task.Action.Name
		g.once = st.job.Kind == run.JobCall && st.task.Action.Effect == agent.Once
	}
	if t.tracer != nil && st.job.Kind != run.JobDeliver {
		ctx, g.span = t.span(ctx, s, st)
	}
	if t.metrics != nil {
		t.metrics.jobStarted(g, t.claimed)
	}
	t.claimed = time.Time{}
	return ctx, g
}

// gave notes what the job gave; nil says that it was stopped. Of a job that
// begins a turn, e is told which trace that is.
func (g *sight) gave(e run.Event) {
	if g == nil {
		return
	}
	outcome, errType := g.judge(e)
	if g.span != nil {
		g.endSpan(e, outcome, errType)
	}
	if g.metrics != nil {
		g.metrics.jobFinished(g, e, outcome, errType)
	}
}

// judge says how the job ended, and what kind of failure it was, if it was one.
func (g *sight) judge(e run.Event) (outcome, errType string) {
	switch e := e.(type) {
	case nil:
		return jobStopped, ""
	case *run.PlanFailed:
		if e.Transient {
			return jobFailed, "transient"
		}
		return jobFailed, "permanent"
	case *run.Unresolved:
		return jobFailed, "unresolved"
	case *run.Delivered:
		if e.Error != "" {
			return jobFailed, "undelivered"
		}
	case *run.CallFailed:
		switch {
		case e.Lookup: // it has found out that the call was not made
			return jobDone, ""
		case e.Stack != "":
			return jobFailed, "panic"
		case e.NotDone:
			return jobFailed, "not_done"
		case g.once:
			return jobFailed, "unknown" // is what became of it
		}
		return jobFailed, "failed"
	}
	return jobDone, ""
}

// asked reports whether a model was asked for a move, as far as the planner
// says.
func asked(m *run.Moved) bool { return m.Model != "" || m.Usage != agent.Usage{} }
