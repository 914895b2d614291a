package story

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
)

// A Deed is what a person does about an ask, or about the run that it belongs to.
type Deed struct {
	Who, What string // for the tale: "ann", "says approve"
	Do        func(context.Context, *orchestrator.Orchestrator, *agent.Ask) error
}

// Chooses has a person choose. The note is why.
func Chooses(who agent.User, choice, note string) Deed {
	return answers(who, "says "+choice, agent.Answer{By: who, Choice: choice, Note: note})
}

// Answers has a person answer with a value, any JSON.
func Answers(who agent.User, value string) Deed {
	return answers(who, "answers", agent.Answer{By: who, Value: json.RawMessage(value)})
}

// Happened has a person say that a call took place, and what its result was.
func Happened(who agent.User, result string) Deed {
	return answers(who, "says happened", agent.Answer{By: who, Choice: agent.Happened, Value: json.RawMessage(result)})
}

func answers(who agent.User, what string, a agent.Answer) Deed {
	return Deed{who.ID, what, func(ctx context.Context, o *orchestrator.Orchestrator, ask *agent.Ask) error {
		if ask.Digest != "" {
			a.Digest = ask.Digest
		}
		return o.Answer(ctx, ask.ID, a)
	}}
}

// Delegates has a person give an ask to another one.
func Delegates(who agent.User, to, note string) Deed {
	return Deed{who.ID, "delegates to " + to, func(ctx context.Context, o *orchestrator.Orchestrator, ask *agent.Ask) error {
		return o.DelegateAsk(ctx, ask.ID, who, []string{to}, note)
	}}
}

// Writes has a person write to the run.
func Writes(who agent.User, text string) Deed {
	return Deed{who.ID, "writes", func(ctx context.Context, o *orchestrator.Orchestrator, ask *agent.Ask) error {
		return o.Send(ctx, ask.ID.Run(), agent.Text(text), &orchestrator.Input{By: who, Key: "writes"})
	}}
}

// Signals has a program send the run an event.
func Signals(who agent.User, name, data string) Deed {
	return Deed{who.ID, fmt.Sprintf("sends %s", name), func(ctx context.Context, o *orchestrator.Orchestrator, ask *agent.Ask) error {
		return o.Signal(ctx, ask.ID.Run(), name, json.RawMessage(data), &orchestrator.Input{By: who, Key: name})
	}}
}
