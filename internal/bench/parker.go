package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/tools"
)

const parkerName = "parker"

// What is said in a run before it waits: about 3 KB.
var (
	parkedRequest = strings.Repeat("q", 1024)
	parkedWords   = strings.Repeat("w", 1800)
	parkedBytes   = len(parkedRequest) + len(parkedWords) + len(theArgs)
)

// A parker plans runs that call one tool, which needs approval, and then end. It
// notes when it is called after the answer.
type parker struct {
	task task
	tell func(agent.RunID, time.Time) // may be nil

	mu sync.Mutex
	at map[agent.RunID]time.Time
}

func newParker(tell func(agent.RunID, time.Time)) *parker {
	return &parker{tell: tell, at: map[agent.RunID]time.Time{}}
}

func (p *parker) agent() *agent.Agent {
	tool := tools.Func(toolName, toolDescription, p.task.act, &tools.Options{Approve: agent.Always})
	return &agent.Agent{Name: parkerName, Planner: agent.PlannerFunc(p.plan), Tools: []*agent.Tool{tool}}
}

// plan asks for the call, and ends the turn when it is called again.
func (p *parker) plan(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
	now := time.Now()
	if v.Steps == 0 {
		call := &agent.Call{ID: "call_1", Name: toolName, Args: theArgs}
		return &agent.Move{
			Message: &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Text: parkedWords}, {Call: call}}},
			Actions: []agent.Action{{Kind: agent.ActCall, Name: toolName, CallID: call.ID}},
		}, nil
	}
	p.mu.Lock()
	if _, ok := p.at[v.Run]; !ok { // the first attempt counts
		p.at[v.Run] = now
	}
	p.mu.Unlock()
	if p.tell != nil {
		p.tell(v.Run, now)
	}
	return &agent.Move{Message: agent.Said(farewell)}, nil
}

// planned returns when the planner was called after the answer.
func (p *parker) planned(run agent.RunID) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.at[run]
	return at, ok
}

// The answerer is the process in which a person answers.
type (
	answererSpec struct {
		Store   string `json:"store"`
		Answers int    `json:"answers"`
	}
	givenAnswer struct {
		Run    agent.RunID `json:"run"`
		Choice string      `json:"choice"`
		At     time.Time   `json:"at"` // just before Answer was called
	}
)

// answererRole answers asks one by one, with a pause of a few milliseconds after
// each, as people do not answer at the same instant. Half of them it denies.
func answererRole(ctx context.Context, spec []byte, _ io.Reader, stdout io.Writer) error {
	var s answererSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return err
	}
	store, err := openStore(ctx, s.Store)
	if err != nil {
		return err
	}
	defer store.Close()
	o, err := orchestrator.New(store, nil, nil)
	if err != nil {
		return err
	}
	asks, _, err := o.Asks(ctx, memory.AskQuery{Limit: s.Answers})
	if err != nil {
		return err
	}
	if len(asks) != s.Answers {
		return fmt.Errorf("%d asks are listed, and %d are to be answered", len(asks), s.Answers)
	}
	for i, a := range asks {
		g := givenAnswer{Run: a.ID.Run(), Choice: []string{agent.Deny, agent.Approve}[i%2], At: time.Now()}
		if err := o.Answer(ctx, a.ID, agent.Answer{Choice: g.Choice}); err != nil {
			return err
		}
		if err := printLine(stdout, g); err != nil {
			return err
		}
		if err := sleep(ctx, 5*time.Millisecond+rand.N(10*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

// The resumer is a worker that starts afresh.
type (
	resumerSpec struct {
		Store string `json:"store"`
	}
	resumed struct {
		Run     agent.RunID `json:"run"`
		Working time.Time   `json:"working"` // just before Work was called
		Planned time.Time   `json:"planned"` // when the planner was
	}
)

// resumerRole works until stdin ends, and tells of the first run that it plans
// for.
func resumerRole(ctx context.Context, spec []byte, stdin io.Reader, stdout io.Writer) error {
	var s resumerSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return err
	}
	store, err := openStore(ctx, s.Store)
	if err != nil {
		return err
	}
	defer store.Close()
	var working time.Time
	var once sync.Once
	p := newParker(func(run agent.RunID, at time.Time) {
		once.Do(func() { _ = printLine(stdout, resumed{run, working, at}) }) // who cannot hear it sees that the process ends
	})
	o, err := orchestrator.New(store, []*agent.Agent{p.agent()}, nil)
	if err != nil {
		return err
	}
	ctx = untilEOF(ctx, stdin)
	working = time.Now()
	return o.Work(ctx)
}
