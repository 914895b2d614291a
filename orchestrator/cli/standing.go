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
	read     int64 // Seq of the last record
	status   agent.Status
	reason   string
	repair   bool // it is stuck until somebody says what is to be done
	defined  bool // it goes by a definition, such as a graph
	asks     []*agent.Ask
	calls    []string      // the names of the calls that are going on
	children []agent.RunID // the delegates that work for it
	nextTry  time.Time     // of the planner, after a failed attempt
}

func standingOf(s *run.State) standing {
	st := standing{read: s.Seq, status: s.Status(), reason: s.Reason()}
	st.defined = s.Definition != ""
	st.repair = st.status == agent.StatusStuck && s.Stuck == nil
	for _, a := range s.Asks() {
		ask := *a
		st.asks = append(st.asks, &ask)
	}
	for _, o := range s.Open {
		switch o.Phase {
		case run.Begun, run.Ready, run.Lost:
			st.calls = append(st.calls, cleanLine(o.Action.Name))
		case run.Afield:
			st.children = append(st.children, o.Child)
		}
	}
	if s.Plan.Attempt > 0 {
		st.nextTry = s.Plan.NotBefore
	}
	return st
}

// statusLine says what goes on; "" says nothing.
func (t *talk) statusLine() string {
	now, calls := t.fam.rootNow(), t.fam.calls()
	switch {
	case now.status == agent.StatusStuck && !now.repair:
		return "stuck; /retry, or write, to try again"
	case now.status == agent.StatusPlanning && now.nextTry.After(t.store.Now()):
		return "waiting for the next try; /retry tries now"
	case now.status == agent.StatusPlanning:
		return t.speech.doing()
	case len(calls) > 0:
		return strings.Join(calls, ", ") + " …"
	case now.status == agent.StatusActing:
		return "working …"
	case now.status != agent.StatusWaiting && !now.repair || t.asking != nil:
		return ""
	}
	return t.waitLine()
}

// waitLine says what the run waits for, if that is not the answer in the prompt.
func (t *talk) waitLine() string {
	var aside int
	var others []string
	for _, a := range t.fam.asks() {
		switch why := mayNow(a, t.who()); {
		case why == "":
			aside++
		case a.Claimed.ID != "":
			others = append(others, cleanLine(nameOf(a.Claimed)))
		default:
			others = append(others, askedFor(a))
		}
	}
	switch stuck := t.stuckOnes(); {
	case aside > 0:
		return plural(aside, "question") + " set aside; /asks takes it up"
	case len(others) > 0:
		return "waiting for " + joined(distinct(others), "and") + " to answer; you may write on"
	case len(stuck) > 0:
		return stuck[0].label + " is stuck; /retry tries again"
	}
	return "waiting for an event or a time"
}

// stuckOnes are the delegates that cannot go on by themselves.
func (t *talk) stuckOnes() (stuck []*member) {
	for _, m := range t.fam.tree() {
		if m.now.status == agent.StatusStuck && m.label != "" {
			stuck = append(stuck, m)
		}
	}
	return stuck
}

func distinct(list []string) (out []string) {
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
