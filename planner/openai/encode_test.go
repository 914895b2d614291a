package openai

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
	"github.com/fermata-run/fermata/internal/chatserver"
)

func TestEncodeMessage(t *testing.T) {
	result := func(o agent.Outcome, content string) *agent.Message {
		return &agent.Message{Role: agent.RoleTool, Parts: []agent.Part{{Result: &agent.Result{CallID: "a", Name: "f", Outcome: o, Content: json.RawMessage(content)}}}}
	}
	told := func(content string) string {
		return `{"role":"tool","content":` + string(jsonString(content)) + `,"tool_call_id":"a"}`
	}
	call := func(args string) *agent.Message {
		return &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: &agent.Call{ID: "a", Name: "f", Args: json.RawMessage(args)}}}}
	}
	called := func(args string) string {
		return `{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":` + string(jsonString(args)) + `}}]}`
	}
	parts := func(role agent.Role, parts ...agent.Part) *agent.Message {
		return &agent.Message{Role: role, Parts: parts}
	}
	opaqueOf := func(v string) map[string]json.RawMessage {
		return map[string]json.RawMessage{Provider: json.RawMessage(v)}
	}
	image := agent.Part{Media: &agent.Media{Type: "image/png", URL: "data:image/png;base64,AA=="}}
	cases := []struct {
		name string
		msg  *agent.Message
		want string
	}{
		{"user", parts(agent.RoleUser, agent.Part{Text: "hi\n\"you\" <b>"}), `{"role":"user","content":"hi\n\"you\" <b>"}`},
		{"user in parts", parts(agent.RoleUser, agent.Part{Text: "a"}, agent.Part{Text: "b"}), `{"role":"user","content":"ab"}`},
		{"image", parts(agent.RoleUser, agent.Part{Text: "look"}, image), `{"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}`},
		{"file", parts(agent.RoleUser, agent.Part{Media: &agent.Media{Type: "application/pdf", URL: "https://x/a.pdf", Name: "a.pdf"}}), `{"role":"user","content":"\n[file a.pdf, application/pdf: https://x/a.pdf]\n"}`},
		{"nothing", parts(agent.RoleUser), `{"role":"user","content":"(an empty message)"}`},
		{"note", parts(agent.RoleNote, agent.Part{Text: "The call has ended."}), `{"role":"user","content":"[note] The call has ended."}`},
		{"note of a result", parts(agent.RoleNote, agent.Part{Result: &agent.Result{CallID: "a", Name: "f", Outcome: agent.Denied, Content: json.RawMessage(`"no money"`)}}),
			`{"role":"user","content":"[note] The call a of f has ended: {\"outcome\":\"denied\",\"reason\":\"no money\"}"}`},

		{"assistant", agent.Said("hello"), `{"role":"assistant","content":"hello"}`},
		{"reasoning stays here", parts(agent.RoleAssistant, agent.Part{Reasoning: "hm"}, agent.Part{Text: "x"}), `{"role":"assistant","content":"x"}`},
		{"reasoning only", parts(agent.RoleAssistant, agent.Part{Reasoning: "hm"}), ``},
		{"call", call(`{"x":1}`), called(`{"x":1}`)},
		{"call without arguments", call(``), called(`{}`)},
		{"call with null", call(`null`), called(`{}`)},
		{"call with broken arguments", call(`"{\"x\": nope}"`), called(`{"_invalid":"{\"x\": nope}"}`)},

		{"returned", result(agent.Returned, `{"x":1}`), told(`{"x":1}`)},
		{"returned words", result(agent.Returned, `"all well"`), told(`all well`)},
		{"returned nothing", result(agent.Returned, ``), told(`{"outcome":"returned"}`)},
		{"answered", result(agent.Answered, `"blue"`), told(`blue`)},
		{"failed", result(agent.Failed, `"no such order"`), told(`{"outcome":"failed","error":"no such order"}`)},
		{"denied", result(agent.Denied, `"too much"`), told(`{"outcome":"denied","reason":"too much"}`)},
		{"denied without reason", result(agent.Denied, ``), told(`{"outcome":"denied"}`)},
		{"expired", result(agent.Expired, ``), told(`{"outcome":"expired","meaning":"nobody answered, or nothing arrived, in time"}`)},
		{"content that is no JSON", result(agent.Failed, `oops`), told(`{"outcome":"failed","error":"oops"}`)},
		{"pending", result(agent.Pending, ``), told(`{"outcome":"pending","meaning":"not finished: it waits for a person, an event or a time, such as an approval; a note will follow. Do not call it again for this"}`)},
		{"preview", parts(agent.RoleTool, agent.Part{Result: &agent.Result{CallID: "a", Outcome: agent.Returned, Content: json.RawMessage(`"begin"`), Blob: "h"}}), told("begin\n[only the beginning of a larger result is shown]")},
		{"edited", parts(agent.RoleTool, agent.Part{Result: &agent.Result{CallID: "a", Outcome: agent.Returned, Content: json.RawMessage(`{"x":2}`), Edited: json.RawMessage(`{"x":2}`)}}), told("A person has changed the arguments of this call to {\"x\":2}.\n{\"x\":2}")},
		{"edited and failed", parts(agent.RoleTool, agent.Part{Result: &agent.Result{CallID: "a", Outcome: agent.Failed, Content: json.RawMessage(`"no"`), Edited: json.RawMessage(`{"x":2}`)}}), told("A person has changed the arguments of this call to {\"x\":2}.\n{\"outcome\":\"failed\",\"error\":\"no\"}")},
		{"two results", parts(agent.RoleTool, agent.Part{Result: &agent.Result{CallID: "a", Outcome: agent.Returned, Content: json.RawMessage(`1`)}}, agent.Part{Result: &agent.Result{CallID: "b", Outcome: agent.Returned, Content: json.RawMessage(`2`)}}),
			`{"role":"tool","content":"1","tool_call_id":"a"},{"role":"tool","content":"2","tool_call_id":"b"}`},

		{"opaque of this host", &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Text: "x"}}, Opaque: opaqueOf(`{"from":"h","fields":{"b":[1, 2],"a":{"z":1},"role":"evil"}}`)},
			`{"role":"assistant","content":"x","a":{"z":1},"b":[1, 2]}`},
		{"opaque of another host", &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Text: "x"}}, Opaque: opaqueOf(`{"from":"other","fields":{"a":1}}`)}, `{"role":"assistant","content":"x"}`},
		{"opaque that makes no sense", &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Text: "x", Opaque: opaqueOf(`[]`)}}, Opaque: opaqueOf(`nope`)}, `{"role":"assistant","content":"x"}`},
		{"opaque of a call", parts(agent.RoleAssistant, agent.Part{Call: &agent.Call{ID: "a", Name: "f"}, Opaque: opaqueOf(`{"from":"h","fields":{"extra_content":{"s":"x"}},"function":{"strict":true}}`)}),
			`{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}","strict":true},"extra_content":{"s":"x"}}]}`},
		{"refusal", parts(agent.RoleAssistant, agent.Part{Text: "no", Opaque: opaqueOf(`{"from":"h","fields":{"refusal":"no"}}`)}), `{"role":"assistant","content":null,"refusal":"no"}`},
		{"refusal of another host", parts(agent.RoleAssistant, agent.Part{Text: "no", Opaque: opaqueOf(`{"from":"other","fields":{"refusal":"no"}}`)}), `{"role":"assistant","content":"no"}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := encoder{host: "h"}.message(c.msg)
			if got == nil || string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if len(got) > 0 && !json.Valid([]byte("["+string(got)+"]")) {
				t.Error("that is not JSON")
			}
		})
	}
	if got := string(encoder{reasoning: true}.message(parts(agent.RoleAssistant, agent.Part{Reasoning: "hm"}, agent.Part{Text: "x"}))); got != `{"role":"assistant","content":"x","reasoning_content":"hm"}` {
		t.Errorf("with reasoning: %s", got)
	}
}

// What the package does not know of a message goes back verbatim to where it
// came from, and nowhere else.
func TestOpaqueGoesBack(t *testing.T) {
	details := `[{"type":"reasoning.text","text":"hm, <b>","signature":"s1"},{"type":"reasoning.encrypted","data":"AAA="}]`
	extra := `{"google":{"thought_signature":"c2ln"}}`
	bothWays(t, func(t *testing.T, o Options) {
		script := chatserver.Replies(
			chatserver.Reply{
				Text:  "I look.",
				Extra: map[string]json.RawMessage{"reasoning_details": json.RawMessage(details), "annotations": json.RawMessage(`[]`), "n": json.RawMessage(`1.50`)},
				Calls: []chatserver.Call{{Name: "f", Extra: map[string]json.RawMessage{"extra_content": json.RawMessage(extra)}}},
			},
			chatserver.Reply{Text: "done", Repeat: 2},
		)
		s := chatserver.New(script, nil)
		m, _ := serve(t, s, &o)
		req := userSays("x")
		reply, err := m.Generate(t.Context(), req, nil)
		if err != nil {
			t.Fatal(err)
		}
		// As the log of a run keeps it.
		var kept agent.Message
		if b, err := json.Marshal(reply.Message); err != nil || json.Unmarshal(b, &kept) != nil {
			t.Fatalf("%s, %v", b, err)
		}
		req.Messages = append(req.Messages, &kept, &agent.Message{Role: agent.RoleTool, Parts: []agent.Part{{Result: &agent.Result{CallID: "call_0_0", Outcome: agent.Returned}}}})
		if _, err := m.Generate(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"reasoning_details": compact(details), "n": "1.50"}
		if msg := assistantOf(t, s.Requests()[1].Body); compact(string(msg["reasoning_details"])) != want["reasoning_details"] || string(msg["n"]) != want["n"] || msg["annotations"] != nil ||
			!strings.Contains(string(msg["tool_calls"]), `"extra_content":`+extra) {
			t.Errorf("sent back: %s", s.Requests()[1].Body)
		}
		other := chatserver.New(script, nil)
		srv := httptest.NewServer(other)
		defer srv.Close()
		m2, _ := modelAt(srv.URL+"/v1", &o)
		if _, err := m2.Generate(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
		if body := string(other.Requests()[0].Body); strings.Contains(body, "reasoning_details") || strings.Contains(body, "extra_content") {
			t.Errorf("sent to another host: %s", body)
		}
	})
}

func compact(s string) string {
	var v any
	_ = json.Unmarshal([]byte(s), &v) // the test compares
	return string(adapter.JSON(v))
}

func assistantOf(t *testing.T, body []byte) map[string]json.RawMessage {
	t.Helper()
	var req struct {
		Messages []map[string]json.RawMessage `json:"messages"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		t.Fatal(err)
	}
	for _, m := range req.Messages {
		if string(m["role"]) == `"assistant"` {
			return m
		}
	}
	t.Fatalf("no assistant message in %s", body)
	return nil
}

// Pieces of unknown fields in a stream become what they would be in one piece.
func TestMergeOfPieces(t *testing.T) {
	cases := []struct {
		name   string
		pieces []string
		want   string
	}{
		{"one", []string{`"x":{"a": [1,2]}`}, `{"x":{"a": [1,2]}}`},
		{"nothing", []string{`"x":null`, `"x":[]`, `"x":""`, `"x":{}`}, ``},
		{"a string that grows", []string{`"data":"ab"`, `"data":"ab"`, `"data":"c"`}, `{"data":"ababc"}`},
		{"a string that is repeated", []string{`"channel":"final"`, `"channel":"final"`}, `{"channel":"final"}`},
		{"a string in two pieces", []string{`"sig":"ab"`, `"sig":"cd"`}, `{"sig":"abcd"}`},
		{"numbers", []string{`"x":1`, `"x":2`}, `{"x":2}`},
		{"types that differ", []string{`"x":"a"`, `"x":[1]`}, `{"x":[1]}`},
		{"objects", []string{`"audio":{"id":"a","data":"xx"}`, `"audio":{"id":"a","data":"yy","expires":7}`}, `{"audio":{"data":"xxyy","expires":7,"id":"a"}}`},
		{"plain lists", []string{`"x":[1]`, `"x":[{"a":1}]`, `"x":[{"a":1}]`}, `{"x":[1,{"a":1},{"a":1}]}`},
		{"reasoning details", []string{
			`"reasoning_details":[{"type":"reasoning.text","text":"a","format":"f","index":0}]`,
			`"reasoning_details":[{"type":"reasoning.text","text":"a","format":"f","index":0},{"type":"reasoning.encrypted","data":"E","index":1}]`,
			`"reasoning_details":[{"type":"reasoning.text","text":"b","signature":"s","index":0}]`,
		}, `{"reasoning_details":[{"format":"f","index":0,"signature":"s","text":"aab","type":"reasoning.text"},{"type":"reasoning.encrypted","data":"E","index":1}]}`},
		{"ids that come and go", []string{`"x":[{"index":0,"text":"a"}]`, `"x":[{"index":0,"id":"1","text":"b"}]`, `"x":[{"index":0,"text":"c"}]`, `"x":[{"index":0,"id":"2","text":"d"}]`},
			`{"x":[{"id":"1","index":0,"text":"abc"},{"index":0,"id":"2","text":"d"}]}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := answer{host: "h", max: 1 << 20, voice: &voice{}}
			for _, p := range c.pieces {
				if err := a.add([]byte(delta(p, ""))); err != nil {
					t.Fatal(err)
				}
			}
			a.say("x")
			reply, err := a.reply(true)
			if err != nil {
				t.Fatal(err)
			}
			var got opaque
			if raw := reply.Message.Opaque[Provider]; raw != nil {
				if err := json.Unmarshal(raw, &got); err != nil || got.From != "h" {
					t.Fatalf("%s: %v", raw, err)
				}
			}
			want := c.want
			if fields := string(adapter.JSON(got.Fields)); want == "" && fields != "null" || want != "" && compact(fields) != compact(want) {
				t.Errorf("got  %s\nwant %s", fields, want)
			}
		})
	}
}

// Thousands of pieces cost what they weigh.
func TestManyPieces(t *testing.T) {
	a := answer{host: "h", max: 64 << 20, voice: &voice{}}
	for i := range 3_000 {
		if err := a.add([]byte(delta(fmt.Sprintf(`"a":[{"index":0,"text":"x"}],"b":[{"index":%d,"id":"i%d"}],"c":[%d]`, i, i, i), ""))); err != nil {
			t.Fatal(err)
		}
	}
	fields := a.unknown.fields()
	for name, n := range map[string]int{"a": 1, "b": 3_000, "c": 3_000} {
		var list []json.RawMessage
		if err := json.Unmarshal(fields[name], &list); err != nil || len(list) != n {
			t.Errorf("%s has %d items, %v", name, len(list), err)
		}
	}
}
