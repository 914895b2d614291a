package main

import (
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/orchestrator"
)

var (
	ann  = agent.User{ID: "ann"}
	sue  = agent.User{ID: "sue", Groups: []string{"supervisors"}}
	mona = agent.User{ID: "mona", Groups: []string{"managers"}}
)

func ticket(text string) orchestrator.Request {
	return orchestrator.Request{Agent: "triage", User: ann, Message: agent.Text(text)}
}

// people answer. The supervisor decides as decision says.
func people(decision, why string) func(*agent.Ask) []story.Deed {
	return func(a *agent.Ask) []story.Deed {
		switch {
		case a.Kind == agent.AskApproval:
			return []story.Deed{story.Chooses(sue, decision, why)}
		case strings.HasPrefix(a.Prompt, "About your order"):
			return []story.Deed{story.Answers(ann, `"the handle came off"`)}
		}
		return []story.Deed{story.Answers(mona, `"We call you tomorrow."`)}
	}
}

var scenes = []story.Scene{
	{Title: "It arrived broken", People: people(agent.Approve, ""),
		Request: ticket(`{"ticket": "It arrived broken.", "order": 1045}`)},
	{Title: "It arrived broken, and the supervisor does not believe it", People: people(agent.Deny, "there is a dent of a hammer"),
		Request: ticket(`{"ticket": "It arrived broken.", "order": 1045}`)},
	{Title: "A question to which the model finds no answer, until its budget is used up", People: people("", ""),
		Request: ticket(`{"ticket": "how do I grind for a moka pot?", "order": 1045}`)},
	{Title: "Nothing for a model", People: people("", ""),
		Request: ticket(`{"ticket": "You will hear from my lawyer.", "order": 1045}`)},
	{Title: "The other way round: the desk talks with a customer, and gives the ticket to the graph", People: people(agent.Approve, ""),
		Request: orchestrator.Request{Agent: "desk", User: ann, Message: agent.Text("Order 1045 arrived broken.")}},
}
