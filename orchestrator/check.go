package orchestrator

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Check looks whether what is kept is in order, and yields each thing that is
// not: first what the store finds by itself, then, for each run, what stands
// beside its log and is not what its log says when it is folded: its entry in the
// list of runs, its open asks, its snapshot. With repair the entry and the asks
// are written anew; a log is never changed.
//
// Others may go on meanwhile: what differs only because a run has just gone on is
// no problem. A run that does so all the time is passed over, as each of its
// commits replaces its entry. An error ends it: the store could not be asked.
func (o *Orchestrator) Check(ctx context.Context, repair bool) iter.Seq2[memory.Problem, error] {
	return func(yield func(memory.Problem, error) bool) {
		c := &checker{store: o.store, repair: repair, yield: yield, told: map[agent.RunID]bool{}}
		if err := c.all(ctx); err != nil && !errors.Is(err, errEnough) {
			yield(memory.Problem{}, err)
		}
	}
}

// errEnough ends a walk whose caller wants no more.
var errEnough = errors.New("enough")

// How often a run is looked at that goes on meanwhile.
const lookTries = 5

// checker is one Check.
type checker struct {
	store  memory.Store
	repair bool
	yield  func(memory.Problem, error) bool

	told map[agent.RunID]bool              // the store has told of damage in the run
	asks map[agent.RunID][]memory.AskEntry // that were open when the walk began
}

func (c *checker) found(p memory.Problem) error {
	if !c.yield(p, nil) {
		return errEnough
	}
	return nil
}

func (c *checker) all(ctx context.Context) error {
	for p, err := range c.store.Check(ctx, c.repair) {
		if err != nil {
			return err
		}
		c.told[p.Run] = c.told[p.Run] || !p.Repaired
		if err := c.found(p); err != nil {
			return err
		}
	}
	var err error
	if c.asks, err = c.openAsks(ctx, ""); err != nil && !errors.Is(err, memory.ErrCorrupt) {
		return err // of a damaged one its run tells
	}
	for q := (memory.RunQuery{}); ; {
		page, err := c.store.Runs(ctx, q)
		if errors.Is(err, memory.ErrCorrupt) {
			return c.found(memory.Problem{What: fmt.Sprintf("the list of runs cannot be read on, and the rest of them was not looked at: %v", err)})
		}
		if err != nil {
			return err
		}
		for i := range page.Runs {
			if err := c.run(ctx, q, &page.Runs[i]); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// openAsks lists the open asks, of one run or of all.
func (c *checker) openAsks(ctx context.Context, id agent.RunID) (map[agent.RunID][]memory.AskEntry, error) {
	asks := map[agent.RunID][]memory.AskEntry{}
	for q := (memory.AskQuery{Run: id}); ; {
		page, err := c.store.Asks(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, a := range page.Asks {
			asks[a.ID.Run()] = append(asks[a.ID.Run()], a)
		}
		if page.Next == "" {
			return asks, nil
		}
		q.After = page.Next
	}
}

// run checks the run of an entry that the query q has listed. What was listed is
// old by now: if it does not fit, all of the run is looked at once more.
func (c *checker) run(ctx context.Context, q memory.RunQuery, e *memory.RunEntry) error {
	l, err := c.read(ctx, e.Run)
	if err == nil {
		if err = l.compare(e.Index, c.asks[e.Run], nil); err == nil && l.fits() {
			return nil
		}
	}
	if err == nil {
		l, err = c.look(ctx, q, e.Run)
	}
	if err != nil {
		return c.failed(e.Run, err)
	}
	if l.fits() {
		return nil
	}
	return c.report(ctx, q, l)
}

// failed tells of a run that cannot be read; any other failure it returns.
func (c *checker) failed(id agent.RunID, err error) error {
	switch {
	case errors.Is(err, memory.ErrNotFound), errors.Is(err, memory.ErrErased): // meanwhile
		return nil
	case errors.Is(err, memory.ErrCorrupt) && c.told[id]:
		return nil
	case errors.Is(err, errUnreadable), errors.Is(err, memory.ErrCorrupt):
		return c.found(memory.Problem{Run: id, What: err.Error()})
	}
	return err
}

// report tells what is wrong with a run, and puts it right if that is wanted.
func (c *checker) report(ctx context.Context, q memory.RunQuery, l *look) error {
	id, wrong, why := l.id, l.wrong, ""
	for try := 0; c.repair && l.mendable() && try < lookTries; try++ {
		err := c.store.Commit(ctx, l.correction())
		if err != nil && !isRefused(err) {
			return err
		}
		if err != nil && !errors.Is(err, memory.ErrConflict) {
			why = fmt.Sprintf("; it could not be repaired: %v", err)
			break
		}
		conflict := err != nil
		if l, err = c.look(ctx, q, id); err != nil {
			return c.failed(id, err)
		}
		if conflict && l.busy {
			l.wrong, why = wrong, "; it goes on all the time, and could not be repaired"
		}
	}
	for _, what := range wrong {
		p := memory.Problem{Run: id, What: what}
		if p.Repaired = c.repair && !slices.Contains(l.wrong, what); !p.Repaired {
			p.What += why
		}
		if err := c.found(p); err != nil {
			return err
		}
	}
	return nil
}

// A look is a run's log, folded, and what of that which stands beside it does
// not fit.
type look struct {
	*journal
	id      agent.RunID
	records []memory.Record
	snap    *memory.Log // with the snapshot alone
	damage  error       // of the snapshot
	told    bool        // damage beside the log was told of by the store
	busy    bool        // it goes on all the time, and nothing was compared

	wrong  []string
	index  bool // the entry is wrong
	opened []memory.AskEntry
	closed []agent.AskID
}

func (l *look) fits() bool     { return len(l.wrong) == 0 }
func (l *look) mendable() bool { return l.index || len(l.opened)+len(l.closed) > 0 }

// read reads a run's log and its snapshot.
func (c *checker) read(ctx context.Context, id agent.RunID) (*look, error) {
	log, err := c.store.Read(ctx, id, memory.ReadOptions{})
	if err != nil {
		return nil, err
	}
	l := &look{journal: &journal{store: c.store, state: run.New(id)}, id: id, records: log.Records, told: c.told[id] && !c.repair}
	if err := l.fold(log, nil); err != nil {
		return nil, err
	}
	l.snap, err = c.store.Read(ctx, id, memory.ReadOptions{Snapshot: true, Limit: 1})
	if errors.Is(err, memory.ErrCorrupt) {
		l.snap, l.damage, err = &memory.Log{}, err, nil
	}
	return l, err
}

// look reads a run and what stands beside its log, all at the same record, and
// compares them.
func (c *checker) look(ctx context.Context, q memory.RunQuery, id agent.RunID) (*look, error) {
	for range lookTries {
		l, err := c.read(ctx, id)
		if err != nil {
			return nil, err
		}
		asks, damaged := c.openAsks(ctx, id)
		if damaged != nil && !errors.Is(damaged, memory.ErrCorrupt) {
			return nil, damaged
		}
		e, err := c.entry(ctx, q, id)
		if err != nil {
			return nil, err
		}
		now, err := c.store.Read(ctx, id, memory.ReadOptions{After: l.base.Seq})
		if err != nil {
			return nil, err
		}
		if now.Last != l.base {
			continue // it has gone on: begin again
		}
		return l, l.compare(e.Index, asks[id], damaged)
	}
	return &look{id: id, busy: true}, nil
}

// entry returns the run's entry as it is now. Most likely it is still in the page
// that q lists.
func (c *checker) entry(ctx context.Context, q memory.RunQuery, id agent.RunID) (*memory.RunEntry, error) {
	for _, q := range []memory.RunQuery{q, {Prefix: string(id)}} {
		e, err := listed(ctx, c.store, q, id)
		if err != nil || e != nil {
			return e, err
		}
	}
	return nil, memory.ErrNotFound
}

// listed returns the run's entry in the page that q lists, or nil.
func listed(ctx context.Context, store memory.Store, q memory.RunQuery, id agent.RunID) (*memory.RunEntry, error) {
	page, err := store.Runs(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range page.Runs {
		if page.Runs[i].Run == id {
			return &page.Runs[i], nil
		}
	}
	return nil, nil
}

// compare notes what is not as the log says. With damaged the asks could not be
// read, and all of them are to be written anew.
func (l *look) compare(x memory.Index, asks []memory.AskEntry, damaged error) error {
	l.compareIndex(x)
	known := len(l.wrong)
	if err := l.compareAsks(asks); err != nil {
		return err
	}
	if damaged != nil {
		l.wrong = l.wrong[:known]
		l.damaged("its open asks cannot be read", damaged)
	}
	if l.damage != nil {
		l.damaged("its snapshot cannot be read", l.damage)
		return nil
	}
	return l.compareSnapshot()
}

// damaged notes damage, unless the store has told of it.
func (l *look) damaged(what string, err error) {
	if !l.told {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %v", what, err))
	}
}

func (l *look) compareIndex(got memory.Index) {
	want := indexOf(l.state)
	for _, field := range []struct{ name, got, want string }{
		{"agent", got.Agent, want.Agent},
		{"status", string(got.Status), string(want.Status)},
		{"title", got.Title, want.Title},
		{"reason", got.Reason, want.Reason},
		{"wake-up time", timeText(got.Wake), timeText(want.Wake)},
		{"parent", string(got.Parent), string(want.Parent)},
	} {
		if field.got != field.want {
			l.index = true
			l.wrong = append(l.wrong, fmt.Sprintf("its entry says %s %q; by its log it is %q", field.name, field.got, field.want))
		}
	}
}

// timeText is a time as stores keep it, or "" for none.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

func (l *look) compareAsks(asks []memory.AskEntry) error {
	got := map[agent.AskID]*memory.AskEntry{}
	for i := range asks {
		got[asks[i].ID] = &asks[i]
	}
	for _, a := range l.state.Asks() {
		want, err := askEntry(a)
		if err != nil {
			return err
		}
		switch there := got[a.ID]; {
		case there == nil:
			l.wrong = append(l.wrong, fmt.Sprintf("its ask %s is open and not in the list of asks", a.ID))
		case !sameAsk(there, &want):
			l.wrong = append(l.wrong, fmt.Sprintf("its ask %s is in the list of asks otherwise than in its log", a.ID))
		default:
			delete(got, a.ID)
			continue
		}
		delete(got, a.ID)
		l.opened = append(l.opened, want)
	}
	for id := range got {
		l.wrong = append(l.wrong, fmt.Sprintf("the list of asks has %s, which is not open", id))
		l.closed = append(l.closed, id)
	}
	slices.Sort(l.closed)
	return nil
}

// sameAsk reports whether two entries are of the same ask. Another version may
// have encoded it otherwise.
func sameAsk(got, want *memory.AskEntry) bool {
	return got.Kind == want.Kind && timeText(got.Opened) == timeText(want.Opened) && timeText(got.Due) == timeText(want.Due) &&
		slices.Equal(got.For, want.For) && slices.Equal(got.Not, want.Not) && got.Claimed == want.Claimed &&
		(bytes.Equal(got.Data, want.Data) || bytes.Equal(recoded(got.Data), want.Data))
}

func recoded(data []byte) []byte {
	a := new(agent.Ask)
	if json.Unmarshal(data, a) != nil {
		return nil
	}
	again, err := json.Marshal(a)
	if err != nil {
		return nil
	}
	return again
}

// compareSnapshot notes whether the snapshot and the records after it give what
// the whole log gives. One of another version is not used, and not looked at.
func (l *look) compareSnapshot() error {
	at := l.snap.SnapshotAt
	if l.snap.Snapshot == nil || at.Seq > l.base.Seq {
		return nil
	}
	what, err := l.snapshotProblem(at)
	if what != "" {
		l.wrong = append(l.wrong, fmt.Sprintf("its snapshot at record %d %s; inputs may be judged by it until a new one comes with the run's records", at.Seq, what))
	}
	return err
}

func (l *look) snapshotProblem(at memory.Position) (string, error) {
	if at.Seq < 1 || l.records[at.Seq-1].ID != at.ID {
		return fmt.Sprintf("is of the record %s, which is not there in the log", at.ID), nil
	}
	var form struct{ V int }
	if json.Unmarshal(l.snap.Snapshot, &form) == nil && form.V != run.Version {
		return "", nil
	}
	restored, err := run.Restore(l.snap.Snapshot)
	if err != nil {
		return fmt.Sprintf("cannot be read: %v", err), nil
	}
	for i := range l.records[at.Seq:] {
		r, err := decode(l.id, &l.records[at.Seq:][i])
		if err != nil {
			return "", err
		}
		restored.Apply(r)
	}
	got, err := restored.Snapshot()
	if err != nil {
		return "", err
	}
	want, err := l.state.Snapshot()
	if err != nil || bytes.Equal(got, want) {
		return "", err
	}
	return "does not lead to what the whole log says (" + differing(got, want) + ")", nil
}

// differing names the parts in which two encoded states differ.
func differing(a, b []byte) string {
	type parts struct{ State map[string]json.RawMessage }
	var x, y parts
	if err := cmp.Or(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		return err.Error()
	}
	var names []string
	for name := range x.State {
		if !bytes.Equal(x.State[name], y.State[name]) {
			names = append(names, name)
		}
	}
	for name := range y.State {
		if _, there := x.State[name]; !there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// correction is a commit that puts right what stands beside the log.
func (l *look) correction() *memory.Commit {
	return &memory.Commit{Run: l.id, Base: l.base, Index: indexOf(l.state), Opened: l.opened, Closed: l.closed}
}
