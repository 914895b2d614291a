package chart_test

import (
	"fmt"
	"slices"

	"github.com/fermata-run/fermata/planner/graph/chart"
	"pgregory.net/rapid"
)

// names are the events of random charts; one of them comes in two kinds.
var names = []string{"a", "b", "b.x", "c"}

// How many counters there are, and up to where guards look.
const (
	counters = 3
	most     = 4
)

// limit is a guard: a counter is below a number. One that is broken cannot be
// evaluated.
type limit struct {
	counter, below int
	broken         bool
}

// act is a content: it leaves a word in the trace, counts, and may raise an event, the
// first few times or always.
type act struct {
	word    string
	counter int // -1: none
	raise   string
	always  bool
}

// growth is a random chart in the making.
type growth struct {
	t     *rapid.T
	left  int // nodes that may still be made
	nodes []*chart.Node
	up    map[*chart.Node]*chart.Node
	words int
}

func (g *growth) upTo(n int, what string) int { return rapid.IntRange(0, n).Draw(g.t, what) }

func (g *growth) oneIn(n int, what string) bool { return g.upTo(n-1, what) == n-1 }

// grow draws the tree of a chart, and edges between its nodes.
func grow(t *rapid.T) *chart.Node {
	g := &growth{t: t, left: 18, up: map[*chart.Node]*chart.Node{}}
	root := &chart.Node{Kind: chart.State}
	g.children(root, 0)
	for _, n := range g.nodes {
		g.dress(n)
	}
	return root
}

func (g *growth) children(n *chart.Node, depth int) {
	want := 2 + g.upTo(2, "children")
	region := g.up[n] != nil && g.up[n].Kind == chart.Parallel
	if region {
		want = 2
	}
	for range want {
		kind := chart.State
		if pick := g.upTo(9, "kind"); n.Kind == chart.State && len(n.Children) > 0 && (pick >= 7 || region) {
			kind = chart.Final
		} else if pick >= 5 {
			kind = chart.Parallel
		}
		if g.left <= 2 && kind == chart.Parallel {
			kind = chart.State
		}
		k := g.node(n, kind)
		if depth < 4 && g.left > 2 && (kind == chart.Parallel || kind == chart.State && (n.Kind == chart.Parallel || g.oneIn(2, "compound"))) {
			g.children(k, depth+1)
		} else if kind == chart.Parallel {
			k.Kind = chart.State
		}
	}
	if n.ID != "" && g.oneIn(2, "history") {
		g.node(n, rapid.SampledFrom([]chart.Kind{chart.Shallow, chart.Deep}).Draw(g.t, "history"))
	}
}

func (g *growth) node(parent *chart.Node, kind chart.Kind) *chart.Node {
	k := &chart.Node{ID: fmt.Sprintf("n%d", len(g.nodes)+1), Kind: kind, Invokes: kind != chart.Shallow && kind != chart.Deep && g.oneIn(4, "invokes")}
	parent.Children = append(parent.Children, k)
	g.nodes, g.up[k] = append(g.nodes, k), parent
	g.left--
	return k
}

// below are the nodes under n.
func (g *growth) below(n *chart.Node) []*chart.Node {
	return slices.DeleteFunc(slices.Clone(g.nodes), func(k *chart.Node) bool {
		for k = g.up[k]; k != nil && k != n; k = g.up[k] {
		}
		return k == nil
	})
}

// dress gives a node what it does, and its edges.
func (g *growth) dress(n *chart.Node) {
	states := slices.DeleteFunc(g.below(n), isHistory)
	switch {
	case isHistory(n):
		in := slices.DeleteFunc(g.below(g.up[n]), isHistory)
		n.Initial = &chart.Edge{Targets: []*chart.Node{rapid.SampledFrom(in).Draw(g.t, "default")}, Content: g.contents(2)}
		return
	case n.Kind == chart.State && len(states) > 0 && g.oneIn(3, "initial"):
		n.Initial = &chart.Edge{Targets: g.targets(g.below(n)), Content: g.contents(2)}
	}
	n.Entry, n.Exit = g.contents(3), g.contents(3)
	if n.Kind == chart.Final {
		return
	}
	for range g.upTo(3, "edges") {
		n.Edges = append(n.Edges, g.edge(n))
	}
}

func (g *growth) edge(n *chart.Node) *chart.Edge {
	e := &chart.Edge{Content: g.contents(2), Internal: g.oneIn(3, "internal")}
	switch on := g.upTo(7, "on"); on {
	case 0, 1, 2: // eventless, or on what follows from others: its guard has to fail some time
		c := g.upTo(counters-1, "counter")
		e.Guard = limit{counter: c, below: 1 + g.upTo(most-1, "below")}
		if !g.oneIn(40, "endless") {
			e.Content = append(e.Content, act{word: g.word(), counter: c})
		}
		e.Events = [][]string{nil, {"done.state"}, {"*"}}[on]
	case 3:
		e.Events = []string{"c", "error"}
	default:
		e.Events = []string{rapid.SampledFrom(names).Draw(g.t, "event")}
	}
	if e.Guard == nil && g.oneIn(4, "guarded") {
		e.Guard = limit{counter: g.upTo(counters-1, "counter"), below: 1 + g.upTo(most-1, "below"), broken: g.oneIn(6, "broken")}
	}
	if !g.oneIn(6, "targetless") {
		e.Targets = g.targets(g.nodes)
		if last := g.up[n].Children; g.oneIn(2, "ends") {
			if i := slices.IndexFunc(last, func(k *chart.Node) bool { return k.Kind == chart.Final && k.ID != n.ID }); i >= 0 && g.up[n] != nil {
				e.Targets = last[i : i+1]
			}
		}
	}
	return e
}

// targets are one node, or some in different regions.
func (g *growth) targets(among []*chart.Node) []*chart.Node {
	t := rapid.SampledFrom(among).Draw(g.t, "target")
	if t.Kind != chart.Parallel || !g.oneIn(2, "split") {
		return []*chart.Node{t}
	}
	var split []*chart.Node
	for _, k := range t.Children {
		if isHistory(k) || len(split) > 0 && g.oneIn(3, "left out") {
			continue
		}
		split = append(split, rapid.SampledFrom(append([]*chart.Node{k}, g.below(k)...)).Draw(g.t, "in region"))
	}
	return split
}

func (g *growth) word() string {
	g.words++
	return fmt.Sprintf("do %d", g.words)
}

func (g *growth) contents(rare int) []any {
	if !g.oneIn(rare, "content") {
		return nil
	}
	a := act{word: g.word(), counter: g.upTo(counters, "counter") - 1}
	if g.oneIn(4, "raises") {
		a.raise, a.always = rapid.SampledFrom(names).Draw(g.t, "raised"), g.oneIn(20, "endless")
	}
	return []any{a}
}

// draw shows a chart, a node a line.
func draw(n *chart.Node, indent string) string {
	s := fmt.Sprintf("%s%s %d", indent, n.ID, n.Kind)
	show := func(e *chart.Edge) string {
		var to []string
		for _, t := range e.Targets {
			to = append(to, t.ID)
		}
		return fmt.Sprintf(" [on %v if %v to %v internal %v do %v]", e.Events, e.Guard, to, e.Internal, e.Content)
	}
	if n.Initial != nil {
		s += " initial" + show(n.Initial)
	}
	for _, e := range n.Edges {
		s += show(e)
	}
	if len(n.Entry)+len(n.Exit) > 0 {
		s += fmt.Sprintf(" entry %v exit %v", n.Entry, n.Exit)
	}
	s += "\n"
	for _, k := range n.Children {
		s += draw(k, indent+"  ")
	}
	return s
}
