package cli

import (
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A standing is how a run stands, as far as a conversation has to know. It is a
// copy: the state that it is taken from goes on changing.
type standing struct {
	status  agent.Status
	reason  string
	asks    []*agent.Ask
	calls   []string  // the names of the calls that are going on
	nextTry time.Time // of the planner, after a failed attempt
}

func standingOf(s *run.State) standing {
	st := standing{status: s.Status(), reason: s.Reason()}
	for _, a := range s.Asks() {
		ask := *a
		st.asks = append(st.asks, &ask)
	}
	for _, o := range s.Open {
		if o.Phase == run.Begun || o.Phase == run.Ready || o.Phase == run.Lost {
			st.calls = append(st.calls, cleanLine(o.Action.Name))
		}
	}
	if s.Plan.Attempt > 0 {
		st.nextTry = s.Plan.NotBefore
	}
	return st
}

// line says what goes on; "" says nothing. doing is what the planner is doing,
// and aside how many questions the person has set aside.
func (st *standing) line(now time.Time, doing string, aside int) string {
	switch st.status {
	case agent.StatusPlanning:
		if st.nextTry.After(now) {
			return "waiting for the next try; /retry tries now"
		}
		return doing
	case agent.StatusActing:
		return strings.Join(st.calls, ", ") + " …"
	case agent.StatusWaiting:
		switch {
		case len(st.asks) == 0:
			return "waiting for an event or a time"
		case aside == len(st.asks):
			return plural(aside, "question") + " set aside; /asks takes it up"
		}
	case agent.StatusStuck:
		return "stuck; /retry, or write, to try again"
	}
	return ""
}
