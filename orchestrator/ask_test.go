package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/tools"
)

// inquirer is an agent that asks one question and says what came of it.
func inquirer(ask agent.Ask) *agent.Agent {
	return &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
		for _, n := range v.News {
			if c := n.Closed; c != nil {
				return &agent.Move{Message: agent.Said(string(c.Outcome) + ": " + agent.PlainText(c.Content) + " " + c.By.ID), Finish: true}, nil
			}
		}
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &ask}}}, nil
	})}
}

var colour = agent.Ask{Kind: agent.AskChoice, Prompt: "Which colour?", Choices: []string{"red", "blue"}, Within: time.Hour}

func TestAnswerAgainstExpiry(t *testing.T) {
	withDefault := colour
	withDefault.Default = &agent.Answer{Choice: "blue", By: agent.User{ID: "nobody"}}
	red := agent.Answer{Choice: "red", By: agent.User{ID: "u1"}}
	for _, c := range []struct {
		name    string
		ask     agent.Ask
		after   time.Duration
		worker  bool // one is up when the time comes
		refused agent.RefusalKind
		said    string
	}{
		{"in time", colour, time.Hour - time.Microsecond, true, "", "answered: red u1"},
		{"at its time", colour, time.Hour, true, agent.RefusedExpired, "expired: nobody answered in time "},
		{"late, and no worker was up", colour, 2 * time.Hour, false, agent.RefusedExpired, "expired: nobody answered in time "},
		{"late, with a default", withDefault, time.Hour, true, agent.RefusedExpired, "answered: blue nobody"},
		{"late, with a default and no worker", withDefault, 2 * time.Hour, false, agent.RefusedExpired, "answered: blue nobody"},
		{"in time, with a default", withDefault, time.Minute, true, "", "answered: red u1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				worker := l.work(nil, inquirer(c.ask))
				id := l.start("paint it")
				ask := l.asks(id, agent.AskChoice)
				if !c.worker {
					worker.Kill()
				}
				l.after(c.after)
				err := l.client.Answer(l.Context(), ask.ID, red)
				if c.refused == "" {
					l.must(err)
				} else {
					l.refused(err, c.refused)
				}
				if !c.worker {
					l.work(nil, inquirer(c.ask))
				}
				l.after(time.Second)
				if res := l.rests(id, agent.StatusDone); res.Text != c.said {
					l.Errorf("got %q, want %q\n%s", res.Text, c.said, l.log(id))
				}
			})
		})
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	inLab(t, func(l *lab) {
		number := agent.Ask{Kind: agent.AskQuestion, Prompt: "How many?", Schema: json.RawMessage(`{"type":"integer","minimum":1}`)}
		l.work(nil, inquirer(number))
		id := l.start("buy")
		ask := l.asks(id, agent.AskQuestion)
		for what, a := range map[string]agent.Answer{
			"nothing":     {},
			"words":       {Value: json.RawMessage(`"two"`)},
			"too few":     {Value: json.RawMessage(`0`)},
			"no JSON":     {Value: json.RawMessage(`{`)},
			"10 MB":       {Value: agent.JSONText(strings.Repeat("x", 10<<20))},
			"a long note": {Value: json.RawMessage(`2`), Note: strings.Repeat("x", 10<<20)},
		} {
			if err := l.client.Answer(l.Context(), ask.ID, a); !refused(err, agent.RefusedInvalid) {
				l.Errorf("%s: got %v, want a refusal as invalid", what, err)
			}
		}
		l.refused(l.client.Answer(l.Context(), ask.ID+"1", agent.Answer{Value: json.RawMessage(`2`)}), agent.RefusedUnknown)
		l.answer(ask, agent.Answer{Value: json.RawMessage(`2`)})
		l.answer(ask, agent.Answer{Value: json.RawMessage(` 2 `)}) // the same
		l.refused(l.client.Answer(l.Context(), ask.ID, agent.Answer{Value: json.RawMessage(`3`)}), agent.RefusedConflict)
		l.refused(l.client.Answer(l.Context(), ask.ID, agent.Answer{Value: json.RawMessage(`2`), By: agent.User{ID: "u2"}}), agent.RefusedConflict)
		if res := l.rests(id, agent.StatusDone); res.Text != "answered: 2 " {
			l.Errorf("got %q", res.Text)
		}
	})
}

// Of many who answer at once, exactly one is accepted.
func TestManyAnswer(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, inquirer(colour))
		id := l.start("paint it")
		ask := l.asks(id, agent.AskChoice)
		var mu sync.Mutex
		accepted := 0
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				o, err := orchestrator.New(l.store.Another(), nil, nil)
				l.must(err)
				err = o.Answer(l.Context(), ask.ID, agent.Answer{Choice: colour.Choices[i%2], Note: string(rune('a' + i))})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					accepted++
				} else {
					l.refused(err, agent.RefusedConflict)
				}
			})
		}
		group.Wait()
		if n := count[*run.Answered](l.log(id)); accepted != 1 || n != 1 {
			l.Errorf("%d answers were accepted, and %d are in the log", accepted, n)
		}
	})
}

type payment struct {
	Order  int     `json:"order"`
	Amount float64 `json:"amount" jsonschema:"maximum=500"`
}

// An approval approves the arguments that were shown, and no others.
func TestApprovalIsOfTheArguments(t *testing.T) {
	inLab(t, func(l *lab) {
		var paid []payment
		pay := tools.Func("act", "Pay.", func(_ context.Context, p payment) (string, error) {
			paid = append(paid, p)
			return "paid", nil
		}, &tools.Options{Approve: tools.ApproveIf(func(_ context.Context, p payment) *agent.Ask {
			if p.Amount > 100 {
				return &agent.Ask{Prompt: "it is much"}
			}
			return nil
		})})
		l.work(nil, service(l.says(callWith(payment{7, 99}), callWith(payment{7, 400}), done), pay))
		id := l.start("pay")
		ask := l.asks(id, agent.AskApproval)
		if len(paid) != 1 || !strings.Contains(ask.Prompt, "it is much") || ask.Digest != run.Digest(json.RawMessage(`{"amount":400,"order":7}`)) {
			l.Fatalf("after %v the ask is %+v", paid, ask)
		}
		ctx := l.Context()
		l.refused(l.client.Answer(ctx, ask.ID, agent.Answer{Choice: agent.Approve, Digest: run.Digest(json.RawMessage(`{"amount":4,"order":7}`))}), agent.RefusedConflict)
		l.refused(l.client.Answer(ctx, ask.ID, agent.Answer{Choice: agent.Edit}), agent.RefusedInvalid)
		l.refused(l.client.Answer(ctx, ask.ID, agent.Answer{Choice: agent.Edit, Value: json.RawMessage(`{"order":7,"amount":501}`)}), agent.RefusedInvalid)
		l.refused(l.client.Answer(ctx, ask.ID, agent.Answer{Choice: agent.Edit, Value: json.RawMessage(`[]`)}), agent.RefusedInvalid)
		l.refused(l.client.Answer(ctx, ask.ID, agent.Answer{Choice: agent.Instead, Value: json.RawMessage(`7`)}), agent.RefusedInvalid)
		edited := json.RawMessage(`{"order":7,"amount":250}`)
		l.must(l.client.Answer(ctx, ask.ID, agent.Answer{Choice: agent.Edit, Value: edited, Digest: ask.Digest, By: agent.User{ID: "boss"}}))
		l.rests(id, agent.StatusIdle)
		if !slices.Equal(paid, []payment{{7, 99}, {7, 250}}) {
			l.Errorf("paid %v", paid)
		}
		answered := orchestratortest.Find[*run.Answered](l.log(id))[0]
		if answered.Digest != run.Digest(edited) || answered.Answer.By.ID != "boss" {
			l.Errorf("the log says %+v", answered)
		}
	})
}

// A model is told which arguments a person has put in the place of its own, and of
// nothing where they are the same in another spelling.
func TestTheModelIsToldOfAnEdit(t *testing.T) {
	other, inVain := `{"order":7,"amount":250}`, `{"order":7,"amount":13}`
	for name, c := range map[string]struct {
		edit, edited, note string
	}{
		"changed":  {other, other, `has ended. A person had changed its arguments to {"order":7,"amount":250}. Outcome: returned. paid`},
		"the same": {`{ "amount": 400, "order": 7 }`, "", `has ended. Outcome: returned. paid`},
		"in vain":  {inVain, inVain, `has ended. A person had changed its arguments to {"order":7,"amount":13}. Outcome: failed. no`},
	} {
		pay := tools.Func("act", "Pay.", func(_ context.Context, p payment) (string, error) {
			if p.Amount == 13 {
				return "", agent.NotDone(errors.New("no"))
			}
			return "paid", nil
		}, &tools.Options{Approve: agent.Always})
		told := func(req *agent.ModelRequest) error {
			if r := req.Messages[len(req.Messages)-1].Parts[0].Result; r == nil || string(r.Edited) != c.edited {
				return fmt.Errorf("the model is told %+v, and the arguments are %q", r, c.edited)
			}
			return nil
		}
		play := func(talks bool, steps ...orchestratortest.Step) func(*testing.T) {
			return func(t *testing.T) {
				inLab(t, func(l *lab) {
					l.work(nil, service(l.plays(append([]orchestratortest.Step{{Reply: callWith(payment{7, 400})}}, steps...)...), pay))
					id := l.start("pay")
					ask := l.asks(id, agent.AskApproval)
					if talks {
						l.send(id, "how long?")
						l.rests(id, agent.StatusWaiting)
					}
					l.answer(ask, agent.Answer{Choice: agent.Edit, Value: json.RawMessage(c.edit)})
					l.rests(id, agent.StatusIdle)
				})
			}
		}
		t.Run(name, play(false, orchestratortest.Step{Reply: done, Check: told}))
		t.Run(name+", when it was shown as pending", play(true,
			orchestratortest.Step{Results: []string{"act pending"}, Reply: done}, orchestratortest.Step{Results: []string{c.note}, Reply: done}))
	}
}

// The inbox shows the asks of all runs, the oldest first, on pages, to a
// process without agents.
func TestInbox(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, inquirer(colour))
		var want []agent.RunID
		for range 5 {
			id := l.start("paint it")
			l.asks(id, agent.AskChoice)
			want = append(want, id)
			l.after(time.Second)
		}
		var got []agent.RunID
		q := memory.AskQuery{Kind: agent.AskChoice, Limit: 2}
		for pages := 1; ; pages++ {
			asks, next, err := l.client.Asks(l.Context(), q)
			l.must(err)
			for _, a := range asks {
				got = append(got, a.ID.Run())
			}
			if q.After = next; next == "" || pages > 5 {
				break
			}
		}
		if !slices.Equal(got, want) {
			l.Errorf("got %q, want %q", got, want)
		}
	})
}

// sluggish is a store whose commits take a second.
type sluggish struct{ *memorytest.Store }

func (s sluggish) Commit(ctx context.Context, c *memory.Commit) error {
	time.Sleep(time.Second)
	return s.Store.Commit(ctx, c)
}

// A time that comes while the worker waits for a commit is not missed.
func TestExpiryDuringACommit(t *testing.T) {
	inLab(t, func(l *lab) {
		var seen []time.Duration
		began := time.Now()
		desk := &agent.Agent{Name: "desk", Tools: []*agent.Tool{held().tool("act", agent.ReadOnly, func(t *agent.Tool) { t.Timeout = time.Hour })},
			Planner: agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
				seen = append(seen, time.Since(began))
				if len(seen) > 1 {
					return &agent.Move{Again: agent.AtEachClosing}, nil
				}
				ask := colour
				ask.Within = time.Second / 2
				return &agent.Move{Again: agent.AtEachClosing, Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &ask}, {Kind: agent.ActCall, Name: "act"}}}, nil
			})}
		orchestratortest.Work(l.T, sluggish{l.store.Another()}, nil, desk)
		l.start("ask")
		l.after(10 * time.Minute)
		if len(seen) != 2 || seen[1] > 10*time.Second {
			l.Errorf("the planner was asked after %s", seen)
		}
	})
}
