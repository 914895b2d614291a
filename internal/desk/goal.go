package desk

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
)

// A goal is what the model takes the user to want.
type goal struct {
	kind    string // track, refund, damage, bill, return, or "" with words to say
	say     string
	numbers []int
	amount  float64 // 0: all that is left
	reason  string
}

// kinds are the words by which the model knows what is wanted; the first that
// fits counts.
var kinds = []struct {
	kind  string
	words []string
}{
	{"return", []string{"return", "send back", "send it back", "send them back"}},
	{"refund", []string{"refund", "money back", "pay back", "pay it back", "pay me back", "paid back", "reimburse"}},
	{"damage", []string{"broken", "damaged", "defect", "scratch", "does not work", "doesn't work", "cracked"}},
	{"bill", []string{"invoice", "bill", " vat", "charge", "receipt", "tax"}},
	{"track", []string{"where", "parcel", "track", "deliver", "arriv", "shipp", "package", "order"}},
}

var (
	orderForm  = regexp.MustCompile(`\b[1-9]\d{3}\b`)
	amountForm = regexp.MustCompile(`(?i)(?:€\s*(\d+(?:[.,]\d{1,2})?))|(?:\b(\d+(?:[.,]\d{1,2})?)\s*(?:€|eur\b|euros?\b))`)
	thankful   = regexp.MustCompile(`(?i)\b(thanks?|thank you|cheers)\b`)
	greeting   = regexp.MustCompile(`(?i)^\s*(hello|hi|hey|good (morning|day|evening)|help|\?)`)
	farewell   = regexp.MustCompile(`(?i)^\s*(bye|goodbye|see you)\b`)
)

const (
	canDo = `I can look up an order ("what is order 1042?"), find a parcel ("where is 1043?"), pay back ("refund 1044, please"), ` +
		`explain a bill ("invoice for 1042") and have something sent back ("I want to return 1045").`
	modest  = "I am the built-in offline model, of few words, and did not understand that. "
	whoAmI  = "Hello, this is the service desk of a pretend web shop, with orders 1042 to 1046. "
	welcome = "You are welcome."
	goodbye = "Goodbye."
	whichIs = "Which order is it about? Its number has four digits, such as 1043."
)

// goal finds out what the user wants. With an order's number alone it is the kind
// of thing that is given.
func (t *turn) goal(otherwise string) goal {
	low := " " + strings.ToLower(t.said)
	g := goal{reason: short(t.said)}
	rest := amountForm.ReplaceAllStringFunc(t.said, func(s string) string {
		m := amountForm.FindStringSubmatch(s)
		g.amount, _ = strconv.ParseFloat(strings.ReplaceAll(m[1]+m[2], ",", "."), 64) // the form is that of a number
		return ""
	})
	if reply, ok := t.answered(); ok {
		rest += " " + reply
	}
	for _, n := range orderForm.FindAllString(rest, -1) {
		number, _ := strconv.Atoi(n) // four digits
		g.numbers = appendNew(g.numbers, number)
	}
	for _, k := range kinds {
		for _, w := range k.words {
			if strings.Contains(low, w) && g.kind == "" {
				g.kind = k.kind
			}
		}
	}
	switch {
	case g.kind != "":
	case len(g.numbers) > 0:
		g.kind = otherwise
	case thankful.MatchString(t.said):
		g.say = welcome
	case farewell.MatchString(t.said):
		g.say = goodbye
	case greeting.MatchString(t.said):
		g.say = whoAmI + canDo
	default:
		g.say = modest + canDo
	}
	return g
}

// serve is what the offline model does as the desk.
func serve(t turn) (text string, calls []agent.Call) {
	switch g := t.goal("track"); g.kind {
	case "":
		return g.say, nil
	case "return":
		return handOff(t, toReturns)
	default:
		return g.next(t)
	}
}

// handOff hands the conversation off, and says so if that was refused.
func handOff(t turn, name string) (text string, calls []agent.Call) {
	if refused := t.of(name); len(refused) > 0 {
		return tellAll(refused), nil
	}
	args := struct {
		Reason string `json:"reason"`
	}{short(t.said)}
	return "", []agent.Call{call(name, args)}
}

// next is the model's next step towards the goal.
func (g goal) next(t turn) (text string, calls []agent.Call) {
	switch {
	case len(g.numbers) == 0:
		if said, asked := t.answered(); asked {
			return fmt.Sprintf("I do not find an order number in %q. %s", short(said), canDo), nil
		}
		return "", []agent.Call{ask(whichIs)}
	case g.kind == "bill":
		return g.bill(t)
	case len(t.of("look_up_order")) == 0:
		return "", g.lookUp()
	case g.kind == "refund":
		return g.refund(t)
	case g.kind == "damage":
		return g.damage(t)
	case g.kind == "return":
		return g.sendBack(t)
	}
	return tellAll(t.facts), nil
}

// lookUp looks up all that is needed, at once.
func (g goal) lookUp() (calls []agent.Call) {
	for _, n := range g.numbers {
		calls = append(calls, call("look_up_order", Numbered{n}))
		if g.kind == "track" {
			calls = append(calls, call("track_parcel", Numbered{n}))
		}
	}
	return calls
}

// refund pays back what was found, once for each order.
func (g goal) refund(t turn) (text string, calls []agent.Call) {
	if done := t.of("refund"); len(done) > 0 {
		return tellAll(done), nil
	}
	var words []string
	for _, f := range t.of("look_up_order") {
		o, ok := orderOf(f)
		switch left := o.Total - o.Refunded; {
		case !ok:
			words = append(words, tell(f))
		case left <= 0:
			words = append(words, fmt.Sprintf("Order %d was paid back already, all %.2f EUR.", o.Number, o.Refunded))
		default:
			amount := left
			if g.amount > 0 {
				amount = g.amount
			}
			calls = append(calls, call("refund", Refund{Order: o.Number, Amount: amount, Reason: g.reason}))
		}
	}
	return strings.Join(words, " "), calls
}

// The choices when something has arrived damaged.
const (
	choosePay   = "pay it back"
	chooseNew   = "send a new one"
	chooseLeave = "leave it as it is"
)

// damage asks what is to be done about it.
func (g goal) damage(t turn) (text string, calls []agent.Call) {
	if len(t.of("refund")) > 0 {
		return g.refund(t)
	}
	var found []string
	for _, f := range t.of("look_up_order") {
		if o, ok := orderOf(f); ok {
			found = append(found, fmt.Sprintf("%s (order %d)", o.Items, o.Number))
		}
	}
	if len(found) == 0 {
		return tellAll(t.facts), nil
	}
	switch said, asked := t.answered(); {
	case !asked || orderForm.MatchString(said) && !strings.Contains(said, choosePay):
		return "I am sorry to hear that.", []agent.Call{ask("What shall we do about "+strings.Join(found, " and ")+"?", choosePay, chooseNew, chooseLeave)}
	case strings.Contains(said, choosePay):
		return g.refund(t)
	case strings.Contains(said, chooseNew):
		return "A person will call you about a new one. (This is a pretend shop: nobody will.)", nil
	}
	return "All right. Write again if you change your mind.", nil
}

func ask(question string, choices ...string) agent.Call {
	args := struct {
		Question string   `json:"question"`
		Choices  []string `json:"choices,omitempty"`
	}{question, choices}
	return call(planner.AskPerson, args)
}

func appendNew(list []int, n int) []int {
	for _, m := range list {
		if m == n {
			return list
		}
	}
	return append(list, n)
}

// short is one line of at most 80 characters.
func short(s string) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return string(r)
}
