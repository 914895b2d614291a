package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// shopTools are the tools of the simulated agents: each effect, with and without
// retries, a way to look a lost call up, and approval.
var shopTools = []*agent.Tool{
	{Name: "look", Effect: agent.ReadOnly, Timeout: 20 * time.Second},
	{Name: "put", Effect: agent.Idempotent, Retry: agent.Retry{Attempts: 3}},
	{Name: "pay", Timeout: 15 * time.Second},
	{Name: "ship", Retry: agent.Retry{Attempts: 2}, Reconcile: lookItUp, Timeout: 40 * time.Second},
	{Name: "wire", Approve: agent.Always, Input: json.RawMessage(`{"type":"object"}`), Output: json.RawMessage(`{"type":"string"}`)},
	{Name: "book", Approve: agent.Always, Reconcile: lookItUp},
}

// desk is what admission knows of the simulated agents.
func (w *world) desk() *run.Desk {
	return &run.Desk{
		Tools:    shopTools,
		Validate: validate,
		NeedsApproval: func(t *agent.Tool, args json.RawMessage) string {
			reason, _ := t.Approve(context.Background(), agent.CallInfo{}, args)
			return reason
		},
	}
}

// move is what a planner answers: anything that one might.
func (w *world) move(v *agent.View) *agent.Move {
	d := w.dice
	m := &agent.Move{Usage: agent.Usage{Input: d.upTo(40), Output: d.upTo(10)}, Model: "dice-1"}
	if d.percent(50) {
		m.Message = agent.Said(pick(d, "One moment.", "Done & <dusted>.", "Let me see…"))
	}
	if d.percent(25) {
		m.Again = agent.AtEachClosing
	}
	if d.percent(10) {
		m.Keys = map[string]json.RawMessage{pick(d, "a", "b", "c"): pick(d, json.RawMessage(`{"at": 1}`), json.RawMessage(`null`))}
	}
	if d.percent(5) {
		m.Output = json.RawMessage(`{"ok": true}`)
	}
	switch roll := d.upTo(1000); {
	case roll < 4:
		m.Finish = true
	case roll < 7:
		m.Fail = "it makes no sense to go on"
	case roll < 9 && w.faults:
		return nil
	}
	if d.percent(15) {
		return m // the turn is over
	}
	for range d.weighted(0, 50, 25, 15, 10) {
		w.addAction(m, v)
	}
	return m
}

// addAction adds an action to the move, most often as a call in its message.
func (w *world) addAction(m *agent.Move, v *agent.View) {
	a := w.action(v)
	if w.dice.percent(70) {
		w.calls++
		a.CallID = fmt.Sprintf("c%d", w.calls)
		if m.Message == nil {
			m.Message = &agent.Message{Role: agent.RoleAssistant}
		}
		c := &agent.Call{ID: a.CallID, Name: a.Name, Args: a.Args}
		if c.Name == "" {
			c.Name = string(a.Kind)
		}
		m.Message.Parts = append(m.Message.Parts, agent.Part{Call: c})
		if a.Kind == agent.ActCall && w.dice.percent(50) {
			a.Args = nil // as they stand in the message
		}
		if w.dice.percent(3) {
			return // the planner took no action for it
		}
	}
	m.Actions = append(m.Actions, a)
}

func (w *world) action(v *agent.View) agent.Action {
	d := w.dice
	switch d.weighted(60, 12, 14, 5, 9) {
	case 0:
		return agent.Action{Kind: agent.ActCall, Name: pick(d, "look", "put", "pay", "pay", "ship", "ship", "wire", "book", "sing"),
			Args: pick(d, json.RawMessage(`{"order": 7}`), json.RawMessage(`{"note":"<b>&"}`), json.RawMessage(` {} `), json.RawMessage(`[1]`))}
	case 1:
		return agent.Action{Kind: agent.ActAsk, Ask: w.question()}
	case 2:
		a := agent.Action{Kind: agent.ActWait, Name: pick(d, "paid", "sent", "paid", ""), Within: pick(d, 0, 30*time.Second, time.Hour)}
		if a.Name == "" {
			a.Within = 20 * time.Second
		}
		return a
	case 3:
		return agent.Action{Kind: agent.ActEmit, Name: "progress", Args: json.RawMessage(`{"done":1}`)}
	}
	target := agent.ActionID("r0.0")
	if len(v.Open) > 0 {
		target = pick(d, v.Open...).ID
	}
	return agent.Action{Kind: agent.ActCancel, Target: target}
}

func (w *world) question() *agent.Ask {
	d := w.dice
	ask := &agent.Ask{Kind: agent.AskQuestion, Prompt: "Which one?", Within: pick(d, 0, time.Minute, time.Hour)}
	if d.percent(50) {
		ask.Kind, ask.Choices = agent.AskChoice, []string{"a", "b"}
	}
	if ask.Within > 0 && d.percent(40) {
		ask.Default = &agent.Answer{Choice: "a", Value: json.RawMessage(`"a"`)}
	}
	if d.percent(30) {
		ask.Schema = json.RawMessage(`{"type":"string"}`)
	}
	return ask
}

// content is what a tool returns.
func (w *world) content() json.RawMessage {
	return pick(w.dice, json.RawMessage(`"fine"`), json.RawMessage(`{"id": 12, "text": "<ok>"}`), json.RawMessage(`null`), nil)
}
