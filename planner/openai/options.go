package openai

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// Options says how a model is asked. The zero value of each field, and nil
// Options, take the defaults.
type Options struct {
	APIKey  string // default: the environment's OPENAI_API_KEY, whatever BaseURL is; local endpoints need none
	BaseURL string // what /chat/completions follows; default: the environment's OPENAI_BASE_URL, then https://api.openai.com/v1

	NoStream        bool           // ask for the answer in one piece; nothing is emitted before it is complete
	Temperature     *float32       // nil leaves it to the endpoint, as reasoning models want it
	MaxTokens       int            // of one answer, reasoning included; an answer that is cut off there is an error. 0 leaves it to the endpoint
	ReasoningEffort string         // such as "low" or "high"; "" leaves it to the endpoint
	Extra           map[string]any // more fields of the request's body; may replace all but model, messages, tools and stream

	Headers   map[string]string // sent with each request; may replace Authorization
	Transport http.RoundTripper // default: one that all models share, with a connect time-out of 10 s

	// FirstByteTimeout is how long the answer may take to begin. A model may think
	// for minutes before it says a word, hence the default of 3 minutes. With
	// NoStream nothing comes before all is said, and the default is Timeout.
	FirstByteTimeout time.Duration
	IdleTimeout      time.Duration // how long an answer may pause once it has begun; default 1 minute
	Timeout          time.Duration // of one attempt in all, which ends endless trickles; default 15 minutes

	// Attempts is how often one request is tried when it fails quickly for a
	// reason that may pass; default 3, and 1 never tries again.
	Attempts  int
	MaxAnswer int // how many bytes of words, reasoning and calls one answer may have; more is an error; default 4 MiB
}

// withDefaults returns a copy of o, which may be nil, without zero fields that
// have a default.
func (o *Options) withDefaults() Options {
	var r Options
	if o != nil {
		r = *o
	}
	r.APIKey = strings.TrimSpace(cmp.Or(r.APIKey, os.Getenv("OPENAI_API_KEY")))
	r.BaseURL = strings.TrimRight(strings.TrimSpace(cmp.Or(r.BaseURL, os.Getenv("OPENAI_BASE_URL"), defaultBaseURL)), "/")
	r.Timeout = cmp.Or(r.Timeout, 15*time.Minute)
	if r.NoStream {
		r.FirstByteTimeout = cmp.Or(r.FirstByteTimeout, r.Timeout)
	}
	r.FirstByteTimeout = cmp.Or(r.FirstByteTimeout, 3*time.Minute)
	r.IdleTimeout = cmp.Or(r.IdleTimeout, time.Minute)
	r.Attempts = max(cmp.Or(r.Attempts, 3), 1)
	r.MaxAnswer = cmp.Or(r.MaxAnswer, 4<<20)
	if r.Transport == nil {
		r.Transport = sharedTransport()
	}
	return r
}

const defaultBaseURL = "https://api.openai.com/v1"

// reserved are the fields of the body that Extra must not replace: the package
// could not keep its promises without them.
var reserved = []string{"model", "messages", "tools", "stream"}

// settings makes the fields of a request's body that do not change from call
// to call, from its first comma on.
func (o *Options) settings(q quirks) ([]byte, error) {
	fields := map[string]any{}
	if !o.NoStream {
		fields["stream"] = true
		if q&noStreamOptions == 0 {
			fields["stream_options"] = map[string]bool{"include_usage": true}
		}
	}
	if o.Temperature != nil {
		fields["temperature"] = *o.Temperature
	}
	if o.ReasoningEffort != "" {
		fields["reasoning_effort"] = o.ReasoningEffort
	}
	switch {
	case o.MaxTokens > 0 && q&oldMaxTokens != 0:
		fields["max_tokens"] = o.MaxTokens
	case o.MaxTokens > 0:
		fields["max_completion_tokens"] = o.MaxTokens
	}
	for k, v := range o.Extra {
		fields[k] = v
	}
	if len(fields) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("Options.Extra has no JSON form: %w", err)
	}
	b[0] = ','
	return b[:len(b)-1], nil
}
