package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A family is a run and the delegates that work for it, as somebody follows them:
// each has its own teller, and stands somewhere.
type family struct {
	root    agent.RunID
	me      string
	whole   bool // tell all: for those who watch, and not for those who talk
	members map[agent.RunID]*member
}

// member is one of a family.
type member struct {
	run   agent.RunID
	label string // how it is marked; "" for the root
	tell  *teller
	now   standing
}

func newFamily(root agent.RunID, me string) *family {
	return &family{root: root, me: me, members: map[agent.RunID]*member{}}
}

// take takes an event, and returns what is to be told of it.
func (f *family) take(ev orchestrator.Event) []para {
	m := f.member(ev)
	if ev.Record == nil || !f.news(ev) {
		return nil
	}
	paras := m.tell.tell(ev)
	m.now = standingOf(ev.State)
	if m.label != "" {
		return f.ofDelegate(m, ev.Record.Event, paras)
	}
	return paras
}

// news reports whether an event was not taken yet.
func (f *family) news(ev orchestrator.Event) bool {
	m := f.members[ev.Run]
	return m == nil || ev.Record == nil || ev.Record.Seq > m.now.read
}

// rootNow is how the root stands.
func (f *family) rootNow() standing {
	if m := f.members[f.root]; m != nil {
		return m.now
	}
	return standing{}
}

func (f *family) member(ev orchestrator.Event) *member {
	m := f.members[ev.Run]
	if m == nil {
		m = &member{run: ev.Run, tell: newTeller(f.me)}
		m.tell.whole, m.tell.asksToo = f.whole, f.whole
		f.members[ev.Run] = m
	}
	if m.label == "" && ev.Run != f.root && ev.State.Parent != nil {
		m.label = f.label(ev.State)
	}
	return m
}

// label names a delegate as its parent does, behind the parent's own label.
func (f *family) label(s *run.State) string {
	label, above := cleanLine(s.Agent), ""
	if p := f.members[s.Parent.Run]; p != nil {
		above = p.label
		if l := p.tell.labels[s.Parent.Action]; l != "" {
			label = l
		}
	}
	if above != "" {
		label = above + " › " + label
	}
	return label
}

// ofDelegate marks what is told of a delegate with its name. Its task and its result
// are its parent's to tell; what it says to itself is left out.
func (f *family) ofDelegate(m *member, e run.Event, paras []para) (out []para) {
	switch e := e.(type) {
	case *run.Messaged, *run.TookOver, *run.Stuck:
		return nil // of a stuck one the parent tells
	case *run.Cancelled:
		if e.Parent {
			return nil
		}
	}
	for _, p := range paras {
		if spoken(p) {
			continue
		}
		sign := strings.TrimSpace(p.mark)
		p.mark, p.gap = "    "+m.label+" "+sign+" ", false
		out = append(out, p)
	}
	return out
}

// tree returns the runs that work for the root now, the root first.
func (f *family) tree() []*member { return f.below(f.root) }

func (f *family) below(id agent.RunID) []*member {
	m := f.members[id]
	if m == nil {
		return nil
	}
	out := []*member{m}
	for _, c := range m.now.children {
		out = append(out, f.below(c)...)
	}
	return out
}

// before returns what is to be told before an event: the runs of a family are watched
// one by one, so that a parent may be heard to have a result whose making was not heard
// yet.
func (f *family) before(ctx context.Context, store memory.Store, ev orchestrator.Event) (told []para, err error) {
	if ev.Record == nil || !f.news(ev) {
		return nil, nil
	}
	e, ok := ev.Record.Event.(*run.Reported)
	if !ok {
		return nil, nil
	}
	if m := f.members[e.Run]; m != nil && m.now.read >= e.N {
		return nil, nil
	}
	err = f.readRun(ctx, store, e.Run, func(_ orchestrator.Event, paras []para) { told = append(told, paras...) })
	var gone *missing
	if errors.As(err, &gone) {
		err = nil // it was erased
	}
	return told, err
}

// asks returns what people are asked by all of them, the oldest first.
func (f *family) asks() (asks []*agent.Ask) {
	for _, m := range f.tree() {
		asks = append(asks, m.now.asks...)
	}
	slices.SortStableFunc(asks, func(a, b *agent.Ask) int { return a.Opened.Compare(b.Opened) })
	return asks
}

// calls returns what goes on: calls, and delegates that think.
func (f *family) calls() (names []string) {
	for _, m := range f.tree() {
		for _, c := range m.now.calls {
			if m.label != "" {
				c = m.label + ": " + c
			}
			names = append(names, c)
		}
		if m.label != "" && m.now.status == agent.StatusPlanning {
			names = append(names, m.label+" is thinking")
		}
	}
	return names
}

// readOn reads the logs of the family as far as they go. Nothing of that is news
// later. Each, if not nil, sees the root's records, with what is told of them.
func (f *family) readOn(ctx context.Context, store memory.Store, each func(orchestrator.Event, []para)) error {
	return f.readRun(ctx, store, f.root, each)
}

func (f *family) readRun(ctx context.Context, store memory.Store, id agent.RunID, each func(orchestrator.Event, []para)) error {
	log := &followed{state: run.New(id), tell: newTeller("")}
	err := log.readOn(ctx, store, func(ev orchestrator.Event) {
		paras := f.take(ev)
		if each != nil {
			each(ev, paras)
		}
	})
	if err != nil {
		return err
	}
	for _, o := range log.state.Open {
		if o.Phase != run.Afield {
			continue
		}
		var gone *missing
		if err := f.readRun(ctx, store, o.Child, nil); err != nil && !errors.As(err, &gone) {
			return err
		}
	}
	return nil
}
