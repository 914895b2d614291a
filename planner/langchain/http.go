package langchain

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/fermata-run/fermata/internal/adapter"
)

// HTTPClient makes a client for a provider's WithHTTPClient, by which Generate
// sees what most providers drop: an answer's status and Retry-After, the error of
// a connection, and the key that no error may show. It does what c does, and is
// safe for all models at once; nil is a client that follows no redirects, which
// would carry the key to where nobody wanted it.
//
//	llm, err := anthropic.New(anthropic.WithHTTPClient(langchain.HTTPClient(nil)))
func HTTPClient(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	watching := *c
	watching.Transport = watcher{c.Transport}
	return &watching
}

// watcher notes what goes over the wire for the call that a request belongs to.
type watcher struct{ next http.RoundTripper }

// RoundTrip sends the request.
func (w watcher) RoundTrip(req *http.Request) (*http.Response, error) {
	next := w.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(req)
	if s, ok := req.Context().Value(seenKey{}).(*seen); ok {
		s.note(req, resp, err)
	}
	return resp, err
}

// seen is what was seen of the latest request of a call. The zero value is that
// nothing was.
type seen struct {
	mu     sync.Mutex
	status int
	after  time.Duration
	err    error
	keys   []string
}

type seenKey struct{}

// watched returns a context whose requests are noted.
func watched(ctx context.Context) (context.Context, *seen) {
	s := &seen{}
	return context.WithValue(ctx, seenKey{}, s), s
}

func (s *seen) note(req *http.Request, resp *http.Response, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.after, s.err = 0, 0, err
	if resp != nil {
		s.status, s.after = resp.StatusCode, adapter.RetryAfter(resp.Header, time.Now())
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		if v := req.Header.Get(name); v != "" {
			s.keys = append(s.keys, strings.TrimPrefix(v, "Bearer "))
		}
	}
}
