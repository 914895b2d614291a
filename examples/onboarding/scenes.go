package main

import (
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/orchestrator"
)

var (
	ida  = agent.User{ID: "ida", Groups: []string{"it"}}
	hugo = agent.User{ID: "hugo", Groups: []string{"hr"}}
	marc = agent.User{ID: "marc"}
	dora = agent.User{ID: "dora", Groups: []string{"heads"}}
)

func comes(input string) orchestrator.Request {
	return orchestrator.Request{Agent: "onboarding", User: hugo, Message: agent.Text(input)}
}

// usual is what people do whom nothing keeps from it.
func usual(a *agent.Ask) []story.Deed {
	about := func(words string) bool { return strings.Contains(a.Prompt, words) }
	switch {
	case about("needs a laptop"):
		return []story.Deed{story.Answers(ida, `{"serial": "L-77"}`)}
	case about("contract"):
		return []story.Deed{story.Chooses(hugo, "yes", "")}
	case about("first week"):
		return []story.Deed{story.Answers(marc, `"meet everybody"`)}
	case about("for a week"):
		return []story.Deed{story.Chooses(marc, "trouble", "no desk")}
	case about("There is trouble"):
		return []story.Deed{story.Answers(hugo, `"a desk by Monday"`)}
	}
	return nil // the manager does not always find the time
}

// slow is what they do when somebody is slow.
func slow(who, decision, why string) func(*agent.Ask) []story.Deed {
	return func(a *agent.Ask) []story.Deed {
		switch {
		case strings.HasPrefix(a.Prompt, "It takes too long"):
			return []story.Deed{story.Chooses(dora, decision, why)}
		case a.For[0] == who && !strings.HasPrefix(a.Prompt, "Hurry"):
			return nil
		}
		return usual(a)
	}
}

var scenes = []story.Scene{
	{Title: "Eve comes, and all goes as it should", People: usual,
		Request: comes(`{"name": "eve", "manager": "marc", "days": 14, "day": 100}`)},
	{Title: "Kim comes, and IT has forgotten the laptop", People: slow("group:it", "wait", "they are on it"),
		Request: comes(`{"name": "kim", "manager": "marc", "days": 14, "day": 100}`)},
	{Title: "Lee was to come", People: slow("group:hr", "call-off", "there is no contract"),
		Request: comes(`{"name": "lee", "manager": "marc", "days": 14, "day": 100}`)},
}
