package run_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// mailInput makes the inputs that mailboxes take and give.
func (s *script) mailInput(c *command) run.Event {
	switch c.verb {
	case "post":
		e := &run.Posted{Data: c.json(0), ID: c.option("id"), Keep: s.duration(c.option("keep"))}
		if e.Keep == 0 {
			e.Keep = 24 * time.Hour
		}
		return e
	case "subscribed":
		e := &run.Subscribed{Run: agent.RunID(c.arg(0)), N: int64(s.number(c.option("n")))}
		for _, w := range list(c.option("waits")) {
			e.Actions = append(e.Actions, agent.ActionID(w))
		}
		return e
	}
	id := s.action(c.arg(0))
	e := &run.Mailed{Action: id, From: "mailbox1", Signal: agent.RecordID(c.option("signal")), Name: firstNonEmpty(c.option("name"), "paid"), Key: "7", Data: c.json(1)}
	return e
}

// noteLetters gives the runs names to which there are letters.
func (s *script) noteLetters() {
	for _, l := range s.state.Outbox {
		switch {
		case l.Subscribe != nil:
			s.runs[l.To] = l.Subscribe.Name + "/" + l.Subscribe.Key
		case l.Posts != nil:
			s.runs[l.To] = string(l.To)
		}
	}
}

// saysMail tells what is in a letter to a mailbox, or from one.
func (s *script) saysMail(l *run.Letter) string {
	var words []string
	if l.Subscribe != nil {
		words = append(words, "waiting are")
		for _, id := range l.Subscribe.Actions {
			words = append(words, s.nameOf(id))
		}
		if len(l.Subscribe.Actions) == 0 {
			words = append(words, "none")
		}
	}
	for _, g := range l.Posts {
		words = append(words, fmt.Sprintf("%s takes %s %s", g.Action, g.Post.ID, g.Post.Data))
	}
	return strings.Join(words, " ")
}

// holds tells what a mailbox holds.
func (s *script) holds(m *run.Mailbox) string {
	var b strings.Builder
	for _, w := range m.Waiting {
		fmt.Fprintf(&b, "  waiting: %s of %s\n", w.Action, w.Run)
	}
	for _, p := range m.Kept {
		fmt.Fprintf(&b, "  kept: %s %s until %s\n", p.ID, p.Data, s.when(p.Until))
	}
	return b.String()
}
