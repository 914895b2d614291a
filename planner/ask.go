package planner

import (
	"encoding/json"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
)

// AskPerson is the name of the function by which a model asks the person. No
// tool of an agent may have it.
const AskPerson = "ask_person"

var askSpec = agent.ToolSpec{
	Name: AskPerson,
	Description: "Ask the person a question and wait for the answer. Use it when you cannot go on without something that only they know or may decide. " +
		"Give choices if the answer is one of a few.",
	Input: json.RawMessage(`{"type":"object","properties":{` +
		`"question":{"type":"string","pattern":"\\S","description":"The question, complete in itself"},` +
		`"choices":{"type":["array","null"],"items":{"type":"string","pattern":"\\S"},"maxItems":20,"description":"The answers to choose from; leave out for a free answer"}` +
		`},"required":["question"],"additionalProperties":false}`),
}

// readAsk makes an ask of the arguments of a call of AskPerson. The error is
// for the model.
func readAsk(args json.RawMessage) (*agent.Ask, error) {
	if err := schema.Validate(askSpec.Input, args); err != nil {
		return nil, err
	}
	var in struct {
		Question string   `json:"question"`
		Choices  []string `json:"choices"`
	}
	if err := json.Unmarshal(args, &in); err != nil {
		return nil, err
	}
	ask := &agent.Ask{Kind: agent.AskQuestion, Prompt: in.Question, Choices: distinct(in.Choices)}
	if len(ask.Choices) > 1 {
		ask.Kind = agent.AskChoice
	} else {
		ask.Choices = nil // one answer is no choice
	}
	return ask, nil
}

// distinct drops what differs from an earlier one by the space around it at
// most.
func distinct(list []string) []string {
	seen := map[string]bool{}
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
