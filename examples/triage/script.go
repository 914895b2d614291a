package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/scripted"
)

// script is the model that is asked offline. It is three in one: the sorter, the one that
// handles tickets, and the desk. What each answers follows from what it is sent.
var script = scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
	var r scripted.Reply
	switch {
	case strings.HasPrefix(req.System, "You sort tickets"):
		r = sort(req)
	case strings.HasPrefix(req.System, "You handle tickets"):
		r = handle(req)
	default:
		r = talk(req)
	}
	return scripted.New(r).Generate(context.Background(), &agent.ModelRequest{Messages: req.Messages[:1]}, nil)
})

// sort sorts by words.
func sort(req *agent.ModelRequest) scripted.Reply {
	ticket := req.Messages[0].Text()
	for _, k := range []struct{ word, kind string }{{"lawyer", "legal"}, {"prize", "spam"}, {"how", "question"}} {
		if strings.Contains(ticket, k.word) {
			return scripted.Say(fmt.Sprintf(`{"kind": %q}`, k.kind))
		}
	}
	return scripted.Say(`{"kind": "complaint"}`)
}

// handle chooses what is done next among what is offered.
func handle(req *agent.ModelRequest) scripted.Reply {
	offered := func(name string) bool {
		return slices.ContainsFunc(req.Tools, func(t agent.ToolSpec) bool { return t.Name == name })
	}
	var goal struct {
		Ticket, Kind string
		Order        int
	}
	_ = json.Unmarshal([]byte(req.Messages[0].Text()), &goal)
	last := lastResult(req)
	switch {
	case offered("look-up"):
		return scripted.Call("look-up", `{}`)
	case goal.Kind == "question": // it does not know when to stop
		return scripted.Call("search", map[string]string{"words": goal.Ticket})
	case offered("ask-customer"):
		return scripted.Call("ask-customer", `{}`)
	case last != nil && last.Name == "refund" && last.Outcome == agent.Returned:
		return scripted.Call("finish", map[string]string{"result": "We are sorry. You get back " + agent.PlainText(last.Content) + "."})
	case last != nil && last.Name == "refund":
		return scripted.Call("escalate", `{}`)
	case last != nil && last.Name == "escalate":
		return scripted.Call("finish", `{"result": "A manager has answered."}`)
	}
	return scripted.Call("refund", map[string]int{"order": goal.Order, "euros": 89})
}

// lastResult is what came of the last call; nil if there was none.
func lastResult(req *agent.ModelRequest) *agent.Result {
	for _, m := range slices.Backward(req.Messages) {
		for _, p := range slices.Backward(m.Parts) {
			if p.Result != nil {
				return p.Result
			}
		}
	}
	return nil
}

var number = regexp.MustCompile(`\d+`)

// talk gives what a customer writes to triage, and tells what came of it.
func talk(req *agent.ModelRequest) scripted.Reply {
	if r := lastResult(req); r != nil {
		var out struct{ Answer string }
		if err := json.Unmarshal(r.Content, &out); err == nil && out.Answer != "" {
			return scripted.Say(out.Answer)
		}
		return scripted.Say("I am sorry, that did not work: " + agent.PlainText(r.Content))
	}
	text := req.Messages[0].Text()
	order, err := strconv.Atoi(number.FindString(text))
	if err != nil {
		return scripted.Say("Which order do you mean? Please write again, with its number.")
	}
	return scripted.Call("delegate_to_triage", map[string]any{"ticket": text, "order": order})
}
