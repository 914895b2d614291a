package openai

import (
	"encoding/json"
	"fmt"
	"strings"

	goai "github.com/sashabaranov/go-openai"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// answer gathers an answer from its events. An answer in one piece is a single
// event, whose choice has a message in place of a delta.
type answer struct {
	host  string
	max   int // bytes of words, reasoning and calls
	voice *voice

	size      int
	chosen    bool // a choice has come
	model     string
	text      strings.Builder
	reasoning strings.Builder
	refusal   strings.Builder
	calls     calls
	unknown   gathered
	finish    goai.FinishReason
	usage     *agent.Usage
}

// add takes one event. Its error is a *failure.
func (a *answer) add(event []byte) error {
	if !json.Valid(event) {
		return &failure{came: "an event that is not JSON: " + quote(string(event[:min(len(event), 200)])), transient: true}
	}
	var choices, problems json.RawMessage
	eachField(event, func(name string, v json.RawMessage) {
		switch name {
		case "model":
			if a.model == "" {
				a.model = text(v)
			}
		case "choices":
			choices = v
		case "usage":
			a.takeUsage(v)
		case "error":
			problems = v
		}
	})
	var err error
	eachItem(choices, func(choice json.RawMessage) {
		if err == nil {
			err = a.choice(choice)
		}
	})
	if err != nil {
		return err
	}
	if said(problems) || !said(choices) {
		if _, ok := parseProblem(event); ok {
			return judge(200, event, nil)
		}
	}
	return nil
}

// choice takes a choice of an event. Only the first one was asked for.
func (a *answer) choice(choice json.RawMessage) error {
	var err error
	ours := true
	eachField(choice, func(name string, v json.RawMessage) {
		if name == "index" {
			n, ok := number(v)
			ours = !ok || n == 0
		}
	})
	if !ours {
		return nil
	}
	a.chosen = true
	eachField(choice, func(name string, v json.RawMessage) {
		switch name {
		case "delta":
			a.fields(v, false)
		case "message":
			a.fields(v, true)
		case "finish_reason":
			if r := goai.FinishReason(text(v)); r != goai.FinishReasonNull && r != "" {
				a.finish = r
			}
		case "error":
			if said(v) && err == nil {
				err = judge(200, choice, nil)
			}
		}
	})
	switch {
	case err != nil:
		return err
	case a.size > a.max:
		return tooLarge(a.max)
	case len(a.calls.list) > maxCalls:
		return &failure{came: fmt.Sprintf("an answer with more than %d calls", maxCalls)}
	}
	return nil
}

// fields takes the fields of a delta or a message.
func (a *answer) fields(object json.RawMessage, whole bool) {
	thought := false
	eachField(object, func(name string, v json.RawMessage) {
		if string(v) == "null" {
			return
		}
		switch name {
		case "role":
		case "content":
			a.content(v)
		case "reasoning_content", "reasoning":
			// Some endpoints give the same words under both names.
			if s := text(v); s != "" && !thought {
				thought = true
				a.think(s)
			} else if s == "" {
				a.keep(name, v)
			}
		case "refusal":
			a.refuse(text(v))
		case "tool_calls":
			eachItem(v, func(call json.RawMessage) {
				a.size += len(call)
				a.announce(a.calls.add(call, whole))
			})
		case "function_call": // how calls looked before there were several
			a.size += len(v)
			a.announce(a.calls.add(append(append([]byte(`{"function":`), v...), '}'), whole))
		default:
			a.keep(name, v)
		}
	})
}

// content takes words: a string, or a list of typed parts.
func (a *answer) content(v json.RawMessage) {
	a.say(text(v))
	eachItem(v, func(part json.RawMessage) {
		eachField(part, func(name string, v json.RawMessage) {
			switch name {
			case "text":
				a.say(text(v))
			case "refusal":
				a.refuse(text(v))
			case "thinking":
				a.think(text(v))
				eachItem(v, func(part json.RawMessage) {
					eachField(part, func(name string, v json.RawMessage) {
						if name == "text" {
							a.think(text(v))
						}
					})
				})
			}
		})
	})
}

func (a *answer) say(s string) {
	if s != "" {
		a.size += len(s)
		a.text.WriteString(s)
		a.voice.say(agent.Delta{Text: s})
	}
}

func (a *answer) think(s string) {
	if s != "" {
		a.size += len(s)
		a.reasoning.WriteString(s)
		a.voice.say(agent.Delta{Reasoning: s})
	}
}

func (a *answer) refuse(s string) {
	if s != "" {
		a.size += len(s)
		a.refusal.WriteString(s)
		a.voice.say(agent.Delta{Text: s})
	}
}

func (a *answer) announce(name string) {
	if name != "" {
		a.voice.say(agent.Delta{Call: name})
	}
}

func (a *answer) keep(name string, v json.RawMessage) {
	a.size += len(v)
	a.unknown.add(name, v)
}

// takeUsage takes what the answer has cost. Some endpoints tell the sum so far
// with each event: the last one counts.
func (a *answer) takeUsage(v json.RawMessage) {
	if !said(v) || v[0] != '{' {
		return
	}
	var u agent.Usage
	count := func(to *int) func(json.RawMessage) {
		return func(v json.RawMessage) {
			if n, ok := number(v); ok && n > 0 {
				*to = n
			}
		}
	}
	detail := func(v json.RawMessage, want string, to *int) {
		eachField(v, func(name string, v json.RawMessage) {
			if name == want {
				count(to)(v)
			}
		})
	}
	eachField(v, func(name string, v json.RawMessage) {
		switch name {
		case "prompt_tokens":
			count(&u.Input)(v)
		case "completion_tokens":
			count(&u.Output)(v)
		case "prompt_tokens_details":
			detail(v, "cached_tokens", &u.Cached)
		case "completion_tokens_details":
			detail(v, "reasoning_tokens", &u.Reasoning)
		}
	})
	a.usage = &u
}

// reply judges whether the answer is complete and makes the reply of it. done
// says that the endpoint has marked its end. The error is a *failure.
func (a *answer) reply(done bool) (*agent.ModelReply, error) {
	calls := a.calls.parts(a.host)
	if f := a.incomplete(done, len(calls)); f != nil {
		return nil, f
	}
	msg := agent.Message{Role: agent.RoleAssistant, Opaque: a.unknown.opaque(a.host, nil)}
	if a.reasoning.Len() > 0 {
		msg.Parts = append(msg.Parts, agent.Part{Reasoning: a.reasoning.String()})
	}
	if strings.TrimSpace(a.text.String()) != "" {
		msg.Parts = append(msg.Parts, agent.Part{Text: a.text.String()})
	}
	if s := a.refusal.String(); s != "" {
		var kept gathered
		kept.add("refusal", adapter.JSON(s))
		msg.Parts = append(msg.Parts, agent.Part{Text: s, Opaque: kept.opaque(a.host, nil)})
	}
	msg.Parts = append(msg.Parts, calls...)
	reply := &agent.ModelReply{Message: msg, Model: a.model}
	if a.usage != nil {
		reply.Usage = *a.usage
	}
	return reply, nil
}

// incomplete returns why the answer must not pass for one, or nil.
func (a *answer) incomplete(done bool, calls int) *failure {
	words := len(strings.TrimSpace(a.text.String())) + a.refusal.Len()
	switch {
	case !a.chosen:
		return &failure{came: "an answer without choices", transient: true}
	case a.finish == "" && !done:
		return &failure{came: "a stream that ended in the middle of the answer", transient: true}
	}
	switch a.finish {
	case goai.FinishReasonLength, "model_length", "max_tokens":
		return &failure{code: CodeCutOff, came: fmt.Sprintf("an answer that was cut off at the token limit after %d bytes", a.size),
			hint: "raise Options.MaxTokens, choose a model with a larger context, or ask for less"}
	case goai.FinishReasonContentFilter:
		return &failure{code: CodeFiltered, came: "an answer that the endpoint's content filter withheld",
			hint: "the conversation has to be changed: the filter would withhold it again"}
	case "error", "insufficient_system_resource", "abort":
		return &failure{came: "an answer that the endpoint broke off: finish_reason is " + string(a.finish), transient: true}
	case goai.FinishReasonToolCalls, goai.FinishReasonFunctionCall:
		if calls == 0 {
			return &failure{came: "an answer that says it calls tools, and calls none", transient: true}
		}
	case "":
		if a.calls.broken() {
			return &failure{came: "an answer that ended in the middle of a call", transient: true}
		}
	}
	if words == 0 && calls == 0 {
		came := "an answer with neither words nor calls"
		if a.reasoning.Len() > 0 {
			came = "an answer of reasoning only, with neither words nor calls"
		}
		return &failure{came: came, transient: true}
	}
	return nil
}
