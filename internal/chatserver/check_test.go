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
		{"the word null", body(`{"role":"user","content":"null"},{"role":"assistant","content":null,"refusal":"null"},` + user), ""},
		{"instructions in between", body(user + `,{"role":"developer","content":"x"},{"role":"system","content":"y"}`), ""},
		{"parts", body(`{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:,"}}]}`), ""},
		{"tools", `{"model":"m","messages":[` + user + `],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}`, ""},
		{"refusal", body(user + `,{"role":"assistant","refusal":"no"},` + user), ""},

		{"nothing to answer", body(user + `,{"role":"assistant","content":"ok"}`), "messages[1]: the conversation ends with the assistant's words"},
		{"not JSON", `{`, "not a chat-completions request"},
		{"no model", `{"messages":[` + user + `]}`, "model is missing"},
		{"no messages", body(""), "messages is empty"},
		{"unknown role", body(`{"role":"note","content":"x"}`), `role "note" is unknown`},
		{"empty content", body(user + `,{"role":"user","content":""}`), "messages[1] (user): the message is empty"},
		{"odd content", body(`{"role":"user","content":7}`), "messages[0]: the content of the user message is neither a string nor a list of parts: 7"},
		{"result without content", body(user + "," + calls + "," + resultA + `,{"role":"tool","tool_call_id":"b"}`), "messages[3]: the tool message has no content"},
		{"refusal of the user", body(`{"role":"user","refusal":"no"}`), "messages[0]: the user message has no content"},
		{"no content", body(`{"role":"assistant"}`), "has no content"},
		{"null content", body(`{"role":"user","content":null}`), "has no content"},
		{"bad part", body(`{"role":"user","content":[{"type":"text"}]}`), "content[0]"},
		{"no result", body(user + "," + calls + "," + resultA), `messages[1] (assistant): the call "b" of "g" has no result`},
		{"note before result", body(user + "," + calls + "," + resultA + "," + user + "," + resultB), `messages[1] (assistant): the call "b" of "g" has no result`},
		{"assistant before result", body(user + "," + calls + "," + resultA + `,{"role":"assistant","content":"x"}`), `messages[1] (assistant): the call "b" of "g" has no result`},
		{"system before result", body(user + "," + calls + "," + resultA + `,{"role":"system","content":"x"},` + resultB), `messages[1] (assistant): the call "b" of "g" has no result`},
		{"second result", body(answered + "," + resultA), `messages[4] (tool): it is a second result of the call "a"`},
		{"call of a tool", body(user + "," + calls + "," + resultB + "," + strings.Replace(resultA, `"content"`, `"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}],"content"`, 1)), `messages[3] (tool): the call "c" does not stand`},
		{"orphan", body(user + "," + resultA), `messages[1] (tool): there is no call "a"`},
		{"late result", body(answered + "," + user + "," + resultA), `messages[5] (tool): the result of the call "a" does not stand directly behind it`},
		{"doubled id", body(answered + "," + calls), `messages[4] (assistant): the id "a" was that of a call before`},
		{"id twice in a message", body(user + "," + strings.Replace(calls, `"b"`, `"a"`, 1) + "," + resultA), `the id "a" was that of a call before`},
		{"no id", body(call("", "f", "{}")), "has no id"},
		{"no arguments", body(call("a", "f", "")), "not even {}"},
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
