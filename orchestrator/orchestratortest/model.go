package orchestratortest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/scripted"
)

// A Step is one answer of a scripted model, and what it expects to be sent. A
// zero field expects nothing.
type Step struct {
	Reply scripted.Reply

	User    string   // the user's last message has these words
	Results []string // the results and notes since the model's last answer, in order: each has the words given, of "refund returned: paid back", or of "refund returned: paid back (edited: {"order":8})" where a person has changed the arguments
	Offered []string // just these tools are offered, in order
	Check   func(*agent.ModelRequest) error
}

// Steps makes steps of plain replies, for a script that expects nothing.
func Steps(replies ...scripted.Reply) []Step {
	var steps []Step
	for _, r := range replies {
		steps = append(steps, Step{Reply: r})
	}
	return steps
}

// Model makes a model that plays a script, as scripted.New does, and checks
// what it is sent: each request with [CheckRequest], and with what its step
// expects. What is wrong fails the test, and the request. Like all scripted models
// it keeps no state, so that any worker of the test may ask it.
func Model(t testing.TB, steps ...Step) agent.Model {
	var replies []scripted.Reply
	for _, s := range steps {
		replies = append(replies, s.Reply)
	}
	script := scripted.New(replies...)
	return agent.ModelFunc(func(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
		n := len(answers(req))
		err := CheckRequest(req)
		if err == nil && n < len(steps) {
			err = steps[n].expects(req)
		}
		if err != nil {
			t.Errorf("request %d of run %s: %v", n+1, req.Run, err)
			return nil, err
		}
		return script.Generate(ctx, req, emit)
	})
}

// answers returns the places of the assistant's messages.
func answers(req *agent.ModelRequest) (at []int) {
	for i, m := range req.Messages {
		if m.Role == agent.RoleAssistant {
			at = append(at, i)
		}
	}
	return at
}

// expects says what is not as the step expects it.
func (s *Step) expects(req *agent.ModelRequest) error {
	if s.User != "" && !strings.Contains(lastWords(req), s.User) {
		return fmt.Errorf("the user's last words are %q, and %q was expected", lastWords(req), s.User)
	}
	if s.Results != nil {
		if err := expectResults(s.Results, newResults(req)); err != nil {
			return err
		}
	}
	if s.Offered != nil {
		var names []string
		for _, t := range req.Tools {
			names = append(names, t.Name)
		}
		if !slices.Equal(names, s.Offered) {
			return fmt.Errorf("the tools %q are offered, and %q were expected", names, s.Offered)
		}
	}
	if s.Check != nil {
		return s.Check(req)
	}
	return nil
}

func expectResults(want, got []string) error {
	bad := len(want) != len(got)
	for i := 0; !bad && i < len(want); i++ {
		bad = !strings.Contains(got[i], want[i])
	}
	if bad {
		return fmt.Errorf("the results and notes are %q, and %q were expected", got, want)
	}
	return nil
}

// lastWords returns what the user said last.
func lastWords(req *agent.ModelRequest) string {
	for _, m := range slices.Backward(req.Messages) {
		if m.Role == agent.RoleUser {
			return m.Text()
		}
	}
	return ""
}

// newResults tells the results and notes that came after the last answer.
func newResults(req *agent.ModelRequest) []string {
	var list []string
	from := 0
	if at := answers(req); len(at) > 0 {
		from = at[len(at)-1]
	}
	for _, m := range req.Messages[from:] {
		if m.Role == agent.RoleNote {
			list = append(list, "note: "+m.Text())
		}
		for _, p := range m.Parts {
			if r := p.Result; r != nil {
				text := fmt.Sprintf("%s %s: %s", r.Name, r.Outcome, agent.PlainText(r.Content))
				if len(r.Edited) > 0 {
					text += fmt.Sprintf(" (edited: %s)", r.Edited)
				}
				list = append(list, text)
			}
		}
	}
	return list
}
