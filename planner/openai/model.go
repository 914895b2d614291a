package openai

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	goai "github.com/sashabaranov/go-openai"

	"github.com/fermata-run/fermata/agent"
)

// Provider is the name under which the package keeps opaque fields in
// [agent.Message] and [agent.Part].
const Provider = "openai"

// Model is an [agent.Model] behind a chat-completions endpoint. It is safe for
// use by many goroutines. Make it with [New].
type Model struct {
	name    string
	opts    Options
	base    *url.URL
	config  goai.ClientConfig // but for HTTPClient
	client  *http.Client
	secrets secrets
	broken  error // why the model cannot be asked at all

	profile atomic.Pointer[profile]
	tools   recent[[]agent.ToolSpec]
	systems recent[string]

	// What tests replace.
	pause func(context.Context, time.Duration) error
	tail  time.Duration // how long a finished answer waits for what may follow it
	drain time.Duration // how long a complete answer waits for its connection to become free
}

var _ agent.Model = (*Model)(nil)

const (
	firstPause = 500 * time.Millisecond // before the second attempt; it then doubles
	patience   = 5 * time.Second        // the longest Retry-After that is waited for in here
)

// New makes a model. o may be nil. New panics when model is empty or Extra
// replaces a field that it must not: both are mistakes of the program. A base
// URL that makes no sense may come from the environment, and is the error of
// each Generate.
func New(model string, o *Options) *Model {
	if model == "" {
		panic("openai: New needs the name of a model, such as gpt-5-mini")
	}
	m := &Model{name: model, opts: o.withDefaults(), pause: pause, tail: time.Second, drain: 100 * time.Millisecond}
	for _, field := range reserved {
		if _, ok := m.opts.Extra[field]; ok {
			panic("openai: Options.Extra must not replace " + field)
		}
	}
	m.client, m.secrets = newClient(m.opts.Transport), newSecrets(&m.opts)
	m.config = goai.DefaultConfig(m.opts.APIKey)
	m.config.BaseURL = m.opts.BaseURL
	m.base, m.broken = parseBase(m.opts.BaseURL)
	if m.broken == nil && m.opts.APIKey == "" && m.opts.BaseURL == defaultBaseURL && m.opts.Headers["Authorization"] == "" {
		m.broken = errors.New("there is no API key: set OPENAI_API_KEY, or Options.APIKey")
	}
	p, err := m.newProfile(0)
	if m.broken == nil && err != nil {
		m.broken = err
	}
	m.profile.Store(p)
	return m
}

func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return &url.URL{}, errors.New("the base URL is not an http or https URL with a host: set Options.BaseURL or OPENAI_BASE_URL to one such as " + defaultBaseURL)
	}
	return u, nil
}

// Generate asks the model. Errors are an [*Error], marked with
// [agent.Transient] where they may pass; ctx.Err() as soon as ctx has ended.
// When words were emitted and the answer then failed, a Reset is emitted.
func (m *Model) Generate(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
	if m.broken != nil {
		return nil, &Error{Host: m.base.Host, Model: m.name, Came: m.broken.Error()}
	}
	voice := &voice{emit: emit}
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := m.profile.Load()
		reply, err := m.attempt(ctx, p, req, voice)
		if err == nil {
			return reply, nil
		}
		voice.reset()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f := asFailure(err)
		if m.learn(p, f) {
			try-- // a request that the endpoint does not understand was not an attempt
			continue
		}
		if !f.transient || f.slow || try >= m.opts.Attempts || f.after > patience {
			return nil, m.errorOf(f)
		}
		if err := m.pause(ctx, max(f.after, backoff(try))); err != nil {
			return nil, err
		}
	}
}

// attempt asks once. An error that is not a *failure does not pass.
func (m *Model) attempt(ctx context.Context, p *profile, req *agent.ModelRequest, voice *voice) (*agent.ModelReply, error) {
	body, err := m.body(p, req)
	if err != nil {
		return nil, &failure{came: err.Error()}
	}
	x, ctx := m.newExchange(ctx, body)
	defer x.close()
	config := m.config
	config.HTTPClient = x
	stream, err := goai.NewClientWithConfig(config).CreateChatCompletionStream(ctx, goai.ChatCompletionRequest{Model: m.name})
	if err != nil {
		return nil, err // the exchange's, or go-openai does not take the model
	}
	defer stream.Close()
	a := answer{host: m.base.Host, max: m.opts.MaxAnswer, voice: voice}
	for {
		finished := a.finish != ""
		chunk, err := stream.RecvRaw()
		if err == nil {
			err = a.add(chunk)
		}
		switch {
		case err == nil:
			if a.finish != "" {
				x.finishing(a.usage != nil)
			}
		case errors.Is(err, io.EOF):
			return a.reply(x.done)
		case finished:
			return a.reply(true) // all was said before; what follows an answer does not undo it
		default:
			return nil, err
		}
	}
}

// backoff is how long to wait after the given attempt: half of it is chance,
// so that many who failed together do not come back together.
func backoff(try int) time.Duration {
	d := firstPause << min(try-1, 4)
	return d/2 + rand.N(d/2)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// voice hands words on, and remembers whether there were any.
type voice struct {
	emit  func(agent.Delta)
	spoke bool
}

func (v *voice) say(d agent.Delta) {
	if v.emit != nil {
		v.emit(d)
		v.spoke = true
	}
}

// reset takes back what was said.
func (v *voice) reset() {
	if v.spoke {
		v.emit(agent.Delta{Reset: true})
		v.spoke = false
	}
}
