package langchain

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tmc/langchaingo/llms"

	"github.com/fermata-run/fermata/agent"
)

// model is the agent.Model that New makes.
type model struct {
	llm       llms.Model
	opts      Options
	known     string // the model's name; "" if nobody has said it
	name      string // what it is called in errors
	maxTokens int    // that CallOptions ask for; 0 if they do not say
	provider  provider
	secrets   secrets

	whole atomic.Bool // its stream was found not to tell all: ask in one piece
}

// New makes an agent's model of one of langchaingo. o may be nil. The model is
// safe for use by many goroutines if m is.
//
// Errors of its Generate are an [*Error], marked with [agent.Transient] where
// they may pass; when ctx has ended, one that wraps ctx.Err(). A panic of m is an
// error, unless it happens in a goroutine that m has started. When words were
// emitted and the answer then failed, a Reset is emitted; nothing is emitted any
// more once Generate has returned, whatever m does.
//
// New panics if m is nil, a call option is, or Options.Provider is none that the
// package knows: all are mistakes of the program.
func New(m llms.Model, o *Options) agent.Model {
	if m == nil {
		panic("langchain.New: the model is nil: give one of langchaingo's")
	}
	opts, call := o.withDefaults()
	a := &model{llm: m, opts: opts, maxTokens: call.MaxTokens, provider: providerOf(m), secrets: newSecrets(opts.Secrets)}
	if opts.Provider != "" {
		var ok bool
		if a.provider, ok = named(opts.Provider); !ok {
			panic(fmt.Sprintf("langchain.New: there is no provider %q: leave Options.Provider empty, or take one of %s", opts.Provider, strings.Join(names(), ", ")))
		}
	}
	a.known = cmp.Or(opts.Name, call.Model)
	a.name = cmp.Or(a.known, a.provider.name, "the model")
	return a
}

// Generate asks the model.
func (m *model) Generate(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
	if err := ctx.Err(); err != nil {
		return nil, m.ended(err)
	}
	q, f := m.question(req)
	if f != nil {
		return nil, m.errorOf(f)
	}
	voice := &voice{emit: emit, noisy: len(q.tools) > 0}
	defer voice.close()
	for {
		stream := emit != nil && !m.opts.NoStream && !m.whole.Load() && (len(q.tools) == 0 || !m.provider.lossy)
		reply, f := m.ask(ctx, q, voice, stream)
		if f == nil {
			voice.say(reply)
			return reply, nil
		}
		voice.reset()
		if err := ctx.Err(); err != nil {
			return nil, m.ended(err)
		}
		if !stream || !f.unsaid {
			return nil, m.errorOf(f)
		}
		m.whole.Store(true)
	}
}

// ask asks once.
func (m *model) ask(ctx context.Context, q *question, voice *voice, stream bool) (*agent.ModelReply, *failure) {
	inner, seen := watched(ctx)
	if m.opts.Timeout > 0 {
		var cancel context.CancelFunc
		inner, cancel = context.WithTimeout(inner, m.opts.Timeout)
		defer cancel()
	}
	resp, err := m.call(inner, q, voice, stream)
	switch {
	case inner.Err() != nil: // a provider may return half an answer then, and no error
		return nil, &failure{came: "the answer was not complete within " + m.opts.Timeout.String(), transient: true,
			cause: inner.Err(), hint: "if the model needs longer, raise Options.Timeout"}
	case err != nil:
		return nil, judge(err, seen, time.Now())
	}
	return m.reply(resp)
}

// call calls langchaingo. A panic of it is an error.
func (m *model) call(ctx context.Context, q *question, voice *voice, stream bool) (resp *llms.ContentResponse, err error) {
	defer func() {
		if r := recover(); r != nil {
			resp, err = nil, panicked(fmt.Sprintf("the provider panicked: %v", r))
		}
	}()
	opts := append(m.opts.CallOptions[:len(m.opts.CallOptions):len(m.opts.CallOptions)], func(o *llms.CallOptions) {
		q.settings(o)
		o.StreamingFunc, o.StreamingReasoningFunc = nil, nil
		if stream {
			o.StreamingFunc, o.StreamingReasoningFunc = voice.words, voice.thoughts
		}
	})
	return m.llm.GenerateContent(ctx, q.messages, opts...)
}

// panicked is the error of a panic.
type panicked string

func (p panicked) Error() string { return string(p) }

// ended is the error of a call whose context has ended.
func (m *model) ended(err error) error { return fmt.Errorf("langchain: asked %s: %w", m.name, err) }
