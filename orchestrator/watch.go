package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// ErrRewound says that a run's log no longer has records that were read from it
// before: the store was put back in time.
var ErrRewound = errors.New("the run's log was rewound")

// Until says when a watch ends by itself.
type Until string

const (
	Forever Until = ""     // when the context ends
	TurnEnd Until = "turn" // when the run rests: it is idle, waits, is stuck, or has ended
	RunEnd  Until = "run"  // when the run has ended
)

// WatchOptions say what to watch. A nil *WatchOptions watches all, for ever.
type WatchOptions struct {
	After int64 // only records with a higher Seq
	Until Until
	// Tree watches also the delegates that work for the run, and theirs; their
	// events have their own Run. Those that were there when the record After was
	// written are told of only from now on. With TurnEnd all of them have to rest.
	Tree bool
}

// Event is what a watcher sees: a record of the log, or a piece of what is being
// said right now.
type Event struct {
	Run    agent.RunID
	Record *run.Record  // nil for a delta
	Delta  *agent.Delta // nil for a record; not kept, and may be missed: the record of the move has it all
	Status agent.Status // of the run after this
	// State is the run's log folded up to this event. It is the watcher's own to
	// read, until the loop goes on.
	State *run.State
}

// MarshalJSON gives the event as one flat object, as the CLI's --json prints it:
// run, kind and status; for a record seq, id, time and event; for a delta (whose
// kind is "delta") delta.
func (e Event) MarshalJSON() ([]byte, error) {
	out := struct {
		Run    agent.RunID    `json:"run"`
		Kind   string         `json:"kind"`
		Status agent.Status   `json:"status"`
		Seq    int64          `json:"seq,omitempty"`
		ID     agent.RecordID `json:"id,omitempty"`
		Time   *time.Time     `json:"time,omitempty"`
		Event  run.Event      `json:"event,omitempty"`
		Delta  *agent.Delta   `json:"delta,omitempty"`
	}{Run: e.Run, Kind: "delta", Status: e.Status, Delta: e.Delta}
	if r := e.Record; r != nil {
		out.Kind, out.Seq, out.ID, out.Time, out.Event = run.KindOf(r.Event), r.Seq, r.ID, &r.Time, r.Event
	}
	return json.Marshal(out)
}

// Watch yields what happens in a run, from any record on, in any process,
// without gaps or repeats; between records it yields words as they are said.
// Breaking the loop releases everything. An error ends it: an *[agent.Refusal]
// if there is no such run, [ErrRewound], the context's, or the store's.
func (o *Orchestrator) Watch(ctx context.Context, id agent.RunID, opts *WatchOptions) iter.Seq2[Event, error] {
	if opts == nil {
		opts = &WatchOptions{}
	}
	return func(yield func(Event, error) bool) {
		if opts.Tree {
			newGrove(o, id, opts).watch(ctx, yield)
			return
		}
		w := &watcher{o: o, id: id, opts: opts, state: run.New(id)}
		if err := w.run(ctx, yield); err != nil {
			yield(Event{Run: id}, err)
		}
	}
}

// run yields what happens. Its error is why it ended, nil if it has seen what it was
// to see, or yield wanted no more.
func (w *watcher) run(ctx context.Context, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for hint, err := range w.o.store.Watch(ctx, w.id) {
		if err == nil {
			err = w.hint(ctx, hint, yield)
		}
		if errors.Is(err, errWatched) {
			return nil
		}
		if err != nil {
			return w.o.known(w.id, err)
		}
	}
	return ctx.Err()
}

// errWatched ends a watch that has seen what it was to see.
var errWatched = errors.New("watched")

// watcher is one Watch.
type watcher struct {
	o     *Orchestrator
	id    agent.RunID
	opts  *WatchOptions
	state *run.State
	base  memory.Position
	ears  listener
	late  bool        // what is there already is not told of
	stood func() bool // told after what was new, with or without events; false ends the watch. May be nil
}

// hint yields what is new.
func (w *watcher) hint(ctx context.Context, h memory.Hint, yield func(Event, error) bool) error {
	if h.Last != w.base || h.Last.Seq == 0 {
		if err := w.readOn(ctx, yield); err != nil {
			return err
		}
	}
	if ofSlot(h.Words.Attempt, w.state) {
		for _, d := range w.ears.hear(h.Words) {
			if !w.tell(&d, yield) {
				return errWatched
			}
		}
	}
	if w.stood != nil && !w.stood() {
		return errWatched
	}
	status := w.state.Status()
	if w.opts.Until == TurnEnd && status.Resting() || w.opts.Until == RunEnd && status.Ended() && (w.stood == nil || len(w.state.Outbox) == 0) {
		return errWatched
	}
	return nil
}

// tell yields a piece of what is being said.
func (w *watcher) tell(d *agent.Delta, yield func(Event, error) bool) bool {
	return yield(Event{Run: w.id, Delta: d, Status: w.state.Status(), State: w.state}, nil)
}

// readOn reads from the last known record on, to see that it is still there.
func (w *watcher) readOn(ctx context.Context, yield func(Event, error) bool) error {
	log, err := w.o.store.Read(ctx, w.id, memory.ReadOptions{After: max(w.base.Seq-1, 0)})
	if err != nil {
		return err
	}
	records := log.Records
	if w.base.Seq > 0 {
		if len(records) == 0 || records[0].Position() != w.base {
			return fmt.Errorf("%w: run %s had the record %s at %d, and it is not there any more", ErrRewound, w.id, w.base.ID, w.base.Seq)
		}
		records = records[1:]
	}
	if w.late {
		w.opts.After, w.late = log.Last.Seq, false
	}
	for i := range records {
		r, err := decode(w.id, &records[i])
		if err != nil {
			return err
		}
		w.state.Apply(r)
		w.base = records[i].Position()
		if w.ears.dropped(w.state) && !w.tell(&agent.Delta{Reset: true}, yield) {
			return errWatched
		}
		if r.Seq <= w.opts.After {
			continue
		}
		if !yield(Event{Run: w.id, Record: r, Status: w.state.Status(), State: w.state}, nil) {
			return errWatched
		}
	}
	return nil
}

// known turns the store's error into what a caller expects.
func (o *Orchestrator) known(id agent.RunID, err error) error {
	switch {
	case errors.Is(err, memory.ErrNotFound):
		return agent.Refuse(agent.RefusedUnknown, "there is no run %s", id)
	case errors.Is(err, memory.ErrErased):
		return agent.Refuse(agent.RefusedUnknown, "run %s was erased", id)
	}
	return err
}
