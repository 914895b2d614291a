package langchain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tmc/langchaingo/llms"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/langchain"
)

// played is a model of langchaingo that is a function.
type played func(ctx context.Context, msgs []llms.MessageContent, o *llms.CallOptions) (*llms.ContentResponse, error)

func (f played) GenerateContent(ctx context.Context, msgs []llms.MessageContent, opts ...llms.CallOption) (*llms.ContentResponse, error) {
	var o llms.CallOptions
	for _, opt := range opts {
		opt(&o)
	}
	return f(ctx, msgs, &o)
}

func (f played) Call(context.Context, string, ...llms.CallOption) (string, error) { panic("not used") }

// answering makes a model that answers with choices.
func answering(choices ...*llms.ContentChoice) played {
	return func(context.Context, []llms.MessageContent, *llms.CallOptions) (*llms.ContentResponse, error) {
		return &llms.ContentResponse{Choices: choices}, nil
	}
}

func failing(err error) played {
	return func(context.Context, []llms.MessageContent, *llms.CallOptions) (*llms.ContentResponse, error) {
		return nil, err
	}
}

func TestOddReplies(t *testing.T) {
	call := func(id, name, args string) llms.ToolCall {
		return llms.ToolCall{ID: id, FunctionCall: &llms.FunctionCall{Name: name, Arguments: args}}
	}
	cases := []struct {
		name    string
		choices []*llms.ContentChoice
		want    string // the parts, or the words of a transient error
	}{
		{"none", nil, "error: without choices"},
		{"nil", []*llms.ContentChoice{nil, nil}, "error: without choices"},
		{"empty", []*llms.ContentChoice{{}}, "error: neither words nor calls"},
		{"blank", []*llms.ContentChoice{{Content: " \n"}}, "error: neither words nor calls"},
		{"thoughts only", []*llms.ContentChoice{{ReasoningContent: "hm"}}, "error: reasoning only"},
		{"broken off", []*llms.ContentChoice{{Content: "x", StopReason: "error"}}, "error: broke off"},
		{"calls that are none", []*llms.ContentChoice{{Content: "x", StopReason: "tool_calls"}}, "error: calls none"},
		{"nil among others", []*llms.ContentChoice{nil, {Content: "a"}, nil, {Content: "b"}}, `[{"text":"ab"}]`},
		{"odd reason", []*llms.ContentChoice{{Content: "a", StopReason: "because"}}, `[{"text":"a"}]`},
		{"nil info", []*llms.ContentChoice{{Content: "a", GenerationInfo: map[string]any{"PromptTokens": nil, "usage": nil, "model": 7, "ThinkingContent": 3}}}, `[{"text":"a"}]`},
		{"function of old", []*llms.ContentChoice{{FuncCall: &llms.FunctionCall{Name: "f", Arguments: `{}`}}}, `[{"call":{"id":"","name":"f","args":{}}}]`},
		{"both kinds", []*llms.ContentChoice{{FuncCall: &llms.FunctionCall{Name: "f"}, ToolCalls: []llms.ToolCall{call("a", "f", "")}}}, `[{"call":{"id":"a","name":"f"}}]`},
		{"no function", []*llms.ContentChoice{{ToolCalls: []llms.ToolCall{{ID: "a"}}}}, `[{"call":{"id":"a","name":""}}]`},
		{"doubled ids", []*llms.ContentChoice{{ToolCalls: []llms.ToolCall{call("a", "f", "null"), call("a", "g", " {} ")}}}, `[{"call":{"id":"a","name":"f"}},{"call":{"id":"a","name":"g","args":{}}}]`},
		{"broken arguments", []*llms.ContentChoice{{ToolCalls: []llms.ToolCall{call("a", "f", `{"x": nope`)}}}, `[{"call":{"id":"a","name":"f","args":"{\"x\": nope"}}]`},
		{"arguments twice", []*llms.ContentChoice{{ToolCalls: []llms.ToolCall{call("a", "f", `{}{}`)}}}, `[{"call":{"id":"a","name":"f","args":"{}{}"}}]`},
		{"a list", []*llms.ContentChoice{{ToolCalls: []llms.ToolCall{call("a", "f", `[1]`)}}}, `[{"call":{"id":"a","name":"f","args":[1]}}]`},
		{"thoughts apart", []*llms.ContentChoice{{GenerationInfo: map[string]any{"ThinkingContent": "hm"}}, {Content: "a"}}, `[{"reasoning":"hm"},{"text":"a"}]`},
		{"thoughts among words", []*llms.ContentChoice{{Content: "<thinking>hm</thinking>a", GenerationInfo: map[string]any{"ThinkingContent": "hm"}}}, `[{"text":"\u003cthinking\u003ehm\u003c/thinking\u003ea"}]`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			reply, err := langchain.New(answering(c.choices...), nil).Generate(t.Context(), userSays("x"), nil)
			if words, ok := strings.CutPrefix(c.want, "error: "); ok {
				mustFail(t, err, true, words)
				return
			}
			if err != nil || encode(reply.Message.Parts) != c.want {
				t.Errorf("got %s, %v", encode(reply), err)
			}
		})
	}
	_, err := langchain.New(played(func(context.Context, []llms.MessageContent, *llms.CallOptions) (*llms.ContentResponse, error) {
		return nil, nil
	}), nil).
		Generate(t.Context(), userSays("x"), nil)
	mustFail(t, err, true, "without choices")
}

func TestUsage(t *testing.T) {
	type usage struct{ PromptTokens, CompletionTokens int }
	cases := []struct {
		name string
		info map[string]any
		want agent.Usage
	}{
		{"googleai", map[string]any{"input_tokens": int32(10), "output_tokens": int32(5), "PromptTokens": int32(10), "CompletionTokens": int32(5), "CacheReadInputTokens": int32(4), "CachedTokens": int32(4)},
			agent.Usage{Input: 10, Output: 5, Cached: 4}},
		{"bedrock", map[string]any{"input_tokens": 10, "output_tokens": 5}, agent.Usage{Input: 10, Output: 5}},
		{"mistral", map[string]any{"usage": usage{10, 5}, "model": "m", "created": 7}, agent.Usage{Input: 10, Output: 5}},
		{"as JSON", map[string]any{"usage": map[string]any{"prompt_tokens": 10.0, "completion_tokens": json.Number("5")}}, agent.Usage{Input: 10, Output: 5}},
		{"nonsense", map[string]any{"PromptTokens": -3, "CompletionTokens": "many", "usage": make(chan int), "CachedTokens": 1e300}, agent.Usage{}},
		{"more of a part than of all", map[string]any{"PromptTokens": 1, "CachedTokens": 9, "CompletionTokens": uint8(2), "ReasoningTokens": 9}, agent.Usage{Input: 1, Cached: 1, Output: 2, Reasoning: 2}},
	}
	for _, c := range cases {
		// Each choice of an answer tells what all of it cost, or nothing.
		choice := &llms.ContentChoice{Content: "a", GenerationInfo: c.info}
		reply, err := langchain.New(answering(choice, choice, &llms.ContentChoice{Content: "b"}), nil).Generate(t.Context(), userSays("x"), nil)
		if err != nil || reply.Usage != c.want {
			t.Errorf("%s: got %+v, %v", c.name, reply, err)
		}
	}
}

func TestStopReasons(t *testing.T) {
	cases := map[string]string{
		"length": langchain.CodeCutOff, "max_tokens": langchain.CodeCutOff, "MAX_TOKENS": langchain.CodeCutOff, "model_length": langchain.CodeCutOff, "FinishReasonMaxTokens": langchain.CodeCutOff,
		"content_filter": langchain.CodeFiltered, "FinishReasonSafety": langchain.CodeFiltered, "CONTENT_FILTERED": langchain.CodeFiltered, "refusal": langchain.CodeFiltered,
		"stop": "", "end_turn": "", "FinishReasonStop": "", "COMPLETE": "", "stop_sequence": "",
	}
	for reason, code := range cases {
		// Whichever choice says it, it holds for all.
		m := langchain.New(answering(&llms.ContentChoice{Content: "a"}, &llms.ContentChoice{Content: "b", StopReason: reason}), nil)
		_, err := m.Generate(t.Context(), userSays("x"), nil)
		if code == "" && err != nil {
			t.Errorf("%s: %v", reason, err)
		} else if code != "" {
			if e := mustFail(t, err, false); e.Code != code {
				t.Errorf("%s: code %q", reason, e.Code)
			}
		}
	}
	// A provider that always says it must say it.
	for provider, fails := range map[string]bool{"": false, "ollama": false, "googleai": true, "anthropic": true} {
		m := langchain.New(answering(&llms.ContentChoice{Content: "a", StopReason: "FinishReasonUnspecified"}), &langchain.Options{Provider: provider})
		if _, err := m.Generate(t.Context(), userSays("x"), nil); (err != nil) != fails {
			t.Errorf("%q: %v", provider, err)
		}
	}
}

func TestPanics(t *testing.T) {
	m := langchain.New(played(func(context.Context, []llms.MessageContent, *llms.CallOptions) (*llms.ContentResponse, error) {
		var history []int
		_ = history[len(history)-1] // as googleai does with a system text alone
		return nil, nil
	}), nil)
	_, err := m.Generate(t.Context(), userSays("x"), nil)
	mustFail(t, err, false, "the provider panicked", "index out of range")

	// Of who listens, too, which the provider may call in a goroutine.
	m = langchain.New(played(func(ctx context.Context, _ []llms.MessageContent, o *llms.CallOptions) (*llms.ContentResponse, error) {
		done := make(chan error)
		go func() { done <- o.StreamingFunc(ctx, []byte("x")) }()
		return nil, <-done
	}), nil)
	_, err = m.Generate(t.Context(), userSays("x"), func(d agent.Delta) {
		if !d.Reset {
			panic("ouch")
		}
	})
	mustFail(t, err, false, "emit panicked: ouch")
}

// A provider that goes on streaming after its call has returned is not heard.
func TestLateWords(t *testing.T) {
	var late func() error
	m := langchain.New(played(func(ctx context.Context, _ []llms.MessageContent, o *llms.CallOptions) (*llms.ContentResponse, error) {
		_ = o.StreamingFunc(ctx, []byte("in time"))
		late = func() error { return o.StreamingFunc(context.WithoutCancel(ctx), []byte("late")) }
		return nil, errors.New("overloaded")
	}), nil)
	var h heard
	_, err := m.Generate(t.Context(), userSays("x"), h.emit)
	mustFail(t, err, true, "overloaded")
	before := len(h.deltas)
	if err := late(); err != nil || len(h.deltas) != before || before != 2 {
		t.Errorf("heard %+v, %v", h.deltas, err)
	}
}

func TestConstruction(t *testing.T) {
	for name, f := range map[string]func(){
		"no model":        func() { langchain.New(nil, nil) },
		"nil call option": func() { langchain.New(answering(), &langchain.Options{CallOptions: []llms.CallOption{nil}}) },
		"no such one":     func() { langchain.New(answering(), &langchain.Options{Provider: "clippy"}) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "langchain") {
					t.Errorf("%s: recovered %q", name, s)
				}
			}()
			f()
		}()
	}
}

// status is an error as AWS's are.
type status int

func (s status) Error() string       { return "operation error" }
func (s status) HTTPStatusCode() int { return int(s) }

func TestErrors(t *testing.T) {
	coded := func(code llms.ErrorCode, cause string) error {
		return llms.NewError(code, "openai", "Something").WithCause(errors.New(cause))
	}
	cases := []struct {
		err       error
		transient bool
		after     string
		words     []string
	}{
		{coded(llms.ErrCodeRateLimit, "status code: 429: Please try again in 1.5s."), true, "1.5s", []string{"Please try again"}},
		{coded(llms.ErrCodeTimeout, "x"), true, "0s", nil},
		{coded(llms.ErrCodeProviderUnavailable, "x"), true, "0s", nil},
		{fmt.Errorf("wrapped: %w", coded(llms.ErrCodeCanceled, "x")), true, "0s", nil},
		{coded(llms.ErrCodeAuthentication, "x"), false, "0s", []string{"check the provider's API key"}},
		{coded(llms.ErrCodeQuotaExceeded, "x"), false, "0s", []string{"no credit"}},
		{coded(llms.ErrCodeResourceNotFound, "x"), false, "0s", nil},
		{coded(llms.ErrCodeTokenLimit, "x"), false, "0s", nil},
		{coded(llms.ErrCodeContentFilter, "x"), false, "0s", nil},
		{coded(llms.ErrCodeInvalidRequest, "x"), false, "0s", nil},
		{coded(llms.ErrCodeUnknown, "status code: 503"), true, "0s", []string{"status code: 503"}},
		{errors.New("googleapi: Error 429: Quota exceeded. Please retry in 34s."), true, "34s", nil},
		{errors.New("googleapi: Error 400: API key not valid. key=" + testKey), false, "0s", nil},
		{errors.New("rpc error: code = Unavailable desc = nobody there"), true, "0s", nil},
		{errors.New("https response error StatusCode: 503, RequestID: x"), true, "0s", nil},
		{status(500), true, "0s", []string{"500 Internal Server Error: operation error"}},
		{status(403), false, "0s", nil},
		{errors.New("completed due to max_tokens. Maybe try increasing max tokens"), false, "0s", []string{"WithMaxTokens"}},
		{errors.New("You exceeded your current quota, please check your plan"), false, "0s", nil},
		{errors.New("You exceeded your current quota. Please retry in 2m3s"), true, "2m3s", nil},
		{errors.New("expecting a single Text content"), false, "0s", nil},
		{errors.New("blocked by safety settings"), false, "0s", []string{"content filter"}},
		{context.DeadlineExceeded, true, "0s", nil}, // its own, not ours
		{errors.New("two\nlines, Authorization: Bearer " + testKey), false, "0s", []string{"two lines, Authorization: Bearer [key]"}},
		{errors.New(`Post "https://me:` + testKey + `@x.example/?api_key=` + testKey + `": nope`), false, "0s", []string{"https://me:[key]@x.example/?api_key=[key]"}},
		{errors.New("the key sk-proj-abc123_DEF456 and AIzaSyA1234567890123456789012345"), false, "0s", []string{"the key [key] and [key]"}},
		{errors.New("a secret of mine: open sesame"), false, "0s", []string{"a secret of mine: [key]"}},
		{errors.New("what " + strings.Repeat("long ", 1000)), false, "0s", []string{"…"}},
	}
	for _, c := range cases {
		m := langchain.New(failing(c.err), &langchain.Options{Name: "m", Secrets: []string{"open sesame"}})
		_, err := m.Generate(t.Context(), userSays("x"), nil)
		mustFail(t, err, c.transient, c.words...)
		if after, _ := agent.IsTransient(err); after.String() != c.after {
			t.Errorf("%v: after %v", err, after)
		}
		if len(err.Error()) > 1000 || !strings.HasPrefix(err.Error(), "langchain: asked m: ") {
			t.Errorf("the error is %q", err)
		}
	}
}

func TestSecretsOfTheEnvironment(t *testing.T) {
	t.Setenv("SOME_API_KEY", "plain words")
	_, err := langchain.New(failing(errors.New("you sent plain words")), nil).Generate(t.Context(), userSays("x"), nil)
	mustFail(t, err, false, "you sent [key]")
	var e *langchain.Error
	if errors.As(err, &e); e.Err != nil {
		t.Errorf("the cause still shows it: %v", e.Err)
	}
}

// The loop repairs what a model gets wrong, and the run goes on.
func TestRepairedByTheLoop(t *testing.T) {
	var asked int
	var last []llms.MessageContent
	m := langchain.New(played(func(_ context.Context, msgs []llms.MessageContent, o *llms.CallOptions) (*llms.ContentResponse, error) {
		asked, last = asked+1, msgs
		if asked > 1 {
			return &llms.ContentResponse{Choices: []*llms.ContentChoice{{Content: "done"}}}, nil
		}
		call := func(args string) llms.ToolCall {
			return llms.ToolCall{ID: "a", FunctionCall: &llms.FunctionCall{Name: "lookup", Arguments: args}}
		}
		return &llms.ContentResponse{Choices: []*llms.ContentChoice{{ToolCalls: []llms.ToolCall{call(`{"order": 7}`), call(`{"order": nope`), {}}}}}, nil
	}), nil)
	var looked []string
	tool := &agent.Tool{Name: "lookup", Input: lookup.Input, Call: func(_ context.Context, args json.RawMessage) (json.RawMessage, error) {
		looked = append(looked, string(args))
		return json.RawMessage(`"sent"`), nil
	}}
	a := &agent.Agent{Name: "desk", Planner: planner.Loop(wellformed.Model(m, func(err error) { t.Error(err) }), "You help.", nil), Tools: []*agent.Tool{tool}}
	o := must[*orchestrator.Orchestrator](t)(orchestrator.New(memorytest.NewStore(nil), []*agent.Agent{a}, nil))
	res := must[*orchestrator.Result](t)(o.Run(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("hi")}))
	if res.Text != "done" || len(looked) != 1 || looked[0] != `{"order":7}` && looked[0] != `{"order": 7}` {
		t.Errorf("got %q, looked up %q", res.Text, looked)
	}
	ids := map[string]int{}
	for _, msg := range last {
		for _, p := range msg.Parts {
			switch p := p.(type) {
			case llms.ToolCall:
				ids[p.ID]++
				if !json.Valid([]byte(p.FunctionCall.Arguments)) {
					t.Errorf("arguments %s", p.FunctionCall.Arguments)
				}
			case llms.ToolCallResponse:
				ids[p.ToolCallID] += 10
			}
		}
	}
	if len(ids) != 3 {
		t.Errorf("calls %v", ids)
	}
	for id, n := range ids {
		if n != 11 {
			t.Errorf("the call %s: %d", id, n)
		}
	}
}

// A model is safe for use by many goroutines, if langchaingo's is.
func TestConcurrently(t *testing.T) {
	m := overOllama(t, &raw{body: llama}, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			var h heard
			reply, err := m.Generate(context.Background(), userSays("x"), h.emit)
			if text, _ := h.text(); err != nil || reply.Message.Text() != "Good morning." || text != "Good morning." {
				t.Errorf("got %v, %v", reply, err)
			}
		})
	}
	wg.Wait()
}

// Whatever a model says, there is a reply that has a JSON form, or an error, and
// no arguments that are not JSON.
func FuzzReply(f *testing.F) {
	f.Add("hello", "stop", "a", "f", `{"x":1}`, "", uint8(0))
	f.Add("", "tool_calls", "", "", `{"x":`, "sk-1234567", uint8(7))
	f.Add(`[{"type":"function","function":{"name":"f","arguments":""}}]`, "length", "\xff", "f g", "\xff", "Error 429", uint8(255))
	f.Fuzz(func(t *testing.T, text, stop, id, name, args, failure string, shape uint8) {
		m := langchain.New(played(func(ctx context.Context, _ []llms.MessageContent, o *llms.CallOptions) (*llms.ContentResponse, error) {
			_ = o.StreamingFunc(ctx, []byte(text))
			_ = o.StreamingReasoningFunc(ctx, []byte(failure), nil)
			if failure != "" && shape&1 != 0 {
				return nil, errors.New(failure)
			}
			c := &llms.ContentChoice{Content: text, StopReason: stop, ReasoningContent: failure, GenerationInfo: map[string]any{name: args, "usage": args, "PromptTokens": int(shape)}}
			if shape&2 != 0 {
				c.ToolCalls = []llms.ToolCall{{ID: id, FunctionCall: &llms.FunctionCall{Name: name, Arguments: args}}, {ID: id}}
			}
			if shape&4 != 0 {
				c.FuncCall = &llms.FunctionCall{Name: name, Arguments: args}
			}
			return &llms.ContentResponse{Choices: []*llms.ContentChoice{c, nil, {}}}, nil
		}), nil)
		req := userSays("x")
		req.Tools = []agent.ToolSpec{lookup}
		var h heard
		reply, err := m.Generate(t.Context(), req, h.emit)
		if err != nil {
			if left, _ := h.text(); left != "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("left %q after %q", left, err)
			}
			return
		}
		for _, c := range reply.Message.Calls() {
			if len(c.Args) > 0 && !json.Valid(c.Args) {
				t.Errorf("arguments %q", c.Args)
			}
		}
		if _, err := json.Marshal(reply.Message); err != nil {
			t.Error(err)
		}
		if reply.Message.Text() == "" && len(reply.Message.Calls()) == 0 {
			t.Error("it says nothing")
		}
	})
}
