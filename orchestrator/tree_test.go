package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// These are planners of delegates: one says at once that it is done, one waits until
// the signal "go" comes, and one asks first, whoever it is.
var (
	quick = plan(func(v *agent.View) *agent.Move { return says("did " + v.Messages[0].Text()) })
	waits = plan(func(v *agent.View) *agent.Move {
		if v.Steps == 0 {
			return &agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Name: "go"}}}
		}
		return says("waited for " + v.Messages[0].Text())
	})
	asksFirst = plan(func(v *agent.View) *agent.Move {
		if v.Steps == 0 {
			ask := forWhom(nil, nil)
			ask.Prompt = v.Messages[0].Text()
			return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &ask}}}
		}
		return says(cameTo(v.News[0].Closed))
	})
)

// named makes an agent.
func named(name string, p agent.Planner) *agent.Agent { return &agent.Agent{Name: name, Planner: p} }

// middle makes an agent between desk and another one.
func middle(name string, to *agent.Agent, tasks ...string) *agent.Agent {
	a := manager(to, tasks...)
	a.Name = name
	return a
}

// goes has a run go on that waits for the signal.
func (l *lab) goes(id agent.RunID) {
	l.Helper()
	l.must(l.client.Signal(l.Context(), id, "go", nil, nil))
}

// drawn is a tree in a line: the agents, how they stand, and in brackets those below.
func drawn(t *orchestrator.Tree) string {
	s := t.Agent
	if t.State == nil {
		s += "?"
	} else {
		s += " " + string(t.State.Status())
	}
	if len(t.Children) == 0 {
		return s
	}
	var below []string
	for _, c := range t.Children {
		below = append(below, drawn(c))
	}
	return s + " (" + strings.Join(below, ", ") + ")"
}

// draws checks the tree of a run.
func (l *lab) draws(id agent.RunID, want string) *orchestrator.Tree {
	l.Helper()
	t, err := l.client.Tree(l.Context(), id)
	l.must(err)
	if got := drawn(t); got != want {
		l.Errorf("the tree is\n%s, want\n%s", got, want)
	}
	return t
}

// gone checks that these runs are erased.
func (l *lab) gone(ids ...agent.RunID) {
	l.Helper()
	for _, id := range ids {
		if _, err := l.store.Read(l.Context(), id, memory.ReadOptions{}); !errors.Is(err, memory.ErrErased) {
			l.Errorf("run %s is not erased: %v", id, err)
		}
	}
}

// barren is a store in which no run can begin.
type barren struct {
	memory.Store
	fertile atomic.Bool
}

func (s *barren) Commit(ctx context.Context, c *memory.Commit) error {
	if c.Base.Seq == 0 && !s.fertile.Load() {
		return errors.New("no room")
	}
	return s.Store.Commit(ctx, c)
}

// unread is a store that fails to read one run.
type unread struct {
	memory.Store
	run agent.RunID
	err error
}

func (s *unread) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	if id == s.run {
		return nil, s.err
	}
	return s.Store.Read(ctx, id, o)
}

func TestTree(t *testing.T) {
	inLab(t, func(l *lab) {
		desk := named("desk", plan(func(v *agent.View) *agent.Move {
			m := gives("billing", "a")
			if v.Steps == 0 {
				other := gives("quick", "b")
				m.Message.Parts, m.Actions = append(m.Message.Parts, other.Message.Parts...), append(m.Actions, other.Actions...)
				return m
			}
			return says("done")
		}))
		billing := middle("billing", named("lookup", waits), "one", "two")
		desk.Delegates = []*agent.Agent{billing, named("quick", quick)}
		l.work(nil, desk)
		id := l.start("go")
		l.rests(id, agent.StatusWaiting)
		top := l.draws(id, "desk waiting (billing waiting (lookup waiting, lookup waiting), quick done)")
		first := top.Children[0]
		if top.Run != id || top.Action != "" || first.Run != childOf(l, id, 0) || run.ChildID(id, first.Action) != first.Run || first.State.Parent.Run != id {
			l.Errorf("the tree is %+v", top)
		}
		l.draws(first.Run, "billing waiting (lookup waiting, lookup waiting)") // any run is the top of its own
		l.goes(first.Children[1].Run)
		l.after(time.Minute)
		l.must(l.store.Erase(l.Context(), first.Children[0].Run)) // behind everybody's back
		l.draws(id, "desk waiting (billing waiting (lookup?, lookup done), quick done)")
		for _, unknown := range []agent.RunID{"none", "", first.Children[0].Run} {
			if _, err := l.client.Tree(l.Context(), unknown); !refused(err, agent.RefusedUnknown) {
				l.Errorf("the tree of %q: %v", unknown, err)
			}
		}
	})
}

// A delegate that has yet to begin is in the tree, and begins when it can.
func TestTreeBeforeItsDelegates(t *testing.T) {
	inLab(t, func(l *lab) {
		store := &barren{Store: l.store.Another()}
		o, err := orchestrator.New(store, []*agent.Agent{manager(named("billing", waits), "x")}, nil)
		l.must(err)
		l.until(o)
		id := l.start("go")
		l.after(10 * time.Minute)
		l.draws(id, "desk acting (billing?)")
		store.fertile.Store(true)
		l.after(10 * time.Minute)
		l.draws(id, "desk waiting (billing waiting)")
	})
}

// Erase takes all below with it, and tells the parent above.
func TestEraseTree(t *testing.T) {
	family := func(t *testing.T, f func(l *lab, id, child, grandchild agent.RunID)) {
		t.Helper()
		inLab(t, func(l *lab) {
			l.work(nil, manager(middle("billing", named("lookup", asksFirst), "look it up"), "find out"))
			id := l.start("go")
			l.rests(id, agent.StatusWaiting)
			child := childOf(l, id, 0)
			f(l, id, child, childOf(l, child, 0))
		})
	}
	t.Run("of the root", func(t *testing.T) {
		family(t, func(l *lab, id, child, grandchild agent.RunID) {
			for range 2 {
				l.must(l.client.Erase(l.Context(), id))
				l.after(time.Minute)
				l.gone(id, child, grandchild)
			}
			if asks, _, err := l.client.Asks(l.Context(), memory.AskQuery{}); l.kept() != 0 || err != nil || len(asks) != 0 {
				l.Errorf("%d runs and the asks %+v are kept, %v", l.kept(), asks, err)
			}
		})
	})
	t.Run("of the middle", func(t *testing.T) {
		family(t, func(l *lab, id, child, grandchild agent.RunID) {
			l.must(l.client.Erase(l.Context(), child))
			if res := l.rests(id, agent.StatusIdle); res.Text != "failed: it failed: the run was erased" {
				l.Errorf("the parent was told %q", res.Text)
			}
			l.gone(child, grandchild)
			l.draws(id, "desk idle (billing?)")
		})
	})
	t.Run("of the lowest", func(t *testing.T) {
		family(t, func(l *lab, id, child, grandchild agent.RunID) {
			l.must(l.client.Erase(l.Context(), grandchild))
			if res := l.rests(id, agent.StatusIdle); res.Text != "returned: failed: it failed: the run was erased" {
				l.Errorf("the parent was told %q", res.Text)
			}
			l.draws(id, "desk idle (billing done (lookup?))")
		})
	})
	t.Run("of what has ended", func(t *testing.T) {
		family(t, func(l *lab, id, child, grandchild agent.RunID) {
			l.must(l.client.Answer(l.Context(), l.rest(id).Asks[0].ID, red(bob)))
			l.rests(id, agent.StatusIdle)
			l.after(time.Minute)
			records := l.state(id).Seq
			l.must(l.client.Erase(l.Context(), child))
			l.after(time.Minute)
			l.gone(child, grandchild)
			if now := l.state(id); now.Seq != records {
				l.Errorf("the parent was told of something\n%s", l.log(id))
			}
		})
	})
}

// Prune takes a tree when all of it may go, and nothing of it before.
func TestPruneTrees(t *testing.T) {
	prunes := func(l *lab, age time.Duration, want int, why string) {
		l.Helper()
		before := l.kept()
		if n, err := l.client.Prune(l.Context(), age); n != want || err != nil || l.kept() != before-int64(want) {
			l.Errorf("%s: %d runs were erased, and %d of %d are kept, %v; want that %d are erased", why, n, l.kept(), before, err, want)
		}
	}
	age := 2 * time.Hour
	// begun has a root and the child that it gave a task.
	begun := func(l *lab, child *agent.Agent, status agent.Status) (id, c agent.RunID) {
		l.Helper()
		desk := manager(child, "x")
		desk.CloseAfter = -1
		l.work(nil, desk)
		id = l.start("go")
		l.rests(id, status)
		return id, childOf(l, id, 0)
	}
	t.Run("a delegate ended, and the root is open", func(t *testing.T) {
		inLab(t, func(l *lab) {
			id, child := begun(l, named("billing", quick), agent.StatusIdle)
			l.after(2 * age)
			prunes(l, age, 0, "the root is open")
			l.draws(id, "desk idle (billing done)")
			l.must(l.client.Cancel(l.Context(), id, "", nil))
			l.after(time.Hour)
			prunes(l, age, 0, "the root has just ended")
			l.after(age)
			prunes(l, age, 2, "all have ended")
			l.gone(id, child)
		})
	})
	t.Run("the root ended, and a delegate is open", func(t *testing.T) {
		inLab(t, func(l *lab) {
			billing := named("billing", waits)
			billing.Outlives = true
			id, child := begun(l, billing, agent.StatusWaiting)
			l.must(l.client.Cancel(l.Context(), id, "", nil))
			l.after(2 * age)
			prunes(l, age, 0, "the delegate is open")
			l.draws(id, "desk cancelled (billing waiting)")
			l.goes(child)
			l.after(time.Hour)
			l.draws(id, "desk cancelled (billing done)")
			prunes(l, age, 0, "the delegate has just ended")
			l.after(age)
			prunes(l, age, 2, "all have ended")
		})
	})
	t.Run("an orphan", func(t *testing.T) {
		inLab(t, func(l *lab) {
			id, child := begun(l, named("billing", waits), agent.StatusWaiting)
			l.must(l.store.Erase(l.Context(), id)) // it alone
			l.after(2 * age)
			prunes(l, age, 0, "the orphan is open")
			l.goes(child)
			l.after(2 * age)
			if e := l.entry(child); e.Index.Status != agent.StatusDone || !e.Index.Wake.IsZero() {
				l.Errorf("the orphan is %+v\n%s", e.Index, l.log(child))
			}
			prunes(l, age, 1, "the orphan has ended")
		})
	})
	t.Run("several", func(t *testing.T) {
		inLab(t, func(l *lab) {
			first, _ := begun(l, named("billing", waits), agent.StatusWaiting)
			second := l.start("go")
			l.rests(second, agent.StatusWaiting)
			l.must(l.client.Cancel(l.Context(), second, "", nil))
			l.after(2 * age)
			prunes(l, age, 2, "one of two trees has ended")
			l.draws(first, "desk waiting (billing waiting)")
		})
	})
}

// A watcher of a tree hears of each run in order and without gaps.
type overhearing struct {
	seqs  map[agent.RunID][]int64
	kinds []string // with the agent
	err   error
}

// overhear watches a tree until the watch ends.
func (l *lab) overhear(id agent.RunID, o orchestrator.WatchOptions) *overhearing {
	o.Tree = true
	h := &overhearing{seqs: map[agent.RunID][]int64{}}
	for ev, err := range l.client.Watch(l.Context(), id, &o) {
		if err != nil {
			h.err = err
			return h
		}
		if ev.Record == nil {
			continue
		}
		if ev.Status != ev.State.Status() || ev.State.Seq != ev.Record.Seq || ev.State.Run != ev.Run {
			l.Errorf("the event %+v does not fit its state", ev)
		}
		h.seqs[ev.Run] = append(h.seqs[ev.Run], ev.Record.Seq)
		h.kinds = append(h.kinds, ev.State.Agent+" "+run.KindOf(ev.Record.Event))
	}
	return h
}

// from checks that a watcher has heard of the run all from this record on.
func (h *overhearing) from(l *lab, id agent.RunID, first int64) {
	l.Helper()
	want, last := []int64(nil), l.state(id).Seq
	for seq := first; seq <= last; seq++ {
		want = append(want, seq)
	}
	if got := h.seqs[id]; !slices.Equal(got, want) {
		l.Errorf("of run %s it has heard %v, want %d to %d\n%s", id, got, first, last, l.log(id))
	}
}

func TestWatchTree(t *testing.T) {
	begin := func(t *testing.T, f func(l *lab, id, child, grandchild agent.RunID)) {
		t.Helper()
		inLab(t, func(l *lab) {
			l.work(nil, manager(middle("billing", named("lookup", waits), "look it up"), "find out"))
			id := l.start("go")
			l.rests(id, agent.StatusWaiting)
			child := childOf(l, id, 0)
			f(l, id, child, childOf(l, child, 0))
		})
	}
	t.Run("until the turn ends", func(t *testing.T) {
		begin(t, func(l *lab, id, child, grandchild agent.RunID) {
			h := l.overhear(id, orchestrator.WatchOptions{Until: orchestrator.TurnEnd})
			for _, r := range []agent.RunID{id, child, grandchild} {
				h.from(l, r, 1)
			}
			if i, j := slices.Index(h.kinds, "desk moved"), slices.Index(h.kinds, "billing started"); h.err != nil || i < 0 || j < i || !slices.Contains(h.kinds, "lookup moved") {
				l.Errorf("it has heard %q, %v", h.kinds, h.err)
			}
		})
	})
	t.Run("while they work", func(t *testing.T) {
		inLab(t, func(l *lab) {
			h := held()
			lookup := named("lookup", plan(func(v *agent.View) *agent.Move {
				if v.Steps == 0 {
					return &agent.Move{Actions: []agent.Action{{Kind: agent.ActCall, Name: "act", Args: raw(`{}`)}}}
				}
				return says("found")
			}))
			lookup.Tools = []*agent.Tool{h.tool("act", agent.ReadOnly, func(t *agent.Tool) { t.Timeout = time.Hour })}
			l.work(nil, manager(middle("billing", lookup, "look it up"), "find out"))
			id := l.start("go")
			got := make(chan *overhearing, 1)
			go func() { got <- l.overhear(id, orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) }()
			l.after(30 * time.Minute)
			if len(got) > 0 {
				l.Fatalf("the watch has ended while a delegate's delegate acts: %+v", <-got)
			}
			h.returns <- result{content: "it"}
			heard := <-got
			if res := l.rests(id, agent.StatusIdle); res.Text != "returned: returned: found" || heard.err != nil {
				l.Errorf("the run says %q, %v", res.Text, heard.err)
			}
			for r := range heard.seqs {
				heard.from(l, r, 1)
			}
			if len(heard.seqs) != 3 {
				l.Errorf("it has heard of %d runs", len(heard.seqs))
			}
		})
	})
	t.Run("from a record on", func(t *testing.T) {
		begin(t, func(l *lab, id, child, grandchild agent.RunID) {
			root, below := l.state(id).Seq, l.state(child).Seq
			got := make(chan *overhearing, 1)
			go func() {
				got <- l.overhear(id, orchestrator.WatchOptions{After: root, Until: orchestrator.RunEnd})
			}()
			l.after(time.Minute)
			l.goes(grandchild)
			l.rests(id, agent.StatusIdle)
			l.must(l.client.Cancel(l.Context(), id, "", nil))
			h := <-got
			h.from(l, id, root+1)
			h.from(l, child, below+1) // what was there when After was written is not told of
			if h.err != nil {
				l.Error(h.err)
			}
		})
	})
	t.Run("from the middle of it on", func(t *testing.T) {
		begin(t, func(l *lab, id, child, _ agent.RunID) {
			h := l.overhear(id, orchestrator.WatchOptions{After: 3, Until: orchestrator.TurnEnd})
			h.from(l, id, 4)
			h.from(l, child, 1) // which was given its task after that
		})
	})
	t.Run("by one who is slow", func(t *testing.T) {
		inLab(t, func(l *lab) {
			id := l.start("go")
			seqs := map[agent.RunID]int64{}
			for ev, err := range l.client.Watch(l.Context(), id, &orchestrator.WatchOptions{Tree: true, Until: orchestrator.TurnEnd}) {
				l.must(err)
				if len(seqs) == 0 { // meanwhile all of it begins and ends
					l.work(nil, manager(middle("billing", named("lookup", quick), "look it up"), "find out"))
					l.rests(id, agent.StatusIdle)
				}
				if ev.Record != nil {
					seqs[ev.Run] = ev.Record.Seq
				}
			}
			child := childOf(l, id, 0)
			for _, r := range []agent.RunID{id, child, childOf(l, child, 0)} {
				if seqs[r] != l.state(r).Seq {
					l.Errorf("of run %s it was told up to the record %d, want %d", r, seqs[r], l.state(r).Seq)
				}
			}
		})
	})
	t.Run("only the run", func(t *testing.T) {
		begin(t, func(l *lab, id, child, _ agent.RunID) {
			for ev, err := range l.client.Watch(l.Context(), id, &orchestrator.WatchOptions{Until: orchestrator.TurnEnd}) {
				if err != nil || ev.Run != id {
					l.Fatalf("it has heard of %+v, %v", ev, err)
				}
			}
		})
	})
	t.Run("of one that is erased", func(t *testing.T) {
		begin(t, func(l *lab, id, child, _ agent.RunID) {
			got := make(chan *overhearing, 1)
			go func() {
				got <- l.overhear(id, orchestrator.WatchOptions{After: l.state(id).Seq, Until: orchestrator.RunEnd})
			}()
			l.after(time.Minute)
			l.must(l.client.Erase(l.Context(), child))
			l.after(time.Minute)
			l.must(l.client.Cancel(l.Context(), id, "", nil))
			if h := <-got; h.err != nil || !slices.Contains(h.kinds, "desk reported") {
				l.Errorf("it has heard %q, %v", h.kinds, h.err)
			}
			if h := l.overhear("none", orchestrator.WatchOptions{}); !refused(h.err, agent.RefusedUnknown) {
				l.Errorf("of no run it has heard %v", h.err)
			}
		})
	})
	t.Run("of one that cannot be read", func(t *testing.T) {
		begin(t, func(l *lab, id, child, _ agent.RunID) {
			broken := errors.New("a disk is on fire")
			o, err := orchestrator.New(&unread{l.store, child, broken}, nil, nil)
			l.must(err)
			ctx, cancel := context.WithTimeout(l.Context(), time.Hour)
			defer cancel()
			for _, err = range o.Watch(ctx, id, &orchestrator.WatchOptions{Tree: true, Until: orchestrator.TurnEnd}) {
			}
			if !errors.Is(err, broken) {
				l.Errorf("the watch has ended with %v, and one of the runs cannot be read", err)
			}
		})
	})
	t.Run("given up", func(t *testing.T) {
		begin(t, func(l *lab, id, _, _ agent.RunID) {
			synctest.Wait()
			before := l.goroutines()
			const often = 20
			for range often {
				for range l.client.Watch(l.Context(), id, &orchestrator.WatchOptions{Tree: true}) {
					break
				}
			}
			synctest.Wait()
			if after := l.goroutines(); after > before {
				l.Errorf("%d goroutines are left of %d watches that were given up", after-before, often)
			}
		})
	})
}

// Run and Await drive a run with its delegates, and return when all of it waits: with
// the asks of all.
func TestRunWithDelegates(t *testing.T) {
	inLab(t, func(l *lab) {
		o, err := orchestrator.New(l.store, []*agent.Agent{manager(middle("billing", named("lookup", asksFirst), "one", "two"), "x", "y")}, nil)
		l.must(err)
		res, err := o.Run(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go"), User: asker})
		l.must(err)
		for left := 4; left > 0; left-- {
			if len(res.Asks) != left || res.Status != agent.StatusWaiting {
				l.Fatalf("with %d to come, the result is %+v", left, res)
			}
			for _, a := range res.Asks {
				if len(a.Path) != 3 || a.Path[0].Run != res.Run || a.Agent != "lookup" {
					l.Errorf("the ask is %+v", a)
				}
			}
			l.answer(res.Asks[left-1], red(bob))
			res, err = o.Await(l.Context(), res.Run)
			l.must(err)
		}
		one := "returned: answered: red bob"
		if want := fmt.Sprintf("returned: %s; %s; returned: %s; %s", one, one, one, one); res.Status != agent.StatusIdle || res.Text != want || len(res.Asks) != 0 {
			l.Errorf("the result is %+v, want %q\n%s", res, want, l.log(res.Run))
		}
	})
}

// Drive follows the run's delegates, and goes on when they do; it leaves other runs
// alone.
func TestDriveFollows(t *testing.T) {
	inLab(t, func(l *lab) {
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{manager(middle("billing", named("lookup", waits), "look it up"), "find out")}, nil)
		l.must(err)
		id, other := l.start("go"), l.start("go")
		ctx, cancel := context.WithCancel(l.Context())
		var group sync.WaitGroup
		group.Go(func() { l.must(o.Drive(ctx, id)) })
		l.rests(id, agent.StatusWaiting)
		l.draws(id, "desk waiting (billing waiting (lookup waiting))")
		l.after(time.Hour)
		child := childOf(l, id, 0)
		l.goes(childOf(l, child, 0))
		if res := l.rests(id, agent.StatusIdle); res.Text != "returned: returned: waited for look it up" {
			l.Errorf("the run says %q", res.Text)
		}
		l.after(time.Minute)
		l.draws(id, "desk idle (billing done (lookup done))")
		if s := l.state(other); s.Seq != 2 {
			l.Errorf("another run was driven as well\n%s", l.log(other))
		}
		cancel()
		group.Wait()
	})
}

// A delegate goes on where its agent is: if the process that drives its root does not
// have it, that waits, and says so in the list.
func TestDelegateOfAnotherProcess(t *testing.T) {
	inLab(t, func(l *lab) {
		desk, billing := manager(named("billing", asksFirst), "x"), named("billing", asksFirst)
		ask := l.left(desk)[0] // by a program that had both, which is gone
		id, child := ask.Path[0].Run, ask.ID.Run()
		alone := manager(billing, "x")
		alone.Delegates = nil
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{alone}, nil)
		l.must(err)
		if res, err := o.Await(l.Context(), id); err != nil || len(res.Asks) != 1 || res.Asks[0].ID != ask.ID {
			l.Errorf("the result is %+v, %v", res, err)
		}
		l.try(ask, "", l.answering(ask, red(bob)))
		ctx, cancel := context.WithTimeout(l.Context(), time.Hour)
		if res, err := o.Await(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
			l.Errorf("nobody can drive the delegate, and the result is %+v, %v", res, err)
		}
		cancel()
		if e := l.entry(child); e.Late < 50*time.Minute {
			l.Errorf("the list does not say that the delegate is late: %+v", e)
		}
		l.refused(o.Drive(l.Context(), child), agent.RefusedUnknown)
		l.work(nil, billing)
		if res, err := o.Await(l.Context(), id); err != nil || res.Text != "returned: answered: red bob" {
			l.Errorf("the result is %+v, %v", res, err)
		}
	})
}

// A request's deadline ends its run, whatever it does, and whether or not a worker
// is up.
func TestRequestDeadline(t *testing.T) {
	begin := func(l *lab, at time.Time, key string) agent.RunID {
		l.Helper()
		id, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go"), User: asker, Deadline: at, Key: key})
		l.must(err)
		return id
	}
	failed := func(l *lab, id agent.RunID, at time.Time) {
		l.Helper()
		res := l.rests(id, agent.StatusFailed)
		if want := "it had to end by " + at.UTC().Format(time.RFC3339); res.Reason != want || len(res.Asks) > 0 {
			l.Errorf("the result is %+v, want the reason %q", res, want)
		}
	}
	t.Run("of one that asks", func(t *testing.T) {
		inLab(t, func(l *lab) {
			l.work(nil, questions(forWhom(nil, nil)))
			at := time.Now().Add(time.Hour).In(time.FixedZone("far", 7200))
			ask := l.open(begin(l, at, ""))
			l.after(time.Until(at) - time.Microsecond)
			if s := l.state(ask.ID.Run()); s.Ended {
				l.Error("it has ended too early")
			}
			l.after(time.Microsecond)
			failed(l, ask.ID.Run(), at)
			l.try(ask, agent.RefusedConflict, l.answering(ask, red(bob)), "withdrawn")
		})
	})
	t.Run("of one that nobody drives", func(t *testing.T) {
		inLab(t, func(l *lab) {
			at := time.Now().Add(time.Hour)
			id := begin(l, at, "")
			l.after(2 * time.Hour)
			l.refused(l.client.Send(l.Context(), id, agent.Text("hello?"), nil), agent.RefusedConflict)
			l.kinds(id, "started", "messaged", "lapsed")
			failed(l, id, at)
		})
	})
	t.Run("that has passed", func(t *testing.T) {
		inLab(t, func(l *lab) {
			l.work(nil, questions(forWhom(nil, nil)))
			at := time.Now().Add(-time.Hour)
			id := begin(l, at, "")
			failed(l, id, at)
			l.kinds(id, "started", "messaged", "lapsed")
		})
	})
	t.Run("is part of the request", func(t *testing.T) {
		inLab(t, func(l *lab) {
			at := time.Now().Add(time.Hour)
			if id := begin(l, at, "k"); id != begin(l, at.In(time.FixedZone("far", 7200)), "k") {
				l.Error("the same request has started two runs")
			}
			_, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go"), User: asker, Key: "k"})
			l.refused(err, agent.RefusedConflict)
		})
	})
	t.Run("of a delegate", func(t *testing.T) {
		inLab(t, func(l *lab) {
			l.work(nil, manager(named("billing", waits), "x"))
			at := time.Now().Add(time.Hour)
			id := begin(l, at, "")
			l.rests(id, agent.StatusWaiting)
			child := childOf(l, id, 0)
			if s := l.state(child); !s.Deadline.Equal(at) {
				l.Errorf("the delegate has the deadline %s", s.Deadline)
			}
			l.after(time.Hour)
			failed(l, id, at)
			l.after(time.Minute)
			if e := l.entry(child); !e.Index.Status.Ended() {
				l.Errorf("the delegate is %+v", e.Index)
			}
		})
	})
}

// afterRead is a store that has something happen when a run was read, and before it is
// erased.
type afterRead struct {
	memory.Store
	run         agent.RunID
	then, erase func() // nil is nothing
}

func (s *afterRead) Erase(c ctx, id agent.RunID) error {
	if id == s.run && s.erase != nil {
		s.erase()
	}
	return s.Store.Erase(c, id)
}

func (s *afterRead) Read(c ctx, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	log, err := s.Store.Read(c, id, o)
	if id == s.run && s.then != nil {
		s.then()
	}
	return log, err
}

// The parent of an erased delegate is told, also where the delegate goes on and
// says so between the look at it and its end.
func TestEraseWhileADelegateGoesOn(t *testing.T) {
	inLab(t, func(l *lab) {
		waits := plan(func(*agent.View) *agent.Move {
			return &agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Name: "go"}, {Kind: agent.ActWait, Name: "never"}}, Again: agent.AtEachClosing}
		})
		l.work(nil, manager(&agent.Agent{Name: "billing", Planner: waits}, "go"))
		id := l.start("go")
		l.rests(id, agent.StatusWaiting)
		child := childOf(l, id, 0)
		store := &afterRead{Store: l.store.Another(), run: child, then: sync.OnceFunc(func() {
			l.must(l.client.Signal(l.Context(), child, "go", nil, nil))
			l.after(time.Minute)
		})}
		o, err := orchestrator.New(store, nil, nil)
		l.must(err)
		l.must(o.Erase(l.Context(), child))
		l.after(time.Minute)
		if res := orchestrator.ResultOf(l.state(id)); res.Status != agent.StatusIdle || res.Text != "failed: it failed: the run was erased" {
			l.Errorf("the parent is %s and was told %q\n%s", res.Status, res.Text, l.log(id))
		}
	})
}
