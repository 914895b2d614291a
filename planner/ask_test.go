package planner_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/planner"
)

// asked returns the action for a call of AskPerson.
func asked(t *testing.T, args string) agent.Action {
	t.Helper()
	move, _ := offered(t, view(text("Hi")), call("1", planner.AskPerson, args))
	return move.Actions[0]
}

func TestLoopAsksForms(t *testing.T) {
	a := asked(t, `{"question": "Where shall it go?", "choices": null, "fields": [
		{"name": "street", "type": "string", "description": " With the \"number\" "},
		{"name": "floor", "type": "integer", "required": false, "description": null, "choices": []},
		{"name": "country", "type": "string", "choices": ["CH", " DE ", "DE"], "required": true},
		{"name": "a-weight_in_kg", "type": "number", "required": null},
		{"name": "gift", "type": "boolean", "required": false}
	]}`)
	want := agent.Action{Kind: agent.ActAsk, CallID: "1", Ask: &agent.Ask{
		Kind: agent.AskForm, Prompt: "Where shall it go?",
		Schema: json.RawMessage(`{"type":"object","properties":{` +
			`"street":{"type":"string","description":"With the \"number\""},` +
			`"floor":{"type":"integer"},` +
			`"country":{"type":"string","enum":["CH","DE"]},` +
			`"a-weight_in_kg":{"type":"number"},` +
			`"gift":{"type":"boolean"}` +
			`},"required":["street","country","a-weight_in_kg"],"additionalProperties":false}`),
	}}
	if !reflect.DeepEqual(a, want) {
		t.Fatalf("got %+v\n%s", a, a.Ask.Schema)
	}
	for answer, fits := range map[string]bool{
		`{"street": "A 1", "country": "DE", "a-weight_in_kg": 1.5}`:                            true,
		`{"street": "A 1", "country": "DE", "a-weight_in_kg": 1.5, "floor": 2, "gift": false}`: true,
		`{"street": "A 1", "country": "FR", "a-weight_in_kg": 1.5}`:                            false,
		`{"street": "A 1", "country": "DE"}`:                                                   false,
		`{"street": "A 1", "country": "DE", "a-weight_in_kg": 1.5, "floor": 2.5}`:              false,
		`{"street": "A 1", "country": "DE", "a-weight_in_kg": 1.5, "extra": 1}`:                false,
	} {
		if err := schema.Validate(a.Ask.Schema, json.RawMessage(answer)); (err == nil) != fits {
			t.Errorf("%s: %v", answer, err)
		}
	}

	a = asked(t, `{"question": "Anything else?", "fields": [{"name": "note", "type": "string", "required": false}]}`)
	if got := string(a.Ask.Schema); got != `{"type":"object","properties":{"note":{"type":"string"}},"required":[],"additionalProperties":false}` {
		t.Errorf("where nothing is required: %s", got)
	}
	a = asked(t, `{"question": "Why?", "fields": []}`)
	if !reflect.DeepEqual(a.Ask, &agent.Ask{Kind: agent.AskQuestion, Prompt: "Why?"}) {
		t.Errorf("a form without fields is a question, and this came: %+v", a.Ask)
	}
}

func TestLoopRefusesForms(t *testing.T) {
	fields := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"name": "f%d", "type": "string"}`, i)
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	for _, tt := range []struct{ fields, want string }{
		{fields(20), ""},
		{fields(21), "fields: "},
		{`[{"name": "` + strings.Repeat("x", 64) + `", "type": "string"}]`, ""},
		{`[{"name": "` + strings.Repeat("x", 65) + `", "type": "string"}]`, "fields[0].name: must match"},
		{`[{"name": "", "type": "string"}]`, "fields[0].name: must match"},
		{`[{"name": "a b", "type": "string"}]`, "fields[0].name: must match"},
		{`[{"name": "a\u001b[2J", "type": "string"}]`, "fields[0].name: must match"},
		{`[{"name": "a\n", "type": "string"}]`, "fields[0].name: must match"},
		{`[{"name": "a", "type": "string"}, {"name": "b", "type": "string"}, {"name": "a", "type": "integer"}]`,
			`the arguments of ask_person make no sense: fields[2]: there is a field "a" before; give each a name of its own`},
		{`[{"name": "a", "type": "integer", "choices": ["1"]}]`, `fields[0]: only a field of type string has choices, and "a" is of type integer`},
		{`[{"name": "a", "type": "string", "choices": [1]}]`, "fields[0].choices[0]: expected a string"},
		{`[{"name": "a", "type": "string", "choices": ["` + strings.Repeat("x", 201) + `"]}]`, "fields[0].choices[0]: "},
		{`[{"name": "a", "type": "string", "description": "` + strings.Repeat("x", 501) + `"}]`, "fields[0].description: "},
		{`[{"name": "a", "type": "date"}]`, "fields[0].type: "},
		{`[{"name": "a", "type": {"type": "string"}}]`, "fields[0].type: "},
		{`[{"name": "a"}]`, `fields[0]: missing required field "type"`},
		{`[{"type": "string"}]`, `fields[0]: missing required field "name"`},
		{`[{"name": "a", "type": "string", "requierd": true}]`, `did you mean "required"?`},
		{`[null]`, "fields[0]: expected an object"},
		{`{"a": {"type": "string"}}`, "fields: expected null or an array"},
		{`[{"name": "a", "type": "string"}], "choices": ["x", "y"]`, "choices and fields exclude each other"},
		{`[{"name": "a", "type": "string"}], "question": "\u00a0"`, "duplicate field"},
	} {
		a := asked(t, `{"question": "Which?", "fields": `+tt.fields+`}`)
		if tt.want == "" && (a.Kind != agent.ActAsk || a.Refuse != "") {
			t.Errorf("%.60s: got %+v", tt.fields, a)
		}
		if tt.want != "" && (a.Kind != agent.ActCall || a.Ask != nil || !strings.Contains(a.Refuse, tt.want) || len(a.Refuse) > 1000) {
			t.Errorf("%.60s: got %+v\nwant %s", tt.fields, a, tt.want)
		}
	}
}

// Space that a pattern of JSON Schema takes for a letter must not reach a person, nor
// admission, for which an ask without words is the work of a broken planner.
func TestLoopRefusesAsksWithoutWords(t *testing.T) {
	a := asked(t, "{\"question\": \"\u00a0\"}")
	if a.Refuse != "the arguments of ask_person make no sense: question: there are no words in it" {
		t.Errorf("got %+v", a)
	}
	a = asked(t, "{\"question\": \"Which?\", \"choices\": [\"\u00a0\", \"A\", \"\u3000\"]}")
	if !reflect.DeepEqual(a.Ask, &agent.Ask{Kind: agent.AskQuestion, Prompt: "Which?"}) {
		t.Errorf("got %+v", a.Ask)
	}
}
