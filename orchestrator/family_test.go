package orchestrator_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// A family is the desk, which gives two tasks to billing and then hands the
// conversation over to returns. Billing calls a tool and may ask.
type family struct {
	mu   sync.Mutex
	paid map[string]int // by the call's key
}

// payments returns how many calls paid, and how many payments there were.
func (f *family) payments() (calls, all int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.paid {
		all += n
	}
	return len(f.paid), all
}

func (f *family) pay(ctx context.Context, _ raw) (raw, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.paid == nil {
		f.paid = map[string]int{}
	}
	f.paid[agent.CallFrom(ctx).Key]++
	return raw(`"paid"`), nil
}

func (f *family) lookUp(ctx context.Context, _ raw) (raw, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.paid[agent.CallFrom(ctx).Key] > 0 {
		return raw(`"paid"`), nil
	}
	return nil, agent.NotDone(errors.New("nothing was paid"))
}

func (f *family) agents(t *testing.T, asks bool) []*agent.Agent {
	pay := &agent.Tool{Name: "pay", Call: f.pay, Reconcile: f.lookUp, Timeout: 5 * time.Second}
	if asks {
		pay.Approve = agent.Always
	}
	loop := func(replies ...scripted.Reply) agent.Planner {
		return planner.Loop(orchestratortest.Model(t, orchestratortest.Steps(replies...)...), "", nil)
	}
	billing := &agent.Agent{Name: "billing", Tools: []*agent.Tool{pay}, Planner: loop(scripted.Call("pay", nil), scripted.Say("It is paid."))}
	returns := &agent.Agent{Name: "returns", Sees: agent.SeesWords, Planner: loop(scripted.Say(""), scripted.Say("Send it back."))}
	desk := &agent.Agent{Name: "desk", Delegates: []*agent.Agent{billing}, Handoffs: []*agent.Agent{returns}, Planner: loop(
		scripted.Say("I see to it.").And(scripted.Call("delegate_to_billing", `{"task":"one"}`)).And(scripted.Call("delegate_to_billing", `{"task":"two"}`)),
		scripted.Call("hand_off_to_returns", nil))}
	return []*agent.Agent{desk}
}

// A tree of runs comes to the same end wherever its worker is killed: no task is
// done twice, none is lost, and nobody waits for what never comes.
func TestTreesSurviveCrashes(t *testing.T) {
	for name, asks := range map[string]bool{"to the end": false, "with people": true} {
		t.Run(name, func(t *testing.T) {
			orchestratortest.CrashEverywhere(t, func(t *testing.T, w *orchestratortest.World) {
				var f family
				w.Work(f.agents(t, asks)...)
				ctx := t.Context()
				id, err := w.Client.Start(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("my money"), User: agent.User{ID: "u1"}})
				if err != nil {
					t.Fatal(err)
				}
				var res *orchestrator.Result
				for range 5 {
					if res, err = w.Client.Await(ctx, id); err != nil {
						t.Fatal(err)
					}
					for _, a := range res.Asks {
						if len(a.Path) != 2 || a.Path[0].Run != id {
							t.Errorf("the ask %s has the path %v", a.ID, a.Path)
						}
						if err := w.Client.Answer(ctx, a.ID, agent.Answer{Choice: agent.Approve}); err != nil {
							t.Fatal(err)
						}
					}
				}
				calls, all := f.payments()
				if res.Status != agent.StatusIdle || res.Text != "Send it back." || calls != 2 || all != 2 {
					t.Errorf("it is %s with %q, and %d calls paid %d times\n%s", res.Status, res.Text, calls, all, orchestratortest.ReadLog(t, w.Store, id))
				}
				time.Sleep(time.Hour) // of virtual time: what is left to tell is told
				page, err := w.Client.Runs(ctx, memory.RunQuery{})
				if err != nil || len(page.Runs) != 3 {
					t.Errorf("there are %d runs (%v)", len(page.Runs), err)
				}
				for _, e := range page.Runs {
					if e.Run != id && (e.Index.Status != agent.StatusDone || !e.Index.Wake.IsZero() || e.Index.Parent != id) {
						t.Errorf("run %s stands as %+v", e.Run, e.Index)
					}
				}
				for p, err := range w.Client.Check(ctx, false) {
					t.Errorf("run %s: %s (%v)", p.Run, p.What, err)
				}
			})
		})
	}
}

// A tree that is called off ends as a whole, wherever its worker is killed.
func TestCancelledTreesSurviveCrashes(t *testing.T) {
	orchestratortest.CrashEverywhere(t, func(t *testing.T, w *orchestratortest.World) {
		var f family
		w.Work(f.agents(t, true)...)
		ctx := t.Context()
		id, err := w.Client.Start(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("my money")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Client.Await(ctx, id); err != nil {
			t.Fatal(err)
		}
		if err := w.Client.Cancel(ctx, id, "enough", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		page, err := w.Client.Runs(ctx, memory.RunQuery{})
		if err != nil || len(page.Runs) != 3 {
			t.Errorf("there are %d runs (%v)", len(page.Runs), err)
		}
		for _, e := range page.Runs {
			if e.Index.Status != agent.StatusCancelled || !e.Index.Wake.IsZero() {
				t.Errorf("run %s stands as %+v", e.Run, e.Index)
			}
		}
		_, paid := f.payments()
		if asks, _, err := w.Client.Asks(ctx, memory.AskQuery{}); err != nil || len(asks) > 0 || paid > 0 {
			t.Errorf("%d asks are open (%v), and %d were paid", len(asks), err, paid)
		}
	})
}
