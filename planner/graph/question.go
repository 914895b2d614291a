package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// question makes an agent's ask of the definition's.
func (x *instance) question(n *node) (*agent.Ask, error) {
	a := n.ask
	out := &agent.Ask{Kind: a.kind(), Choices: a.Choices, Schema: a.Schema}
	var err error
	if out.Prompt, err = x.prompt(n); err != nil {
		return nil, err
	}
	if strings.TrimSpace(out.Prompt) == "" {
		return nil, errors.New("prompt: a question is expected, and there are no words")
	}
	if out.For, err = x.people(a.forWhom, "for"); err != nil {
		return nil, err
	}
	if len(a.forWhom) > 0 && len(out.For) == 0 {
		return nil, errors.New("for: somebody who may answer is expected, and the lists that it names are empty: anybody could")
	}
	if out.Not, err = x.people(a.not, "not"); err != nil {
		return nil, err
	}
	if a.Due != nil {
		v, err := x.eval(a.due)
		if err != nil {
			return nil, err
		}
		if out.Due, err = momentOf(v, x.st.facts.Now); err != nil {
			return nil, fmt.Errorf("due: %w", err)
		}
	}
	if out.Remind, err = x.durationOf(a.remind, "remind"); err != nil {
		return nil, err
	}
	for i, e := range a.escalate {
		step := agent.Escalation{}
		if step.For, err = x.people(e.forWhom, fmt.Sprintf("escalate[%d].for", i)); err != nil {
			return nil, err
		}
		if step.Within, err = x.durationOf(e.within, fmt.Sprintf("escalate[%d].within", i)); err != nil {
			return nil, err
		}
		out.Escalate = append(out.Escalate, step)
	}
	out.Default, err = x.defaultAnswer(a)
	return out, err
}

// prompt is the definition's, or what the model of a planner node asks.
func (x *instance) prompt(n *node) (string, error) {
	if n.Ask.Prompt != nil {
		return x.text(n.ask.prompt, "prompt")
	}
	args, err := x.st.given(x, n)
	if err != nil {
		return "", err
	}
	return askedIn(args), nil
}

// kind is what Choices and Schema say, where Kind does not.
func (a *Ask) kind() agent.AskKind {
	switch {
	case a.Kind != "":
		return agent.AskKind(a.Kind)
	case len(a.Choices) > 0:
		return agent.AskChoice
	case len(a.Schema) > 0 && describesObject(a.Schema):
		return agent.AskForm
	}
	return agent.AskQuestion
}

func describesObject(schema json.RawMessage) bool {
	var s struct {
		Type       any            `json:"type"`
		Properties map[string]any `json:"properties"`
	}
	return json.Unmarshal(schema, &s) == nil && s.Type == "object" && len(s.Properties) > 0
}

func (x *instance) defaultAnswer(a *ask) (*agent.Answer, error) {
	if a.Default == nil {
		return nil, nil
	}
	d := &agent.Answer{Choice: a.Default.Choice, Note: a.Default.Note}
	if a.Default.Value != nil {
		v, err := x.eval(a.def)
		if err != nil {
			return nil, err
		}
		if d.Value, err = encodeValue(v); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// text evaluates to words.
func (x *instance) text(v value, what string) (string, error) {
	plain, err := x.eval(v)
	if err != nil {
		return "", err
	}
	switch t := plain.(type) {
	case nil:
		return "", nil
	case string:
		return t, nil
	case time.Time:
		return t.Format(time.RFC3339), nil
	}
	raw, err := encodeValue(plain)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return string(raw), nil
}

// people evaluates to ids of users and groups: each value is one of them, or a list.
func (x *instance) people(list []value, what string) ([]string, error) {
	var out []string
	for _, v := range list {
		plain, err := x.eval(v)
		if err != nil {
			return nil, err
		}
		several, ok := plain.([]any)
		if !ok {
			several = []any{plain}
		}
		for _, one := range several {
			id, ok := one.(string)
			if !ok || id == "" {
				return nil, fmt.Errorf("%s: a user's id, group:NAME or @user is expected, and this is %s", what, show(one))
			}
			out = append(out, id)
		}
	}
	return out, nil
}
