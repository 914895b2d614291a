package run_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// admit admits a move of an agent with the simulated shop's tools.
func admit(m *agent.Move) (*run.Moved, error) {
	v := &agent.View{Agent: "desk", Open: []agent.OpenAction{{ID: "r1.0"}}}
	return run.Admit(v, 5, "r5", m, (&world{dice: &dice{}}).desk())
}

func calling(args string, calls ...*agent.Call) *agent.Move {
	m := &agent.Move{Message: agent.Said("One moment.")}
	for _, c := range calls {
		m.Message.Parts = append(m.Message.Parts, agent.Part{Call: c})
		m.Actions = append(m.Actions, agent.Action{Kind: agent.ActCall, Name: c.Name, CallID: c.ID, Args: json.RawMessage(args)})
	}
	return m
}

func TestAdmissionResolvesTheTerms(t *testing.T) {
	moved, err := admit(calling(`{"order":7}`, &agent.Call{ID: "c1", Name: "wire"}, &agent.Call{ID: "c2", Name: "ship"}, &agent.Call{ID: "c3", Name: "look"}))
	if err != nil {
		t.Fatal(err)
	}
	wire, ship, look := moved.Actions[0], moved.Actions[1], moved.Actions[2]
	if wire.Approval == "" || string(wire.Schema) != `{"type":"object"}` || string(wire.Output) != `{"type":"string"}` || wire.Timeout != run.DefaultTimeout {
		t.Errorf("wire: %+v", wire)
	}
	if !ship.Lookup || ship.Attempts != 2 || ship.Timeout != 40*time.Second || ship.Approval != "" || ship.Effect != agent.Once {
		t.Errorf("ship: %+v", ship)
	}
	if look.Effect != agent.ReadOnly || look.Lookup {
		t.Errorf("look: %+v", look)
	}
	if moved.Basis != 5 || moved.BasisID != "r5" {
		t.Errorf("the basis is %d, %s", moved.Basis, moved.BasisID)
	}
}

// What cannot be done is refused, and the planner is told why.
func TestAdmissionRefusesActions(t *testing.T) {
	unanswered := calling("", &agent.Call{ID: "c1", Name: "look"})
	unanswered.Actions = nil
	nameless := calling("", &agent.Call{ID: "c1"})
	nameless.Actions = nil
	ending := calling(`{}`, &agent.Call{ID: "c1", Name: "look"})
	ending.Finish = true
	for name, test := range map[string]struct {
		move *agent.Move
		want string
	}{
		"no such tool":       {calling(`{}`, &agent.Call{ID: "c1", Name: "sing"}), `there is no tool "sing"; the tools are: look, put`},
		"no object":          {calling(`[1]`, &agent.Call{ID: "c1", Name: "look"}), "the arguments of look are a JSON object, and this came: [1]"},
		"no action":          {unanswered, "the planner took no action for this call"},
		"no action, no name": {nameless, "the planner took no action for this call"},
		"at the end":         {ending, "the run ends with this move"},
		"nothing to cancel":  {&agent.Move{Actions: []agent.Action{{Kind: agent.ActCancel, Target: "r9.9"}}}, `there is no open action "r9.9"`},
	} {
		moved, err := admit(test.move)
		if err != nil || !strings.Contains(moved.Actions[0].Refuse, test.want) {
			t.Errorf("%s: %+v, %v; want %q", name, moved, err, test.want)
		}
	}
}

// White space around arguments does no harm, and nor do arguments that stand only
// in the message.
func TestAdmissionTakesArgumentsAsTheyCome(t *testing.T) {
	for _, m := range []*agent.Move{
		calling("\n {\"order\": 7}", &agent.Call{ID: "c1", Name: "wire"}),
		calling("", &agent.Call{ID: "c1", Name: "wire", Args: json.RawMessage(` {"order":7}`)}),
		calling("", &agent.Call{ID: "c1", Name: "wire"}),
		{Actions: []agent.Action{{Kind: agent.ActCancel, Target: "r1.0"}}},
	} {
		if moved, err := admit(m); err != nil || moved.Actions[0].Refuse != "" {
			t.Errorf("%+v: %+v, %v", m, moved, err)
		}
	}
}

// A move that makes no sense is an error: the planner is broken.
func TestAdmissionOfBrokenMoves(t *testing.T) {
	call := &agent.Call{ID: "c1", Name: "look"}
	act := func(a agent.Action) *agent.Move { return &agent.Move{Actions: []agent.Action{a}} }
	ask := func(a agent.Ask) *agent.Move { return act(agent.Action{Kind: agent.ActAsk, Ask: &a}) }
	for want, m := range map[string]*agent.Move{
		"returned neither a move nor an error":                nil,
		"the output is not JSON":                              {Output: json.RawMessage(`{`)},
		"the key k is not JSON":                               {Keys: map[string]json.RawMessage{"k": json.RawMessage(`{`)}},
		"the arguments of call c1 is not JSON":                calling(`{}`, &agent.Call{ID: "c1", Name: "look", Args: json.RawMessage(`{`)}),
		`"c1" is empty or stands twice`:                       calling(`{}`, call, call),
		`action 0 stands for the call "c9"`:                   act(agent.Action{Kind: agent.ActCall, Name: "look", CallID: "c9"}),
		"a call needs the name of a tool":                     act(agent.Action{Kind: agent.ActCall}),
		"a wait needs the name of a signal, or Within or Due": act(agent.Action{Kind: agent.ActWait}),
		"only a wait for any signal":                          act(agent.Action{Kind: agent.ActWait, Name: "paid", Except: []string{"late"}}),
		"an emitted event needs a name":                       act(agent.Action{Kind: agent.ActEmit}),
		`its kind is "dance"`:                                 act(agent.Action{Kind: "dance"}),
		"an ask needs a prompt":                               ask(agent.Ask{Kind: agent.AskQuestion, Prompt: " "}),
		`an ask's kind is question, choice, form or repair`:   ask(agent.Ask{Kind: agent.AskLimit, Prompt: "?"}),
		"a choice needs two choices or more":                  ask(agent.Ask{Kind: agent.AskChoice, Prompt: "?", Choices: []string{"a"}}),
		"a repair needs two choices or more":                  ask(agent.Ask{Kind: agent.AskRepair, Prompt: "?", Choices: []string{agent.RetryIt}}),
		"an ask with a default needs Within or Due":           ask(agent.Ask{Kind: agent.AskQuestion, Prompt: "?", Default: &agent.Answer{}}),
		`the default "c" is not among the choices ["a" "b"]`:  ask(agent.Ask{Kind: agent.AskChoice, Prompt: "?", Choices: []string{"a", "b"}, Within: 1, Default: &agent.Answer{Choice: "c"}}),
	} {
		if _, err := admit(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

// A time comes out as it will be read from the log, whatever zone and clock it was
// given by, and never earlier than it was.
func TestAdmissionOfTimes(t *testing.T) {
	at := time.Now().In(time.FixedZone("CET", 3600)) // with the reading of this process's clock
	for _, due := range []time.Time{at, at.Truncate(time.Microsecond), at.Truncate(time.Microsecond).Add(1), epoch, {}} {
		moved, err := admit(&agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Name: "paid", Due: due}}})
		if err != nil {
			t.Fatal(err)
		}
		given := moved.Actions[0].Due
		_, stored, err := run.Store(moved)
		if err != nil {
			t.Fatal(err)
		}
		if read := stored.(*run.Moved).Actions[0].Due; given != read || given.Before(due) || given.Sub(due) >= time.Microsecond {
			t.Errorf("%s is admitted as %s and read as %s", due, given, read)
		}
	}
	for _, due := range []time.Time{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)} {
		if _, err := admit(&agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Due: due}}}); err == nil || !strings.Contains(err.Error(), "years from 1 to 9999 can be recorded") {
			t.Errorf("due at %s: %v", due, err)
		}
	}
}
