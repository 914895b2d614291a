package cli

import (
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// What a teller says of asks and of those whom they are for.

// askNews tells which asks are open now, if that is wanted, and which were
// withdrawn.
func (t *teller) askNews(s *run.State) (out []para) {
	for id, end := range s.Asked {
		if t.before.asks[id] && end.How == "withdrawn" {
			out = append(out, note("withdrawn: "+t.title(id)))
		}
	}
	slices.SortFunc(out, func(a, b para) int { return strings.Compare(a.text, b.text) })
	for _, a := range s.Asks() {
		if t.asksToo && !t.before.asks[a.ID] {
			out = append(out, warn("asks: "+askTitle(a)+" – "+mustWait(a)))
		}
	}
	return out
}

// title is an ask that was seen before, in a few words.
func (t *teller) title(id agent.AskID) string {
	a := t.asks[id]
	if a == nil {
		return "an ask"
	}
	return fit(askTitle(a), 80)
}

// askIn returns an ask that is open in a state, or nil.
func askIn(s *run.State, id agent.AskID) *agent.Ask {
	for _, a := range s.Asks() {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func (t *teller) assigned(e *run.Assigned, s *run.State) []para {
	a := askIn(s, e.Ask)
	if a == nil {
		return nil
	}
	name := t.whom(e.By)
	switch e.How {
	case run.Claim:
		return []para{note(name + " claimed it: " + t.title(e.Ask))}
	case run.Release:
		return []para{note(name + " released it: " + t.title(e.Ask) + " – " + mustWait(a))}
	case run.Delegate:
		return []para{note(name + " delegated it" + because(e.Note) + ": " + t.title(e.Ask) + " – " + mustWait(a))}
	}
	return nil
}

// whom names who did something.
func (t *teller) whom(u agent.User) string {
	switch name := cleanLine(nameOf(u)); {
	case u.ID != "" && u.ID == t.me:
		return "you"
	case name != "":
		return name
	}
	return "somebody"
}

func (t *teller) reminded(e *run.Reminded, s *run.State) []para {
	a := askIn(s, e.Ask)
	if a == nil {
		return nil
	}
	return []para{warn("a reminder: nobody has answered for " + ago(s.Time.Sub(a.Opened)) + ": " + t.title(e.Ask) + " – " + mustWait(a))}
}

// unanswered tells what follows as nobody has answered in time.
func (t *teller) unanswered(id agent.AskID, s *run.State) []para {
	was, now := t.asks[id], askIn(s, id)
	switch {
	case now != nil && was != nil && now.Stage == was.Stage:
		return nil // somebody was faster than the clock
	case now != nil:
		return []para{warn("nobody answered in time: " + t.title(id) + " – now it " + mustWait(now))}
	case was != nil && was.Default != nil && len(was.Default.Value) > 0:
		return []para{warn("nobody answered in time, so this is taken:  " + brief(was.Default.Value))}
	case was != nil && was.Default != nil:
		return []para{warn("nobody answered in time, so this is taken:  " + was.Default.Choice)}
	}
	return []para{warn("nobody answered in time: " + t.title(id))}
}
