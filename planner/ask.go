package planner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// AskPerson is the name of the function by which a model asks the person, and waits
// for the answer. Its arguments are
//
//	question  what is asked, complete in itself
//	choices   the answers to choose from; the result is the one that was chosen
//	fields    what a form asks for, up to 20 of {name, type, description, choices,
//	          required}; the result is an object with the fields that were filled in
//
// of which there is choices or fields or neither: that is a free answer. A tool of
// an agent that has this name takes the function's place.
const AskPerson = "ask_person"

var askSpec = agent.ToolSpec{
	Name: AskPerson,
	Description: "Ask the person a question and wait for the answer. Use it when you cannot go on without something that only they know or may decide. " +
		"Give choices if the answer is one of a few. Give fields if you need several things at once: the person fills in a form, and the result is an object with these fields.",
	Input: json.RawMessage(`{"type":"object","properties":{` +
		`"question":{"type":"string","pattern":"\\S","description":"The question, complete in itself"},` +
		`"choices":{"type":["array","null"],"items":{"type":"string","pattern":"\\S"},"maxItems":20,"description":"The answers to choose from; leave out for a free answer or a form"},` +
		`"fields":{"type":["array","null"],"items":` + fieldSchema + `,"maxItems":20,"description":"The fields of a form, in order; leave out for a single answer"}` +
		`},"required":["question"],"additionalProperties":false}`),
}

const fieldSchema = `{"type":"object","properties":{` +
	`"name":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,64}$","description":"What the field is called in the result: letters, digits, _ and -"},` +
	`"type":{"type":"string","enum":["string","integer","number","boolean"]},` +
	`"description":{"type":["string","null"],"maxLength":500,"description":"What the person is to put there"},` +
	`"choices":{"type":["array","null"],"items":{"type":"string","pattern":"\\S","maxLength":200},"maxItems":50,"description":"The values to choose from, of a field of type string"},` +
	`"required":{"type":["boolean","null"],"description":"Whether the person has to fill it in; true if left out"}` +
	`},"required":["name","type"],"additionalProperties":false}`

// A field is what a model says of one field of a form.
type field struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Description string   `json:"description"`
	Choices     []string `json:"choices"`
	Required    *bool    `json:"required"` // nil is true
}

// readAsk makes an ask of the arguments of a call of AskPerson, which fit its
// schema. The error is for the model.
func readAsk(args json.RawMessage) (*agent.Ask, error) {
	var in struct {
		Question string   `json:"question"`
		Choices  []string `json:"choices"`
		Fields   []field  `json:"fields"`
	}
	if err := json.Unmarshal(args, &in); err != nil {
		return nil, err
	}
	switch {
	case strings.TrimSpace(in.Question) == "":
		return nil, errors.New("question: there are no words in it")
	case len(in.Fields) > 0 && len(in.Choices) > 0:
		return nil, errors.New("choices and fields exclude each other: give the choices to the field that they are for")
	case len(in.Fields) > 0:
		form, err := formSchema(in.Fields)
		if err != nil {
			return nil, err
		}
		return &agent.Ask{Kind: agent.AskForm, Prompt: in.Question, Schema: form}, nil
	}
	ask := &agent.Ask{Kind: agent.AskQuestion, Prompt: in.Question, Choices: distinct(in.Choices)}
	if len(ask.Choices) > 1 {
		ask.Kind = agent.AskChoice
	} else {
		ask.Choices = nil // one answer is no choice
	}
	return ask, nil
}

// formSchema is the JSON Schema of an object with the fields, as properties in the
// same order. The error is for the model.
func formSchema(fields []field) (json.RawMessage, error) {
	var properties bytes.Buffer
	required, seen := []string{}, map[string]bool{}
	for i, f := range fields {
		if seen[f.Name] {
			return nil, fmt.Errorf("fields[%d]: there is a field %q before; give each a name of its own", i, f.Name)
		}
		seen[f.Name] = true
		if len(f.Choices) > 0 && f.Type != "string" {
			return nil, fmt.Errorf("fields[%d]: only a field of type string has choices, and %q is of type %s", i, f.Name, f.Type)
		}
		if f.Required == nil || *f.Required {
			required = append(required, f.Name)
		}
		property, err := json.Marshal(struct {
			Type        string   `json:"type"`
			Description string   `json:"description,omitempty"`
			Enum        []string `json:"enum,omitempty"`
		}{f.Type, strings.TrimSpace(f.Description), distinct(f.Choices)})
		if err != nil {
			return nil, err
		}
		if i > 0 {
			properties.WriteByte(',')
		}
		fmt.Fprintf(&properties, "%s:%s", agent.JSONText(f.Name), property)
	}
	list, err := json.Marshal(required)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"type":"object","properties":{%s},"required":%s,"additionalProperties":false}`, properties.Bytes(), list), nil
}

// distinct drops what is blank, and what differs from an earlier one by the space
// around it at most.
func distinct(list []string) []string {
	seen := map[string]bool{"": true}
	var kept []string
	for _, s := range list {
		s = strings.TrimSpace(s)
		if !seen[s] {
			seen[s] = true
			kept = append(kept, s)
		}
	}
	return kept
}
