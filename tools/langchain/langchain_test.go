package langchain_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	lctools "github.com/tmc/langchaingo/tools"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
	"github.com/fermata-run/fermata/tools"
	"github.com/fermata-run/fermata/tools/langchain"
)

// theirs is a tool of langchaingo.
type theirs struct {
	name string
	call func(ctx context.Context, input string) (string, error)
}

func (t theirs) Name() string        { return t.name }
func (t theirs) Description() string { return " Does things.\n" }
func (t theirs) Call(ctx context.Context, input string) (string, error) {
	return t.call(ctx, input)
}

func echo(_ context.Context, input string) (string, error) { return "got " + input, nil }

// desk is an agent whose model calls a tool and then says what came of it.
func desk(t *testing.T, tool *agent.Tool, args string) *orchestrator.Orchestrator {
	t.Helper()
	asked := 0
	model := scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		if asked++; asked == 1 {
			return &agent.ModelReply{Message: agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: &agent.Call{Name: tool.Name, Args: json.RawMessage(args)}}}}}, nil
		}
		last := req.Messages[len(req.Messages)-1].Parts[0].Result
		return &agent.ModelReply{Message: *agent.Said(string(last.Outcome) + " " + agent.PlainText(last.Content))}, nil
	})
	a := &agent.Agent{Name: "desk", Planner: planner.Loop(model, "You help.", nil), Tools: []*agent.Tool{tool}}
	o, err := orchestrator.New(memorytest.NewStore(nil), []*agent.Agent{a}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func run(t *testing.T, o *orchestrator.Orchestrator) *orchestrator.Result {
	t.Helper()
	res, err := o.Run(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go")})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// A real tool of langchaingo, in a run.
func TestCalculator(t *testing.T) {
	calculator := langchain.From(lctools.Calculator{}, &tools.Options{Effect: agent.ReadOnly})
	if res := run(t, desk(t, calculator, `{"input":"6*7"}`)); res.Text != "returned 42" {
		t.Errorf("got %q", res.Text)
	}
	if res := run(t, desk(t, calculator, `{"inputs":"6*7"}`)); !strings.HasPrefix(res.Text, "failed ") || !strings.Contains(res.Text, "inputs") {
		t.Errorf("got %q", res.Text)
	}
}

func TestFromIsDeclared(t *testing.T) {
	plain := langchain.From(theirs{"Google Search", echo}, nil)
	if plain.Name != "Google_Search" || plain.Description != "Does things." || plain.Effect != agent.Once || plain.Approve != nil {
		t.Errorf("got %+v", plain)
	}
	if want := `{"type":"string"`; !strings.Contains(string(plain.Input), want) || !strings.Contains(string(plain.Input), `"required":["input"]`) {
		t.Errorf("schema %s", plain.Input)
	}
	o := &tools.Options{Effect: agent.Idempotent, Approve: agent.Always, Timeout: time.Second, Retry: agent.Retry{Attempts: 3}, Limit: 2}
	full := langchain.From(theirs{"x", echo}, o)
	if full.Effect != o.Effect || full.Approve == nil || full.Timeout != o.Timeout || full.Retry.Attempts != 3 || full.Limit != 2 {
		t.Errorf("got %+v", full)
	}
}

// A call that needs approval waits, is made once, and gives its result.
func TestFromWithApproval(t *testing.T) {
	calls := 0
	tool := langchain.From(theirs{"pay", func(ctx context.Context, input string) (string, error) {
		calls++
		if agent.CallFrom(ctx).Key == "" {
			t.Error("the call has no key")
		}
		return echo(ctx, input)
	}}, &tools.Options{Approve: agent.Always})
	o := desk(t, tool, `{"input":"7"}`)
	res := run(t, o)
	if res.Status != agent.StatusWaiting || len(res.Asks) != 1 || calls != 0 {
		t.Fatalf("got %+v after %d calls", res, calls)
	}
	if err := o.Answer(t.Context(), res.Asks[0].ID, agent.Answer{Choice: agent.Approve}); err != nil {
		t.Fatal(err)
	}
	res, err := o.Await(t.Context(), res.Run)
	if err != nil || res.Text != "returned got 7" || calls != 1 {
		t.Errorf("got %+v, %v after %d calls", res, err, calls)
	}
}

func TestFromFails(t *testing.T) {
	no := errors.New("no such page")
	tool := langchain.From(theirs{"x", func(context.Context, string) (string, error) { return "", no }}, nil)
	if _, err := tool.Call(t.Context(), json.RawMessage(`{"input":"a"}`)); !errors.Is(err, no) || agent.IsNotDone(err) {
		t.Errorf("got %v", err)
	}
	// What the error of a tool that must not run twice means, a person has to say.
	if res := run(t, desk(t, tool, `{"input":"a"}`)); len(res.Asks) != 1 || res.Asks[0].Kind != agent.AskOutcome {
		t.Errorf("got %+v", res)
	}
	tool.Effect = agent.ReadOnly
	if res := run(t, desk(t, tool, `{"input":"a"}`)); res.Text != "failed no such page" {
		t.Errorf("got %q", res.Text)
	}
	for _, args := range []string{`{"input":7}`, `{"input":"a","more":1}`, `"a"`} {
		if _, err := tool.Call(t.Context(), json.RawMessage(args)); !agent.IsNotDone(err) {
			t.Errorf("%s: got %v", args, err)
		}
	}
}

func TestPanics(t *testing.T) {
	call := func(context.Context, json.RawMessage) (json.RawMessage, error) { return nil, nil }
	for want, f := range map[string]func(){
		"the tool is nil": func() { langchain.From(nil, nil) },
		"the name":        func() { langchain.From(theirs{" ", echo}, nil) },
		"the effect":      func() { langchain.From(theirs{"x", echo}, &tools.Options{Effect: "twice"}) },
		"To: the tool":    func() { langchain.To(nil) },
		"no Call":         func() { langchain.To(&agent.Tool{Name: "x"}) },
		"approval rule":   func() { langchain.To(&agent.Tool{Name: "x", Call: call, Approve: agent.Always}) },
		"the schema":      func() { langchain.To(&agent.Tool{Name: "x", Call: call, Input: json.RawMessage(`{"type":7}`)}) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.Contains(s, want) {
					t.Errorf("%s: recovered %q", want, s)
				}
			}()
			f()
		}()
	}
}

func TestTo(t *testing.T) {
	const (
		order = `{"type":"object","properties":{"order":{"type":"integer"}},"required":["order"],"additionalProperties":false}`
		text  = `{"type":"object","properties":{"city":{"type":"string","minLength":1}},"required":["city"],"additionalProperties":false}`
		maybe = `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`
		none  = `{"type":"object","properties":{},"additionalProperties":false}`
	)
	cases := []struct{ schema, input, want string }{
		{order, `{"order": 7}`, `{"order": 7}`},
		{order, " {\"order\":7}\n", `{"order":7}`},
		{order, `7`, `error: the input must be a JSON object that fits the tool's schema, got "7"`},
		{order, `order 7`, `error: must be a JSON object`},
		{order, `{"order": 7`, `error: must be a JSON object`},
		{order, `[{"order":7}]`, `error: must be a JSON object`},
		{order, `{"order":"7"}`, `error: does not fit: order: expected an integer`},
		{order, `{}`, `error: does not fit`},
		{order, ``, `error: does not fit`},
		{text, `Bern`, `{"city":"Bern"}`},
		{text, ` "Bern"  `, `{"city":" \"Bern\"  "}`},
		{text, `{"city":"Bern"}`, `{"city":"Bern"}`},
		{text, `{"town":"Bern"}`, `error: does not fit`},
		{text, ``, `error: does not fit`},
		{maybe, `Bern`, `error: must be a JSON object`},
		{maybe, `{"a":"x"}`, `{"a":"x"}`},
		{none, ``, `{}`},
		{none, `x`, `error: must be a JSON object`},
		{``, `{"any":1}`, `{"any":1}`},
		{``, `words`, `error: the input must be a JSON object, got "words"`},
	}
	for _, c := range cases {
		called := false
		tool := langchain.To(&agent.Tool{Name: "x", Input: json.RawMessage(c.schema), Call: func(_ context.Context, args json.RawMessage) (json.RawMessage, error) {
			called = true
			return agent.JSONText(string(args)), nil
		}})
		got, err := tool.Call(t.Context(), c.input)
		if words, ok := strings.CutPrefix(c.want, "error: "); ok {
			if err == nil || !strings.Contains(err.Error(), words) || !agent.IsNotDone(err) || called {
				t.Errorf("%s: %q: got %q, %v", c.schema, c.input, got, err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s: %q: got %q, %v", c.schema, c.input, got, err)
		}
	}
}

func TestToResults(t *testing.T) {
	no := errors.New("no")
	cases := []struct {
		call func(ctx context.Context) (json.RawMessage, error)
		want string
	}{
		{func(context.Context) (json.RawMessage, error) { return json.RawMessage(`"text"`), nil }, "text"},
		{func(context.Context) (json.RawMessage, error) { return json.RawMessage(`{"x":1}`), nil }, `{"x":1}`},
		{func(context.Context) (json.RawMessage, error) { return nil, nil }, ""},
		{func(context.Context) (json.RawMessage, error) { return nil, no }, "error: no"},
		{func(context.Context) (json.RawMessage, error) { panic("ouch") }, "error: tool x panicked: ouch"},
		{func(ctx context.Context) (json.RawMessage, error) { <-ctx.Done(); return nil, ctx.Err() }, "error: context deadline exceeded"},
	}
	for _, c := range cases {
		tool := langchain.To(&agent.Tool{Name: "x", Timeout: 50 * time.Millisecond, Call: func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) { return c.call(ctx) }})
		got, err := tool.Call(t.Context(), "")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestToIsDescribed(t *testing.T) {
	call := func(context.Context, json.RawMessage) (json.RawMessage, error) { return nil, nil }
	for schema, want := range map[string]string{
		``: "Finds.\nThe input is a JSON object.",
		`{"type":"object","properties":{"city":{"type":"string"}}}`:    "Finds.\nThe input is the city, as plain text.",
		`{"type":"object", "properties":{"order":{"type":"integer"}}}`: `Finds.` + "\n" + `The input is a JSON object that fits this JSON Schema: {"type":"object","properties":{"order":{"type":"integer"}}}`,
	} {
		tool := langchain.To(&agent.Tool{Name: "find", Description: "Finds.", Input: json.RawMessage(schema), Call: call})
		if tool.Name() != "find" || tool.Description() != want {
			t.Errorf("%s: %q", schema, tool.Description())
		}
	}
}

// There and back again: what one side makes, the other takes.
func TestThereAndBack(t *testing.T) {
	again := langchain.To(langchain.From(lctools.Calculator{}, nil))
	if got, err := again.Call(t.Context(), "6*7"); err != nil || got != "42" {
		t.Errorf("got %q, %v", got, err)
	}
	tool := langchain.From(again, nil)
	if got, err := tool.Call(t.Context(), json.RawMessage(`{"input":"2+2"}`)); err != nil || string(got) != `"4"` {
		t.Errorf("got %s, %v", got, err)
	}
}
