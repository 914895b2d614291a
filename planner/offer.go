package planner

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// An offer is a function beyond the agent's tools that a model may call: to ask
// the person, to give a task, to hand off.
type offer struct {
	spec  agent.ToolSpec
	agent string // of a task or a hand-off: to whom
	// act makes the action of arguments that fit the schema, but for the call's id.
	// The error is for the model.
	act func(args json.RawMessage) (agent.Action, error)
}

// offers are the functions that a model is offered beside the tools. One whose
// name a tool or an earlier one has is left out, so that each name stands for one
// thing.
func offers(v *agent.View, asks bool) []offer {
	var list []offer
	add := func(o offer) {
		taken := slices.ContainsFunc(v.Tools, func(t *agent.Tool) bool { return t.Name == o.spec.Name }) ||
			slices.ContainsFunc(list, func(x offer) bool { return x.spec.Name == o.spec.Name })
		if !taken {
			list = append(list, o)
		}
	}
	for _, a := range v.Delegates {
		add(delegateOffer(a))
	}
	for _, a := range v.Handoffs {
		add(handoffOffer(a))
	}
	if asks {
		add(offer{spec: askSpec, act: func(args json.RawMessage) (agent.Action, error) {
			ask, err := readAsk(args)
			return agent.Action{Kind: agent.ActAsk, Ask: ask}, err
		}})
	}
	return list
}

// The names of the functions for tasks and hand-offs are these and the agent's.
const (
	delegatePrefix = "delegate_to_"
	handoffPrefix  = "hand_off_to_"
)

const delegateMeans = "Give a task to the agent %q. It works on it by itself, in a conversation of its own, and does not see this one: " +
	"write the task so that it is complete in itself, with all that it has to know. " +
	"Several tasks can be given in one message, to one agent or to many, and are worked on in parallel. What comes of it is the result of this call."

var delegateInput = json.RawMessage(`{"type":"object","properties":{` +
	`"task":{"type":"string","pattern":"\\S","description":"What is to be done, complete in itself"}` +
	`},"required":["task"],"additionalProperties":false}`)

const filledMeans = "Give a task to the agent %q, which takes it in this form. It works on it by itself, in a conversation of its own, and does not see this one: " +
	"the arguments are all that it is told. " +
	"Several tasks can be given in one message, to one agent or to many, and are worked on in parallel. What comes of it is the result of this call."

func delegateOffer(a *agent.Agent) offer {
	if a.Input != nil {
		return offer{
			spec:  agent.ToolSpec{Name: functionName(delegatePrefix, a.Name), Description: meaning(a, filledMeans), Input: a.Input},
			agent: a.Name,
			act: func(json.RawMessage) (agent.Action, error) {
				return agent.Action{Kind: agent.ActDelegate, Name: a.Name}, nil
			},
		}
	}
	return offer{
		spec:  agent.ToolSpec{Name: functionName(delegatePrefix, a.Name), Description: meaning(a, delegateMeans), Input: delegateInput},
		agent: a.Name,
		act: func(args json.RawMessage) (agent.Action, error) {
			var in struct {
				Task string `json:"task"`
			}
			if err := json.Unmarshal(args, &in); err != nil {
				return agent.Action{}, err
			}
			if strings.TrimSpace(in.Task) == "" {
				return agent.Action{}, fmt.Errorf("task: there are no words in it; say what is to be done")
			}
			return agent.Action{Kind: agent.ActDelegate, Name: a.Name}, nil
		},
	}
}

const handoffMeans = "Hand this conversation off to the agent %q: it goes on with the user in your stead, and you are out of it. " +
	"Make this the only call of the message, when no other call is needed any more. To have something done and then go on yourself, do not hand off."

var handoffInput = json.RawMessage(`{"type":"object","properties":{` +
	`"reason":{"type":["string","null"],"description":"Why, in a sentence"}` +
	`},"additionalProperties":false}`)

func handoffOffer(a *agent.Agent) offer {
	return offer{
		spec:  agent.ToolSpec{Name: functionName(handoffPrefix, a.Name), Description: meaning(a, handoffMeans), Input: handoffInput},
		agent: a.Name,
		act: func(json.RawMessage) (agent.Action, error) {
			return agent.Action{Kind: agent.ActHandoff, Name: a.Name}, nil
		},
	}
}

// meaning is what the agent is for, and what it means to call the function.
func meaning(a *agent.Agent, means string) string {
	means = fmt.Sprintf(means, a.Name)
	if what := strings.TrimSpace(a.Description); what != "" {
		return what + "\n" + means
	}
	return means
}

// functionName is the prefix and the name, where providers take that. If it is too
// long, or has letters that they do not take, a part of the name's hash stands for
// what is lost, so that the function is called the same in every worker.
func functionName(prefix, name string) string {
	whole := prefix + name
	if plainName(whole) == whole {
		return whole
	}
	sum := sha256.Sum256([]byte(name))
	end := fmt.Sprintf("_%x", sum[:5])
	plain := plainName(whole)
	return plain[:min(len(plain), longestName-len(end))] + end
}
