package langchain

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/anthropic"
	"github.com/tmc/langchaingo/llms/ollama"
	"github.com/tmc/langchaingo/llms/openai"

	"github.com/fermata-run/fermata/agent"
)

func TestProviderOf(t *testing.T) {
	if p := providerOf(&openai.LLM{}); p.name != "openai" {
		t.Errorf("got %q", p.name)
	}
	if p := providerOf(&anthropic.LLM{}); !p.apart {
		t.Errorf("got %q", p.name)
	}
	if p := providerOf(&ollama.LLM{}); !p.noTools {
		t.Errorf("got %q", p.name)
	}
}

// What langchaingo's openai puts among the words of a stream is known to the
// byte; words that look like it are words.
func TestNoise(t *testing.T) {
	cases := []struct {
		chunk string
		names int // -1 if these are words
	}{
		{`[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]`, 1},
		{`[{"type":"","function":{"name":"","arguments":"{\"x\""}}]`, 0},
		{`[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"g","arguments":""}}]`, 2},
		{`[{"id":"a","type":"function","function":{"name":"\u003cf\u003e","arguments":""}}]`, 1},
		{`{"name":"f","arguments":"{}"}`, 0},
		{`{"name":"f","arguments":{}}`, -1},
		{`{"name":"f"}`, -1},
		{`[{"`, -1},
		{`[{"id":1}]`, -1},
		{`[{"id":"a","type":"function","function":{"name":"f","arguments":"","more":1}}]`, -1},
		{`[{"id":"a"}]`, -1},
		{`words`, -1},
		{``, -1},
	}
	for _, c := range cases {
		names, ok := noise([]byte(c.chunk))
		if ok != (c.names >= 0) || ok && len(names) != c.names {
			t.Errorf("%s: %q, %v", c.chunk, names, ok)
		}
	}
}

// googleai reads a map with properties, single types and no booleans.
func TestPlainSchema(t *testing.T) {
	cases := []struct{ in, want string }{
		{`{"type":"object"}`, `{"properties":{},"type":"object"}`},
		{`{}`, `{"properties":{},"type":"object"}`},
		{`true`, `{"properties":{},"type":"object"}`},
		{`{"type":"object","properties":{"a":{"type":["null","string"]},"b":true,"c":{"type":"array","items":{"type":["integer","null"]}},"d":{"type":"array","items":false}},"required":["a"]}`,
			`{"properties":{"a":{"type":"string"},"b":{},"c":{"items":{"type":"integer"},"type":"array"},"d":{"items":{},"type":"array"}},"required":["a"],"type":"object"}`},
	}
	for _, c := range cases {
		got, err := json.Marshal(plainSchema(json.RawMessage(c.in)))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v", c.in, got, err)
		}
	}
}

// Results that belong together stay so for a provider that wants it, and each
// has its call's name.
func TestResultsTogether(t *testing.T) {
	results := &agent.Message{Role: agent.RoleTool, Parts: []agent.Part{{Result: &agent.Result{CallID: "a"}}, {Result: &agent.Result{CallID: "b"}}}}
	called := &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: &agent.Call{ID: "a", Name: "f"}}, {Call: &agent.Call{ID: "b", Name: "g"}}}}
	for name, want := range map[string]int{"googleai": 2, "openai": 3, "anthropic": 4, "": 3} {
		p, _ := named(name)
		msgs := []*agent.Message{called, results}
		if got := newEncoder(p, msgs).messages("", msgs); len(got) != want {
			t.Errorf("%s: %d messages: %+v", name, len(got), got)
		}
	}
}

// What another agent said last, before it handed the conversation off, is followed by a
// word of the user's role: there are providers that refuse anything else.
func TestEndsWithTheUser(t *testing.T) {
	hi := agent.Text("I want to return it.")
	msgs := []*agent.Message{&hi, agent.Said("My colleague helps you.")}
	for _, name := range []string{"googleai", "openai", "anthropic", ""} {
		p, _ := named(name)
		got := newEncoder(p, msgs).messages("", msgs)
		if want := words(llms.ChatMessageTypeHuman, "[note] The conversation goes on with you."); len(got) != 3 || !reflect.DeepEqual(got[2], want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDataOf(t *testing.T) {
	for url, want := range map[string]string{
		"data:image/png;base64,aGk=": "hi", "data:image/png;base64,aGk": "hi", "data:image/svg+xml,%3Csvg%3E": "<svg>",
		"data:image/png;base64,": "", "data:image/png;base64,!!": "", "data:image/png": "", "data:x,%zz": "",
	} {
		if got, ok := dataOf(url); ok != (want != "") || ok && string(got) != want {
			t.Errorf("%s: %q, %v", url, got, ok)
		}
	}
}
