package langchain_test

import (
	"strings"
	"testing"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/ollama"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/langchain"
)

const llama = `{"model":"llama3","message":{"role":"assistant","content":"Good "},"done":false}
{"model":"llama3","message":{"role":"assistant","content":"morning."},"done":false}
{"model":"llama3","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":4}
`

func TestOllamaAnswers(t *testing.T) {
	for _, noStream := range []bool{false, true} {
		m := overOllama(t, &raw{body: llama}, &langchain.Options{NoStream: noStream})
		var h heard
		reply, err := m.Generate(t.Context(), userSays("hi"), h.emit)
		if err != nil || reply.Message.Text() != "Good morning." || reply.Usage != (agent.Usage{Input: 11, Output: 4}) {
			t.Fatalf("NoStream %v: got %+v, %v", noStream, reply, err)
		}
		if text, _ := h.text(); text != "Good morning." || (len(h.deltas) == 1) != noStream {
			t.Errorf("NoStream %v: heard %+v", noStream, h.deltas)
		}
	}
}

// ollamaRequest is a request as it came.
type ollamaRequest struct {
	Format   string
	Messages []struct {
		Role, Content string
		Images        [][]byte
	}
}

// Calls of old are told in words, since langchaingo's ollama has no other way;
// tools are refused.
func TestOllamaConversation(t *testing.T) {
	h := &raw{body: llama}
	m := overOllama(t, h, nil)
	req := &agent.ModelRequest{System: "You help.", Messages: append(conversation(), pictures), Output: &agent.OutputSpec{Schema: []byte(`{"type":"object"}`)}}
	if _, err := m.Generate(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	var sent ollamaRequest
	h.last(t, &sent)
	var got []string
	for _, msg := range sent.Messages[1:] {
		line := msg.Role + ": " + strings.TrimSpace(msg.Content)
		for _, i := range msg.Images {
			line += " image " + string(i)
		}
		got = append(got, line)
	}
	want := []string{
		"user: Where are my orders?",
		"assistant: [called lookup with {\"order\":7}]\nI look.\n[called lookup with {\"_invalid\":\"{\\\"order\\\": nope\"}]",
		"user: [note] The call a of lookup has ended: sent\nThe call b of lookup has ended: {\"outcome\":\"pending\",\"meaning\":\"not finished: it waits for a person, an event or a time, such as an approval; a note will follow. Do not call it again for this\"}",
		`user: [note] The call b of lookup has ended: {"outcome":"failed","error":"no such order"}`,
		"user: (an empty message)",
		"user: look\n[file cat, image/png: https://x.example/cat.png]\n\n[file a.pdf, application/pdf: https://x.example/a.pdf]\nand here image hi",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || sent.Format != "json" {
		t.Errorf("sent, format %q\n%s\nwant\n%s", sent.Format, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	asked := len(h.received)
	req.Tools = []agent.ToolSpec{lookup}
	_, err := m.Generate(t.Context(), req, nil)
	mustFail(t, err, false, "langchaingo does not pass tools on to ollama", "NoAsk")
	if len(h.received) != asked {
		t.Error("it was asked without its tools")
	}
}

func TestOllamaFaults(t *testing.T) {
	half := strings.SplitAfter(llama, "\n")[0]
	cases := []struct {
		name      string
		h         *raw
		transient bool
		status    int
		words     []string
	}{
		{"early end", &raw{body: half}, true, 0, []string{"neither words nor calls"}},
		{"cut connection", &raw{body: half, cut: true}, true, 0, nil},
		{"nothing", &raw{}, true, 0, nil},
		{"not JSON", &raw{body: "nope\n"}, true, 0, nil},
		{"no model", &raw{status: 404, body: `{"error":"model \"llama3\" not found, try pulling it first"}`}, false, 404, []string{"404", "try pulling", "check the model's name"}},
		{"server", &raw{status: 500, body: `{"error":"something odd"}`}, true, 500, []string{"500", "something odd"}},
		{"busy", &raw{status: 503, body: `{"error":"server busy, please try again"}`}, true, 503, nil},
		{"cut off", &raw{body: llama}, false, 0, []string{"cut off at the token limit"}},
	}
	for _, c := range cases {
		for _, noStream := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				o := &langchain.Options{NoStream: noStream}
				if c.name == "cut off" { // ollama's reason gets lost: as many tokens as there may be tell it
					o.CallOptions = []llms.CallOption{llms.WithMaxTokens(4)}
				}
				m := overOllama(t, c.h, o, ollama.WithHTTPClient(langchain.HTTPClient(nil)))
				var h heard
				_, err := m.Generate(t.Context(), userSays("x"), h.emit)
				if e := mustFail(t, err, c.transient, c.words...); e.Status != c.status {
					t.Errorf("status %d", e.Status)
				}
				if text, _ := h.text(); text != "" {
					t.Errorf("left %q", text)
				}
			})
		}
	}
}
