package orchestrator_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
	"github.com/fermata-run/fermata/tools"
)

type order struct {
	ID int `json:"id"`
}

// shop is a service that records what it was asked.
type shop struct {
	refunds chan agent.CallInfo
	answer  func(ctx context.Context) (string, error)
}

func newShop() *shop { return &shop{refunds: make(chan agent.CallInfo, 100)} }

func (s *shop) lookup(ctx context.Context, o order) (string, error) { return "a red bicycle", nil }

func (s *shop) refund(ctx context.Context, o order) (string, error) {
	s.refunds <- agent.CallFrom(ctx)
	if s.answer != nil {
		return s.answer(ctx)
	}
	return "paid back", nil
}

func desk(s *shop, m agent.Model, change func(*agent.Agent)) []*agent.Agent {
	a := &agent.Agent{
		Name: "desk", Planner: planner.Loop(m, "You help {{.User.Name}}.", nil),
		Tools: []*agent.Tool{
			tools.Func("lookup", "Find an order.", s.lookup, &tools.Options{Effect: agent.ReadOnly}),
			tools.Func("refund", "Pay an order back.", s.refund, &tools.Options{Approve: agent.Always, Timeout: 5 * time.Second}),
		},
	}
	if change != nil {
		change(a)
	}
	return []*agent.Agent{a}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var script = []scripted.Reply{
	scripted.Call("lookup", order{7}).And(scripted.Call("refund", order{7})),
	scripted.Say("It is paid back."),
	scripted.Say("You are welcome."),
}

func TestApproval(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  agent.Answer
		refunds int
		outcome string
	}{
		{"approve", agent.Answer{Choice: agent.Approve}, 1, `paid back`},
		{"edit", agent.Answer{Choice: agent.Edit, Value: []byte(`{"id":8}`)}, 1, `paid back`},
		{"deny", agent.Answer{Choice: agent.Deny, Note: "not ours"}, 0, `not ours`},
		{"instead", agent.Answer{Choice: agent.Instead, Value: []byte(`"a voucher"`)}, 0, `a voucher`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop()
				store := memorytest.NewStore(nil)
				defer store.Close()
				o := must[*orchestrator.Orchestrator](t)(orchestrator.New(store, desk(s, scripted.New(script...), nil), nil))
				res := must[*orchestrator.Result](t)(o.Run(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("My bike is broken."), User: agent.User{ID: "u1", Name: "Ann"}}))
				if res.Status != agent.StatusWaiting || len(res.Asks) != 1 || len(s.refunds) != 0 {
					t.Fatalf("want a run that waits for one approval and no refund yet, got %+v and %d refunds", res, len(s.refunds))
				}
				if err := o.Answer(t.Context(), res.Asks[0].ID, agent.Answer{Choice: "perhaps"}); !refused(err, agent.RefusedInvalid) {
					t.Errorf("an answer that is no choice: got %v, want a refusal as invalid", err)
				}
				if err := o.Answer(t.Context(), res.Asks[0].ID, c.answer); err != nil {
					t.Fatal(err)
				}
				if err := o.Answer(t.Context(), res.Asks[0].ID, c.answer); err != nil {
					t.Errorf("the same answer again: got %v, want nil", err)
				}
				if err := o.Answer(t.Context(), res.Asks[0].ID, agent.Answer{Choice: agent.Deny, Note: "too late"}); !refused(err, agent.RefusedConflict) {
					t.Errorf("another answer: got %v, want a refusal as conflict", err)
				}
				res = must[*orchestrator.Result](t)(o.Await(t.Context(), res.Run))
				if res.Status != agent.StatusIdle || res.Text != "It is paid back." || len(s.refunds) != c.refunds {
					t.Fatalf("want an idle run with %d refunds, got %+v and %d", c.refunds, res, len(s.refunds))
				}
				state := must[any2](t)(stateText(o, res.Run))
				if !strings.Contains(string(state), c.outcome) {
					t.Errorf("the planner was not shown %q:\n%s", c.outcome, state)
				}
			})
		})
	}
}

type any2 string

func stateText(o *orchestrator.Orchestrator, id agent.RunID) (any2, error) {
	s, err := o.State(context.Background(), id)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range s.Messages() {
		b.WriteString(string(m.Role) + ": " + m.Text())
		for _, p := range m.Parts {
			if p.Result != nil {
				b.WriteString(" " + string(p.Result.Outcome) + " " + string(p.Result.Content))
			}
		}
		b.WriteString("\n")
	}
	return any2(b.String()), nil
}

func refused(err error, kind agent.RefusalKind) bool {
	var r *agent.Refusal
	return errors.As(err, &r) && r.Kind == kind
}
