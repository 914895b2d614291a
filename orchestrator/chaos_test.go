package orchestrator_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

var (
	chaosSeed  = flag.Uint64("chaos.seed", 0, "play only the chaos of this seed")
	chaosSeeds = flag.Uint64("chaos.seeds", 12, "how many seeds of chaos to play")
)

// Random faults of the store, deaths of workers, tools that fail in every way
// and people who write, cancel and retry at random, all in virtual time. Then
// the chaos ends, a person answers what is asked, truly, and all must be well.
func TestChaos(t *testing.T) {
	first, last := uint64(1), *chaosSeeds
	if *chaosSeed > 0 {
		first, last = *chaosSeed, *chaosSeed
	}
	total := &chaosCounts{}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("chaos.seed=%d", seed), func(t *testing.T) {
			inLab(t, func(l *lab) { newChaos(l, seed).play(total) })
		})
	}
	t.Logf("%+v", *total)
	if *chaosSeed == 0 && (total.Unknown == 0 || total.Deaths == 0 || total.Faults == 0) {
		t.Error("the chaos was too tame to prove anything")
	}
}

// chaosCounts is what has happened over all seeds.
type chaosCounts struct{ Runs, Events, Deaths, Faults, Calls, Unknown, Stuck int }

type chaos struct {
	*lab
	mu    sync.Mutex
	dice  *rand.Rand
	desk  *agent.Agent
	hands []*memorytest.Store // of the workers that live
	doors []*memorytest.FaultyStore

	runs  []agent.RunID
	seen  map[agent.RunID]int64 // how many records a watcher has seen, without gaps and repeats
	sent  map[agent.RunID]int
	sure  bool                    // the chaos is over
	begun map[string]map[int]int  // Once calls, by key and attempt: how often they were made
	acted map[string]map[int]bool // and whether they acted
	calls int
}

func newChaos(l *lab, seed uint64) *chaos {
	c := &chaos{lab: l, dice: rand.New(rand.NewPCG(seed, 1)), sent: map[agent.RunID]int{}, seen: map[agent.RunID]int64{},
		begun: map[string]map[int]int{}, acted: map[string]map[int]bool{}}
	c.desk = service(c.model(), c.tool("once", agent.Once), c.tool("sure", agent.Once), c.tool("idem", agent.Idempotent), c.tool("look", agent.ReadOnly))
	c.desk.Tools[0].Approve = func(ctx, agent.CallInfo, raw) (*agent.Ask, error) {
		if c.roll(4) == 0 {
			return &agent.Ask{Prompt: "the dice say so"}, nil
		}
		return nil, nil
	}
	c.desk.Tools[1].Reconcile = c.reconcile
	c.desk.OnMessage = []agent.OnMessage{agent.Queue, agent.Interrupt, agent.Reject}[c.dice.IntN(3)]
	return c
}

// roll throws a die of n sides.
func (c *chaos) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dice.IntN(n)
}

// model calls tools at random, up to six times in a conversation.
func (c *chaos) model() agent.Model {
	return scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		if err := orchestratortest.CheckRequest(req); err != nil {
			c.Errorf("run %s: %v", req.Run, err)
		}
		time.Sleep(time.Duration(c.roll(2000)) * time.Millisecond)
		rounds := 0
		for _, m := range req.Messages {
			if m.Role == agent.RoleAssistant && len(m.Calls()) > 0 {
				rounds++
			}
		}
		switch {
		case c.over():
		case c.roll(20) == 0:
			return nil, errors.New("out of order")
		case c.roll(8) == 0:
			return nil, agent.Transient(errors.New("busy"), 0)
		}
		m := agent.Message{}
		for i := 0; rounds < 6 && i < 1+c.roll(4); i++ {
			call := &agent.Call{ID: fmt.Sprintf("c%d_%d", rounds, i), Name: []string{"once", "sure", "idem", "look"}[c.roll(4)]}
			m.Parts = append(m.Parts, agent.Part{Call: call})
		}
		if len(m.Parts) == 0 || c.roll(5) == 0 {
			m = *agent.Said("Done.")
		}
		return &agent.ModelReply{Message: m}, nil
	})
}

func (c *chaos) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sure
}

// tool makes a tool that takes its time, fails in every way, and may have acted
// then.
func (c *chaos) tool(name string, effect agent.Effect) *agent.Tool {
	t := &agent.Tool{Name: name, Effect: effect, Timeout: 20 * time.Second, Retry: agent.Retry{Attempts: 3}}
	t.Call = func(ctx context.Context, _ raw) (raw, error) {
		info := agent.CallFrom(ctx)
		c.note(func() {
			c.calls++
			if effect == agent.Once {
				c.beginning(info)[info.Attempt]++
			}
		})
		if err := c.linger(ctx); err != nil {
			return nil, err
		}
		fate := c.roll(10)
		if fate == 0 {
			return nil, agent.NotDone(errors.New("turned down"))
		}
		if fate != 1 {
			c.note(func() { c.actedOn(info)[info.Attempt] = true })
		}
		if err := c.linger(ctx); err != nil {
			return nil, err
		}
		switch fate {
		case 1, 2:
			return nil, errors.New("connection reset")
		case 3:
			panic("oops")
		}
		return agent.JSONText(name), nil
	}
	return t
}

func (c *chaos) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *chaos) actedOn(info agent.CallInfo) map[int]bool {
	if c.acted[info.Key] == nil {
		c.acted[info.Key] = map[int]bool{}
	}
	return c.acted[info.Key]
}

func (c *chaos) beginning(info agent.CallInfo) map[int]int {
	if c.begun[info.Key] == nil {
		c.begun[info.Key] = map[int]int{}
	}
	return c.begun[info.Key]
}

// linger takes up to eight seconds, or rarely more than the time-out.
func (c *chaos) linger(ctx context.Context) error {
	d := time.Duration(c.roll(8000)) * time.Millisecond
	if c.roll(30) == 0 {
		d = time.Minute
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *chaos) reconcile(ctx context.Context, _ raw) (raw, error) {
	info := agent.CallFrom(ctx)
	if !c.over() && c.roll(3) == 0 {
		return nil, errors.New("down")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acted[info.Key][info.Attempt] {
		return agent.JSONText("found"), nil
	}
	return nil, agent.NotDone(errors.New("not found"))
}

// play is the chaos, and its end.
func (c *chaos) play(total *chaosCounts) {
	for range 3 {
		c.hire()
	}
	for range 120 {
		time.Sleep(time.Duration(c.roll(3000)) * time.Millisecond)
		c.stir(total)
	}
	c.note(func() { c.sure = true })
	for _, d := range c.doors {
		d.Plan(nil)
		d.Outage(nil)
	}
	for round := 0; c.settle(total); round++ {
		if round > 300 {
			c.Fatalf("there is no end: %+v\n%s", c.restless(), c.log(c.restless()[0].Run))
		}
	}
	c.judge(total)
}

// watch watches a run for as long as the test lasts.
func (c *chaos) watch(id agent.RunID) {
	for ev, err := range c.client.Watch(c.Context(), id, nil) {
		if err != nil {
			return
		}
		if ev.Record != nil {
			c.note(func() {
				if c.seen[id]++; c.seen[id] != ev.Record.Seq {
					c.Errorf("record %d of run %s comes as number %d", ev.Record.Seq, id, c.seen[id])
				}
			})
		}
	}
}

// hire has one more worker come up.
func (c *chaos) hire() {
	hand := c.store.Another()
	door := memorytest.Faulty(hand, func(int, *memory.Commit) memorytest.Fault {
		return memorytest.Fault{At: []memorytest.Moment{memorytest.Before, memorytest.After, 0, 0, 0, 0, 0, 0, 0, 0}[c.roll(10)]}
	})
	orchestratortest.Work(c.T, door, &orchestrator.Options{MaxJobs: 5, MaxRuns: 4}, c.desk)
	c.hands, c.doors = append(c.hands, hand), append(c.doors, door)
}

// stir does one thing.
func (c *chaos) stir(total *chaosCounts) {
	if c.roll(4) == 0 || len(c.runs) == 0 {
		id := c.start("go")
		c.runs = append(c.runs, id)
		go c.watch(id)
	}
	id := c.runs[c.roll(len(c.runs))]
	in := &orchestrator.Input{Key: fmt.Sprint("k", c.roll(1<<30))}
	switch c.roll(12) {
	case 0, 1, 2:
		if c.client.Send(c.Context(), id, agent.Text("more"), in) == nil {
			c.sent[id]++
		}
	case 3:
		if c.roll(3) == 0 {
			_ = c.client.Cancel(c.Context(), id, "enough", in)
		}
	case 4:
		_ = c.client.Retry(c.Context(), id, "", in)
	case 5, 6:
		total.Deaths++
		i := c.roll(len(c.hands))
		c.hands[i].Kill()
		total.Faults += c.doors[i].Counts().Failed + c.doors[i].Counts().Lost
		c.hands = append(c.hands[:i], c.hands[i+1:]...)
		c.doors = append(c.doors[:i], c.doors[i+1:]...)
		c.hire()
	case 7:
		c.doors[c.roll(len(c.doors))].Outage(errors.New("no route"))
	case 8, 9:
		c.doors[c.roll(len(c.doors))].Outage(nil)
	default:
		c.answerOne(total)
	}
}

// answerOne answers one open ask at random, truly.
func (c *chaos) answerOne(total *chaosCounts) {
	asks, _, err := c.client.Asks(c.Context(), memory.AskQuery{})
	c.must(err)
	if len(asks) > 0 {
		c.reply(asks[c.roll(len(asks))], total)
	}
}

func (c *chaos) reply(ask *agent.Ask, total *chaosCounts) {
	choice := ask.Choices[c.roll(len(ask.Choices))]
	answer := agent.Answer{}
	switch {
	case ask.Kind == agent.AskOutcome:
		total.Unknown++
		choice = c.truth(ask)
	case choice == agent.Edit || choice == agent.Instead:
		answer.Value = raw(`{"edited":true}`)
	}
	answer.Choice = choice
	err := c.client.Answer(c.Context(), ask.ID, answer)
	if err != nil && !refused(err, agent.RefusedConflict) {
		c.Errorf("answer %+v with %+v: %v", ask, answer, err)
	}
}

// truth is what really became of a call.
func (c *chaos) truth(ask *agent.Ask) string {
	s, err := c.client.State(c.Context(), ask.ID.Run())
	c.must(err)
	open := s.Action(ask.Action)
	if open == nil {
		return agent.GiveUp
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acted[fmt.Sprintf("%s.%s", s.Run, open.ID)][open.Attempt] {
		return agent.Happened
	}
	if open.Stopped == "" && c.dice.IntN(2) == 0 {
		return agent.Rerun
	}
	return agent.NotHappened
}

// settle answers all that is asked and retries what is stuck. It reports
// whether there is anything left to wait for.
func (c *chaos) settle(total *chaosCounts) bool {
	c.after(10 * time.Second)
	for _, r := range c.restless() {
		s, err := c.client.State(c.Context(), r.Run)
		c.must(err)
		for _, ask := range s.Asks() {
			c.reply(ask, total)
		}
		if s.Status() == agent.StatusStuck {
			total.Stuck++
			_ = c.client.Retry(c.Context(), r.Run, "", nil)
		}
	}
	return len(c.restless()) > 0
}

// restless returns the runs that are neither idle nor over.
func (c *chaos) restless() []memory.RunEntry {
	page, err := c.client.Runs(c.Context(), memory.RunQuery{Limit: 1000, Statuses: []agent.Status{
		agent.StatusPlanning, agent.StatusActing, agent.StatusWaiting, agent.StatusStuck}})
	c.must(err)
	return page.Runs
}

// judge checks that no event was lost, and no Once call made twice.
func (c *chaos) judge(total *chaosCounts) {
	total.Runs += len(c.runs)
	total.Calls += c.calls
	begun := map[string]bool{}
	for _, id := range c.runs {
		log := c.log(id)
		total.Events += len(log.Records)
		c.note(func() {
			if c.seen[id] != log.State.Seq {
				c.Errorf("a watcher has seen %d of the %d records of run %s", c.seen[id], log.State.Seq, id)
			}
		})
		if got := count[*run.Messaged](log); got != c.sent[id]+1 {
			c.Errorf("%d messages to run %s were accepted, and the log has %d\n%s", c.sent[id]+1, id, got, log)
		}
		for _, b := range orchestratortest.Find[*run.Began](log) {
			begun[fmt.Sprintf("%s.%s/%d", id, b.Action, b.Attempt)] = true
		}
	}
	for key, attempts := range c.begun {
		for n, times := range attempts {
			if times > 1 || !begun[fmt.Sprintf("%s/%d", key, n)] {
				c.Errorf("attempt %d of the Once call %s was made %d times; its beginning is in the log: %v", n, key, times, begun[fmt.Sprintf("%s/%d", key, n)])
			}
		}
		if len(c.acted[key]) > 1 {
			c.Errorf("the Once call %s has acted in %d attempts", key, len(c.acted[key]))
		}
	}
}
