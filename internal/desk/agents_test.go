package desk

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
)

// office is the desk at work, in a bubble of virtual time.
type office struct {
	*testing.T
	client *orchestrator.Orchestrator
	store  *memorytest.Store
	bank   *Bank
}

func inOffice(t *testing.T, f func(o *office)) {
	t.Helper()
	t.Setenv(PauseVar, "0s")
	path := filepath.Join(t.TempDir(), "t.db")
	synctest.Test(t, func(t *testing.T) {
		store := memorytest.NewStore(nil)
		client, err := orchestrator.New(store, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		orchestratortest.Work(t, store.Another(), nil, Agents(Model(0), path)...)
		f(&office{T: t, client: client, store: store, bank: NewBank(Ledger(path))})
	})
}

func (o *office) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

// says has ann say something to the desk, and returns how the run stands then.
func (o *office) says(text string) *orchestrator.Result {
	o.Helper()
	res, err := o.client.Run(o.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text(text), User: agent.User{ID: "ann"}})
	o.must(err)
	return res
}

// goesOn waits until the run rests again.
func (o *office) goesOn(id agent.RunID, want string) {
	o.Helper()
	res, err := o.client.Await(o.Context(), id)
	o.must(err)
	if res.Status != agent.StatusIdle || !strings.Contains(res.Text, want) {
		o.Errorf("it is %s (%s) and says %q, want %q\n%s", res.Status, res.Reason, res.Text, want, orchestratortest.ReadLog(o.T, o.store, id))
	}
}

func (o *office) asked(res *orchestrator.Result) *agent.Ask {
	o.Helper()
	if len(res.Asks) != 1 {
		o.Fatalf("want one ask: %+v\n%s", res, orchestratortest.ReadLog(o.T, o.store, res.Run))
	}
	return res.Asks[0]
}

func TestBilling(t *testing.T) {
	inOffice(t, func(o *office) {
		res := o.says("Please explain the bills of 1042 and 1043.")
		o.goesOn(res.Run, "Invoice FI-1042 is over 249.00 EUR")
		page, err := o.client.Runs(o.Context(), memory.RunQuery{Agent: "billing"})
		o.must(err)
		if len(page.Runs) != 2 || page.Runs[0].Index.Parent != res.Run || page.Runs[0].Index.Status != agent.StatusDone {
			o.Errorf("the tasks are %+v", page.Runs)
		}
	})
}

func TestReturns(t *testing.T) {
	inOffice(t, func(o *office) {
		ask := o.asked(o.says("I want to return 1045."))
		if ask.Kind != agent.AskForm || ask.Agent != "returns" {
			o.Fatalf("it asks %+v", ask)
		}
		id, ann := ask.ID.Run(), agent.User{ID: "ann"}
		o.must(o.client.Answer(o.Context(), ask.ID, agent.Answer{By: ann, Value: json.RawMessage(`{"reason":"does not work","opened":true,"pickup":"2026-03-14"}`)}))
		o.goesOn(id, "Your label for order 1045 is FL-1045-")
		o.must(o.client.Send(o.Context(), id, agent.Text("And where is 1043?"), &orchestrator.Input{By: ann}))
		o.goesOn(id, "out for delivery")
		if s, err := o.client.State(o.Context(), id); err != nil || s.Agent != "desk" || s.Turn.N != 2 || len(s.Open) > 0 {
			o.Errorf("the run is %+v, %v", s, err)
		}
		o.must(o.client.Send(o.Context(), id, agent.Text("I want to return 1046."), &orchestrator.Input{By: ann}))
		o.goesOn(id, "Order 1046 cannot be sent back before it was delivered")
	})
}

// Above the first limit anybody approves, and above the second a supervisor.
func TestWhoApproves(t *testing.T) {
	ann, carl := agent.User{ID: "ann"}, agent.User{ID: "carl"}
	bob := agent.User{ID: "bob", Groups: []string{Supervisors}}
	chief := agent.User{ID: "ann", Groups: []string{Supervisors}} // and yet the customer
	eve := agent.User{ID: "eve", Groups: []string{Managers}}
	for _, c := range []struct {
		want    string // what is said
		amount  string
		refused []agent.User
		later   time.Duration
		by      agent.User // who approves then; nobody if zero
	}{
		{"Done: 400.00 EUR", "400", nil, 0, ann},
		{"Done: 400.01 EUR", "400.01", []agent.User{{}, ann, carl, chief, eve}, 0, bob},
		{"Done: 480.00 EUR", "480", []agent.User{ann, carl, bob, chief}, supervisorsWithin + time.Minute, eve},
		{"was not approved (neither a supervisor nor a manager", "480", nil, supervisorsWithin + managersWithin + time.Minute, agent.User{}},
	} {
		t.Run(c.want, func(t *testing.T) {
			inOffice(t, func(o *office) {
				ask := o.asked(o.says("Pay back " + c.amount + " EUR of order 1046."))
				time.Sleep(c.later)
				yes := func(by agent.User) error {
					return o.client.Answer(o.Context(), ask.ID, agent.Answer{By: by, Choice: agent.Approve})
				}
				for _, by := range c.refused {
					var r *agent.Refusal
					if err := yes(by); !errors.As(err, &r) || r.Kind != agent.RefusedForbidden {
						o.Errorf("%+v may approve: %v", by, err)
					}
				}
				paid := 0
				if !c.by.IsZero() {
					o.must(yes(c.by))
					paid = 1
				}
				o.goesOn(ask.ID.Run(), c.want)
				if entries, err := o.bank.Entries(0); err != nil || len(entries) != paid {
					o.Errorf("the bank has paid %+v, %v", entries, err)
				}
			})
		})
	}
}

// The invoices are those of the orders.
func TestInvoices(t *testing.T) {
	shop := NewShop(filepath.Join(t.TempDir(), "ledger"))
	for _, order := range stock {
		i, err := shop.Invoice(t.Context(), Numbered{order.Number})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, l := range i.Lines {
			sum += l.Amount
		}
		if diff := sum - order.Total; diff > 0.001 || diff < -0.001 || i.Number == "" || i.Date != order.Placed || i.VAT <= 0 {
			t.Errorf("the invoice of order %+v is %+v", order, i)
		}
	}
}

// The same call gets the same label, and another one another.
func TestReturnLabel(t *testing.T) {
	shop := NewShop(filepath.Join(t.TempDir(), "ledger"))
	label := func(key string, r Return) (Label, error) {
		return shop.ReturnLabel(agent.WithCall(t.Context(), agent.CallInfo{Key: key}), r)
	}
	r := Return{Order: 1045, Pickup: "2026-03-14"}
	one, err := label("k1", r)
	again, err2 := label("k1", r)
	other, err3 := label("k2", r)
	if err := errors.Join(err, err2, err3); err != nil || one != again || one == other {
		t.Errorf("the labels are %+v, %+v and %+v, %v", one, again, other, err)
	}
	for _, bad := range []Return{{Order: 1045, Pickup: "tomorrow"}, {Order: 1046, Pickup: "2026-03-14"}, {Order: 1099, Pickup: "2026-03-14"}} {
		if got, err := label("k1", bad); err == nil {
			t.Errorf("%+v gets %+v", bad, got)
		}
	}
}
