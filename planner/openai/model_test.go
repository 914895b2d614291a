package openai

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
)

func bothWays(t *testing.T, f func(t *testing.T, o Options)) {
	t.Run("streamed", func(t *testing.T) { f(t, Options{}) })
	t.Run("in one", func(t *testing.T) { f(t, Options{NoStream: true}) })
}

func TestAnswers(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		s := chatserver.New(chatserver.Replies(
			chatserver.Reply{
				Reasoning: "Let me think.", Text: "I look – twice.",
				Calls: []chatserver.Call{{Name: "lookup", Args: json.RawMessage(`{"order":7,"q":"a \"b\""}`)}, {Name: "clock"}},
				Usage: &chatserver.Usage{Input: 100, Output: 20, Cached: 60, Reasoning: 5},
			},
			chatserver.Reply{Text: "Done."},
		), &chatserver.Options{Key: testKey})
		m, pauses := serve(t, s, &o)
		var h heard
		req := userSays("where is it?")
		req.Tools = []agent.ToolSpec{{Name: "lookup", Description: "Find.", Input: json.RawMessage(`{"type":"object"}`)}, {Name: "clock"}}
		reply, err := m.Generate(t.Context(), req, h.emit)
		if err != nil {
			t.Fatal(err)
		}
		want := agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{
			{Reasoning: "Let me think."},
			{Text: "I look – twice."},
			{Call: &agent.Call{ID: "call_0_0", Name: "lookup", Args: json.RawMessage(`{"order":7,"q":"a \"b\""}`)}},
			{Call: &agent.Call{ID: "call_0_1", Name: "clock", Args: json.RawMessage(`{}`)}},
		}}
		if !reflect.DeepEqual(reply.Message, want) {
			t.Fatalf("got  %+v\nwant %+v", reply.Message, want)
		}
		if want := (agent.Usage{Input: 100, Output: 20, Cached: 60, Reasoning: 5}); reply.Usage != want || reply.Model != "test-model" {
			t.Fatalf("usage %+v, model %s", reply.Usage, reply.Model)
		}
		if text, resets := h.text(); text != "I look – twice." || resets != 0 || !reflect.DeepEqual(h.calls(), []string{"lookup", "clock"}) {
			t.Fatalf("emitted %q, calls %q, resets %d", text, h.calls(), resets)
		}

		req.Messages = append(req.Messages, &reply.Message, &agent.Message{Role: agent.RoleTool, Parts: []agent.Part{
			{Result: &agent.Result{CallID: "call_0_0", Name: "lookup", Outcome: agent.Returned, Content: json.RawMessage(`{"at":"sea"}`)}},
			{Result: &agent.Result{CallID: "call_0_1", Name: "clock", Outcome: agent.Pending}},
		}})
		reply, err = m.Generate(t.Context(), req, nil)
		if err != nil || reply.Message.Text() != "Done." {
			t.Fatalf("got %+v, %v", reply, err)
		}
		if s.Err() != nil || len(pauses.took) != 0 || len(s.Requests()) != 2 {
			t.Fatalf("err %v, pauses %v, requests %d", s.Err(), pauses.took, len(s.Requests()))
		}
	})
}

func TestOptionsReachTheBody(t *testing.T) {
	h := &rawHandler{t: t, bodies: []string{sse(delta(`"content":"ok"`, "stop"))}}
	zero := float32(0)
	m, _ := serve(t, h, &Options{
		Temperature: &zero, MaxTokens: 99, ReasoningEffort: "low", Extra: map[string]any{"seed": 7, "stream_options": nil},
		Headers: map[string]string{"X-Title": "fermata"},
	})
	req := userSays("hi <b>&</b>")
	req.Output = &agent.OutputSpec{Name: "my answer!", Schema: json.RawMessage(`{"type":"object"}`)}
	if _, err := m.Generate(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	want := `{"model":"test-model","messages":[{"role":"system","content":"You help."},{"role":"user","content":"hi <b>&</b>"}]` +
		`,"response_format":{"type":"json_schema","json_schema":{"name":"my_answer_","schema":{"type":"object"},"strict":false}}` +
		`,"max_completion_tokens":99,"reasoning_effort":"low","seed":7,"stream":true,"stream_options":null,"temperature":0}`
	if got := string(h.received[0]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r := h.requests[0]
	if r.Header.Get("Authorization") != "Bearer "+testKey || r.Header.Get("X-Title") != "fermata" || r.ContentLength != int64(len(want)) {
		t.Errorf("headers %v, length %d", r.Header, r.ContentLength)
	}
}

// An endpoint that refuses a feature is asked again without, and not bothered
// with it afterwards.
func TestLearnsQuirks(t *testing.T) {
	refuse := func(what string) string {
		return `{"error":{"message":"unknown field ` + what + `","type":"invalid_request_error"}}`
	}
	h := &statusHandler{rawHandler: rawHandler{t: t}}
	h.answer = func(body string) (int, string) {
		switch {
		case strings.Contains(body, `"stream_options"`):
			return 400, `{"detail":[{"loc":["body","stream_options"],"msg":"extra fields not permitted"}]}`
		case strings.Contains(body, `"max_completion_tokens"`):
			return 422, refuse("max_completion_tokens")
		case !strings.Contains(body, `"reasoning_content":"hmm"`):
			return 400, refuse("Missing `reasoning_content` in messages[2]")
		}
		return 200, sse(delta(`"content":"ok"`, "stop"))
	}
	m, pauses := serve(t, h, &Options{MaxTokens: 5, Attempts: 1})
	req := userSays("hi")
	req.Messages = append(req.Messages, &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Reasoning: "hmm"}, {Text: "yes?"}}}, req.Messages[0])
	for range 2 {
		reply, err := m.Generate(t.Context(), req, nil)
		if err != nil || reply.Message.Text() != "ok" || reply.Usage != (agent.Usage{}) {
			t.Fatalf("got %+v, %v", reply, err)
		}
	}
	if n := len(h.received); n != 5 || len(pauses.took) != 0 {
		t.Fatalf("%d requests, pauses %v", n, pauses.took)
	}
	if last := string(h.received[4]); !strings.Contains(last, `"max_tokens":5`) {
		t.Fatalf("the last request: %s", last)
	}
}

func TestNewRefusesMistakes(t *testing.T) {
	for name, f := range map[string]func(){
		"no model": func() { New("", nil) },
		"reserved": func() { New("m", &Options{Extra: map[string]any{"messages": 1}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestUnusableOptions(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "")
	t.Setenv("OPENAI_BASE_URL", "")
	for _, c := range []struct {
		o    *Options
		want string
	}{
		{nil, "set OPENAI_API_KEY"},
		{&Options{BaseURL: "localhost:8080"}, "not an http or https URL"},
		{&Options{BaseURL: "http://x", Extra: map[string]any{"f": func() {}}}, "Extra has no JSON form"},
	} {
		_, err := New("test-model", c.o).Generate(t.Context(), userSays("x"), nil)
		mustFail(t, err, false, c.want)
	}
	m, _ := modelAt("http://127.0.0.1:1", nil)
	_, err := m.Generate(t.Context(), &agent.ModelRequest{}, nil)
	mustFail(t, err, false, "neither a system text nor messages")
	req := userSays("x")
	req.Tools = []agent.ToolSpec{{Name: "f", Input: json.RawMessage(`{`)}}
	_, err = m.Generate(t.Context(), req, nil)
	mustFail(t, err, false, "tool f is not JSON")
	req = userSays("x")
	req.Output = &agent.OutputSpec{Name: "o"}
	_, err = m.Generate(t.Context(), req, nil)
	mustFail(t, err, false, `output "o" is not JSON`)
}

func TestEnvironment(t *testing.T) {
	s := chatserver.New(chatserver.Replies(chatserver.Reply{Text: "ok"}), &chatserver.Options{Key: testKey})
	srv := httptest.NewServer(s)
	defer srv.Close()
	t.Setenv("OPENAI_API_KEY", testKey+"\n")
	t.Setenv("OPENAI_BASE_URL", srv.URL+"/v1/")
	if _, err := New("m", nil).Generate(t.Context(), userSays("x"), nil); err != nil {
		t.Fatal(err)
	}
}

// One model serves many runs at once.
func TestManyAtOnce(t *testing.T) {
	s := chatserver.New(chatserver.Replies(
		chatserver.Reply{Calls: []chatserver.Call{{Name: "f"}}, Fault: chatserver.FaultUnavail, Times: 1},
		chatserver.Reply{Text: "done"},
	), nil)
	srv := httptest.NewServer(s)
	defer srv.Close()
	m := New("test-model", &Options{BaseURL: srv.URL + "/v1", APIKey: testKey})
	m.pause = (&pauses{}).nothing
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			msg := agent.Text(fmt.Sprint("run ", i))
			msg.ID = "1"
			req := &agent.ModelRequest{Run: agent.RunID(fmt.Sprint("r", i)), Messages: []*agent.Message{&msg}}
			first, err := m.Generate(t.Context(), req, nil)
			if err != nil {
				t.Error(err)
				return
			}
			call := first.Message.Calls()[0]
			first.Message.ID = "2"
			req.Messages = append(req.Messages, &first.Message, &agent.Message{ID: "3", Role: agent.RoleTool, Parts: []agent.Part{
				{Result: &agent.Result{CallID: call.ID, Outcome: agent.Returned, Content: agent.JSONText(msg.Text())}}}})
			if second, err := m.Generate(t.Context(), req, nil); err != nil || second.Message.Text() != "done" {
				t.Errorf("got %v, %v", second, err)
			}
		})
	}
	wg.Wait()
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	for _, r := range s.Requests() {
		if r.Index == 1 {
			var body struct{ Messages []struct{ Content string } }
			if err := json.Unmarshal(r.Body, &body); err != nil || body.Messages[0].Content != body.Messages[2].Content {
				t.Fatalf("conversations are mixed up: %s", r.Body)
			}
		}
	}
}
