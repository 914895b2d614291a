package openai

import (
	"encoding/json"
	"reflect"
	"testing"

	goai "github.com/sashabaranov/go-openai"
	"pgregory.net/rapid"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// FuzzJSON holds the walk through JSON against encoding/json, and the reading
// of an answer against a crash.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, ` { "a" : 1 , "b" : [ 1 , { "c" : "}" } ] , "d\"e" : "\\" } `, `[[],{},"]",1.5e3,true,null]`, `"x"`, `7`,
		`{"choices":[{"delta":{"content":"x","tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}`,
		`{"error":{"code":500,"metadata":{"raw":[1]}}}`, `{"a":{"b":{"c":[{"d":"\u00e4"}]}}}`, "{\"\xff\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := answer{host: "h", max: 1 << 20, voice: &voice{}}
		if a.add(raw) == nil {
			_, _ = a.reply(true) // any outcome but a crash
		}
		judge(500, raw, nil)
		if _, ok := repairArgs(string(raw)); ok && len(raw) > 0 {
			args, _ := repairArgs(string(raw))
			if len(args) > 0 && !json.Valid(args) {
				t.Errorf("the arguments %q become %q", raw, args)
			}
		}
		if !json.Valid(raw) {
			return
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) == nil && object != nil {
			got := map[string]json.RawMessage{}
			eachField(raw, func(name string, v json.RawMessage) { got[name] = v })
			if !reflect.DeepEqual(got, object) {
				t.Errorf("fields of %s: %q, want %q", raw, got, object)
			}
		}
		var array []json.RawMessage
		if json.Unmarshal(raw, &array) == nil && len(array) > 0 {
			var got []json.RawMessage
			eachItem(raw, func(v json.RawMessage) { got = append(got, v) })
			if !reflect.DeepEqual(got, array) {
				t.Errorf("items of %s: %q, want %q", raw, got, array)
			}
		}
		var s string
		if json.Unmarshal(raw, &s) == nil && string(raw) != "null" {
			scan := scanner{raw, 0}
			scan.next()
			if got := text(scan.value()); got != s {
				t.Errorf("text of %s: %q, want %q", raw, got, s)
			}
		}
	})
}

// What is written by hand is what encoding/json writes.
func TestWritesAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("a\"\\\n\t\r\b\x00\u2028ä€<>&"))), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		s := text.Draw(t, "text")
		if got, want := string(appendString([]byte("x"), s)), "x"+string(adapter.JSON(s)); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		w := &wireMessage{Role: text.Draw(t, "role"), Reasoning: text.Draw(t, "reasoning"), ToolCallID: text.Draw(t, "id")}
		switch rapid.IntRange(0, 2).Draw(t, "content") {
		case 0:
			w.Content = s
		case 1:
			w.Content = []goai.ChatMessagePart{{Type: goai.ChatMessagePartTypeText, Text: s}}
		}
		for range rapid.IntRange(0, 3).Draw(t, "calls") {
			w.ToolCalls = append(w.ToolCalls, encoder{}.call(&agent.Call{ID: text.Draw(t, "call"), Name: s, Args: json.RawMessage(`{"a":"b\"c"}`)}, opaque{}))
		}
		if got, want := string(w.encode()), string(adapter.JSON(w)); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}
