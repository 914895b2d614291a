package orchestrator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// A lab is a store in a bubble of virtual time, and a process that drives
// nothing, through which a test acts.
type lab struct {
	*testing.T
	store  *memorytest.Store
	client *orchestrator.Orchestrator

	disorder bool // what is kept is not in order at the end
}

// inLab runs a test in a lab.
func inLab(t *testing.T, f func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memorytest.NewStore(nil)
		client, err := orchestrator.New(store, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		// Virtual time that passes without end would hang the test.
		defer time.AfterFunc(40*24*time.Hour, func() { panic(t.Name() + " waits for what never comes") }).Stop()
		l := &lab{T: t, store: store, client: client}
		defer l.inOrder()
		f(l)
	})
}

// inOrder checks, at the end of each test, that what stands beside the logs is
// what they say.
func (l *lab) inOrder() {
	l.Helper()
	if l.disorder {
		return
	}
	for p, err := range l.client.Check(l.Context(), false) {
		l.must(err)
		l.Errorf("run %s: %s", p.Run, p.What)
	}
}

// work begins a worker, which is a process of its own and lives as long as the test.
func (l *lab) work(opts *orchestrator.Options, agents ...*agent.Agent) *memorytest.Store {
	l.Helper()
	handle := l.store.Another()
	orchestratortest.Work(l.T, handle, opts, agents...)
	return handle
}

// until works until the returned function is called, which waits for the end.
func (l *lab) until(o *orchestrator.Orchestrator) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.Context()))
	var group sync.WaitGroup
	group.Go(func() { l.must(o.Work(ctx)) })
	stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	l.Cleanup(stop)
	return stop
}

// start starts a run of the agent "desk".
func (l *lab) start(text string) agent.RunID {
	l.Helper()
	r := orchestrator.Request{Agent: "desk", Message: agent.Text(text), User: agent.User{ID: "u1", Name: "Ann"}}
	id, err := l.client.Start(l.Context(), r)
	l.must(err)
	return id
}

// send starts a run, or sends to it.
func (l *lab) send(id agent.RunID, text string) {
	l.Helper()
	l.must(l.client.Send(l.Context(), id, agent.Text(text), nil))
}

// rest waits until the run rests and everybody has done what follows, and returns how it stands.
func (l *lab) rest(id agent.RunID) *orchestrator.Result {
	l.Helper()
	res, err := l.client.Await(l.Context(), id)
	l.must(err)
	synctest.Wait()
	return res
}

// rests is rest, and checks the status.
func (l *lab) rests(id agent.RunID, want agent.Status) *orchestrator.Result {
	l.Helper()
	res := l.rest(id)
	if res.Status != want {
		l.Fatalf("the run is %s (%s), want %s\n%s", res.Status, res.Reason, want, l.log(id))
	}
	return res
}

// asks waits until the run asks one thing of this kind, and returns it.
func (l *lab) asks(id agent.RunID, kind agent.AskKind) *agent.Ask {
	l.Helper()
	res := l.rests(id, agent.StatusWaiting)
	if len(res.Asks) != 1 || res.Asks[0].Kind != kind {
		l.Fatalf("want one ask of kind %s, got %+v\n%s", kind, res.Asks, l.log(id))
	}
	return res.Asks[0]
}

func (l *lab) answer(ask *agent.Ask, a agent.Answer) {
	l.Helper()
	l.must(l.client.Answer(l.Context(), ask.ID, a))
}

// log reads the run's log, which must be as every log must be.
func (l *lab) log(id agent.RunID) *orchestratortest.Log {
	l.Helper()
	return orchestratortest.ReadLog(l.T, l.store, id)
}

// state returns the run as its log says.
func (l *lab) state(id agent.RunID) *run.State {
	l.Helper()
	return l.log(id).State
}

// entry returns the run as the list shows it.
func (l *lab) entry(id agent.RunID) memory.RunEntry {
	l.Helper()
	page, err := l.client.Runs(l.Context(), memory.RunQuery{Prefix: string(id)})
	l.must(err)
	if len(page.Runs) != 1 {
		l.Fatalf("the list has %d runs %s", len(page.Runs), id)
	}
	return page.Runs[0]
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// refused checks that err is a refusal of this kind.
func (l *lab) refused(err error, kind agent.RefusalKind) {
	l.Helper()
	var r *agent.Refusal
	if !errors.As(err, &r) || r.Kind != kind {
		l.Errorf("got the error %v, want a refusal as %s", err, kind)
	}
}

// after lets virtual time pass, and then lets everybody come to rest.
func (l *lab) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// kinds checks the kinds of the run's events.
func (l *lab) kinds(id agent.RunID, want ...string) {
	l.Helper()
	log := l.log(id)
	got := log.Kinds()
	for i := 0; i < max(len(got), len(want)); i++ {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			l.Fatalf("the log has the kinds\n%q, want\n%q\n%s", got, want, log)
		}
	}
}

// count counts the events of one type.
func count[E run.Event](l *orchestratortest.Log) int { return len(orchestratortest.Find[E](l)) }

// A hand is a tool that a test guides.
type hand struct {
	calls   chan agent.CallInfo // each call, as it is made
	returns chan result         // what each gives; nil gives "done" at once
	deaf    bool                // it takes no notice of its context
	stopped atomic.Int32        // calls whose context ended before they were told to return
	check   func(agent.CallInfo)
}

type result struct {
	content string
	err     error
}

func newHand() *hand { return &hand{calls: make(chan agent.CallInfo, 1000)} }

// held makes a hand that returns when it is told to.
func held() *hand {
	h := newHand()
	h.returns = make(chan result)
	return h
}

func (h *hand) call(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
	info := agent.CallFrom(ctx)
	if h.check != nil {
		h.check(info)
	}
	h.calls <- info
	if h.returns == nil {
		return json.RawMessage(`"done"`), nil
	}
	over := ctx.Done()
	if h.deaf {
		over = nil
	}
	select {
	case r := <-h.returns:
		return agent.JSONText(r.content), r.err
	case <-over:
		h.stopped.Add(1)
		return nil, ctx.Err()
	}
}

// tool makes a tool of the hand.
func (h *hand) tool(name string, effect agent.Effect, change ...func(*agent.Tool)) *agent.Tool {
	t := &agent.Tool{Name: name, Effect: effect, Timeout: time.Minute, Call: h.call}
	for _, f := range change {
		f(t)
	}
	return t
}

// service makes the agent "desk" of a model and tools.
func service(m agent.Model, tools ...*agent.Tool) *agent.Agent {
	return &agent.Agent{Name: "desk", Planner: planner.Loop(m, "Help.", &planner.LoopOptions{NoAsk: true}), Tools: tools}
}

// says makes a model of plain replies, which checks that each request is well formed.
func (l *lab) says(replies ...scripted.Reply) agent.Model {
	return orchestratortest.Model(l.T, orchestratortest.Steps(replies...)...)
}

// plays makes a model of steps.
func (l *lab) plays(steps ...orchestratortest.Step) agent.Model {
	return orchestratortest.Model(l.T, steps...)
}

// step makes a step that expects results.
func step(reply scripted.Reply, results ...string) orchestratortest.Step {
	return orchestratortest.Step{Reply: reply, Results: results}
}

var (
	act  = scripted.Call("act", nil)
	done = scripted.Say("Done.")
)

func callWith(args any) scripted.Reply { return scripted.Call("act", args) }

// goroutines returns how many there are in this lab. Those of the program beside it
// – other tests, finalizers – come and go as they please, and do not count.
func (l *lab) goroutines() int {
	l.Helper()
	stacks := make([]byte, 1<<24)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if len(stacks) == cap(stacks) {
		l.Fatalf("the stacks of all goroutines have more than %d bytes: read them into more", len(stacks))
	}
	heads := regexp.MustCompile(`(?m)^goroutine \d+ \[.*(synctest bubble \d+)`).FindAllSubmatch(stacks, -1)
	if len(heads) == 0 { // the first is who asks
		l.Fatalf("no goroutine says that it is in a bubble: %.200q", stacks)
	}
	n := 0
	for _, head := range heads {
		if bytes.Equal(head[1], heads[0][1]) {
			n++
		}
	}
	return n
}
