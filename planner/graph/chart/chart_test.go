package chart_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// host writes down all that it is told, in order.
type host struct {
	in    func(*chart.Node) bool
	trace []string
}

// content is one that may raise an event; guard one that asks where the chart is.
type (
	content struct{ name, raises string }
	guard   struct {
		node *chart.Node
		not  bool
	}
)

func (h *host) note(format string, args ...any) {
	h.trace = append(h.trace, fmt.Sprintf(format, args...))
}

func (h *host) holds(g any) bool { return h.in(g.(*guard).node) != g.(*guard).not }

func (h *host) Holds(g any, _ *chart.Event, _ func(*chart.Event)) (bool, error) {
	return h.holds(g), nil
}

func (h *host) Run(c any, e *chart.Event, raise func(*chart.Event)) error {
	x := c.(*content)
	h.note("%s on %s", x.name, nameOf(e))
	if x.raises != "" {
		raise(&chart.Event{Name: x.raises})
	}
	return nil
}

func nameOf(e *chart.Event) string {
	if e == nil {
		return "nothing"
	}
	return e.Name
}

func (h *host) Entered(n *chart.Node, _ *chart.Event, _ func(*chart.Event)) error {
	h.note("into %s", n.ID)
	return nil
}

func (h *host) Left(n *chart.Node, _ *chart.Event) error {
	h.note("out of %s", n.ID)
	return nil
}

func (h *host) Done(n, _ *chart.Node, _ *chart.Event, _ func(*chart.Event)) *chart.Event {
	h.note("done %s", n.ID)
	return &chart.Event{Name: "done.state." + n.ID}
}

func (h *host) Invoke(n *chart.Node, _ *chart.Event, _ func(*chart.Event)) error {
	h.note("invoke %s", n.ID)
	return nil
}

func (h *host) Took(*chart.Edge, *chart.Event) {}
func (h *host) Missed(*chart.Event)            {}

// random makes charts of all that there is.
type random struct {
	*rand.Rand
	nodes  []*chart.Node
	parent map[*chart.Node]*chart.Node
	count  int
}

func (r *random) one(of ...string) string { return of[r.IntN(len(of))] }

func pick[T any](r *random, of []T) T { return of[r.IntN(len(of))] }

func (r *random) contents() []any {
	var list []any
	for range r.IntN(3) {
		r.count++
		list = append(list, &content{fmt.Sprintf("c%d", r.count), r.one("", "", "", "", "a", "b.c")})
	}
	return list
}

func (r *random) node(depth int, in *chart.Node) *chart.Node {
	r.count++
	n := &chart.Node{ID: fmt.Sprintf("n%d", r.count), Entry: r.contents(), Exit: r.contents(), Invokes: r.IntN(4) == 0}
	r.nodes, r.parent[n] = append(r.nodes, n), in
	switch k := r.IntN(10); {
	case k == 0 && in.Kind == chart.State:
		n.Kind = chart.Final
		return n
	case k < 4 && depth > 0:
		n.Kind = chart.Parallel
	case k < 8 && depth > 0:
	default:
		return n
	}
	for range 1 + r.IntN(3) {
		n.Children = append(n.Children, r.node(depth-1, n))
	}
	if r.IntN(2) == 0 {
		r.count++
		h := &chart.Node{ID: fmt.Sprintf("h%d", r.count), Kind: chart.Shallow + chart.Kind(r.IntN(2))}
		h.Initial = &chart.Edge{Content: r.contents(), Targets: r.targets(1+r.IntN(3), r.below(n, false))}
		n.Children = slices.Insert(n.Children, r.IntN(len(n.Children)+1), h)
		r.nodes, r.parent[h] = append(r.nodes, h), n
	}
	return n
}

// below returns the nodes below one that has children.
func (r *random) below(n *chart.Node, histories bool) []*chart.Node {
	var list []*chart.Node
	for _, k := range n.Children {
		if histories || !isHistory(k) {
			list = append(list, k)
		}
		list = append(list, r.below(k, histories)...)
	}
	return list
}

// around returns a node and those around it, from the inside out. Of a history it is
// the node that it remembers.
func (r *random) around(n *chart.Node) []*chart.Node {
	if isHistory(n) {
		n = r.parent[n]
	}
	var list []*chart.Node
	for ; n != nil; n = r.parent[n] {
		list = append(list, n)
	}
	return list
}

// targets picks up to n nodes that can be active at once.
func (r *random) targets(n int, of []*chart.Node) []*chart.Node {
	var list []*chart.Node
	for range 3 * n {
		t := pick(r, of)
		fits := len(list) < n && !slices.ContainsFunc(list, func(o *chart.Node) bool {
			mine, others := r.around(t), r.around(o)
			i := slices.IndexFunc(mine, func(x *chart.Node) bool { return slices.Contains(others, x) })
			return mine[i].Kind != chart.Parallel || i == 0 || mine[i] == others[0]
		})
		if fits {
			list = append(list, t)
		}
	}
	return list
}

func (r *random) edge() *chart.Edge {
	e := &chart.Edge{Content: r.contents(), Internal: r.IntN(3) == 0, Targets: r.targets([]int{0, 1, 1, 1, 2, 3}[r.IntN(6)], r.nodes)}
	if r.IntN(6) > 0 {
		e.Events = []string{r.one("a", "b", "b.c", "*", "done", "b.*")}
	}
	if len(e.Events) == 0 || r.IntN(4) == 0 {
		e.Guard = &guard{pick(r, r.nodes), r.IntN(2) == 0}
	}
	return e
}

func (r *random) chart(t *testing.T) *chart.Chart {
	root := &chart.Node{}
	for range 1 + r.IntN(3) {
		root.Children = append(root.Children, r.node(3, root))
	}
	for _, n := range r.nodes {
		if n.Kind == chart.Final || isHistory(n) {
			continue
		}
		for range r.IntN(3) {
			n.Edges = append(n.Edges, r.edge())
		}
		if isCompound(n) && r.IntN(2) == 0 {
			n.Initial = &chart.Edge{Content: r.contents(), Targets: r.targets(1+r.IntN(2), r.below(n, true))}
		}
	}
	c, err := chart.New(root)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKernelIsAppendixD plays random events on random charts, beside the algorithm as
// the recommendation has it: all that is entered, left, run, raised and invoked comes
// in the same order, and a configuration that was saved and restored goes on as one
// that was not.
func TestKernelIsAppendixD(t *testing.T) {
	charts, steps := 0, 0
	for seed := range uint64(1_500) {
		r := &random{Rand: rand.New(rand.NewPCG(seed, 1)), parent: map[*chart.Node]*chart.Node{}}
		c := r.chart(t)
		charts++
		var s chart.Configuration
		kernel, theirs := &host{in: s.In}, &host{}
		a := newAppendix(c, theirs)
		step, theirStep := func() error { return c.Start(&s, kernel) }, a.start
		for range 12 {
			if theirStep() != nil {
				break // it does not end
			}
			if err := step(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			steps++
			if !slices.Equal(kernel.trace, theirs.trace) || !slices.Equal(c.ActiveNodes(&s), a.sorted(a.in)) || s.Ended == a.running {
				t.Fatalf("seed %d: the kernel goes\n  %s\nand appendix D\n  %s\nand they are in %v (ended: %v), and %v (ended: %v)", seed, strings.Join(kernel.trace, "\n  "), strings.Join(theirs.trace, "\n  "), ids(c.ActiveNodes(&s)), s.Ended, ids(a.sorted(a.in)), !a.running)
			}
			saved, err := c.Save(&s)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			restored, err := c.Restore(saved)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			s = *restored
			kernel.trace, theirs.trace = nil, nil
			e := &chart.Event{Name: r.one("a", "b", "b.c", "d")}
			a.steps = 0
			step, theirStep = func() error { return c.Step(&s, kernel, e) }, func() error { return a.step(e) }
		}
	}
	t.Logf("%d charts, %d steps", charts, steps)
	if steps < 5_000 {
		t.Errorf("there were only %d steps: the charts make too little sense", steps)
	}
}

func ids(nodes []*chart.Node) []string {
	var list []string
	for _, n := range nodes {
		list = append(list, n.ID)
	}
	return list
}

func state(id string, kids ...*chart.Node) *chart.Node { return &chart.Node{ID: id, Children: kids} }

func kind(k chart.Kind, n *chart.Node) *chart.Node { n.Kind = k; return n }

func on(n *chart.Node, event string, to ...*chart.Node) *chart.Node {
	n.Edges = append(n.Edges, &chart.Edge{Events: []string{event}, Targets: to})
	return n
}

// A join of regions that are parallel themselves is told at each level, once.
func TestJoinOfParallelRegions(t *testing.T) {
	region := func(id string) *chart.Node {
		end := kind(chart.Final, state(id+".end"))
		return state(id, on(state(id+".go"), id, end), end)
	}
	inner := kind(chart.Parallel, state("inner", region("a"), region("b")))
	outer := kind(chart.Parallel, state("outer", inner, region("c")))
	c, err := chart.New(state("", outer))
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range []string{"abc", "cab", "acb"} {
		var s chart.Configuration
		h := &host{in: s.In}
		if err := c.Start(&s, h); err != nil {
			t.Fatal(err)
		}
		for _, e := range order {
			if err := c.Step(&s, h, &chart.Event{Name: string(e)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{"inner", "outer"} {
			n := 0
			for _, line := range h.trace {
				if line == "done "+id {
					n++
				}
			}
			if n != 1 {
				t.Errorf("in the order %s: %s was done %d times, want once", order, id, n)
			}
		}
	}
}

func TestChartsThatMakeNoSense(t *testing.T) {
	history := func(id string, to ...*chart.Node) *chart.Node {
		return kind(chart.Deep, &chart.Node{ID: id, Initial: &chart.Edge{Targets: to}})
	}
	a, b := state("a"), state("b")
	h1, h2 := history("h1"), history("h2")
	h1.Initial.Targets, h2.Initial.Targets = []*chart.Node{h2}, []*chart.Node{h1}
	inP, h := state("in"), history("h")
	h.Initial.Targets = []*chart.Node{inP}
	for _, c := range []struct {
		name string
		root *chart.Node
		says string
	}{
		{"nothing in it", state(""), "the root needs a state"},
		{"one id twice", state("", state("a"), state("a")), `two nodes have the id "a"`},
		{"no default", state("", state("a", history("h"), state("b"))), `the history "h" needs a default`},
		{"defaults in a circle", state("", state("s", h1, h2, state("x"))), "is the history"},
		{"both at once", state("", on(state("s"), "e", a, b), a, b), "cannot both be active"},
		{"a region and all of them", state("", on(state("s"), "e", h, inP), kind(chart.Parallel, state("p", h, state("r", inP), state("q")))), "cannot both be active"},
		{"from a final node", state("", on(kind(chart.Final, state("f")), "e")), "a final node is not left"},
		{"a final region", state("", kind(chart.Parallel, state("p", kind(chart.Final, state("f"))))), "has a final child"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := chart.New(c.root); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, want %q", err, c.says)
			}
		})
	}
}

// A circle of eventless transitions ends with an error.
func TestCircle(t *testing.T) {
	a, b := state("a"), state("b")
	a.Edges = []*chart.Edge{{Targets: []*chart.Node{b}}}
	b.Edges = []*chart.Edge{{Targets: []*chart.Node{a}}}
	c, err := chart.New(state("", a, b))
	if err != nil {
		t.Fatal(err)
	}
	var s chart.Configuration
	if err := c.Start(&s, &host{in: s.In}); !errors.Is(err, chart.ErrNeverEnds) {
		t.Errorf("it says %v, want %v", err, chart.ErrNeverEnds)
	}
}

func TestSavedConfigurationsThatDoNotFit(t *testing.T) {
	c, err := chart.New(state("", kind(chart.Parallel, state("p", state("a"), state("b"))), state("s")))
	if err != nil {
		t.Fatal(err)
	}
	for saved, says := range map[string]string{
		`[]`:                               "not a saved configuration",
		`{"active":["x"]}`:                 `the node "x", which the chart does not have`,
		`{"active":["a"]}`:                 "1 of the 2 regions",
		`{"active":["a","b","s"]}`:         "2 active children",
		`{"active":[],"history":{"a":[]}}`: `the history "a"`,
	} {
		if _, err := c.Restore(json.RawMessage(saved)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want one that says %q", saved, err, says)
		}
	}
}

// A history that is gone to as its parent is left brings that back, whole.
func TestHistoryFromWithin(t *testing.T) {
	inner := state("inner")
	region := state("region", inner)
	h := kind(chart.Deep, &chart.Node{ID: "h", Initial: &chart.Edge{Targets: []*chart.Node{region}}})
	on(inner, "again", h)
	c, err := chart.New(state("", kind(chart.Parallel, state("p", region, h))))
	if err != nil {
		t.Fatal(err)
	}
	var s chart.Configuration
	kernel := &host{in: s.In}
	if err := c.Start(&s, kernel); err != nil {
		t.Fatal(err)
	}
	if err := c.Step(&s, kernel, &chart.Event{Name: "again"}); err != nil {
		t.Fatal(err)
	}
	if got := ids(c.ActiveNodes(&s)); !slices.Equal(got, []string{"p", "region", "inner"}) {
		t.Errorf("it is in %v, and its parallel node is missing", got)
	}
}
