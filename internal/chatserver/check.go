package chatserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// checked is the part of a request that CheckRequest looks at.
type checked struct {
	Model    string           `json:"model"`
	Messages []checkedMessage `json:"messages"`
	Tools    []struct {
		Type     string `json:"type"`
		Function struct {
			Name       string          `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
		} `json:"function"`
	} `json:"tools"`
}

type checkedMessage struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	Refusal    string          `json:"refusal"`
	ToolCallID string          `json:"tool_call_id"`
	ToolCalls  []struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

var functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// CheckRequest reports the first thing that is wrong with a chat-completions
// request: the model is missing, a message has no content or an unknown role, a
// tool call has no id, one that was there before, or arguments that are not a
// JSON object, a call has no result directly behind it or more than one, a
// result belongs to no call, a tool is offered twice. It returns nil when every
// strict endpoint would take the request.
func CheckRequest(body []byte) error {
	var req checked
	if err := json.Unmarshal(body, &req); err != nil {
		return fmt.Errorf("not a chat-completions request: %w", err)
	}
	if req.Model == "" {
		return errors.New("model is missing")
	}
	if len(req.Messages) == 0 {
		return errors.New("messages is empty")
	}
	if err := req.checkTools(); err != nil {
		return err
	}
	return req.checkMessages()
}

func (req *checked) checkTools() error {
	seen := map[string]bool{}
	for i, t := range req.Tools {
		switch name := t.Function.Name; {
		case t.Type != "function":
			return fmt.Errorf("tools[%d]: type is %q, not function", i, t.Type)
		case !functionName.MatchString(name):
			return fmt.Errorf("tools[%d]: the name %q is not 1 to 64 letters, digits, _ and -", i, name)
		case seen[name]:
			return fmt.Errorf("tools[%d]: %s is offered twice", i, name)
		case !isObject(t.Function.Parameters):
			return fmt.Errorf("tools[%d] (%s): parameters is not a JSON object", i, name)
		default:
			seen[name] = true
		}
	}
	return nil
}

func (req *checked) checkMessages() error {
	ids := map[string]bool{} // all calls so far
	open := map[string]int{} // calls of the last assistant message without a result, with its index
	for i, m := range req.Messages {
		if m.Role == "tool" {
			if err := m.checkResult(ids, open); err != nil {
				return fmt.Errorf("messages[%d]: %w", i, err)
			}
			continue
		}
		if err := unanswered(open); err != nil {
			return fmt.Errorf("messages[%d] (%s): %w", i, m.Role, err)
		}
		var err error
		switch m.Role {
		case "system", "developer", "user":
			err = m.checkContent()
		case "assistant":
			err = m.checkAssistant(i, ids, open)
		default:
			err = fmt.Errorf("the role %q is unknown", m.Role)
		}
		if err != nil {
			return fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	if err := unanswered(open); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

func unanswered(open map[string]int) error {
	for id, at := range open {
		return fmt.Errorf("the call %s of messages[%d] has no result", id, at)
	}
	return nil
}

func (m *checkedMessage) checkResult(ids map[string]bool, open map[string]int) error {
	if _, ok := open[m.ToolCallID]; !ok {
		if ids[m.ToolCallID] {
			return fmt.Errorf("a second result for the call %s, or one that does not follow its call directly", m.ToolCallID)
		}
		return fmt.Errorf("a result for the call %q, which there is not", m.ToolCallID)
	}
	delete(open, m.ToolCallID)
	return m.checkContent()
}

func (m *checkedMessage) checkAssistant(at int, ids map[string]bool, open map[string]int) error {
	if len(m.ToolCalls) == 0 && m.Refusal == "" {
		return m.checkContent()
	}
	for i, c := range m.ToolCalls {
		switch {
		case c.ID == "":
			return fmt.Errorf("tool_calls[%d] has no id", i)
		case ids[c.ID]:
			return fmt.Errorf("tool_calls[%d]: the id %s was there before", i, c.ID)
		case c.Type != "function":
			return fmt.Errorf("tool_calls[%d]: type is %q, not function", i, c.Type)
		case !functionName.MatchString(c.Function.Name):
			return fmt.Errorf("tool_calls[%d]: the name %q is not 1 to 64 letters, digits, _ and -", i, c.Function.Name)
		case !isObject([]byte(c.Function.Arguments)):
			return fmt.Errorf("tool_calls[%d] (%s): the arguments are not a JSON object: %.100s", i, c.Function.Name, c.Function.Arguments)
		}
		ids[c.ID] = true
		open[c.ID] = at
	}
	return nil
}

// checkContent wants a non-empty string or a list of typed parts. The content
// of a tool message may be an empty string.
func (m *checkedMessage) checkContent() error {
	var s string
	if json.Unmarshal(m.Content, &s) == nil && len(m.Content) > 0 && m.Content[0] == '"' {
		if s == "" && m.Role != "tool" {
			return fmt.Errorf("the content of the %s message is empty", m.Role)
		}
		return nil
	}
	var parts []map[string]json.RawMessage
	if json.Unmarshal(m.Content, &parts) != nil || len(parts) == 0 {
		return fmt.Errorf("the %s message has no content", m.Role)
	}
	for i, p := range parts {
		var typ string
		if json.Unmarshal(p["type"], &typ) != nil || len(p[typ]) == 0 {
			return fmt.Errorf("content[%d] has no type, or not what its type says", i)
		}
	}
	return nil
}

func isObject(raw []byte) bool {
	return json.Valid(raw) && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
}
