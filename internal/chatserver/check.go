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

var functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// CheckRequest reports what is wrong with a chat-completions request, and returns
// nil when every strict endpoint would take it. Of the request as such: a model and
// messages are there, and no tool is offered twice. Of what is said on the wire: a
// message has a known role and content of a known form, a call has a type, a name
// of the right letters and arguments. What was said is judged as a conversation of
// the house is, by [wellformed.Check]: calls, results, their ids, empty messages. And
// the assistant was not the last to speak.
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
	if err := req.checkConversation(); err != nil {
		return err
	}
	if last := len(req.Messages) - 1; req.Messages[last].Role == "assistant" {
		return fmt.Errorf("messages[%d]: the conversation ends with the assistant's words, and there is nothing to answer", last)
	}
	return nil
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
		case !bytes.HasPrefix(bytes.TrimSpace(t.Function.Parameters), []byte("{")):
			return fmt.Errorf("tools[%d] (%s): parameters is not a JSON object", i, name)
		default:
			seen[name] = true
		}
	}
	return nil
}
