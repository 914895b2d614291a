package openai

import (
	"encoding/json"
	"reflect"
	"testing"
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
