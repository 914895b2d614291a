package orchestrator_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

// nest returns a JSON value of n lists, one in the other.
func nest(n int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", n) + strings.Repeat("]", n))
}

// TestMovesThatCannotBeStored has planners make moves that have no stored form,
// or that nobody could answer: the run is stuck, and says why.
func TestMovesThatCannotBeStored(t *testing.T) {
	bad := json.RawMessage("{bad")
	question := func(a agent.Ask) *agent.Move {
		a.Kind, a.Prompt = agent.AskQuestion, "?"
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &a}}}
	}
	for name, move := range map[string]*agent.Move{
		"a schema that is not JSON":      question(agent.Ask{Schema: bad}),
		"a schema that is not one":       question(agent.Ask{Schema: json.RawMessage(`{"type":"nonsense"}`)}),
		"a time that has no form":        question(agent.Ask{Due: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}),
		"a default that is not JSON":     question(agent.Ask{Within: time.Hour, Default: &agent.Answer{Value: bad}}),
		"a default that does not fit":    question(agent.Ask{Within: time.Hour, Schema: json.RawMessage(`{"type":"integer"}`), Default: &agent.Answer{Value: json.RawMessage(`"x"`)}}),
		"provider fields of no form":     {Message: &agent.Message{Parts: []agent.Part{{Text: "hi", Opaque: map[string]json.RawMessage{"x": bad}}}}},
		"saved keys that go too deep":    {Keys: map[string]json.RawMessage{"x": nest(9_999)}},
		"a call whose arguments nest":    {Message: &agent.Message{Parts: []agent.Part{{Call: &agent.Call{ID: "c", Name: "act", Args: json.RawMessage(`{"a":` + string(nest(9_996)) + `}`)}}}}},
		"a result in the user's message": {Output: nest(10_000)},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.work(nil, &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(func(context.Context, *agent.View, func(agent.Delta)) (*agent.Move, error) {
					return move, nil
				})})
				if res := l.rests(l.start("go"), agent.StatusStuck); res.Reason == "" {
					l.Errorf("it does not say why: %+v", res)
				}
			})
		})
	}
}

// TestResultThatCannotBeStored has a tool give a value that goes too deep for
// the log: it was done, and its result is kept as text.
func TestResultThatCannotBeStored(t *testing.T) {
	inLab(t, func(l *lab) {
		tool := &agent.Tool{Name: "act", Call: func(context.Context, json.RawMessage) (json.RawMessage, error) { return nest(10_000), nil }}
		l.work(nil, service(l.says(act, done), tool))
		id := l.start("go")
		l.rests(id, agent.StatusIdle)
		if n := count[*run.Returned](l.log(id)); n != 1 {
			l.Errorf("%d results in the log\n%s", n, l.log(id))
		}
	})
}

// TestChoiceIsNoValue answers a question that has a schema with a choice.
func TestChoiceIsNoValue(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, inquirer(agent.Ask{Kind: agent.AskQuestion, Prompt: "How many?", Schema: json.RawMessage(`{"type":"integer"}`)}))
		ask := l.asks(l.start("go"), agent.AskQuestion)
		l.refused(l.client.Answer(l.Context(), ask.ID, agent.Answer{Choice: "a lot"}), agent.RefusedInvalid)
		l.must(l.client.Answer(l.Context(), ask.ID, agent.Answer{Value: json.RawMessage("5")}))
	})
}

// TestArgumentsThatReadersReadDifferently has a model give one field twice, in
// two spellings that Go's decoder takes for the same.
func TestArgumentsThatReadersReadDifferently(t *testing.T) {
	for _, args := range []string{`{"amount":5,"AMOUNT":5000}`, `{"amount":5,"amount":5000}`} {
		inLab(t, func(l *lab) {
			h := newHand()
			tool := h.tool("act", agent.Once) // it has no schema
			l.work(nil, service(l.says(callWith(json.RawMessage(args)), done), tool))
			l.rests(l.start("go"), agent.StatusIdle)
			if len(h.calls) != 0 {
				l.Errorf("a call was made with %s", args)
			}
		})
	}
}

// TestPlannerThatHangs gives a planner up that never answers, and asks it again.
func TestPlannerThatHangs(t *testing.T) {
	inLab(t, func(l *lab) {
		asked := 0
		l.work(nil, &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(func(ctx context.Context, _ *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
			if asked++; asked == 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return &agent.Move{Message: agent.Said("here I am")}, nil
		})})
		id := l.start("go")
		l.rests(id, agent.StatusIdle)
		if n := count[*run.PlanFailed](l.log(id)); n != 1 || asked != 2 {
			l.Errorf("%d failures after %d questions", n, asked)
		}
	})
}

// TestToolThatIsGone parks a run that has a call of a tool which the program
// does not have, until a program has it.
func TestToolThatIsGone(t *testing.T) {
	inLab(t, func(l *lab) {
		h := newHand()
		tool := h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = agent.Always })
		stop := l.shutDown(nil, service(l.says(act, done), tool))
		id := l.start("go")
		ask := l.asks(id, agent.AskApproval)
		stop()
		stop = l.shutDown(nil, service(l.says(act, done)))
		l.answer(ask, agent.Answer{Choice: agent.Approve})
		l.rests(id, agent.StatusStuck)
		stop()
		l.work(nil, service(l.says(act, done), tool))
		l.must(l.client.Retry(l.Context(), id, "deployed", nil))
		l.rests(id, agent.StatusIdle)
		if len(h.calls) != 1 {
			l.Errorf("%d calls", len(h.calls))
		}
	})
}

// TestBegunCallOutlivesAParkedRun parks a run, as a program does not have one of its
// tools, while that program makes another call: what was begun goes on to its end.
func TestBegunCallOutlivesAParkedRun(t *testing.T) {
	inLab(t, func(l *lab) {
		h := held()
		asks := func(t *agent.Tool) { t.Approve = agent.Always }
		pay, gone := h.tool("act", agent.Once, asks), newHand().tool("gone", agent.Once, asks)
		model := l.says(act.And(scripted.Call("gone", nil)), done)
		stop := l.shutDown(nil, service(model, pay, gone))
		id := l.start("go")
		open := l.rests(id, agent.StatusWaiting).Asks
		stop()
		l.work(nil, service(model, pay))
		l.answer(open[0], agent.Answer{Choice: agent.Approve})
		<-h.calls
		l.answer(open[1], agent.Answer{Choice: agent.Approve})
		l.after(time.Second)
		if s := l.entry(id).Index.Status; s != agent.StatusStuck || h.stopped.Load() != 0 {
			l.Fatalf("the run is %s, and %d calls were stopped\n%s", s, h.stopped.Load(), l.log(id))
		}
		h.returns <- result{content: "paid"}
		l.after(time.Second)
		if n := count[*run.Returned](l.log(id)); n != 1 {
			l.Errorf("%d results in the log\n%s", n, l.log(id))
		}
	})
}
