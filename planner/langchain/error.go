package langchain

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// Error is a failed request to a model. It is one line, and holds no key.
type Error struct {
	Model    string // as Options.Name
	Provider string // of langchaingo, such as "anthropic"; "" if it is not known
	Status   int    // of HTTP; 0 when no answer came, or the provider does not tell
	Code     string // one of llms.ErrorCode, or of the codes of this package; "" if it is not known
	Came     string // what came instead of an answer
	Hint     string // what to do about it; may be ""
	Err      error  // the cause; nil if there is none, or its text would show a key
}

// Codes that the package sets itself, whatever the provider says. They are those
// of planner/openai.
const (
	CodeContextLength = "context_length_exceeded" // the conversation is longer than the model takes
	CodeCutOff        = "length"                  // the answer was cut off at the token limit
	CodeFiltered      = "content_filter"          // the provider withheld the answer or refused the conversation
)

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("langchain: asked " + e.Model)
	if e.Provider != "" && e.Provider != e.Model {
		b.WriteString(" of " + e.Provider)
	}
	b.WriteString(": ")
	if e.Status != 0 && !strings.Contains(e.Came, strconv.Itoa(e.Status)) {
		fmt.Fprintf(&b, "%d %s: ", e.Status, http.StatusText(e.Status))
	}
	b.WriteString(e.Came)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// failure is why one call failed, before it is known what becomes of it.
type failure struct {
	status    int
	code      string
	came      string // may hold anything that the provider said
	hint      string
	cause     error
	keys      []string      // that were sent
	transient bool          // it may pass
	unsaid    bool          // the stream may have lost what an answer in one piece has
	after     time.Duration // how long the provider wants to be left alone
}

// errorOf makes the error of a failure for the outside.
func (m *model) errorOf(f *failure) error {
	s := m.secrets.with(f.keys)
	e := &Error{
		Model: m.name, Provider: m.provider.name, Status: f.status, Code: f.code,
		Came: adapter.OneLine(s.hide(f.came)), Hint: f.hint, Err: f.cause,
	}
	if f.cause != nil && s.hide(f.cause.Error()) != f.cause.Error() {
		e.Err = nil
	}
	if f.transient {
		return agent.Transient(e, f.after)
	}
	return e
}
