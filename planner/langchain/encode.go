package langchain

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// encoder makes langchaingo's messages of ours, for one provider.
type encoder struct {
	p     provider
	names map[string]string // of the calls, by id
}

func newEncoder(p provider, msgs []*agent.Message) *encoder {
	e := &encoder{p: p, names: map[string]string{}}
	for _, m := range msgs {
		for _, c := range m.Calls() {
			e.names[c.ID] = c.Name
		}
	}
	return e
}

func (e *encoder) messages(system string, msgs []*agent.Message) []llms.MessageContent {
	var out []llms.MessageContent
	for _, m := range msgs {
		out = append(out, e.message(m)...)
	}
	if adapter.NeedsGoOn(msgs) {
		out = append(out, words(llms.ChatMessageTypeHuman, adapter.GoOn))
	}
	system = strings.TrimSpace(system)
	switch {
	case system == "":
		return out
	case len(out) == 0:
		return []llms.MessageContent{words(llms.ChatMessageTypeHuman, system)} // no provider takes a system text alone
	}
	return append([]llms.MessageContent{words(llms.ChatMessageTypeSystem, system)}, out...)
}

// message makes none, one or several messages of m.
func (e *encoder) message(m *agent.Message) []llms.MessageContent {
	switch m.Role {
	case agent.RoleAssistant:
		return e.assistant(m)
	case agent.RoleTool:
		return e.results(m)
	case agent.RoleNote:
		return []llms.MessageContent{words(llms.ChatMessageTypeHuman, e.noteText(m))}
	default:
		return []llms.MessageContent{{Role: llms.ChatMessageTypeHuman, Parts: e.userParts(m)}}
	}
}

func words(role llms.ChatMessageType, text string) llms.MessageContent {
	return llms.MessageContent{Role: role, Parts: []llms.ContentPart{llms.TextPart(text)}}
}

// userParts are words and images in their order; words that follow each other
// are one part.
func (e *encoder) userParts(m *agent.Message) []llms.ContentPart {
	var parts []llms.ContentPart
	var text strings.Builder
	flush := func() {
		if strings.TrimSpace(text.String()) != "" { // some providers refuse blanks alone
			parts = append(parts, llms.TextPart(text.String()))
		}
		text.Reset()
	}
	for _, p := range m.Parts {
		text.WriteString(p.Text)
		if p.Media == nil {
			continue
		}
		if image := e.image(p.Media); image == nil {
			text.WriteString(mediaText(p.Media))
		} else if e.p.noTools {
			parts = append(parts, image) // ollama wants its words in one part
		} else {
			flush()
			parts = append(parts, image)
		}
	}
	flush()
	if len(parts) == 0 {
		parts = []llms.ContentPart{llms.TextPart("(an empty message)")} // providers refuse one without words
	}
	return parts
}

// assistant makes one message of words and calls, or one for each of them. Words
// come first, as the results are to follow the calls directly.
func (e *encoder) assistant(m *agent.Message) []llms.MessageContent {
	var text strings.Builder
	var calls []llms.ContentPart
	for _, p := range m.Parts {
		switch {
		case p.Call != nil && e.p.noTools:
			text.WriteString("\n[called " + p.Call.Name + " with " + arguments(p.Call) + "]\n")
		case p.Call != nil:
			calls = append(calls, llms.ToolCall{ID: p.Call.ID, Type: "function",
				FunctionCall: &llms.FunctionCall{Name: p.Call.Name, Arguments: arguments(p.Call)}})
		case p.Text != "":
			text.WriteString(p.Text)
		case p.Media != nil:
			text.WriteString(mediaText(p.Media))
		}
	}
	var parts []llms.ContentPart
	if strings.TrimSpace(text.String()) != "" {
		parts = append(parts, llms.TextPart(text.String()))
	}
	return e.split(llms.ChatMessageTypeAI, append(parts, calls...), e.p.apart)
}

// split makes one message of parts, or one of each. Of no parts it makes none.
func (e *encoder) split(role llms.ChatMessageType, parts []llms.ContentPart, apart bool) []llms.MessageContent {
	if len(parts) == 0 {
		return nil
	}
	if !apart {
		return []llms.MessageContent{{Role: role, Parts: parts}}
	}
	var out []llms.MessageContent
	for _, p := range parts {
		out = append(out, llms.MessageContent{Role: role, Parts: []llms.ContentPart{p}})
	}
	return out
}

// arguments are those of a call. What is not an object, which a provider would
// choke on, is wrapped in one.
func arguments(c *agent.Call) string {
	switch text := bytes.TrimSpace(c.Args); {
	case len(text) == 0 || string(text) == "null":
		return "{}"
	case text[0] != '{' || !json.Valid(text):
		return string(adapter.JSON(map[string]string{"_invalid": agent.PlainText(c.Args)}))
	}
	return string(c.Args)
}

// results are the results of calls: one message each, or all in one.
func (e *encoder) results(m *agent.Message) []llms.MessageContent {
	var parts []llms.ContentPart
	var told strings.Builder
	for _, p := range m.Parts {
		if r := p.Result; r != nil {
			parts = append(parts, llms.ToolCallResponse{ToolCallID: r.CallID, Name: e.name(r), Content: adapter.Result(r)})
			told.WriteString(e.ending(r))
		}
	}
	if e.p.noTools && len(parts) > 0 {
		return []llms.MessageContent{words(llms.ChatMessageTypeHuman, adapter.NotePrefix+strings.TrimRight(told.String(), "\n"))}
	}
	return e.split(llms.ChatMessageTypeTool, parts, !e.p.together)
}

func (e *encoder) name(r *agent.Result) string {
	if r.Name != "" {
		return r.Name
	}
	return e.names[r.CallID]
}
