package run_test

import (
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// definitionOf returns the definition by which an agent's planner goes in the
// simulated program; "" for one that goes by none.
func definitionOf(name string) string {
	switch name {
	case "desk", "billing", "returns":
		return "the one of " + name
	}
	return ""
}

// definitionCheck: a run goes by the definition under which its agent began in it.
var definitionCheck = &check{record: func(w *world, sh *shelf, was *glance, r *run.Record) {
	s := sh.truth
	want := was.definition
	switch e := r.Event.(type) {
	case *run.TurnBegan:
		if want == "" && s.Definition == e.Definition { // it has begun, and otherwise was void
			want = e.Definition
		}
	case *run.Redefined:
		if want != "" && !was.ending && !was.ended {
			want = e.Definition
			redefines(w, sh, e)
		}
	case *run.Moved:
		if s.Handed && !was.handed {
			want = ""
		}
	}
	if s.Definition != want {
		w.broken(sh, "the run goes by %q, and %q is right", s.Definition, want)
	}
	if s.Turn.Open && !s.Handed && (s.Definition == "") != (definitionOf(s.Agent) == "") {
		w.broken(sh, "%s goes by %q", s.Agent, s.Definition)
	}
	for _, j := range s.Due(w.now) {
		if (j.Kind == run.JobBegin || j.Kind == run.JobPlan) && j.Definition != s.Definition {
			w.broken(sh, "the run goes by %q, and its job by %q", s.Definition, j.Definition)
		}
	}
}}

// redefines checks what follows as a run is redefined: planning is void, and the
// planner is asked at once, with the saved keys as they are now.
func redefines(w *world, sh *shelf, e *run.Redefined) {
	w.count.Redefined++
	s := sh.truth
	if s.Plan.Slot != s.Seq || s.News[len(s.News)-1].Kind != "redefined" || s.Stuck != nil && !s.Stuck.Quarantine {
		w.broken(sh, "the run was redefined, and its planner is not to be asked anew")
	}
	if s.Stuck == nil && s.LimitAsk == nil && s.Status() != agent.StatusPlanning {
		w.broken(sh, "the run was redefined, and is %s", s.Status())
	}
	for k, v := range e.Keys {
		if got, there := s.Keys[k]; there != (string(v) != "null") || there && !sameJSON(got, v) {
			w.broken(sh, "the saved key %s is to be %s, and is %s", k, v, got)
		}
	}
}

// A planner that goes by a definition has no limit of steps, unless its agent says so.
func TestTermsOfADefiner(t *testing.T) {
	for _, c := range []struct {
		planner agent.Planner
		limit   int
		want    int
	}{
		{&definer{}, 0, 0},
		{&definer{}, 7, 7},
		{&definer{}, -1, 0},
		{agent.PlannerFunc(nil), 0, run.DefaultTurnSteps},
	} {
		if got := run.TermsOf(&agent.Agent{Planner: c.planner, Limits: agent.Limits{TurnSteps: c.limit}}, ann); got.TurnSteps != c.want {
			t.Errorf("%T with %d: %d, want %d", c.planner, c.limit, got.TurnSteps, c.want)
		}
	}
}

type definer struct{ agent.PlannerFunc }

func (*definer) Definition() []byte { return []byte("{}") }
