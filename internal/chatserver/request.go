package chatserver

import (
	"encoding/json"
	"fmt"
	"strings"
)

// request is what the server needs to know of a request.
type request struct {
	Model         string `json:"model"`
	Stream        bool   `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`

	system, user string // the first of each
	index        int    // of the reply
	size         int    // of the body in bytes
}

func parseRequest(body []byte) (*request, error) {
	req := &request{size: len(body)}
	if err := json.Unmarshal(body, req); err != nil {
		return nil, fmt.Errorf("the request is not a chat-completions request: %w", err)
	}
	var seenSystem, seenUser bool
	for _, m := range req.Messages {
		switch {
		case m.Role == "assistant":
			req.index++
		case m.Role == "system" && !seenSystem:
			req.system, seenSystem = contentText(m.Content), true
		case m.Role == "user" && !seenUser:
			req.user, seenUser = contentText(m.Content), true
		}
	}
	return req, nil
}

// contentText returns the words of a message's content, which is a string or a
// list of typed parts.
func contentText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}
