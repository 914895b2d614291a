package orchestratortest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Log is a run's log, folded.
type Log struct {
	Records []*run.Record
	State   *run.State // after the last record
	Closed  map[agent.ActionID]agent.Outcome
}

// ReadLog reads a run's log and fails the test if it is not as every log must be
// (see [CheckLog]).
func ReadLog(t testing.TB, store memory.Store, id agent.RunID) *Log {
	t.Helper()
	l, err := CheckLog(context.Background(), store, id)
	if err != nil {
		t.Fatalf("the log of run %s: %v\n%s", id, err, l)
	}
	return l
}

// CheckLog reads a run's log and says what is not as it must be, whatever
// happened to the run:
//
//   - its records count on, have ids of their own, and times that do not decrease
//   - it folds, and the stored snapshot with the records after it gives the same
//   - every action of a move that took effect is open, or was closed exactly once,
//     and none is open in a run that has ended
//   - no attempt of a Once call was begun twice, and none after the first without
//     a reason: it had surely not taken place, or a person said so
//   - a claim that another one has followed does nothing any more
//   - a model could be sent the conversation after each record (see [CheckRequest])
//   - the lists of runs and of open asks say what the log says
func CheckLog(ctx context.Context, store memory.Store, id agent.RunID) (*Log, error) {
	l := &Log{State: run.New(id), Closed: map[agent.ActionID]agent.Outcome{}}
	stored, err := store.Read(ctx, id, memory.ReadOptions{})
	if err != nil {
		return l, err
	}
	calls := &calls{attempts: map[agent.ActionID]int{}, may: map[agent.ActionID]int{}, over: map[string]bool{}}
	for i := range stored.Records {
		r, err := l.take(&stored.Records[i], calls)
		if err != nil {
			return l, fmt.Errorf("record %d: %w", stored.Records[i].Seq, err)
		}
		l.Records = append(l.Records, r)
	}
	if l.State.Ended && len(l.State.Open) > 0 {
		return l, fmt.Errorf("the run has ended, and %d of its actions are open", len(l.State.Open))
	}
	if err := l.checkSnapshot(ctx, store); err != nil {
		return l, err
	}
	return l, l.checkLists(ctx, store)
}

// Find returns the events of one type, in order.
func Find[E run.Event](l *Log) []E {
	var found []E
	for _, r := range l.Records {
		if e, ok := r.Event.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

// Kinds returns the kinds of all events, in order.
func (l *Log) Kinds() []string {
	var kinds []string
	for _, r := range l.Records {
		kinds = append(kinds, run.KindOf(r.Event))
	}
	return kinds
}

// String returns the log as text, one record per line, for a test that fails.
func (l *Log) String() string {
	var b bytes.Buffer
	for _, r := range l.Records {
		data, _ := json.Marshal(r.Event)
		if len(data) > 300 {
			data = append(data[:300], "…"...)
		}
		fmt.Fprintf(&b, "%4d %s %s %-10s %s\n", r.Seq, r.Time.Format("15:04:05.000"), r.ID, run.KindOf(r.Event), data)
	}
	return b.String()
}

// take folds one more record.
func (l *Log) take(m *memory.Record, c *calls) (*run.Record, error) {
	e, err := run.Decode(m.Data)
	if err != nil {
		return nil, err
	}
	r := &run.Record{Seq: m.Seq, ID: m.ID, Time: m.Time, Event: e}
	if n := len(l.Records); int64(n) != r.Seq-1 {
		return nil, fmt.Errorf("%d records come before it", n)
	}
	for _, before := range l.Records {
		if before.ID == r.ID {
			return nil, fmt.Errorf("its id %s is that of record %d", r.ID, before.Seq)
		}
	}
	if r.Time.Before(l.State.Time) {
		return nil, fmt.Errorf("its time %s is before that of the one before", r.Time)
	}
	if err := c.judge(r, l.State); err != nil {
		return nil, err
	}
	open := map[agent.ActionID]bool{}
	for _, o := range l.State.Open {
		open[o.ID] = true
	}
	l.State.Apply(r)
	if err := wellformed.Check(l.State.View(r.Time).Messages); err != nil {
		return nil, fmt.Errorf("what a planner would be shown after it is not well-formed: %w", err)
	}
	return r, l.judgeActions(r, open)
}

// judgeActions checks what the record did to the actions; open are those that
// were before it.
func (l *Log) judgeActions(r *run.Record, open map[agent.ActionID]bool) error {
	for _, n := range l.State.News {
		if n.Seq != r.Seq || n.Closed == nil {
			continue
		}
		if was, twice := l.Closed[n.Action]; twice {
			return fmt.Errorf("it closes action %s as %s, which was closed as %s already", n.Action, n.Closed.Outcome, was)
		}
		l.Closed[n.Action] = n.Closed.Outcome
		delete(open, n.Action)
	}
	for _, o := range l.State.Open {
		delete(open, o.ID)
		if was, twice := l.Closed[o.ID]; twice {
			return fmt.Errorf("action %s is open, and was closed as %s", o.ID, was)
		}
	}
	for id := range open {
		return fmt.Errorf("action %s is not open any more, and was not closed", id)
	}
	m, moved := r.Event.(*run.Moved)
	if !moved || l.State.Plan.LastMove != r.Seq {
		return nil
	}
	for i, a := range m.Actions {
		id := agent.ActionID(fmt.Sprintf("%s.%d", r.ID, i))
		if _, closed := l.Closed[id]; a.Kind != agent.ActEmit && !closed && l.State.Action(id) == nil {
			return fmt.Errorf("action %s of the move is neither open nor closed", id)
		}
	}
	return nil
}

// calls judges the attempts of Once calls, and the claims under which they are made.
type calls struct {
	attempts map[agent.ActionID]int // begun
	may      map[agent.ActionID]int // which attempt may be begun, for a reason in the log
	claim    string
	over     map[string]bool // claims that another has followed
}

// claimed judges that a record is of a claim.
func (c *calls) claimed(claim string) error {
	if c.over[claim] {
		return fmt.Errorf("it is of the claim %s, which was over: %s had followed it", claim, c.claim)
	}
	if claim != c.claim && c.claim != "" {
		c.over[c.claim] = true
	}
	c.claim = claim
	return nil
}

// judge judges a record before it is folded into s.
func (c *calls) judge(r *run.Record, s *run.State) error {
	switch e := r.Event.(type) {
	case *run.TookOver:
		return c.claimed(e.Claim)
	case *run.Began:
		if err := c.claimed(e.Claim); err != nil {
			return err
		}
		if e.Attempt <= c.attempts[e.Action] {
			return fmt.Errorf("it begins attempt %d of call %s, and attempt %d was begun before", e.Attempt, e.Action, c.attempts[e.Action])
		}
		if c.attempts[e.Action] > 0 && c.may[e.Action] < e.Attempt {
			return fmt.Errorf("it begins attempt %d of call %s, and nothing says that the one before did not take place", e.Attempt, e.Action)
		}
		c.attempts[e.Action] = e.Attempt
	case *run.CallFailed:
		if e.NotDone {
			c.may[e.Action] = e.Attempt + 1
		}
	case *run.Answered:
		for _, o := range s.Open {
			if o.Ask != nil && o.Ask.ID == e.Ask && e.Answer.Choice == agent.Rerun {
				c.may[o.ID] = o.Attempt + 1
			}
		}
	}
	return nil
}

// checkSnapshot checks that the stored snapshot and the records after it say
// the same as the whole log.
func (l *Log) checkSnapshot(ctx context.Context, store memory.Store) error {
	stored, err := store.Read(ctx, l.State.Run, memory.ReadOptions{Snapshot: true})
	if err != nil || stored.Snapshot == nil {
		return err
	}
	s, err := run.Restore(stored.Snapshot)
	if err != nil {
		return err
	}
	for _, r := range l.Records[stored.SnapshotAt.Seq:] {
		s.Apply(r)
	}
	whole, err := l.State.Snapshot()
	if err != nil {
		return err
	}
	tail, err := s.Snapshot()
	if err == nil && !bytes.Equal(tail, whole) {
		err = fmt.Errorf("the snapshot at %d and the records after it give another state than the whole log:\n%s\n%s", stored.SnapshotAt.Seq, tail, whole)
	}
	return err
}

// checkLists checks what the lists say of the run, unless it has gone on.
func (l *Log) checkLists(ctx context.Context, store memory.Store) error {
	asks, err := store.Asks(ctx, memory.AskQuery{Run: l.State.Run})
	if err != nil {
		return err
	}
	page, err := store.Runs(ctx, memory.RunQuery{Prefix: string(l.State.Run)})
	if err != nil {
		return err
	}
	for _, e := range page.Runs {
		if e.Run != l.State.Run || e.Records != l.State.Seq {
			continue
		}
		if e.Index.Status != l.State.Status() {
			return fmt.Errorf("the run is listed as %s, and is %s", e.Index.Status, l.State.Status())
		}
		return l.checkAsks(asks.Asks)
	}
	return nil
}

func (l *Log) checkAsks(listed []memory.AskEntry) error {
	byID := map[agent.AskID][]byte{}
	for _, e := range listed {
		byID[e.ID] = e.Data
	}
	want := l.State.Asks()
	if len(listed) != len(want) {
		return fmt.Errorf("%d asks are listed, and %d are open", len(listed), len(want))
	}
	for _, ask := range want {
		data, err := json.Marshal(ask)
		if err != nil {
			return err
		}
		if !bytes.Equal(byID[ask.ID], data) {
			return fmt.Errorf("ask %s is listed as %s, and is %s", ask.ID, byID[ask.ID], data)
		}
	}
	return nil
}
