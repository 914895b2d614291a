package run_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// What a simulated commit may end with. After errNoReply nobody knows whether it
// took place.
var (
	errConflict  = errors.New("the log has another end")
	errClaimLost = errors.New("another worker has the claim")
	errNoReply   = errors.New("no reply came")
)

// A row is a record as the store holds it.
type row struct {
	rec  *run.Record // as decoded
	data []byte
}

// A shelf is what the simulated store holds of one run, and what the world
// knows to be true of it.
type shelf struct {
	world    *world
	id       agent.RunID
	rows     []row
	known    map[agent.RecordID]bool
	snapshot []byte // of the state after snapped rows
	snapped  int

	claim string // of the worker that has the run; "" if none
	lease time.Time
	torn  bool      // the last claim ended otherwise than by release
	wake  time.Time // when the run wants attention, as its last committer said
	ready bool      // there was more in the log than the last worker had seen
	inbox map[agent.AskID]string

	root   *shelf               // of its tree; itself where nothing stands above it
	parent *shelf               // nil for a root
	deep   bool                 // its tree gives tasks as deep as that goes
	terms  map[string]run.Terms // of its agents
	truth  *run.State
	ledger *ledger
	acts   map[agent.ActionID][]*act // what its calls did to the world
	misled map[agent.ActionID]bool   // a person said wrongly that the call did not take place
	given  []*run.Answered           // accepted answers, as they were given
	reader *journal                  // of the last client, who may come back

	unsettled map[agent.RecordID]*posted // of a mailbox: signals that are to be somewhere
}

func (sh *shelf) end() agent.RecordID {
	if len(sh.rows) == 0 {
		return ""
	}
	return sh.rows[len(sh.rows)-1].rec.ID
}

// wants reports whether a worker may claim the run now.
func (sh *shelf) wants(now time.Time) bool {
	if sh.claim != "" && sh.lease.After(now) {
		return false
	}
	return sh.claim != "" || sh.torn || sh.ready || !sh.wake.IsZero() && !sh.wake.After(now)
}

// A journal is a run as somebody has read it, and what they are about to append.
type journal struct {
	w     *world
	sh    *shelf
	state *run.State
	base  agent.RecordID
	seen  int // rows folded
	asks  map[agent.AskID]string
	batch []row
}

// read folds a run: all of it, or from the last snapshot on.
func (w *world) read(sh *shelf, brief bool) *journal {
	j := &journal{w: w, sh: sh, state: run.New(sh.id)}
	if brief && sh.snapshot != nil {
		s, err := run.Restore(sh.snapshot)
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		j.state, j.seen = s, sh.snapped
	}
	j.readOn()
	return j
}

// readAsClient reads a run as one who gives an input: from the snapshot, from
// where they left off, or all of it.
func (w *world) readAsClient(sh *shelf) *journal {
	j := sh.reader
	sh.reader = nil // what is added to it may come to nothing
	switch {
	case w.dice.percent(10):
		return w.read(sh, w.dice.percent(80))
	case j == nil:
		return w.read(sh, true)
	}
	j.readOn()
	return j
}

// readOn folds what has been appended meanwhile.
func (j *journal) readOn() {
	for _, row := range j.sh.rows[j.seen:] {
		j.state.Apply(row.rec)
	}
	j.seen, j.base, j.asks = len(j.sh.rows), j.sh.end(), inboxOf(j.state)
}

// add applies an event and puts it into the batch. It folds what a reader of the
// log will decode.
func (j *journal) add(id agent.RecordID, e run.Event) {
	data, err := run.Encode(e)
	if err != nil {
		j.w.t.Fatalf("%v", err)
	}
	decoded, err := run.Decode(data)
	if err != nil {
		j.w.t.Fatalf("%v", err)
	}
	if id == "" {
		id = j.w.newRecordID()
	}
	at := j.w.now
	if at.Before(j.state.Time) {
		at = j.state.Time
	}
	r := &run.Record{Seq: j.state.Seq + 1, ID: id, Time: at, Event: decoded}
	j.state.Apply(r)
	j.batch = append(j.batch, row{r, data})
}

func (j *journal) addOverdue(claim string) {
	for i := 0; ; i++ {
		e := j.state.Overdue(j.w.now, claim)
		if e == nil {
			return
		}
		if i > 1000 {
			j.w.broken(j.sh, "what is overdue does not end: %s", describe(e))
		}
		j.add("", e)
	}
}

// commit appends the batch if the log still has the end that was read and, where
// claim is not empty, if it is the run's.
func (j *journal) commit(claim string) error {
	if len(j.batch) == 0 {
		return nil
	}
	w, sh := j.w, j.sh
	if sh.known[j.batch[0].rec.ID] {
		return nil // an earlier try took place
	}
	if sh.end() != j.base {
		w.count.Conflicts++
		return errConflict
	}
	if claim != "" && sh.claim != claim {
		return errClaimLost
	}
	if w.faults && w.dice.percent(1) {
		return errNoReply
	}
	for _, row := range j.batch {
		w.accept(sh, row)
	}
	j.index()
	if w.dice.upTo(16) == 0 {
		sh.snapshot, sh.snapped = snapshotOf(w.t, sh.truth), len(sh.rows)
	}
	if w.faults && w.dice.percent(1) {
		return errNoReply
	}
	j.batch, j.seen, j.base, j.asks = nil, len(sh.rows), sh.end(), inboxOf(j.state)
	return nil
}

// index brings what lists and workers need to know of the run up to date.
func (j *journal) index() {
	j.sh.wake = j.state.Wake()
	now := inboxOf(j.state)
	for id, ask := range now {
		if j.asks[id] != ask {
			j.sh.inbox[id] = ask
		}
	}
	for id := range j.asks {
		if _, open := now[id]; !open {
			delete(j.sh.inbox, id)
		}
	}
}

// accept makes one row durable, and has all that watches the world look at it.
func (w *world) accept(sh *shelf, row row) {
	was := glanceAt(sh.truth)
	sh.rows = append(sh.rows, row)
	sh.known[row.rec.ID] = true
	sh.truth.Apply(row.rec)
	sh.ledger.enter(w, sh, was, row.rec)
	w.notePosts(sh, was, row.rec)
	w.count.Events++
	for _, c := range w.checks {
		if c.record != nil {
			c.record(w, sh, was, row.rec)
		}
	}
}

func inboxOf(s *run.State) map[agent.AskID]string {
	asks := s.Asks()
	if len(asks) == 0 {
		return nil
	}
	m := make(map[agent.AskID]string, len(asks))
	for _, a := range asks {
		m[a.ID] = fmt.Sprint(a.Kind, a.Choices, a.Due, a.Digest, a.For, a.Claimed.ID, a.Stage, a.Reminded)
	}
	return m
}

// agrees reports whether the inbox shows the asks that are open.
func (sh *shelf) agrees() bool { return maps.Equal(sh.inbox, inboxOf(sh.truth)) }

func snapshotOf(t fataler, s *run.State) []byte {
	b, err := s.Snapshot()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return b
}

func (w *world) decode(row row) *run.Record {
	e, err := run.Decode(row.data)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	r := *row.rec
	r.Event = e
	return &r
}

// A glance is what is remembered of a state while the next record is applied.
type glance struct {
	open   map[agent.ActionID]seen
	ended  bool
	ending bool
	parked bool // it is stuck because of its planner or its workers
	status agent.Status
	time   time.Time
	news   []run.News
	slot   int64
	asks   []*agent.Ask
	agent  string
	handed bool
	hands  int
	turn   int

	definition string

	letters int
}

type seen struct {
	phase   run.Phase
	attempt int
}

func glanceAt(s *run.State) *glance {
	g := &glance{ended: s.Ended, status: s.Status(), time: s.Time, slot: s.Plan.Slot, news: slices.Clone(s.News), asks: slices.Clone(s.Asks())}
	g.definition, g.parked = s.Definition, s.Stuck != nil
	g.letters, g.ending = len(s.Outbox), s.Ending != nil
	g.agent, g.handed, g.hands, g.turn = s.Agent, s.Handed, s.Turn.Hands, s.Turn.N
	if len(s.Open) > 0 {
		g.open = make(map[agent.ActionID]seen, len(s.Open))
		for _, o := range s.Open {
			g.open[o.ID] = seen{o.Phase, o.Attempt}
		}
	}
	return g
}
