package planner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/internal/wellformed"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner"
)

// A fake is a model that says what it was told to, in order, and keeps what it
// was asked. Each text is streamed before the reply is returned.
type fake struct {
	replies []any // *agent.ModelReply or error
	asked   []*agent.ModelRequest
}

func (f *fake) Generate(_ context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
	if len(f.asked) == len(f.replies) {
		return nil, errors.New("fake: asked too often")
	}
	f.asked = append(f.asked, req)
	if err := wellformed.Check(req.Messages); err != nil {
		return nil, fmt.Errorf("fake: %w", err)
	}
	switch r := f.replies[len(f.asked)-1].(type) {
	case error:
		return nil, r
	case *agent.ModelReply:
		for _, p := range r.Message.Parts {
			if p.Text != "" {
				emit(agent.Delta{Text: p.Text})
			}
		}
		return r, nil
	}
	return nil, nil
}

func says(text string, calls ...*agent.Call) *agent.ModelReply {
	r := &agent.ModelReply{Model: "fake-1", Usage: agent.Usage{Input: 10, Output: 2}}
	r.Message.Role = agent.RoleAssistant
	if text != "" {
		r.Message.Parts = append(r.Message.Parts, agent.Part{Text: text})
	}
	for _, c := range calls {
		r.Message.Parts = append(r.Message.Parts, agent.Part{Call: c})
	}
	return r
}

func call(id, name, args string) *agent.Call {
	return &agent.Call{ID: id, Name: name, Args: json.RawMessage(args)}
}

func view(messages ...*agent.Message) *agent.View {
	return &agent.View{
		Run: "r1", Agent: "support", Instructions: "Be kind.", Messages: messages,
		Tools: []*agent.Tool{
			{Name: "lookup", Description: "Find.", Input: json.RawMessage(`{"type":"object"}`)},
			{Name: "refund", Description: "Pay back."},
		},
	}
}

func text(s string) *agent.Message {
	m := agent.Text(s)
	return &m
}

func deltas(got *[]agent.Delta) func(agent.Delta) {
	return func(d agent.Delta) { *got = append(*got, d) }
}

func TestLoopAsksAndAnswers(t *testing.T) {
	m := &fake{replies: []any{says("Hello.")}}
	v := view(text("Hi"))
	var heard []agent.Delta
	move, err := planner.Loop(m, "x", nil).Plan(t.Context(), v, deltas(&heard))
	if err != nil {
		t.Fatal(err)
	}
	want := &agent.Move{Message: agent.Said("Hello."), Usage: agent.Usage{Input: 10, Output: 2}, Model: "fake-1"}
	if !reflect.DeepEqual(move, want) {
		t.Errorf("got %+v", move)
	}
	if !reflect.DeepEqual(heard, []agent.Delta{{Text: "Hello."}}) {
		t.Errorf("heard %+v", heard)
	}
	req := m.asked[0]
	if req.Run != "r1" || req.System != "Be kind." || len(req.Messages) != 1 || req.Output != nil {
		t.Errorf("asked %+v", req)
	}
	var names []string
	for _, s := range req.Tools {
		names = append(names, s.Name)
		if !json.Valid(s.Input) {
			t.Errorf("%s: the schema is %q", s.Name, s.Input)
		}
	}
	if got := strings.Join(names, " "); got != "lookup refund ask_person" {
		t.Errorf("offered %s", got)
	}
}

func TestLoopMayBeForbiddenToAsk(t *testing.T) {
	for name, tt := range map[string]struct {
		o    *planner.LoopOptions
		tool string
		want int
	}{
		"asks":              {nil, "other", 4},
		"NoAsk":             {&planner.LoopOptions{NoAsk: true}, "other", 3},
		"a tool so called":  {nil, planner.AskPerson, 3},
		"both, and no harm": {&planner.LoopOptions{NoAsk: true}, planner.AskPerson, 3},
	} {
		m := &fake{replies: []any{says("", call("1", planner.AskPerson, `{"question": "Which?"}`))}}
		v := view()
		v.Tools = append(v.Tools, &agent.Tool{Name: tt.tool})
		move, err := planner.Loop(m, "", tt.o).Plan(t.Context(), v, nil)
		if err != nil || len(m.asked[0].Tools) != tt.want {
			t.Fatalf("%s: %d functions, %v", name, len(m.asked[0].Tools), err)
		}
		a := move.Actions[0]
		switch name {
		case "asks":
			if a.Kind != agent.ActAsk {
				t.Errorf("%s: %+v", name, a)
			}
		case "NoAsk":
			if a.Refuse != `there is no tool "ask_person"; the tools are: lookup, refund, other` {
				t.Errorf("%s: %+v", name, a)
			}
		default:
			if a.Kind != agent.ActCall || a.Refuse != "" {
				t.Errorf("%s: %+v", name, a)
			}
		}
	}
}

func TestLoopTurnsCallsIntoActions(t *testing.T) {
	reply := says("One moment.",
		call("a", "lookup", `{"id": 1}`),
		call("b", "refund", ``),
		call("c", planner.AskPerson, `{"question": "Which size?", "choices": ["S", "M ", "S", "M"]}`),
		call("d", planner.AskPerson, `{"question": "Why?", "choices": null}`),
		call("e", planner.AskPerson, `{"question": "Sure?", "choices": ["yes"]}`),
	)
	reply.Message.ID = "theirs"
	reply.Message.Parts = append(reply.Message.Parts,
		agent.Part{}, agent.Part{Result: &agent.Result{CallID: "a"}}, agent.Part{Reasoning: "hm"},
		agent.Part{Opaque: map[string]json.RawMessage{"p": []byte("1")}})
	reply.Message.Opaque = map[string]json.RawMessage{"p": []byte("2")}
	move, err := planner.Loop(&fake{replies: []any{reply}}, "", nil).Plan(t.Context(), view(text("Hi")), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []agent.Action{
		{Kind: agent.ActCall, Name: "lookup", CallID: "a"},
		{Kind: agent.ActCall, Name: "refund", CallID: "b"},
		{Kind: agent.ActAsk, CallID: "c", Ask: &agent.Ask{Kind: agent.AskChoice, Prompt: "Which size?", Choices: []string{"S", "M"}}},
		{Kind: agent.ActAsk, CallID: "d", Ask: &agent.Ask{Kind: agent.AskQuestion, Prompt: "Why?"}},
		{Kind: agent.ActAsk, CallID: "e", Ask: &agent.Ask{Kind: agent.AskQuestion, Prompt: "Sure?"}},
	}
	if !reflect.DeepEqual(move.Actions, want) {
		t.Errorf("got %+v", move.Actions)
	}
	m := move.Message
	if m.ID != "" || m.Role != agent.RoleAssistant || m.Text() != "One moment." || len(m.Parts) != 8 || string(m.Opaque["p"]) != "2" {
		t.Errorf("got %+v", m)
	}
	if got := string(m.Calls()[1].Args); got != "{}" {
		t.Errorf("empty arguments became %s", got)
	}
}

func TestLoopRepairsIDs(t *testing.T) {
	before := &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: call("old", "lookup", "{}")}, {Call: call("call_3_1", "lookup", "{}")}}}
	results := &agent.Message{Role: agent.RoleTool, Parts: []agent.Part{
		{Result: &agent.Result{CallID: "old", Outcome: agent.Returned}}, {Result: &agent.Result{CallID: "call_3_1", Outcome: agent.Returned}}}}
	reply := says("",
		call("", "lookup", "{}"), call("old", "lookup", "{}"), call("x", "lookup", "{}"), call("x", "lookup", "{}"), call("call_3_3", "lookup", "{}"))
	m := &fake{replies: []any{reply, reply}}
	loop := planner.Loop(m, "", nil)
	for range 2 { // the same view gives the same ids
		move, err := loop.Plan(t.Context(), view(text("Hi"), before, results), nil)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for i, c := range move.Message.Calls() {
			ids = append(ids, c.ID)
			if move.Actions[i].CallID != c.ID {
				t.Errorf("action %d is for %s, not for %s", i, move.Actions[i].CallID, c.ID)
			}
		}
		if got := strings.Join(ids, " "); got != "call_3_0 call_3_1_ x call_3_3_ call_3_3" {
			t.Errorf("got %s", got)
		}
	}
	if c := reply.Message.Calls(); c[0].ID != "" || c[1].ID != "old" {
		t.Error("the model's own reply was changed")
	}
}

func TestLoopRefusesWhatCannotBeDone(t *testing.T) {
	long := strings.Repeat("é", 1000)
	for _, tt := range []struct {
		name, args             string
		wantName, wantArgs     string
		refuse, refuseContains string
	}{
		{name: "lookup", args: `{"a": 1}`, wantArgs: `{"a": 1}`},
		{name: "lookup", args: "  {}\n", wantArgs: `{}`},
		{name: "lookup", args: `null`, wantArgs: `{}`},
		{name: "lookup", args: `""`, wantArgs: `{}`},
		{name: "lookup", args: `"{\"a\": 1}"`, wantArgs: `{"a": 1}`}, // written as a string
		{name: "functions.lookup", args: `{}`, wantName: "lookup"},
		{
			name: "refnud", args: `{}`, wantName: "refnud",
			refuse: `there is no tool "refnud" – did you mean "refund"?; the tools are: lookup, refund, ask_person`,
		},
		{name: "", args: `{}`, wantName: "unknown", refuse: `there is no tool ""; the tools are: lookup, refund, ask_person`},
		{name: "a b/ü" + strings.Repeat("x", 100), args: `{}`, wantName: "a_b__" + strings.Repeat("x", 59), refuseContains: `there is no tool "a b/üxxx`},
		{
			name: "lookup", args: `"{\"a\": "`, wantArgs: `{"_invalid":"{\"a\":"}`,
			refuse: "the arguments of lookup are not a JSON object: unexpected end of JSON input; make the call again with its arguments as one JSON object",
		},
		{name: "lookup", args: `{"a": `, wantArgs: `{"_invalid":"{\"a\":"}`, refuseContains: "unexpected end of JSON input"},
		{name: "lookup", args: `[1]`, wantArgs: `{"_invalid":"[1]"}`, refuseContains: "not a JSON object: this came: [1];"},
		{name: "lookup", args: "{\"a\": \"\xff\"}", wantArgs: "{\"_invalid\":\"{\\\"a\\\": \\\"\uFFFD\\\"}\"}", refuseContains: "not UTF-8"},
		{name: "lookup", args: `"x` + long + `"`, wantArgs: `{"_invalid":"x` + long[:498] + `…"}`, refuseContains: "invalid character 'x'"},
		{name: "refnud", args: `[1]`, wantArgs: `{"_invalid":"[1]"}`, refuseContains: `there is no tool`},
		{
			name: planner.AskPerson, args: `{"questoin": "Which?"}`,
			refuse: `the arguments of ask_person do not fit its schema: missing required field "question"; unknown field "questoin" – did you mean "question"?`,
		},
		{name: planner.AskPerson, args: `{"question": "  "}`, refuseContains: "question: must match"},
		{name: planner.AskPerson, args: `{"question": "Which?", "choices": "A"}`, refuseContains: "choices: expected null or an array"},
		{name: planner.AskPerson, args: `{"question": "Which?", "question": "What?"}`, refuseContains: "duplicate field"},
	} {
		move, err := planner.Loop(&fake{replies: []any{says("", call("1", tt.name, tt.args))}}, "", nil).Plan(t.Context(), view(), nil)
		if err != nil {
			t.Fatal(err)
		}
		c, a := move.Message.Calls()[0], move.Actions[0]
		if tt.wantName != "" && c.Name != tt.wantName || tt.wantArgs != "" && string(c.Args) != tt.wantArgs {
			t.Errorf("%s(%s) stands in the message as %s(%s)", tt.name, tt.args, c.Name, c.Args)
		}
		var object map[string]any
		if err := json.Unmarshal(c.Args, &object); err != nil {
			t.Errorf("%s(%s): the arguments became %s", tt.name, tt.args, c.Args)
		}
		if tt.refuseContains == "" && a.Refuse != tt.refuse || !strings.Contains(a.Refuse, tt.refuseContains) {
			t.Errorf("%s(%s): refused with %q", tt.name, tt.args, a.Refuse)
		}
		if a.Kind != agent.ActCall || a.Name != c.Name || a.CallID != "1" || a.Args != nil || len(a.Refuse) > 1000 {
			t.Errorf("%s(%s): got %+v", tt.name, tt.args, a)
		}
	}
}

func TestLoopMakesSoManyCallsAtOnce(t *testing.T) {
	var calls []*agent.Call
	for i := range 70 {
		calls = append(calls, call(fmt.Sprint(i), "lookup", "{}"))
	}
	move, err := planner.Loop(&fake{replies: []any{says("", calls...)}}, "", nil).Plan(t.Context(), view(), nil)
	if err != nil || len(move.Actions) != 70 || len(move.Message.Calls()) != 70 {
		t.Fatalf("%d actions, %v", len(move.Actions), err)
	}
	for i, a := range move.Actions {
		if refused := a.Refuse != ""; refused != (i >= 64) {
			t.Errorf("action %d: %+v", i, a)
		}
	}
}

func TestLoopErrors(t *testing.T) {
	boom := agent.Transient(errors.New("overloaded"), time.Minute)
	for name, tt := range map[string]struct {
		reply     any
		want      string
		transient bool
		reset     bool
	}{
		"the model's own":  {boom, "overloaded", true, false},
		"nothing":          {says(""), "planner: the model fake-1 answered with neither words nor calls", true, false},
		"space":            {says(" \n"), "neither words nor calls", true, true},
		"mere thoughts":    {&agent.ModelReply{Message: agent.Message{Parts: []agent.Part{{Reasoning: "hm"}}}}, "the model answered with neither", true, false},
		"no reply, no err": {nil, "neither a reply nor an error", false, false},
	} {
		var heard []agent.Delta
		move, err := planner.Loop(&fake{replies: []any{tt.reply}}, "", nil).Plan(t.Context(), view(), deltas(&heard))
		if move != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %+v, %v", name, move, err)
		}
		if _, ok := agent.IsTransient(err); ok != tt.transient {
			t.Errorf("%s: transient is %v", name, ok)
		}
		if reset := len(heard) > 0 && heard[len(heard)-1].Reset; reset != tt.reset {
			t.Errorf("%s: heard %+v", name, heard)
		}
	}
	picture := &agent.ModelReply{Message: agent.Message{Parts: []agent.Part{{Media: &agent.Media{Type: "image/png", URL: "https://example.com/a.png"}}}}}
	if move, err := planner.Loop(&fake{replies: []any{picture}}, "", nil).Plan(t.Context(), view(), nil); err != nil || len(move.Message.Parts) != 1 {
		t.Errorf("a picture is an answer too: %v", err)
	}
}

func TestBrief(t *testing.T) {
	v := &agent.View{
		Agent: "support", User: agent.User{ID: "u1", Name: "Ann", Groups: []string{"vip"}}, Meta: map[string]string{"shop": "<Böoks>"},
		Now: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
	}
	for _, tt := range []struct{ in, want string }{
		{"Plain.", "Plain."},
		{"{{.User.Name}} ({{.User.ID}}) of {{.Meta.shop}}{{.Meta.nothing}}, {{.Agent}}, {{.Now}} {{.Now.Format \"15:04\"}}", "Ann (u1) of <Böoks>, support, 2026-01-02 15:04"},
		{"{{range .User.Groups}}{{.}}{{end}}{{if .Meta.x}}x{{else}}y{{end}}{{index .User.Groups 0}}", "vipyvip"},
		{`{{"{{"}}`, "{{"},
	} {
		b, ok := planner.Loop(&fake{}, tt.in, nil).(agent.Briefer)
		if !ok {
			t.Fatal("a Loop is no Briefer")
		}
		if got, err := b.Brief(t.Context(), v); got != tt.want || err != nil {
			t.Errorf("%s: got %q, %v", tt.in, got, err)
		}
	}
	if got, err := planner.Loop(&fake{}, "[{{.Meta.name}}]", nil).(agent.Briefer).Brief(t.Context(), &agent.View{}); got != "[]" || err != nil {
		t.Errorf("without meta: got %q, %v", got, err)
	}
	if _, err := planner.Loop(&fake{}, "{{index .User.Groups 7}}", nil).(agent.Briefer).Brief(t.Context(), v); err == nil || !strings.HasPrefix(err.Error(), "planner: the instructions cannot be rendered: ") {
		t.Errorf("got %v", err)
	}
}

func TestLoopPanicsAtConstruction(t *testing.T) {
	for _, tt := range []struct {
		make func()
		want string
	}{
		{func() { planner.Loop(nil, "", nil) }, "planner.Loop: the model is nil: give the model to ask"},
		{func() { planner.Loop(&fake{}, "{{.Meta", nil) }, "planner.Loop: the instructions are no template: template: instructions:1: unclosed action"},
		{func() { planner.Loop(&fake{}, "{{.Mta.name}}", nil) }, "can't evaluate field Mta"},
		{func() { planner.Loop(&fake{}, "", &planner.LoopOptions{Output: []byte(`{"type": "int"}`)}) }, "planner.Loop: LoopOptions.Output: bad JSON Schema: type: "},
		{func() { planner.OutputOf[chan int]() }, "planner.OutputOf[chan int]: schema: chan int has no JSON form"},
		{func() { planner.Fallback() }, "planner.Fallback: there is no model"},
		{func() { planner.Fallback(&fake{}, nil) }, "planner.Fallback: model 1 is nil"},
	} {
		if got := panicOf(tt.make); !strings.Contains(got, tt.want) {
			t.Errorf("got %s\nwant %s", got, tt.want)
		}
	}
}

func panicOf(f func()) (msg string) {
	defer func() { msg, _ = recover().(string) }()
	f()
	return "no panic"
}

// The view is shared between goroutines.
func TestLoopLeavesTheViewAsItIs(t *testing.T) {
	v := view(text("Hi"), &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: call("a", "lookup", "{ }")}}},
		&agent.Message{Role: agent.RoleTool, Parts: []agent.Part{{Result: &agent.Result{CallID: "a", Outcome: agent.Returned}}}})
	v.Messages = append(make([]*agent.Message, 0, 10), v.Messages...) // with room to spare
	before := fmt.Sprintf("%+v %+v", *v.Messages[0], *v.Messages[1].Parts[0].Call)
	o := &planner.LoopOptions{Output: planner.OutputOf[int]()}
	m := &fake{replies: []any{says("x"), says("y", call("a", "lookup", "[]"))}}
	if _, err := planner.Loop(m, "", o).Plan(t.Context(), v, nil); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v %+v", *v.Messages[0], *v.Messages[1].Parts[0].Call); got != before {
		t.Errorf("was %s\nis %s", before, got)
	}
	if spare := v.Messages[:cap(v.Messages)][3]; spare != nil {
		t.Errorf("the room behind the messages was written: %+v", spare)
	}
}

func FuzzRepair(f *testing.F) {
	f.Add("lookup", `{"a": 1}`, "1")
	f.Add("ask_person", `{"question": "x", "choices": ["a", "b"]}`, "")
	f.Add("functions.refund", `"{"`, "old")
	f.Add("delegate_to_research", `{"task": "x"}`, "a")
	f.Add("hand_off_to_billing", `{"reason": null}`, "call_1_0")
	f.Add("ask_person", `{"question": "x", "fields": [{"name": "a", "type": "string", "choices": ["b"]}]}`, "")
	f.Fuzz(func(t *testing.T, name, args, id string) {
		v := team([]*agent.Agent{research}, []*agent.Agent{billing})
		v.Messages = []*agent.Message{
			{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: call("old", "lookup", "{}")}}},
			{Role: agent.RoleTool, Parts: []agent.Part{{Result: &agent.Result{CallID: "old", Outcome: agent.Returned}}}},
		}
		m := &fake{replies: []any{says("", call(id, name, args), call(id, name, args))}}
		move, err := planner.Loop(m, "", nil).Plan(t.Context(), v, nil)
		if err != nil {
			t.Fatal(err)
		}
		results := &agent.Message{Role: agent.RoleTool}
		for i, c := range move.Message.Calls() {
			if move.Actions[i].CallID != c.ID || len(c.Name) > 64 || len(c.Args) == 0 {
				t.Errorf("%q(%q) became %+v with %+v", name, args, c, move.Actions[i])
			}
			results.Parts = append(results.Parts, agent.Part{Result: &agent.Result{CallID: c.ID, Name: c.Name, Outcome: agent.Returned}})
		}
		if err := wellformed.Check(append(v.Messages, move.Message, results)); err != nil {
			t.Errorf("%q(%q): %v", name, args, err)
		}
		desk := &run.Desk{Tools: v.Tools, Validate: schema.Validate, Check: schema.Check, Delegates: v.Delegates, Handoffs: v.Handoffs}
		if _, err := run.Admit(v, 1, "b", move, desk); err != nil {
			t.Errorf("%q(%q) makes the planner look broken: %v", name, args, err)
		}
	})
}
