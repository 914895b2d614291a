package cli

import (
	"encoding/json"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// What a teller says of delegates, and of a turn that is interrupted.

// label names a delegate: as its agent, with a number if another one of that name
// goes on.
func (t *teller) label(name string, s *run.State) string {
	name = cleanLine(name)
	taken := map[string]bool{}
	for _, o := range s.Open {
		if o.Phase == run.Afield {
			taken[t.labels[o.ID]] = true
		}
	}
	label := name
	for n := 2; taken[label]; n++ {
		label = fmt.Sprintf("%s %d", name, n)
	}
	return label
}

// taskOf is what a delegate is told: the task's text if that is all.
func taskOf(args json.RawMessage) string {
	fields, ok := fieldsOf(args)
	if ok && len(fields) == 1 && fields[0].name == "task" {
		return cleanLine(agent.PlainText(fields[0].value))
	}
	return brief(args)
}

// reported tells what became of a delegate. How it stands meanwhile is told only
// where somebody has to see to it.
func (t *teller) reported(e *run.Reported) []para {
	name := t.name(e.Action)
	switch {
	case !t.before.open[e.Action] && e.Status == agent.StatusDone:
		return []para{note(name + " was called off, but it had done its task by then")}
	case !t.before.open[e.Action]:
		return nil
	case e.Status == agent.StatusStuck:
		return []para{warn(name + " is stuck" + because(e.Reason))}
	case e.Status == agent.StatusDone:
		return []para{{mark: "  ✓ ", tint: green, text: name + "  " + brief(e.Content), paint: dim, cut: t.most(3)}}
	case e.Status == agent.StatusCancelled:
		return []para{bad(name + " was called off" + because(e.Reason))}
	case e.Status.Ended():
		return []para{bad(name + " has failed" + because(e.Reason))}
	}
	return nil
}

func (t *teller) delivered(e *run.Delivered, s *run.State) []para {
	if e.Error == "" && len(e.Back) > 0 {
		return []para{note(fmt.Sprintf("run %s waited no more: %s back", e.To, plural(len(e.Back), "signal")))}
	}
	if e.Error == "" {
		return nil
	}
	name := "another run"
	for id, label := range t.labels {
		if t.before.open[id] && run.ChildID(s.Run, id) == e.To {
			name = label
		}
	}
	return []para{warn(name + " could not be told: " + e.Error + again(e.Wait))}
}

// interrupted tells what a message has called off.
func (t *teller) interrupted(s *run.State) []para {
	if !t.before.busy || s.Terms.OnMessage != agent.Interrupt {
		return nil
	}
	return []para{note("what went on was interrupted by this")}
}
