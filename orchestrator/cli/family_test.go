package cli

import (
	"slices"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// story is a run's log that a test writes.
type story struct {
	state *run.State
	at    time.Time
}

func newStory(id agent.RunID) *story {
	return &story{run.New(id), time.Date(2026, 3, 12, 10, 0, 0, 0, time.UTC)}
}

// goesOn appends events, and returns the last as a watcher sees it.
func (s *story) goesOn(events ...run.Event) (ev orchestrator.Event) {
	for _, e := range events {
		s.at = s.at.Add(time.Second)
		r := &run.Record{Seq: s.state.Seq + 1, ID: agent.RecordID("r" + string(rune('a'+s.state.Seq))), Time: s.at, Event: e}
		s.state.Apply(r)
		ev = orchestrator.Event{Run: s.state.Run, Record: r, Status: s.state.Status(), State: s.state}
	}
	return ev
}

// move makes a move that is based on all that there is.
func (s *story) move(words string, actions ...agent.Action) *run.Moved {
	m := &run.Moved{Basis: s.state.Seq, BasisID: s.state.ID, Message: agent.Said(words)}
	for _, a := range actions {
		m.Actions = append(m.Actions, run.Action{Action: a})
	}
	return m
}

func wrote(words string) *run.Messaged { return &run.Messaged{Message: agent.Text(words)} }

// A message in the middle of a turn is held back until the next turn begins with
// it; one that interrupts is not.
func TestQueue(t *testing.T) {
	for _, manner := range []agent.OnMessage{agent.Queue, agent.Interrupt} {
		var q queue
		s := newStory("r1")
		s.goesOn(&run.Started{Agent: "desk"}, wrote("one"), &run.TurnBegan{Slot: s.state.Plan.Slot, Terms: run.Terms{OnMessage: manner}})
		busy := s.state.Status()
		told := q.held(s.goesOn(wrote("two")), busy, []para{{text: "two"}})
		if manner == agent.Interrupt {
			if len(told) != 1 || len(q) != 0 {
				t.Errorf("a message that interrupts is held back: %v, %v", told, q)
			}
			continue
		}
		if len(told) != 0 || !slices.Equal(q.rows(), []string{"› two  (queued)"}) {
			t.Fatalf("told %v, queued %q", told, q.rows())
		}
		m := s.move("first")
		m.Basis--
		if told := q.takenUp(s.goesOn(m)); len(told) != 0 {
			t.Errorf("the move that has not seen it takes it up: %v", told)
		}
		if told := q.takenUp(s.goesOn(&run.TurnBegan{Slot: s.state.Plan.Slot})); len(told) != 1 || len(q) != 0 {
			t.Errorf("the next turn does not take it up: %v, %v\n%+v", told, q, s.state.Turn)
		}
	}
}

// What happens to an ask is told in words.
func TestTellsOfAsks(t *testing.T) {
	s, tell := newStory("r1"), newTeller("ann")
	tell.asksToo = true
	said := func(e run.Event) string { return text(tell.tell(s.goesOn(e))) }
	said(&run.Started{Agent: "desk", User: agent.User{ID: "ann"}})
	said(wrote("wine"))
	said(&run.TurnBegan{Slot: s.state.Plan.Slot})
	ask := &agent.Ask{Kind: agent.AskQuestion, Prompt: "Which wine?", For: []string{"bob"}, Not: []string{"eve"}, Within: time.Hour, Remind: time.Minute,
		Escalate: []agent.Escalation{{For: []string{"group:cellar", "ann"}}}}
	asked := said(s.move("", agent.Action{Kind: agent.ActAsk, Ask: ask}))
	id := s.state.Asks()[0].ID
	for _, c := range []struct{ got, want string }{
		{asked, "  ! asks: Which wine? – waits for bob, but not eve\n"},
		{said(&run.Assigned{Ask: id, How: run.Claim, By: agent.User{ID: "bob"}}), "  · bob claimed it: Which wine?\n"},
		{said(&run.Assigned{Ask: id, How: run.Release, By: agent.User{ID: "ann"}}), "  · you released it: Which wine? – waits for bob, but not eve\n"},
		{said(&run.Assigned{Ask: id, How: run.Delegate, By: agent.User{ID: "bob"}, To: []string{"kim"}, Note: "you know"}), "  · bob delegated it: you know: Which wine? – waits for kim or bob, but not eve\n"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	s.at = s.at.Add(time.Minute)
	if got, want := said(&run.Reminded{Ask: id}), "  ! a reminder: nobody has answered for 1 min: Which wine? – waits for kim or bob, but not eve\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.at = s.at.Add(time.Hour)
	if got, want := said(&run.Lapsed{Ask: id}), "  ! nobody answered in time: Which wine? – now it waits for the group cellar or ann, but not eve\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := said(&run.Cancelled{By: agent.User{ID: "bob"}}), "  ✗ the run was cancelled by bob\n  · withdrawn: Which wine?\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A delegate is marked by its name, and told of once: its task and its result by
// the parent, its calls by itself.
func TestFamilyTells(t *testing.T) {
	f := newFamily("root", "ann")
	parent := newStory("root")
	told := func(ev orchestrator.Event) string { return text(f.take(ev)) }
	told(parent.goesOn(&run.Started{Agent: "desk"}))
	told(parent.goesOn(wrote("pay")))
	told(parent.goesOn(&run.TurnBegan{Slot: parent.state.Plan.Slot}))
	task := agent.Action{Kind: agent.ActDelegate, Name: "billing", Args: []byte(`{"task":"look it up"}`)}
	got := told(parent.goesOn(parent.move("One moment.", task, task)))
	if want := "One moment.\n  → billing  look it up\n  → billing 2  look it up\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	o := parent.state.Open[1]
	child := newStory(o.Child)
	letter := parent.state.LetterTo(o.Child)
	for _, e := range parent.state.Opening(letter) {
		if got := told(child.goesOn(e)); got != "" {
			t.Errorf("the task is told twice: %q", got)
		}
	}
	told(child.goesOn(&run.TurnBegan{Slot: child.state.Plan.Slot}))
	got = told(child.goesOn(child.move("I look.", agent.Action{Kind: agent.ActAsk, Ask: &agent.Ask{Kind: agent.AskQuestion, Prompt: "which?"}}, agent.Action{Kind: agent.ActEmit, Name: "found"})))
	if want := "    billing 2 · found\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if asks := f.asks(); len(asks) != 1 || pathOf(asks[0].Path) != "desk › billing" {
		t.Errorf("the asks are %+v", asks)
	}
	report := &run.Reported{Action: o.ID, Run: o.Child, N: 9, Report: run.Report{Status: agent.StatusDone}, Content: agent.JSONText("found it")}
	if got, want := told(parent.goesOn(report)), "  ✓ billing 2  found it\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if asks := f.asks(); len(asks) != 0 {
		t.Errorf("a delegate that has ended still asks: %+v", asks)
	}
}

// Every event of a log is known to the teller, or has nothing to be told.
func TestTellsNothingUnknown(t *testing.T) {
	s, tell := newStory("r1"), newTeller("")
	for _, e := range []run.Event{
		&run.Started{}, wrote("x"), &run.Answered{}, &run.Assigned{}, &run.Signaled{Name: "s"}, &run.Cancelled{}, &run.Retried{}, &run.Redefined{}, &run.TurnBegan{}, &run.Moved{},
		&run.PlanFailed{}, &run.Began{}, &run.Returned{}, &run.CallFailed{}, &run.Unresolved{}, &run.Reported{}, &run.Delivered{Error: "no"}, &run.TookOver{},
		&run.Lapsed{}, &run.Reminded{}, &run.Limited{}, &run.Stuck{}, &run.Posted{}, &run.Subscribed{}, &run.Mailed{}, &run.Lapsed{Signal: "r1"},
	} {
		tell.tell(s.goesOn(e)) // and does not panic, whatever the order
	}
}

// What a wait is for is told, and until when.
func TestTellsOfWaits(t *testing.T) {
	due := time.Date(2026, 3, 12, 10, 30, 0, 0, time.Local)
	for want, a := range map[string]agent.Action{
		"waits for the signal paid": {Name: "paid"},
		"waits for any signal":      {Name: "*"},
		"waits for the signal paid, at most 5 min, until 12 Mar 10:30:00": {Name: "paid", Within: 5 * time.Minute, Due: due},
		"waits for 5 min":             {Within: 5 * time.Minute},
		"waits until 12 Mar 10:30:00": {Due: due},
	} {
		if got := waits(a, a.Due); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
