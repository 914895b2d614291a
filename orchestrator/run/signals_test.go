package run_test

import (
	"slices"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// post is what came of the signals of a run, as the ledger works it out.
type post struct {
	waits []waiting
	kept  []*run.Signaled
	ended map[agent.ActionID]*run.Signaled // by the last record: waits, and what ended them
}

// waiting is a wait that is open.
type waiting struct {
	id        agent.ActionID
	name, key string
}

// enter notes what a record says of waits and signals. The state has folded it
// already; was says whether the run was ending before.
func (p *post) enter(s *run.State, r *run.Record, ending bool) {
	p.ended = map[agent.ActionID]*run.Signaled{}
	switch e := r.Event.(type) {
	case *run.Moved:
		if s.Plan.LastMove != r.Seq {
			break
		}
		var fresh []waiting
		for i := range e.Actions {
			if a := &e.Actions[i]; a.Kind == agent.ActWait && a.Refuse == "" {
				fresh = append(fresh, waiting{actionID(r, i), a.Name, a.Key})
			}
		}
		for _, byName := range []bool{true, false} {
			for _, w := range fresh {
				if byName == (w.name != agent.AnySignal) {
					p.opens(w)
				}
			}
		}
		slices.SortStableFunc(p.waits, func(a, b waiting) int { return p.place(s, a) - p.place(s, b) })
	case *run.Signaled:
		if !ending {
			p.comes(e)
		}
	case *run.Mailed:
		if e.Key != "" && slices.Contains(p.waits, waiting{e.Action, e.Name, e.Key}) {
			p.ended[e.Action] = &run.Signaled{Name: e.Name, Data: e.Data, By: e.By}
		}
	}
	p.waits = slices.DeleteFunc(p.waits, func(w waiting) bool { return s.Action(w.id) == nil })
}

// place is where a wait stands among what is open.
func (p *post) place(s *run.State, w waiting) int {
	return slices.IndexFunc(s.Open, func(o *run.Open) bool { return o.ID == w.id })
}

// opens has a wait begin, which a signal may end that was kept.
func (p *post) opens(w waiting) {
	i := slices.IndexFunc(p.kept, func(e *run.Signaled) bool { return e.Name == w.name || w.name == agent.AnySignal })
	if i < 0 {
		p.waits = append(p.waits, w)
		return
	}
	p.ended[w.id] = p.kept[i]
	p.kept = slices.Delete(p.kept, i, i+1)
}

// comes has a signal end a wait, one of its name rather than one for any.
func (p *post) comes(e *run.Signaled) {
	for _, name := range []string{e.Name, agent.AnySignal} {
		if i := slices.IndexFunc(p.waits, func(w waiting) bool { return w.name == name }); i >= 0 {
			p.ended[p.waits[i].id] = e
			return
		}
	}
	p.kept = append(p.kept, e)
}

// signalCheck: a signal ends the wait that it is for, and that is told of it; one
// that nothing waits for is kept.
var signalCheck = &check{record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	if was.ended {
		return
	}
	s, p := sh.truth, &sh.ledger.post
	p.enter(s, r, was.ending)
	told := 0
	for _, n := range s.News {
		if n.Seq != r.Seq || n.Closed == nil {
			continue
		}
		c, e := n.Closed, p.ended[n.Action]
		if e == nil {
			e = &run.Signaled{}
		} else {
			told++
		}
		if c.Signal != e.Name || c.SignalKey != e.Key || e.Name != "" && (c.Outcome != agent.Returned || c.By.ID != e.By.ID || !sameJSON(c.Content, e.Data)) {
			w.broken(sh, "the wait %s is told to be ended by the signal %q under %q, and right is %s", n.Action, c.Signal, c.SignalKey, describe(e))
		}
		if c.Name == agent.AnySignal && c.Signal != "" {
			w.count.AnySignals++
		}
	}
	if told != len(p.ended) {
		w.broken(sh, "signals ended %d waits, and %d are told so", len(p.ended), told)
	}
	same := slices.EqualFunc(s.Signals, p.kept, func(k run.Kept, e *run.Signaled) bool {
		return k.Name == e.Name && k.Key == e.Key && sameJSON(k.Data, e.Data)
	})
	if !same && s.Ending == nil {
		w.broken(sh, "the signals %+v are kept, and right is %+v", s.Signals, p.kept)
	}
}}

// What ended a wait is told: by what signal, under which key, also of one that came
// before the wait.
func TestWaitsTellWhatEndedThem(t *testing.T) {
	s := newScript(t)
	s.play(`start bare

begin

signal early {"n":1} key=k1

move each
    wait *

signal early key=k2`)
	s.step("move each\n    wait late\n    wait *")
	s.step("signal late key=k3")
	c := s.closings()
	if len(c) != 2 || c[0].Name != "*" || c[0].Signal != "early" || c[0].SignalKey != "k2" || c[1].Name != "late" || c[1].Signal != "late" || c[1].SignalKey != "k3" {
		t.Errorf("told is %+v", c)
	}
}
