package langchain_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/planner/langchain"
)

func TestOpenAIAnswers(t *testing.T) {
	for _, noStream := range []bool{false, true} {
		m, _ := overOpenAI(t, chatserver.Replies(chatserver.Reply{
			Reasoning: "let me think", Text: "I look twice.",
			Calls: []chatserver.Call{{ID: "x", Name: "lookup", Args: json.RawMessage(`{"order":7,"note":"[{\"id\":1}]"}`)}, {ID: "y", Name: "clock"}},
			Usage: &chatserver.Usage{Input: 100, Output: 20, Cached: 60, Reasoning: 5},
		}), &langchain.Options{NoStream: noStream, Name: "the-test"})
		req := userSays("hi")
		req.Tools = []agent.ToolSpec{lookup, {Name: "clock"}}
		var h heard
		reply, err := m.Generate(t.Context(), req, h.emit)
		if err != nil {
			t.Fatal(err)
		}
		calls := reply.Message.Calls()
		if reply.Message.Text() != "I look twice." || len(calls) != 2 || string(calls[0].Args) != `{"order":7,"note":"[{\"id\":1}]"}` || calls[1].ID != "y" {
			t.Errorf("NoStream %v: got %s", noStream, encode(reply.Message))
		}
		if reply.Message.Parts[0].Reasoning != "let me think" || reply.Model != "the-test" || reply.Message.Role != agent.RoleAssistant {
			t.Errorf("NoStream %v: got %s of %s", noStream, encode(reply.Message), reply.Model)
		}
		if want := (agent.Usage{Input: 100, Output: 20, Cached: 60, Reasoning: 5}); reply.Usage != want {
			t.Errorf("NoStream %v: usage %+v", noStream, reply.Usage)
		}
		// No JSON of calls among the words.
		text, resets := h.text()
		if text != "I look twice." || resets != 0 || h.reasoning() != "let me think" || strings.Join(h.calls(), " ") != "lookup clock" {
			t.Errorf("NoStream %v: emitted %+v", noStream, h.deltas)
		}
		if words := len(h.deltas); (words > 4) == noStream {
			t.Errorf("NoStream %v: %d deltas", noStream, words)
		}
	}
}

func encode(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// The chat server takes no request in which a call has not its one result in
// place, or arguments that are not an object.
func TestOpenAIConversation(t *testing.T) {
	script := chatserver.Script{Scenes: []chatserver.Scene{{Replies: []chatserver.Reply{{Text: "ok", Repeat: -1}}}}}
	m, s := overOpenAI(t, script, nil)
	req := &agent.ModelRequest{System: "You help.", Messages: conversation(), Tools: []agent.ToolSpec{lookup}}
	if _, err := m.Generate(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Messages []struct {
			Role, Content string
			ToolCalls     []struct {
				ID       string
				Function struct{ Arguments string }
			} `json:"tool_calls"`
		}
		Tools []json.RawMessage
	}
	if err := json.Unmarshal(s.Requests()[0].Body, &sent); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, msg := range sent.Messages {
		line := msg.Role + ": " + msg.Content
		for _, c := range msg.ToolCalls {
			line += " " + c.ID + c.Function.Arguments
		}
		got = append(got, line)
	}
	want := []string{
		"system: You help.",
		"user: Where are my orders?",
		`assistant: I look. a{"order":7} b{"_invalid":"{\"order\": nope"}`,
		"tool: sent",
		`tool: {"outcome":"pending","meaning":"not finished: it waits for a person, an event or a time, such as an approval; a note will follow. Do not call it again for this"}`,
		`user: [note] The call b of lookup has ended: {"outcome":"failed","error":"no such order"}`,
		"user: (an empty message)",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(sent.Tools) != 1 || !strings.Contains(string(sent.Tools[0]), `"parameters":{"type":"object","properties":{"order":{"type":"integer"}},"required":["order"]}`) {
		t.Errorf("tools %s", sent.Tools)
	}
}

func TestOpenAIImages(t *testing.T) {
	m, s := overOpenAI(t, chatserver.Replies(chatserver.Reply{Text: "a cat"}), nil)
	req := &agent.ModelRequest{Messages: []*agent.Message{pictures}}
	if _, err := m.Generate(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	want := `"content":[{"text":"look","type":"text"},{"type":"image_url","image_url":{"url":"https://x.example/cat.png"}},` +
		`{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}},{"text":"\n[file a.pdf, application/pdf: https://x.example/a.pdf]\nand here","type":"text"}]`
	if body := string(s.Requests()[0].Body); !strings.Contains(body, want) {
		t.Errorf("sent %s\nwant %s", body, want)
	}
}

var pictures = &agent.Message{Role: agent.RoleUser, Parts: []agent.Part{
	{Text: "look"},
	{Media: &agent.Media{Type: "image/png", URL: "https://x.example/cat.png", Name: "cat"}},
	{Media: &agent.Media{Type: "image/png", URL: "data:image/png;base64,aGk="}},
	{Media: &agent.Media{Type: "application/pdf", URL: "https://x.example/a.pdf", Name: "a.pdf"}},
	{Text: "and here"},
}}

func TestOpenAIOutput(t *testing.T) {
	cases := []struct {
		name, schema string
		tools        []agent.ToolSpec
		jsonMode     bool
	}{
		{"an object", `{"type":"object", "properties":{"x":{"type":"integer"}}}`, nil, true},
		{"an object, and tools", `{"type":"object", "properties":{"x":{"type":"integer"}}}`, []agent.ToolSpec{lookup}, true},
		{"a list", `{"type":"array"}`, nil, false},
	}
	for _, c := range cases {
		m, s := overOpenAI(t, chatserver.Replies(chatserver.Reply{Text: `{"x":1}`}), nil)
		req := userSays("hi")
		req.Output, req.Tools = &agent.OutputSpec{Name: "answer", Schema: json.RawMessage(c.schema)}, c.tools
		if _, err := m.Generate(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
		var sent struct {
			Messages []struct{ Content string }
			Format   struct{ Type string } `json:"response_format"`
		}
		_ = json.Unmarshal(s.Requests()[0].Body, &sent)
		if (sent.Format.Type == "json_object") != c.jsonMode || !strings.Contains(sent.Messages[0].Content, strings.ReplaceAll(c.schema, " ", "")) {
			t.Errorf("%s: sent %+v", c.name, sent)
		}
	}
	m, _ := overOpenAI(t, chatserver.Replies(), nil)
	_, err := m.Generate(t.Context(), &agent.ModelRequest{System: "x", Output: &agent.OutputSpec{Name: "n", Schema: json.RawMessage(`{`)}}, nil)
	mustFail(t, err, false, `the schema of the output "n" is not JSON`)
}

// What an endpoint does wrong is an error, of the right kind, streamed and in
// one piece, with and without the client that sees more.
func TestOpenAIFaults(t *testing.T) {
	cases := []struct {
		fault     chatserver.Fault
		transient bool
		status    int
		after     time.Duration // seen by HTTPClient
		words     []string
	}{
		{chatserver.FaultRateLimit, true, 429, time.Second, []string{"429", "Rate limit reached"}},
		{chatserver.FaultRateLong, true, 429, time.Hour, []string{"429"}},
		{chatserver.FaultQuota, false, 429, 0, []string{"429", "no credit left"}},
		{chatserver.FaultServer, true, 500, 0, []string{"500", "The server had an error"}},
		{chatserver.FaultUnavail, true, 503, 0, []string{"503"}},
		{chatserver.FaultOverloaded, true, 529, 0, []string{"529"}},
		{chatserver.FaultGateway, true, 502, 0, []string{"502"}},
		{chatserver.FaultKey, false, 401, 0, []string{"401", "Incorrect API key provided: [key]", "check the provider's API key"}},
		{chatserver.FaultForbidden, false, 403, 0, []string{"403"}},
		{chatserver.FaultNoModel, false, 404, 0, []string{"404", "the model's name"}},
		{chatserver.FaultTooLong, false, 400, 0, []string{"400", "longer than the model takes"}},
		{chatserver.FaultCut, true, 0, 0, nil},
		{chatserver.FaultCutJSON, true, 0, 0, nil},
		{chatserver.FaultEmpty, true, 0, 0, nil},
		{chatserver.FaultNoChoices, true, 0, 0, nil},
		{chatserver.FaultNoContent, true, 0, 0, []string{"neither words nor calls"}},
		{chatserver.FaultNoFinish, true, 0, 0, nil},
		{chatserver.FaultBroken, true, 0, 0, nil},
		{chatserver.FaultErrorOK, true, 0, 0, nil},
		{chatserver.FaultErrorMid, true, 0, 0, nil},
		{chatserver.FaultLength, false, 0, 0, []string{"cut off at the token limit"}},
		{chatserver.FaultFilter, false, 0, 0, []string{"content filter"}},
	}
	for _, c := range cases {
		for _, way := range []struct {
			name            string
			noStream, watch bool
		}{{"streamed", false, false}, {"in one", true, false}, {"streamed and watched", false, true}} {
			t.Run(string(c.fault)+" "+way.name, func(t *testing.T) {
				var more []openai.Option
				if way.watch {
					more = append(more, openai.WithHTTPClient(langchain.HTTPClient(nil)))
				}
				m, _ := overOpenAI(t, chatserver.Replies(chatserver.Reply{Text: "one two three four", Fault: c.fault}), &langchain.Options{NoStream: way.noStream}, more...)
				var h heard
				_, err := m.Generate(t.Context(), userSays("x"), h.emit)
				e := mustFail(t, err, c.transient, c.words...)
				if e.Status != c.status {
					t.Errorf("status %d: %v", e.Status, err)
				}
				if after, _ := agent.IsTransient(err); way.watch && after != c.after {
					t.Errorf("after %v", after)
				}
				if text, _ := h.text(); text != "" {
					t.Errorf("left %q", text)
				}
			})
		}
	}
}

func TestCodes(t *testing.T) {
	for fault, code := range map[chatserver.Fault]string{
		chatserver.FaultLength: langchain.CodeCutOff, chatserver.FaultFilter: langchain.CodeFiltered, chatserver.FaultTooLong: langchain.CodeContextLength,
	} {
		m, _ := overOpenAI(t, chatserver.Replies(chatserver.Reply{Text: "x y", Fault: fault}), nil)
		_, err := m.Generate(t.Context(), userSays("x"), nil)
		if e := mustFail(t, err, false); e.Code != code {
			t.Errorf("%s: code %q", fault, e.Code)
		}
	}
}

// A page with 200 is the wrong address; what follows a finished answer is not
// waited for.
func TestOpenAIOddEnds(t *testing.T) {
	m, _ := overOpenAI(t, chatserver.Replies(chatserver.Reply{Text: "x", Fault: chatserver.FaultHTML}), &langchain.Options{NoStream: true})
	_, err := m.Generate(t.Context(), userSays("x"), nil)
	mustFail(t, err, false, "a web page came")

	m, _ = overOpenAI(t, chatserver.Replies(chatserver.Reply{Text: "one two", Fault: chatserver.FaultNoDone}), nil)
	var h heard
	if reply, err := m.Generate(t.Context(), userSays("x"), h.emit); err != nil || reply.Message.Text() != "one two" {
		t.Errorf("got %v, %v", reply, err)
	}
}

// An endpoint whose last event has a choice again takes the reason away, as
// langchaingo reads it. Then the answer is asked for in one piece, from then on.
func TestOpenAILostFinish(t *testing.T) {
	stream := sse(
		`{"choices":[{"delta":{"content":"half "}}]}`,
		`{"choices":[{"delta":{},"finish_reason":"stop"}]}`,
		`{"choices":[{"delta":{"content":""},"finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`)
	asked := 0
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct{ Stream bool }
		_ = json.NewDecoder(r.Body).Decode(&req)
		asked++
		if req.Stream {
			_, _ = w.Write([]byte(stream))
			return
		}
		_, _ = w.Write([]byte(`{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}`))
	})
	m := langchain.New(must[*openai.LLM](t)(openai.New(openai.WithBaseURL(serve(t, h)), openai.WithToken(testKey))), nil)
	for i, requests := range []int{2, 3} {
		var heard heard
		reply, err := m.Generate(t.Context(), userSays("x"), heard.emit)
		if err != nil || reply.Message.Text() != "whole" || asked != requests {
			t.Fatalf("answer %d: %v, %v after %d requests", i, reply, err, asked)
		}
		if text, resets := heard.text(); text != "whole" || resets != 1-i {
			t.Errorf("answer %d: heard %q, %d resets", i, text, resets)
		}
	}
}

// sse makes an event stream of payloads, with [DONE] at the end.
func sse(payloads ...string) string {
	return "data: " + strings.Join(append(payloads, "[DONE]"), "\n\ndata: ") + "\n\n"
}

func TestUnreachable(t *testing.T) {
	for _, watch := range []bool{false, true} {
		opts := []openai.Option{openai.WithBaseURL("http://127.0.0.1:1/v1"), openai.WithToken(testKey)}
		if watch {
			opts = append(opts, openai.WithHTTPClient(langchain.HTTPClient(nil)))
		}
		m := langchain.New(must[*openai.LLM](t)(openai.New(opts...)), nil)
		_, err := m.Generate(t.Context(), userSays("x"), nil)
		mustFail(t, err, true)
		if watch != strings.Contains(err.Error(), "connection refused") {
			t.Errorf("watched %v: %v", watch, err)
		}
	}
	m := langchain.New(must[*openai.LLM](t)(openai.New(openai.WithBaseURL("nonsense"), openai.WithToken(testKey), openai.WithHTTPClient(langchain.HTTPClient(nil)))), nil)
	if _, err := m.Generate(t.Context(), userSays("x"), nil); err == nil {
		t.Error("a base URL that is none was taken")
	}
}

// A redirect would carry the key away.
func TestRedirect(t *testing.T) {
	other := &raw{}
	h := &raw{status: http.StatusTemporaryRedirect, header: map[string]string{"Location": serve(t, other)}}
	m := langchain.New(must[*openai.LLM](t)(openai.New(openai.WithBaseURL(serve(t, h)), openai.WithToken(testKey), openai.WithHTTPClient(langchain.HTTPClient(nil)))), nil)
	_, err := m.Generate(t.Context(), userSays("x"), nil)
	mustFail(t, err, false, "307", "a redirect is not followed")
	if len(other.received) > 0 {
		t.Error("it was followed")
	}
}

// A context that ends is its error, wherever the answer stands.
func TestCancel(t *testing.T) {
	for _, fault := range []chatserver.Fault{chatserver.FaultHangHeader, chatserver.FaultHangBody, chatserver.FaultHangMiddle} {
		t.Run(string(fault), func(t *testing.T) {
			came := make(chan struct{}, 10)
			s := chatserver.New(chatserver.Replies(chatserver.Reply{Text: "one two three four", Fault: fault}), nil)
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { came <- struct{}{}; s.ServeHTTP(w, r) }))
			m := langchain.New(must[*openai.LLM](t)(openai.New(openai.WithBaseURL(url), openai.WithToken(testKey))), nil)
			ctx, cancel := context.WithCancel(t.Context())
			var h heard
			emitted := make(chan struct{}, 100)
			done := make(chan error, 1)
			go func() {
				_, err := m.Generate(ctx, userSays("x"), func(d agent.Delta) { h.emit(d); emitted <- struct{}{} })
				done <- err
			}()
			<-came
			if fault == chatserver.FaultHangMiddle {
				<-emitted
			}
			cancel()
			err := <-done
			if _, transient := agent.IsTransient(err); !errors.Is(err, context.Canceled) || transient {
				t.Errorf("got %v", err)
			}
			if text, _ := h.text(); text != "" {
				t.Errorf("left %q", text)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m, s := overOpenAI(t, chatserver.Replies(), nil)
	if _, err := m.Generate(ctx, userSays("x"), nil); !errors.Is(err, context.Canceled) || len(s.Requests()) > 0 {
		t.Errorf("got %v", err)
	}
}

func TestTimeout(t *testing.T) {
	for _, fault := range []chatserver.Fault{chatserver.FaultHangHeader, chatserver.FaultHangMiddle} {
		m, _ := overOpenAI(t, chatserver.Replies(chatserver.Reply{Text: "one two three", Fault: fault}), &langchain.Options{Timeout: 50 * time.Millisecond})
		var h heard
		_, err := m.Generate(t.Context(), userSays("x"), h.emit)
		mustFail(t, err, true, "not complete within 50ms", "raise Options.Timeout")
		if errors.Is(err, context.Canceled) {
			t.Errorf("it looks cancelled: %v", err)
		}
	}
}

// Options go with each call, but for those that are the package's own.
func TestCallOptions(t *testing.T) {
	m, s := overOpenAI(t, chatserver.Replies(chatserver.Reply{Text: "ok"}), &langchain.Options{CallOptions: []llms.CallOption{
		llms.WithModel("another"), llms.WithMaxTokens(77), llms.WithN(3), llms.WithToolChoice("auto"),
		llms.WithTools([]llms.Tool{{Type: "function", Function: &llms.FunctionDefinition{Name: "theirs"}}}),
		llms.WithStreamingFunc(func(context.Context, []byte) error { t.Error("not ours"); return nil }),
	}})
	reply, err := m.Generate(t.Context(), userSays("x"), nil)
	if err != nil || reply.Model != "another" {
		t.Fatalf("got %+v, %v", reply, err)
	}
	body := string(s.Requests()[0].Body)
	for _, want := range []string{`"model":"another"`, `"max_completion_tokens":77`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
	for _, not := range []string{`"n":3`, "theirs", "tool_choice", `"stream"`} {
		if strings.Contains(body, not) {
			t.Errorf("%s is in %s", not, body)
		}
	}
}
