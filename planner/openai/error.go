package openai

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// Error is a failed request to a model. It is one line, and holds no key.
type Error struct {
	Host   string // of the endpoint, with its port if there is one
	Model  string
	Status int    // of HTTP; 0 when no answer came or it was not the status that told
	Code   string // what the endpoint calls it, such as "rate_limit_exceeded"; CodeContextLength, CodeCutOff and CodeFiltered for all endpoints
	Came   string // what came instead of an answer
	Hint   string // what to do about it; may be ""
	Err    error  // the cause, if there is one
}

// Codes that the package sets itself, whatever the endpoint calls it.
const (
	CodeContextLength = "context_length_exceeded" // the conversation is longer than the model takes
	CodeCutOff        = "length"                  // the answer was cut off at the token limit
	CodeFiltered      = "content_filter"          // the endpoint withheld the answer or refused the conversation
)

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("openai: asked " + e.Model)
	if e.Host != "" {
		b.WriteString(" at " + e.Host)
	}
	b.WriteString(": ")
	if e.Status != 0 {
		fmt.Fprintf(&b, "%d %s", e.Status, http.StatusText(e.Status))
		if e.Came != "" {
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Came)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// failure is why one attempt failed, before it is known what becomes of it.
type failure struct {
	status    int
	code      string
	came      string // what came; may hold anything that the endpoint sent
	hint      string
	cause     error
	text      string // all that the endpoint said
	transient bool
	slow      bool          // it took long to find out: not to be tried again in here
	after     time.Duration // how long the endpoint wants to be left alone
}

func (f *failure) Error() string { return f.came }

// asFailure returns the failure that err is, or one for it.
func asFailure(err error) *failure {
	if f, ok := err.(*failure); ok {
		return f
	}
	return &failure{came: err.Error(), cause: err}
}

// errorOf makes the error of a failure for the outside.
func (m *Model) errorOf(f *failure) error {
	e := &Error{
		Host: m.base.Host, Model: m.name, Status: f.status, Code: m.secrets.hide(f.code),
		Came: adapter.OneLine(m.secrets.hide(f.came)), Hint: f.hint, Err: f.cause,
	}
	if f.cause != nil && m.secrets.hide(f.cause.Error()) != f.cause.Error() {
		e.Err = nil // what it says is in Came
	}
	if f.transient {
		return agent.Transient(e, f.after)
	}
	return e
}

// secrets are what no error may show.
type secrets struct{ list []string }

func newSecrets(o *Options) secrets {
	var s secrets
	add := func(v string) {
		v = strings.TrimSpace(v)
		_, bare, scheme := strings.Cut(v, " ") // "Bearer sk-…"
		for _, secret := range []string{v, url.QueryEscape(v)} {
			if len(secret) >= 4 && !slices.Contains(s.list, secret) { // a shorter one hides nothing, but would blot out words
				s.list = append(s.list, secret)
			}
		}
		if scheme && len(bare) >= 4 {
			s.list = append(s.list, bare)
		}
	}
	add(o.APIKey)
	for name, v := range o.Headers {
		if isSecret(name) {
			add(v)
		}
	}
	if u, err := url.Parse(o.BaseURL); err == nil {
		if password, ok := u.User.Password(); ok {
			add(password)
		}
	}
	// The longest first, so that no part of one remains.
	slices.SortFunc(s.list, func(a, b string) int { return len(b) - len(a) })
	return s
}

// isSecret reports whether a header of that name carries a secret.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"auth", "key", "token", "secret", "cookie"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func (s secrets) hide(text string) string {
	for _, secret := range s.list {
		text = strings.ReplaceAll(text, secret, "[key]")
	}
	return text
}

func quote(s string) string {
	if s = adapter.OneLine(s); s == "" {
		return "nothing"
	}
	return `"` + s + `"`
}

func bytesText(n int) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
