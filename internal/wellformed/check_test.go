package wellformed_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
)

func message(role agent.Role, parts ...agent.Part) *agent.Message {
	return &agent.Message{Role: role, Parts: parts}
}

func user(text string) *agent.Message { return message(agent.RoleUser, agent.Part{Text: text}) }

func call(id, name, args string) agent.Part {
	return agent.Part{Call: &agent.Call{ID: id, Name: name, Args: json.RawMessage(args)}}
}

// calls is a message that calls f once for each id.
func calls(ids ...string) *agent.Message {
	m := message(agent.RoleAssistant)
	for _, id := range ids {
		m.Parts = append(m.Parts, call(id, "f", "{}"))
	}
	return m
}

func result(id string) agent.Part {
	return agent.Part{Result: &agent.Result{CallID: id, Name: "f", Outcome: agent.Returned, Content: json.RawMessage("1")}}
}

func results(ids ...string) *agent.Message {
	m := message(agent.RoleTool)
	for _, id := range ids {
		m.Parts = append(m.Parts, result(id))
	}
	return m
}

// with returns m as f has changed it.
func with(m *agent.Message, f func(*agent.Message)) *agent.Message {
	f(m)
	return m
}

func TestCheck(t *testing.T) {
	type conversation []*agent.Message
	hi, said := user("hi"), agent.Said("hello")
	opaque := map[string]json.RawMessage{"p": []byte("1")}
	named := func(id, text string) *agent.Message {
		return with(user(text), func(m *agent.Message) { m.ID = id })
	}
	for _, c := range []struct {
		name     string
		messages conversation
		want     string // the beginning of the error, then what it contains; "" if all is well
		contains string
	}{
		{"nothing", nil, "", ""},
		{"words", conversation{said, hi, hi, message(agent.RoleNote, agent.Part{Text: "late"}), said, said}, "", ""},
		{"calls and their results, in any order", conversation{hi, calls("a", "b"), results("b", "a"), calls("c"), results("c"), said, hi}, "", ""},
		{"words beside calls", conversation{message(agent.RoleAssistant, agent.Part{Text: "x"}, agent.Part{Reasoning: "hm"}, call("a", "f", "")), results("a")}, "", ""},
		{"a result without name and content", conversation{calls("a"), with(results("a"), func(m *agent.Message) {
			m.Parts[0].Result.Name, m.Parts[0].Result.Content = "", nil
		})}, "", ""},
		{"media, and what only a provider knows", conversation{
			message(agent.RoleUser, agent.Part{Media: &agent.Media{Type: "image/png", URL: "https://example.com/a.png"}}),
			message(agent.RoleAssistant, agent.Part{Opaque: opaque}, agent.Part{Text: "x", Opaque: opaque}),
		}, "", ""},
		{"a message that is shown twice", conversation{named("m1", "x"), named("m1", "x"), named("", "x"), named("", "y")}, "", ""},

		{"nil", conversation{hi, nil}, "message 1", "it is nil"},
		{"nil in the place of results", conversation{calls("a"), nil}, "message 0", "has no result"},
		{"an unknown role", conversation{message("system", agent.Part{Text: "x"})}, `message 0, of role "system": `, "the role is unknown"},
		{"no role", conversation{message("", agent.Part{Text: "x"})}, `message 0, of role "": `, "the role is unknown"},
		{"no parts", conversation{hi, message(agent.RoleAssistant)}, `message 1, of role "assistant": `, "the message is empty"},
		{"an empty tool message", conversation{hi, said, message(agent.RoleTool)}, `message 2, of role "tool": `, "the message is empty"},
		{"no words", conversation{user("")}, `message 0, of role "user", part 0: `, "the part is empty"},
		{"an empty part beside another", conversation{message(agent.RoleNote, agent.Part{Text: "x"}, agent.Part{})}, `message 0, of role "note", part 1: `, "the part is empty"},
		{"two things in a part", conversation{message(agent.RoleUser, agent.Part{Text: "x", Reasoning: "y"})}, "message 0", "holds 2 things"},

		{"a call of the user", conversation{message(agent.RoleUser, call("a", "f", "")), results("a")}, "message 0", `the call "a" does not stand in a message of role assistant`},
		{"a call without id", conversation{calls(""), results("")}, "message 0", `a call of "f" has no id`},
		{"a call without name", conversation{message(agent.RoleAssistant, call("a", "", "{}")), results("a")}, "message 0", `the call "a" has no name`},
		{"an id twice in a message", conversation{calls("a", "a"), results("a")}, `message 0, of role "assistant", part 1: `, `the id "a" was that of a call before`},
		{"an id twice in the conversation", conversation{calls("a"), results("a"), hi, calls("a"), results("a")}, "message 3", `the id "a" was that of a call before`},
		{"arguments that are no object", conversation{message(agent.RoleAssistant, call("a", "f", "[1]")), results("a")}, "message 0", `are not a JSON object: "[1]"`},
		{"arguments that are not JSON", conversation{message(agent.RoleAssistant, call("a", "f", `{"a":`)), results("a")}, "message 0", "are not a JSON object"},

		{"a result of the assistant", conversation{message(agent.RoleAssistant, result("a"))}, "message 0", "does not stand in a message of role tool"},
		{"a result in a note", conversation{calls("a"), results("a"), message(agent.RoleNote, result("a"))}, "message 2", "does not stand in a message of role tool"},
		{"words of a tool", conversation{calls("a"), message(agent.RoleTool, result("a"), agent.Part{Text: "x"})}, `message 1, of role "tool", part 1: `, "something other than a result"},
		{"no outcome", conversation{calls("a"), with(results("a"), func(m *agent.Message) { m.Parts[0].Result.Outcome = "" })}, "message 1", "has no outcome"},
		{"edited arguments that are no object", conversation{calls("a"), with(results("a"), func(m *agent.Message) { m.Parts[0].Result.Edited = json.RawMessage(`[1]`) })}, "message 1", `edited arguments of the call "a"`},
		{"content that is not JSON", conversation{calls("a"), with(results("a"), func(m *agent.Message) { m.Parts[0].Result.Content = json.RawMessage("paid") })}, "message 1", `is not JSON: "paid"`},
		{"the name of another", conversation{calls("a"), with(results("a"), func(m *agent.Message) { m.Parts[0].Result.Name = "g" })}, "message 1", `says that it is of "g"`},

		{"no result", conversation{hi, calls("a", "b"), results("a")}, `message 1, of role "assistant", part 1: `, `the call "b" of "f" has no result in a tool message directly behind it`},
		{"no result at the end", conversation{hi, calls("a")}, "message 1", `the call "a" of "f" has no result`},
		{"words before the result", conversation{calls("a"), hi, results("a")}, "message 0", `the call "a" of "f" has no result`},
		{"results in two messages", conversation{calls("a", "b"), results("a"), results("b")}, "message 0", `the call "b" of "f" has no result`},
		{"a second result", conversation{calls("a"), results("a", "a")}, `message 1, of role "tool", part 1: `, `a second result of the call "a"`},
		{"a second result, later", conversation{calls("a"), results("a"), results("a")}, "message 2", `"a" does not stand directly behind it`},
		{"a late result", conversation{calls("a"), results("a"), hi, results("a")}, "message 3", `"a" does not stand directly behind it`},
		{"an orphan", conversation{calls("a"), results("a", "b")}, `message 1, of role "tool", part 1: `, `there is no call "b"`},
		{"an orphan at the beginning", conversation{results("a")}, "message 0", `there is no call "a"`},
		{"a result before its call", conversation{results("a"), calls("a")}, "message 0", `there is no call "a"`},
		{"another message with the same id", conversation{named("m1", "x"), hi, named("m1", "y")}, "message 2", `the id "m1" of message 0, and another content`},
	} {
		err := wellformed.Check(c.messages)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: refused: %v", c.name, err)
			}
			continue
		}
		var e *wellformed.Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(e.Detail, c.contains) {
			t.Errorf("%s: got %v\nwant %s… %s", c.name, err, c.want, c.contains)
		}
	}
}

func TestModel(t *testing.T) {
	asked, failed := 0, []error(nil)
	m := wellformed.Model(agent.ModelFunc(func(context.Context, *agent.ModelRequest, func(agent.Delta)) (*agent.ModelReply, error) {
		asked++
		return &agent.ModelReply{Message: *agent.Said("hello")}, nil
	}), func(err error) { failed = append(failed, err) })

	reply, err := m.Generate(t.Context(), &agent.ModelRequest{Messages: []*agent.Message{user("hi")}}, nil)
	if err != nil || reply.Message.Text() != "hello" || asked != 1 || failed != nil {
		t.Fatalf("got %+v, %v; failed: %v", reply, err, failed)
	}
	reply, err = m.Generate(t.Context(), &agent.ModelRequest{Run: "r1", Messages: []*agent.Message{calls("a")}}, nil)
	if reply != nil || err == nil || asked != 1 || len(failed) != 1 || failed[0] != err {
		t.Fatalf("got %+v, %v; asked %d times; failed: %v", reply, err, asked, failed)
	}
	if want := `a request of run "r1" is not well-formed: message 0, of role "assistant", part 0: the call "a" of "f" has no result`; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkCheck(b *testing.B) {
	var messages []*agent.Message
	for i := range 250 {
		id := string(rune('0' + i))
		for k, m := range []*agent.Message{user("hi"), calls(id), results(id), agent.Said("hello")} {
			m.ID = id + "." + string(rune('0'+k))
			messages = append(messages, m)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := wellformed.Check(messages); err != nil {
			b.Fatal(err)
		}
	}
}
