package redis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// A hand is a tool whose calls wait until they are told to return.
type hand struct {
	begun  chan agent.CallInfo
	giving chan struct{} // closed when all return

	mu    sync.Mutex
	calls map[agent.RunID]int
}

func newHand() *hand {
	return &hand{begun: make(chan agent.CallInfo, 1000), giving: make(chan struct{}), calls: map[agent.RunID]int{}}
}

func (h *hand) call(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
	info := agent.CallFrom(ctx)
	h.mu.Lock()
	h.calls[info.Run]++
	h.mu.Unlock()
	h.begun <- info
	select {
	case <-h.giving:
		return json.RawMessage(`"done"`), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// made returns how many calls there were of a run.
func (h *hand) made(id agent.RunID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[id]
}

// desk makes an agent that calls the hand once, and then is done.
func desk(t testing.TB, name string, h *hand, effect agent.Effect) *agent.Agent {
	model := orchestratortest.Model(t, orchestratortest.Steps(scripted.Call("act", nil), scripted.Say("Done."))...)
	return &agent.Agent{Name: name, Planner: planner.Loop(model, "Help.", &planner.LoopOptions{NoAsk: true}),
		Tools: []*agent.Tool{{Name: "act", Effect: effect, Timeout: time.Minute, Call: h.call}}}
}

// start starts a run.
func start(t testing.TB, s memory.Store, name string) agent.RunID {
	t.Helper()
	o, err := orchestrator.New(s, nil, nil)
	must(t, err)
	id, err := o.Start(t.Context(), orchestrator.Request{Agent: name, Message: agent.Text("Please."), User: agent.User{ID: "u", Name: "Ann"}})
	must(t, err)
	return id
}

// entry returns how a run is listed.
func entry(t testing.TB, s memory.Store, id agent.RunID) memory.RunEntry {
	t.Helper()
	page, err := s.Runs(t.Context(), memory.RunQuery{Prefix: string(id)})
	must(t, err)
	if len(page.Runs) != 1 {
		t.Fatalf("listed are %d runs %s", len(page.Runs), id)
	}
	return page.Runs[0]
}

// becomes waits until a run has this status.
func becomes(t testing.TB, s memory.Store, id agent.RunID, want agent.Status) {
	t.Helper()
	until(t, fmt.Sprintf("run %s is %s", id, want), func() bool { return entry(t, s, id).Index.Status == want })
}

// TestServerStandsStill stops the server for three leases while two workers have
// calls under way. They live, so no run changes hands.
func TestServerStandsStill(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	client, c := open(t, srv.URL(), nil), admin(t, srv)
	opts := func(name string) *orchestrator.Options {
		return &orchestrator.Options{Lease: 1500 * time.Millisecond, Worker: name, MaxRuns: 4}
	}
	h := newHand()
	for _, name := range []string{"one", "two"} {
		orchestratortest.Work(t, open(t, srv.URL(), nil), opts(name), desk(t, "desk", h, agent.Idempotent))
	}
	var runs []agent.RunID
	for range 6 {
		runs = append(runs, start(t, client, "desk"))
	}
	for range runs {
		soon(t, h.begun, "a call")
	}
	before := map[agent.RunID]string{}
	for _, id := range runs {
		before[id] = entry(t, client, id).Worker
	}
	must(t, srv.Pause())
	pass(t, client, 3*1500*time.Millisecond)
	must(t, srv.Resume())
	waiting := start(t, client, "desk") // it is claimed when all is as it was
	for {
		if got := soon(t, h.begun, "the call of a run that came later"); got.Run == waiting {
			break
		} else {
			t.Errorf("the call of run %s was made again: it has changed hands", got.Run)
		}
	}
	pass(t, client, 2*1500*time.Millisecond)
	for id, worker := range before {
		e := entry(t, client, id)
		if e.Worker != worker {
			t.Errorf("run %s is driven by %q (late %v), and was by %q", id, e.Worker, e.Late, worker)
		}
		if strikes, err := c.HGet(t.Context(), redis.Key("run", id), "strikes").Result(); err != goredis.Nil && strikes != "0" {
			t.Errorf("run %s has %s strikes (%v)", id, strikes, err)
		}
	}
	close(h.giving)
	for _, id := range append(runs, waiting) {
		becomes(t, client, id, agent.StatusIdle)
		log := orchestratortest.ReadLog(t, client, id)
		if n := h.made(id); n != 1 {
			t.Errorf("run %s has made %d calls, want 1\n%s", id, n, log)
		}
	}
}

// TestLineIsCut cuts one of two workers off for longer than a lease: the other
// takes its runs, and the first begins nothing more for them.
func TestLineIsCut(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	proxy := redisserver.TestProxy(t, srv.Addr())
	client := open(t, srv.URL(), nil)
	cut, whole := newHand(), newHand()
	opts := &orchestrator.Options{Lease: time.Second}
	orchestratortest.Work(t, open(t, "redis://"+proxy.Addr(), nil), opts, desk(t, "desk", cut, agent.Idempotent))
	id := start(t, client, "desk")
	soon(t, cut.begun, "the call")
	proxy.Cut()
	orchestratortest.Work(t, open(t, srv.URL(), nil), opts, desk(t, "desk", whole, agent.Idempotent))
	soon(t, whole.begun, "the other worker's call")
	proxy.Heal()
	close(whole.giving)
	becomes(t, client, id, agent.StatusIdle)
	if n := cut.made(id) + whole.made(id); n != 2 {
		t.Errorf("%d calls were made, want one by each worker", n)
	}
	// And the first is of use again.
	again := start(t, client, "desk")
	close(cut.giving)
	becomes(t, client, again, agent.StatusIdle)
	orchestratortest.ReadLog(t, client, id)
}

// rewinder takes a server back to what it kept.
type rewinder struct {
	*goredis.Client
	kept map[string]string
}

func remember(t testing.TB, c *goredis.Client) *rewinder { return &rewinder{c, dump(t, c)} }

// back does so at once, as a restart from an older snapshot does.
func (r *rewinder) back(t testing.TB) {
	t.Helper()
	pipe := r.TxPipeline()
	pipe.FlushAll(t.Context())
	for key, value := range r.kept {
		pipe.Restore(t.Context(), key, 0, value)
	}
	_, err := pipe.Exec(t.Context())
	must(t, err)
}

// quarantined waits until a run is stuck because records were lost, and checks
// that its Once call was made no more than once.
func quarantined(t testing.TB, s memory.Store, h *hand, id agent.RunID) {
	t.Helper()
	until(t, "the run is stuck, or its call is made again", func() bool {
		return entry(t, s, id).Index.Status == agent.StatusStuck || h.made(id) > 1
	})
	log := orchestratortest.ReadLog(t, s, id)
	e := entry(t, s, id)
	if stuck := orchestratortest.Find[*run.Stuck](log); len(stuck) != 1 || !stuck[0].Quarantine || e.Index.Reason == "" {
		t.Errorf("the run is stuck with the reason %q, want a quarantine with a reason\n%s", e.Index.Reason, log)
	}
	if n := h.made(id); n != 1 {
		t.Errorf("the Once call was made %d times\n%s", n, log)
	}
}

// TestRewound takes the store back in time while a Once call goes on whose
// beginning is among what is lost.
func TestRewound(t *testing.T) {
	t.Parallel()
	t.Run("to when the run was claimed", func(t *testing.T) {
		t.Parallel()
		srv := redisserver.Test(t, nil)
		client, c := open(t, srv.URL(), nil), admin(t, srv)
		h, gate := newHand(), make(chan struct{})
		a := desk(t, "desk", h, agent.Once)
		asked := make(chan struct{}, 10)
		a.Planner = gated(a.Planner, asked, gate)
		orchestratortest.Work(t, open(t, srv.URL(), nil), nil, a)
		id := start(t, client, "desk")
		soon(t, asked, "the planner")
		past := remember(t, c)
		close(gate)
		soon(t, h.begun, "the call")
		past.back(t)
		close(h.giving)
		quarantined(t, client, h, id)
	})
	t.Run("to before the run was claimed", func(t *testing.T) {
		t.Parallel()
		srv := redisserver.Test(t, nil)
		client, c := open(t, srv.URL(), nil), admin(t, srv)
		id := start(t, client, "desk")
		past := remember(t, c)
		h := newHand()
		orchestratortest.Work(t, open(t, srv.URL(), nil), &orchestrator.Options{Lease: time.Second}, desk(t, "desk", h, agent.Once))
		soon(t, h.begun, "the call")
		past.back(t)
		quarantined(t, client, h, id)
		close(h.giving)
	})
	t.Run("to an earlier snapshot on disk", func(t *testing.T) {
		t.Parallel()
		srv := redisserver.Test(t, nil)
		client, c := open(t, srv.URL(), nil), admin(t, srv)
		id := start(t, client, "desk")
		must(t, c.Save(t.Context()).Err())
		h := newHand()
		orchestratortest.Work(t, open(t, srv.URL(), nil), &orchestrator.Options{Lease: time.Second}, desk(t, "desk", h, agent.Once))
		soon(t, h.begun, "the call")
		must(t, srv.Kill())
		must(t, srv.Restart())
		until(t, "the server has the run", func() bool { _, err := client.Read(t.Context(), id, memory.ReadOptions{}); return err == nil })
		quarantined(t, client, h, id)
		close(h.giving)
	})
}

// TestRewoundAfterTheCall takes the store back to before the end of a call: the
// worker writes nothing more, and the run is driven anew from what is there.
func TestRewoundAfterTheCall(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	client, c := open(t, srv.URL(), nil), admin(t, srv)
	h := newHand()
	orchestratortest.Work(t, open(t, srv.URL(), nil), &orchestrator.Options{Lease: time.Second}, desk(t, "desk", h, agent.Idempotent))
	id := start(t, client, "desk")
	soon(t, h.begun, "the call")
	past := remember(t, c)
	close(h.giving)
	becomes(t, client, id, agent.StatusIdle)
	past.back(t)
	becomes(t, client, id, agent.StatusIdle)
	orchestratortest.ReadLog(t, client, id)
}

// gated makes a planner that tells when it is asked, and answers when gate is closed.
func gated(p agent.Planner, asked chan<- struct{}, gate <-chan struct{}) agent.Planner {
	return agent.PlannerFunc(func(ctx context.Context, v *agent.View, emit func(agent.Delta)) (*agent.Move, error) {
		asked <- struct{}{}
		<-gate
		return p.Plan(ctx, v, emit)
	})
}

// TestRollingDeploy has workers with some of the agents each: a run waits for a
// worker that has its agent, and shows that it does.
func TestRollingDeploy(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	client := open(t, srv.URL(), nil)
	h := newHand()
	close(h.giving)
	opts := &orchestrator.Options{Lease: time.Second}
	orchestratortest.Work(t, open(t, srv.URL(), nil), opts, desk(t, "old", h, agent.Once))
	later := start(t, client, "new")
	for range 3 { // the worker goes on with what it has
		becomes(t, client, start(t, client, "old"), agent.StatusIdle)
	}
	pass(t, client, time.Second)
	e := entry(t, client, later)
	if e.Worker != "" || e.Late < time.Second || e.Index.Status == agent.StatusFailed || e.Index.Status == agent.StatusStuck {
		t.Errorf("a run whose agent nobody has is %+v", e)
	}
	stats, err := client.Stats(t.Context())
	must(t, err)
	if r := stats.Ready["new"]; len(stats.Ready) != 1 || r.Runs != 1 || r.Lag < time.Second {
		t.Errorf("ready are %+v, want one run of the agent that nobody has", stats.Ready)
	}
	if h.made(later) != 0 {
		t.Error("it was driven by a worker that does not have its agent")
	}
	orchestratortest.Work(t, open(t, srv.URL(), nil), opts, desk(t, "old", h, agent.Once), desk(t, "new", h, agent.Once))
	becomes(t, client, later, agent.StatusIdle)
	orchestratortest.ReadLog(t, client, later)
	if stats, err = client.Stats(t.Context()); err != nil || len(stats.Ready) != 0 {
		t.Errorf("ready are %+v (%v), want none", stats.Ready, err)
	}
}
