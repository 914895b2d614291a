package desk

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
)

func orderOf(f fact) (o Order, ok bool) {
	ok = f.result.Outcome == agent.Returned && json.Unmarshal(f.result.Content, &o) == nil && o.Number > 0
	return o, ok
}

// tellAll puts results into words, but for answers and hand-offs, which have had
// their effect.
func tellAll(facts []fact) string {
	var words []string
	for _, f := range facts {
		asked := f.call.Name == planner.AskPerson && f.result.Outcome == agent.Answered
		handed := (f.call.Name == toReturns || f.call.Name == toDesk) && f.result.Outcome == agent.Returned
		if !asked && !handed {
			words = append(words, tell(f))
		}
	}
	return strings.Join(words, " ")
}

// tell puts one result into words.
func tell(f fact) string {
	var about Numbered
	_ = json.Unmarshal(f.call.Args, &about) // what is not there is not told
	content := agent.PlainText(f.result.Content)
	switch f.call.Name {
	case planner.AskPerson:
		return tellAnswer(f.result.Outcome, content)
	case toBilling:
		return tellTask(f.result.Outcome, content)
	}
	switch f.result.Outcome {
	case agent.Pending:
		return "The " + f.call.Name + on(about) + " waits for a person."
	case agent.Unknown:
		return "Nobody knows yet whether the " + f.call.Name + on(about) + " took place; that is being looked up."
	case agent.Denied:
		return "I am sorry: the " + f.call.Name + on(about) + " was not approved (" + content + ")."
	case agent.Answered:
		return "A person settled the " + f.call.Name + on(about) + ": " + content + "."
	case agent.Returned:
		return tellReturned(f, content)
	}
	if f.call.Name == "refund" {
		return "The refund" + on(about) + " did not work: " + content + "."
	}
	return sentence(content)
}

func sentence(s string) string {
	return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] + "."
}

// tellAnswer is said of a question whose answer came late, or not at all.
func tellAnswer(o agent.Outcome, content string) string {
	switch {
	case o.Open():
		return "My question is still open."
	case o == agent.Answered:
		return "Thank you for your answer (" + content + "); please say once more what it is about."
	}
	return "My question was not answered: " + content + "."
}

// tellTask is what came of a task that was given to billing.
func tellTask(o agent.Outcome, content string) string {
	switch {
	case o.Open():
		return "Billing is still looking into the invoice."
	case o == agent.Returned:
		return content
	}
	return "Billing could not help: " + content + "."
}

func on(n Numbered) string {
	if n.Order == 0 {
		return ""
	}
	return fmt.Sprintf(" for order %d", n.Order)
}

func tellReturned(f fact, content string) string {
	var p Parcel
	var paid Payment
	var label Label
	switch f.call.Name {
	case "look_up_order":
		if o, ok := orderOf(f); ok {
			return tellOrder(o)
		}
	case "track_parcel":
		if json.Unmarshal(f.result.Content, &p) == nil && p.Number != "" {
			return tellParcel(p)
		}
	case "refund":
		if json.Unmarshal(f.result.Content, &paid) == nil && paid.Order > 0 {
			return fmt.Sprintf("Done: %.2f EUR for order %d are on their way back to you.", paid.Amount, paid.Order)
		}
	case lookUpInvoice:
		if s, ok := tellInvoice(f.result.Content); ok {
			return s
		}
	case makeLabel:
		if json.Unmarshal(f.result.Content, &label) == nil && label.Number != "" {
			return fmt.Sprintf("Your label for order %d is %s, and the parcel is picked up on %s. (This is a pretend shop: nobody will come.)", label.Order, label.Number, label.Pickup)
		}
	}
	return "Here is what " + f.call.Name + " gave: " + content + "."
}

func tellOrder(o Order) string {
	s := fmt.Sprintf("Order %d is %s for %.2f EUR, placed on %s", o.Number, an(o.Items), o.Total, o.Placed)
	switch o.State {
	case "packing":
		s += "; it is being packed."
	default:
		s += " and " + o.State + "."
	}
	if o.Refunded > 0 {
		s += fmt.Sprintf(" %.2f EUR of it were paid back.", o.Refunded)
	}
	return s
}

func an(items string) string {
	switch {
	case strings.HasPrefix(items, "two "):
		return items
	case strings.ContainsRune("aeiou", rune(items[0])):
		return "an " + items
	}
	return "a " + items
}

func tellParcel(p Parcel) string {
	s := fmt.Sprintf("Its parcel %s is %s; it was last seen in %s", p.Number, p.State, p.Seen)
	if p.Expects != "" {
		s += ", and is expected " + p.Expects
	}
	return s + "."
}

// noteForm is how the orchestrator tells of a call that ended late.
var noteForm = regexp.MustCompile(`(?s)^The call (\S+) \([^)]*\), which was open, has ended\.(?: A person had changed its arguments to .*?\.)? Outcome: (\w+)\. ?(.*)$`)

// tellNotes puts notes into words.
func tellNotes(notes []string) []string {
	var words []string
	for _, n := range notes {
		m := noteForm.FindStringSubmatch(n)
		if m == nil {
			words = append(words, n)
			continue
		}
		content := json.RawMessage(m[3])
		if !json.Valid(content) {
			content = agent.JSONText(m[3])
		}
		words = append(words, tell(fact{
			call:   agent.Call{Name: m[1], Args: content}, // a payment names its order as the call did
			result: agent.Result{Name: m[1], Outcome: agent.Outcome(m[2]), Content: content},
		}))
	}
	return words
}
