package orchestrator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/perform"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Options change how an orchestrator works. A nil *Options, and the zero value
// of each field, give the defaults.
type Options struct {
	Logger *slog.Logger // what happens that no log of a run tells; nil discards it

	// Lease is how long a claim lasts without renewal, and so how long the runs of
	// a worker that was lost wait for another, where the store cannot tell that
	// its process is dead. Default 10 seconds.
	Lease time.Duration
	// Grace is how long running jobs may go on when Work is to end. Default 10
	// seconds; negative stops them at once.
	Grace time.Duration
	// MaxRuns is how many runs a worker drives at once. Default 200.
	MaxRuns int
	// MaxJobs is how many jobs go on at once in a worker. Default 100.
	MaxJobs int
	// Worker names this process for people. Default: the host and process id.
	Worker string
	// Retain is how long a run that has ended is kept after its last record. Work
	// erases older ones, as Prune does, at its start and then every hour, or more
	// often if Retain is less than ten hours. 0 keeps them for ever.
	Retain time.Duration

	// Tracer is told of each turn as one trace, and Meter of claims, commits, jobs
	// and what waits, as docs/observability.md lists it; neither of what is said.
	// Nil tells nobody and costs nothing: the global providers of OpenTelemetry
	// are not used unless they are given here.
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
}

// Orchestrator starts runs, takes inputs, and drives the runs of its agents. It
// is safe for use by many goroutines.
type Orchestrator struct {
	store  memory.Store
	opts   Options
	agents map[string]*perform.Performer
	slots  *slots
	warm   *warm
	tel    *telemetry // nil: there is nobody to tell

	mu      sync.Mutex
	drivers map[agent.RunID]*driver // the runs that this process drives
}

// New makes an orchestrator over a store. Without agents it can start, answer
// and watch runs, and leaves driving them to other processes. It returns an
// error that names the agent or tool if one is not well formed.
func New(store memory.Store, agents []*agent.Agent, o *Options) (*Orchestrator, error) {
	if store == nil {
		return nil, fmt.Errorf("orchestrator: New needs a store; memory/sqlite has one that is a file")
	}
	opts := withDefaults(o)
	if err := opts.check(); err != nil {
		return nil, err
	}
	tel, err := newTelemetry(&opts)
	if err != nil {
		return nil, err
	}
	store = tel.measure(store)
	orch := &Orchestrator{
		store: store, opts: opts, tel: tel,
		agents: map[string]*perform.Performer{}, drivers: map[agent.RunID]*driver{},
	}
	orch.slots = newSlots(orch.opts.MaxJobs)
	orch.warm = newWarm(orch.opts.MaxRuns)
	if err := orch.adopt(agents); err != nil {
		return nil, fmt.Errorf("orchestrator: %w", err)
	}
	if err := tel.gauges(orch); err != nil {
		return nil, fmt.Errorf("orchestrator: Options.Meter: %w", err)
	}
	return orch, nil
}

// adopt takes the agents, and those to which they delegate or hand off.
func (o *Orchestrator) adopt(agents []*agent.Agent) error {
	for _, a := range agents {
		if err := checkAgent(a); err != nil {
			return err
		}
		switch p := o.agents[a.Name]; {
		case p == nil:
		case p.Agent == a:
			continue
		default:
			return fmt.Errorf("there are two agents named %q; give each its own name", a.Name)
		}
		o.agents[a.Name] = &perform.Performer{
			Agent: a, Validate: schema.Validate, Check: schema.Check, PutBlob: o.store.PutBlob, Blob: o.blob, Now: o.store.Now, Logger: o.opts.Logger,
		}
		if err := cmp.Or(o.adopt(a.Delegates), o.adopt(a.Handoffs)); err != nil {
			return fmt.Errorf("%w (among those of %s)", err, a.Name)
		}
	}
	return nil
}

// blob reads what a run keeps. What the store itself does not say no to may pass.
func (o *Orchestrator) blob(ctx context.Context, id agent.RunID, hash string) ([]byte, error) {
	data, err := o.store.Blob(ctx, id, hash)
	if err != nil && !isRefused(err) {
		return nil, agent.Transient(err, 0)
	}
	return data, err
}

func withDefaults(o *Options) Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Lease = orDefault(opts.Lease, 10*time.Second)
	opts.Grace = orDefault(opts.Grace, 10*time.Second)
	opts.MaxRuns = orDefault(opts.MaxRuns, 200)
	opts.MaxJobs = orDefault(opts.MaxJobs, 100)
	if opts.Worker == "" {
		opts.Worker = defaultWorker()
	}
	return opts
}

func orDefault[T ~int | ~int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// check says which option makes no sense.
func (o *Options) check() error {
	switch {
	case o.Lease < time.Millisecond:
		return fmt.Errorf("orchestrator: Options.Lease is %v; give at least a millisecond, or 0 for the default", o.Lease)
	case o.Retain < 0:
		return fmt.Errorf("orchestrator: Options.Retain is %v; give how long ended runs are kept, or 0 to keep them for ever", o.Retain)
	case o.MaxRuns < 0:
		return fmt.Errorf("orchestrator: Options.MaxRuns is %d; give at least 1, or 0 for the default", o.MaxRuns)
	case o.MaxJobs < 0:
		return fmt.Errorf("orchestrator: Options.MaxJobs is %d; give at least 1, or 0 for the default", o.MaxJobs)
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// checkAgent says what is wrong with an agent's declaration.
func checkAgent(a *agent.Agent) error {
	switch {
	case a == nil:
		return fmt.Errorf("an agent is nil")
	case !nameForm.MatchString(a.Name):
		return fmt.Errorf("an agent is named %q; a name has 1 to 64 letters, digits, _ and -", a.Name)
	case a.Planner == nil:
		return fmt.Errorf("agent %s has no planner; planner.Loop makes one of a model", a.Name)
	}
	for _, of := range [][]*agent.Agent{a.Delegates, a.Handoffs} {
		for i, to := range of {
			if to != nil && slices.ContainsFunc(of[:i], func(x *agent.Agent) bool { return x != nil && x.Name == to.Name }) {
				return fmt.Errorf("agent %s names %s twice among its Delegates or its Handoffs; once is enough", a.Name, to.Name)
			}
		}
	}
	if err := checkInput(a.Input); err != nil {
		return fmt.Errorf("the Input of agent %s: %w", a.Name, err)
	}
	if !slices.Contains([]agent.Sees{agent.SeesAll, agent.SeesWords, agent.SeesTurn}, a.Sees) {
		return fmt.Errorf("agent %s has Sees %q; agent.SeesAll, agent.SeesWords and agent.SeesTurn are known", a.Name, a.Sees)
	}
	if !slices.Contains([]agent.OnMessage{agent.Queue, agent.Interrupt, agent.Reject}, a.OnMessage) {
		return fmt.Errorf("agent %s has OnMessage %q; agent.Queue, agent.Interrupt and agent.Reject are known", a.Name, a.OnMessage)
	}
	if !slices.Contains([]agent.OnReached{agent.AskPerson, agent.EndTurn}, a.Limits.OnReached) {
		return fmt.Errorf("agent %s has Limits.OnReached %q; agent.AskPerson and agent.EndTurn are known", a.Name, a.Limits.OnReached)
	}
	if bad := run.BadPeople(a.Operators); bad != "" {
		return fmt.Errorf("the Operators of agent %s: %s", a.Name, bad)
	}
	seen := map[string]bool{}
	for _, t := range a.Tools {
		if err := checkTool(t); err != nil {
			return fmt.Errorf("agent %s: %w", a.Name, err)
		}
		if seen[t.Name] {
			return fmt.Errorf("agent %s has two tools named %q; give each its own name", a.Name, t.Name)
		}
		seen[t.Name] = true
	}
	if v, ok := a.Planner.(agent.Vetter); ok {
		if err := v.Vet(a); err != nil {
			return fmt.Errorf("agent %s: %w", a.Name, err)
		}
	}
	return nil
}

// checkInput says what is wrong with the schema of an agent's tasks; nil if nothing is.
func checkInput(input json.RawMessage) error {
	if input == nil {
		return nil
	}
	if err := schema.Check(input); err != nil {
		return err
	}
	var s struct {
		Type any `json:"type"`
	}
	if err := json.Unmarshal(input, &s); err != nil || s.Type != "object" {
		return fmt.Errorf(`a task is an object, and the schema has the type %v; give it "type": "object"`, s.Type)
	}
	return nil
}

func checkTool(t *agent.Tool) error {
	switch {
	case t == nil:
		return fmt.Errorf("a tool is nil")
	case !nameForm.MatchString(t.Name):
		return fmt.Errorf("a tool is named %q; a name has 1 to 64 letters, digits, _ and -", t.Name)
	case t.Call == nil:
		return fmt.Errorf("tool %s has no Call function", t.Name)
	case t.Effect != agent.Once && t.Effect != agent.Idempotent && t.Effect != agent.ReadOnly:
		return fmt.Errorf("tool %s has the effect %q; agent.Once, agent.Idempotent and agent.ReadOnly are known", t.Name, t.Effect)
	}
	for what, s := range map[string][]byte{"input": t.Input, "output": t.Output} {
		if len(s) == 0 {
			continue
		}
		if err := schema.Check(s); err != nil {
			return fmt.Errorf("the %s schema of tool %s: %w", what, t.Name, err)
		}
	}
	return nil
}

// names returns the names of the agents that this process has.
func (o *Orchestrator) names() []string {
	var names []string
	for n := range o.agents {
		names = append(names, n)
	}
	return names
}

// poke tells the driver of a run, if it is in this process, that the log has
// grown. It costs latency only if nobody does.
func (o *Orchestrator) poke(id agent.RunID) {
	o.mu.Lock()
	d := o.drivers[id]
	o.mu.Unlock()
	if d != nil {
		d.poke()
	}
}
