package orchestrator_test

import (
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

// shutDown makes an orchestrator whose Work the test ends.
func (l *lab) shutDown(o *orchestrator.Options, desk *agent.Agent) (stop func()) {
	l.Helper()
	orch, err := orchestrator.New(l.store.Another(), []*agent.Agent{desk}, o)
	l.must(err)
	return l.until(orch)
}

// When Work ends, running calls may finish within Grace; their results are
// durable, nothing more is begun, and the claims are given back.
func TestGraceIsEnough(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		desk := service(l.plays(step(act.And(scripted.Call("look", nil))), step(done, "act returned", "look returned")), h.tool("act", agent.Once), h.tool("look", agent.ReadOnly))
		stop := l.shutDown(nil, desk)
		id := l.start("act")
		l.after(time.Second)
		began := time.Now()
		go func() {
			time.Sleep(5 * time.Second)
			h.returns <- result{content: "acted"}
			h.returns <- result{content: "acted"}
		}()
		stop()
		if took := time.Since(began); took != 5*time.Second {
			l.Errorf("Work took %s to end", took)
		}
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "began", "returned", "returned")
		e := l.entry(id)
		if e.Worker != "" || e.Late != 0 && e.Late > time.Second || e.Index.Wake.IsZero() {
			l.Errorf("the claim is not given back: %+v", e)
		}
		l.work(nil, desk)
		l.rests(id, agent.StatusIdle)
	})
}

// After Grace running jobs are stopped: a ReadOnly call is made again by
// another worker, a Once call has an unknown outcome.
func TestGraceIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		grace time.Duration
		deaf  bool
		most  time.Duration
	}{
		"by default":             {0, false, 10 * time.Second},
		"none":                   {-1, false, 0},
		"tools that do not hear": {-1, true, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := held()
				h.deaf = c.deaf
				desk := service(l.plays(step(act.And(scripted.Call("look", nil))), step(done, "act ", "look returned")), h.tool("act", agent.Once), h.tool("look", agent.ReadOnly))
				stop := l.shutDown(&orchestrator.Options{Grace: c.grace}, desk)
				id := l.start("act")
				l.after(time.Second)
				began := time.Now()
				stop()
				if took := time.Since(began); took != c.most {
					l.Errorf("Work took %s to end, want %s", took, c.most)
				}
				e := l.entry(id)
				if e.Worker != "" {
					l.Errorf("the claim is not given back: %+v", e)
				}
				l.kinds(id, "started", "messaged", "turnbegan", "moved", "began", "callfailed")
				if c.deaf { // both go on in the background, and what they give is recorded
					h.returns <- result{content: "acted"}
					h.returns <- result{content: "acted"}
					l.after(0)
				}
				l.work(nil, desk)
				if !c.deaf {
					l.after(time.Second)
					h.returns <- result{content: "acted"} // the ReadOnly one, again
					l.answer(l.asks(id, agent.AskOutcome), agent.Answer{Choice: agent.Happened})
				}
				l.rests(id, agent.StatusIdle)
			})
		})
	}
}

// A run that is due while its worker ends is not begun.
func TestNothingNewAfterTheEnd(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		desk := service(l.says(act, done, done, done), h.tool("act", agent.Once))
		stop := l.shutDown(nil, desk)
		id := l.start("act")
		l.after(time.Second)
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		l.after(time.Second)
		other := l.start("act")
		l.send(id, "and more")
		l.after(time.Second)
		h.returns <- result{content: "acted"}
		<-stopped
		l.kinds(other, "started", "messaged")
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "began", "messaged", "returned")
		if len(h.calls) != 1 {
			l.Errorf("%d calls", len(h.calls))
		}
	})
}

// A worker that ends while the planner thinks lets it finish, and the next one
// goes on with its move.
func TestShutDownWhilePlanning(t *testing.T) {
	inLab(t, func(l *lab) {
		desk := service(l.speaking("one two three"))
		stop := l.shutDown(nil, desk)
		id := l.start("count")
		l.after(time.Second)
		stop()
		l.kinds(id, "started", "messaged", "turnbegan", "moved")
		stop = l.shutDown(&orchestrator.Options{Grace: -1}, desk)
		id = l.start("count")
		l.after(time.Second)
		stop()
		l.kinds(id, "started", "messaged", "turnbegan")
		l.work(nil, desk)
		l.rests(id, agent.StatusIdle)
		if n := count[*run.PlanFailed](l.log(id)); n != 0 {
			l.Errorf("%d failures of the planner are in the log", n)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	inLab(t, func(l *lab) {
		ok := newHand().tool("act", agent.Once)
		plan := agent.PlannerFunc(nil)
		with := func(change func(*agent.Tool)) []*agent.Agent {
			tool := *ok
			change(&tool)
			return []*agent.Agent{{Name: "desk", Planner: plan, Tools: []*agent.Tool{&tool}}}
		}
		one, another := &agent.Agent{Name: "desk", Planner: plan}, &agent.Agent{Name: "desk", Planner: plan}
		for want, c := range map[string]struct {
			agents []*agent.Agent
			o      *orchestrator.Options
		}{
			"an agent is nil":                       {agents: []*agent.Agent{nil}},
			"an agent is named":                     {agents: []*agent.Agent{{Name: "my desk", Planner: plan}}},
			"agent desk has no planner":             {agents: []*agent.Agent{{Name: "desk"}}},
			"two agents named":                      {agents: []*agent.Agent{one, another}},
			`has OnMessage "later"`:                 {agents: []*agent.Agent{{Name: "desk", Planner: plan, OnMessage: "later"}}},
			`has Limits.OnReached "stop"`:           {agents: []*agent.Agent{{Name: "desk", Planner: plan, Limits: agent.Limits{OnReached: "stop"}}}},
			`the Operators of agent desk: "group:"`: {agents: []*agent.Agent{{Name: "desk", Planner: plan, Operators: []string{"group:"}}}},
			"agent desk: a tool is nil":             {agents: []*agent.Agent{{Name: "desk", Planner: plan, Tools: []*agent.Tool{nil}}}},
			"two tools named":                       {agents: []*agent.Agent{{Name: "desk", Planner: plan, Tools: []*agent.Tool{ok, ok}}}},
			"a tool is named":                       {agents: with(func(t *agent.Tool) { t.Name = "act now" })},
			"has no Call":                           {agents: with(func(t *agent.Tool) { t.Call = nil })},
			"has the effect":                        {agents: with(func(t *agent.Tool) { t.Effect = "twice" })},
			"the input schema of tool act":          {agents: with(func(t *agent.Tool) { t.Input = raw(`{"type":`) })},
			"the output schema of tool":             {agents: with(func(t *agent.Tool) { t.Output = raw(`{"type":"objekt"}`) })},
			"Options.Lease":                         {o: &orchestrator.Options{Lease: -1}},
			"Options.MaxRuns":                       {o: &orchestrator.Options{MaxRuns: -1}},
			"Options.MaxJobs":                       {o: &orchestrator.Options{MaxJobs: -1}},
		} {
			if _, err := orchestrator.New(l.store, c.agents, c.o); !mentions(err, want) {
				l.Errorf("got %v, want an error with %q", err, want)
			}
		}
		_, err := orchestrator.New(nil, nil, nil)
		if !mentions(err, "needs a store") {
			l.Errorf("without a store: %v", err)
		}
		if err := l.client.Work(l.Context()); !mentions(err, "needs agents") {
			l.Errorf("Work without agents: %v", err)
		}
	})
}

// A planner that thinks, or hangs, may go on for Grace, and does not keep Work
// from ending then.
func TestShutDownWhileAPlannerThinks(t *testing.T) {
	for name, c := range map[string]struct {
		o    orchestrator.Options
		deaf bool
		most time.Duration
	}{
		"for a minute": {orchestrator.Options{Grace: time.Minute}, false, time.Minute},
		"at once":      {orchestrator.Options{Grace: -1}, false, 0},
		"deaf":         {orchestrator.Options{}, true, 11 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				over := make(chan struct{})
				defer close(over)
				stop := l.shutDown(&c.o, &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(func(ctx ctx, _ *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
					stopped := ctx.Done()
					if c.deaf {
						stopped = nil
					}
					select {
					case <-over:
					case <-stopped:
					}
					return nil, ctx.Err()
				})})
				id := l.start("hello")
				l.after(time.Second)
				began := time.Now()
				stop()
				if took := time.Since(began); took != c.most {
					l.Errorf("Work took %s to end, want %s", took, c.most)
				}
				if e := l.entry(id); e.Worker != "" {
					l.Errorf("the claim is not given back: %+v", e)
				}
				l.kinds(id, "started", "messaged", "turnbegan")
			})
		})
	}
}
