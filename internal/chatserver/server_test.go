package chatserver_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	goai "github.com/sashabaranov/go-openai"

	"github.com/fermata-run/fermata/internal/chatserver"
)

func start(t *testing.T, script chatserver.Script, o *chatserver.Options) (*chatserver.Server, *goai.Client) {
	t.Helper()
	s := chatserver.New(script, o)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	cfg := goai.DefaultConfig("sk-test")
	cfg.BaseURL = srv.URL + "/v1"
	return s, goai.NewClientWithConfig(cfg)
}

func ask(msgs ...goai.ChatCompletionMessage) goai.ChatCompletionRequest {
	return goai.ChatCompletionRequest{Model: "m", Messages: msgs, StreamOptions: &goai.StreamOptions{IncludeUsage: true}}
}

var hello = goai.ChatCompletionMessage{Role: "user", Content: "hello there"}

func TestScriptInOneAndStreamed(t *testing.T) {
	script := chatserver.Replies(
		chatserver.Reply{Text: "I look twice.", Calls: []chatserver.Call{
			{Name: "lookup", Args: json.RawMessage(`{"order":7,"verbose":true}`)}, {Name: "clock"},
		}},
		chatserver.Reply{Text: "Done.", Usage: &chatserver.Usage{Input: 10, Output: 5, Cached: 3}},
	)
	s, client := start(t, script, nil)

	one, err := client.CreateChatCompletion(t.Context(), goai.ChatCompletionRequest{Model: "m", Messages: []goai.ChatCompletionMessage{hello}})
	if err != nil {
		t.Fatal(err)
	}
	first := one.Choices[0].Message
	streamed, finish, usage := receive(t, client, ask(hello))
	if streamed.Content != "I look twice." || first.Content != streamed.Content || finish != "tool_calls" || usage == nil {
		t.Fatalf("in one %+v, streamed %+v %s %v", first, streamed, finish, usage)
	}
	for i, c := range first.ToolCalls {
		if got := streamed.ToolCalls[i]; got.ID != c.ID || got.Function != c.Function {
			t.Fatalf("call %d: in one %+v, streamed %+v", i, c, got)
		}
	}
	if first.ToolCalls[0].Function.Arguments != `{"order":7,"verbose":true}` || first.ToolCalls[0].ID == first.ToolCalls[1].ID {
		t.Fatalf("calls %+v", first.ToolCalls)
	}

	conv := []goai.ChatCompletionMessage{hello, first}
	for _, c := range first.ToolCalls {
		conv = append(conv, goai.ChatCompletionMessage{Role: "tool", ToolCallID: c.ID, Content: "ok"})
	}
	second, finish, usage := receive(t, client, ask(conv...))
	if second.Content != "Done." || finish != "stop" || usage.PromptTokens != 10 || usage.PromptTokensDetails.CachedTokens != 3 {
		t.Fatalf("got %+v %s %+v", second, finish, usage)
	}
	if reqs := s.Requests(); len(reqs) != 3 || reqs[2].Index != 1 || s.Err() != nil {
		t.Fatalf("recorded %d, err %v", len(reqs), s.Err())
	}
}

// receive reads a stream with go-openai, as another client would.
func receive(t *testing.T, client *goai.Client, req goai.ChatCompletionRequest) (m goai.ChatCompletionMessage, finish goai.FinishReason, usage *goai.Usage) {
	t.Helper()
	stream, err := client.CreateChatCompletionStream(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for {
		c, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return m, finish, usage
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.Usage != nil {
			usage = c.Usage
		}
		for _, ch := range c.Choices {
			m.Content += ch.Delta.Content
			finish = ch.FinishReason
			for _, d := range ch.Delta.ToolCalls {
				if d.ID != "" {
					m.ToolCalls = append(m.ToolCalls, goai.ToolCall{ID: d.ID, Function: goai.FunctionCall{Name: d.Function.Name}})
				}
				m.ToolCalls[*d.Index].Function.Arguments += d.Function.Arguments
			}
		}
	}
}

func TestScenesAndRepeat(t *testing.T) {
	script, err := chatserver.ParseScript([]byte(`{"scenes":[
		{"user":"refund","replies":[{"text":"which order?","repeat":2},{"text":"done"}]},
		{"system":"pirate","replies":[{"text":"arr","repeat":-1,"delay":"1ms"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s, client := start(t, script, nil)
	say := func(role, text string) goai.ChatCompletionMessage {
		return goai.ChatCompletionMessage{Role: role, Content: text}
	}
	text := func(msgs ...goai.ChatCompletionMessage) string {
		t.Helper()
		r, err := client.CreateChatCompletion(t.Context(), goai.ChatCompletionRequest{Model: "m", Messages: msgs})
		if err != nil {
			return err.Error()
		}
		return r.Choices[0].Message.Content
	}
	refund, a := say("user", "a refund please"), say("assistant", "x")
	for i, want := range []string{"which order?", "which order?", "done", "scene 0 has run out"} {
		msgs := []goai.ChatCompletionMessage{refund}
		for range i {
			msgs = append(msgs, a, refund)
		}
		if got := text(msgs...); !strings.Contains(got, want) {
			t.Fatalf("reply %d is %q", i, got)
		}
	}
	pirate := say("system", "you are a pirate")
	if got := text(pirate, say("user", "hi"), a, a, a, a, say("user", "hi")); got != "arr" {
		t.Fatalf("got %q", got)
	}
	if got := text(say("user", "hi")); !strings.Contains(got, "no scene fits") {
		t.Fatalf("got %q", got)
	}
	if got := text(say("user", "hi"), goai.ChatCompletionMessage{Role: "tool", Content: "x", ToolCallID: "nope"}); !strings.Contains(got, "malformed request") || s.Err() == nil {
		t.Fatalf("got %q, %v", got, s.Err())
	}
}

func TestParseScriptRefuses(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{`[{"text":"x","fault":"nope"}]`, `no fault "nope"`},
		{`[{"txt":"x"}]`, "unknown field"},
		{`[{"delay":"soon"}]`, "invalid duration"},
		{`"x"`, "neither a list"},
	} {
		if _, err := chatserver.ParseScript([]byte(c.script)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.script, err, c.want)
		}
	}
}

func TestTimesAndLog(t *testing.T) {
	var log bytes.Buffer
	_, client := start(t, chatserver.Replies(chatserver.Reply{Text: "at last", Fault: chatserver.FaultUnavail, Times: 2}), &chatserver.Options{Log: &log})
	for i := range 3 {
		_, err := client.CreateChatCompletion(t.Context(), goai.ChatCompletionRequest{Model: "m", Messages: []goai.ChatCompletionMessage{hello}})
		if (err == nil) != (i == 2) {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"fault":"unavailable"`) || strings.Contains(lines[2], "fault") || strings.Contains(log.String(), "sk-test") {
		t.Fatalf("log:\n%s", log.String())
	}
	for _, l := range lines {
		var r chatserver.Request
		if err := json.Unmarshal([]byte(l), &r); err != nil || chatserver.CheckRequest(r.Body) != nil {
			t.Fatalf("line %s: %v", l, err)
		}
	}
}

func TestKey(t *testing.T) {
	_, client := start(t, chatserver.Replies(chatserver.Reply{Text: "x"}), &chatserver.Options{Key: "sk-other"})
	_, err := client.CreateChatCompletion(t.Context(), goai.ChatCompletionRequest{Model: "m", Messages: []goai.ChatCompletionMessage{hello}})
	var api *goai.APIError
	if !errors.As(err, &api) || api.HTTPStatusCode != http.StatusUnauthorized {
		t.Fatalf("got %v", err)
	}
}

// Every fault that is not a hang is played to its end, streamed and in one, and
// is not the answer.
func TestFaultsDiffer(t *testing.T) {
	for _, name := range chatserver.Faults() {
		if strings.HasPrefix(name, "hang") || name == string(chatserver.FaultDrip) {
			continue
		}
		srv := httptest.NewServer(chatserver.New(chatserver.Replies(
			chatserver.Reply{Text: "one two three", Fault: chatserver.Fault(name), Times: 1}), nil))
		for _, stream := range []string{"true", "false"} {
			if name == string(chatserver.FaultNoDone) && stream == "false" {
				continue // there is no [DONE] to leave out
			}
			body := `{"model":"m","stream":` + stream + `,"messages":[{"role":"user","content":"` + stream + `"}]}`
			bad, good := post(t, srv.URL, body), post(t, srv.URL, body)
			if bad == good || !strings.HasPrefix(good, "200 ") {
				t.Errorf("%s, stream %s: the fault sends\n%s\nthe answer is\n%s", name, stream, bad, good)
			}
		}
		srv.Close()
	}
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	r, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return r.Status + " " + string(b) + err.Error()
	}
	return r.Status + " " + string(b)
}
