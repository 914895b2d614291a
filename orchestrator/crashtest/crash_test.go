package crashtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
)

const (
	allRuns    = 500
	runsAtOnce = 5 // started between two kills
	workers    = 3
)

func TestCrash(t *testing.T) {
	c := newCrash(t)
	began := time.Now()
	for range workers {
		c.startWorker()
	}
	for len(c.runs) < allRuns || c.unfinished() > 0 {
		if time.Since(began) > 5*time.Minute {
			t.Fatalf("after %d kills %d of %d runs are unfinished: %s", c.kills, c.unfinished(), len(c.runs), c.list())
		}
		for range min(runsAtOnce, allRuns-len(c.runs)) {
			c.startRun()
		}
		c.write()
		// The schedule: what happens when, the dice say.
		time.Sleep(100*time.Millisecond + time.Duration(c.dice.Int64N(int64(200*time.Millisecond))))
		c.kill()
		c.answer()
	}
	c.stopWorkers()
	c.check()
	t.Logf("in %s: %s", time.Since(began).Round(time.Second), c.counts())
	if c.kills < 80 || c.takeovers == 0 || c.outcomes == 0 || c.reconciled == 0 {
		t.Error("the kills have hit too little to prove anything")
	}
}

// A crash is the test as it goes on.
type crash struct {
	*testing.T
	ctx     context.Context
	dice    *rand.Rand
	path    string
	url     string
	service *service
	store   *sqlite.Store
	o       *orchestrator.Orchestrator // starts, writes, answers
	procs   []*process

	runs     []agent.RunID
	messages map[agent.RunID][]string // acknowledged, by key
	answers  map[agent.AskID]string   // acknowledged

	kills, outcomes, quarantines int
	takeovers, reconciled, begun int
}

// process is a worker.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func newCrash(t *testing.T) *crash {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("FERMATA_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("FERMATA_SEED is not a number: %v", err)
		}
	}
	t.Logf("FERMATA_SEED=%d", seed)
	c := &crash{
		T: t, ctx: context.WithoutCancel(t.Context()), dice: rand.New(rand.NewPCG(seed, 0)), service: newService(),
		path: filepath.Join(t.TempDir(), "runs.db"), messages: map[agent.RunID][]string{}, answers: map[agent.AskID]string{},
	}
	server := httptest.NewServer(c.service)
	t.Cleanup(server.Close)
	c.url = server.URL
	store, err := sqlite.Open(c.path, nil)
	c.must(err)
	t.Cleanup(func() { c.must(store.Close()) })
	c.store = store
	c.o, err = orchestrator.New(store, nil, nil)
	c.must(err)
	t.Cleanup(c.stopWorkers)
	return c
}

func (c *crash) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *crash) startWorker() {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), storeVar+"="+c.path, serviceVar+"="+c.url)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	c.must(err)
	c.must(cmd.Start())
	c.procs = append(c.procs, &process{cmd, stdin})
}

// kill kills one worker, and starts another.
func (c *crash) kill() {
	i := c.dice.IntN(len(c.procs))
	c.end(c.procs[i])
	c.kills++
	c.service.killed()
	c.procs = append(c.procs[:i], c.procs[i+1:]...)
	c.startWorker()
}

// end kills a worker, which must have lived until then.
func (c *crash) end(p *process) {
	c.must(p.cmd.Process.Kill())
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		c.Errorf("a worker ended by itself: %v", err)
	}
	p.stdin.Close()
}

func (c *crash) stopWorkers() {
	for _, p := range c.procs {
		c.end(p)
	}
	c.procs = nil
}

// startRun starts a run, and some twice with the same key.
func (c *crash) startRun() {
	name := []string{"plain", "plain", "careful"}[c.dice.IntN(3)]
	r := orchestrator.Request{Agent: name, Message: agent.Text("Act."), Key: fmt.Sprint("run ", len(c.runs))}
	id, err := c.o.Start(c.ctx, r)
	c.must(err)
	if c.dice.IntN(4) == 0 {
		again, err := c.o.Start(c.ctx, r)
		if err != nil || again != id {
			c.Fatalf("the same request again gave %s, %v, and not %s", again, err, id)
		}
	}
	c.runs = append(c.runs, id)
}

// write sends a message to one of the last runs, whatever it is doing.
func (c *crash) write() {
	id := c.runs[max(0, len(c.runs)-1-c.dice.IntN(20))]
	key := fmt.Sprint("message ", c.kills)
	c.must(c.o.Send(c.ctx, id, agent.Text("And go on."), &orchestrator.Input{Key: key}))
	c.messages[id] = append(c.messages[id], key)
}

// answer answers what is asked, and lets runs out of quarantine.
func (c *crash) answer() {
	asks, _, err := c.o.Asks(c.ctx, memory.AskQuery{Limit: allRuns})
	c.must(err)
	for _, ask := range asks {
		choice := agent.Approve
		if ask.Kind == agent.AskOutcome {
			if choice = c.outcome(ask); choice == "" {
				continue // later
			}
			c.outcomes++
		}
		err := c.o.Answer(c.ctx, ask.ID, agent.Answer{Choice: choice})
		var refusal *agent.Refusal
		if errors.As(err, &refusal) && refusal.Kind == agent.RefusedConflict {
			continue // a late truth has withdrawn it
		}
		c.must(err)
		c.answers[ask.ID] = choice
	}
	page, err := c.o.Runs(c.ctx, memory.RunQuery{Statuses: []agent.Status{agent.StatusStuck}, Limit: allRuns})
	c.must(err)
	for _, r := range page.Runs {
		if err := c.o.Retry(c.ctx, r.Run, "the kills are the test's", nil); err == nil {
			c.quarantines++
		}
	}
}

// outcome looks up what became of a begun call, as a person does.
func (c *crash) outcome(ask *agent.Ask) string {
	s, err := c.o.State(c.ctx, ask.ID.Run())
	c.must(err)
	open := s.Action(ask.Action)
	if open == nil {
		return ""
	}
	acted, going := c.service.fate(requestOf(s.Run, open.Action.Name, open.ID, open.Attempt))
	switch {
	case acted:
		return agent.Happened
	case going:
		return ""
	}
	return []string{agent.Rerun, agent.Rerun, agent.NotHappened}[c.dice.IntN(3)]
}

func requestOf(id agent.RunID, tool string, action agent.ActionID, attempt int) request {
	return request{Tool: tool, Key: fmt.Sprintf("%s.%s", id, action), Attempt: attempt}
}

// unfinished counts the runs that are not idle.
func (c *crash) unfinished() int { return len(c.restless()) }

func (c *crash) restless() []memory.RunEntry {
	page, err := c.o.Runs(c.ctx, memory.RunQuery{Limit: allRuns, Statuses: []agent.Status{
		agent.StatusPlanning, agent.StatusActing, agent.StatusWaiting, agent.StatusStuck, agent.StatusFailed, agent.StatusCancelled}})
	c.must(err)
	return page.Runs
}

func (c *crash) list() (text string) {
	for _, r := range c.restless() {
		text += fmt.Sprintf("\n%s %s %s, late %s, worker %q", r.Run, r.Index.Status, r.Index.Reason, r.Late, r.Worker)
	}
	return text
}

func (c *crash) counts() string {
	effects := map[string]int{}
	for q, n := range c.service.all() {
		effects[q.Tool] += n
	}
	return fmt.Sprintf("%d runs, %d kills, %d take-overs, %d runs let out of quarantine; calls that were made: %d Once, %d Once with Reconcile, %d Idempotent, %d ReadOnly; "+
		"of %d begun %d unknown outcomes were answered by a person and %d looked up; %d messages and %d answers",
		len(c.runs), c.kills, c.takeovers, c.quarantines, effects["once"], effects["sure"], effects["idem"], effects["look"],
		c.begun, c.outcomes, c.reconciled, c.kills, len(c.answers))
}
