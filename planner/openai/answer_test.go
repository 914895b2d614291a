package openai

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
)

// show writes a message in one line, for comparison.
func show(m *agent.Message) string {
	var out []string
	for _, p := range m.Parts {
		switch {
		case p.Call != nil:
			out = append(out, fmt.Sprintf("call %s %s(%s)", p.Call.ID, p.Call.Name, p.Call.Args))
		case p.Reasoning != "":
			out = append(out, "thought "+p.Reasoning)
		default:
			out = append(out, "text "+p.Text)
		}
	}
	return strings.Join(out, "; ")
}

func callDelta(fields string) string { return delta(`"tool_calls":[{`+fields+`}]`, "") }

func fn(name, args string) string {
	return `"function":{"name":` + string(jsonString(name)) + `,"arguments":` + string(jsonString(args)) + `}`
}

func more(args string) string { return `"function":{"arguments":` + string(jsonString(args)) + `}` }

// What odd streams mean.
func TestStreams(t *testing.T) {
	stop, callsEnd := delta("", "stop"), delta("", "tool_calls")
	cases := []struct {
		name   string
		stream string
		want   string // the message, or "" for an error
		words  string // of the error
		kind   outcome
	}{
		// The frame.
		{name: "CRLF, names, ids and comments", stream: strings.ReplaceAll(": hello\nevent: message\nid: 7\nretry: 10\n"+sse(delta(`"content":"hi"`, ""), stop), "\n", "\r\n"), want: "text hi"},
		{name: "no space behind data", stream: strings.ReplaceAll(sse(delta(`"content":"hi"`, ""), stop), "data: ", "data:"), want: "text hi"},
		{name: "a byte order mark and blank lines", stream: "\n\n\xEF\xBB\xBF\n" + sse(delta(`"content":"hi"`, "stop")), want: "text hi"},
		{name: "no blank lines between events", stream: strings.ReplaceAll(sse(delta(`"content":"h"`, ""), delta(`"content":"i"`, ""), stop), "\n\n", "\n"), want: "text hi"},
		{name: "no newline at the end", stream: strings.TrimSuffix(sse(delta(`"content":"hi"`, "stop")), "\n\ndata: [DONE]\n\n"), want: "text hi"},
		{name: "[DONE] without a finish reason", stream: sse(delta(`"content":"hi"`, "")), want: "text hi"},
		{name: "comments between events", stream: "data: " + delta(`"content":"h"`, "") + "\n\n" + strings.Repeat(": PROCESSING\n\n", 500) + sse(delta(`"content":"i"`, "stop")), want: "text hi"},
		{name: "pings", stream: sse(`{"type":"ping"}`, delta(`"content":"hi"`, ""), `{}`, stop), want: "text hi"},
		{name: "errors that are null", stream: strings.ReplaceAll(sse(delta(`"content":"hi"`, "stop")), `{"id"`, `{"error":null,"id"`), want: "text hi"},
		{name: "something broken behind the end", stream: "data: " + delta(`"content":"hi"`, "stop") + "\n\ndata: {nope\n\n", want: "text hi"},
		{name: "an answer in one piece", stream: ` {"model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`, want: "text hi"},
		{name: "an answer in one piece and more", stream: `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]} trailing`, want: "text hi"},
		{name: "only [DONE]", stream: "data: [DONE]\n\n", words: "without choices", kind: transient},
		{name: "only comments", stream: ": hello\n\n: bye\n\n", words: "without choices", kind: transient},
		{name: "an event that is no object", stream: sse(`"hello"`, stop), words: "neither words nor calls", kind: transient},
		{name: "an event that is no JSON", stream: "data: ping\n\n", words: `not JSON: "ping"`, kind: transient},
		{name: "plain words", stream: "upstream connect error", words: `"upstream connect error"`, kind: transient},

		// Words.
		{name: "reasoning under one name", stream: sse(delta(`"reasoning":"hm"`, ""), delta(`"content":"hi"`, "stop")), want: "thought hm; text hi"},
		{name: "reasoning under both names", stream: sse(delta(`"reasoning":"hm","reasoning_content":"hm"`, ""), delta(`"content":"hi"`, "stop")), want: "thought hm; text hi"},
		{name: "content in parts", stream: sse(delta(`"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"hi"}]`, "stop")), want: "thought hm; text hi"},
		{name: "a refusal", stream: sse(delta(`"content":null,"refusal":"I "`, ""), delta(`"refusal":"won't."`, "stop")), want: "text I won't."},
		{name: "another choice", stream: sse(strings.Replace(delta(`"content":"no"`, "stop"), `"index":0`, `"index":1`, 1), delta(`"content":"hi"`, "stop")), want: "text hi"},
		{name: "escapes and invalid UTF-8", stream: sse(delta(`"content":"\u00e4\n\ud83d\ude00"`, ""), delta("\"content\":\"\xff\"", "stop")), want: "text ä\n😀\uFFFD"},
		{name: "reasoning only", stream: sse(delta(`"reasoning_content":"hm"`, "stop")), words: "reasoning only", kind: transient},
		{name: "blank words only", stream: sse(delta(`"content":" \n"`, "stop")), words: "neither words nor calls", kind: transient},
		{name: "types that make no sense", stream: sse(`{"model":7,"choices":[{"index":"zero","delta":{"content":5,"tool_calls":"x","role":[]},"finish_reason":9}],"usage":"much"}`, delta(`"content":"hi"`, "stop")), want: "text hi"},
		{name: "a delta that is none", stream: sse(`{"choices":[{"delta":"x"}, 7]}`, stop), words: "neither words nor calls", kind: transient},

		// Finish reasons.
		{name: "stop with calls", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{}`)), stop), want: "call a f({})"},
		{name: "tool_calls without calls", stream: sse(delta(`"content":"I look it up."`, ""), callsEnd), words: "says it calls tools, and calls none", kind: transient},
		{name: "an unknown reason", stream: sse(delta(`"content":"hi"`, "eos")), want: "text hi"},
		{name: "length with calls", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x":`)), delta("", "length")), words: "cut off at the token limit", kind: permanent},
		{name: "an error as reason", stream: sse(delta(`"content":"hi"`, "error")), words: "finish_reason is error", kind: transient},

		// Errors within.
		{name: "an error in an event", stream: sse(delta(`"content":"h"`, ""), `{"id":"x","error":{"message":"Provider disconnected","code":502},"choices":[{"delta":{},"finish_reason":"error"}]}`), words: "502 Bad Gateway: an error instead of an answer: Provider disconnected", kind: transient},
		{name: "an error without a frame", stream: "data: " + delta(`"content":"h"`, "") + "\n\nevent: error\n" + `{"error":{"message":"out of memory"}}` + "\n", words: "out of memory", kind: transient},
		{name: "an error in a choice", stream: sse(`{"choices":[{"delta":{},"error":{"message":"bad schema","type":"invalid_request_error"}}]}`), words: "bad schema", kind: permanent},
		{name: "a quota in an event", stream: sse(`{"error":{"message":"empty","code":"insufficient_quota"}}`), words: "no credit left", kind: permanent},
		{name: "a key in an event", stream: sse(`{"error":{"message":"wrong key ` + testKey + `","type":"authentication_error"}}`), words: "wrong key [key] (check the key", kind: permanent},
		{name: "too long, in an event", stream: sse(`{"error":{"message":"the prompt is too long: 9000 tokens"}}`), words: "longer than the model takes", kind: permanent},

		// Calls.
		{name: "interleaved", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", "")), callDelta(`"index":1,"id":"b",`+fn("g", "")),
			callDelta(`"index":0,`+more(`{"x"`)), callDelta(`"index":1,`+more(`{"y"`)), callDelta(`"index":0,`+more(`:1}`)), callDelta(`"index":1,`+more(`:2}`)), callsEnd),
			want: `call a f({"x":1}); call b g({"y":2})`},
		{name: "indexes out of order", stream: sse(callDelta(`"index":5,"id":"a",`+fn("f", "{}")), callDelta(`"index":2,"id":"b",`+fn("g", "{}")), callsEnd), want: `call a f({}); call b g({})`},
		{name: "without index", stream: sse(callDelta(`"id":"a",`+fn("f", `{"x"`)), callDelta(more(`:1}`)), callDelta(`"id":"b",`+fn("g", "")), callDelta(more(`{}`)), callsEnd),
			want: `call a f({"x":1}); call b g({})`},
		{name: "without id", stream: sse(callDelta(`"index":0,`+fn("f", `{"x":1}`)), callDelta(`"index":1,`+fn("f", `{"x":2}`)), callsEnd), want: `call  f({"x":1}); call  f({"x":2})`},
		{name: "without id and index", stream: sse(callDelta(fn("f", `{"x":1}`)), callDelta(fn("f", `{"x":2}`)), callDelta(fn("g", `{}`)), callsEnd), want: `call  f({"x":1}); call  f({"x":2}); call  g({})`},
		{name: "all of index 0, with ids", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x":1}`)), callDelta(`"index":0,"id":"b",`+fn("f", `{"x":`)), callDelta(`"index":0,`+more(`2}`)), callsEnd),
			want: `call a f({"x":1}); call b f({"x":2})`},
		{name: "all of index 0, without ids", stream: sse(callDelta(`"index":0,`+fn("f", `{"x":1}`)), callDelta(`"index":0,`+fn("f", `{"x":2}`)), callDelta(`"index":0,`+fn("g", ``)), callsEnd),
			want: `call  f({"x":1}); call  f({"x":2}); call  g()`},
		{name: "index 0 interleaved by id", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x":`)), callDelta(`"index":0,"id":"b",`+fn("g", `{"y":`)), callDelta(`"index":0,"id":"a",`+more(`1}`)), callDelta(`"index":0,"id":"b",`+more(`2}`)), callsEnd),
			want: `call a f({"x":1}); call b g({"y":2})`},
		{name: "id and name repeated in each piece", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x"`)), callDelta(`"index":0,"id":"a",`+fn("f", `:1}`)), callsEnd), want: `call a f({"x":1})`},
		{name: "name repeated in each piece", stream: sse(callDelta(`"index":0,`+fn("f", `{"x"`)), callDelta(`"index":0,`+fn("f", `:1}`)), callsEnd), want: `call  f({"x":1})`},
		{name: "the whole call twice", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x":1}`)), callDelta(`"index":0,"id":"a",`+fn("f", `{"x":1}`)), callsEnd), want: `call a f({"x":1})`},
		{name: "the whole call twice, without id", stream: sse(callDelta(`"index":0,`+fn("f", `{"x":1}`)), callDelta(`"index":0,`+fn("f", `{"x":1}`)), callsEnd), want: `call  f({"x":1})`},
		{name: "the id comes late", stream: sse(callDelta(`"index":0,`+fn("f", `{}`)), callDelta(`"index":0,"id":"a"`), callsEnd), want: `call a f({})`},
		{name: "doubled ids in one event", stream: sse(delta(`"tool_calls":[{"index":0,"id":"a",`+fn("f", `{}`)+`},{"index":1,"id":"a",`+fn("g", `{}`)+`}]`, "tool_calls")), want: `call a f({}); call a g({})`},
		{name: "without name", stream: sse(callDelta(`"index":0,"id":"a",`+more(`{}`)), callsEnd), want: `call a ({})`},
		{name: "the old form", stream: sse(delta(`"function_call":{"name":"f","arguments":"{\"x\""}`, ""), delta(`"function_call":{"arguments":":1}"}`, "function_call")), want: `call  f({"x":1})`},
		{name: "words and blank words with calls", stream: sse(delta(`"content":"\n\n"`, ""), callDelta(`"index":0,"id":"a",`+fn("f", `{}`)), callsEnd), want: `call a f({})`},
		{name: "too many calls", stream: sse(delta(`"tool_calls":[`+strings.Repeat(`{"id":"a"},`, 2000)+`{}]`, "tool_calls")), want: `call a ()`},
		{name: "too many calls with ids", stream: sse(manyCalls(2000)), words: "more than 1000 calls", kind: permanent},
		{name: "broken off within a call", stream: sse(callDelta(`"index":0,"id":"a",` + fn("f", `{"x":`))), words: "in the middle of a call", kind: transient},

		// Arguments.
		{name: "no arguments", stream: sse(callDelta(`"index":0,"id":"a","function":{"name":"f"}`), callsEnd), want: `call a f()`},
		{name: "null arguments", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", "null")), callsEnd), want: `call a f()`},
		{name: "arguments as an object", stream: sse(callDelta(`"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}`), callsEnd), want: `call a f({"x":1})`},
		{name: "arguments in a string", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `"{\"x\":1}"`)), callsEnd), want: `call a f({"x":1})`},
		{name: "doubled arguments", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x":1}{"x": 1}`)), callsEnd), want: `call a f({"x":1})`},
		{name: "two different arguments", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x":1}{"x":2}`)), callsEnd), want: `call a f("{\"x\":1}{\"x\":2}")`},
		{name: "broken arguments", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x": nope}`)), callsEnd), want: `call a f("{\"x\": nope}")`},
		{name: "arguments and rubbish", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `{"x":1}</tool>`)), callsEnd), want: `call a f("{\"x\":1}\u003c/tool\u003e")`},
		{name: "arguments of another type", stream: sse(callDelta(`"index":0,"id":"a",`+fn("f", `[1]`)), callsEnd), want: `call a f([1])`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := &rawHandler{t: t, bodies: []string{c.stream}, header: map[string]string{"Content-Type": "text/plain"}}
			m, _ := serve(t, h, nil)
			var heard heard
			reply, err := m.Generate(t.Context(), userSays("x"), heard.emit)
			text, _ := heard.text()
			if c.want == "" {
				mustFail(t, err, c.kind == transient, c.words)
				if text != "" {
					t.Errorf("the words %q remain", text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := show(&reply.Message); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if strings.TrimSpace(text) != strings.TrimSpace(reply.Message.Text()) {
				t.Errorf("emitted %q", text)
			}
			for _, call := range reply.Message.Calls() {
				if len(call.Args) > 0 && !json.Valid(call.Args) {
					t.Errorf("the arguments of %s are not JSON: %s", call.Name, call.Args)
				}
			}
		})
	}
}

func manyCalls(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"id":"c%d"}`, i))
	}
	return delta(`"tool_calls":[`+strings.Join(list, ",")+`]`, "tool_calls")
}

// An answer in one piece has calls of their own, whatever their ids and indexes.
func TestWholeAnswers(t *testing.T) {
	cases := []struct{ name, body, want, words string }{
		{"doubled ids", `{"choices":[{"message":{"tool_calls":[{"id":"a",` + fn("f", `{}`) + `},{"id":"a",` + fn("g", `{"x":1}{"x":1}`) + `}]},"finish_reason":"stop"}]}`, `call a f({}); call a g({"x":1})`, ""},
		{"without ids", `{"choices":[{"message":{"content":"","tool_calls":[{` + fn("f", `{}`) + `},{` + fn("f", `{}`) + `}]},"finish_reason":"tool_calls"}]}`, `call  f({}); call  f({})`, ""},
		{"no finish reason", `{"choices":[{"message":{"content":"hi"}}]}`, "text hi", ""},
		{"a stream all the same", sse(delta(`"content":"hi"`, "stop")), "text hi", ""},
		{"in a list", `[{"error":{"code":429,"message":"Resource exhausted","status":"RESOURCE_EXHAUSTED"}}]`, "", "Resource exhausted"},
		{"null message", `{"choices":[{"message":null,"finish_reason":"stop"}]}`, "", "neither words nor calls"},
		{"null choices", `{"choices":null}`, "", "without choices"},
		{"null", `{"x":[[[[{"a":"]}"}]]]]}`, "", "without choices"},
		{"too deep", strings.Repeat("[", 20000), "", "not JSON"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, _ := serve(t, &rawHandler{t: t, bodies: []string{c.body}}, &Options{NoStream: true})
			reply, err := m.Generate(t.Context(), userSays("x"), nil)
			if c.want == "" {
				mustFail(t, err, true, c.words)
			} else if err != nil || show(&reply.Message) != c.want {
				t.Fatalf("got %+v, %v", reply, err)
			}
		})
	}
}

// Limits hold for each way of being too large.
func TestLimits(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for name, body := range map[string]string{
		"one line":       "data: " + strings.Repeat("x", 200_000),
		"one answer":     `{"choices":[{"message":{"content":"` + strings.Repeat("x", 200_000),
		"words":          sse(delta(`"content":"`+long+`"`, "stop")),
		"reasoning":      sse(delta(`"reasoning":"`+long+`"`, "stop")),
		"arguments":      sse(callDelta(`"index":0,"id":"a",` + fn("f", `{"x":"`+long+`"}`))),
		"unknown fields": sse(delta(`"whatever":"`+long+`"`, ""), delta(`"content":"hi"`, "stop")),
		"comments":       strings.Repeat(": "+long+"\n\n", 100),
		"empty lines":    ": x\n" + strings.Repeat("\n", 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := serve(t, &rawHandler{t: t, bodies: []string{body}}, &Options{MaxAnswer: 2048})
			_, err := m.Generate(t.Context(), userSays("x"), nil)
			mustFail(t, err, false, "an answer larger than 2048 bytes")
		})
	}
}

func TestUsage(t *testing.T) {
	for usage, want := range map[string]agent.Usage{
		`{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}`: {Input: 10, Output: 3, Cached: 4, Reasoning: 2},
		`{"prompt_tokens":10.0,"completion_tokens":"3","prompt_tokens_details":null}`:                                                               {Input: 10, Output: 3},
		`{"prompt_tokens":-5,"completion_tokens":1e300}`:                                                                                            {},
		`null`: {}, `[]`: {}, `{}`: {},
	} {
		last := `{"choices":[],"usage":` + usage + `}`
		m, _ := serve(t, &rawHandler{t: t, bodies: []string{sse(delta(`"content":"hi"`, "stop"), last)}}, nil)
		reply, err := m.Generate(t.Context(), userSays("x"), nil)
		if err != nil || reply.Usage != want || reply.Model != "m-1" {
			t.Errorf("%s: got %+v, %v", usage, reply, err)
		}
	}
}
