package langchain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"github.com/fermata-run/fermata/agent"
)

// answer gathers an answer from its choices.
type answer struct {
	text, reasoning strings.Builder
	calls           []agent.Part
	stops           []string // why each choice ended, as stopOf has it
	usage           agent.Usage
	model           string
	chosen          bool // there is a choice
}

// reply makes the reply of what langchaingo returned, or says why it must not
// pass for one.
func (m *model) reply(resp *llms.ContentResponse) (*agent.ModelReply, *failure) {
	var a answer
	if resp != nil {
		for _, c := range resp.Choices {
			if c != nil {
				a.add(c)
			}
		}
	}
	if f := m.incomplete(&a); f != nil {
		return nil, f
	}
	msg := agent.Message{Role: agent.RoleAssistant}
	if a.reasoning.Len() > 0 {
		msg.Parts = append(msg.Parts, agent.Part{Reasoning: a.reasoning.String()})
	}
	if strings.TrimSpace(a.text.String()) != "" {
		msg.Parts = append(msg.Parts, agent.Part{Text: a.text.String()})
	}
	msg.Parts = append(msg.Parts, a.calls...)
	return &agent.ModelReply{Message: msg, Usage: a.usage, Model: cmp.Or(a.model, m.known)}, nil
}

// add takes a choice, which is a piece of the answer.
func (a *answer) add(c *llms.ContentChoice) {
	a.chosen = true
	a.stops = append(a.stops, stopOf(c.StopReason))
	a.text.WriteString(c.Content)
	a.reasoning.WriteString(reasoningOf(c))
	for _, t := range c.ToolCalls {
		a.call(t.ID, t.FunctionCall)
	}
	if len(c.ToolCalls) == 0 && c.FuncCall != nil { // how calls looked before there were several
		a.call("", c.FuncCall)
	}
	if a.usage == (agent.Usage{}) { // each choice tells that of the whole answer
		a.usage = usageOf(c.GenerationInfo)
	}
	if name, ok := c.GenerationInfo["model"].(string); ok {
		a.model = name
	}
}

// call takes a call. One without a function has no name: the planner tells the
// model so.
func (a *answer) call(id string, f *llms.FunctionCall) {
	c := &agent.Call{ID: id}
	if f != nil {
		c.Name, c.Args = f.Name, argumentsOf(f.Arguments)
	}
	a.calls = append(a.calls, agent.Part{Call: c})
}

// argumentsOf makes JSON of arguments as they came: nothing of an empty text or
// null, a JSON string of a text that is not JSON, for the planner to show to the
// model.
func argumentsOf(s string) json.RawMessage {
	switch s = strings.TrimSpace(s); {
	case s == "" || s == "null":
		return nil
	case !json.Valid([]byte(s)):
		return agent.JSONText(s)
	}
	return json.RawMessage(s)
}

// reasoningOf is what the model thought aloud. Where that is also a part of its
// words, as with tags in them, it is left there.
func reasoningOf(c *llms.ContentChoice) string {
	if c.ReasoningContent != "" {
		return c.ReasoningContent
	}
	s, _ := c.GenerationInfo["ThinkingContent"].(string)
	if strings.Contains(c.Content, s) {
		return ""
	}
	return s
}

// incomplete returns why the answer must not pass for one, or nil.
func (m *model) incomplete(a *answer) *failure {
	if !a.chosen {
		return &failure{came: "an answer without choices", transient: true}
	}
	said := false
	for _, stop := range a.stops {
		switch stop {
		case stopLength:
			return cutOff(a)
		case stopFilter:
			return &failure{code: CodeFiltered, came: "an answer that the provider's content filter withheld",
				hint: "the conversation has to be changed: the filter would withhold it again"}
		case stopBroken:
			return &failure{came: "an answer that the provider broke off", transient: true}
		case stopCalls:
			if len(a.calls) == 0 {
				return &failure{came: "an answer that says it calls tools, and calls none", transient: true}
			}
		}
		said = said || stop != ""
	}
	switch {
	case !said && m.maxTokens > 0 && a.usage.Output >= m.maxTokens:
		return cutOff(a)
	case strings.TrimSpace(a.text.String()) == "" && len(a.calls) == 0:
		came := "an answer with neither words nor calls"
		if a.reasoning.Len() > 0 {
			came = "an answer of reasoning only, with neither words nor calls"
		}
		return &failure{came: came, transient: true}
	case !said && m.provider.stops:
		// If the usage has come, so has the end: it was the reason that got lost.
		return &failure{came: "an answer that does not say that it is complete", transient: true, unsaid: a.usage.Output > 0}
	}
	return nil
}

func cutOff(a *answer) *failure {
	size := a.text.Len() + a.reasoning.Len()
	return &failure{code: CodeCutOff, came: fmt.Sprintf("an answer that was cut off at the token limit after %d bytes", size),
		hint: "raise llms.WithMaxTokens in Options.CallOptions, choose a model with a larger context, or ask for less"}
}

// Why an answer ended; any other reason is as good as none of these.
const (
	stopLength = "length"
	stopFilter = "filter"
	stopBroken = "broken"
	stopCalls  = "calls"
)

// stops are what the providers' reasons mean, in lower case and without anything
// but letters.
var stops = map[string]string{
	"unspecified": "", "null": "", "nil": "", "unknown": "",

	"length": stopLength, "maxtokens": stopLength, "modellength": stopLength, "maxlength": stopLength,
	"modelcontextwindowexceeded": stopLength, "contextlength": stopLength, "tokenlimit": stopLength,

	"contentfilter": stopFilter, "contentfiltered": stopFilter, "safety": stopFilter, "recitation": stopFilter, "refusal": stopFilter,
	"blocklist": stopFilter, "prohibitedcontent": stopFilter, "spii": stopFilter, "guardrailintervened": stopFilter, "errortoxic": stopFilter,

	"error": stopBroken, "other": stopBroken, "abort": stopBroken, "aborted": stopBroken, "cancelled": stopBroken,
	"insufficientsystemresource": stopBroken, "malformedfunctioncall": stopBroken,

	"toolcalls": stopCalls, "tooluse": stopCalls, "functioncall": stopCalls,
}

// stopOf reads a provider's reason.
func stopOf(reason string) string {
	s := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(reason))
	s = strings.TrimPrefix(s, "finishreason")
	if known, ok := stops[s]; ok {
		return known
	}
	return s
}
