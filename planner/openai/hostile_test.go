package openai

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
)

// how a fault ends for the caller.
type outcome int

const (
	passes    outcome = iota // the answer is returned
	transient                // an error that may pass, after all attempts
	permanent                // an error, at once
)

// Each fault of the test server has a defined end, streamed and in one.
func TestFaults(t *testing.T) {
	const reply = "one two three four"
	cases := []struct {
		fault    chatserver.Fault
		streamed outcome
		whole    outcome
		stalls   bool // found out by a time-out: not tried again in here
		words    []string
	}{
		{fault: chatserver.FaultHangHeader, streamed: transient, whole: transient, stalls: true, words: []string{"no answer began within"}},
		{fault: chatserver.FaultHangBody, streamed: transient, whole: transient, stalls: true, words: []string{"no answer began within"}},
		{fault: chatserver.FaultHangMiddle, streamed: transient, whole: transient, stalls: true, words: []string{"within"}},
		{fault: chatserver.FaultHangEnd, streamed: passes, whole: passes},
		{fault: chatserver.FaultDrip, streamed: transient, whole: transient, stalls: true, words: []string{"within"}},
		{fault: chatserver.FaultCut, streamed: transient, whole: transient, words: []string{"broke off|ends in the middle"}},
		{fault: chatserver.FaultCutJSON, streamed: transient, whole: transient, words: []string{"broke off|ends in the middle"}},
		{fault: chatserver.FaultEmpty, streamed: transient, whole: transient, words: []string{"an empty answer"}},
		{fault: chatserver.FaultNoDone, streamed: passes, whole: passes},
		{fault: chatserver.FaultNoFinish, streamed: transient, whole: transient, words: []string{"in the middle"}},
		{fault: chatserver.FaultNoChoices, streamed: transient, whole: transient, words: []string{"without choices"}},
		{fault: chatserver.FaultNoContent, streamed: transient, whole: transient, words: []string{"neither words nor calls"}},
		{fault: chatserver.FaultBroken, streamed: transient, whole: transient, words: []string{"not JSON"}},
		{fault: chatserver.FaultHuge, streamed: permanent, whole: permanent, words: []string{"larger than 4 MiB", "Options.MaxAnswer"}},
		{fault: chatserver.FaultGzip, streamed: transient, whole: transient, words: []string{"compressed answer that cannot be unpacked"}},
		{fault: chatserver.FaultHTML, streamed: permanent, whole: permanent, words: []string{"a web page", "Welcome to the gateway", "Options.BaseURL"}},
		{fault: chatserver.FaultErrorOK, streamed: transient, whole: transient, words: []string{"The server had an error."}},
		{fault: chatserver.FaultErrorMid, streamed: transient, whole: transient, words: []string{"The server had an error."}},
		{fault: chatserver.FaultGateway, streamed: transient, whole: transient, words: []string{"502 Bad Gateway", "a web page"}},
		{fault: chatserver.FaultServer, streamed: transient, whole: transient, words: []string{"500 Internal Server Error", "while processing your request"}},
		{fault: chatserver.FaultUnavail, streamed: transient, whole: transient, words: []string{"503"}},
		{fault: chatserver.FaultOverloaded, streamed: transient, whole: transient, words: []string{"529", "Overloaded"}},
		{fault: chatserver.FaultRateLimit, streamed: transient, whole: transient, words: []string{"429", "Rate limit reached for test-model"}},
		{fault: chatserver.FaultQuota, streamed: permanent, whole: permanent, words: []string{"429", "no credit left"}},
		{fault: chatserver.FaultKey, streamed: permanent, whole: permanent, words: []string{"401", "provided: [key]", "OPENAI_API_KEY"}},
		{fault: chatserver.FaultForbidden, streamed: permanent, whole: permanent, words: []string{"403", "may not use this model"}},
		{fault: chatserver.FaultNoModel, streamed: permanent, whole: permanent, words: []string{"404", "asked test-model at 127.0.0.1:", "check the model's name"}},
		{fault: chatserver.FaultTooLong, streamed: permanent, whole: permanent, words: []string{"400", "longer than the model takes"}},
		{fault: chatserver.FaultLength, streamed: permanent, whole: permanent, words: []string{"cut off at the token limit", "MaxTokens"}},
		{fault: chatserver.FaultFilter, streamed: permanent, whole: permanent, words: []string{"content filter"}},
	}
	covered := map[chatserver.Fault]bool{chatserver.FaultRateLong: true} // in TestRetryAfter
	for _, c := range cases {
		covered[c.fault] = true
		t.Run(string(c.fault), func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, o Options) {
				want := c.streamed
				if o.NoStream {
					want = c.whole
				}
				ask := func(patience time.Duration) (*chatserver.Server, *pauses, *heard, *agent.ModelReply, error) {
					if c.stalls {
						o.FirstByteTimeout, o.IdleTimeout = patience, patience
					}
					s := chatserver.New(chatserver.Replies(chatserver.Reply{Text: reply, Fault: c.fault}), nil)
					m, pauses := serve(t, s, &o)
					m.tail = 50 * time.Millisecond
					h := new(heard)
					got, err := m.Generate(t.Context(), userSays("x"), h.emit)
					return s, pauses, h, got, err
				}
				patience := 100 * time.Millisecond
				s, pauses, h, got, err := ask(patience)
				for c.stalls && len(s.Requests()) == 0 && patience < time.Minute { // the machine is so busy that no request came to stall
					patience *= 2
					s, pauses, h, got, err = ask(patience)
				}
				text, resets := h.text()
				if want == passes {
					if err != nil || got.Message.Text() != reply || text != reply || resets != 0 {
						t.Fatalf("got %+v, %v, emitted %q", got, err, text)
					}
					return
				}
				var words []string
				for _, w := range c.words {
					for _, alternative := range strings.Split(w, "|") {
						if err != nil && strings.Contains(err.Error(), alternative) {
							w = alternative
						}
					}
					words = append(words, w)
				}
				mustFail(t, err, want == transient, words...)
				if got != nil || text != "" {
					t.Errorf("a failed answer leaves %+v, and the words %q", got, text)
				}
				tries := 1
				if want == transient && !c.stalls {
					tries = 3
				}
				if n := len(s.Requests()); n != tries || len(pauses.took) != tries-1 || s.Err() != nil {
					t.Errorf("%d requests, want %d; pauses %v; %v", n, tries, pauses.took, s.Err())
				}
			})
		})
	}
	for _, f := range chatserver.Faults() {
		if !covered[chatserver.Fault(f)] {
			t.Errorf("the fault %s has no test", f)
		}
	}
}

// What passes is not seen by the caller, but that the words begin anew.
func TestRecovers(t *testing.T) {
	for _, fault := range []chatserver.Fault{chatserver.FaultCut, chatserver.FaultUnavail, chatserver.FaultNoContent, chatserver.FaultErrorMid} {
		s := chatserver.New(chatserver.Replies(chatserver.Reply{Text: "one two three", Fault: fault, Times: 2}), nil)
		m, pauses := serve(t, s, nil)
		var h heard
		reply, err := m.Generate(t.Context(), userSays("x"), h.emit)
		if err != nil || reply.Message.Text() != "one two three" {
			t.Fatalf("%s: got %v, %v", fault, reply, err)
		}
		text, resets := h.text()
		spoke := fault == chatserver.FaultCut || fault == chatserver.FaultErrorMid
		if text != "one two three" || (resets == 2) != spoke {
			t.Errorf("%s: emitted %q, %d resets", fault, text, resets)
		}
		for i, d := range pauses.took {
			if least := firstPause << i / 2; d < least || d > 2*least {
				t.Errorf("%s: pause %d is %v", fault, i, d)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	future := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	cases := []struct {
		name     string
		header   map[string]string
		after    time.Duration // of the error; roughly
		requests int
	}{
		{"short", map[string]string{"Retry-After": "2"}, 2 * time.Second, 3},
		{"short, in milliseconds", map[string]string{"Retry-After-Ms": "1500", "Retry-After": "99"}, 1500 * time.Millisecond, 3},
		{"long", map[string]string{"Retry-After": "30"}, 30 * time.Second, 1},
		{"a date", map[string]string{"Retry-After": future}, 90 * time.Second, 1},
		{"a past date", map[string]string{"Retry-After": "Mon, 02 Jan 2006 15:04:05 GMT"}, 0, 3},
		{"absurd", map[string]string{"Retry-After": "1e300"}, 24 * time.Hour, 1},
		{"negative", map[string]string{"Retry-After": "-5"}, 0, 3},
		{"words", map[string]string{"Retry-After": "soon"}, 0, 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := &rawHandler{t: t, status: 429, header: c.header, bodies: []string{`{"error":{"message":"slow down"}}`}}
			m, pauses := serve(t, h, nil)
			_, err := m.Generate(t.Context(), userSays("x"), nil)
			mustFail(t, err, true, "429 Too Many Requests: slow down")
			after, _ := agent.IsTransient(err)
			if d := c.after - after; d < 0 || d > 5*time.Second || len(h.received) != c.requests {
				t.Errorf("after %v, %d requests", after, len(h.received))
			}
			for _, d := range pauses.took {
				if d < c.after {
					t.Errorf("waited %v only", d)
				}
			}
		})
	}
}

// A redirect is told and not followed: the key and the conversation stay here.
func TestRedirects(t *testing.T) {
	reached := make(chan *http.Request, 100)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		h := &rawHandler{t: t, status: status, header: map[string]string{"Location": other.URL + "/?k=" + testKey}, bodies: []string{""}}
		m, _ := serve(t, h, nil)
		_, err := m.Generate(t.Context(), userSays("x"), nil)
		mustFail(t, err, false, "a redirect to "+other.URL, "Options.BaseURL")
	}
	if len(reached) > 0 {
		t.Fatalf("the redirect was followed: %v", <-reached)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = discardLog()
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	garbage := listen(t, func(c net.Conn) { _, _ = c.Write([]byte("220 mail.example.com ESMTP\r\n")) })
	mute := listen(t, func(net.Conn) {})

	dials := func(err error) http.RoundTripper {
		return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
	}
	cases := []struct {
		name, url string
		transport http.RoundTripper
		transient bool
		words     []string
	}{
		{"refused", "http://" + closed + "/v1", nil, true, []string{"nobody listens at " + closed, "connection refused", "Options.BaseURL"}},
		{"reset", "http://x/v1", dials(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), true, []string{"connection to x:80 broke off"}},
		{"unknown certificate", secure.URL, nil, false, []string{"is not trusted", "Options.Transport"}},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), nil, false, []string{"does not speak TLS", "http://"}},
		{"TLS expected", strings.Replace(secure.URL, "https:", "http:", 1), nil, false, []string{"400 Bad Request", "HTTP request to an HTTPS server"}},
		{"no such host", "http://models.example/v1", dials(&net.DNSError{Err: "no such host", Name: "models.example", IsNotFound: true}), true, []string{"the address of models.example was not found", "OPENAI_BASE_URL"}},
		{"connect time-out", "https://x/v1", dials(os.ErrDeadlineExceeded), true, []string{"no connection to x:443 in time"}},
		{"another protocol", garbage, nil, true, []string{"the connection to 127.0.0.1:"}},
		{"hangs up", mute, nil, true, []string{"broke off"}},
		{"a secret in an error", "http://x/v1", roundTrip(func(r *http.Request) (*http.Response, error) {
			return nil, errors.New("cannot send header\nAuthorization: " + r.Header.Get("Authorization"))
		}), true, []string{"cannot send header Authorization: "}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, _ := modelAt(c.url, &Options{Transport: c.transport})
			_, err := m.Generate(t.Context(), userSays("x"), nil)
			mustFail(t, err, c.transient, c.words...)
		})
	}
}

// A cancelled context ends Generate at once, wherever it stands.
func TestCancel(t *testing.T) {
	why := errors.New("the user left")
	for _, fault := range []chatserver.Fault{chatserver.FaultHangHeader, chatserver.FaultHangBody, chatserver.FaultHangMiddle, chatserver.FaultRateLimit} {
		t.Run(string(fault), func(t *testing.T) {
			s := chatserver.New(chatserver.Replies(chatserver.Reply{Text: "one two three four", Fault: fault}), nil)
			came := make(chan struct{}, 10)
			m, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				came <- struct{}{}
				s.ServeHTTP(w, r)
			}), nil)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var h heard
			emitted := make(chan struct{}, 100)
			done := make(chan error, 1)
			if fault == chatserver.FaultRateLimit {
				m.pause = func(ctx context.Context, d time.Duration) error { cancel(why); return pause(ctx, time.Hour) }
			}
			go func() {
				_, err := m.Generate(ctx, userSays("x"), func(d agent.Delta) { h.emit(d); emitted <- struct{}{} })
				done <- err
			}()
			<-came
			if fault == chatserver.FaultHangMiddle {
				<-emitted
			}
			cancel(why)
			if err := <-done; err != ctx.Err() || err == nil {
				t.Fatalf("got %v", err)
			}
			if text, resets := h.text(); text != "" || (resets == 1) != (fault == chatserver.FaultHangMiddle) {
				t.Errorf("left %q, %d resets", text, resets)
			}
		})
	}
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		m, _ := modelAt("http://127.0.0.1:1", nil)
		if _, err := m.Generate(ctx, userSays("x"), nil); err != context.Canceled {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		s := chatserver.New(chatserver.Replies(chatserver.Reply{Text: "x", Fault: chatserver.FaultHangHeader}), nil)
		m, _ := serve(t, s, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := m.Generate(ctx, userSays("x"), nil); err != context.DeadlineExceeded {
			t.Fatalf("got %v", err)
		}
	})
}

// An endless trickle of proper events ends with Timeout; signs of life before
// the first event do not count as its beginning.
func TestTrickle(t *testing.T) {
	cases := []struct {
		name, line string
		o          Options
		want       string
	}{
		{"events", "data: " + delta(`"content":"x"`, "") + "\n\n", Options{Timeout: 200 * time.Millisecond}, "the answer was not complete within 200ms"},
		{"comments", ": still here\n\n", Options{FirstByteTimeout: 200 * time.Millisecond}, "no answer began within 200ms"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						_, _ = w.Write([]byte(c.line))
						_ = http.NewResponseController(w).Flush()
					case <-r.Context().Done():
						return
					}
				}
			})
			m, _ := serve(t, h, &c.o)
			_, err := m.Generate(t.Context(), userSays("x"), nil)
			mustFail(t, err, true, c.want)
		})
	}
}

// A model that go-openai does not take is told at once.
func TestModelOfAnotherKind(t *testing.T) {
	m := New("text-davinci-003", &Options{BaseURL: "http://127.0.0.1:1", APIKey: testKey})
	_, err := m.Generate(t.Context(), userSays("x"), nil)
	if _, ok := agent.IsTransient(err); err == nil || ok || !strings.Contains(err.Error(), "not supported with this method") {
		t.Fatalf("got %v", err)
	}
}

// An answer that was read to its end leaves its connection for the next.
func TestReusesConnections(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		conns := make(chan net.Conn, 100)
		srv := httptest.NewUnstartedServer(chatserver.New(chatserver.Replies(chatserver.Reply{Text: "one two"}), nil))
		srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns <- c
			}
		}
		srv.Start()
		defer srv.Close()
		m, _ := modelAt(srv.URL+"/v1", &o)
		m.drain = 10 * time.Second // however busy the machine is
		for range 10 {
			if _, err := m.Generate(t.Context(), userSays("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(conns) != 1 {
			t.Errorf("10 answers took %d connections", len(conns))
		}
	})
}
