package chatserver

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
)

// checkedMessage is a message on the wire.
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

// roles are those of the wire, as the house knows them. What the system says is
// neither the user's nor the assistant's.
var roles = map[string]agent.Role{
	"system": agent.RoleNote, "developer": agent.RoleNote,
	"user": agent.RoleUser, "assistant": agent.RoleAssistant, "tool": agent.RoleTool,
}

// A conversation is what the messages of a request say, in the house's own form.
// On the wire each result is a message; here those in a row are one.
type conversation struct {
	messages []*agent.Message
	from     [][]int // for each, where it begins on the wire, and then where each of its parts stands
}

// checkConversation reports the first message that is not as the wire has it, and
// then what is wrong with the conversation as such.
func (req *checked) checkConversation() error {
	var c conversation
	for i := range req.Messages {
		if err := c.add(i, &req.Messages[i]); err != nil {
			return fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	return c.judge(req)
}

// judge has the rules of the house applied, and tells of a breach in terms of the
// wire.
func (c *conversation) judge(req *checked) error {
	err := wellformed.Check(c.messages)
	var e *wellformed.Error
	if !errors.As(err, &e) {
		return err
	}
	at := c.from[e.Message][1+e.Part]
	return fmt.Errorf("messages[%d] (%s): %s", at, req.Messages[at].Role, e.Detail)
}

func (c *conversation) add(i int, w *checkedMessage) error {
	role, known := roles[w.Role]
	if !known {
		return fmt.Errorf("the role %q is unknown", w.Role)
	}
	if err := w.checkContent(); err != nil {
		return err
	}
	parts, err := w.calls()
	if err != nil {
		return err
	}
	last := len(c.messages) - 1
	if role != agent.RoleTool || last < 0 || c.messages[last].Role != role {
		c.messages, c.from = append(c.messages, &agent.Message{Role: role}), append(c.from, []int{i})
		last++
	}
	for _, p := range append(w.words(), parts...) {
		c.messages[last].Parts = append(c.messages[last].Parts, p)
		c.from[last] = append(c.from[last], i)
	}
	return nil
}

// words are what the message says: of a tool, its result, which may be "". A list of
// parts stands for itself.
func (w *checkedMessage) words() (parts []agent.Part) {
	if w.Role == "tool" {
		return []agent.Part{{Result: &agent.Result{CallID: w.ToolCallID, Outcome: agent.Returned, Content: w.Content}}}
	}
	for _, s := range []string{agent.PlainText(w.Content), w.Refusal} {
		if s != "" {
			parts = append(parts, agent.Part{Text: s})
		}
	}
	return parts
}

// calls are the calls of the message. The error is of what the wire demands of
// them beyond what the house does.
func (w *checkedMessage) calls() (parts []agent.Part, err error) {
	for i, c := range w.ToolCalls {
		switch {
		case c.Type != "function":
			return nil, fmt.Errorf("tool_calls[%d]: type is %q, not function", i, c.Type)
		case !functionName.MatchString(c.Function.Name):
			return nil, fmt.Errorf("tool_calls[%d]: the name %q is not 1 to 64 letters, digits, _ and -", i, c.Function.Name)
		case c.Function.Arguments == "":
			return nil, fmt.Errorf("tool_calls[%d] (%s): there are no arguments, not even {}", i, c.Function.Name)
		}
		parts = append(parts, agent.Part{Call: &agent.Call{ID: c.ID, Name: c.Function.Name, Args: json.RawMessage(c.Function.Arguments)}})
	}
	return parts, nil
}

// checkContent wants a string or a list of typed parts. Only the assistant may leave
// it out, where there are calls or a refusal.
func (w *checkedMessage) checkContent() error {
	if string(w.Content) == "null" {
		w.Content = nil
	}
	if len(w.Content) == 0 {
		if w.Role == "assistant" && (len(w.ToolCalls) > 0 || w.Refusal != "") {
			return nil
		}
		return fmt.Errorf("the %s message has no content", w.Role)
	}
	if w.Content[0] == '"' {
		return nil
	}
	var parts []map[string]json.RawMessage
	if json.Unmarshal(w.Content, &parts) != nil || len(parts) == 0 {
		return fmt.Errorf("the content of the %s message is neither a string nor a list of parts: %.100s", w.Role, w.Content)
	}
	for i, p := range parts {
		var typ string
		if json.Unmarshal(p["type"], &typ) != nil || len(p[typ]) == 0 {
			return fmt.Errorf("content[%d] has no type, or not what its type says", i)
		}
	}
	return nil
}
