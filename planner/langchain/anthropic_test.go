package langchain_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/anthropic"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/langchain"
)

// claude is an answer of thoughts, words and two calls, in one piece.
const claude = `{"id":"m","type":"message","role":"assistant","model":"claude","content":[
	{"type":"thinking","thinking":"let me think","signature":"s"},
	{"type":"text","text":"I look twice."},
	{"type":"tool_use","id":"x","name":"lookup","input":{"order":7}},
	{"type":"tool_use","id":"y","name":"clock","input":{}}],
	"stop_reason":"tool_use","usage":{"input_tokens":10,"output_tokens":20,"cache_creation_input_tokens":5,"cache_read_input_tokens":60}}`

// events makes an event stream as Anthropic sends one.
func events(payloads ...string) string {
	var b strings.Builder
	for _, p := range payloads {
		fmt.Fprintf(&b, "event: x\ndata: %s\n\n", p)
	}
	return b.String()
}

const (
	messageStart = `{"type":"message_start","message":{"id":"m","role":"assistant","model":"claude","usage":{"input_tokens":10,"output_tokens":1,"cache_creation_input_tokens":5,"cache_read_input_tokens":60}}}`
	textStart    = `{"type":"content_block_start","index":%d,"content_block":{"type":"text","text":""}}`
	textDelta    = `{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%q}}`
	blockStop    = `{"type":"content_block_stop","index":%d}`
	messageDelta = `{"type":"message_delta","delta":{"stop_reason":%q},"usage":{"output_tokens":20}}`
	messageStop  = `{"type":"message_stop"}`
)

var claudeStream = events(
	messageStart,
	`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"let me think"}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}`,
	fmt.Sprintf(blockStop, 0),
	fmt.Sprintf(textStart, 1), `{"type":"ping"}`,
	fmt.Sprintf(textDelta, 1, "I look "), fmt.Sprintf(textDelta, 1, "twice."), fmt.Sprintf(blockStop, 1),
	`{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"x","name":"lookup","input":{}}}`,
	`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"order\""}}`,
	`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":":7}"}}`,
	fmt.Sprintf(blockStop, 2),
	`{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"y","name":"clock","input":{}}}`,
	fmt.Sprintf(blockStop, 3),
	fmt.Sprintf(messageDelta, "tool_use"), messageStop)

// The pieces that anthropic returns as choices are one answer.
func TestAnthropicAnswers(t *testing.T) {
	for _, streamed := range []bool{true, false} {
		h := &raw{body: claude}
		if streamed {
			h.body = claudeStream
		}
		m := overAnthropic(t, h, &langchain.Options{NoStream: !streamed})
		req := userSays("hi")
		req.Tools = []agent.ToolSpec{lookup, {Name: "clock"}}
		var heard heard
		reply, err := m.Generate(t.Context(), req, heard.emit)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"role":"assistant","parts":[{"reasoning":"let me think"},{"text":"I look twice."},` +
			`{"call":{"id":"x","name":"lookup","args":{"order":7}}},{"call":{"id":"y","name":"clock","args":{}}}]}`
		if got := encode(reply.Message); got != want {
			t.Errorf("streamed %v: got %s", streamed, got)
		}
		if want := (agent.Usage{Input: 75, Output: 20, Cached: 60}); reply.Usage != want {
			t.Errorf("streamed %v: usage %+v", streamed, reply.Usage)
		}
		if text, _ := heard.text(); text != "I look twice." || heard.reasoning() != "let me think" {
			t.Errorf("streamed %v: heard %+v", streamed, heard.deltas)
		}
		if h.keys[0] != testKey {
			t.Errorf("asked with the key %q", h.keys[0])
		}
	}
}

// anthropicMessage is a message of a request.
type anthropicMessage struct {
	Role    string
	Content []struct {
		Type, Text, ID, Content string
		ToolUseID               string `json:"tool_use_id"`
		Input                   json.RawMessage
		Source                  struct {
			Type, Data string
			MediaType  string `json:"media_type"`
		}
	}
}

// langchaingo's anthropic reads the first part of an assistant's message only,
// so each part has one of its own; the endpoint joins them.
func TestAnthropicConversation(t *testing.T) {
	h := &raw{body: claude}
	m := overAnthropic(t, h, nil)
	req := &agent.ModelRequest{System: "You help.", Messages: conversation(), Tools: []agent.ToolSpec{lookup}}
	if _, err := m.Generate(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	var sent struct {
		System   string
		Messages []anthropicMessage
		Tools    []struct {
			Name   string
			Schema json.RawMessage `json:"input_schema"`
		}
	}
	h.last(t, &sent)
	var got []string
	for _, msg := range sent.Messages {
		for _, c := range msg.Content {
			got = append(got, msg.Role+" "+c.Type+": "+c.Text+c.ID+c.ToolUseID+" "+string(c.Input)+c.Content)
		}
	}
	want := []string{
		"user text: Where are my orders? ",
		"assistant text: I look. ",
		`assistant tool_use: a {"order":7}`,
		`assistant tool_use: b {"_invalid":"{\"order\": nope"}`,
		"user tool_result: a sent",
		`user tool_result: b {"outcome":"pending","meaning":"not finished: it waits for a person, an event or a time, such as an approval; a note will follow. Do not call it again for this"}`,
		`user text: [note] The call b of lookup has ended: {"outcome":"failed","error":"no such order"} `,
		"user text: (an empty message) ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || sent.System != "You help." {
		t.Errorf("sent %q\n%s\nwant\n%s", sent.System, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(sent.Tools) != 1 || string(sent.Tools[0].Schema) != string(lookup.Input) {
		t.Errorf("tools %+v", sent.Tools)
	}
}

func TestAnthropicImages(t *testing.T) {
	h := &raw{body: claude}
	m := overAnthropic(t, h, nil)
	if _, err := m.Generate(t.Context(), &agent.ModelRequest{Messages: []*agent.Message{pictures}}, nil); err != nil {
		t.Fatal(err)
	}
	var sent struct{ Messages []anthropicMessage }
	h.last(t, &sent)
	c := sent.Messages[0].Content
	if len(c) != 3 || c[0].Text != "look\n[file cat, image/png: https://x.example/cat.png]\n" || c[1].Source.Data != "aGk=" || c[1].Source.MediaType != "image/png" ||
		c[2].Text != "\n[file a.pdf, application/pdf: https://x.example/a.pdf]\nand here" {
		t.Errorf("sent %+v", c)
	}
}

func TestAnthropicFaults(t *testing.T) {
	half := []string{messageStart, fmt.Sprintf(textStart, 0), fmt.Sprintf(textDelta, 0, "half of it")}
	ended := func(reason string) string {
		return events(append(half, fmt.Sprintf(blockStop, 0), fmt.Sprintf(messageDelta, reason), messageStop)...)
	}
	refused := func(status int, typ, message string) *raw {
		return &raw{status: status, header: map[string]string{"Retry-After": "7"},
			body: `{"type":"error","error":{"type":"` + typ + `","message":"` + message + `"}}`}
	}
	cases := []struct {
		name      string
		h         *raw
		transient bool
		after     time.Duration
		words     []string
	}{
		{"rate limit", refused(429, "rate_limit_error", "This request would exceed your limit"), true, 7 * time.Second, []string{"429", "would exceed"}},
		{"server", refused(500, "api_error", "Internal server error"), true, 7 * time.Second, []string{"500"}},
		{"overloaded", refused(529, "overloaded_error", "Overloaded"), true, 7 * time.Second, []string{"529"}},
		{"key", refused(401, "authentication_error", "invalid x-api-key: "+testKey), false, 0, []string{"401", "[key]"}},
		{"key in words", refused(400, "invalid_request_error", "nobody called "+testKey+" here"), false, 0, []string{"nobody called [key] here"}},
		{"credit", refused(400, "invalid_request_error", "Your credit balance is too low"), false, 0, []string{"no credit left"}},
		{"too long", refused(400, "invalid_request_error", "prompt is too long: 9 tokens"), false, 0, []string{"longer than the model takes"}},
		{"request", refused(400, "invalid_request_error", "messages.0: nope"), false, 0, []string{"400", "nope"}},
		{"cut off", &raw{body: ended("max_tokens")}, false, 0, []string{"cut off at the token limit", "WithMaxTokens"}},
		{"window", &raw{body: ended("model_context_window_exceeded")}, false, 0, []string{"cut off"}},
		{"refusal", &raw{body: ended("refusal")}, false, 0, []string{"filter"}},
		{"no calls", &raw{body: ended("tool_use")}, true, 0, []string{"calls none"}},
		{"cut connection", &raw{body: events(half...), cut: true}, true, 0, nil},
		{"early end", &raw{body: events(half...)}, true, 0, []string{"no response"}},
		{"nothing", &raw{}, true, 0, nil},
		{"error event", &raw{body: events(append(half, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)...)}, true, 0, []string{"Overloaded"}},
		{"broken event", &raw{body: events(append(half, `{nope`)...)}, true, 0, nil},
		{"broken arguments", &raw{body: events(messageStart,
			`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"x","name":"lookup","input":{}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"order\": nope}"}}`,
			fmt.Sprintf(blockStop, 0), fmt.Sprintf(messageDelta, "tool_use"), messageStop)}, true, 0, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := overAnthropic(t, c.h, nil, anthropic.WithHTTPClient(langchain.HTTPClient(&http.Client{})))
			var h heard
			_, err := m.Generate(t.Context(), userSays("x"), h.emit)
			mustFail(t, err, c.transient, c.words...)
			if after, _ := agent.IsTransient(err); after != c.after {
				t.Errorf("after %v", after)
			}
			if text, _ := h.text(); text != "" {
				t.Errorf("left %q", text)
			}
		})
	}
}

// In one piece the reason is there, too.
func TestAnthropicCutOffInOne(t *testing.T) {
	h := &raw{body: strings.Replace(claude, `"tool_use","usage"`, `"max_tokens","usage"`, 1)}
	m := overAnthropic(t, h, &langchain.Options{CallOptions: []llms.CallOption{llms.WithMaxTokens(20)}})
	_, err := m.Generate(t.Context(), userSays("x"), nil)
	if e := mustFail(t, err, false, "cut off"); e.Code != langchain.CodeCutOff {
		t.Errorf("code %q", e.Code)
	}
}
