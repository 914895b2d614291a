package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A journal is a run as this process has read it, and what is to be appended
// next. Nothing that it says is durable before commit has returned nil; if
// commit fails, the journal is to be read anew.
type journal struct {
	store memory.Store
	state *run.State
	base  memory.Position            // the end of the durable log that state has folded
	asks  map[agent.AskID]*agent.Ask // the open asks; one that has changed is another one

	moment   time.Time       // if set, what is added and judged is of this time, and not of the store's clock
	batch    []memory.Record // applied to state, not yet durable
	progress bool            // the batch ends an action
	acts     bool            // the batch has the beginning of a call
}

// errUnreadable says that a run's log is not in a form that this program reads.
var errUnreadable = errors.New("the run's log cannot be read by this program")

// read reads a run's log and folds it: all of it, or, if brief is set, from the
// last snapshot on, which has no words. each, if not nil, sees every record.
func read(ctx context.Context, store memory.Store, id agent.RunID, brief bool, each func(*run.Record)) (*journal, error) {
	log, err := store.Read(ctx, id, memory.ReadOptions{Snapshot: brief})
	if err != nil {
		return nil, err
	}
	j := &journal{store: store, state: run.New(id)}
	if log.Snapshot != nil {
		if j.state, err = run.Restore(log.Snapshot); err != nil {
			return read(ctx, store, id, false, each) // another version's: the log says it all
		}
	}
	if err := j.fold(log, each); err != nil {
		return nil, err
	}
	return j, nil
}

// readOn reads what was appended to a journal's run since, and reports whether
// the log still has the record that the journal ends with.
func (j *journal) readOn(ctx context.Context, each func(*run.Record)) (same bool, err error) {
	log, err := j.store.Read(ctx, j.state.Run, memory.ReadOptions{After: max(j.base.Seq-1, 0)})
	if err != nil {
		return false, err
	}
	if j.base.Seq > 0 {
		if len(log.Records) == 0 || log.Records[0].Position() != j.base {
			return false, nil
		}
		log.Records = log.Records[1:]
	}
	return true, j.fold(log, each)
}

// fold applies records that were read from the store.
func (j *journal) fold(log *memory.Log, each func(*run.Record)) error {
	for i := range log.Records {
		r, err := decode(j.state.Run, &log.Records[i])
		if err != nil {
			return err
		}
		j.state.Apply(r)
		if each != nil {
			each(r)
		}
	}
	j.base, j.asks = log.Last, openAsks(j.state)
	return nil
}

func decode(id agent.RunID, m *memory.Record) (*run.Record, error) {
	e, err := run.Decode(m.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: record %d of run %s: %w", errUnreadable, m.Seq, id, err)
	}
	return &run.Record{Seq: m.Seq, ID: m.ID, Time: m.Time, Event: e}, nil
}

func openAsks(s *run.State) map[agent.AskID]*agent.Ask {
	asks := map[agent.AskID]*agent.Ask{}
	for _, a := range s.Asks() {
		asks[a.ID] = a
	}
	return asks
}

// add applies an event and puts it into the batch. An empty id makes a new one.
// What is applied is what the log will say, to the byte, and not what it was
// made of.
func (j *journal) add(id agent.RecordID, e run.Event) (*run.Record, error) {
	data, e, err := run.Store(e)
	if err != nil {
		return nil, err
	}
	if id == "" {
		id = newRecordID()
	}
	at := j.now()
	if at.Before(j.state.Time) {
		at = j.state.Time
	}
	r := &run.Record{Seq: j.state.Seq + 1, ID: id, Time: at, Event: e}
	open := len(j.state.Open)
	j.state.Apply(r)
	j.progress = j.progress || len(j.state.Open) < open
	if _, began := e.(*run.Began); began {
		j.acts = true
	}
	j.batch = append(j.batch, memory.Record{Seq: r.Seq, ID: r.ID, Time: r.Time, Data: data})
	return r, nil
}

// now is the time of what is added.
func (j *journal) now() time.Time {
	if j.moment.IsZero() {
		return j.store.Now()
	}
	return j.moment
}

// addOverdue adds what the clock, or a new claim, makes due.
func (j *journal) addOverdue(claim memory.Token) error {
	for {
		e := j.state.Overdue(j.now(), string(claim))
		if e == nil {
			return nil
		}
		if _, err := j.add("", e); err != nil {
			return err
		}
	}
}

// begin makes the first records of a run durable.
func (j *journal) begin(ctx context.Context, events []run.Event) error {
	for _, e := range events {
		if _, err := j.add("", e); err != nil {
			return err
		}
	}
	return j.commit(ctx, "")
}

// commit makes the batch durable, under claim if it is not empty.
func (j *journal) commit(ctx context.Context, claim memory.Token) error {
	if len(j.batch) == 0 {
		return nil
	}
	c := &memory.Commit{
		Run: j.state.Run, Base: j.base, Claim: claim, Records: j.batch,
		Index: indexOf(j.state), Progress: j.progress,
		// Without a claim it is an input, which is acknowledged. What is in the outbox is
		// told to other runs, which act on it.
		Acts: j.acts || claim == "" || len(j.state.Outbox) > 0,
	}
	if err := j.diffAsks(c); err != nil {
		return err
	}
	if snapshotDue(j.base.Seq, j.state.Seq) {
		snap, err := j.state.Snapshot()
		if err != nil {
			return err
		}
		c.Snapshot = snap
	}
	if err := commitSurely(ctx, j.store, c); err != nil {
		return err
	}
	j.base, j.asks = c.Last(), openAsks(j.state)
	j.batch, j.progress, j.acts = nil, false, false
	return nil
}

// diffAsks fills in which asks the commit opens and closes. One that has changed,
// as it was claimed or escalated, for one, replaces itself.
func (j *journal) diffAsks(c *memory.Commit) error {
	now := map[agent.AskID]bool{}
	for _, a := range j.state.Asks() {
		now[a.ID] = true
		if j.asks[a.ID] == a {
			continue
		}
		entry, err := askEntry(a)
		if err != nil {
			return err
		}
		c.Opened = append(c.Opened, entry)
	}
	for id := range j.asks {
		if !now[id] {
			c.Closed = append(c.Closed, id)
		}
	}
	return nil
}

// askEntry is an open ask as the store lists it.
func askEntry(a *agent.Ask) (memory.AskEntry, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return memory.AskEntry{}, fmt.Errorf("encode ask %s: %w", a.ID, err)
	}
	return memory.AskEntry{ID: a.ID, Kind: a.Kind, Opened: a.Opened, Due: a.Due, For: a.For, Not: a.Not, Claimed: a.Claimed.ID, Data: data}, nil
}

func indexOf(s *run.State) memory.Index {
	x := memory.Index{Agent: s.Agent, Status: s.Status(), Title: s.Title, Reason: s.Reason(), Wake: roundUp(s.Wake())}
	if s.Parent != nil {
		x.Parent = s.Parent.Run
	}
	return x
}

// roundUp returns t to the microsecond, as stores keep times: never earlier, so
// that whoever is woken then finds something to do.
func roundUp(t time.Time) time.Time {
	if cut := t.Truncate(time.Microsecond); !cut.Equal(t) {
		return cut.Add(time.Microsecond)
	}
	return t
}

// The distance between snapshots grows with the run, so that what they cost per
// record does not.
const snapshotEvery = 256

// snapshotDue reports whether a snapshot is due when a log grows from a to b
// records.
func snapshotDue(a, b int64) bool {
	at := int64(snapshotEvery)
	for at <= a {
		at += max(snapshotEvery, at/2)
	}
	return b >= at
}

// commitSurely commits, and finds out what became of a commit whose reply was
// lost.
func commitSurely(ctx context.Context, store memory.Store, c *memory.Commit) error {
	var err error
	for range 3 {
		err = store.Commit(ctx, c)
		if err == nil || isRefused(err) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// isRefused reports whether the store itself said no, so that the commit has
// surely not taken place.
func isRefused(err error) bool {
	for _, known := range []error{memory.ErrConflict, memory.ErrClaimLost, memory.ErrErased, memory.ErrNotFound, memory.ErrCorrupt, memory.ErrFull} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// until returns how long it is from now until t, at least 0.
func until(now, t time.Time) time.Duration { return max(t.Sub(now), 0) }
