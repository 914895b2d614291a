package desk

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/tools"
)

const returnsInstructions = `You help customers of a small web shop to send things back.{{if .User.Name}} You talk with {{.User.Name}}.{{end}} Look
the order up; only what was delivered can be sent back. Ask for what a return label needs by one form, with the fields reason
(choices), opened and pickup (a day, such as 2026-03-14; today is {{.Now}}), and make the label. When the customer wants
anything else, hand back to desk. Be brief and kind.`

const makeLabel = "return_label"

// returnsAgent makes the agent with which a conversation goes on when something is
// to be sent back.
func returnsAgent(model agent.Model, shop *Shop, lookUp *agent.Tool) *agent.Agent {
	return &agent.Agent{
		Name:        "returns",
		Description: "Helps to send things back: asks what has to be known, and makes the return label.",
		Planner:     planner.Loop(model, returnsInstructions, nil),
		Limits:      agent.Limits{Handoffs: handoffs},
		Sees:        agent.SeesWords,
		Tools: []*agent.Tool{
			lookUp,
			tools.Func(makeLabel, "Make a return label for an order that was delivered.", shop.ReturnLabel,
				&tools.Options{Effect: agent.Idempotent}),
		},
	}
}

// takeBack is what the offline model does as returns.
func takeBack(t turn) (text string, calls []agent.Call) {
	switch g := t.goal("return"); {
	case g.kind == "return":
		return g.next(t)
	case g.say == welcome || g.say == goodbye:
		return g.say, nil
	}
	return handOff(t, toDesk)
}

// sendBack asks what a label needs, and makes it, for each order that was found.
func (g goal) sendBack(t turn) (text string, calls []agent.Call) {
	if labels := t.of(makeLabel); len(labels) > 0 {
		return tellAll(labels), nil
	}
	if forms := t.forms(); len(forms) > 0 {
		return fillIn(forms)
	}
	var words []string
	for _, f := range t.of("look_up_order") {
		switch o, ok := orderOf(f); {
		case !ok:
			words = append(words, tell(f))
		case o.State != delivered:
			words = append(words, fmt.Sprintf("Order %d cannot be sent back before it was delivered; it is %s.", o.Number, o.State))
		default:
			calls = append(calls, call(planner.AskPerson, returnForm{
				Question: fmt.Sprintf("You send back %s (order %d). What do we have to know?", an(o.Items), o.Number),
				Fields:   returnFields,
			}))
		}
	}
	return strings.Join(words, " "), calls
}

// fillIn makes a label of each form that was filled in.
func fillIn(forms []fact) (text string, calls []agent.Call) {
	var words []string
	for _, f := range forms {
		var asked returnForm
		var r Return
		_ = json.Unmarshal(f.call.Args, &asked) // what the model itself has written
		if f.result.Outcome != agent.Answered || json.Unmarshal(f.result.Content, &r) != nil {
			words = append(words, tell(f))
			continue
		}
		r.Order, _ = strconv.Atoi(orderForm.FindString(asked.Question))
		calls = append(calls, call(makeLabel, r))
	}
	return strings.Join(words, " "), calls
}

// returnForm are the arguments of ask_person for a form.
type returnForm struct {
	Question string  `json:"question"`
	Fields   []field `json:"fields"`
}

type field struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Description string   `json:"description,omitempty"`
	Choices     []string `json:"choices,omitempty"`
}

var returnFields = []field{
	{Name: "reason", Type: "string", Description: "Why it goes back", Choices: []string{"does not work", "is not what I ordered", "I changed my mind"}},
	{Name: "opened", Type: "boolean", Description: "Was it opened?"},
	{Name: "pickup", Type: "string", Description: "The day of the pick-up, such as 2026-03-14"},
}

// forms returns the facts about forms.
func (t *turn) forms() (out []fact) {
	for _, f := range t.of(planner.AskPerson) {
		if isForm(f) {
			out = append(out, f)
		}
	}
	return out
}

// isForm reports whether the model has asked for a form.
func isForm(f fact) bool {
	var asked returnForm
	return f.call.Name == planner.AskPerson && json.Unmarshal(f.call.Args, &asked) == nil && len(asked.Fields) > 0
}
