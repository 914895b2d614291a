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
	{Name: "pay", Retry: agent.Retry{Attempts: 3}, Timeout: 15 * time.Second},
	{Name: "ship", Retry: agent.Retry{Attempts: 2}, Reconcile: lookItUp, Timeout: 40 * time.Second},
	{Name: "wire", Approve: agent.Always, Input: json.RawMessage(`{"type":"object"}`), Output: json.RawMessage(`{"type":"string"}`)},
	{Name: "book", Approve: agent.Always, Reconcile: lookItUp},
}

// desk is what admission knows of the simulated agents.
func (w *world) desk() *run.Desk {
	return &run.Desk{
		Tools:    shopTools,
		Validate: validate,
		NeedsApproval: func(t *agent.Tool, args json.RawMessage) *agent.Ask {
			ask, _ := t.Approve(context.Background(), agent.CallInfo{}, args)
			if ask != nil && w.dice != nil && w.dice.percent(50) {
				w.forWhom(ask)
				if ask.Within > 0 && w.dice.percent(30) {
					ask.Default = &agent.Answer{Choice: pick(w.dice, agent.Deny, agent.Approve)}
				}
			}
			return ask
		},
		Delegates: delegates, Handoffs: handoffs,
	}
}

// delegates are to whom the simulated agents may give tasks, and handoffs with whom
// their runs may go on.
var (
	delegates = []*agent.Agent{{Name: "billing"}, {Name: "lookup", Input: json.RawMessage(`{"type":"object"}`)}, {Name: "herald", Outlives: true}}
	handoffs  = []*agent.Agent{{Name: "desk"}, {Name: "returns"}, {Name: "clerk"}}
)

// move is what a planner answers: anything that one might.
func (w *world) move(sh *shelf, v *agent.View) *agent.Move {
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
	if sh.deep && v.Steps == 0 && w.faults {
		w.add(m, errand(d, v.Now))
		return m
	}
	if d.percent(15) {
		return m // the turn is over
	}
	if d.percent(5) {
		w.add(m, agent.Action{Kind: agent.ActHandoff, Name: pick(d, "desk", "returns", "clerk", "nobody"), Args: json.RawMessage(`{}`)})
		if d.percent(80) {
			return m // it stands alone
		}
	}
	for range d.weighted(0, 50, 25, 15, 10) {
		w.add(m, w.action(sh, v))
	}
	return m
}

// errand is a task for a delegate.
func errand(d *dice, now time.Time) agent.Action {
	return agent.Action{
		Kind: agent.ActDelegate, Name: pick(d, "billing", "billing", "lookup", "lookup", "herald", "nobody"),
		Args:   pick(d, json.RawMessage(`{"task":"find it"}`), json.RawMessage(`{"task":"find it","order":7}`)),
		Within: pick(d, 0, 0, 0, 0, 0, 0, time.Minute, time.Hour, 24*time.Hour),
		Due:    dueAt(d, now, 8),
	}
}

// dueAt is an absolute time, also a past one; one in n is not zero.
func dueAt(d *dice, now time.Time, n int) time.Time {
	if d.upTo(n) > 0 {
		return time.Time{}
	}
	return now.Add(pick(d, -time.Minute, 0, 40*time.Second, 1500*time.Nanosecond, time.Hour)).In(time.FixedZone("CET", 3600))
}

// givesTasks is how likely it is that the run gives a task: the less, the deeper it
// stands, and the more there are of its tree.
func (w *world) givesTasks(sh *shelf, v *agent.View) int {
	family := 0
	for _, x := range w.shelves {
		if x.root == sh.root && !x.truth.Ended {
			family++
		}
	}
	if family > 8 || !w.faults {
		return 0
	}
	return []int{14, 14, 10, 6, 2, 1, 1, 1, 1}[len(v.Path)]
}

// add adds an action to the move, most often as a call in its message.
func (w *world) add(m *agent.Move, a agent.Action) {
	if w.dice.percent(30) {
		a.Ref = fmt.Sprintf("node-%d", w.dice.upTo(9))
	}
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
		if len(a.Args) > 0 && a.Args[0] == '[' {
			c.Args = nil // what a model says are the arguments is an object
		}
		m.Message.Parts = append(m.Message.Parts, agent.Part{Call: c})
		if (a.Kind == agent.ActCall || a.Kind == agent.ActDelegate) && len(c.Args) > 0 && w.dice.percent(50) {
			a.Args = nil // as they stand in the message
		}
		if w.dice.percent(3) {
			return // the planner took no action for it
		}
	}
	m.Actions = append(m.Actions, a)
}

func (w *world) action(sh *shelf, v *agent.View) agent.Action {
	d := w.dice
	switch d.weighted(60, 12, 14, 5, 9, w.givesTasks(sh, v)) {
	case 0:
		return agent.Action{Kind: agent.ActCall, Name: pick(d, "look", "put", "pay", "pay", "ship", "ship", "wire", "book", "sing"),
			Args: pick(d, json.RawMessage(`{"order": 7}`), json.RawMessage(`{"note":"<b>&"}`), json.RawMessage(` {} `), json.RawMessage(`[1]`))}
	case 1:
		return agent.Action{Kind: agent.ActAsk, Ask: w.question()}
	case 2:
		a := agent.Action{Kind: agent.ActWait, Name: pick(d, "paid", "sent", "paid", "", agent.AnySignal), Within: pick(d, 0, 30*time.Second, time.Hour)}
		if a.Due = dueAt(d, v.Now, 4); a.Name == "" && a.Due.IsZero() {
			a.Within = 20 * time.Second
		} else {
			a.Key = pick(d, "", "k1", "k1", "k2")
		}
		return a
	case 3:
		return agent.Action{Kind: agent.ActEmit, Name: "progress", Args: json.RawMessage(`{"done":1}`)}
	case 5:
		return errand(d, v.Now)
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
	if d.percent(60) {
		w.forWhom(ask)
	}
	if d.percent(15) {
		ask.Kind, ask.Schema = agent.AskForm, json.RawMessage(`{"type":"object","properties":{"size":{"type":"string"}}}`)
		return ask
	}
	switch {
	case d.percent(25):
		ask.Kind, ask.Choices = agent.AskRepair, pick(d, []string{"a", agent.RetryIt, agent.Skip}, []string{"a", agent.RetryIt}, []string{"a", agent.Skip})
	case d.percent(50):
		ask.Kind, ask.Choices = agent.AskChoice, []string{"a", "b"}
	}
	if ask.Within > 0 && d.percent(40) {
		ask.Default = &agent.Answer{Value: json.RawMessage(`"a"`)}
		if len(ask.Choices) > 0 {
			ask.Default.Choice = "a"
		}
	}
	if d.percent(30) {
		ask.Schema = json.RawMessage(`{"type":"string"}`)
	}
	return ask
}

// forWhom says who is to answer an ask, and what follows if they do not.
func (w *world) forWhom(ask *agent.Ask) {
	d := w.dice
	people := func() []string {
		return pick(d, []string{"ann"}, []string{"group:finance"}, []string{"cid", "group:finance"}, []string{agent.TheUser}, []string{"zed"})
	}
	if d.percent(60) {
		ask.For = people()
	}
	ask.Not = pick(d, nil, nil, []string{agent.TheUser}, []string{"bob"}, []string{"group:support"})
	ask.Within = pick(d, 0, 30*time.Second, time.Minute, time.Hour)
	ask.Remind = pick(d, 0, 0, 0, 0, 20*time.Second, 5*time.Minute)
	if ask.Within == 0 {
		return
	}
	for range d.upTo(3) {
		ask.Escalate = append(ask.Escalate, agent.Escalation{For: people(), Within: pick(d, 20*time.Second, 10*time.Minute)})
	}
	if n := len(ask.Escalate); n > 0 && d.percent(20) {
		ask.Escalate[n-1].Within = 0
	}
}

// content is what a tool returns.
func (w *world) content() json.RawMessage {
	return pick(w.dice, json.RawMessage(`"fine"`), json.RawMessage(`{"id": 12, "text": "<ok>"}`), json.RawMessage(`null`), nil)
}
