package openai

// How go-openai is used, and where it is not left alone.
//
// go-openai is the client: it builds the request, knows the URL and the key, and
// reads the event stream. But it encodes every message at each call, its structs
// drop the fields that they do not know, its error messages may hold the key,
// and its stream reader takes comments and "event:" lines for errors. So this
// package stands at the one seam that go-openai offers, the HTTPDoer of its
// configuration. An exchange is the doer of one request:
//
//	CreateChatCompletionStream ─► exchange.Do ─► puts the spliced body (body.go) in place
//	                                             of go-openai's, which names only the model
//	                                           ─► sends it, without following redirects
//	                                           ─► turns a bad status into a *failure
//	RecvRaw ◄─ bufio ◄─ events.Read (events.go) ◄─ makes a clean event stream of whatever
//	                                             came, or a *failure
//
// go-openai hands a doer's and a body's errors through as they are, so that a
// failure arrives whole. Its streaming call serves answers in one piece too
// (Options.NoStream): events makes a stream of one event of them. RecvRaw yields
// the raw JSON of each event, from which answer.go takes known and unknown fields
// alike.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// sharedTransport is the transport of all models without one of their own, so
// that they share connections.
var sharedTransport = sync.OnceValue(func() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = connectTimeout
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1024 // thousands of runs ask the same host
	t.MaxResponseHeaderBytes = 256 << 10
	t.WriteBufferSize = 64 << 10 // a conversation goes out in few writes, and without a buffer of its own each time
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}
	return t
})

const (
	connectTimeout = 10 * time.Second
	maxErrorBody   = 64 << 10
)

// newClient makes a client that follows no redirects: one would carry the
// conversation, and to another port of the same host also the key, to where
// nobody wanted them.
func newClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// exchange is one request and its answer. It is the HTTPDoer of a go-openai
// client of its own.
type exchange struct {
	m     *Model
	ctx   context.Context
	body  *body
	watch *watch
	done  bool // the answer has said that it is complete
}

// newExchange begins the time of an attempt. The request is to be made with the
// context that it returns.
func (m *Model) newExchange(ctx context.Context, b *body) (*exchange, context.Context) {
	w, ctx := newWatch(ctx, m.opts.Timeout)
	w.expect(m.opts.FirstByteTimeout, "no answer began")
	return &exchange{m: m, ctx: ctx, body: b, watch: w}, ctx
}

func (x *exchange) close() { x.watch.stop() }

// Do sends the request with the body of the exchange. An answer that is not a
// success is an error, a *failure.
func (x *exchange) Do(req *http.Request) (*http.Response, error) {
	req.Body, req.ContentLength = x.body.reader(), x.body.size
	req.GetBody = func() (io.ReadCloser, error) { return x.body.reader(), nil }
	if x.m.opts.NoStream {
		req.Header.Set("Accept", "application/json")
	}
	for k, v := range x.m.opts.Headers {
		req.Header.Set(k, v)
	}
	resp, err := x.m.client.Do(req)
	if err != nil {
		return nil, x.failure(err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, x.refusal(resp)
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" {
		resp.Body.Close()
		return nil, &failure{came: "an answer encoded as " + quote(enc) + ", which was not asked for"}
	}
	resp.Body = newEvents(x, resp)
	return resp, nil
}

// refusal reads the failure that a status tells.
func (x *exchange) refusal(resp *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && x.stalled() == nil && x.ctx.Err() != nil {
		return x.ctx.Err()
	}
	// A status whose body breaks off says enough.
	return judge(resp.StatusCode, raw, resp.Header)
}

// failure is what an error of the connection means: a *failure, or the context's
// error when the caller has given up.
func (x *exchange) failure(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	if s := x.stalled(); s != nil {
		return &failure{came: s.Error(), transient: true, slow: true, cause: s,
			hint: "if the model needs longer, raise the time-outs in Options"}
	}
	if err := x.ctx.Err(); err != nil {
		return err
	}
	return connectionFailure(err, address(x.m.base))
}

// stalled returns the time-out that has ended the exchange, if one has.
func (x *exchange) stalled() *stall {
	var s *stall
	errors.As(context.Cause(x.ctx), &s)
	return s
}

// finishing gives what may follow a finished answer a short time: its usage
// and the end of the stream.
func (x *exchange) finishing(all bool) {
	if all {
		x.watch.expect(x.m.drain, "the end of the answer did not come")
	} else {
		x.watch.expect(x.m.tail, "the end of the answer did not come")
	}
}

// watch ends a context when what is expected does not come in time.
type watch struct {
	cancel context.CancelCauseFunc
	whole  *time.Timer
	step   *time.Timer

	mu   sync.Mutex
	next *stall
}

// A stall says what did not come, and within what time.
type stall struct {
	what   string
	within time.Duration
}

func (s *stall) Error() string { return s.what + " within " + s.within.String() }

func (s *stall) Timeout() bool { return true }

func newWatch(ctx context.Context, whole time.Duration) (*watch, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel}
	w.whole = time.AfterFunc(whole, func() { cancel(&stall{"the answer was not complete", whole}) })
	w.step = time.AfterFunc(whole, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		cancel(w.next)
	})
	return w, ctx
}

// expect says what must come next, and when at the latest.
func (w *watch) expect(d time.Duration, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = &stall{what, d}
	w.step.Reset(d)
}

func (w *watch) stop() {
	w.step.Stop()
	w.whole.Stop()
	w.cancel(context.Canceled)
}
