package chatserver

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	goai "github.com/sashabaranov/go-openai"

	"github.com/fermata-run/fermata/agent"
)

type object = map[string]any

// play makes the well-behaved answer.
func (r Reply) play(req *request) play {
	p := play{delay: time.Duration(r.Delay)}
	if !req.Stream {
		p.header = jsonHeader()
		p.pieces = []string{r.whole(req)}
		return p
	}
	p.header, p.pace = streamHeader(), time.Duration(r.Pace)
	for _, e := range r.events(req) {
		p.pieces = append(p.pieces, event(e))
	}
	return p
}

func event(payload string) string { return "data: " + payload + "\n\n" }

// whole is the answer in one piece.
func (r Reply) whole(req *request) string {
	message := object{"role": goai.ChatMessageRoleAssistant, "content": nil}
	if r.Text != "" {
		message["content"] = r.Text
	}
	if r.Reasoning != "" {
		message["reasoning_content"] = r.Reasoning
	}
	var calls []object
	for i, c := range r.Calls {
		calls = append(calls, c.object(req, i, c.arguments()))
	}
	if calls != nil {
		message["tool_calls"] = calls
	}
	for k, v := range r.Extra {
		message[k] = v
	}
	return encode(object{
		"id": r.id(req), "object": "chat.completion", "created": 1, "model": req.Model,
		"choices": []object{{"index": 0, "message": message, "finish_reason": r.finish()}},
		"usage":   r.usage(req),
	})
}

// events is the answer as a stream: the payloads of its events, from the role
// to [DONE].
func (r Reply) events(req *request) []string {
	var out []string
	chunk := func(delta object, finish any) {
		out = append(out, encode(object{
			"id": r.id(req), "object": "chat.completion.chunk", "created": 1, "model": req.Model,
			"choices": []object{{"index": 0, "delta": delta, "finish_reason": finish}},
		}))
	}
	chunk(object{"role": goai.ChatMessageRoleAssistant, "content": ""}, nil)
	for _, w := range words(r.Reasoning) {
		chunk(object{"reasoning_content": w}, nil)
	}
	for _, w := range words(r.Text) {
		chunk(object{"content": w}, nil)
	}
	for i, c := range r.Calls {
		first := c.object(req, i, "")
		first["index"] = i
		chunk(object{"tool_calls": []object{first}}, nil)
		for _, piece := range pieces(c.arguments()) {
			chunk(object{"tool_calls": []object{{"index": i, "function": object{"arguments": piece}}}}, nil)
		}
	}
	if len(r.Extra) > 0 {
		delta := object{}
		for k, v := range r.Extra {
			delta[k] = v
		}
		chunk(delta, nil)
	}
	chunk(object{}, r.finish())
	if req.StreamOptions.IncludeUsage {
		out = append(out, encode(object{
			"id": r.id(req), "object": "chat.completion.chunk", "created": 1, "model": req.Model,
			"choices": []object{}, "usage": r.usage(req),
		}))
	}
	return append(out, "[DONE]")
}

func (r Reply) id(req *request) string { return fmt.Sprintf("chatcmpl-%d", req.index) }

func (r Reply) finish() string {
	switch {
	case r.Finish != "":
		return r.Finish
	case len(r.Calls) > 0:
		return string(goai.FinishReasonToolCalls)
	}
	return string(goai.FinishReasonStop)
}

func (r Reply) usage(req *request) goai.Usage {
	u := r.Usage
	if u == nil {
		u = &Usage{Input: req.size / 4, Output: len(strings.Fields(r.Text + " " + r.Reasoning))}
		for _, c := range r.Calls {
			u.Output += 1 + len(c.Args)/4
		}
	}
	return goai.Usage{
		PromptTokens: u.Input, CompletionTokens: u.Output, TotalTokens: u.Input + u.Output,
		PromptTokensDetails:     &goai.PromptTokensDetails{CachedTokens: u.Cached},
		CompletionTokensDetails: &goai.CompletionTokensDetails{ReasoningTokens: u.Reasoning},
	}
}

// object is the call as the i-th of its message. An id that the script does not
// give derives from the conversation's length.
func (c Call) object(req *request, i int, arguments string) object {
	id := c.ID
	if id == "" {
		id = fmt.Sprintf("call_%d_%d", req.index, i)
	}
	o := object{"id": id, "type": goai.ToolTypeFunction, "function": object{"name": c.Name, "arguments": arguments}}
	for k, v := range c.Extra {
		o[k] = v
	}
	return o
}

func (c Call) arguments() string {
	if len(c.Args) == 0 {
		return "{}"
	}
	return agent.PlainText(c.Args)
}

// words cuts s after each space.
func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.SplitAfter(s, " ")
}

// pieces cuts s into pieces as a model's tokens would, of ten characters.
func pieces(s string) []string {
	var out []string
	runes := []rune(s)
	for len(runes) > 10 {
		out = append(out, string(runes[:10]))
		runes = runes[10:]
	}
	return append(out, string(runes))
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("chatserver: an answer has no JSON form: " + err.Error()) // a programmer's error: Extra or Args are not JSON
	}
	return string(b)
}
