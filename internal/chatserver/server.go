package chatserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options says how a server behaves. The zero value and nil are a strict
// server without a key.
type Options struct {
	Key  string    // if set, a request without "Authorization: Bearer <Key>" gets 401
	Log  io.Writer // gets each request as a line of JSON, see [Request]; writes are serialized
	Keep int       // how many of the latest requests [Server.Requests] returns; 0 means 1000, negative none
	Lax  bool      // answer malformed requests too, without looking: cheaper, for benchmarks
}

// A Request is a request as it came. Its JSON is a line of Options.Log.
type Request struct {
	Time  time.Time       `json:"time"`
	Path  string          `json:"path"`
	Index int             `json:"index"`           // of the reply in the script
	Fault Fault           `json:"fault,omitempty"` // what was played instead
	Error string          `json:"error,omitempty"` // why it was refused
	Body  json.RawMessage `json:"body"`

	Header http.Header `json:"-"` // not logged: it holds the key
}

// Server is an http.Handler that plays a script. It answers every POST to a
// path that ends in /chat/completions, streaming when the request says so. Make
// it with [New].
type Server struct {
	script Script
	opts   Options

	mu       sync.Mutex
	requests []Request
	refused  error          // the first malformed request
	faults   map[string]int // how often each conversation met its fault
}

// New makes a server of a script. o may be nil.
func New(script Script, o *Options) *Server {
	s := &Server{script: script, faults: map[string]int{}}
	if o != nil {
		s.opts = *o
	}
	if s.opts.Keep == 0 {
		s.opts.Keep = 1000
	}
	return s
}

// Requests returns the latest requests, the oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Err returns what was wrong with the first malformed request, or nil if there
// was none.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/chat/completions") {
		errorPlay(http.StatusNotFound, "invalid_request_error", "unknown_url", "Unknown request URL: "+r.Method+" "+r.URL.Path).perform(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	rec := Request{Time: time.Now(), Path: r.URL.Path, Body: body, Header: r.Header.Clone()}
	p := s.answer(r, body, &rec)
	s.record(rec)
	p.perform(w, r)
}

// answer chooses what is played.
func (s *Server) answer(r *http.Request, body []byte, rec *Request) play {
	if got := r.Header.Get("Authorization"); s.opts.Key != "" && got != "Bearer "+s.opts.Key {
		rec.Error = "wrong key"
		key := strings.TrimPrefix(got, "Bearer ")
		return errorPlay(http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: "+key)
	}
	req, err := parseRequest(body)
	if err == nil && !s.opts.Lax {
		err = CheckRequest(body)
	}
	if err != nil {
		return s.refuse(rec, err)
	}
	rec.Index = req.index
	reply, err := s.script.reply(req)
	if err != nil {
		rec.Error = err.Error()
		return errorPlay(http.StatusBadRequest, "invalid_request_error", "script", "chatserver: "+rec.Error)
	}
	if (reply.Fault != "" || reply.Raw != nil) && s.strikes(body, reply.Times) {
		rec.Fault = reply.Fault
		if reply.Raw != nil {
			return reply.Raw.play()
		}
		return reply.Fault.play(reply, req, r)
	}
	return reply.play(req)
}

func (s *Server) refuse(rec *Request, err error) play {
	rec.Error = err.Error()
	if !json.Valid(rec.Body) {
		rec.Body, _ = json.Marshal(string(rec.Body)) // a string always has a JSON form
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = fmt.Errorf("chatserver: malformed request: %w", err)
	}
	return errorPlay(http.StatusBadRequest, "invalid_request_error", "malformed", "chatserver: malformed request: "+rec.Error)
}

// strikes counts a fault, and reports whether it is played this time.
func (s *Server) strikes(body []byte, times int) bool {
	if times <= 0 {
		return true
	}
	var conv struct {
		Messages json.RawMessage `json:"messages"`
	}
	_ = json.Unmarshal(body, &conv) // it was parsed before
	sum := sha256.Sum256(conv.Messages)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[string(sum[:])]++
	return s.faults[string(sum[:])] <= times
}

func (s *Server) record(rec Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Keep > 0 {
		if len(s.requests) >= s.opts.Keep {
			s.requests = s.requests[1:]
		}
		s.requests = append(s.requests, rec)
	}
	if s.opts.Log != nil {
		var line bytes.Buffer
		enc := json.NewEncoder(&line)
		enc.SetEscapeHTML(false)
		if enc.Encode(rec) == nil {
			_, _ = s.opts.Log.Write(line.Bytes()) // the log is for tests, which see that a line is missing
		}
	}
}
