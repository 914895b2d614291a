package orchestrator_test

import (
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
)

// answered returns what a person said of an action that has just ended; nil if none has.
func answered(v *agent.View) *agent.Answer {
	for _, n := range v.News {
		if n.Closed != nil && n.Closed.Answer != nil {
			return n.Closed.Answer
		}
	}
	return nil
}

// bank is an agent whose work fails, and that does not know what to do about it.
func bank() *agent.Agent {
	return &agent.Agent{Name: "bank", Operators: []string{"group:ops"}, Planner: plan(func(v *agent.View) *agent.Move {
		if a := answered(v); a != nil {
			return &agent.Move{Message: agent.Said(a.Choice + " says " + a.By.ID + " " + a.Note)}
		}
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &agent.Ask{
			Kind: agent.AskRepair, Prompt: "The transfer failed:\n503.", Choices: []string{agent.RetryIt, agent.Skip},
		}}}}
	})}
}

// What is to be done about a failure is asked of the operators. Until one of them
// answers, or retries, the run is stuck, and so says the run that gave the task.
func TestRepair(t *testing.T) {
	inLab(t, func(l *lab) {
		boss := &agent.Agent{Name: "desk", Delegates: []*agent.Agent{bank()}, Planner: plan(func(v *agent.View) *agent.Move {
			for _, n := range v.News {
				if n.Closed != nil {
					return &agent.Move{Message: agent.Said("The bank: " + agent.PlainText(n.Closed.Content))}
				}
			}
			return &agent.Move{Actions: []agent.Action{{Kind: agent.ActDelegate, Name: "bank", Args: raw(`{"task":"pay"}`)}}}
		})}
		l.work(nil, boss)
		id := l.start("hello")
		if res := l.rests(id, agent.StatusWaiting); res.Reason != "it waits for bank, which is stuck: The transfer failed: 503." || len(res.Asks) != 1 {
			l.Errorf("the run is %+v", res)
		}
		page, err := l.client.Runs(l.Context(), memory.RunQuery{Statuses: []agent.Status{agent.StatusStuck}})
		l.must(err)
		if len(page.Runs) != 1 || page.Runs[0].Index.Agent != "bank" || page.Runs[0].Index.Reason != "The transfer failed: 503." {
			l.Fatalf("stuck are %+v", page.Runs)
		}
		child := page.Runs[0].Run
		ops := agent.User{ID: "kim", Groups: []string{"ops"}}
		l.refused(l.client.Retry(l.Context(), child, "", &orchestrator.Input{By: agent.User{ID: "u1"}}), agent.RefusedForbidden)
		l.must(l.client.Retry(l.Context(), child, "it is up", &orchestrator.Input{By: ops}))
		if res := l.rests(id, agent.StatusIdle); !strings.Contains(res.Text, "retry says kim it is up") {
			l.Errorf("the answer is %q", res.Text)
		}
	})
}

// To write to a run that is stuck like this has its planner asked, and answers nothing.
func TestWritingIsNotRepairing(t *testing.T) {
	inLab(t, func(l *lab) {
		desk := bank()
		desk.Name = "desk"
		asked := 0
		within := desk.Planner
		desk.Planner = agent.PlannerFunc(func(c ctx, v *agent.View, emit func(agent.Delta)) (*agent.Move, error) {
			if asked++; asked == 2 {
				return &agent.Move{Message: agent.Said("It still does not work.")}, nil
			}
			return within.Plan(c, v, emit)
		})
		l.work(nil, desk)
		id := l.start("hello")
		ask := l.rests(id, agent.StatusStuck).Asks[0]
		l.send(id, "retry")
		if res := l.rests(id, agent.StatusStuck); len(res.Asks) != 1 || res.Asks[0].ID != ask.ID || res.Text != "It still does not work." {
			l.Errorf("after a message the run is %+v", res)
		}
		l.answer(ask, agent.Answer{By: agent.User{ID: "kim", Groups: []string{"ops"}}, Choice: agent.Skip})
		if res := l.rests(id, agent.StatusIdle); res.Text != "skip says kim " {
			l.Errorf("the answer is %q", res.Text)
		}
	})
}
