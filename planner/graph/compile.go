package graph

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// compiler makes a program, and notes what is wrong.
type compiler struct {
	p        *program
	problems *[]Problem
	opts     *Options
	item     map[string]*Env // environments with further locals
	more     []string        // locals of the loops around
}

// locals are what each expression may see beside variables.
var locals = []string{"event", "result", "failure"}

// compile makes a program of an expanded definition. Its nodes may name the graphs of
// outer, too.
func compile(d *Definition, outer *program, o *Options, problems *[]Problem) *program {
	p := &program{
		def: d, lang: languageOf(d.Language), nodes: map[string]*node{}, edges: map[string]*edge{},
		graphs: map[string]*program{}, outer: outer, waits: map[string]bool{}, strict: d.cel(),
	}
	c := &compiler{p: p, problems: problems, opts: o, item: map[string]*Env{}}
	if p.lang == nil {
		c.problem(join(d.at, "language"), "language", "the language %q is not known here; cel is, and ecmascript with planner/graph/scxml", d.Language)
		return p
	}
	p.env = &Env{Input: d.Input, Data: withKnownTypes(d.Data), Locals: locals, Funcs: o.Funcs, Script: d.Script}
	for i := range d.Nodes {
		p.env.Nodes = append(p.env.Nodes, d.Nodes[i].ID)
	}
	for _, g := range d.Graphs {
		p.graphs[g.Graph] = compile(g, p, o, problems)
	}
	if p.env.Script != "" {
		p.script = c.expr(d.Script, join(d.at, "script"), Executes)
	}
	for i := range d.Data {
		path := at(join(d.at, "data"), i) + ".value"
		x := datum{Datum: &d.Data[i], value: c.value(d.Data[i].Value, path), loc: c.location(d.Data[i].ID)}
		p.data = append(p.data, x)
		if x.loc == nil {
			c.typed(x.Datum, x.value, path)
		}
	}
	p.output = c.value(d.Output, join(d.at, "output"))
	c.tree()
	return p
}

// withKnownTypes returns variables without the types that there are not: the check has said so,
// and each expression would say it again.
func withKnownTypes(data []Datum) []Datum {
	known := slices.Clone(data)
	for i := range known {
		if !slices.Contains(datumTypes, known[i].Type) {
			known[i].Type = ""
		}
	}
	return known
}

// full reports whether more than what is told is known to be wrong: then no more is
// looked for, as each expression that does not fit takes a while.
func (c *compiler) full() bool { return len(*c.problems) > maxProblems }

func (c *compiler) problem(path, rule, format string, args ...any) {
	*c.problems = append(*c.problems, Problem{Path: path, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

// with returns the environment with further locals.
func (c *compiler) with(names ...string) *Env {
	names = append(slices.Clone(c.more), names...)
	key := fmt.Sprint(names)
	if len(names) == 0 {
		return c.p.env
	}
	if c.item[key] == nil {
		e := c.p.env
		c.item[key] = &Env{Input: e.Input, Data: e.Data, Locals: append(slices.Clone(e.Locals), names...), Funcs: e.Funcs, Nodes: e.Nodes, Script: e.Script}
	}
	return c.item[key]
}

func (c *compiler) expr(src, path string, use Use, more ...string) Expr {
	if c.full() {
		return nil
	}
	x, err := c.p.lang.Compile(src, use, c.with(more...))
	if err != nil {
		c.problem(path, "expression", "%v", err)
		return nil
	}
	return x
}

func (c *compiler) value(v any, path string, more ...string) value {
	if c.full() {
		return value{}
	}
	compile := func(src, path string, use Use) (Expr, error) { return c.p.lang.Compile(src, use, c.with(more...)) }
	return compileValue(v, path, compile, c.problem)
}

// location is how a variable is set in a language that has locations; nil in one
// that has none.
func (c *compiler) location(name string) Expr {
	x, err := c.p.lang.Compile(name, Locates, c.p.env)
	if err != nil {
		return nil
	}
	return x
}

// tree makes the chart.
func (c *compiler) tree() {
	d, p := c.p.def, c.p
	root := &chart.Node{Kind: chart.State}
	for i := range d.Nodes {
		n := &node{Node: &d.Nodes[i], prog: p, n: &chart.Node{ID: d.Nodes[i].ID}}
		n.n.Tag = n
		p.nodes[n.ID] = n
		c.node(n, n.at+".")
	}
	for i := range d.Nodes {
		n := p.nodes[d.Nodes[i].ID]
		if parent := p.nodes[n.In]; parent != nil {
			parent.n.Children = append(parent.n.Children, n.n)
		} else {
			root.Children = append(root.Children, n.n)
		}
	}
	for i := range d.Nodes {
		if n := p.nodes[d.Nodes[i].ID]; n.Plan != nil {
			c.planner(n)
		}
	}
	for i := range d.Edges {
		c.edge(&d.Edges[i], d.Edges[i].at+".")
	}
	for i := range d.Nodes {
		if n := p.nodes[d.Nodes[i].ID]; n.Plan != nil {
			c.choices(n)
		}
	}
	for i := range d.Nodes {
		if n := p.nodes[d.Nodes[i].ID]; n.Initial != nil {
			n.n.Initial = c.initial(n.Initial, n.at+".initial.")
		}
	}
	if d.Initial != nil {
		root.Initial = c.initial(d.Initial, join(d.at, "initial")+".")
	}
	if len(*c.problems) > 0 {
		return
	}
	ch, err := chart.New(root)
	if err != nil {
		c.problem(join(d.at, "nodes"), "structure", "%v", err)
		return
	}
	p.chart = ch
}

func (c *compiler) initial(e *Edge, path string) *chart.Edge {
	x := &chart.Edge{Targets: c.targets(e)}
	if steps := c.steps(e, path); steps != nil {
		x.Content = []any{steps}
	}
	return x
}

func (c *compiler) targets(e *Edge) []*chart.Node {
	var targets []*chart.Node
	for _, id := range e.To {
		if n := c.p.nodes[id]; n != nil {
			targets = append(targets, n.n)
		}
	}
	return targets
}

// steps compiles what an edge does.
func (c *compiler) steps(e *Edge, path string) *content {
	var dos []do
	if e.Set != nil {
		dos = append(dos, do{Do: &Do{}, set: c.settings(e.Set, path+"set")})
	}
	dos = append(dos, c.dos(e.Do, path+"do")...)
	if len(dos) == 0 {
		return nil
	}
	return &content{dos: dos}
}

// descriptors says which events are meant by On.
func (c *compiler) descriptors(from *node, on []string) []string {
	var events []string
	for _, w := range on {
		switch {
		case w == "always":
		case w == "done" && from.kind == actNone:
			events = append(events, c.p.def.doneOf(from.ID))
		default:
			events = append(events, w)
		}
	}
	return events
}

func (c *compiler) values(list []any, path string, more []string) []value {
	var out []value
	for i, v := range list {
		out = append(out, c.value(v, fmt.Sprintf("%s[%d]", path, i), more...))
	}
	return out
}

// settings compiles an object of variables and values, in the order of names.
func (c *compiler) settings(v any, path string, more ...string) []setting {
	plain, err := normalise(v)
	if err != nil {
		c.problem(path, "value", "%v", err)
	}
	fields, _ := plain.(map[string]any) // if it is none, the check has said so
	var out []setting
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		x := setting{name: name, value: c.value(fields[name], join(path, name), more...), loc: c.location(name)}
		if x.loc == nil {
			c.typed(c.p.datum(name), x.value, join(path, name))
		}
		out = append(out, x)
	}
	return out
}

// planner gives a planner node its chooser and the edges between it and its children.
func (c *compiler) planner(n *node) {
	choose := &node{Node: &Node{ID: n.ID + "/choose", In: n.ID}, prog: c.p, kind: actChoose, planner: n}
	choose.n = &chart.Node{ID: choose.ID, Invokes: true, Tag: choose}
	end := &node{Node: &Node{ID: n.ID + "/done", In: n.ID, Final: "done"}, prog: c.p, planner: n}
	end.n = &chart.Node{ID: end.ID, Kind: chart.Final, Tag: end}
	n.chooser = choose
	c.p.nodes[choose.ID], c.p.nodes[end.ID] = choose, end
	n.n.Children = append([]*chart.Node{choose.n}, append(n.n.Children, end.n)...)
	n.n.Initial = &chart.Edge{Targets: []*chart.Node{choose.n}}
}

// choices adds the edges between a planner node's chooser and the nodes that it
// chooses among. Those of the definition come first.
func (c *compiler) choices(n *node) {
	choose, end := n.chooser.n, c.p.nodes[n.ID+"/done"].n
	for _, k := range n.n.Children {
		child := k.Tag.(*node)
		if child.Final != "" || child == n.chooser {
			continue
		}
		choose.Edges = append(choose.Edges, &chart.Edge{Events: []string{choiceOf(child.ID)}, Guard: ofChoice{}, Targets: []*chart.Node{k}})
		back := "done"
		if child.kind == actNone {
			back = c.p.def.doneOf(child.ID)
		}
		k.Edges = append(k.Edges, &chart.Edge{Events: []string{back}, Targets: []*chart.Node{choose}})
	}
	choose.Edges = append(choose.Edges, &chart.Edge{Events: []string{"finish"}, Guard: ofChoice{}, Targets: []*chart.Node{end}})
	n.n.Edges = append(n.n.Edges, &chart.Edge{Events: []string{"error"}, Guard: ofChild{}, Targets: []*chart.Node{choose}, Internal: true})
}
