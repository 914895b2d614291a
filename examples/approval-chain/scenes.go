package main

import (
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/orchestrator"
)

// The people. Leo is in two of the groups.
var (
	ann  = agent.User{ID: "ann", Groups: []string{"leads"}}
	leo  = agent.User{ID: "leo", Groups: []string{"leads", "finance"}}
	fay  = agent.User{ID: "fay", Groups: []string{"finance"}}
	finn = agent.User{ID: "finn", Groups: []string{"finance"}}
	fred = agent.User{ID: "fred"}
	dora = agent.User{ID: "dora", Groups: []string{"directors"}}
	bea  = agent.User{ID: "bea", Groups: []string{"board"}}
)

func wants(input string) orchestrator.Request {
	return orchestrator.Request{Agent: "approval-chain", User: ann, Message: agent.Text(input)}
}

// isFor reports whether an ask is for somebody.
func isFor(a *agent.Ask, who string) bool { return strings.Contains(strings.Join(a.For, " "), who) }

var scenes = []story.Scene{
	{Title: "A chair: a lead approves, and not the one who wants it", Request: wants(`{"what": "a chair", "euros": 300}`),
		People: func(*agent.Ask) []story.Deed {
			return []story.Deed{story.Chooses(ann, "approve", ""), story.Chooses(leo, "approve", "")}
		}},
	{Title: "A press: lead, finance and board, none of them twice", Request: wants(`{"what": "a press", "euros": 25000}`),
		People: func(a *agent.Ask) []story.Deed {
			switch {
			case isFor(a, "group:leads"):
				return []story.Deed{story.Chooses(leo, "approve", "")}
			case isFor(a, "group:finance"):
				return []story.Deed{story.Chooses(leo, "approve", ""), story.Delegates(fay, "fred", "I am on holiday")}
			case isFor(a, "fred"):
				return []story.Deed{story.Chooses(finn, "approve", ""), story.Chooses(fred, "approve", "it is in the budget")}
			}
			return []story.Deed{story.Chooses(bea, "approve", "")}
		}},
	{Title: "A sofa: rejected, revised, and approved", Request: wants(`{"what": "a sofa", "euros": 4000}`),
		People: func(a *agent.Ask) []story.Deed {
			switch {
			case a.Kind == agent.AskForm:
				return []story.Deed{story.Answers(ann, `{"what": "a bench", "euros": 500}`)}
			case strings.Contains(a.Prompt, "sofa"):
				return []story.Deed{story.Chooses(leo, "reject", "an office is no living room")}
			}
			return []story.Deed{story.Chooses(leo, "approve", "")}
		}},
	{Title: "A yacht: rejected for good", Request: wants(`{"what": "a yacht", "euros": 900000}`),
		People: func(a *agent.Ask) []story.Deed {
			if a.Kind == agent.AskForm {
				return []story.Deed{story.Answers(ann, `{"what": "a smaller yacht", "euros": 800000}`)}
			}
			return []story.Deed{story.Chooses(leo, "reject", "we do not need a yacht")}
		}},
	{Title: "A lamp: no lead has time, so a director is asked", Request: wants(`{"what": "a lamp", "euros": 80, "day": 120}`),
		People: func(a *agent.Ask) []story.Deed {
			if isFor(a, "group:directors") {
				return []story.Deed{story.Chooses(dora, "approve", "")}
			}
			return nil
		}},
	{Title: "A printer: withdrawn while finance looks at it", Request: wants(`{"what": "a printer", "euros": 2000}`),
		People: func(a *agent.Ask) []story.Deed {
			if isFor(a, "group:finance") {
				return []story.Deed{story.Signals(ann, "withdraw", `{"reason": "we have found one in the cellar"}`)}
			}
			return []story.Deed{story.Chooses(leo, "approve", "")}
		}},
}
