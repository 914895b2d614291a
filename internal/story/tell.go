package story

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/graph"
)

// teller tells what happens in a run, a line for each thing.
type teller struct {
	out  io.Writer
	open map[agent.AskID]*agent.Ask
	acts map[string]string      // what each action is, by run and id
	at   map[agent.RunID]string // where the graph of each run is
	was  map[agent.RunID]agent.Status

	indent string // a delegate's lines are within those of who has given it a task
}

func (t *teller) line(what, format string, args ...any) {
	fmt.Fprintf(t.out, "%s%-9s %s\n", t.indent, what, fmt.Sprintf(format, args...))
}

func (t *teller) tell(ev orchestrator.Event) {
	t.indent = strings.Repeat("  ", max(len(ev.State.Path())-1, 0))
	before := t.open
	fresh := t.asks(ev)
	switch e := ev.Record.Event.(type) {
	case *run.Messaged:
		t.line("message", "%s", e.Message.Text())
	case *run.Signaled:
		t.line("event", "%s %s", e.Name, e.Data)
	case *run.Moved:
		t.moved(ev, e)
	case *run.Returned:
		t.line("returned", "%s → %s", t.acts[actKey(ev, e.Action)], e.Content)
	case *run.CallFailed:
		t.line("failed", "%s: %s", t.acts[actKey(ev, e.Action)], strings.TrimPrefix(e.Code+": ", ": ")+e.Error)
	case *run.Answered:
		if a := before[e.Ask]; a != nil {
			t.line("answer", "%s", strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", e.Answer.By.ID, e.Answer.Choice, e.Answer.Value, e.Answer.Note)))
		}
	case *run.Assigned:
		t.line("delegated", "by %s to %s %s", e.By.ID, strings.Join(e.To, ", "), e.Note)
	case *run.Reminded:
		if a := before[e.Ask]; a != nil {
			t.line("reminded", "%s: %s", strings.Join(a.For, ", "), a.Prompt)
		}
	case *run.Lapsed:
		t.lapsed(ev, e, before)
	}
	for _, a := range fresh {
		t.line("asks", "%s", describe(a))
	}
	if ev.Status != t.was[ev.Run] && (ev.Status == agent.StatusStuck || ev.Status.Ended()) {
		t.ended(ev)
	}
	t.was[ev.Run] = ev.Status
}

func actKey(ev orchestrator.Event, id agent.ActionID) string {
	return string(ev.Run) + " " + string(id)
}

// moved tells where the graph is, what is said, and who is asked.
func (t *teller) moved(ev orchestrator.Event, m *run.Moved) {
	for i, a := range m.Actions {
		t.acts[actKey(ev, agent.ActionID(fmt.Sprintf("%s.%d", ev.Record.ID, i)))] = fmt.Sprintf("%s %s", a.Name, a.Args)
		var trail struct{ At []string }
		if a.Kind == agent.ActEmit && a.Name == graph.Trail && json.Unmarshal(a.Args, &trail) == nil {
			if at := strings.Join(trail.At, ", "); at != "" && at != t.at[ev.Run] {
				t.at[ev.Run] = at
				t.line("at", "%s", at)
			}
		}
	}
	if m.Message != nil && m.Message.Role == agent.RoleAssistant && m.Message.Text() != "" {
		t.line("says", "%s", m.Message.Text())
	}
}

// asks notes which asks are open, and returns those that were not before.
func (t *teller) asks(ev orchestrator.Event) (fresh []*agent.Ask) {
	before := t.open
	t.open = map[agent.AskID]*agent.Ask{}
	for id, a := range before {
		if id.Run() != ev.Run {
			t.open[id] = a
		}
	}
	for _, a := range ev.State.Asks() {
		t.open[a.ID] = a
		if before[a.ID] == nil {
			fresh = append(fresh, a)
		}
	}
	return fresh
}

func describe(a *agent.Ask) string {
	whom := "anybody"
	if len(a.For) > 0 {
		whom = strings.Join(a.For, ", ")
	}
	if len(a.Not) > 0 {
		whom += " but not " + strings.Join(a.Not, ", ")
	}
	what := a.Prompt
	if a.Tool != "" {
		what = fmt.Sprintf("%s %s: %s", a.Tool, a.Args, a.Prompt)
	}
	if len(a.Choices) > 0 {
		what += " [" + strings.Join(a.Choices, " ") + "]"
	}
	return whom + ": " + what
}

func (t *teller) lapsed(ev orchestrator.Event, e *run.Lapsed, before map[agent.AskID]*agent.Ask) {
	a := before[e.Ask]
	if a == nil {
		return
	}
	if now := t.open[e.Ask]; now != nil {
		t.line("escalated", "from %s to %s: %s", strings.Join(a.For, ", "), strings.Join(now.For, ", "), a.Prompt)
		return
	}
	t.line("expired", "%s: %s", strings.Join(a.For, ", "), a.Prompt)
}

func (t *teller) ended(ev orchestrator.Event) {
	res := orchestrator.ResultOf(ev.State)
	switch {
	case ev.Status == agent.StatusDone:
		t.line("done", "%s", res.JSON)
	default:
		t.line(string(ev.Status), "%s", res.Reason)
	}
}
