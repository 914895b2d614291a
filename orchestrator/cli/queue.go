package cli

import (
	"slices"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A queue holds what the user has written in the middle of a turn, until the agent
// takes it up. The order of a conversation is the order in which the agent took
// things up, so that it is shown above what the agent does meanwhile only then.
type queue []queued

// queued is one message.
type queued struct {
	seq  int64
	told []para
}

// held keeps a message back that is not taken up at once, and returns what is to be
// told now. Status is that of the run before.
func (q *queue) held(ev orchestrator.Event, status agent.Status, told []para) []para {
	_, wrote := ev.Record.Event.(*run.Messaged)
	busy := status == agent.StatusPlanning || status == agent.StatusActing
	if !wrote || !busy || ev.State.Turn.Open && ev.State.Terms.OnMessage == agent.Interrupt {
		return told
	}
	*q = append(*q, queued{ev.Record.Seq, told})
	return nil
}

// takenUp returns what is to be told of the messages that the agent takes up with
// this event: its next turn begins, or it has to be asked again anyway.
func (q *queue) takenUp(ev orchestrator.Event) (told []para) {
	_, failed := ev.Record.Event.(*run.PlanFailed)
	*q = slices.DeleteFunc(*q, func(m queued) bool {
		waits := slices.ContainsFunc(ev.State.News, func(n run.News) bool { return n.Seq == m.seq })
		if waits && !failed && ev.State.Turn.Began < m.seq && !ev.State.Ended {
			return false
		}
		told = append(told, m.told...)
		return true
	})
	return told
}

// rows are the messages as they stand above the prompt meanwhile.
func (q queue) rows() (rows []string) {
	for _, m := range q {
		for _, p := range m.told {
			if p.text != "" {
				rows = append(rows, "› "+cleanLine(p.text)+"  (queued)")
			}
		}
	}
	return rows
}
