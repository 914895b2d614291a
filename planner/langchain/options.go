package langchain

import (
	"cmp"
	"time"

	"github.com/tmc/langchaingo/llms"
)

// Options says how a model is asked. The zero value of each field, and nil
// Options, take the defaults.
type Options struct {
	// CallOptions go with each call, such as llms.WithMaxTokens. What they say of
	// tools, of streaming and of the number of answers is not used.
	CallOptions []llms.CallOption

	Name     string   // of the model, for replies and errors; default: that of llms.WithModel, if CallOptions have it
	Provider string   // whose rules hold, as the table of the package has them, where the model is a wrapper; default: as its type says
	NoStream bool     // ask for the answer in one piece; nothing is emitted before it is complete
	Secrets  []string // what no error may show, besides all that looks like a key

	// Timeout is how long one answer may take in all, as the providers themselves
	// wait for ever; default 15 minutes, and a negative one is none.
	Timeout time.Duration
}

// withDefaults returns a copy of o, which may be nil, without zero fields that
// have a default, and what CallOptions say.
func (o *Options) withDefaults() (Options, llms.CallOptions) {
	var r Options
	if o != nil {
		r = *o
	}
	var call llms.CallOptions
	for _, opt := range r.CallOptions {
		if opt == nil {
			panic("langchain: one of Options.CallOptions is nil")
		}
		opt(&call)
	}
	r.Timeout = cmp.Or(r.Timeout, 15*time.Minute)
	return r, call
}
