package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sourcegraph/conc"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Result is how a run stands when its turn is over.
type Result struct {
	Run    agent.RunID     `json:"run"`
	Status agent.Status    `json:"status"`           // idle or done when all went well; waiting when Asks are open
	Reason string          `json:"reason,omitempty"` // why it is stuck, failed, cancelled or was stopped
	Text   string          `json:"text,omitempty"`   // what the planner said last in this turn
	JSON   json.RawMessage `json:"json,omitempty"`   // the turn's structured result
	Asks   []*agent.Ask    `json:"asks,omitempty"`   // what people are asked now, by the run or by its delegates
	Usage  agent.Usage     `json:"usage,omitzero"`   // of the turn
	Seq    int64           `json:"seq"`              // of the last record: pass it to Watch as After
}

// Run starts a run, drives it and its delegates in this process, and returns how it
// stands at the end of its turn, which is also when it waits for a person. It goes on durably
// if ctx ends before: Start with the same Key, or Watch, finds it again.
func (o *Orchestrator) Run(ctx context.Context, r Request) (*Result, error) {
	id, err := o.Start(ctx, r)
	if err != nil {
		return nil, err
	}
	return o.Await(ctx, id)
}

// Await drives a run and its delegates in this process, as far as it has their
// agents and nobody else drives them, and returns how it stands at the end of its
// turn.
func (o *Orchestrator) Await(ctx context.Context, id agent.RunID) (*Result, error) {
	j, err := read(ctx, o.store, id, true, nil)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, o.known(id, err))
	}
	ctx, cancel := context.WithCancel(ctx)
	var work conc.WaitGroup
	defer work.Wait()
	defer cancel()
	if o.agents[j.state.Agent] != nil {
		work.Go(func() { _ = o.work(ctx, id) }) // it fails only without agents
	}
	for {
		var last *run.State
		g := newGrove(o, id, &WatchOptions{Until: TurnEnd})
		g.watch(ctx, func(ev Event, failed error) bool {
			err = failed
			if ev.Run == id {
				last = ev.State
			}
			return err == nil
		})
		if err != nil {
			return nil, err
		}
		goesOn, err := o.fetch(ctx, g)
		if err != nil {
			return nil, err
		}
		if goesOn {
			continue
		}
		res := ResultOf(last)
		res.Asks = g.asks(id)
		return res, nil
	}
}

// ResultOf returns how a run stands. Its Asks are those of the run alone.
func ResultOf(s *run.State) *Result {
	if s == nil {
		return nil
	}
	res := &Result{
		Run: s.Run, Status: s.Status(), Reason: s.Reason(), Asks: s.Asks(),
		JSON: s.Turn.Output, Usage: s.Turn.Usage, Seq: s.Seq,
	}
	messages := s.Messages()
	for i := len(messages) - 1; i >= 0 && res.Text == ""; i-- {
		if m := messages[i]; m.Role == agent.RoleAssistant {
			res.Text = m.Text()
		} else if m.Role == agent.RoleUser {
			break
		}
	}
	return res
}

// State returns a run's log, folded.
func (o *Orchestrator) State(ctx context.Context, id agent.RunID) (*run.State, error) {
	j, err := read(ctx, o.store, id, false, nil)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, o.known(id, err))
	}
	return j.state, nil
}

// Runs lists runs, the last changed first.
func (o *Orchestrator) Runs(ctx context.Context, q memory.RunQuery) (*memory.RunPage, error) {
	return o.store.Runs(ctx, q)
}

// Asks lists what people are asked, over all runs, the oldest first. Next is
// that of the page after, if there is one.
func (o *Orchestrator) Asks(ctx context.Context, q memory.AskQuery) (asks []*agent.Ask, next string, err error) {
	page, err := o.store.Asks(ctx, q)
	if err != nil {
		return nil, "", err
	}
	for _, e := range page.Asks {
		a := new(agent.Ask)
		if err := json.Unmarshal(e.Data, a); err != nil {
			return nil, "", fmt.Errorf("ask %s is damaged in the store: %w", e.ID, err)
		}
		asks = append(asks, a)
	}
	return asks, page.Next, nil
}
