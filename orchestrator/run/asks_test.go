package run_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// mostReminders is how often is reminded of an ask.
const mostReminders = 100

// people is whom an ask is for, and until when.
type people struct {
	may, not []string
	claimed  string
	stage    int
	chain    []agent.Escalation
	due      time.Time
	remind   time.Duration
	remindAt time.Time
	reminded int
}

// peopleOf returns whom an ask is for that was opened at a time with these terms.
func peopleOf(terms *agent.Ask, user string, at time.Time) people {
	p := people{may: named(terms.For, user), not: named(terms.Not, user), chain: terms.Escalate, due: terms.Due, remind: terms.Remind}
	if terms.Within > 0 {
		p.due = at.Add(terms.Within)
	}
	p.remindFrom(at)
	return p
}

// named puts the run's user into a list.
func named(list []string, user string) []string {
	list = slices.Clone(list)
	for i := range list {
		if list[i] == agent.TheUser {
			list[i] = user
		}
	}
	return list
}

func (p *people) remindFrom(at time.Time) {
	p.remindAt = time.Time{}
	if p.remind > 0 && p.reminded < mostReminders {
		p.remindAt = at.Add(p.remind)
	}
}

// escalate has the next in the chain asked.
func (p *people) escalate(user string, at time.Time) {
	step := p.chain[0]
	p.may, p.chain, p.claimed, p.due = named(step.For, user), p.chain[1:], "", time.Time{}
	if step.Within > 0 {
		p.due = at.Add(step.Within)
	}
	p.stage++
	p.remindFrom(at)
}

// assign has a claim, a release or a delegation take effect.
func (p *people) assign(e *run.Assigned, user string) {
	p.claimed = ""
	switch e.How {
	case run.Claim:
		p.claimed = e.By.ID
	case run.Delegate:
		p.may = p.delegatedTo(e, user)
	}
}

func (p *people) delegatedTo(e *run.Assigned, user string) []string {
	to := named(e.To, user)
	if e.By.ID != "" && !slices.Contains(to, e.By.ID) {
		to = append(to, e.By.ID)
	}
	return to
}

// let reports whether an ask is for somebody.
func (p *people) let(u agent.User) bool {
	is := func(list []string) bool {
		return slices.ContainsFunc(list, func(who string) bool {
			group, isGroup := strings.CutPrefix(who, "group:")
			return isGroup && slices.Contains(u.Groups, group) || !isGroup && who != "" && who == u.ID
		})
	}
	if len(p.not) > 0 && u.ID == "" {
		return false // nobody can tell whether they are among those
	}
	return !is(p.not) && (len(p.may) == 0 || is(p.may))
}

// past reports whether a time is set and has come.
func past(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// enterPeople notes what a record says of whom asks are for.
func (l *ledger) enterPeople(w *world, s *run.State, r *run.Record) {
	switch e := r.Event.(type) {
	case *run.Moved:
		for i := range e.Actions {
			if a := &e.Actions[i]; a.Ask != nil {
				l.terms[actionID(r, i)] = a.Ask
			}
		}
	case *run.Assigned:
		if f := l.asks[e.Ask]; f != nil && f.how == "" {
			f.people.assign(e, s.User.ID)
			switch e.How {
			case run.Claim:
				w.count.AsksClaimed++
			case run.Release:
				w.count.AsksReleased++
			case run.Delegate:
				w.count.AsksDelegated++
			}
		}
	case *run.Lapsed:
		if f := l.asks[e.Ask]; f != nil && f.how == "" && past(f.people.due, s.Time) && len(f.people.chain) > 0 {
			w.count.AsksEscalated++
			f.people.escalate(s.User.ID, s.Time)
		}
	case *run.Reminded:
		if f := l.asks[e.Ask]; f != nil && f.how == "" && past(f.people.remindAt, s.Time) {
			w.count.Reminders++
			f.people.reminded++
			f.people.remindFrom(s.Time)
		}
	}
}

// opensAsk notes whom an ask is for that has just been opened.
func (l *ledger) opensAsk(s *run.State, a *agent.Ask) *askFate {
	f := &askFate{ask: *a}
	terms := l.terms[a.Action]
	if a.Kind == agent.AskOutcome || a.Kind == agent.AskLimit {
		terms = &agent.Ask{For: s.Terms.Operators}
	}
	if terms == nil {
		terms = &agent.Ask{}
	}
	if a.Kind == agent.AskRepair && len(terms.For) == 0 {
		repair := *terms
		repair.For = s.Terms.Operators
		terms = &repair
	}
	f.people = peopleOf(terms, s.User.ID, s.Time)
	return f
}

// peopleCheck: an ask is for whom its chain, its claims and its delegations say,
// nobody else has answered it, and it reminds as often as it may.
var peopleCheck = &check{record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	if was.ended {
		return
	}
	for _, a := range sh.truth.Asks() {
		p := &sh.ledger.asks[a.ID].people
		switch {
		case !slices.Equal(a.For, p.may) || !slices.Equal(a.Not, p.not):
			w.broken(sh, "the ask %s is for %v but not for %v, and right is %v but not %v", a.ID, a.For, a.Not, p.may, p.not)
		case a.Claimed.ID != p.claimed || a.Stage != p.stage || !a.Due.Equal(p.due):
			w.broken(sh, "the ask %s is claimed by %q, at stage %d, due %s, and right is %+v", a.ID, a.Claimed.ID, a.Stage, a.Due, p)
		case a.Reminded != p.reminded || !a.RemindAt.Equal(p.remindAt) || a.Reminded > mostReminders:
			w.broken(sh, "of the ask %s was reminded %d times, next %s, and right is %+v", a.ID, a.Reminded, a.RemindAt, p)
		}
	}
	switch e := r.Event.(type) {
	case *run.Answered:
		f := sh.ledger.asks[e.Ask]
		if f == nil || f.how != "answered" || !slices.ContainsFunc(was.asks, func(a *agent.Ask) bool { return a.ID == e.Ask }) {
			w.broken(sh, "an answer to %s is in the log, which was not open", e.Ask)
		}
		if !f.people.let(e.Answer.By) || f.people.claimed != "" && f.people.claimed != e.Answer.By.ID {
			w.broken(sh, "%q has answered the ask %s, which is for %+v", e.Answer.By.ID, e.Ask, f.people)
		}
	case *run.Reminded:
		if !slices.ContainsFunc(was.asks, func(a *agent.Ask) bool { return a.ID == e.Ask && past(a.RemindAt, r.Time) }) {
			w.broken(sh, "it is reminded of %s, and that is not open or it is too early", e.Ask)
		}
	}
}}

// expectAssigned returns the verdict that is right for a claim, a release or a
// delegation.
func (l *ledger) expectAssigned(j *journal, e *run.Assigned) string {
	f := l.asks[e.Ask]
	if f == nil {
		return unknown
	}
	how, p := f.standing(j)
	user := j.state.User.ID
	switch {
	case how == "expired":
		return expired
	case how != "":
		return conflict
	case !p.let(e.By):
		return forbidden
	case e.How == run.Release && p.claimed != "":
		return accepted
	case e.How == run.Release:
		return repeated
	case p.claimed != "" && p.claimed != e.By.ID:
		return conflict
	case e.How == run.Claim && e.By.ID == "":
		return invalid
	case e.How == run.Claim && p.claimed != "":
		return repeated
	case e.How == run.Claim:
		return accepted
	case e.How != run.Delegate || len(e.To) == 0:
		return invalid
	}
	for _, who := range named(e.To, user) {
		if who == "" || who == "group:" || slices.Contains(p.not, who) {
			return invalid
		}
	}
	if f.ask.Delegated.ID == e.By.ID && f.ask.Note == e.Note && p.stage == f.people.stage && p.claimed == "" && slices.Equal(p.may, p.delegatedTo(e, user)) {
		return repeated
	}
	return accepted
}

// standing is how an ask stands now, with what has fallen due since the last
// record: closed, or open for these people.
func (f *askFate) standing(j *journal) (how string, p people) {
	p = f.people
	if f.how != "" {
		return f.how, p
	}
	s, now := j.sh.truth, j.w.now
	late := s.Ending == nil && past(s.Deadline, now)
	if past(p.due, now) && !(late && s.Deadline.Before(p.due)) {
		if len(p.chain) == 0 {
			return "expired", p
		}
		p.escalate(s.User.ID, now)
	}
	if late && f.ask.Kind != agent.AskOutcome {
		return "withdrawn", p
	}
	return "", p
}

// TestRemindersEnd: nobody is reminded for ever.
func TestRemindersEnd(t *testing.T) {
	s := newScript(t)
	s.play("start bare\n\nbegin\n\nmove \"I ask.\"\n    ask \"Which colour?\" remind=1h")
	reminded := 0
	for range 3 * mostReminders {
		from := len(s.log)
		s.step("tick 1h")
		for _, row := range s.log[from:] {
			if run.KindOf(row.rec.Event) == "reminded" {
				reminded++
			}
		}
	}
	if !s.state.Wake().IsZero() || reminded != mostReminders || len(s.state.Asks()) != 1 {
		t.Errorf("after %d reminders the run wakes at %s:\n%s", reminded, s.state.Wake(), s.describe())
	}
}

func actionID(r *run.Record, index int) agent.ActionID {
	return agent.ActionID(fmt.Sprintf("%s.%d", r.ID, index))
}
