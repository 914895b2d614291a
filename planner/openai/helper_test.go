package openai

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
)

const testKey = "sk-secret-0123456789abcdef"

// serve starts a handler and makes a model that asks it. Pauses between
// attempts are only counted.
func serve(t *testing.T, h http.Handler, o *Options) (*Model, *pauses) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return modelAt(srv.URL+"/v1", o)
}

func modelAt(url string, o *Options) (*Model, *pauses) {
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.BaseURL = url
	if opts.APIKey == "" {
		opts.APIKey = testKey
	}
	m := New("test-model", &opts)
	p := &pauses{}
	m.pause = p.pause
	return m, p
}

type pauses struct{ took []time.Duration }

func (p *pauses) pause(ctx context.Context, d time.Duration) error {
	p.took = append(p.took, d)
	return ctx.Err()
}

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
	for _, d := range h.deltas {
		if text += d.Text; d.Reset {
			text, resets = "", resets+1
		}
	}
	return text, resets
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

// rawHandler answers each request with the next of the bodies, and with the
// last one again when there are no more. It checks every request.
type rawHandler struct {
	t      *testing.T
	status int
	header map[string]string
	bodies []string

	mu       sync.Mutex
	requests []*http.Request
	received [][]byte
}

func (h *rawHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if err := chatserver.CheckRequest(body); err != nil {
		h.t.Errorf("malformed request: %v\n%s", err, body)
	}
	h.mu.Lock()
	n := len(h.received)
	h.requests, h.received = append(h.requests, r), append(h.received, body)
	h.mu.Unlock()
	for k, v := range h.header {
		w.Header().Set(k, v)
	}
	if h.status != 0 {
		w.WriteHeader(h.status)
	}
	_, _ = io.WriteString(w, h.bodies[min(n, len(h.bodies)-1)])
}

// sse makes an event stream of payloads, with [DONE] at the end.
func sse(payloads ...string) string {
	return "data: " + strings.Join(append(payloads, "[DONE]"), "\n\ndata: ") + "\n\n"
}

// delta makes a payload of a delta, and of a finish reason if it is not "".
func delta(fields, finish string) string {
	reason := "null"
	if finish != "" {
		reason = `"` + finish + `"`
	}
	return `{"id":"x","model":"m-1","choices":[{"index":0,"delta":{` + fields + `},"finish_reason":` + reason + `}]}`
}

// mustFail checks an error: its kind, its words, one line, and no key in it.
func mustFail(t *testing.T, err error, transient bool, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if _, ok := agent.IsTransient(err); ok != transient {
		t.Errorf("transient is %v: %v", ok, err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), testKey) || strings.Contains(e.Error(), "0123456789") {
			t.Errorf("the key is shown: %v", e)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 1000 {
		t.Errorf("not one line: %q", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in %q", w, err)
		}
	}
	var e *Error
	if !errors.As(err, &e) || e.Model != "test-model" {
		t.Errorf("not an *Error of the model: %#v", err)
	}
}

func (p *pauses) nothing(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// statusHandler answers as a function of the request's body says.
type statusHandler struct {
	rawHandler
	answer func(body string) (status int, answer string)
}

func (h *statusHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	h.requests, h.received = append(h.requests, r), append(h.received, body)
	h.mu.Unlock()
	status, answer := h.answer(string(body))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// listen answers each connection with f and closes it. It returns its URL.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 64<<10)
			_, _ = c.Read(buf)
			f(c)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return "http://" + l.Addr().String() + "/v1"
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
