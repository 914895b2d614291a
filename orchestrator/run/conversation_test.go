package run_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// resultCheck: each call of a message has exactly one result, in the message
// that directly follows; and a message's id says what is in it.
var resultCheck = &check{
	view: func(w *world, sh *shelf, v *agent.View, seq int64) {
		for _, check := range []func([]*agent.Message) error{wellFormed, wellformed.Check} {
			if err := check(v.Messages); err != nil {
				w.broken(sh, "what the planner is shown is not well-formed: %v\n%s", err, conversation(v.Messages))
			}
		}
		checkWords(w, sh, v.Messages)
		showsAll(w, sh, v.Messages, seq)
	},
	record: func(w *world, sh *shelf, was *glance, r *run.Record) {
		keepsNews(w, sh, was, r)
		if _, ok := r.Event.(*run.Moved); ok && sh.truth.Plan.LastMove == r.Seq || was.handed && !sh.truth.Handed {
			all := sh.truth.Messages()
			checkWords(w, sh, all[max(0, len(all)-8):])
		}
	},
}

// keepsNews checks that news goes away only when a move takes it up, and that it
// takes up no more than its planner had seen; or when another agent begins, to
// which only what the user wrote is news.
func keepsNews(w *world, sh *shelf, was *glance, r *run.Record) {
	taken := int64(0)
	if m, ok := r.Event.(*run.Moved); ok && sh.truth.Plan.LastMove == r.Seq {
		taken = m.Basis
		if m.Basis < was.slot || was.ended {
			w.broken(sh, "a void move has an effect: its basis is %d, and what came before %d is void", m.Basis, was.slot)
		}
	}
	for _, n := range was.news {
		if was.handed && !sh.truth.Handed && n.Kind != "message" {
			continue
		}
		kept := slices.ContainsFunc(sh.truth.News, func(x run.News) bool { return x.Seq == n.Seq && x.Kind == n.Kind && x.Action == n.Action })
		if kept != (n.Seq > taken) {
			w.broken(sh, "the %s of record %d is news still: %v; taken up is what came up to record %d", n.Kind, n.Seq, kept, taken)
		}
	}
}

// showsAll checks that the user's messages up to seq are all shown, and to an agent
// to which the run was handed off what that is to see, and no more.
func showsAll(w *world, sh *shelf, messages []*agent.Message, seq int64) {
	shown, kept := map[string]bool{}, 0
	for _, m := range messages {
		shown[m.ID] = true
	}
	for _, r := range sh.ledger.wrote {
		if r.Seq <= seq && !shown[string(r.ID)] && !sh.ledger.hidden[string(r.ID)] {
			w.broken(sh, "the user's message %s is not shown to the planner", r.ID)
		}
		if words := string(r.ID) + ".words"; sh.ledger.hidden[string(r.ID)] && sh.ledger.sees == agent.SeesWords && !shown[words] {
			w.broken(sh, "the words of the user's message %s are not shown to the planner", r.ID)
		}
	}
	for _, m := range messages {
		if sh.ledger.hidden[m.ID] {
			w.broken(sh, "the message %s is shown to an agent that sees only %s\n%s", m.ID, sh.ledger.sees, conversation(messages))
		}
		if strings.HasSuffix(m.ID, ".words") && (sh.ledger.sees != agent.SeesWords || m.Role != agent.RoleUser && m.Role != agent.RoleAssistant || len(m.Calls()) > 0) {
			w.broken(sh, "the words %s are more than words\n%s", m.ID, conversation(messages))
		}
		if sh.ledger.kept[m.ID] {
			kept++
		}
	}
	if kept != len(sh.ledger.kept) {
		w.broken(sh, "of %d messages that the agent is to see it is shown %d\n%s", len(sh.ledger.kept), kept, conversation(messages))
	}
}

func checkWords(w *world, sh *shelf, messages []*agent.Message) {
	for _, m := range messages {
		b, err := json.Marshal(m)
		if err != nil {
			w.broken(sh, "%v", err)
		}
		before, known := sh.ledger.words[m.ID]
		if known && before != string(b) {
			w.broken(sh, "two messages have the id %q:\n%s\n%s", m.ID, before, b)
		}
		sh.ledger.words[m.ID] = string(b)
	}
}

// wellFormed says what a model's provider would refuse in a conversation.
func wellFormed(messages []*agent.Message) error {
	ids, calls := map[string]bool{}, map[string]bool{}
	var owed []*agent.Call
	for i, m := range messages {
		if m.ID == "" || ids[m.ID] {
			return fmt.Errorf("message %d has the id %q, which is empty or stands twice", i, m.ID)
		}
		ids[m.ID] = true
		if m.Role != agent.RoleTool && len(owed) > 0 {
			return fmt.Errorf("message %d follows calls, and is no result", i)
		}
		if m.Role == agent.RoleTool {
			if len(m.Parts) != len(owed) {
				return fmt.Errorf("message %d has %d results for %d calls", i, len(m.Parts), len(owed))
			}
			for k, p := range m.Parts {
				if p.Result == nil || p.Result.CallID != owed[k].ID || p.Result.Outcome == "" || len(p.Result.Content) > 0 && !json.Valid(p.Result.Content) {
					return fmt.Errorf("message %d has no good result for the call %s", i, owed[k].ID)
				}
			}
		}
		owed = m.Calls()
		for _, c := range owed {
			if calls[c.ID] {
				return fmt.Errorf("the call id %q stands twice", c.ID)
			}
			calls[c.ID] = true
		}
	}
	if len(owed) > 0 {
		return fmt.Errorf("the last message's calls have no results")
	}
	return nil
}

// conversation spells messages out, one line each.
func conversation(messages []*agent.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%s (%s):", m.Role, m.ID)
		for _, p := range m.Parts {
			switch {
			case p.Call != nil:
				fmt.Fprintf(&b, " [call %s %s %s]", p.Call.ID, p.Call.Name, p.Call.Args)
			case p.Result != nil:
				edited := ""
				if e := p.Result.Edited; len(e) > 0 {
					edited = fmt.Sprintf(", with the arguments %s", e)
				}
				fmt.Fprintf(&b, " [%s %s%s: %s]", p.Result.CallID, p.Result.Outcome, edited, agent.PlainText(p.Result.Content))
			default:
				fmt.Fprintf(&b, " %s", p.Text)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
