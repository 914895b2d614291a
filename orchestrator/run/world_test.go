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
//	family_test.go   runs that belong together: how they come and go, and what holds of them
//	mail_test.go     what one run tells another, and what becomes of that on the way
//	post_test.go     signals with a key, and who takes them
//	asks_test.go     whom an ask is for, kept by other means than folding
//	definition_test.go  by which definition a run goes
//	closed_test.go   what planners are told of what has ended
//	signals_test.go  which signal ends which wait, kept by other means than folding
type world struct {
	t       fataler
	dice    *dice
	now     time.Time
	roots   []*shelf // a place for each tree
	shelves []*shelf // of all runs, the delegates among them
	byID    map[agent.RunID]*shelf
	erased  map[agent.RunID]bool
	workers []*worker
	letters []letter  // results on their way
	flights []*flight // deliveries that happen later, by a worker that is gone or a second time
	handed  map[delivery]bool
	posts   map[agent.RecordID]*posted // signals, by their records in mailboxes
	once    map[once]wasPosted
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

	AsksClaimed, AsksReleased, AsksDelegated, AsksEscalated, Reminders, Forbidden int

	Trees, Delegates, DeepestRun, TooDeep, CalledOff, CalledOffUnbegun, DoneNevertheless, Outlived, Erased, Refused int

	DelegatesDone, DelegatesFailed, DelegatesCancelled, DelegatesLate, DelegatesStuck, StuckUpToTheRoot int

	Letters, LettersLost, LettersDoubled, LettersLate, LettersUnreachable, LettersOvertaken int

	AnySignals, Repairs, RepairsRetried, Redefined int

	HandOffs, HandOffsRefused, SawWords, SawTurn, RunDeadlines int

	Mailboxes, NextMailboxes, Posts, PostsTaken, PostsBack, PostsLapsed int
}

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// newWorld makes a world with some runs, each of an agent with terms of its own.
func newWorld(t fataler, seed uint64, runs, workers int, checks ...*check) *world {
	w := &world{
		t: t, dice: &dice{seed}, now: epoch, checks: checks, faults: true,
		byID: map[agent.RunID]*shelf{}, erased: map[agent.RunID]bool{}, handed: map[delivery]bool{},
		posts: map[agent.RecordID]*posted{}, once: map[once]wasPosted{},
	}
	for i := range workers {
		w.workers = append(w.workers, &worker{w: w, name: fmt.Sprintf("w%d", i)})
	}
	w.roots = make([]*shelf, runs)
	for i := range w.roots {
		w.startRun(i)
	}
	return w
}

// startRun starts one more tree in its place.
func (w *world) startRun(i int) {
	w.count.Trees++
	sh := w.newShelf(agent.RunID(fmt.Sprintf("run%d", w.count.Trees)))
	sh.deep = w.dice.percent(3)
	w.roots[i] = sh
	started := &run.Started{Agent: "desk", User: pick(w.dice, ann, ann, ann, agent.User{}), Meta: map[string]string{"shop": "north"}, Bare: w.dice.percent(15)}
	if w.dice.percent(8) {
		started.Deadline = w.now.Add(pick(w.dice, 2*time.Minute, time.Hour, 30*24*time.Hour))
	}
	for {
		j := w.read(sh, false)
		j.add("", started)
		if !started.Bare {
			j.add("", &run.Messaged{Message: agent.Text("Hello."), By: ann})
		}
		if j.commit("") == nil || len(sh.rows) > 0 {
			return
		}
	}
}

// newShelf makes room for a run.
func (w *world) newShelf(id agent.RunID) *shelf {
	w.count.Runs++
	sh := &shelf{
		world: w, id: id, known: map[agent.RecordID]bool{}, inbox: map[agent.AskID]string{}, terms: map[string]run.Terms{},
		truth: run.New(id), ledger: newLedger(), acts: map[agent.ActionID][]*act{}, misled: map[agent.ActionID]bool{},
	}
	sh.root = sh
	w.shelves = append(w.shelves, sh)
	w.byID[id] = sh
	return sh
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
			RunTime:    pick(d, 0, 0, 0, 0, 0, 4*time.Minute),
			Handoffs:   pick(d, 0, 1, 2),
			OnReached:  pick(d, agent.AskPerson, agent.AskPerson, agent.EndTurn),
		},
		OnMessage:  pick(d, agent.Queue, agent.Queue, agent.Interrupt, agent.Interrupt, agent.Reject),
		CloseAfter: pick(d, 0, 0, -1, 10*time.Minute),
		Sees:       pick(d, agent.SeesAll, agent.SeesWords, agent.SeesTurn),
		Operators:  pick(d, nil, nil, []string{"group:finance"}),
	}, ann)
}

// termsOf are the rules of one of the agents that the run may go on with.
func (w *world) termsOf(sh *shelf, name string) run.Terms {
	terms, known := sh.terms[name]
	if !known {
		terms = w.terms()
		sh.terms[name] = terms
	}
	return terms
}

// step has one thing happen. The seed says which.
func (w *world) step(seed uint64) {
	w.dice = &dice{seed}
	w.replaceEnded()
	switch w.dice.weighted(700, 130, 80, 20, 4, 4, 25, 1, 8) {
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
	case 6:
		w.land()
	case 7:
		w.erase()
	case 8:
		w.post()
	}
}

// replaceEnded starts a tree where one has ended some time ago.
func (w *world) replaceEnded() {
	w.retireMailbox()
	for i, root := range w.roots {
		if !root.truth.Ended || w.dice.percent(97) {
			continue
		}
		if lingering := w.lingering(root); lingering != nil {
			if lingering.truth.Ending == nil && w.dice.percent(50) {
				w.give(lingering, &run.Cancelled{By: ann, Reason: "nobody waits for it"})
			}
			continue
		}
		w.retire(root)
		w.startRun(i)
		return
	}
}

// lingering returns a run of the tree that is not over, or has something to tell.
func (w *world) lingering(root *shelf) *shelf {
	for _, sh := range w.shelves {
		if sh.root == root && (!sh.truth.Ended || len(sh.truth.Outbox) > 0) {
			return sh
		}
	}
	return nil
}

// retire has the checks look at a tree for the last time.
func (w *world) retire(root *shelf) {
	for _, sh := range slices.Clone(w.shelves) {
		if sh.root == root {
			w.retireRun(sh)
		}
	}
}

func (w *world) retireAll() {
	for _, root := range w.roots {
		w.retire(root)
	}
	for _, sh := range slices.Clone(w.shelves) {
		if sh.truth.Mailbox != nil {
			w.retireRun(sh)
		}
	}
}

func (w *world) retireRun(sh *shelf) {
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
	w.remove(sh)
}

// remove takes a run from the world, and whatever is on its way to it or from it.
func (w *world) remove(sh *shelf) {
	w.shelves = slices.DeleteFunc(w.shelves, func(x *shelf) bool { return x == sh })
	delete(w.byID, sh.id)
	w.letters = slices.DeleteFunc(w.letters, func(l letter) bool { return l.sh == sh })
	w.flights = slices.DeleteFunc(w.flights, func(f *flight) bool { return f.from == sh })
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
	for _, f := range w.flights {
		consider(f.at)
	}
	return next
}

// report sends a result on its way.
func (w *world) report(sh *shelf, e run.Event, after time.Duration) {
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
	w.t.Fatalf("%s\n%s: %s, terms %+v, now %s\n%s", fmt.Sprintf(format, args...), sh.id, sh.truth.Status(), sh.truth.Terms, w.now.Sub(epoch), story.String())
}
