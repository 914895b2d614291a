package scripted_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/scripted"
)

func request(msgs ...agent.Message) *agent.ModelRequest {
	req := &agent.ModelRequest{Run: "r1"}
	for i := range msgs {
		req.Messages = append(req.Messages, &msgs[i])
	}
	return req
}

// results is the message with a result for each call of m.
func results(m *agent.Message) agent.Message {
	answer := agent.Message{Role: agent.RoleTool}
	for _, c := range m.Calls() {
		answer.Parts = append(answer.Parts, agent.Part{Result: &agent.Result{CallID: c.ID, Name: c.Name, Outcome: agent.Returned}})
	}
	return answer
}

func TestPlaysInOrder(t *testing.T) {
	m := scripted.New(
		scripted.Say("I look. ").And(scripted.Call("lookup", `{"order":7}`)).And(scripted.Call("clock", nil)),
		scripted.Say("Done."),
	)
	conv := []agent.Message{agent.Text("pay it back")}
	first, err := m.Generate(t.Context(), request(conv...), nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := first.Message.Calls()
	if first.Message.Text() != "I look. " || len(calls) != 2 {
		t.Fatalf("got %+v", first.Message)
	}
	if string(calls[0].Args) != `{"order":7}` || calls[0].ID == "" || calls[0].ID == calls[1].ID {
		t.Fatalf("calls %+v %+v", calls[0], calls[1])
	}
	again, err := m.Generate(t.Context(), request(conv...), nil)
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Fatalf("asked again it differs: %+v %v", again, err)
	}
	conv = append(conv, first.Message, results(&first.Message))
	second, err := m.Generate(t.Context(), request(conv...), nil)
	if err != nil || second.Message.Text() != "Done." || second.Model != scripted.Name {
		t.Fatalf("got %+v, %v", second, err)
	}
	_, err = m.Generate(t.Context(), request(append(conv, second.Message, agent.Text("and the other one?"))...), nil)
	if err == nil || !strings.Contains(err.Error(), "has 2 replies, and reply 3 was asked for") || !strings.Contains(err.Error(), "and the other one?") {
		t.Fatalf("the end of the script: %v", err)
	}
	if _, ok := agent.IsTransient(err); ok {
		t.Fatal("a script that has run out does not get better by itself")
	}
}

func TestEmitsTheWholeReply(t *testing.T) {
	m := scripted.New(scripted.Reply{Reasoning: "let me see", Text: "one two  three"}.And(scripted.Call("f", map[string]int{"a": 1})))
	var text, thought string
	var calls []string
	reply, err := m.Generate(t.Context(), request(agent.Text("x")), func(d agent.Delta) {
		text, thought = text+d.Text, thought+d.Reasoning
		if d.Call != "" {
			calls = append(calls, d.Call)
		}
		if d.Reset {
			t.Error("Reset without cause")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if text != reply.Message.Text() || thought != "let me see" || !reflect.DeepEqual(calls, []string{"f"}) {
		t.Fatalf("emitted %q %q %q", text, thought, calls)
	}
	if got := string(reply.Message.Calls()[0].Args); got != `{"a":1}` {
		t.Fatalf("args %s", got)
	}
}

func TestFailures(t *testing.T) {
	boom := errors.New("boom")
	cases := []struct {
		name  string
		model *scripted.Model
		want  string
		reset bool
	}{
		{"failure", scripted.New(scripted.Fail(boom)), "boom", false},
		{"failure after words", scripted.New(scripted.Say("well, ").And(scripted.Fail(boom))), "boom", true},
		{"an empty reply", scripted.New(scripted.Reply{}), "neither words nor calls", false},
		{"nothing from a function", scripted.Func(func(*agent.ModelRequest) (*agent.ModelReply, error) { return nil, nil }), "neither words nor calls", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			reset := false
			reply, err := c.model.Generate(t.Context(), request(agent.Text("x")), func(d agent.Delta) { reset = reset || d.Reset })
			if reply != nil || err == nil || !strings.Contains(err.Error(), c.want) || reset != c.reset {
				t.Fatalf("got %v, %v, reset %v", reply, err, reset)
			}
		})
	}
}

// What a real provider would refuse is found with a scripted model, too.
func TestRefusesWhatIsNotWellFormed(t *testing.T) {
	asked := false
	for name, m := range map[string]*scripted.Model{
		"New": scripted.New(scripted.Call("lookup", nil), scripted.Say("Done.")),
		"Func": scripted.Func(func(*agent.ModelRequest) (*agent.ModelReply, error) {
			asked = true
			return &agent.ModelReply{Message: *agent.Said("Done.")}, nil
		}),
	} {
		unanswered := agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: &agent.Call{ID: "call_0_0", Name: "lookup"}}}}
		emitted := false
		reply, err := m.Generate(t.Context(), request(agent.Text("x"), unanswered), func(agent.Delta) { emitted = true })
		want := `scripted: the conversation is not well-formed: message 1, of role "assistant", part 0: the call "call_0_0" of "lookup" has no result`
		if reply != nil || err == nil || !strings.HasPrefix(err.Error(), want) || emitted || asked {
			t.Errorf("%s: got %v, %v, emitted %v, asked %v", name, reply, err, emitted, asked)
		}
		if _, ok := agent.IsTransient(err); ok {
			t.Errorf("%s: it does not get better by itself", name)
		}
	}
}

func TestFuncSeesTheRequest(t *testing.T) {
	m := scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		return &agent.ModelReply{Message: *agent.Said("you said " + req.Messages[0].Text()), Model: "parrot"}, nil
	})
	reply, err := m.Generate(t.Context(), request(agent.Text("hello")), nil)
	if err != nil || reply.Message.Text() != "you said hello" || reply.Model != "parrot" {
		t.Fatalf("got %+v, %v", reply, err)
	}
}

func TestDelayHonoursContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := scripted.New(scripted.Say("one two three four"))
		m.Delay = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		var words []string
		reset := false
		begin := time.Now()
		_, err := m.Generate(ctx, request(agent.Text("x")), func(d agent.Delta) {
			if d.Reset {
				reset = true
			} else {
				words = append(words, d.Text)
			}
		})
		if !errors.Is(err, context.DeadlineExceeded) || len(words) != 2 || !reset {
			t.Fatalf("got %v, words %q, reset %v", err, words, reset)
		}
		if took := time.Since(begin); took != 2500*time.Millisecond {
			t.Fatalf("took %v", took)
		}
	})
}

func TestCallPanicsOnBadJSON(t *testing.T) {
	for _, args := range []any{"{", json.RawMessage("nope"), make(chan int)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Call took %v", args)
				}
			}()
			scripted.Call("f", args)
		}()
	}
}
