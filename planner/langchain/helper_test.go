package langchain_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tmc/langchaingo/llms/anthropic"
	"github.com/tmc/langchaingo/llms/ollama"
	"github.com/tmc/langchaingo/llms/openai"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/planner/langchain"
)

// testKey does not look like a key.
const testKey = "correct-horse-battery"

// heard is what a model emitted.
type heard struct {
	mu     sync.Mutex
	deltas []agent.Delta
}

func (h *heard) emit(d agent.Delta) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deltas = append(h.deltas, d)
}

// text is what remains after each Reset has taken back what came before.
func (h *heard) text() (text string, resets int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.deltas {
		if text += d.Text; d.Reset {
			text, resets = "", resets+1
		}
	}
	return text, resets
}

func (h *heard) reasoning() (text string) {
	for _, d := range h.deltas {
		text += d.Reasoning
	}
	return text
}

func (h *heard) calls() (names []string) {
	for _, d := range h.deltas {
		if d.Call != "" {
			names = append(names, d.Call)
		}
	}
	return names
}

func userSays(s string) *agent.ModelRequest {
	m := agent.Text(s)
	return &agent.ModelRequest{System: "You help.", Messages: []*agent.Message{&m}}
}

var lookup = agent.ToolSpec{Name: "lookup", Description: "Find an order.",
	Input: json.RawMessage(`{"type":"object","properties":{"order":{"type":"integer"}},"required":["order"]}`)}

// conversation is one with calls, results, a note, broken arguments and an
// empty message.
func conversation() []*agent.Message {
	call := func(id, args string) agent.Part {
		return agent.Part{Call: &agent.Call{ID: id, Name: "lookup", Args: json.RawMessage(args)}}
	}
	result := func(id string, o agent.Outcome, content string) agent.Part {
		return agent.Part{Result: &agent.Result{CallID: id, Name: "lookup", Outcome: o, Content: json.RawMessage(content)}}
	}
	user := agent.Text("Where are my orders?")
	return []*agent.Message{
		&user,
		{Role: agent.RoleAssistant, Parts: []agent.Part{{Reasoning: "hm"}, call("a", `{"order":7}`), {Text: "I look."}, call("b", `"{\"order\": nope"`)}},
		{Role: agent.RoleTool, Parts: []agent.Part{result("a", agent.Returned, `"sent"`), result("b", agent.Pending, ``)}},
		{Role: agent.RoleAssistant, Parts: []agent.Part{{Reasoning: "only thought"}}},
		{Role: agent.RoleNote, Parts: []agent.Part{result("b", agent.Failed, `"no such order"`)}},
		{Role: agent.RoleUser},
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// overOpenAI makes a model of langchaingo's openai, which asks a server that
// plays a script.
func overOpenAI(t *testing.T, script chatserver.Script, o *langchain.Options, more ...openai.Option) (agent.Model, *chatserver.Server) {
	t.Helper()
	s := chatserver.New(script, &chatserver.Options{Key: testKey})
	url := serve(t, s)
	t.Cleanup(func() {
		if err := s.Err(); err != nil {
			t.Error(err)
		}
	})
	opts := append([]openai.Option{openai.WithBaseURL(url + "/v1"), openai.WithToken(testKey), openai.WithModel("test-model")}, more...)
	return langchain.New(must[*openai.LLM](t)(openai.New(opts...)), o), s
}

func overAnthropic(t *testing.T, h http.Handler, o *langchain.Options, more ...anthropic.Option) agent.Model {
	t.Helper()
	opts := append([]anthropic.Option{anthropic.WithBaseURL(serve(t, h)), anthropic.WithToken(testKey), anthropic.WithModel("claude")}, more...)
	return langchain.New(must[*anthropic.LLM](t)(anthropic.New(opts...)), o)
}

func overOllama(t *testing.T, h http.Handler, o *langchain.Options, more ...ollama.Option) agent.Model {
	t.Helper()
	opts := append([]ollama.Option{ollama.WithServerURL(serve(t, h)), ollama.WithModel("llama3")}, more...)
	return langchain.New(must[*ollama.LLM](t)(ollama.New(opts...)), o)
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// raw answers each request with the same, and keeps what it was sent.
type raw struct {
	status int // 0 is 200
	header map[string]string
	body   string
	cut    bool // the connection, behind the body

	mu       sync.Mutex
	received [][]byte
	keys     []string
}

func (h *raw) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	h.received = append(h.received, body)
	h.keys = append(h.keys, r.Header.Get("X-Api-Key")+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	h.mu.Unlock()
	for k, v := range h.header {
		w.Header().Set(k, v)
	}
	if h.status != 0 {
		w.WriteHeader(h.status)
	}
	_, _ = io.WriteString(w, h.body)
	if h.cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// last is the latest request, read into v.
func (h *raw) last(t *testing.T, v any) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.received) == 0 {
		t.Fatal("nothing was asked")
	}
	if err := json.Unmarshal(h.received[len(h.received)-1], v); err != nil {
		t.Fatal(err)
	}
}

// mustFail checks an error: its kind, its words, one line, and no key in it.
func mustFail(t *testing.T, err error, transient bool, words ...string) *langchain.Error {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	if _, ok := agent.IsTransient(err); ok != transient {
		t.Errorf("transient is %v: %v", ok, err)
	}
	var e *langchain.Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is a %T: %v", err, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("more than one line: %q", err)
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if strings.Contains(inner.Error(), testKey) {
			t.Errorf("the key is in: %v", inner)
		}
	}
	return e
}
