package desk

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// Model makes the built-in offline model: a few dozen lines that know the words of
// the desk, of billing and of returns, for a first look without a key. It is no language model, and says so
// when it does not understand. The same conversation always gets the same
// answer. pace is how long it takes for a word; 0 does not wait.
func Model(pace time.Duration) agent.Model {
	m := scripted.Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		return &agent.ModelReply{Message: answer(req), Model: "offline"}, nil
	})
	m.Delay = pace
	return m
}

// answer chooses what the model says and which functions it calls. Whose words it
// speaks, it sees by the tools that it is offered.
func answer(req *agent.ModelRequest) agent.Message {
	t := read(req.Messages)
	if len(t.said) == 0 {
		return reply(strings.Join(append(t.aside, tellNotes(t.notes)...), " "))
	}
	var text string
	var calls []agent.Call
	switch {
	case offered(req, lookUpInvoice):
		text, calls = explain(t)
	case offered(req, makeLabel):
		text, calls = takeBack(t)
	default:
		text, calls = serve(t)
	}
	return reply(strings.TrimSpace(strings.Join(append(t.aside, text), " ")), calls...)
}

func offered(req *agent.ModelRequest, name string) bool {
	return slices.ContainsFunc(req.Tools, func(t agent.ToolSpec) bool { return t.Name == name })
}

func reply(text string, calls ...agent.Call) agent.Message {
	m := agent.Message{Role: agent.RoleAssistant}
	if text != "" {
		m.Parts = append(m.Parts, agent.Part{Text: text})
	}
	for _, c := range calls {
		m.Parts = append(m.Parts, agent.Part{Call: &c})
	}
	return m
}

func call(name string, args any) agent.Call {
	b, err := json.Marshal(args)
	if err != nil {
		panic("desk: arguments have no JSON form: " + err.Error()) // cannot happen: they are plain structs
	}
	return agent.Call{Name: name, Args: b}
}

// turn is what the model has to see of a conversation.
type turn struct {
	said  string   // the user's last message; "" if only notes are to be answered
	facts []fact   // what became of the calls that were made for it
	aside []string // what is to be said first
	notes []string // what came late
}

// fact is a call and its result.
type fact struct {
	call   agent.Call
	result agent.Result
}

// read finds the last thing that the user said, and what was done about it.
// Results that belong to what was said before, and that no answer has told of
// yet, are told aside.
func read(messages []*agent.Message) turn {
	var t turn
	last := lastIndex(messages, agent.RoleAssistant)
	tail := messages[last+1:]
	asks := slices.ContainsFunc(tail, func(m *agent.Message) bool { return m.Role == agent.RoleUser })
	calls := map[string]agent.Call{}
	for i, m := range messages {
		if m.Role == agent.RoleUser && (i <= last || i == 0 || messages[i-1].Role != agent.RoleUser) {
			t.said, t.facts = "", nil
		}
		for _, c := range m.Calls() {
			calls[c.ID] = *c
		}
		for _, p := range m.Parts {
			switch {
			case m.Role == agent.RoleUser:
				t.said = strings.TrimSpace(t.said + " " + p.Text)
			case p.Result != nil && asks && i > last:
				t.aside = append(t.aside, tell(fact{calls[p.Result.CallID], *p.Result}))
			case p.Result != nil:
				t.facts = append(t.facts, fact{calls[p.Result.CallID], *p.Result})
			case m.Role == agent.RoleNote && i > last:
				t.notes = append(t.notes, p.Text)
			}
		}
	}
	if asks {
		t.facts = nil
		t.aside = append(t.aside, tellNotes(t.notes)...)
	} else if len(t.notes) > 0 && messages[len(messages)-1].Role == agent.RoleNote {
		t.said = ""
	}
	return t
}

func lastIndex(messages []*agent.Message, role agent.Role) int {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == role {
			return i
		}
	}
	return -1
}

// answered returns what the person said when the model asked a question, if it has.
func (t *turn) answered() (string, bool) {
	for _, f := range t.of(planner.AskPerson) {
		if !f.result.Outcome.Open() && !isForm(f) {
			return agent.PlainText(f.result.Content), true
		}
	}
	return "", false
}

// of returns the facts about calls of this name.
func (t *turn) of(name string) []fact {
	var out []fact
	for _, f := range t.facts {
		if f.call.Name == name {
			out = append(out, f)
		}
	}
	return out
}
