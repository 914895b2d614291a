package openai

import (
	"bytes"
	"encoding/json"
	"strings"

	goai "github.com/sashabaranov/go-openai"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// wireMessage is a message as chat completions want it.
type wireMessage struct {
	Role       string            `json:"role"`
	Content    any               `json:"content"` // a string, []goai.ChatMessagePart, or nil
	Reasoning  string            `json:"reasoning_content,omitempty"`
	ToolCallID string            `json:"tool_call_id,omitempty"`
	ToolCalls  []json.RawMessage `json:"tool_calls,omitempty"`
}

// encode is marshal, by hand where the content is words.
func (w *wireMessage) encode() []byte {
	text, isText := w.Content.(string)
	if !isText && w.Content != nil {
		return adapter.JSON(w)
	}
	size := len(text) + len(w.Reasoning) + 128
	for _, c := range w.ToolCalls {
		size += len(c) + 1
	}
	b := make([]byte, 0, size)
	b = appendString(append(b, `{"role":`...), w.Role)
	if isText {
		b = appendString(append(b, `,"content":`...), text)
	} else {
		b = append(b, `,"content":null`...)
	}
	if w.Reasoning != "" {
		b = appendString(append(b, `,"reasoning_content":`...), w.Reasoning)
	}
	if w.ToolCallID != "" {
		b = appendString(append(b, `,"tool_call_id":`...), w.ToolCallID)
	}
	for i, c := range w.ToolCalls {
		if i == 0 {
			b = append(b, `,"tool_calls":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, c...)
	}
	if len(w.ToolCalls) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// encoder encodes messages for one host.
type encoder struct {
	host      string // whose opaque fields are given back
	reasoning bool   // give reasoning back
}

// message encodes m: one wire message, or several with commas between them for
// the results of calls. The result is not nil, and empty when there is nothing
// that an endpoint could be told.
func (e encoder) message(m *agent.Message) []byte {
	switch m.Role {
	case agent.RoleAssistant:
		return e.assistant(m)
	case agent.RoleTool:
		var out [][]byte
		for _, p := range m.Parts {
			if p.Result != nil {
				w := wireMessage{Role: goai.ChatMessageRoleTool, Content: adapter.Result(p.Result), ToolCallID: p.Result.CallID}
				out = append(out, w.encode())
			}
		}
		if len(out) == 1 {
			return out[0]
		}
		return append([]byte{}, bytes.Join(out, comma)...)
	case agent.RoleNote:
		w := wireMessage{Role: goai.ChatMessageRoleUser, Content: noteText(m)}
		return w.encode()
	default:
		w := wireMessage{Role: goai.ChatMessageRoleUser, Content: userContent(m)}
		return w.encode()
	}
}

// userContent is a string, or a list of parts where there is more than words.
func userContent(m *agent.Message) any {
	var parts []goai.ChatMessagePart
	plain := true
	for _, p := range m.Parts {
		switch {
		case p.Text != "":
			parts = append(parts, goai.ChatMessagePart{Type: goai.ChatMessagePartTypeText, Text: p.Text})
		case p.Media != nil && strings.HasPrefix(p.Media.Type, "image/"):
			plain = false
			parts = append(parts, goai.ChatMessagePart{
				Type: goai.ChatMessagePartTypeImageURL, ImageURL: &goai.ChatMessageImageURL{URL: p.Media.URL},
			})
		case p.Media != nil:
			parts = append(parts, goai.ChatMessagePart{Type: goai.ChatMessagePartTypeText, Text: mediaText(p.Media)})
		}
	}
	switch {
	case len(parts) == 0:
		return "(an empty message)" // endpoints refuse one without words
	case !plain:
		return parts
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// mediaText tells of a file that the protocol cannot carry.
func mediaText(m *agent.Media) string {
	url := m.URL
	if strings.HasPrefix(url, "data:") {
		url = "its content cannot be shown"
	}
	return "\n[file " + m.Name + ", " + m.Type + ": " + url + "]\n"
}

func (e encoder) assistant(m *agent.Message) []byte {
	w := wireMessage{Role: goai.ChatMessageRoleAssistant}
	extra := e.opaque(m.Opaque).Fields
	var text strings.Builder
	for _, p := range m.Parts {
		switch {
		case p.Call != nil:
			w.ToolCalls = append(w.ToolCalls, e.call(p.Call, e.opaque(p.Opaque)))
		case p.Reasoning != "" && e.reasoning:
			w.Reasoning += p.Reasoning
		case p.Text != "":
			// Words with fields of their own, such as a refusal, go back as these.
			if fields := e.opaque(p.Opaque).Fields; len(fields) > 0 {
				extra = join(extra, fields)
			} else {
				text.WriteString(p.Text)
			}
		case p.Media != nil:
			text.WriteString(mediaText(p.Media))
		}
	}
	if text.Len() > 0 {
		w.Content = text.String()
	}
	if w.Content == nil && w.ToolCalls == nil && len(extra) == 0 {
		return []byte{} // it only thought
	}
	return extend(w.encode(), extra)
}

// call encodes a call. Arguments that are not an object, which a template of the
// endpoint would choke on, are wrapped in one.
func (e encoder) call(c *agent.Call, extra opaque) json.RawMessage {
	args := string(c.Args)
	switch trimmed := strings.TrimSpace(args); {
	case trimmed == "" || trimmed == "null":
		args = "{}"
	case trimmed[0] != '{' || !json.Valid(c.Args):
		args = string(adapter.JSON(map[string]string{"_invalid": agent.PlainText(c.Args)}))
	}
	function := appendString([]byte(`{"name":`), c.Name)
	function = appendString(append(function, `,"arguments":`...), args)
	function = extend(append(function, '}'), extra.Function)
	b := make([]byte, 0, len(function)+len(c.ID)+48)
	b = appendString(append(b, `{"id":`...), c.ID)
	b = append(append(b, `,"type":"function","function":`...), function...)
	return extend(append(b, '}'), extra.Fields)
}

// noteText is a note as the user message that stands for it.
func noteText(m *agent.Message) string {
	var b strings.Builder
	b.WriteString(adapter.NotePrefix)
	b.WriteString(m.Text())
	for _, p := range m.Parts {
		if p.Result != nil {
			b.WriteString(adapter.Ending(p.Result.Name, p.Result))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
