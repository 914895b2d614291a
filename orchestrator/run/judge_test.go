package run_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A run keeps so many signals; but one that something waits for is always taken.
func TestSignalsAreBounded(t *testing.T) {
	s := newScript(t)
	s.play("start bare\n\nbegin\n\nmove\n    wait paid")
	for range run.MaxSignals {
		s.add(&run.Signaled{Name: "sent"})
	}
	_, err := s.state.Judge(&run.Signaled{Name: "sent"}, nil)
	var refusal *agent.Refusal
	if !errors.As(err, &refusal) || refusal.Kind != agent.RefusedConflict {
		t.Errorf("one signal too many: %v", err)
	}
	if ok, err := s.state.Judge(&run.Signaled{Name: "paid"}, nil); !ok || err != nil {
		t.Errorf("the signal that is waited for: %v, %v", ok, err)
	}
}

// What a run keeps of signals is bounded whatever it is that is large in them.
func TestSignalsAreBoundedInBytes(t *testing.T) {
	long := strings.Repeat("x", run.MaxMessage)
	for what, e := range map[string]run.Event{
		"data":                   &run.Signaled{Name: "sent", Data: agent.JSONText(long[2:])},
		"names":                  &run.Signaled{Name: long},
		"senders":                &run.Signaled{Name: "sent", By: agent.User{ID: "ann", Groups: []string{long}}},
		"data of posted ones":    &run.Posted{Keep: run.MaxKeep, Data: agent.JSONText(long[2:])},
		"senders of posted ones": &run.Posted{Keep: run.MaxKeep, By: agent.User{ID: "ann", Name: long}},
	} {
		s := newScript(t)
		s.play("start bare")
		if _, posted := e.(*run.Posted); posted {
			s = newScript(t)
			s.add(&run.Started{Agent: run.MailboxAgent, Mailbox: &run.Address{Name: "sent", Key: "7"}})
		}
		taken := 0
		for ; taken < 10; taken++ {
			if ok, _ := s.state.Judge(e, nil); !ok {
				break
			}
			s.add(e)
		}
		if taken < 3 || taken > run.MaxKept/run.MaxMessage {
			t.Errorf("%d signals with large %s are kept", taken, what)
		}
	}
}

func TestInputsAreBounded(t *testing.T) {
	s := newScript(t)
	s.play("start bare\n\nbegin\n\nmove\n    ask \"Which colour?\"")
	long := strings.Repeat("x", run.MaxMessage+1)
	for _, e := range []run.Event{
		&run.Messaged{Message: agent.Text(long)},
		&run.Messaged{Message: agent.Message{Parts: []agent.Part{{Media: &agent.Media{URL: "data:" + long}}}}},
		&run.Signaled{Name: "paid", Data: agent.JSONText(long)},
		&run.Answered{Ask: s.asks["c1"], Answer: agent.Answer{Value: agent.JSONText(long)}},
	} {
		var refusal *agent.Refusal
		if _, err := s.state.Judge(e, nil); !errors.As(err, &refusal) || refusal.Kind != agent.RefusedInvalid {
			t.Errorf("%s: %v", run.KindOf(e), err)
		}
	}
}

// A digest is that of a value and not of its spelling.
func TestDigestIsOfTheValue(t *testing.T) {
	for _, other := range []string{`{"b":"<","a":1.0}`, ` { "a" : 1.0 , "b" : "<" } `, `{"a":1.0,"b":"\u003c"}`} {
		if run.Digest(json.RawMessage(other)) != run.Digest(json.RawMessage(`{"a":1.0,"b":"<"}`)) {
			t.Errorf("%s has another digest", other)
		}
	}
	for _, other := range []string{`{"a":1,"b":"<"}`, `{"a":1.00,"b":"<"}`, `{"a":1.0,"b":"<"} 1`, `{"a":1.0,"b":"<`, ``} {
		if run.Digest(json.RawMessage(other)) == run.Digest(json.RawMessage(`{"a":1.0,"b":"<"}`)) {
			t.Errorf("%s has the same digest", other)
		}
	}
}

// To withdraw a call in doubt leaves the ask alone that somebody has read.
func TestWithdrawingKeepsTheAskThatWasRead(t *testing.T) {
	s := newScript(t)
	s.play("start bare\n\nbegin\n\nmove\n    call pay {}\n\nbegan c1\n\nfailed c1 \"connection reset\"")
	if len(s.state.Asks()) != 1 {
		t.Fatalf("the asks are %+v", s.state.Asks())
	}
	read := s.state.Asks()[0]
	s.play("cancel \"enough\"")
	if len(read.Choices) != 4 || len(s.state.Asks()[0].Choices) != 3 {
		t.Errorf("read %q, now %q", read.Choices, s.state.Asks()[0].Choices)
	}
}

// The terms of an agent have their defaults filled in, and none for a negative.
func TestTermsOfAnAgent(t *testing.T) {
	if got := run.TermsOf(&agent.Agent{}, ann); !reflect.DeepEqual(got, run.Terms{TurnSteps: run.DefaultTurnSteps, CloseAfter: run.DefaultCloseAfter, Handoffs: run.DefaultHandoffs}) {
		t.Errorf("the defaults are %+v", got)
	}
	none := agent.Limits{TurnSteps: -1, TurnTokens: -1, TurnTime: -1, RunSteps: -1, RunTokens: -1, Handoffs: -1}
	if got := run.TermsOf(&agent.Agent{Limits: none, CloseAfter: -1}, ann); !reflect.DeepEqual(got, run.Terms{}) {
		t.Errorf("no limits are %+v", got)
	}
}
