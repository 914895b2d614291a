package agent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
)

func TestCodes(t *testing.T) {
	plain := errors.New("no luck")
	for want, err := range map[string]error{
		"card.declined":         agent.Coded("card.declined", plain),
		"a-B_9":                 fmt.Errorf("pay: %w", agent.NotDone(agent.Coded("a-B_9", plain))),
		"outer":                 agent.Transient(agent.Coded("outer", agent.Coded("inner", plain)), 0),
		"inner":                 agent.Coded("no code!", agent.Coded("inner", plain)),
		"joined":                errors.Join(plain, agent.Coded("joined", plain)),
		strings.Repeat("x", 64): agent.Coded(strings.Repeat("x", 64), plain),
	} {
		if got := agent.CodeOf(err); got != want {
			t.Errorf("the code of %v is %q, want %q", err, got, want)
		}
		if !errors.Is(err, plain) || !strings.Contains(err.Error(), "no luck") {
			t.Errorf("%v is another error", err)
		}
	}
	for _, code := range []string{"", "two words", "ümlaut", strings.Repeat("x", 65)} {
		if err := agent.Coded(code, plain); agent.CodeOf(err) != "" || err != plain {
			t.Errorf("the code %q is taken: %v", code, err)
		}
	}
	if agent.Coded("x", nil) != nil || agent.CodeOf(nil) != "" || agent.CodeOf(plain) != "" {
		t.Error("an error without a code has one")
	}
}
