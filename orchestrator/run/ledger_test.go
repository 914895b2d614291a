package run_test

import (
	"encoding/json"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A ledger is kept of each run's log by other means than folding it: which
// actions and asks came and went, and why a call was allowed to be made again.
type ledger struct {
	opened map[agent.ActionID]int // how often
	closed map[agent.ActionID]int
	begun  map[attempt]int
	why    map[attempt]string // why the attempt after this one may be made
	asks   map[agent.AskID]*askFate
	said   map[string]string // idempotency keys and the inputs that came with them
	wrote  []*run.Record     // the user's messages
	words  map[string]string // the content of each message that a planner was shown, by id

	terms map[agent.ActionID]*agent.Ask // of asks, as their moves have them
	refs  map[agent.ActionID]string     // the planners' own names
	post  post                          // signals, and what waits for them

	began string                    // the agent with which the run began
	by    map[agent.ActionID]string // whose planner asked for it
	kin   map[agent.ActionID]*kin
	tasks []*kin      // the same, in order
	usage agent.Usage // of the run's own moves, and of each delegate once

	sees   agent.Sees      // of the last agent to which the run was handed off
	hidden map[string]bool // messages of which it is not shown as they were
	kept   map[string]bool // those before that it is shown
}

// attempt is one attempt of one action.
type attempt struct {
	action agent.ActionID
	n      int
}

// askFate is what became of an ask.
type askFate struct {
	ask agent.Ask
	how string // "", answered, expired, withdrawn
	by  string
	got agent.Answer

	people people // whom it is for
}

func newLedger() *ledger {
	return &ledger{
		opened: map[agent.ActionID]int{}, closed: map[agent.ActionID]int{},
		begun: map[attempt]int{}, why: map[attempt]string{}, asks: map[agent.AskID]*askFate{},
		said: map[string]string{}, words: map[string]string{}, terms: map[agent.ActionID]*agent.Ask{}, refs: map[agent.ActionID]string{},
		by: map[agent.ActionID]string{}, kin: map[agent.ActionID]*kin{},
	}
}

// enter notes one more record. The shelf's truth has folded it already.
func (l *ledger) enter(w *world, sh *shelf, was *glance, r *run.Record) {
	if was.ended {
		return
	}
	l.enterActions(sh.truth, was, r)
	l.countDoubts(w, sh.truth, was, r)
	l.enterPeople(w, sh.truth, r)
	l.enterAsks(sh.truth, was, r)
	l.enterFamily(w, sh, was, r)
	if s := sh.truth; s.Stuck != nil && was.status != agent.StatusStuck {
		w.count.Stuck++
	} else if s.Status() == agent.StatusStuck && was.status != agent.StatusStuck {
		w.count.Repairs++
	}
	switch e := r.Event.(type) {
	case *run.Messaged:
		l.wrote = append(l.wrote, r)
	case *run.TurnBegan:
		w.count.Turns++
	case *run.Retried:
		for _, a := range was.asks {
			if retries(was, a, e) {
				w.count.RepairsRetried++
			}
		}
	case *run.Limited:
		w.count.LimitsReached++
	case *run.Moved:
		countIf(sh.truth.Plan.LastMove == r.Seq, new(int), &w.count.VoidMoves)
	case *run.Began:
		if o := sh.truth.Action(e.Action); o != nil && o.Phase == run.Begun && was.open[e.Action].phase != run.Begun {
			l.begun[attempt{e.Action, e.Attempt}]++
		}
	case *run.CallFailed:
		if e.NotDone || e.Lookup {
			l.why[attempt{e.Action, e.Attempt}] = "it surely did not take place"
		}
	case *run.Answered:
		if f := l.asks[e.Ask]; f != nil && f.ask.Kind == agent.AskOutcome && e.Answer.Choice == agent.Rerun {
			l.why[attempt{f.ask.Action, was.open[f.ask.Action].attempt}] = "a person had it made again"
		}
	}
	if key := keyOf(r.Event); key != "" {
		l.said[key] = contentOf(keyed(r.Event))
	}
}

func (l *ledger) enterActions(s *run.State, was *glance, r *run.Record) {
	for _, o := range s.Open {
		if _, before := was.open[o.ID]; !before {
			l.opened[o.ID]++
		}
	}
	for _, n := range s.News {
		if n.Seq != r.Seq || n.Kind != "closed" {
			continue
		}
		if _, before := was.open[n.Action]; !before {
			l.opened[n.Action]++ // by the same record
		}
		l.closed[n.Action]++
	}
}

// countDoubts counts calls whose outcome is unknown, and how that was resolved.
func (l *ledger) countDoubts(w *world, s *run.State, was *glance, r *run.Record) {
	for _, o := range s.Open {
		if before := was.open[o.ID]; doubtful(o.Phase) && !doubtful(before.phase) {
			w.count.Unknown++
		}
	}
	for id, before := range was.open {
		if o := s.Action(id); !doubtful(before.phase) || o != nil && doubtful(o.Phase) {
			continue
		}
		switch e := r.Event.(type) {
		case *run.Answered:
			w.count.ResolvedByPerson++
		case *run.Returned:
			countIf(e.Lookup, &w.count.ResolvedByLookup, &w.count.ResolvedByLateResult)
		case *run.CallFailed:
			countIf(e.Lookup, &w.count.ResolvedByLookup, &w.count.ResolvedByLateResult)
		}
	}
	for _, n := range s.News {
		if _, told := r.Event.(*run.Reported); n.Seq == r.Seq && n.Kind == "note" && !told {
			w.count.LateTruths++
		}
	}
}

func doubtful(p run.Phase) bool { return p == run.Lost || p == run.Doubted }

func countIf(yes bool, a, b *int) {
	if yes {
		*a++
	} else {
		*b++
	}
}

func (l *ledger) enterAsks(s *run.State, was *glance, r *run.Record) {
	now := map[agent.AskID]bool{}
	for _, a := range s.Asks() {
		now[a.ID] = true
		if f := l.asks[a.ID]; f == nil {
			l.asks[a.ID] = l.opensAsk(s, a)
		} else {
			f.ask = *a
		}
	}
	for _, a := range was.asks {
		f := l.asks[a.ID]
		if now[a.ID] {
			continue
		}
		f.how = "withdrawn"
		switch e := r.Event.(type) {
		case *run.Answered:
			if e.Ask == a.ID {
				f.how, f.by, f.got = "answered", e.Answer.By.ID, e.Answer
			}
		case *run.Lapsed:
			if e.Ask == a.ID {
				f.how = "expired"
			}
		case *run.Retried:
			if retries(was, a, e) {
				f.how, f.by, f.got = "answered", e.By.ID, agent.Answer{Choice: agent.RetryIt, Note: e.Note}
			}
		}
	}
}

func keyOf(e run.Event) string {
	switch e := e.(type) {
	case *run.Messaged:
		return e.Key
	case *run.Signaled:
		return e.Key
	case *run.Cancelled:
		return e.Key
	case *run.Retried:
		return e.Key
	case *run.Redefined:
		return e.Key
	}
	return ""
}

// keyed is an event as its idempotency key knows it: another time a definition may
// find the saved keys changed.
func keyed(e run.Event) run.Event {
	if d, ok := e.(*run.Redefined); ok {
		bare := *d
		bare.Keys = nil
		return &bare
	}
	return e
}

// contentOf spells an event out.
func contentOf(e run.Event) string {
	b, err := json.Marshal(e)
	if err != nil {
		b = fmt.Appendf(nil, "%+v", e) // an input that Judge has to refuse
	}
	return run.KindOf(e) + " " + string(b)
}

func describe(e run.Event) string { return fmt.Sprintf("%.300s", contentOf(e)) }
