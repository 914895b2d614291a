package run_test

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// TestSimulation has many worlds go on for long, under all checks at once, with
// several runs and workers each. Then all faults cease, and every run has to
// come to its end: none may be silent. It covers a million events; under -short
// and under the race detector a small part of them.
func TestSimulation(t *testing.T) {
	goal := 1_000_000
	switch {
	case testing.Short():
		goal = 20_000
	case raceEnabled:
		goal = 5_000
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // it makes much and keeps little
	var sum counts
	start := time.Now()
	worlds := 0
	for seed := uint64(1); sum.Events < goal; seed++ {
		w := newWorld(t, seed, 4, 3, allChecks...)
		seeds := &dice{seed << 32}
		for range 8_000 {
			w.step(seeds.roll())
		}
		w.settle(seeds)
		sum.add(w.count)
		worlds++
	}
	t.Logf("simulated %d worlds in %v, goal %d events (race %v, short %v)\n%s", worlds, time.Since(start).Round(time.Millisecond), goal, raceEnabled, testing.Short(), sum)
}

// settle ends all faults and has the world go on until every run has ended:
// first by itself and with honest answers, then called off.
func (w *world) settle(seeds *dice) {
	w.faults = false
	for _, k := range w.workers {
		k.asleep = time.Time{}
	}
	for round := 0; ; round++ {
		if round > 20_000 {
			w.silent()
		}
		w.dice = &dice{seeds.roll()}
		if w.workAll() || w.deliver() || w.land() {
			continue
		}
		w.standsStill()
		if round > 300 {
			w.callOff()
		}
		if w.allEnded() {
			break
		}
		if !w.reply() {
			if at := w.nextEvent(); !at.IsZero() {
				w.to(at)
			}
		}
	}
	w.retireAll()
}

// workAll has every worker do what it can.
func (w *world) workAll() bool {
	busy := false
	for _, k := range w.workers {
		busy = k.claimOne() || busy
		for _, g := range append([]*grip(nil), k.held...) {
			busy = g.step() || busy
		}
	}
	return busy
}

// reply has a person answer an open ask, or retry a run that is stuck.
func (w *world) reply() bool {
	for _, sh := range w.shelves {
		if sh.truth.Stuck != nil && !sh.truth.Ended {
			w.give(sh, &run.Retried{By: bob})
			return true
		}
		for _, ask := range sh.truth.Asks() {
			by, free := w.whoMay(sh, ask)
			if !free {
				continue
			}
			a := agent.Answer{By: by, Value: []byte(`"a"`)}
			switch ask.Kind {
			case agent.AskOutcome:
				w.lookFor(sh, ask, &a)
			case agent.AskApproval:
				a.Choice, a.Value = agent.Deny, nil
			case agent.AskRepair:
				a.Choice, a.Value = ask.Choices[0], nil
			case agent.AskChoice:
				a.Choice = ask.Choices[0]
			case agent.AskForm:
				a.Value = []byte(`{"size":"a"}`)
			case agent.AskLimit:
				a.Choice, a.Value = agent.Stop, nil
			}
			w.give(sh, &run.Answered{Ask: ask.ID, Answer: a})
			return true
		}
	}
	return false
}

func (w *world) callOff() {
	for _, sh := range slices.Clone(w.shelves) {
		if sh.truth.Ending == nil {
			w.give(sh, &run.Cancelled{By: ann, Reason: "the day is over"})
		}
		if m := sh.truth.Mailbox; m != nil && len(m.Waiting) > 0 { // of an old letter, to a mailbox that came after: a signal passes it by
			_ = w.toMailbox(m.Address, &run.Posted{Keep: time.Minute})
		}
	}
}

func (w *world) allEnded() bool {
	for _, sh := range w.shelves {
		if !sh.truth.Ended || len(sh.truth.Outbox) > 0 {
			return false
		}
	}
	return true
}

// silent ends the test with a run that does not come to its end.
func (w *world) silent() {
	for _, sh := range w.shelves {
		if !sh.truth.Ended || len(sh.truth.Outbox) > 0 {
			w.broken(sh, "the run does not come to its end: open %v, letters %+v", sh.truth.View(w.now).Open, sh.truth.Outbox)
		}
	}
}

func (c *counts) add(d counts) {
	sum, more := reflect.ValueOf(c).Elem(), reflect.ValueOf(d)
	for i := range sum.NumField() {
		if sum.Type().Field(i).Name == "DeepestRun" {
			sum.Field(i).SetInt(max(sum.Field(i).Int(), more.Field(i).Int()))
			continue
		}
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
}

// String spells the counts out, with the fields' own names.
func (c counts) String() string {
	var b strings.Builder
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		fmt.Fprintf(&b, "%12d %s\n", v.Field(i).Int(), v.Type().Field(i).Name)
	}
	return b.String()
}
