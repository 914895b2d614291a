package run_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

var (
	ann = agent.User{ID: "ann", Name: "Ann"}
	bob = agent.User{ID: "bob", Groups: []string{"finance"}}
	cid = agent.User{ID: "cid", Groups: []string{"support", "sales"}}

	everybody = []agent.User{ann, bob, cid, {}}
)

// lookItUp stands for a tool's way to look a call up; the simulated workers ask
// the world instead.
func lookItUp(context.Context, json.RawMessage) (json.RawMessage, error) {
	return nil, errors.New("not asked in simulations")
}

// validate knows of JSON Schema only {"type":"object"} and {"type":"string"}.
func validate(schema, value json.RawMessage) error {
	var s struct{ Type string }
	if err := json.Unmarshal(schema, &s); err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	_, isObject := v.(map[string]any)
	_, isString := v.(string)
	if s.Type == "object" && !isObject || s.Type == "string" && !isString {
		return fmt.Errorf("expected %s", s.Type)
	}
	return nil
}

// input has somebody do something to a run from outside.
func (w *world) input() {
	sh := pick(w.dice, w.shelves...)
	if sh.truth.Mailbox != nil && w.dice.percent(80) {
		sh = pick(w.dice, w.roots...)
	}
	var e run.Event
	write, signal := 6, 2
	if sh.truth.Status() == agent.StatusIdle {
		write = 60
	}
	if slices.ContainsFunc(sh.truth.Open, func(o *run.Open) bool { return o.Phase == run.Awaiting }) {
		signal = 30
	}
	assign := 1
	if len(sh.truth.Asks()) > 0 {
		assign = 25
	}
	redefine := 1
	if sh.truth.Definition != "" {
		redefine = 5
	}
	switch w.dice.weighted(write, 50, signal, 1, 8, 1, assign, redefine) {
	case 0:
		e = w.message(sh)
	case 1:
		e = w.answer(sh)
	case 2:
		e = w.signal()
	case 3:
		e = &run.Cancelled{By: ann, Reason: "not needed any more", Key: w.key("x")}
	case 4:
		if sh.truth.Status() != agent.StatusStuck && w.dice.percent(80) {
			return
		}
		e = &run.Retried{By: pick(w.dice, bob, bob, ann, cid, agent.User{}), Note: pick(w.dice, "", "try again"), Key: w.key("t")}
	case 5:
		w.quarantine(sh)
		return
	case 6:
		e = w.assignment(sh)
	case 7:
		e = w.redefinition()
	}
	if e != nil {
		w.give(sh, e)
	}
}

// key is an idempotency key, or none; sometimes one that was used before.
func (w *world) key(kind string) string {
	if w.dice.percent(60) {
		return ""
	}
	return fmt.Sprint(pick(w.dice, kind, kind, kind, "k"), w.dice.upTo(40))
}

func (w *world) signal() run.Event {
	e := &run.Signaled{Name: pick(w.dice, "paid", "sent", "lost"), Data: pick(w.dice, json.RawMessage(`{"sum": 3}`), nil), By: bob, Key: w.key("s")}
	switch w.dice.upTo(20) {
	case 0:
		e.Name = pick(w.dice, "", agent.AnySignal)
	case 1:
		e.Data = json.RawMessage(`{`)
	}
	return e
}

// redefinition has a run go by another definition, with changes to its saved keys.
func (w *world) redefinition() run.Event {
	e := &run.Redefined{Definition: pick(w.dice, "another", "a third", "the one of desk", ""), By: bob, Key: w.key("d")}
	e.Keys = pick(w.dice, nil, map[string]json.RawMessage{"a": json.RawMessage(`{"at": 2}`), "b": json.RawMessage(`null`)}, map[string]json.RawMessage{"c": json.RawMessage(`{`)})
	return e
}

func (w *world) message(sh *shelf) run.Event {
	text := pick(w.dice, "Where is it?", "Stop & <think>!", "And another thing.")
	switch w.dice.upTo(40) {
	case 0:
		text = ""
	case 1:
		return &run.Messaged{Message: agent.Message{Parts: []agent.Part{{Result: &agent.Result{CallID: "c1"}}}}}
	}
	return &run.Messaged{Message: agent.Text(text), By: ann, Key: w.key("m")}
}

// answer answers an ask of the run: mostly an open one, well or badly.
func (w *world) answer(sh *shelf) run.Event {
	d := w.dice
	asks := sh.truth.Asks()
	if len(asks) == 0 && d.percent(90) {
		return nil // nobody is asked anything
	}
	if len(asks) == 0 || d.percent(8) {
		return w.staleAnswer(sh)
	}
	ask := pick(d, asks...)
	by := pick(d, everybody...)
	if may, ok := w.whoMay(sh, ask); ok && d.percent(60) {
		by = may
	}
	a := agent.Answer{By: by, Note: pick(d, "", "goodwill")}
	if len(ask.Choices) > 0 {
		a.Choice = pick(d, append([]string{"perhaps"}, append(ask.Choices, ask.Choices...)...)...)
	}
	a.Value = pick(d, nil, nil, json.RawMessage(`{"order": 8}`), json.RawMessage(`"yes"`), json.RawMessage(`{`))
	a.Digest = pick(d, "", "", ask.Digest, "0123")
	if ask.Kind == agent.AskOutcome && d.percent(80) {
		w.lookFor(sh, ask, &a)
	}
	return &run.Answered{Ask: ask.ID, Answer: a, Edited: a.Choice == agent.Edit}
}

// assignment claims an ask of the run, releases it, or has others answer it, with the
// right to do so or without.
func (w *world) assignment(sh *shelf) run.Event {
	d := w.dice
	e := &run.Assigned{Ask: agent.AskID(fmt.Sprintf("%s.r0.0", sh.id)), By: pick(d, everybody...)}
	if asks := sh.truth.Asks(); len(asks) > 0 {
		e.Ask = pick(d, asks...).ID
	}
	if d.percent(5) && len(sh.given) > 0 {
		e.Ask = pick(d, sh.given...).Ask
	}
	e.How = pick(d, run.Claim, run.Claim, run.Claim, run.Release, run.Release, run.Delegate, run.Delegate, "seize")
	if e.How == run.Delegate {
		e.To = pick(d, []string{"cid"}, []string{"group:finance", "ann"}, []string{agent.TheUser}, []string{"bob"}, nil, []string{"group:"}, []string{"group:sales"})
		e.Note = pick(d, "", "you know them")
	}
	return e
}

// whoMay returns somebody who may answer an ask now.
func (w *world) whoMay(sh *shelf, ask *agent.Ask) (by agent.User, ok bool) {
	p := &sh.ledger.asks[ask.ID].people
	for _, u := range []agent.User{bob, ann, cid} {
		if p.let(u) && (p.claimed == "" || p.claimed == u.ID) {
			return u, true
		}
	}
	return agent.User{}, false
}

// lookFor has the person look up what became of a call and answer honestly.
func (w *world) lookFor(sh *shelf, ask *agent.Ask, a *agent.Answer) {
	a.Value, a.Digest = nil, ask.Digest
	if w.faults && w.dice.percent(25) {
		a.Choice = agent.GiveUp
		return
	}
	if sh.happened(ask.Action) {
		a.Choice = agent.Happened
		return
	}
	a.Choice = agent.NotHappened
	for _, c := range ask.Choices {
		if c == agent.Rerun && w.dice.percent(60) {
			a.Choice = c
		}
	}
}

// staleAnswer answers an ask that is closed, or that never was.
func (w *world) staleAnswer(sh *shelf) run.Event {
	if len(sh.given) == 0 || w.dice.percent(30) {
		return &run.Answered{Ask: agent.AskID(fmt.Sprintf("%s.r%d.0", sh.id, w.dice.upTo(w.records+1))), Answer: agent.Answer{By: bob, Choice: agent.Approve, Value: json.RawMessage(`"x"`)}}
	}
	return pick(w.dice, sh.given...)
}

// give appends an input as the API does.
func (w *world) give(sh *shelf, e run.Event) {
	id := w.newRecordID()
	for done := false; !done; {
		done, _ = w.try(sh, id, e)
	}
}

// try appends an input once: what is overdue first, then judged. It is done if it
// is known what became of it.
func (w *world) try(sh *shelf, id agent.RecordID, e run.Event) (done bool, refusal error) {
	j := w.readAsClient(sh)
	j.addOverdue("")
	expected := expect(sh, j, e)
	ok, err := j.state.Judge(e, validate)
	w.compare(sh, e, expected, ok, err)
	if ok {
		before := essence(w, j.state)
		j.add(id, e)
		if essence(w, j.state) == before {
			w.broken(sh, "an input was accepted and has no effect: %s", describe(e))
		}
	}
	w.noteInput(sh, e, ok, err)
	if j.commit("") == nil {
		sh.reader = j
		return true, err
	}
	return sh.known[id], nil
}

func (w *world) noteInput(sh *shelf, e run.Event, ok bool, err error) {
	a, isAnswer := e.(*run.Answered)
	switch {
	case isAnswer && ok:
		w.count.AnswersTaken++
		sh.given = append(sh.given, a)
		if f := sh.ledger.asks[a.Ask]; f != nil && f.ask.Kind == agent.AskOutcome && a.Answer.Choice != agent.Happened {
			sh.misled[f.ask.Action] = sh.misled[f.ask.Action] || sh.happened(f.ask.Action)
		}
	case isAnswer && err == nil:
		w.count.AnswersRepeated++
	case isAnswer:
		w.count.AnswersRefused++
	case err != nil:
		w.count.OtherInputsRefused++
	}
	if refused, ok := err.(*agent.Refusal); ok && refused.Kind == agent.RefusedForbidden {
		w.count.Forbidden++
	}
	if _, wrote := e.(*run.Messaged); wrote && ok && sh.truth.Turn.Open && sh.truth.Terms.OnMessage == agent.Interrupt {
		w.count.Interrupts++
	}
}

// quarantine parks a run as one that made worker after worker fail.
func (w *world) quarantine(sh *shelf) {
	if !w.faults || w.dice.percent(50) {
		return
	}
	j := w.read(sh, false)
	j.addOverdue("")
	if s := j.state; s.Ended || s.Stuck != nil && s.Stuck.Quarantine {
		return
	}
	j.add("", &run.Stuck{Reason: "5 workers in a row were lost while they drove this run", Quarantine: true})
	_ = j.commit("") // if it fails, it is not parked
}
