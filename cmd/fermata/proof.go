package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/desk"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A proof is what the log and the ledger say of what the tour has shown.
type proof struct {
	*tour
	failed int
}

// prove reads all anew, and says what is so and what is not.
func (t *tour) prove(ask *agent.Ask, killed *worker) error {
	t.heading("What the log and the ledger prove")
	p := &proof{tour: t}
	page, err := t.store.Runs(t.ctx, memory.RunQuery{})
	if err != nil {
		return err
	}
	p.check(len(page.Runs) == 2, "two runs are in the store: %d", len(page.Runs))
	var refund []*run.Record
	for _, e := range page.Runs {
		records, err := t.records(e.Run)
		if err != nil {
			return err
		}
		p.complete(e, records)
		if e.Run == ask.ID.Run() {
			refund = records
		} else {
			p.parallel(records)
		}
	}
	if err := p.refund(ask, refund, killed); err != nil {
		return err
	}
	t.tell("")
	t.tell("The store is " + t.path + ". Look at it, or go on:")
	fmt.Println(t.paint("36", fmt.Sprintf("  %s runs show %s --store %s", t.name(), ask.ID.Run(), t.path)))
	fmt.Println(t.paint("36", fmt.Sprintf("  %s chat --store %s", t.name(), t.path)))
	if p.failed > 0 {
		return fmt.Errorf("%d of the tour's claims are not proven", p.failed)
	}
	return nil
}

// name is how the user runs this program: go run leaves no command behind.
func (t *tour) name() string {
	if strings.Contains(t.self, string(os.PathSeparator)+"go-build") {
		return "go run ./cmd/fermata"
	}
	return "fermata"
}

// records reads a run's log.
func (t *tour) records(id agent.RunID) ([]*run.Record, error) {
	log, err := t.store.Read(t.ctx, id, memory.ReadOptions{})
	if err != nil {
		return nil, err
	}
	var records []*run.Record
	for _, m := range log.Records {
		e, err := run.Decode(m.Data)
		if err != nil {
			return nil, err
		}
		records = append(records, &run.Record{Seq: m.Seq, ID: m.ID, Time: m.Time, Event: e})
	}
	return records, nil
}

// check says whether something is so.
func (p *proof) check(ok bool, format string, args ...any) {
	if ok {
		p.fold("  ✓ ", "32", fmt.Sprintf(format, args...))
		return
	}
	p.failed++
	p.fold("  ✗ NOT PROVEN: ", "31", fmt.Sprintf(format, args...))
}

// complete checks that nothing of a run is missing or left open.
func (p *proof) complete(e memory.RunEntry, records []*run.Record) {
	gaps := 0
	state := run.New(e.Run)
	for i, r := range records {
		if r.Seq != int64(i)+1 {
			gaps++
		}
		state.Apply(r)
	}
	p.check(gaps == 0 && len(records) > 0, "run %s: %d records, numbered without a gap", e.Run, len(records))
	p.check(state.Status() == agent.StatusIdle && len(state.Open) == 0, "run %s: its turn is over (%s), with %d actions open", e.Run, state.Status(), len(state.Open))
}

// parallel checks that one move made several calls, and that each has returned
// once.
func (p *proof) parallel(records []*run.Record) {
	calls, asked := 0, time.Time{}
	returned := map[agent.ActionID]int{}
	var last time.Time
	for _, r := range records {
		switch e := r.Event.(type) {
		case *run.Moved:
			if len(e.Actions) > calls {
				calls, asked = len(e.Actions), r.Time
			}
		case *run.Returned:
			returned[e.Action]++
			last = r.Time
		}
	}
	twice := 0
	for _, n := range returned {
		if n != 1 {
			twice++
		}
	}
	p.check(calls > 1 && len(returned) == calls && twice == 0, "one move made %d calls; %d have returned, %d of them twice, all within %s", calls, len(returned), twice, last.Sub(asked).Round(time.Millisecond))
}

// refund checks the refund, and shows the records that matter.
func (p *proof) refund(ask *agent.Ask, records []*run.Record, killed *worker) error {
	var answered, began, took, lapsed, returned []*run.Record
	for _, r := range records {
		switch e := r.Event.(type) {
		case *run.Answered:
			answered = append(answered, r)
		case *run.Began:
			if e.Action == ask.Action {
				began = append(began, r)
			}
		case *run.TookOver:
			took = append(took, r)
		case *run.Lapsed:
			lapsed = append(lapsed, r)
		case *run.Returned:
			if e.Action == ask.Action {
				returned = append(returned, r)
			}
		}
	}
	if len(answered) == 0 || len(began) == 0 || len(took) == 0 || len(lapsed) == 0 || len(returned) == 0 {
		return fmt.Errorf("not proven: the log of run %s lacks a record: answered %d, began %d, took over %d, lapsed %d, returned %d",
			ask.ID.Run(), len(answered), len(began), len(took), len(lapsed), len(returned))
	}
	a, b := answered[0].Event.(*run.Answered), began[0].Event.(*run.Began)
	o, ret := took[0].Event.(*run.TookOver), returned[0].Event.(*run.Returned)
	p.check(len(answered) == 1 && a.Digest == ask.Digest && answered[0].Seq < began[0].Seq,
		"#%d %s approved exactly these arguments (digest %s), before anything was begun", answered[0].Seq, a.Answer.By.ID, a.Digest)
	p.check(len(began) == 1, "#%d the refund was begun, under claim %s; begun %d time in all", began[0].Seq, b.Claim, len(began))
	p.check(killed.cmd.ProcessState.ExitCode() == -1, "worker 1, process %d, has ended by: %s", killed.pid(), killed.fate())
	p.check(o.Claim != b.Claim && took[0].Seq > began[0].Seq, "#%d another worker took over, under claim %s", took[0].Seq, o.Claim)
	p.check(!lapsed[0].Time.Before(b.Deadline), "#%d %s after it was begun, its outcome was declared unknown", lapsed[0].Seq, lapsed[0].Time.Sub(began[0].Time).Round(time.Millisecond))
	p.check(len(returned) == 1 && ret.Lookup, "#%d the bank was asked, and knows: %s", returned[0].Seq, ret.Content)
	return p.ledger(ask, killed)
}

// ledger checks the bank's side.
func (p *proof) ledger(ask *agent.Ask, killed *worker) error {
	entries, err := p.bank.Entries(0)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return errors.New("not proven: the bank's ledger is empty")
	}
	e := entries[0]
	key := string(ask.ID.Run()) + "." + string(ask.Action)
	p.check(len(entries) == 1 && e.Key == key, "the ledger %s has %d payment: %.2f EUR for order %d, key %s", desk.Ledger(p.path), len(entries), e.Amount, e.Order, e.Key)
	p.check(e.Process == killed.pid(), "it was asked for by process %d, the one that was killed, and by no other", e.Process)
	return nil
}
