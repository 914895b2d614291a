package orchestrator

import (
	"context"
	"errors"

	"github.com/sourcegraph/conc"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A grove watches a run and the delegates that work for it, each in a goroutine of
// its own, and tells of all in one.
type grove struct {
	o    *Orchestrator
	root agent.RunID
	opts *WatchOptions

	heard  chan heard
	group  conc.WaitGroup
	stands map[agent.RunID]*stand // of the runs that are watched

	outlives map[agent.RunID]bool   // delegates that go on when their parent ends
	given    map[agent.RunID]afield // tasks of which it was told, and not yet that they have begun
}

// heard is what one of the watches has to say: an event, or, without one, only how
// the run stands. It waits until over is closed.
type heard struct {
	run   agent.RunID
	event *Event
	state *run.State
	err   error
	over  chan struct{}
}

// stand is what matters of how a run stands to those that are watched beside it.
type stand struct {
	known  bool // it was read
	rests  bool
	over   bool // it has ended, and its parent was told
	left   []agent.RunID
	told   run.Report
	asks   []*agent.Ask
	afield []afield

	seq        int64              // of its last record
	subscribed []run.Subscription // which signals with a key it waits for
}

// afield is a task of a run that is another run's.
type afield struct {
	child agent.RunID
	stood run.Report // as the run was told
	begun bool
	seq   int64 // of the move that gave it

	outlives bool
}

func standOf(s *run.State) *stand {
	st := &stand{known: true, rests: s.Status().Resting() && len(s.Outbox) == 0, over: s.Ended && len(s.Outbox) == 0, told: s.Told, asks: s.Asks(), seq: s.Seq, subscribed: s.Subscribed}
	for _, l := range s.Left {
		st.left = append(st.left, l.Run)
	}
	for _, o := range s.Open {
		if o.Phase == run.Afield {
			l := s.LetterTo(o.Child)
			st.afield = append(st.afield, afield{child: o.Child, stood: o.Stands, begun: l == nil || l.Spawn == nil, seq: o.Seq, outlives: o.Action.Outlives})
		}
	}
	return st
}

func newGrove(o *Orchestrator, root agent.RunID, opts *WatchOptions) *grove {
	return &grove{o: o, root: root, opts: opts, heard: make(chan heard), stands: map[agent.RunID]*stand{}, outlives: map[agent.RunID]bool{}, given: map[agent.RunID]afield{}}
}

// watch yields what happens, until yield returns false, ctx ends, or the root is
// where it was to be.
func (g *grove) watch(ctx context.Context, yield func(Event, error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer g.group.Wait()
	defer cancel()
	g.add(ctx, g.root, &watcher{o: g.o, id: g.root, opts: &WatchOptions{After: g.opts.After}})
	for {
		var h heard
		select {
		case h = <-g.heard:
		case <-ctx.Done():
			yield(Event{Run: g.root}, ctx.Err())
			return
		}
		if !g.take(ctx, h, yield) {
			return
		}
	}
}

// take takes what was heard, and reports whether to go on.
func (g *grove) take(ctx context.Context, h heard, yield func(Event, error) bool) bool {
	defer close(h.over)
	if h.err != nil {
		var gone *agent.Refusal // it was erased: its parent is told
		if h.run == g.root || !errors.As(h.err, &gone) {
			yield(Event{Run: h.run}, h.err)
			return false
		}
		delete(g.stands, h.run)
		return true
	}
	if h.event != nil {
		g.stands[h.run] = &stand{} // where a log is read on, its end is not known yet: there the run may stand otherwise
		if g.opts.Tree {
			g.follow(ctx, h)
		}
		return yield(*h.event, nil)
	}
	g.stands[h.run] = standOf(h.state)
	for _, c := range g.stands[h.run].afield {
		if g.stands[c.child] == nil && c.begun {
			g.addChild(ctx, h.run, c)
		}
	}
	switch g.opts.Until {
	case TurnEnd:
		return !g.rests(g.root) || !g.over()
	case RunEnd:
		return !g.stands[g.root].over || !g.over()
	}
	return true
}

// follow watches a delegate from the record on that tells of its beginning, as it may
// have ended where the log does. That record may be its own report.
func (g *grove) follow(ctx context.Context, h heard) {
	if h.event.Record == nil {
		return
	}
	var begun agent.RunID
	switch e := h.event.Record.Event.(type) {
	case *run.Moved:
		for _, c := range standOf(h.state).afield {
			if c.seq == h.event.Record.Seq {
				g.given[c.child] = c
			}
		}
	case *run.Delivered:
		if e.Error == "" {
			begun = e.To
		}
	case *run.Reported:
		begun = e.Run
	}
	c, ok := g.given[begun]
	if delete(g.given, begun); ok && g.stands[begun] == nil {
		g.addChild(ctx, h.run, c)
	}
}

func (g *grove) addChild(ctx context.Context, parent agent.RunID, c afield) {
	w := &watcher{o: g.o, id: c.child, opts: &WatchOptions{Until: RunEnd}}
	g.outlives[c.child] = c.outlives
	w.late = parent == g.root && c.seq <= g.opts.After
	g.add(ctx, c.child, w)
}

// add watches one more run.
func (g *grove) add(ctx context.Context, id agent.RunID, w *watcher) {
	g.stands[id] = &stand{}
	w.state = run.New(id)
	tell := func(h heard) bool {
		h.run, h.state, h.over = id, w.state, make(chan struct{})
		select {
		case g.heard <- h:
		case <-ctx.Done():
			return false
		}
		select {
		case <-h.over:
			return true
		case <-ctx.Done():
			return false
		}
	}
	w.stood = func() bool { return tell(heard{}) }
	g.group.Go(func() {
		err := w.run(ctx, func(ev Event, _ error) bool { return tell(heard{event: &ev}) })
		if err != nil && !errors.Is(err, context.Canceled) {
			tell(heard{err: err})
		}
	})
}

// rests reports whether a run rests, and all that work for it: nothing will happen
// until somebody outside does something or an awaited time comes.
func (g *grove) rests(id agent.RunID) bool {
	s := g.stands[id]
	if s == nil || !s.known || !s.rests {
		return false
	}
	for _, c := range s.afield {
		if child := g.stands[c.child]; child == nil || child.told != c.stood || !g.rests(c.child) {
			return false
		}
	}
	return true
}

// over reports whether all has been heard of the tasks that are over, to the last
// record. Those that were called off may go on for long, and so may those that
// outlive who gave them.
func (g *grove) over() bool {
	waits := map[agent.RunID]bool{}
	for id, s := range g.stands {
		if id != g.root && !s.over && !g.outlives[id] {
			waits[id] = true
		}
	}
	for _, s := range g.stands {
		for _, id := range s.left {
			delete(waits, id)
		}
		for _, c := range s.afield {
			delete(waits, c.child)
		}
	}
	return len(waits) == 0
}

// asks returns what people are asked by a run and by all that work for it.
func (g *grove) asks(id agent.RunID) []*agent.Ask {
	s := g.stands[id]
	if s == nil {
		return nil
	}
	asks := s.asks
	for _, c := range s.afield {
		asks = append(asks, g.asks(c.child)...)
	}
	return asks
}
