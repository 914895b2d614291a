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
	me      string // the user whose messages need no name
	whole   bool   // do not cut results short
	asksToo bool   // tell of asks when they open; otherwise somebody else shows them

	calls  map[agent.ActionID]run.Action
	twins  map[agent.ActionID]string // the arguments of calls that stand beside another of the same tool
	labels map[agent.ActionID]string // of delegates: a name that no other which goes on has
	asks   map[agent.AskID]*agent.Ask
	before before
}

// before is how the run stood before a record, as far as it matters to what is told.
type before struct {
	busy bool // a turn went on
	open map[agent.ActionID]bool
	asks map[agent.AskID]bool
}

func newTeller(me string) *teller {
	return &teller{
		me: me, calls: map[agent.ActionID]run.Action{}, twins: map[agent.ActionID]string{},
		labels: map[agent.ActionID]string{}, asks: map[agent.AskID]*agent.Ask{},
	}
}

// tell tells a record. What the planner says stands in the first para whose
// mark is empty, see [spoken]; whoever has shown it already leaves that out.
func (t *teller) tell(ev orchestrator.Event) []para {
	if ev.Record == nil {
		return nil
	}
	paras := append(t.event(ev.Record, ev.State), t.askNews(ev.State)...)
	t.remember(ev.State)
	return paras
}

// remember takes down how the run stands now.
func (t *teller) remember(s *run.State) {
	t.before = before{busy: s.Turn.Open && s.Status() != agent.StatusIdle, open: map[agent.ActionID]bool{}, asks: map[agent.AskID]bool{}}
	for _, o := range s.Open {
		t.before.open[o.ID] = true
	}
	for _, a := range s.Asks() {
		t.before.asks[a.ID] = true
		t.asks[a.ID] = a
	}
}

func (t *teller) event(r *run.Record, s *run.State) []para {
	switch e := r.Event.(type) {
	case *run.Messaged:
		return append([]para{t.wrote(e)}, t.interrupted(s)...)
	case *run.Moved:
		return t.moved(r, e, s)
	case *run.Returned:
		return t.returned(e)
	case *run.CallFailed:
		return []para{t.failed(e)}
	case *run.Unresolved:
		return []para{warn(t.name(e.Action) + " could not be looked up yet: " + e.Error + again(e.Wait))}
	case *run.Answered:
		return []para{t.answered(e)}
	case *run.Assigned:
		return t.assigned(e, s)
	case *run.Reminded:
		return t.reminded(e, s)
	case *run.Reported:
		return t.reported(e)
	case *run.Delivered:
		return t.delivered(e, s)
	case *run.PlanFailed:
		if e.Transient {
			return []para{warn("the planner could not be asked: " + e.Error + again(e.Wait))}
		}
		return []para{bad("the planner could not be asked: " + e.Error)}
	}
	return t.fate(r.Event, s)
}

// fate tells what happened to the run as a whole.
func (t *teller) fate(e run.Event, s *run.State) []para {
	switch e := e.(type) {
	case *run.Lapsed:
		return t.lapsed(e, s)
	case *run.TookOver:
		return []para{note("taken over from another worker")}
	case *run.Limited:
		return []para{warn(fmt.Sprintf("the limit %s is reached: %s of %s", e.Limit, e.Used, e.Max))}
	case *run.Stuck:
		return []para{bad("the run is stuck: " + e.Reason)}
	case *run.Cancelled:
		if e.Parent {
			return []para{bad("called off by who gave the task" + because(e.Reason))}
		}
		return []para{bad("the run was cancelled" + by(e.By) + because(e.Reason))}
	case *run.Retried:
		return []para{note("it is tried again" + by(e.By) + because(e.Note))}
	case *run.Redefined:
		return []para{note("it goes on by another definition" + by(e.By) + because(e.Note))}
	case *run.Signaled:
		return []para{note(strings.TrimSuffix("the signal "+e.Name+" came"+by(e.By)+": "+brief(e.Data), ": "))}
	}
	return t.mail(e)
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

func (t *teller) moved(r *run.Record, e *run.Moved, s *run.State) []para {
	if s.Plan.LastMove != r.Seq {
		return []para{note("what the agent would have done came too late, and was dropped")}
	}
	var out []para
	if s := strings.TrimSpace(e.Message.Text()); s != "" {
		out = append(out, para{text: clean(s)})
	}
	for i, a := range e.Actions {
		id := agent.ActionID(fmt.Sprintf("%s.%d", r.ID, i))
		for _, c := range e.Message.Calls() {
			if c.ID == a.CallID && len(a.Args) == 0 {
				a.Args = c.Args
			}
		}
		t.calls[id] = a
		if twin(e.Actions, i) {
			t.twins[id] = cleanLine(brief(a.Args))
		}
		if a.Kind == agent.ActDelegate {
			t.labels[id] = t.label(a.Name, s)
		}
		out = append(out, t.action(id, a, s)...)
	}
	if len(e.Output) > 0 && strings.TrimSpace(e.Message.Text()) == "" {
		out = append(out, para{text: clean(string(compact(e.Output)))})
	}
	return out
}

// action tells what a move asks for. An ask is shown by others, see asksToo.
func (t *teller) action(id agent.ActionID, a run.Action, s *run.State) []para {
	switch {
	case a.Refuse != "":
		return []para{bad(a.Name + " " + brief(a.Args) + " – " + a.Refuse)}
	case a.Kind == agent.ActCall:
		return []para{{mark: "  · ", tint: dim, text: cleanLine(a.Name) + "  " + brief(a.Args), paint: dim, cut: t.most(3)}}
	case a.Kind == agent.ActDelegate:
		return []para{{mark: "  → ", tint: cyan, text: t.labels[id] + "  " + taskOf(a.Args), paint: dim, cut: t.most(3)}}
	case a.Kind == agent.ActHandoff && s.Agent != a.Name:
		return []para{bad("the conversation could not go on with " + a.Name)}
	case a.Kind == agent.ActHandoff:
		return []para{{mark: "  → ", tint: cyan, text: cleanLine(a.Name) + " goes on with you"}}
	case listens(a.Action) || a.Kind == agent.ActCancel && listens(t.calls[a.Target].Action):
		return nil
	case a.Kind == agent.ActWait:
		return []para{note(waits(a.Action, a.Due))}
	case stepOf(a.Action) != nil:
		if at := stepOf(a.Action).At; len(at) > 0 {
			return []para{note("now at " + strings.Join(at, ", "))}
		}
		return nil
	case a.Kind == agent.ActEmit:
		return []para{note(a.Name + " " + brief(a.Args))}
	case a.Kind == agent.ActCancel:
		return []para{note("withdraws " + t.name(a.Target))}
	}
	return nil
}

// listens reports whether an action is the wait of a graph for any signal, which there is
// all the time.
func listens(a agent.Action) bool {
	return a.Kind == agent.ActWait && a.Name == agent.AnySignal && a.Ref != ""
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

// waits tells what an action waits for; due is until when, the zero time where that
// is not to be told.
func waits(a agent.Action, due time.Time) string {
	var text []string
	switch {
	case a.Name == agent.AnySignal:
		text = append(text, "waits for any signal")
	case a.Name != "":
		text = append(text, "waits for the signal "+cleanLine(a.Name))
	}
	if a.Key != "" {
		text = append(text, "with the key "+cleanLine(a.Key))
	}
	switch {
	case a.Name != "" && a.Within > 0:
		text = append(text, "at most "+ago(a.Within))
	case a.Within > 0:
		text = append(text, "waits for "+ago(a.Within))
	}
	if !due.IsZero() {
		until := "until " + due.Local().Format("2 Jan 15:04:05")
		if len(text) == 0 {
			until = "waits " + until
		}
		text = append(text, until)
	}
	return strings.Join(text, ", ")
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

func (t *teller) lapsed(e *run.Lapsed, s *run.State) []para {
	switch {
	case e.Ask != "":
		return t.unanswered(e.Ask, s)
	case e.Call != "":
		return []para{warn(t.name(e.Call) + " was begun, and its worker was lost: whether it took place is unknown")}
	case e.Wait != "" && t.calls[e.Wait].Kind == agent.ActDelegate:
		return []para{warn(t.name(e.Wait) + " was not done in time, and is called off")}
	case e.Wait != "":
		return []para{note("the time has come")}
	case e.Deadline:
		return []para{bad("the run's deadline has passed")}
	case e.Signal != "":
		return []para{note("a signal for which nothing waited is kept no longer")}
	case s.Mailbox != nil:
		return []para{note("the mailbox has been empty for long enough and is done")}
	}
	return []para{note("the run has been idle for long enough and is done")}
}

func (t *teller) answered(e *run.Answered) para {
	what := map[string]string{
		agent.Approve: "approved", agent.Edit: "approved with other arguments", agent.Deny: "denied", agent.Instead: "the result was given",
		agent.Happened: "it took place", agent.Rerun: "it did not take place, and is made now", agent.NotHappened: "it did not take place",
		agent.GiveUp: "given up", agent.Continue: "it may go on", agent.Stop: "stopped",
	}[e.Answer.Choice]
	if a := t.asks[e.Ask]; what == "" || a != nil && (!own(a)) {
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
	case t.labels[id] != "":
		return t.labels[id]
	case a.Name == "":
		return string(a.Kind)
	}
	if args := t.twins[id]; args != "" {
		return cleanLine(a.Name) + " (" + args + ")"
	}
	return cleanLine(a.Name)
}
