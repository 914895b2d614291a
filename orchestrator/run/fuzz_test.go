package run_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// FuzzApply folds sequences of events that nobody would write: ids that never
// were, the wrong order, enormous attempts, negative waits. Whatever comes, the
// fold must have an answer.
func FuzzApply(f *testing.F) {
	d := dice{1}
	for size := range 12 {
		var seed []byte
		for range size * 40 {
			seed = append(seed, byte(d.roll()))
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) { foldNonsense(t, &source{data: data}) })
}

// TestNonsenseFolds does what FuzzApply does with sequences of its own.
func TestNonsenseFolds(t *testing.T) {
	d := dice{7}
	runs := 300
	if raceEnabled || testing.Short() {
		runs = 40
	}
	for range runs {
		data := make([]byte, 100+d.upTo(1500))
		for i := range data {
			data[i] = byte(d.roll())
		}
		foldNonsense(t, &source{data: data})
	}
}

func foldNonsense(t *testing.T, src *source) {
	s, blind := run.New("run"), run.New("run")
	src.state = s
	opened := map[agent.ActionID]int{}
	now := epoch
	apply := func(e run.Event) {
		r := &run.Record{Seq: s.Seq + 1, ID: agent.RecordID(fmt.Sprintf("r%d", s.Seq+1)), Time: now, Event: e}
		ended, was := s.Ended, glanceAt(s)
		s.Apply(r)
		blind.Apply(r)
		if s.Time.Before(was.time) {
			t.Fatalf("the run's clock went back by %s", was.time.Sub(s.Time))
		}
		if ended && !s.Ended {
			t.Fatalf("a run that had ended goes on after %s", describe(e))
		}
		for _, o := range s.Open {
			if _, before := was.open[o.ID]; !before {
				opened[o.ID]++
			}
			if opened[o.ID] != 1 {
				t.Fatalf("the action %s was opened %d times", o.ID, opened[o.ID])
			}
		}
	}
	for n := 0; !src.empty() && n < 300; n++ {
		now = now.Add(pickFrom(src, 0, time.Second, time.Hour, -time.Minute))
		apply(src.event())
		for i := 0; src.upTo(3) == 0; i++ {
			e := s.Overdue(now, "w")
			if e == nil {
				break
			}
			if i > 1000 {
				t.Fatalf("what is overdue does not end: %s", describe(e))
			}
			apply(e)
		}
		blind = holdTotal(t, s, blind, now)
	}
}

// holdTotal checks what holds of any state, and returns the one restored from
// its snapshot.
func holdTotal(t *testing.T, s, blind *run.State, now time.Time) *run.State {
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if other, err := blind.Snapshot(); err != nil || string(other) != string(snap) {
		t.Fatalf("snapshot and tail give another state (%v):\n%s\n%s", err, snap, other)
	}
	restored, err := run.Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	open := map[agent.ActionID]bool{}
	for _, o := range s.Open {
		if open[o.ID] {
			t.Fatalf("the action %s is open twice", o.ID)
		}
		open[o.ID] = true
	}
	delivers := !slices.ContainsFunc(s.Due(now), func(j run.Job) bool { return j.Kind != run.JobDeliver || s.LetterTo(j.To) == nil })
	if s.Ended && (len(s.Open) > 0 || !s.Status().Ended() || !delivers) {
		t.Fatalf("the run has ended and is not over: %s", snap)
	}
	for _, j := range s.Due(now) {
		if j.Key() == "" || !s.Wanted(j) {
			t.Fatalf("the job %+v is due and not wanted: %s", j, snap)
		}
	}
	for _, l := range s.Outbox {
		if begins := s.Opening(l) != nil; begins != (l.Spawn != nil) || l != s.LetterTo(l.To) {
			t.Fatalf("the letter %+v begins a run: %v: %s", l, begins, snap)
		}
	}
	s.Asks()
	s.Reason()
	s.Path()
	s.Result()
	s.WakeAfter(now)
	if v := s.View(now); len(v.Open) != len(s.Open) || restored.View(now) != nil {
		t.Fatalf("the view shows %d open actions of %d", len(v.Open), len(s.Open))
	}
	return restored
}

// FuzzDecode decodes what may stand in a damaged store.
func FuzzDecode(f *testing.F) {
	for _, e := range everyKind() {
		data, err := run.Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"v":1,"kind":"moved","event":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := run.Decode(data)
		if (e == nil) == (err == nil) {
			t.Fatalf("Decode gives %v and %v", e, err)
		}
		if err != nil {
			return
		}
		if _, err := run.Encode(e); err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		s := run.New("run")
		s.Apply(&run.Record{Seq: 1, ID: "r1", Time: epoch, Event: e})
	})
}

// FuzzJudgeAnswer judges any answer to each kind of ask. What is accepted has an
// effect, and what is refused is an agent.Refusal.
func FuzzJudgeAnswer(f *testing.F) {
	f.Add("c1", "approve", `{"order":1}`, "fine", "", "ann")
	f.Add("c2", "", `"blue"`, "", "", "")
	f.Add("c3", "happened", ``, "", "0123", "bob")
	f.Add("c5", "skip", `{"sum":1}`, "", "", "bob")
	f.Add("limit", "perhaps", `{`, "", "", "")
	f.Fuzz(func(t *testing.T, which, choice, value, note, digest, by string) {
		s := askingScript(t)
		ask, ok := s.asks[which]
		if !ok {
			ask = agent.AskID(which)
		}
		e := &run.Answered{Ask: ask, Answer: agent.Answer{By: agent.User{ID: by}, Choice: choice, Value: json.RawMessage(value), Note: note, Digest: digest}}
		if value == "" {
			e.Answer.Value = nil
		}
		ok, err := s.state.Judge(e, validate)
		var refusal *agent.Refusal
		if ok != (err == nil) || err != nil && !errors.As(err, &refusal) {
			t.Fatalf("Judge says %v, %v", ok, err)
		}
		if !ok {
			return
		}
		asks := len(s.state.Asks())
		s.add(e)
		if len(s.state.Asks()) >= asks {
			t.Fatalf("the answer was accepted and no ask is closed: %s", describe(e))
		}
		if again, err := s.state.Judge(e, validate); again || err != nil {
			t.Fatalf("the same answer again: %v, %v", again, err)
		}
	})
}

// askingScript is a run with an ask of each kind open.
func askingScript(t *testing.T) *script {
	s := newScript(t)
	s.play(`start bare

begin steps=1

move "I ask." each
    call refund {"order":1} approve
    ask "Which colour?"
    call pay {}
    ask "Which size?" choices=small,large
    ask "It failed." choices=retry,skip repair
    wait paid

began c3

failed c3 "connection reset"

signal paid

tick 1s`)
	if s.state.LimitAsk == nil || len(s.state.Asks()) != 6 {
		t.Fatalf("the asks are %+v", s.state.Asks())
	}
	return s
}
