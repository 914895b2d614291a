package graph_test

import (
	"fmt"
	"slices"

	"github.com/fermata-run/fermata/planner/graph"
	"pgregory.net/rapid"
)

// drawing is a random definition in the making: lines of blocks, each with an edge to
// the next, and the last to a final node; a block may have lines in it. What is drawn
// so is accepted, and comes to an end as soon as the world around it wants it to.
type drawing struct {
	t      *rapid.T
	d      *graph.Definition
	prefix string   // of ids: a node's id is its own among all graphs
	left   int      // blocks that may still be drawn
	args   bool     // in a planner node whose model gives the input
	subs   []string // graphs that nodes may name
	count  int
}

// drawDefinition draws a graph with up to two graphs in it.
func drawDefinition(t *rapid.T) *graph.Definition {
	main := &drawing{t: t, d: &graph.Definition{Graph: "main"}, prefix: "m", left: 14}
	for i, name := range []string{"inner", "outer"}[2-main.upTo(2, "graphs"):] {
		sub := &drawing{t: t, d: &graph.Definition{Graph: name}, prefix: name[:1], left: 4 + 2*i, subs: slices.Clone(main.subs)}
		sub.whole()
		main.d.Graphs = append(main.d.Graphs, sub.d)
		main.subs = append(main.subs, name)
	}
	main.whole()
	for i := len(main.d.Graphs) - 1; i >= 0; i-- { // what nothing runs is refused
		if !named(main.d, main.d.Graphs[i].Graph) {
			main.d.Graphs = slices.Delete(main.d.Graphs, i, i+1)
		}
	}
	return main.d
}

// named reports whether a node of a definition, or of the graphs in it, runs a graph.
func named(d *graph.Definition, name string) bool {
	return slices.ContainsFunc(append([]*graph.Definition{d}, d.Graphs...), func(g *graph.Definition) bool {
		return slices.ContainsFunc(g.Nodes, func(n graph.Node) bool { return n.Graph == name })
	})
}

func (g *drawing) whole() {
	g.d.Data = []graph.Datum{{ID: "out"}, {ID: "seen", Type: "int", Value: 0}}
	var atEnd []graph.Do
	if g.prefix != "m" {
		g.d.Data = append(g.d.Data, graph.Datum{ID: "ref", Value: "${input.path}"})
		atEnd = []graph.Do{told("over", g.d.Graph)}
	}
	g.line("", atEnd)
	if !slices.ContainsFunc(g.d.Edges, func(e graph.Edge) bool { return slices.Contains(e.On, "always") }) && g.oneIn(3, "may fail") {
		g.node(graph.Node{ID: g.prefix + "bad", Final: "failed", Fail: "in vain"})
		g.edge(g.d.Nodes[0].ID, g.prefix+"bad", "worst")
	}
}

// dice are thrown instead of rapid's own numbers, which are most often the smallest or
// the largest.
var dice = rapid.Custom(func(t *rapid.T) int {
	v := 0
	for range 8 {
		v *= 2
		if rapid.Bool().Draw(t, "") {
			v++
		}
	}
	return v
})

// upTo draws a number from 0 to n.
func upTo(t *rapid.T, n int, what string) int { return dice.Draw(t, what) % (n + 1) }

// oneOf draws one of some words.
func oneOf(t *rapid.T, what string, of []string) string { return of[upTo(t, len(of)-1, what)] }

func (g *drawing) upTo(n int, what string) int { return upTo(g.t, n, what) }

func (g *drawing) oneIn(n int, what string) bool { return g.upTo(n-1, what) == n-1 }

func (g *drawing) one(what string, of ...string) string {
	return oneOf(g.t, what, of)
}

func (g *drawing) id() string {
	g.count++
	return fmt.Sprintf("%s%d", g.prefix, g.count)
}

func (g *drawing) node(n graph.Node) { g.d.Nodes = append(g.d.Nodes, n) }

func (g *drawing) edge(from, to string, on ...string) *graph.Edge {
	g.d.Edges = append(g.d.Edges, graph.Edge{ID: fmt.Sprintf("%s-%s-%d", from, to, len(g.d.Edges)), From: from, To: []string{to}, On: on})
	return &g.d.Edges[len(g.d.Edges)-1]
}

// counter adds a variable that counts how often something was done.
func (g *drawing) counter() string {
	name := fmt.Sprintf("v%d", len(g.d.Data))
	g.d.Data = append(g.d.Data, graph.Datum{ID: name, Type: "int", Value: 0})
	return name
}

// spot is where a block is: what comes next, and where else it may lead in its line.
type spot struct {
	id, in, next string
	later        []string // with next
	before       []string // with itself
	depth        int
}

func (s spot) other(g *drawing) string { return g.one("to", s.later...) }

// line draws a line of blocks in a node. atEnd is what its final node does.
func (g *drawing) line(in string, atEnd []graph.Do, depth ...int) {
	blocks := 1 + g.upTo(2, "blocks")
	if in == "" {
		blocks++
	}
	ids := make([]string, blocks+1)
	for i := range ids {
		ids[i] = g.id()
	}
	for i := range blocks {
		s := spot{id: ids[i], in: in, next: ids[i+1], later: ids[i+1:], before: ids[:i+1], depth: len(depth)}
		g.left--
		if i > 0 && i == blocks-1 && g.oneIn(3, "taken back") {
			n := graph.Node{ID: s.id, In: s.in, Compensate: g.scope(s)}
			g.node(n)
			g.ways(&n, s)
			continue
		}
		g.block(s)
	}
	g.node(graph.Node{ID: ids[blocks], In: in, Final: "done", Entry: atEnd})
}

func (g *drawing) block(s spot) {
	kind := g.upTo(23, "block")
	if g.left <= 0 || s.depth > 2 {
		kind %= 9
	}
	switch {
	case kind < 8:
		n := g.activity(s)
		g.ways(&n, s)
	case kind == 8:
		g.pause(s)
	case kind == 9 || kind == 10:
		g.compound(s)
	case kind <= 13:
		g.parallel(s)
	case kind == 14 || kind == 15:
		g.interruptible(s)
	case kind == 16:
		g.junction(s)
	default:
		g.planner(s)
	}
}

// activity draws a node that does something. first is done as it is entered.
func (g *drawing) activity(s spot, first ...graph.Do) graph.Node {
	n := graph.Node{ID: s.id, In: s.in, Entry: first}
	kind := g.upTo(11, "activity")
	switch {
	case kind <= 3:
		n.Tool, n.Input = "do", map[string]any{"at": s.id}
		if g.oneIn(15, "broken input") {
			n.Input = map[string]any{"at": "${1 / (seen - seen)}"}
		}
	case kind == 4:
		n.Agent, n.Input = "helper", "help at "+s.id
	case kind == 5:
		n.Ask = &graph.Ask{Prompt: "Is it so?", Choices: []string{"yes", "no"}}
	case kind == 6:
		n.Timer = g.one("timer", "1h", "10m")
	case kind == 7 || kind == 8:
		n.Wait = g.wait()
	case (kind == 9 || kind == 10) && len(g.subs) > 0:
		n.Graph = g.one("graph", g.subs...)
	default:
		n.Compensate = g.scope(s)
	}
	if g.args && n.Tool+n.Agent != "" && g.oneIn(2, "given by the model") {
		n.Input = nil
	}
	if ref, can := refs[kindOf(&n)]; can && !g.oneIn(3, "no undo") {
		input := map[string]any{"ref": ref}
		if g.prefix != "m" {
			input["by"] = "${ref}" // a variable, which has to be there when all else has gone
		}
		n.Undo = &graph.Undo{Tool: "undo", Input: input}
		if g.oneIn(3, "undo again") {
			n.Undo.Retry = &graph.Retry{Attempts: 2, Backoff: "1m"}
		}
	}
	g.more(&n)
	if n.Graph != "" { // each run of a graph has a path of its own
		v := g.counter()
		n.Entry = append(n.Entry, graph.Do{Set: map[string]any{v: "${" + v + " + 1}"}})
		path := "${input.path + '/" + s.id + "#' + string(" + v + ")"
		if n.Each != nil {
			path += " + ':' + string(index)"
		}
		n.Input = map[string]any{"path": path + "}"}
	}
	g.decorate(&n)
	g.node(n)
	return n
}

// refs are where the result of an activity has what its undo is given.
var refs = map[string]string{"tool": "${result.ref}", "agent": "${result.ref}", "ask": "${result.note}", "wait": "${result}", "graph": "${result.ref}"}

// kindOf says which activity a node has.
func kindOf(n *graph.Node) string {
	switch {
	case n.Tool != "":
		return "tool"
	case n.Agent != "":
		return "agent"
	case n.Ask != nil:
		return "ask"
	case n.Wait != nil:
		return "wait"
	case n.Graph != "":
		return "graph"
	}
	return ""
}

// wait draws a wait: for a signal that is always kept for a short while, or for one
// that is for good where a node says nothing.
func (g *drawing) wait() *graph.Wait {
	w := &graph.Wait{Signal: g.one("signal", "paid", "shipped", "brief", "brief")}
	if w.Signal == "brief" {
		w.Keep = g.one("keep", "10m", "20m")
	} else if g.oneIn(2, "keep") {
		w.Keep = "2h"
	}
	return w
}

// scope is what is compensated: all, a node around, or a block before.
func (g *drawing) scope(s spot) string {
	of := append([]string{"*", "*"}, s.before[:len(s.before)-1]...)
	if s.in != "" {
		of = append(of, s.in)
	}
	return g.one("scope", of...)
}

// more draws what goes with activities of all kinds.
func (g *drawing) more(n *graph.Node) {
	simple := n.Compensate == "" && n.Timer == nil
	if simple && g.oneIn(3, "each") {
		items := []any{1, 2, 3}[:g.upTo(3, "items")]
		n.Each = &graph.Each{In: items, AtOnce: g.upTo(2, "at once")}
		n.Each.Until = g.one("until", "", "any", "2", "failed >= 2 || results.filter(r, r != null).size() == total", "results.exists(r, r != null)")
	}
	if simple && g.oneIn(4, "within") {
		n.Within = "45m"
	}
	if simple && g.oneIn(4, "retry") {
		n.Retry = &graph.Retry{Attempts: 2 + g.upTo(1, "attempts"), Backoff: "1m"}
		if g.oneIn(3, "some") {
			n.Retry.On = []string{"error.network"}
		}
	}
	switch g.upTo(9, "output") {
	case 8:
		n.Output = "out"
	case 9:
		if n.Wait == nil || n.Undo != nil { // so that it is seen who has taken a signal
			n.Output = map[string]any{"out": "${result.nothing.at.all}"}
		}
	}
}

// decorate has a node do things by the way, as it is entered and left.
func (g *drawing) decorate(n *graph.Node) {
	if !g.oneIn(5, "by the way") {
		return
	}
	name, v := g.one("event", "stop", "go", "paid"), g.counter()
	var do graph.Do
	switch g.upTo(3, "does") {
	case 0:
		do = graph.Do{Raise: name}
	case 1:
		do = graph.Do{Send: &graph.Send{Event: name}}
	case 2:
		do = graph.Do{Send: &graph.Send{Event: name, Delay: "20m", ID: n.ID}}
		if g.oneIn(2, "cancels") {
			n.Exit = append(n.Exit, graph.Do{Cancel: n.ID})
		}
	default:
		do = graph.Do{Send: &graph.Send{Event: name, Delay: "5m"}}
		if g.prefix != "m" {
			do.Send.To = "#_parent"
		}
	}
	n.Entry = append(n.Entry, graph.Do{If: v + " < 2", Then: []graph.Do{{Set: map[string]any{v: "${" + v + " + 1}"}}, do}})
}

// ways draws the edges that lead away from an activity. A wait tells which signal it got,
// a sub-graph how it ended, and a compensation that it is done.
func (g *drawing) ways(n *graph.Node, s spot) {
	var do []graph.Do
	switch {
	case n.Wait != nil:
		do = []graph.Do{toldWith("got", n.ID, "${result}")}
	case n.Graph != "" && n.Each == nil:
		do = []graph.Do{toldWith("ran", n.ID, "${result}")}
	case n.Compensate != "" && n.Output == nil:
		do = []graph.Do{told("back", n.ID)}
	}
	defer func() {
		for i := range g.d.Edges {
			if e := &g.d.Edges[i]; e.From == n.ID && slices.Equal(e.On, []string{"done"}) {
				e.Do = do
			}
		}
	}()
	if n.Ask != nil && n.Each == nil && g.oneIn(2, "by choice") {
		g.edge(s.id, s.other(g), "done.no")
	}
	if g.oneIn(4, "again") {
		v := g.counter()
		e := g.edge(s.id, g.one("back", s.before...), "done")
		e.If, e.Set = v+" < 1", map[string]any{v: "${" + v + " + 1}"}
	}
	g.edge(s.id, s.next, "done")
	switch g.upTo(5, "on error") {
	case 3:
		g.edge(s.id, s.other(g), "error.card", "error.timeout")
	case 4:
		g.edge(s.id, s.other(g), "error")
	}
	if g.oneIn(8, "after") {
		g.edge(s.id, s.other(g)).After = "50m"
	}
	if g.oneIn(8, "on an event") {
		g.edge(s.id, s.other(g), "stop")
	}
	if g.oneIn(8, "counts") {
		g.d.Edges = append(g.d.Edges, graph.Edge{ID: s.id + "-seen", From: s.id, On: []string{"go"}, Set: map[string]any{"seen": "${seen + 1}"}})
	}
}

// pause is a state that is left on an event.
func (g *drawing) pause(s spot) {
	n := graph.Node{ID: s.id, In: s.in}
	g.decorate(&n)
	g.node(n)
	g.edge(s.id, s.next, "go")
	if g.oneIn(2, "after") {
		g.edge(s.id, s.other(g)).After = "3h"
	}
}

// junction is a state that is left at once.
func (g *drawing) junction(s spot) {
	g.node(graph.Node{ID: s.id, In: s.in})
	g.edge(s.id, s.other(g), "always").If = "seen % 2 == 1"
	g.edge(s.id, s.next, "always")
}

// around draws the edges of a node that has others in it.
func (g *drawing) around(s spot) *graph.Edge {
	if g.oneIn(3, "on an event") {
		g.edge(s.id, s.other(g), "stop")
	}
	if g.oneIn(3, "on error") {
		g.edge(s.id, s.other(g), g.one("error", "error", "error.card", "error.network"))
	}
	if g.oneIn(4, "after") {
		g.edge(s.id, s.other(g)).After = "90m"
	}
	return g.edge(s.id, s.next, "done")
}

func (g *drawing) compound(s spot) {
	n := graph.Node{ID: s.id, In: s.in}
	g.decorate(&n)
	g.node(n)
	g.around(s)
	g.line(s.id, nil, make([]int, s.depth+1)...)
}

// told has what happens to a node emitted, for the surroundings to look at.
func told(what, id string) graph.Do {
	return graph.Do{Emit: what, Data: map[string]any{"path": "${input.path}", "id": id}}
}

func toldWith(what, id, result string) graph.Do {
	return graph.Do{Emit: what, Data: map[string]any{"path": "${input.path}", "id": id, "result": result}}
}

// parallel draws regions, and the edge that joins them.
func (g *drawing) parallel(s spot) {
	g.node(graph.Node{ID: s.id, In: s.in, Parallel: true, Entry: []graph.Do{told("enter", s.id)}, Exit: []graph.Do{told("exit", s.id)}})
	g.around(s).Do = []graph.Do{told("join", s.id)}
	for range 2 + g.upTo(1, "regions") {
		region := g.id()
		g.node(graph.Node{ID: region, In: s.id})
		g.line(region, []graph.Do{told("end", region)}, make([]int, s.depth+1)...)
	}
}

// interruptible is a node that is left on an event and gone back to on another.
func (g *drawing) interruptible(s spot) {
	h, z := g.id(), g.id()
	g.node(graph.Node{ID: s.id, In: s.in})
	g.edge(s.id, s.next, "done")
	g.edge(s.id, z, "stop")
	g.line(s.id, nil, make([]int, s.depth+1)...)
	first := slices.IndexFunc(g.d.Nodes, func(n graph.Node) bool { return n.In == s.id })
	g.node(graph.Node{ID: h, In: s.id, History: g.one("history", "deep", "shallow"), Initial: &graph.Edge{To: []string{g.d.Nodes[first].ID}}})
	g.node(graph.Node{ID: z, In: s.in})
	g.edge(z, h, "go")
	g.edge(z, s.next).After = "3h"
}

// planner draws a node whose model chooses among what is in it.
func (g *drawing) planner(s spot) {
	g.plan(s)
	if g.oneIn(4, "on budget") {
		g.edge(s.id, s.other(g), "error.budget").Do = []graph.Do{told("spent", s.id)}
	}
	g.around(s).Do = []graph.Do{toldWith("planned", s.id, "${result}")}
}

func (g *drawing) plan(s spot) {
	p := &graph.Plan{Steps: g.upTo(3, "steps"), Args: !g.oneIn(3, "args")}
	if g.oneIn(3, "tokens") {
		p.Tokens = 60
	}
	g.node(graph.Node{ID: s.id, In: s.in, Plan: p, Entry: []graph.Do{told("plan", s.id)}, Exit: []graph.Do{told("unplan", s.id)}})
	counts := make([]string, 1+g.upTo(3, "choices"))
	for i := range counts {
		counts[i] = g.counter()
	}
	for _, v := range counts {
		c := spot{id: g.id(), in: s.id, later: s.later, before: append(slices.Clone(s.before), ""), depth: s.depth + 1}
		c.before[len(c.before)-1] = c.id
		first := []graph.Do{{Set: map[string]any{v: "${" + v + " + 1}"}}, told("chosen", c.id)}
		g.choice(c, p, first)
		n := &g.d.Nodes[slices.IndexFunc(g.d.Nodes, func(n graph.Node) bool { return n.ID == c.id })]
		switch g.upTo(3, "when") {
		case 0:
			n.When = v + " < 1"
		case 1:
			n.When = g.one("after", counts...) + " > 0"
		case 2:
			n.When = v + " < 2"
		}
	}
}

// choice draws a node that a model may choose. Where it leads is back to the model.
func (g *drawing) choice(s spot, p *graph.Plan, first []graph.Do) {
	kind := g.upTo(9, "choice")
	if g.left <= 0 || s.depth > 2 {
		kind %= 7
	}
	g.left--
	switch {
	case kind < 7:
		g.args = p.Args
		g.activity(s, first...)
		g.args = false
		if g.oneIn(6, "on error") {
			g.edge(s.id, s.other(g), "error.card")
		}
	case kind < 9:
		g.node(graph.Node{ID: s.id, In: s.in, Entry: first})
		g.line(s.id, nil, make([]int, s.depth+1)...)
	default:
		g.plan(s)
		n := &g.d.Nodes[slices.IndexFunc(g.d.Nodes, func(n graph.Node) bool { return n.ID == s.id })]
		n.Entry = append(slices.Clone(first), n.Entry...)
	}
	if g.oneIn(8, "on an event") {
		g.edge(s.id, s.other(g), "stop")
	}
}
