package e2e

import (
	"context"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// log is the whole log of the world's only run, folded.
type log struct {
	records []*run.Record
	state   *run.State
}

// log reads the log and checks what holds for every run whose turn is over:
// nothing is missing, and every action has ended exactly once.
func (w *world) log() *log {
	w.t.Helper()
	store, err := sqlite.Open(w.store, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	page, err := store.Runs(context.Background(), memory.RunQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(page.Runs) != 1 {
		w.t.Fatalf("%d runs are in the store, want 1", len(page.Runs))
	}
	stored, err := store.Read(context.Background(), page.Runs[0].Run, memory.ReadOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	l := &log{state: run.New(page.Runs[0].Run)}
	for i, m := range stored.Records {
		e, err := run.Decode(m.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		if m.Seq != int64(i)+1 {
			w.t.Errorf("record %d has the number %d", i+1, m.Seq)
		}
		r := &run.Record{Seq: m.Seq, ID: m.ID, Time: m.Time, Event: e}
		l.records = append(l.records, r)
		l.state.Apply(r)
	}
	l.check(w.t)
	return l
}

func (l *log) check(t *testing.T) {
	t.Helper()
	if s := l.state.Status(); s != agent.StatusIdle || len(l.state.Open) != 0 {
		t.Errorf("the run is %s (%s) with %d open actions, want idle with none", s, l.state.Reason(), len(l.state.Open))
	}
	calls, results := map[string]int{}, map[string]int{}
	for _, m := range l.state.Messages() {
		for _, p := range m.Parts {
			if p.Call != nil {
				calls[p.Call.ID]++
			}
			if p.Result != nil {
				results[p.Result.CallID]++
			}
		}
	}
	for id, n := range calls {
		if n != 1 || results[id] != 1 {
			t.Errorf("the call %s is %d times in the conversation, with %d results; want 1 and 1", id, n, results[id])
		}
	}
}

// of returns the events of one kind.
func of[E run.Event](l *log) []E {
	var out []E
	for _, r := range l.records {
		if e, ok := r.Event.(E); ok {
			out = append(out, e)
		}
	}
	return out
}

// said returns what the model said last.
func (l *log) said() string {
	m := l.state.Messages()
	return m[len(m)-1].Text()
}
