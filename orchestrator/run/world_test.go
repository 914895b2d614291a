package run_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A world is a whole installation, simulated: a store, workers, tools, planners
// and people. One step changes one thing; which one, the dice say. The properties
// and the simulation differ in what they watch, not in the world.
//
//	world_test.go    the world and its steps
//	store_test.go    the store, and how one reads and appends
//	worker_test.go   what the engine does
//	task_test.go     jobs that go on, and what calls do to the world
//	planner_test.go  what planners choose
//	people_test.go   what people and other systems do
//	ledger_test.go   what came and went, kept by other means than folding
//	checks_test.go   what must hold; conversation_test.go, of what planners are shown
//	verdict_test.go  what Judge has to say
type world struct {
	t       fataler
	dice    *dice
	now     time.Time
	shelves []*shelf
	workers []*worker
	letters []letter // results on their way
	checks  []*check
	faults  bool // crashes, lost replies, failing tools and planners
	count   counts

	records, claims, calls int // for ids
}

// fataler is what ends a test: a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// A letter is a result that is reported without a claim, some time later.
type letter struct {
	sh    *shelf
	event run.Event
	at    time.Time
}

// counts is what has happened in a world.
type counts struct {
	Events, Runs, Ended, Stuck                         int
	Crashes, TakeOvers, Conflicts, LostReplies         int
	Turns, Plans, VoidMoves, Interrupts, LimitsReached int
	Calls, OnceCalls, StoppedJobs, LateResults         int

	Unknown, ResolvedByLookup, ResolvedByPerson, ResolvedByLateResult, LateTruths int

	AnswersTaken, AnswersRefused, AnswersRepeated, AsksExpired, OtherInputsRefused int
}

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// newWorld makes a world with some runs, each of an agent with terms of its own.
func newWorld(t fataler, seed uint64, runs, workers int, checks ...*check) *world {
	w := &world{t: t, dice: &dice{seed}, now: epoch, checks: checks, faults: true}
	for i := range workers {
		w.workers = append(w.workers, &worker{w: w, name: fmt.Sprintf("w%d", i)})
	}
	w.shelves = make([]*shelf, runs)
	for i := range w.shelves {
		w.startRun(i)
	}
	return w
}

// startRun starts one more run on the shelf.
func (w *world) startRun(i int) {
	w.count.Runs++
	id := agent.RunID(fmt.Sprintf("run%d", w.count.Runs))
	sh := &shelf{
		id: id, known: map[agent.RecordID]bool{}, inbox: map[agent.AskID]string{}, terms: w.terms(),
		truth: run.New(id), ledger: newLedger(), acts: map[agent.ActionID][]*act{}, misled: map[agent.ActionID]bool{},
	}
	w.shelves[i] = sh
	for {
		j := w.read(sh, false)
		bare := w.dice.percent(15)
		j.add("", &run.Started{Agent: "desk", User: ann, Meta: map[string]string{"shop": "north"}, Bare: bare})
		if !bare {
			j.add("", &run.Messaged{Message: agent.Text("Hello."), By: ann})
		}
		if j.commit("") == nil || len(sh.rows) > 0 {
			return
		}
	}
}

// terms are an agent's rules: often its own, and often tight.
func (w *world) terms() run.Terms {
	d := w.dice
	return run.TermsOf(&agent.Agent{
		Limits: agent.Limits{
			TurnSteps:  pick(d, 0, 0, -1, 2, 5),
			TurnTokens: pick(d, 0, 0, 0, 300),
			TurnTime:   pick(d, 0, 0, 0, 90*time.Second),
			RunSteps:   pick(d, 0, 0, 0, 0, 25),
			RunTokens:  pick(d, 0, 0, 0, 0, 2000),
			OnReached:  pick(d, agent.AskPerson, agent.AskPerson, agent.EndTurn),
		},
		OnMessage:  pick(d, agent.Queue, agent.Queue, agent.Interrupt, agent.Interrupt, agent.Reject),
		CloseAfter: pick(d, 0, 0, -1, 10*time.Minute),
	})
}

// step has one thing happen. The seed says which.
func (w *world) step(seed uint64) {
	w.dice = &dice{seed}
	w.replaceEnded()
	switch w.dice.weighted(700, 130, 80, 20, 4, 4) {
	case 0:
		w.work()
	case 1:
		w.pass()
	case 2:
		w.input()
	case 3:
		w.deliver()
	case 4:
		pick(w.dice, w.workers...).crash()
	case 5: // a worker stops for a while, as in a long pause of its machine
		pick(w.dice, w.workers...).asleep = w.now.Add(time.Duration(w.dice.upTo(300)) * time.Second)
	}
}

// replaceEnded starts a run where one has ended some time ago.
func (w *world) replaceEnded() {
	for i, sh := range w.shelves {
		if !sh.truth.Ended || w.dice.percent(97) {
			continue
		}
		w.retire(i)
		w.startRun(i)
		return
	}
}

// retire has the checks look at a run for the last time.
func (w *world) retire(i int) {
	sh := w.shelves[i]
	for _, c := range w.checks {
		if c.end != nil {
			c.end(w, sh)
		}
	}
	if !sh.agrees() {
		w.broken(sh, "the inbox does not show the asks that are open")
	}
	if sh.truth.Ended {
		w.count.Ended++
	}
	w.letters = slices.DeleteFunc(w.letters, func(l letter) bool { return l.sh == sh })
	for _, k := range w.workers {
		k.held = slices.DeleteFunc(k.held, func(g *grip) bool { return g.sh == sh })
	}
}

// work has one worker claim a run, or take one step with one that it has.
func (w *world) work() bool {
	k := pick(w.dice, w.workers...)
	if k.asleep.After(w.now) {
		return false
	}
	if len(k.held) == 0 || w.dice.percent(15) {
		return k.claimOne()
	}
	return pick(w.dice, k.held...).step()
}

// pass lets time pass: a moment, some seconds, or until something is due.
func (w *world) pass() {
	switch w.dice.weighted(250, 100, 648, 2) {
	case 0:
		w.to(w.now.Add(time.Duration(w.dice.upTo(3000)) * time.Millisecond))
	case 1:
		w.to(w.now.Add(time.Duration(w.dice.upTo(90)) * time.Second))
	case 2:
		if at := w.nextEvent(); !at.IsZero() {
			w.to(at.Add(time.Duration(w.dice.upTo(3)-1) * time.Nanosecond))
		}
	case 3:
		w.to(w.now.Add(time.Duration(w.dice.upTo(40)) * 24 * time.Hour))
	}
}

// to sets the clock, never back, in steps in which workers that are awake renew
// their claims.
func (w *world) to(at time.Time) {
	if !at.After(w.now) {
		return
	}
	w.now = at
	for _, k := range w.workers {
		if !k.asleep.After(w.now) {
			k.renew()
		}
	}
}

// nextEvent returns when something happens by itself next.
func (w *world) nextEvent() time.Time {
	var next time.Time
	consider := func(at time.Time) {
		if at.After(w.now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, sh := range w.shelves {
		consider(sh.wake)
		consider(sh.lease)
	}
	for _, k := range w.workers {
		consider(k.asleep)
		for _, g := range k.held {
			for _, t := range g.running {
				consider(t.ends)
			}
			if g.j != nil {
				consider(g.j.state.WakeAfter(w.now))
			}
		}
	}
	for _, l := range w.letters {
		consider(l.at)
	}
	return next
}

// post sends a result on its way.
func (w *world) post(sh *shelf, e run.Event, after time.Duration) {
	switch e.(type) {
	case *run.Returned, *run.CallFailed:
		w.letters = append(w.letters, letter{sh, e, w.now.Add(after)})
	}
}

// deliver has one result arrive, in any order, perhaps not for the last time.
func (w *world) deliver() bool {
	if len(w.letters) == 0 {
		return false
	}
	i := w.dice.upTo(len(w.letters))
	l := w.letters[i]
	if l.at.After(w.now) {
		return false
	}
	w.count.LateResults++
	j := w.readAsClient(l.sh)
	j.addOverdue("")
	id := w.newRecordID()
	j.add(id, l.event)
	if j.commit("") == nil {
		l.sh.reader = j
	}
	if l.sh.known[id] && !w.dice.percent(15) {
		w.letters = append(w.letters[:i], w.letters[i+1:]...)
	}
	return true
}

// show notes what a planner is shown.
func (w *world) show(sh *shelf, v *agent.View, seq int64) {
	for _, c := range w.checks {
		if c.view != nil {
			c.view(w, sh, v, seq)
		}
	}
}

func (w *world) newRecordID() agent.RecordID {
	w.records++
	return agent.RecordID(fmt.Sprintf("r%d", w.records))
}

// broken ends the test, with the story of the run.
func (w *world) broken(sh *shelf, format string, args ...any) {
	w.t.Helper()
	var story strings.Builder
	from := max(0, len(sh.rows)-40)
	for _, row := range sh.rows[from:] {
		fmt.Fprintf(&story, "%4d %-5s %-14s %s\n", row.rec.Seq, row.rec.ID, row.rec.Time.Sub(epoch), describe(row.rec.Event))
	}
	w.t.Fatalf("%s\n%s: %s, terms %+v, now %s\n%s", fmt.Sprintf(format, args...), sh.id, sh.truth.Status(), sh.terms, w.now.Sub(epoch), story.String())
}
