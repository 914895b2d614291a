package planner_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner"
)

// team is a view of an agent with others to work with.
func team(delegates, handoffs []*agent.Agent) *agent.View {
	v := view(text("Hi"))
	v.Delegates, v.Handoffs = delegates, handoffs
	return v
}

var (
	research = &agent.Agent{Name: "research", Description: "Finds sources.\n"}
	billing  = &agent.Agent{Name: "billing"}
)

// offered asks for a move that makes the calls, and returns it with what the model
// was offered.
func offered(t *testing.T, v *agent.View, calls ...*agent.Call) (*agent.Move, []agent.ToolSpec) {
	t.Helper()
	m := &fake{replies: []any{says("Well.", calls...)}}
	move, err := planner.Loop(m, "", nil).Plan(t.Context(), v, nil)
	if err != nil {
		t.Fatal(err)
	}
	return move, m.asked[0].Tools
}

func namesOf(specs []agent.ToolSpec) (names []string) {
	for _, s := range specs {
		names = append(names, s.Name)
	}
	return names
}

func TestLoopOffersDelegatesAndHandoffs(t *testing.T) {
	move, specs := offered(t, team([]*agent.Agent{research, billing, research}, []*agent.Agent{billing}),
		call("a", "delegate_to_research", `{"task": "Find three sources on bees."}`),
		call("b", "delegate_to_billing", `{"task": "Add up the invoices."}`),
		call("c", "functions.delegate_to_research", `"{\"task\": \"And on wasps.\"}"`), // as some models write it
		call("d", "hand_off_to_billing", `{"reason": "It is about money."}`),
		call("e", "hand_off_to_billing", ``),
		call("f", "hand_off_to_billing", `{"reason": null}`),
	)
	if got := strings.Join(namesOf(specs), " "); got != "lookup refund delegate_to_research delegate_to_billing hand_off_to_billing ask_person" {
		t.Errorf("offered %s", got)
	}
	want := []agent.Action{
		{Kind: agent.ActDelegate, Name: "research", CallID: "a"},
		{Kind: agent.ActDelegate, Name: "billing", CallID: "b"},
		{Kind: agent.ActDelegate, Name: "research", CallID: "c"},
		{Kind: agent.ActHandoff, Name: "billing", CallID: "d"},
		{Kind: agent.ActHandoff, Name: "billing", CallID: "e"},
		{Kind: agent.ActHandoff, Name: "billing", CallID: "f"},
	}
	if !reflect.DeepEqual(move.Actions, want) {
		t.Errorf("got %+v", move.Actions)
	}
	if c := move.Message.Calls()[2]; c.Name != "delegate_to_research" || string(c.Args) != `{"task": "And on wasps."}` {
		t.Errorf("in the message stands %s(%s)", c.Name, c.Args)
	}
	for i, words := range map[int][]string{
		2: {"Finds sources.\nGive a task to the agent \"research\".", "does not see this one", "complete in itself", "in parallel", "the result of this call"},
		3: {"Give a task to the agent \"billing\"."},
		4: {"Hand this conversation off to the agent \"billing\"", "in your stead", "the only call of the message"},
	} {
		for _, w := range words {
			if !strings.Contains(specs[i].Description, w) {
				t.Errorf("%s is described without %q: %s", specs[i].Name, w, specs[i].Description)
			}
		}
		if i == 3 && !strings.HasPrefix(specs[i].Description, "Give") {
			t.Errorf("without a description of its own it begins otherwise: %s", specs[i].Description)
		}
	}
	for _, s := range specs {
		if err := schema.Check(s.Input); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

// A delegate that says of which form its tasks are is offered with that form, and is
// given the arguments as they are.
func TestLoopOffersDelegatesWithTheirInput(t *testing.T) {
	shipping := &agent.Agent{Name: "shipping", Description: "Ships parcels.", Input: json.RawMessage(
		`{"type":"object","properties":{"order":{"type":"integer"},"express":{"type":"boolean"}},"required":["order"],"additionalProperties":false}`)}
	move, specs := offered(t, team([]*agent.Agent{shipping}, nil),
		call("a", "delegate_to_shipping", `{"order": 7, "express": true}`),
		call("b", "delegate_to_shipping", `{"task": "Ship order 7."}`),
	)
	if s := specs[2]; s.Name != "delegate_to_shipping" || string(s.Input) != string(shipping.Input) || !strings.HasPrefix(s.Description, "Ships parcels.\nGive a task to the agent \"shipping\", which takes it in this form.") {
		t.Errorf("offered is %+v", s)
	}
	if want := (agent.Action{Kind: agent.ActDelegate, Name: "shipping", CallID: "a"}); !reflect.DeepEqual(move.Actions[0], want) || string(move.Message.Calls()[0].Args) != `{"order": 7, "express": true}` {
		t.Errorf("got %+v of %s", move.Actions[0], move.Message.Calls()[0].Args)
	}
	if why := move.Actions[1].Refuse; !strings.Contains(why, "the arguments of delegate_to_shipping do not fit its schema") || !strings.Contains(why, "order") {
		t.Errorf("what does not fit is refused as %q", why)
	}
}

// A tool is what its program has made, and wins.
func TestLoopOffersNoFunctionBesideAToolOfTheName(t *testing.T) {
	v := team([]*agent.Agent{research, billing}, []*agent.Agent{research, billing})
	v.Tools = append(v.Tools, &agent.Tool{Name: "delegate_to_research"}, &agent.Tool{Name: "hand_off_to_billing"})
	move, specs := offered(t, v, call("a", "delegate_to_research", `{"x": 1}`), call("b", "hand_off_to_billing", `{"x": 1}`))
	if got := strings.Join(namesOf(specs), " "); got != "lookup refund delegate_to_research hand_off_to_billing delegate_to_billing hand_off_to_research ask_person" {
		t.Errorf("offered %s", got)
	}
	for i, a := range move.Actions {
		if c := move.Message.Calls()[i]; !reflect.DeepEqual(a, agent.Action{Kind: agent.ActCall, Name: c.Name, CallID: c.ID}) {
			t.Errorf("the tool was not called: %+v", a)
		}
	}
}

// Whatever an agent is called, its functions have names that providers take, which
// differ, are the same each time, and lead back to it.
func TestLoopNamesFunctionsSoThatProvidersTakeThem(t *testing.T) {
	var agents []*agent.Agent
	for _, n := range []int{1, 51, 52, 53, 64} {
		x := strings.Repeat("x", n-1)
		agents = append(agents, &agent.Agent{Name: x + "a"}, &agent.Agent{Name: x + "b"})
	}
	agents = append(agents, &agent.Agent{Name: "a b"}, &agent.Agent{Name: "a_b"}, &agent.Agent{Name: "a/b"}, &agent.Agent{Name: strings.Repeat("ü", 70)})
	v := team(agents, agents)
	_, specs := offered(t, v)
	_, again := offered(t, v)
	if !reflect.DeepEqual(specs, again) {
		t.Error("offered again they differ")
	}
	good, seen := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`), map[string]bool{}
	var calls []*agent.Call
	for _, s := range specs[2 : len(specs)-1] {
		if !good.MatchString(s.Name) || seen[s.Name] {
			t.Errorf("%q is no good name, or stands twice", s.Name)
		}
		seen[s.Name] = true
		args := `{}`
		if strings.HasPrefix(s.Name, "delegate_to_") {
			args = `{"task": "x"}`
		}
		calls = append(calls, call(s.Name, s.Name, args))
	}
	if len(calls) != 2*len(agents) {
		t.Fatalf("%d functions for %d agents", len(calls), len(agents))
	}
	move, _ := offered(t, v, calls...)
	for i, a := range move.Actions {
		if want := agents[i%len(agents)].Name; a.Name != want || a.Refuse != "" {
			t.Errorf("%s became %+v, and not one for %s", calls[i].Name, a, want)
		}
	}
	whole, cut := "delegate_to_"+strings.Repeat("x", 51)+"a", "delegate_to_"+strings.Repeat("x", 41)+"_"
	if !seen[whole] || !slices.ContainsFunc(namesOf(specs), func(n string) bool { return strings.HasPrefix(n, cut) && len(n) == 64 }) {
		t.Errorf("a name of 64 letters is not cut, and one of 65 is: %s", namesOf(specs))
	}
}

func TestLoopRefusesTasksAndHandoffs(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, tt := range []struct{ name, args, want string }{
		{"delegate_to_research", `{}`, `the arguments of delegate_to_research do not fit its schema: missing required field "task"`},
		{"delegate_to_research", ``, `missing required field "task"`},
		{"delegate_to_research", `{"taks": "x"}`, `unknown field "taks" – did you mean "task"?`},
		{"delegate_to_research", `{"task": " \n"}`, `task: must match`},
		{"delegate_to_research", "{\"task\": \"\u00a0\"}", `the arguments of delegate_to_research make no sense: task: there are no words in it; say what is to be done`},
		{"delegate_to_research", `{"task": {"what": "x"}}`, `task: expected a string`},
		{"delegate_to_research", `{"task": "x", "agent": "root"}`, `unknown field "agent"`},
		{"delegate_to_research", `{"task": "x", "task": "y"}`, `duplicate field`},
		{"delegate_to_research", `"Find sources."`, `the arguments of delegate_to_research are not a JSON object`},
		{"delegate_to_research", `["` + long + `"]`, `not a JSON object: this came: ["xxx`},
		{"hand_off_to_billing", `{"reason": 7}`, `the arguments of hand_off_to_billing do not fit its schema: reason: expected`},
		{"hand_off_to_billing", `{"agent": "research"}`, `unknown field "agent"`},
		{"delegate_to_reserach", `{"task": "x"}`, `there is no tool "delegate_to_reserach" – did you mean "delegate_to_research"?; the tools are: lookup, refund, delegate_to_research, hand_off_to_billing, ask_person`},
		{"billing", `{}`, `there is no tool "billing" – did you mean "hand_off_to_billing"?`},
		{"research", `{}`, `there is no tool "research" – did you mean "delegate_to_research"?`},
		{"hand_off_to_research", `{}`, `there is no tool "hand_off_to_research"`},
		{"delegate_to_" + long, `{}`, `there is no tool "delegate_to_xxx`},
		{"delegate_to_", `{"task": "x"}`, `there is no tool "delegate_to_"`},
		{"delegate_to_research\x00", `{"task": "x"}`, `there is no tool`},
	} {
		move, _ := offered(t, team([]*agent.Agent{research}, []*agent.Agent{billing}), call("1", tt.name, tt.args))
		c, a := move.Message.Calls()[0], move.Actions[0]
		if !strings.Contains(a.Refuse, tt.want) || len(a.Refuse) > 1000 {
			t.Errorf("%.40s(%.40s): refused with %q\nwant %q", tt.name, tt.args, a.Refuse, tt.want)
		}
		if a.Kind != agent.ActCall || a.CallID != "1" || a.Name != c.Name || len(c.Name) > 64 || c.Args[0] != '{' || !json.Valid(c.Args) {
			t.Errorf("%.40s(%.40s): got %+v", tt.name, tt.args, a)
		}
	}
}

// Admission takes what the loop makes, and refuses no more than it says.
func TestAdmissionTakesWhatTheLoopMakes(t *testing.T) {
	long := &agent.Agent{Name: strings.Repeat("n", 64)}
	v := team([]*agent.Agent{research, long}, []*agent.Agent{billing})
	_, specs := offered(t, v)
	desk := &run.Desk{Tools: v.Tools, Validate: schema.Validate, Check: schema.Check, Delegates: v.Delegates, Handoffs: v.Handoffs}
	for name, tt := range map[string]struct {
		calls   []*agent.Call
		refused []string
	}{
		"tasks, a form and a tool": {[]*agent.Call{
			call("a", "delegate_to_research", `{"task": "Find."}`), call("b", specs[3].Name, `{"task": "Search."}`),
			call("c", planner.AskPerson, `{"question": "Where to?", "fields": [{"name": "street", "type": "string"}]}`), call("d", "lookup", `{}`),
		}, []string{"", "", "", ""}},
		"a hand-off": {[]*agent.Call{call("a", "hand_off_to_billing", `{"reason": "Money."}`)}, []string{""}},
		"a hand-off beside a task": {[]*agent.Call{
			call("a", "hand_off_to_billing", `{}`), call("b", "delegate_to_research", `{"task": "Find."}`),
		}, []string{"a hand-off stands alone", ""}},
	} {
		move, _ := offered(t, v, tt.calls...)
		moved, err := run.Admit(v, 1, "b", move, desk)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, a := range moved.Actions {
			if (tt.refused[i] == "") != (a.Refuse == "") || !strings.Contains(a.Refuse, tt.refused[i]) {
				t.Errorf("%s: action %d: %+v", name, i, a)
			}
		}
	}
}
