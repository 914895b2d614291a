package chart_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/planner/graph/chart"
	"pgregory.net/rapid"
)

// The kernel over random charts and random events. Every schedule is played twice:
// by a chart, and by one that is saved and restored after each macrostep. What each
// does is written down by a world of its own. TestKernelIsAppendixD says whether it is
// the right thing; here it is held that it makes sense.

// world is what guards and contents mean.
type world struct {
	trace           []string
	count           [counters]int
	raised, invoked int

	active map[*chart.Node]bool // as Entered and Left tell it
	ripe   map[*chart.Node]int  // how often a node has become done
	told   map[*chart.Node]int  // how often its done event was asked for
	wrong  []string
}

func newWorld() *world {
	return &world{active: map[*chart.Node]bool{}, ripe: map[*chart.Node]int{}, told: map[*chart.Node]int{}}
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) bad(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

var errBroken = errors.New("it cannot be evaluated")

func (w *world) holds(guard any, raise func(*chart.Event)) (bool, error) {
	g := guard.(limit)
	if g.broken {
		if raise != nil {
			raise(&chart.Event{Name: "error.execution"})
		}
		return false, errBroken
	}
	return w.count[g.counter] < g.below, nil
}

func (w *world) run(content any, raise func(*chart.Event)) {
	a := content.(act)
	w.note("%s", a.word)
	if a.counter >= 0 {
		w.count[a.counter]++
	}
	if w.raised++; a.raise != "" && (a.always || w.raised < 40) {
		raise(&chart.Event{Name: a.raise})
	}
}

func (w *world) entered(n *chart.Node) {
	if p := n.Parent(); p.ID != "" && !w.active[p] {
		w.bad("%s is entered before %s, which it is in", n.ID, p.ID)
	}
	if w.active[n] {
		w.bad("%s is entered, and is active", n.ID)
	}
	w.active[n] = true
	w.note("enter %s", n.ID)
	for p := n.Parent(); n.Kind == chart.Final && p.ID != ""; p = p.Parent() {
		if p != n.Parent() && p.Kind != chart.Parallel || !w.isDone(p) {
			break
		}
		w.ripe[p]++
	}
}

// isDone reports whether all that a node waits for has ended.
func (w *world) isDone(n *chart.Node) bool {
	for _, k := range states(n) {
		if n.Kind == chart.Parallel && !w.isDone(k) {
			return false
		}
		if n.Kind != chart.Parallel && k.Kind == chart.Final && w.active[k] {
			return true
		}
	}
	return n.Kind == chart.Parallel
}

func (w *world) left(n *chart.Node) {
	for _, k := range n.Children {
		if w.active[k] {
			w.bad("%s is left before %s, which is in it", n.ID, k.ID)
		}
	}
	if !w.active[n] {
		w.bad("%s is left, and is not active", n.ID)
	}
	delete(w.active, n)
	w.note("leave %s", n.ID)
}

func (w *world) done(n *chart.Node) *chart.Event {
	if w.told[n]++; w.told[n] > w.ripe[n] {
		w.bad("%s is said to be done for the %d. time, and became so %d times", n.ID, w.told[n], w.ripe[n])
	}
	w.note("done %s", n.ID)
	return &chart.Event{Name: "done.state." + n.ID}
}

func (w *world) invoke(n *chart.Node, raise func(*chart.Event)) {
	w.note("invoke %s", n.ID)
	if w.invoked++; w.invoked%3 == 1 && w.invoked < 12 {
		raise(&chart.Event{Name: "c", Node: n})
	}
}

func (w *world) took(e *chart.Edge) {
	i := slices.Index(e.Source().Edges, e)
	w.note("take %s.%d", e.Source().ID, i)
}

func (w *world) missed(e *chart.Event) { w.note("miss %s", e.Name) }

// witness makes a world the Host of a chart.
type witness struct{ *world }

func (h witness) Holds(g any, _ *chart.Event, raise func(*chart.Event)) (bool, error) {
	return h.holds(g, raise)
}
func (h witness) Run(c any, _ *chart.Event, raise func(*chart.Event)) error {
	h.run(c, raise)
	return nil
}
func (h witness) Entered(n *chart.Node, _ *chart.Event, _ func(*chart.Event)) error {
	h.entered(n)
	return nil
}
func (h witness) Left(n *chart.Node, _ *chart.Event) error { h.left(n); return nil }
func (h witness) Done(n, _ *chart.Node, _ *chart.Event, _ func(*chart.Event)) *chart.Event {
	return h.done(n)
}
func (h witness) Invoke(n *chart.Node, _ *chart.Event, raise func(*chart.Event)) error {
	h.invoke(n, raise)
	return nil
}
func (h witness) Took(e *chart.Edge, _ *chart.Event) { h.took(e) }
func (h witness) Missed(e *chart.Event)              { h.missed(e) }

// trial is a chart in its two plays.
type trial struct {
	t      *rapid.T
	c      *chart.Chart
	kept   *chart.Configuration // never saved
	saved  *chart.Configuration // saved and restored each time
	w1, w2 *world
}

// next has both react, and compares them. It is false when the chart has ended, or
// goes round in a circle.
func (x *trial) next(e *chart.Event) bool {
	step := func(s *chart.Configuration, w *world) error {
		if len(s.Active) == 0 {
			return x.c.Start(s, witness{w})
		}
		return x.c.Step(s, witness{w}, e)
	}
	err := step(x.kept, x.w1)
	x.sound()
	switch {
	case errors.Is(err, chart.ErrNeverEnds):
		return false
	case err != nil:
		x.t.Fatal(err)
	}
	if err := step(x.saved, x.w2); err != nil {
		x.t.Fatalf("restored: %v", err)
	}
	if !slices.Equal(x.w1.trace, x.w2.trace) {
		x.t.Fatalf("it did\n  %s\nand restored\n  %s", strings.Join(x.w1.trace, "\n  "), strings.Join(x.w2.trace, "\n  "))
	}
	x.restore()
	x.w1.trace, x.w2.trace = nil, nil
	return !x.kept.Ended
}

// sound looks at what one play alone shows: order, joins, and a configuration that
// is one.
func (x *trial) sound() {
	w := x.w1
	for n, ripe := range w.ripe {
		if w.told[n] != ripe {
			w.bad("%s became done %d times, and this was said %d times", n.ID, ripe, w.told[n])
		}
	}
	if len(w.wrong) > 0 {
		x.t.Fatalf("%s\n%s", strings.Join(w.wrong, "\n"), strings.Join(w.trace, "\n"))
	}
	for _, n := range x.c.Nodes() {
		in := 0
		for _, k := range n.Children {
			if x.kept.In(k) {
				in++
			}
			if isHistory(k) && x.kept.In(k) {
				x.t.Fatalf("the history %s is active", k.ID)
			}
		}
		active, want := n.ID == "" || x.kept.In(n), 1
		switch {
		case !active || n.Atomic():
			want = 0
		case n.Kind == chart.Parallel:
			want = len(states(n))
		}
		if in != want {
			x.t.Fatalf("%q (active: %v) has %d active nodes in it, and %d are right: %v", n.ID, active, in, want, x.c.Basic(x.kept))
		}
	}
}

func (x *trial) restore() {
	raw, err := x.c.Save(x.saved)
	if err != nil {
		x.t.Fatal(err)
	}
	again, err := x.c.Restore(slices.Clone(json.RawMessage(raw)))
	if err != nil {
		x.t.Fatalf("%s: %v", raw, err)
	}
	if !reflect.DeepEqual(again, x.kept) {
		x.t.Fatalf("saved as %s it is %+v, and it was %+v", raw, again, x.kept)
	}
	x.saved = again
}

func TestRandomCharts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root := grow(t)
		c, err := chart.New(root)
		if err != nil {
			t.Fatalf("the chart is refused: %v", err)
		}
		t.Logf("%s", draw(root, ""))
		x := &trial{t: t, c: c, kept: &chart.Configuration{}, saved: &chart.Configuration{}, w1: newWorld(), w2: newWorld()}
		if !x.next(nil) {
			return
		}
		for range rapid.IntRange(0, 12).Draw(t, "events") {
			e := &chart.Event{Name: rapid.SampledFrom(names).Draw(t, "event")}
			if rapid.IntRange(0, 4).Draw(t, "whose") == 4 {
				e.Node = c.Nodes()[rapid.IntRange(1, len(c.Nodes())-1).Draw(t, "node")]
			}
			if !x.next(e) {
				return
			}
		}
	})
}
