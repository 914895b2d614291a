package crashtest

import (
	"context"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// totals are what the logs tell, over all runs.
type totals struct {
	statuses                                          map[string]int
	records, begun, again, tookOver, lookedUp, lapsed int
	reactions                                         []takeover // from a kill in calm to the next record
}

// check looks at what the logs say, at what people were told, and at what the
// service has recorded. Nothing goes on any more.
func (w *world) check() *totals {
	w.Helper()
	ctx := context.WithoutCancel(w.Context())
	for p, err := range w.store.Check(ctx, false) {
		if err != nil {
			w.Fatal(err)
		}
		w.Errorf("the store has a problem: %s %s", p.Run, p.What)
	}
	store := w.listed()
	calm := map[agent.RunID][]takeover{}
	measured, _ := w.service.holders.takeovers()
	for _, t := range measured {
		calm[t.run] = append(calm[t.run], t)
	}
	begun := map[request]bool{}
	sum := &totals{statuses: map[string]int{}}
	for id, e := range store.entries {
		log, err := orchestratortest.CheckLog(ctx, store, id)
		if err != nil {
			w.Errorf("run %s: %v\n%s", id, err, log)
			continue
		}
		wrong := w.ledger.check(log)
		if !log.State.Ended && log.State.Status() != agent.StatusIdle || log.State.Status() == agent.StatusFailed {
			wrong = append(wrong, "it rests as "+string(log.State.Status()))
		}
		for _, what := range wrong {
			w.Errorf("run %s: %s\n%s", id, what, log)
		}
		for _, e := range orchestratortest.Find[*run.Began](log) {
			begun[requestOf(id, toolOf(log, e.Action), e.Action, e.Attempt)] = true
		}
		sum.statuses[string(e.Index.Status)]++
		sum.add(log, calm[id])
	}
	for _, id := range w.ledger.runs {
		if _, there := store.entries[id]; !there {
			w.Errorf("the start of run %s was accepted, and there is no such run", id)
		}
	}
	if n := len(store.entries) - len(w.ledger.runs); n < 0 || n > w.ledger.unsure {
		w.Errorf("there are %d runs; %d starts were accepted, and of %d more nobody was told anything", len(store.entries), len(w.ledger.runs), w.ledger.unsure)
	}
	w.checkService(begun)
	w.fleet.check()
	return sum
}

// checkService checks that no Once call was sent twice, or without a beginning
// in the log, and that no call was made again that had taken place.
func (w *world) checkService(begun map[request]bool) {
	came, acted := w.service.requests()
	times := map[string]int{}
	for q, n := range came {
		if q.Tool != "once" && q.Tool != "sure" {
			continue
		}
		if n > 1 {
			w.Errorf("attempt %d of the Once call %s was sent %d times", q.Attempt, q.Key, n)
		}
		if !begun[q] {
			w.Errorf("attempt %d of the Once call %s was sent, and its beginning is not in the log", q.Attempt, q.Key)
		}
		times[q.Key] += acted[q]
	}
	for key, n := range times {
		if n > 1 {
			w.Errorf("the Once call %s took place %d times", key, n)
		}
	}
}

// listed is a store whose list of runs is known, since nothing goes on any more:
// the checks of all logs ask for each run's place in it.
type listed struct {
	memory.Store
	entries map[agent.RunID]memory.RunEntry
}

func (w *world) listed() *listed {
	w.Helper()
	l := &listed{w.store, map[agent.RunID]memory.RunEntry{}}
	for after := ""; ; {
		page, err := w.store.Runs(w.Context(), memory.RunQuery{Limit: 1000, After: after})
		if err != nil {
			w.Fatal(err)
		}
		for _, r := range page.Runs {
			if _, twice := l.entries[r.Run]; twice {
				w.Errorf("the list has run %s twice", r.Run)
			}
			l.entries[r.Run] = r
		}
		if after = page.Next; after == "" {
			return l
		}
	}
}

// Runs implements [memory.Store] for the id of one run.
func (l *listed) Runs(_ context.Context, q memory.RunQuery) (*memory.RunPage, error) {
	if e, ok := l.entries[agent.RunID(q.Prefix)]; ok {
		return &memory.RunPage{Runs: []memory.RunEntry{e}}, nil
	}
	return &memory.RunPage{}, nil
}

// toolOf returns the tool of a call.
func toolOf(log *orchestratortest.Log, id agent.ActionID) string {
	for _, r := range log.Records {
		m, ok := r.Event.(*run.Moved)
		if !ok {
			continue
		}
		for i := range m.Actions {
			if agent.ActionID(fmt.Sprintf("%s.%d", r.ID, i)) == id {
				return m.Actions[i].Name
			}
		}
	}
	return ""
}

// add counts what a run's log tells.
func (t *totals) add(log *orchestratortest.Log, calm []takeover) {
	t.records += len(log.Records)
	for _, r := range log.Records {
		switch e := r.Event.(type) {
		case *run.Began:
			t.begun++
			if e.Attempt > 1 {
				t.again++
			}
		case *run.TookOver:
			t.tookOver++
		case *run.Lapsed:
			t.lapsed++
		case *run.Returned:
			if e.Lookup {
				t.lookedUp++
			}
		case *run.CallFailed:
			if e.Lookup {
				t.lookedUp++
			}
		}
	}
	for _, c := range calm {
		for _, r := range log.Records {
			if r.Time.After(c.from) && !isInput(r.Event) {
				t.reactions = append(t.reactions, takeover{took: r.Time.Sub(c.from).Round(time.Millisecond)})
				break
			}
		}
	}
}

// isInput reports whether an event may be recorded without a worker.
func isInput(e run.Event) bool {
	switch e.(type) {
	case *run.Messaged, *run.Signaled, *run.Cancelled, *run.Answered, *run.Retried, *run.Redefined, *run.Lapsed:
		return true
	}
	return false
}

// print prints what was done, and what came of it.
func (w *world) print(sum *totals, faults *sabotage) {
	came, acted := w.service.requests()
	tools := map[string]int{}
	for q, n := range acted {
		tools[q.Tool] += n
	}
	arrived := 0
	for _, n := range came {
		arrived += n
	}
	w.Logf("in %s: %s; %d records", time.Since(w.began).Round(time.Second), counts(sum.statuses), sum.records)
	w.Logf("faults: %s", counts(faults.counts()))
	w.Logf("people: %d starts, %s; %d tries had no answer, and %d starts were given up", len(w.ledger.runs), counts(w.ledger.counts), w.ledger.failures, w.ledger.unsure)
	w.Logf("calls: %d requests came, %d of them too late; acted on: %s; %d Once calls begun, %d of them again; %d outcomes looked up", arrived, w.service.late, counts(tools), sum.begun, sum.again, sum.lookedUp)
	w.Logf("%d claims were taken over in the middle of calls; %d times lapsed", sum.tookOver, sum.lapsed)
	calm, others := w.service.holders.takeovers()
	if len(calm) > 0 {
		median, longest := spread(calm)
		w.Logf("from a kill in calm to the next claim of the run: median %s, longest %s, of %d runs", median, longest, len(calm))
		median, longest = spread(sum.reactions)
		w.Logf("from a kill in calm to the next record of the run: median %s, longest %s", median, longest)
	}
	median, longest := spread(others)
	w.Logf("from other kills to the next claim of the run, suspects included: median %s, longest %s, of %d runs", median, longest, len(others))
}
