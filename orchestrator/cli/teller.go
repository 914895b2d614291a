package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A teller puts the records of one run into words for people. It has to see
// them in order, from the first on: what is told of a result depends on the
// move that asked for it.
type teller struct {
	me    string // the user whose messages need no name
	whole bool   // do not cut results short

	calls map[agent.ActionID]run.Action
	twins map[agent.ActionID]string // the arguments of calls that stand beside another of the same tool
	asks  map[agent.AskID]*agent.Ask
}

func newTeller(me string) *teller {
	return &teller{me: me, calls: map[agent.ActionID]run.Action{}, twins: map[agent.ActionID]string{}, asks: map[agent.AskID]*agent.Ask{}}
}

// tell tells a record. What the planner says stands in the first para whose
// mark is empty, see [spoken]; whoever has shown it already leaves that out.
func (t *teller) tell(ev orchestrator.Event) []para {
	if ev.Record == nil {
		return nil
	}
	paras := t.event(ev.Record)
	for _, a := range ev.State.Asks() {
		t.asks[a.ID] = a
	}
	return paras
}

func (t *teller) event(r *run.Record) []para {
	switch e := r.Event.(type) {
	case *run.Messaged:
		return []para{t.wrote(e)}
	case *run.Moved:
		return t.moved(r, e)
	case *run.Returned:
		return t.returned(e)
	case *run.CallFailed:
		return []para{t.failed(e)}
	case *run.Unresolved:
		return []para{warn(t.name(e.Action) + " could not be looked up yet: " + e.Error + again(e.Wait))}
	case *run.Answered:
		return []para{t.answered(e)}
	case *run.PlanFailed:
		if e.Transient {
			return []para{warn("the planner could not be asked: " + e.Error + again(e.Wait))}
		}
		return []para{bad("the planner could not be asked: " + e.Error)}
	}
	return t.fate(r.Event)
}

// fate tells what happened to the run as a whole.
func (t *teller) fate(e run.Event) []para {
	switch e := e.(type) {
	case *run.Lapsed:
		return t.lapsed(e)
	case *run.TookOver:
		return []para{note("taken over from another worker")}
	case *run.Limited:
		return []para{warn(fmt.Sprintf("the limit %s is reached: %s of %s", e.Limit, e.Used, e.Max))}
	case *run.Stuck:
		return []para{bad("the run is stuck: " + e.Reason)}
	case *run.Cancelled:
		return []para{bad("the run was cancelled" + by(e.By) + because(e.Reason))}
	case *run.Retried:
		return []para{note("it is tried again" + by(e.By) + because(e.Note))}
	case *run.Signaled:
		return []para{note(strings.TrimSpace("the signal " + e.Name + " came" + by(e.By) + ": " + brief(e.Data)))}
	}
	return nil
}

func (t *teller) wrote(e *run.Messaged) para {
	p := para{gap: true, mark: "› ", tint: cyan, text: clean(e.Message.Text()), paint: bold}
	if who := nameOf(e.By); who != "" && e.By.ID != t.me {
		p.mark = cleanLine(who) + " › "
	}
	for _, part := range e.Message.Parts {
		if part.Media != nil {
			p.text += " [" + cleanLine(part.Media.Type+" "+part.Media.Name) + "]"
		}
	}
	return p
}

// spoken reports whether p is what the planner said.
func spoken(p para) bool { return p.mark == "" && !p.gap }

func (t *teller) moved(r *run.Record, e *run.Moved) []para {
	var out []para
	if s := strings.TrimSpace(e.Message.Text()); s != "" {
		out = append(out, para{text: clean(s)})
	}
	for i, a := range e.Actions {
		id := agent.ActionID(fmt.Sprintf("%s.%d", r.ID, i))
		args := a.Args
		for _, c := range e.Message.Calls() {
			if c.ID == a.CallID && len(args) == 0 {
				args = c.Args
			}
		}
		t.calls[id] = a
		if twin(e.Actions, i) {
			t.twins[id] = cleanLine(brief(args))
		}
		switch {
		case a.Refuse != "":
			out = append(out, bad(a.Name+" "+brief(args)+" – "+a.Refuse))
		case a.Kind == agent.ActCall:
			out = append(out, para{mark: "  · ", tint: dim, text: cleanLine(a.Name) + "  " + brief(args), paint: dim, cut: t.most(3)})
		case a.Kind == agent.ActWait:
			out = append(out, note("waits for "+waited(a)))
		case a.Kind == agent.ActEmit:
			out = append(out, note(a.Name+" "+brief(args)))
		}
	}
	if len(e.Output) > 0 && strings.TrimSpace(e.Message.Text()) == "" {
		out = append(out, para{text: clean(string(compact(e.Output)))})
	}
	return out
}

// twin reports whether a call has another of the same tool beside it.
func twin(actions []run.Action, i int) bool {
	for j, a := range actions {
		if j != i && a.Kind == agent.ActCall && a.Name == actions[i].Name {
			return true
		}
	}
	return false
}

func waited(a run.Action) string {
	switch {
	case a.Name != "" && a.Within > 0:
		return "the signal " + a.Name + ", at most " + ago(a.Within)
	case a.Name != "":
		return "the signal " + a.Name
	}
	return ago(a.Within)
}

func (t *teller) returned(e *run.Returned) []para {
	text := t.name(e.Action) + "  " + brief(e.Content)
	if e.Lookup {
		text = t.name(e.Action) + " had taken place, its tool found out:  " + brief(e.Content)
	}
	return []para{{mark: "  ✓ ", tint: green, text: text, paint: dim, cut: t.most(3)}}
}

func (t *teller) failed(e *run.CallFailed) para {
	a := t.calls[e.Action]
	switch {
	case e.Lookup:
		return warn(t.name(e.Action) + " had not taken place, its tool found out: " + e.Error + again(e.Wait))
	case a.Effect == agent.Once && a.Kind == agent.ActCall && !e.NotDone:
		return warn("nobody knows whether " + t.name(e.Action) + " took place: " + e.Error)
	case e.Again && e.Wait > 0:
		return warn(t.name(e.Action) + ": " + e.Error + again(e.Wait))
	}
	return bad(t.name(e.Action) + ": " + e.Error)
}

func (t *teller) lapsed(e *run.Lapsed) []para {
	switch {
	case e.Ask != "":
		return []para{warn("nobody answered in time")}
	case e.Call != "":
		return []para{warn(t.name(e.Call) + " was begun, and its worker was lost: whether it took place is unknown")}
	case e.Wait != "":
		return []para{note("the time has come")}
	}
	return []para{note("the run has been idle for long enough and is done")}
}

func (t *teller) answered(e *run.Answered) para {
	what := map[string]string{
		agent.Approve: "approved", agent.Edit: "approved with other arguments", agent.Deny: "denied", agent.Instead: "the result was given",
		agent.Happened: "it took place", agent.Rerun: "it did not take place, and is made now", agent.NotHappened: "it did not take place",
		agent.GiveUp: "given up", agent.Continue: "it may go on", agent.Stop: "stopped",
	}[e.Answer.Choice]
	if a := t.asks[e.Ask]; what == "" || a != nil && (a.Kind == agent.AskQuestion || a.Kind == agent.AskChoice) {
		what = "answered"
		if e.Answer.Choice != "" {
			what += ": " + cleanLine(e.Answer.Choice)
		}
	}
	if a := t.asks[e.Ask]; a != nil && (a.Kind == agent.AskApproval || a.Kind == agent.AskOutcome) {
		what = t.name(a.Action) + ": " + what
	}
	text := what + by(e.Answer.By)
	if len(e.Answer.Value) > 0 {
		text += ":  " + brief(e.Answer.Value)
	}
	p := para{mark: "  ✓ ", tint: green, text: text + because(e.Answer.Note), paint: dim, cut: t.most(3)}
	if e.Answer.Choice == agent.Deny {
		p.mark, p.tint = "  ✗ ", red
	}
	return p
}

// most is how many lines something may have.
func (t *teller) most(n int) int {
	if t.whole {
		return 0
	}
	return n
}

func (t *teller) name(id agent.ActionID) string {
	a, ok := t.calls[id]
	switch {
	case !ok:
		return "a call"
	case a.Name == "":
		return string(a.Kind)
	}
	if args := t.twins[id]; args != "" {
		return cleanLine(a.Name) + " (" + args + ")"
	}
	return cleanLine(a.Name)
}

func note(s string) para { return para{mark: "  · ", tint: dim, text: cleanLine(s), paint: dim} }
func warn(s string) para { return para{mark: "  ! ", tint: yellow, text: cleanLine(s)} }
func bad(s string) para  { return para{mark: "  ✗ ", tint: red, text: cleanLine(s)} }

func nameOf(u agent.User) string {
	if u.Name != "" {
		return u.Name
	}
	return u.ID
}

func by(u agent.User) string {
	if n := nameOf(u); n != "" {
		return " by " + cleanLine(n)
	}
	return ""
}

func because(s string) string {
	if s == "" {
		return ""
	}
	return ": " + cleanLine(s)
}

func again(wait time.Duration) string {
	if wait <= 0 {
		return ""
	}
	return " – next try in " + ago(wait)
}

// ago shows a span of time in its largest unit or two.
func ago(d time.Duration) string {
	switch d = d.Round(time.Millisecond); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
