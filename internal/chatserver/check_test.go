package chatserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/internal/chatserver"
)

const (
	user     = `{"role":"user","content":"hi"}`
	calls    = `{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":1}"}}]}`
	resultA  = `{"role":"tool","tool_call_id":"a","content":"1"}`
	resultB  = `{"role":"tool","tool_call_id":"b","content":""}`
	answered = user + "," + calls + "," + resultB + "," + resultA
)

func body(messages string) string { return `{"model":"m","messages":[` + messages + `]}` }

func TestCheckRequest(t *testing.T) {
	call := func(id, name, args string) string {
		return fmt.Sprintf(`{"role":"assistant","tool_calls":[{"id":%q,"type":"function","function":{"name":%q,"arguments":%q}}]}`, id, name, args)
	}
	cases := []struct{ name, body, want string }{
		{"plain", body(user), ""},
		{"results in any order", body(answered), ""},
		{"another round", body(answered + `,{"role":"assistant","content":"ok"},` + user), ""},
		{"parts", body(`{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:,"}}]}`), ""},
		{"tools", `{"model":"m","messages":[` + user + `],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}`, ""},
		{"refusal", body(user + `,{"role":"assistant","refusal":"no"}`), ""},

		{"not JSON", `{`, "not a chat-completions request"},
		{"no model", `{"messages":[` + user + `]}`, "model is missing"},
		{"no messages", body(""), "messages is empty"},
		{"unknown role", body(`{"role":"note","content":"x"}`), `role "note" is unknown`},
		{"empty content", body(`{"role":"user","content":""}`), "is empty"},
		{"no content", body(`{"role":"assistant"}`), "has no content"},
		{"null content", body(`{"role":"user","content":null}`), "has no content"},
		{"bad part", body(`{"role":"user","content":[{"type":"text"}]}`), "content[0]"},
		{"no result", body(user + "," + calls + "," + resultA), "the call b of messages[1] has no result"},
		{"note before result", body(user + "," + calls + "," + resultA + "," + user + "," + resultB), "messages[3] (user): the call b"},
		{"assistant before result", body(user + "," + calls + "," + resultA + `,{"role":"assistant","content":"x"}`), "messages[3] (assistant): the call b"},
		{"second result", body(answered + "," + resultA), "a second result for the call a"},
		{"orphan", body(user + "," + resultA), `"a", which there is not`},
		{"late result", body(answered + "," + user + "," + resultA), "does not follow its call"},
		{"doubled id", body(answered + "," + calls), "id a was there before"},
		{"no id", body(call("", "f", "{}")), "has no id"},
		{"broken arguments", body(call("a", "f", `{"x":`)), "not a JSON object"},
		{"arguments are no object", body(call("a", "f", `"x"`)), "not a JSON object"},
		{"bad name", body(call("a", "f g", `{}`)), `the name "f g"`},
		{"no type", body(`{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}`), "not function"},
		{"tool twice", `{"model":"m","messages":[` + user + `],"tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"function","function":{"name":"f","parameters":{}}}]}`, "f is offered twice"},
		{"tool without parameters", `{"model":"m","messages":[` + user + `],"tools":[{"type":"function","function":{"name":"f"}}]}`, "parameters"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := chatserver.CheckRequest([]byte(c.body))
			if c.want == "" && err != nil {
				t.Fatalf("refused: %v", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}
