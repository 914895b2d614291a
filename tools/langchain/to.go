package langchain

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	lctools "github.com/tmc/langchaingo/tools"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
)

// To makes a tool of langchaingo of t. What it is given is a JSON object that
// fits t.Input; where that has a single property, which is a string, it may be
// the bare text of it, too. Nothing at all is {}. The description says so.
//
// Anything else is an error that says what was expected, marked with
// [agent.NotDone], and t is not called. An error of t is returned as it is, a
// panic as an error. A result that is a string is its text, any other is JSON.
// t.Timeout holds; Effect, Retry, Limit and Reconcile are not in effect, since
// there is no run. [agent.CallFrom] has what the caller's context has.
//
// To panics if t is nil or has no Call, and if t.Approve is set: nobody would be
// asked. Give such a tool to an agent of Fermata instead, or a copy of it
// without Approve to To, if its calls need no approval there.
func To(t *agent.Tool) lctools.Tool {
	switch {
	case t == nil:
		panic("langchain.To: the tool is nil")
	case t.Call == nil:
		panic(fmt.Sprintf("langchain.To(%q): the tool has no Call", t.Name))
	case t.Approve != nil:
		panic(fmt.Sprintf("langchain.To(%q): the tool has an approval rule, and langchaingo asks nobody: give it to an agent, or a copy without Approve", t.Name))
	}
	if err := schema.Check(t.Input); err != nil {
		panic(fmt.Sprintf("langchain.To(%q): the schema of its arguments: %v", t.Name, err))
	}
	return &tool{t: t, text: textProperty(t.Input)}
}

// tool is a tool of langchaingo.
type tool struct {
	t    *agent.Tool
	text string // the single property, which is a string; "" if there is no such
}

// Name is that of the agent's tool.
func (t *tool) Name() string { return t.t.Name }

// Description is that of the agent's tool, and what form the input has.
func (t *tool) Description() string {
	form := "The input is a JSON object."
	switch {
	case t.text != "":
		form = "The input is the " + t.text + ", as plain text."
	case len(t.t.Input) > 0:
		var b bytes.Buffer
		_ = json.Compact(&b, t.t.Input) // it was checked
		form = "The input is a JSON object that fits this JSON Schema: " + b.String()
	}
	return strings.TrimSpace(strings.TrimSpace(t.t.Description) + "\n" + form)
}

// Call calls the agent's tool.
func (t *tool) Call(ctx context.Context, input string) (result string, err error) {
	args, err := t.arguments(input)
	if err != nil {
		return "", agent.NotDone(fmt.Errorf("tool %s: %w", t.t.Name, err))
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(t.t.Timeout, time.Minute))
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			result, err = "", fmt.Errorf("tool %s panicked: %v", t.t.Name, r)
		}
	}()
	out, err := t.t.Call(ctx, args)
	if err != nil {
		return "", err
	}
	return agent.PlainText(out), nil
}

// arguments makes the arguments of what the tool is given.
func (t *tool) arguments(input string) (json.RawMessage, error) {
	args := json.RawMessage(strings.TrimSpace(input))
	switch {
	case len(args) > 0 && args[0] == '{' && json.Valid(args):
	case t.text != "":
		args = object(t.text, input)
	case len(args) == 0:
		args = json.RawMessage("{}")
	default:
		return nil, fmt.Errorf("the input must be a JSON object%s, got %s", fitting(t.t.Input), quote(input))
	}
	if len(t.t.Input) > 0 {
		if err := schema.Validate(t.t.Input, args); err != nil {
			return nil, fmt.Errorf("the input does not fit: %w", err)
		}
	}
	return args, nil
}

func object(name, value string) json.RawMessage {
	b, err := json.Marshal(map[string]string{name: value})
	if err != nil {
		panic("langchain: a string has no JSON form: " + err.Error()) // cannot happen: Marshal replaces invalid UTF-8
	}
	return b
}

func fitting(input json.RawMessage) string {
	if len(input) == 0 {
		return ""
	}
	return " that fits the tool's schema"
}

// textProperty returns the name of the single property of a schema if it is a
// string.
func textProperty(input json.RawMessage) string {
	var s struct {
		Properties map[string]struct{ Type any }
		Required   []string
	}
	if json.Unmarshal(input, &s) != nil || len(s.Properties) != 1 {
		return ""
	}
	for name, p := range s.Properties {
		if p.Type == "string" && (len(s.Required) == 0 || len(s.Required) == 1 && s.Required[0] == name) {
			return name
		}
	}
	return ""
}

func quote(s string) string {
	const most = 80 // bytes
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
