package agent

import (
	"context"
	"encoding/json"
)

// A Model is a language model. It is safe for use by many goroutines.
type Model interface {
	// Generate asks the model once. Words go to emit as they come, where the
	// model streams. A reply is complete or it is an error: a truncated or empty
	// answer is never returned as if it were one. An error that may pass is
	// marked with [Transient]; any other will not get better by itself.
	Generate(ctx context.Context, req *ModelRequest, emit func(Delta)) (*ModelReply, error)
}

// ModelFunc is a Model that is a function.
type ModelFunc func(ctx context.Context, req *ModelRequest, emit func(Delta)) (*ModelReply, error)

// Generate calls f.
func (f ModelFunc) Generate(ctx context.Context, req *ModelRequest, emit func(Delta)) (*ModelReply, error) {
	return f(ctx, req, emit)
}

// ModelRequest is what a model is asked.
type ModelRequest struct {
	Run      RunID  // whose conversation it is; "" outside of one
	System   string // the instructions
	Messages []*Message
	Tools    []ToolSpec
	Output   *OutputSpec // the form of the final answer; nil for free text
}

// ToolSpec is what a model is told of a function that it may call.
type ToolSpec struct {
	Name        string
	Description string
	Input       json.RawMessage // JSON Schema, an object
}

// OutputSpec asks a model for an answer of a given form.
type OutputSpec struct {
	Name   string
	Schema json.RawMessage
}

// ModelReply is a model's complete answer.
type ModelReply struct {
	Message Message // words, reasoning and calls; calls may have empty, doubled or unknown ids and names: the planner repairs them
	Usage   Usage
	Model   string // which model answered, as the provider says
}

// Usage counts tokens.
type Usage struct {
	Input     int `json:"input,omitempty"`
	Output    int `json:"output,omitempty"`
	Cached    int `json:"cached,omitempty"`    // of Input, read from the provider's cache
	Reasoning int `json:"reasoning,omitempty"` // of Output, spent on thinking
}

// Total is Input plus Output.
func (u Usage) Total() int { return u.Input + u.Output }

// Add returns the sum of both.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		Input: u.Input + v.Input, Output: u.Output + v.Output,
		Cached: u.Cached + v.Cached, Reasoning: u.Reasoning + v.Reasoning,
	}
}

// A Delta is a piece of an answer as it comes. It is shown and not kept: the
// recorded message is what counts. One of its fields is set.
type Delta struct {
	Text      string `json:"text,omitempty"`
	Reasoning string `json:"reasoning,omitempty"`
	Call      string `json:"call,omitempty"`  // the name of a tool that is about to be called
	Reset     bool   `json:"reset,omitempty"` // this attempt is dropped: forget its words, another may begin
}
