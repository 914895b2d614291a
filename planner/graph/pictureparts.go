package graph

import (
	"slices"
	"strconv"
	"strings"
)

// describe says what a node does.
func (p *picture) describe(b *box, n *Node, edges []Edge) {
	switch b.kind {
	case "history":
		b.title = "H"
		if n.History == "deep" {
			b.title = "H*"
		}
		return
	case "planner":
		b.lines = append(b.lines, "planned by a model")
	}
	if n.Ask != nil {
		b.prompt = len(promptLines(n.Ask))
	}
	b.lines = append(b.lines, doesWhat(n)...)
	b.lines = append(b.lines, attributes(n)...)
	for _, e := range edges {
		if e.From == n.ID && len(e.To) == 0 {
			b.internal = append(b.internal, strings.Join(labelOf(&e, b), " "))
		}
	}
}

func kindOf(b *box, n *Node, edges []Edge) string {
	switch {
	case n.History != "":
		return "history"
	case n.Final == "failed":
		return "failed"
	case n.Final != "":
		return "final"
	case n.Parallel:
		return "parallel"
	case n.Plan != nil:
		return "planner"
	case n.Tool != "":
		return "tool"
	case n.Agent != "":
		return "agent"
	case n.Ask != nil:
		return "ask"
	case n.Timer != nil:
		return "timer"
	case n.Wait != nil:
		return "wait"
	case n.Graph != "":
		return "graph"
	case n.Compensate != "":
		return "compensate"
	case !b.leaf():
		return "compound"
	case isChoice(n, edges):
		return "choice"
	}
	return "state"
}

// isChoice says whether a node is left at once, by one of several edges.
func isChoice(n *Node, edges []Edge) bool {
	ways, asked := 0, false
	for _, e := range edges {
		if e.From != n.ID {
			continue
		}
		if !always(&e) || len(e.To) == 0 {
			return false
		}
		ways++
		asked = asked || e.If != ""
	}
	return ways > 1 && asked && len(n.Entry)+len(n.Exit) == 0
}

func always(e *Edge) bool {
	return e.After == nil && (len(e.On) == 0 || slices.Equal(e.On, []string{"always"}))
}

// doesWhat says in a few lines what a node does.
func doesWhat(n *Node) []string {
	name := func(kind, name string) []string {
		if name == n.ID {
			return []string{kind}
		}
		return []string{kind + " " + line(name)}
	}
	switch {
	case n.Tool != "":
		return name("tool", n.Tool)
	case n.Agent != "":
		return name("agent", n.Agent)
	case n.Ask != nil:
		return question(n.Ask)
	case n.Timer != nil:
		return []string{"timer " + short(n.Timer)}
	case n.Wait != nil && n.Wait.Key != nil:
		return []string{"wait for " + line(n.Wait.Signal), "key " + short(n.Wait.Key)}
	case n.Wait != nil:
		return []string{"wait for " + line(n.Wait.Signal)}
	case n.Graph != "":
		return name("graph", n.Graph)
	case n.Compensate == "*":
		return []string{"undo everything"}
	case n.Compensate != "":
		return []string{"undo " + line(n.Compensate)}
	}
	return nil
}

func promptLines(a *Ask) []string {
	if a.Prompt == nil {
		return []string{"ask: what the model asks"}
	}
	return wrap("ask: "+short(a.Prompt), 32)
}

func question(a *Ask) []string {
	lines := promptLines(a)
	if len(a.For) > 0 {
		lines = append(lines, "for "+people(a.For))
	}
	if len(a.Not) > 0 {
		lines = append(lines, "not "+people(a.Not))
	}
	if a.Due != nil {
		lines = append(lines, "due "+short(a.Due))
	}
	for _, e := range a.Escalate {
		lines = append(lines, "then "+people(e.For))
	}
	return lines
}

func people(values []any) string {
	var names []string
	for _, v := range values {
		names = append(names, short(v))
	}
	return cut(strings.Join(names, ", "), 40)
}

// attributes says what else a node has.
func attributes(n *Node) []string {
	var lines []string
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, name+text)
		}
	}
	if n.Each != nil {
		add("for each of ", short(n.Each.In))
		if u := n.Each.Until; u != "" && u != "all" {
			add("until ", cut(line(u), 40))
		}
		if n.Each.AtOnce > 0 {
			add("at once: ", strconv.Itoa(n.Each.AtOnce))
		}
	}
	if n.Retry != nil {
		add("attempts: ", strconv.Itoa(n.Retry.Attempts))
	}
	if n.Within != nil {
		add("within ", short(n.Within))
	}
	if n.Undo != nil {
		add("undo: ", line(n.Undo.Tool))
	}
	if n.When != "" {
		add("if ", cut(line(n.When), 40))
	}
	for _, i := range extraOf(n).Invokes {
		add("invoke ", short(i.Graph))
	}
	add("entry / ", doing(n.Entry))
	add("exit / ", doing(n.Exit))
	return lines
}

func extraOf(n *Node) Extra {
	if n.Extra == nil {
		return Extra{}
	}
	return *n.Extra
}

// begin draws where the inside of a box begins.
func (p *picture) begin(b *box, initial *Edge) {
	if b.leaf() {
		return
	}
	e := Edge{To: []string{b.boxes[0].id}}
	if initial != nil {
		e = *initial
	}
	targets := p.targets(e.To)
	if len(targets) == 0 {
		return
	}
	of := b.id
	if b == p.top {
		of = "top"
	}
	start := p.helperIn(b, nil, "start", of)
	p.connect(&e, start, targets, "initial")
}

// inside draws what leads from a node to what is in it, or that it stands for.
func (p *picture) inside(b *box, n *Node) {
	switch b.kind {
	case "parallel":
	case "history":
		if n.Initial != nil {
			p.connect(n.Initial, b, p.targets(n.Initial.To), "initial")
		}
	case "planner":
		p.chooses(b)
	default:
		p.begin(b, n.Initial)
	}
}

// chooses draws the model of a planner node, and what it may choose.
func (p *picture) chooses(b *box) {
	if b.leaf() {
		return
	}
	children := slices.Clone(b.boxes)
	hub := p.helperIn(b, nil, "chooses", b.id)
	hub.title = "model"
	for _, c := range children {
		p.arrows = append(p.arrows, &arrow{id: p.arrowID(hub.id + ">" + c.id), edge: &Edge{}, from: hub, to: c, kind: "choice"})
	}
}

// edge draws an edge of the definition.
func (p *picture) edge(e *Edge) {
	from, targets := p.byID[e.From], p.targets(e.To)
	if from == nil || len(targets) == 0 {
		return
	}
	p.connect(e, from, targets, kindOfEdge(e))
}

func kindOfEdge(e *Edge) string {
	switch {
	case e.After != nil:
		return "after"
	case len(e.On) > 0 && !slices.ContainsFunc(e.On, func(on string) bool { return on != "error" && !strings.HasPrefix(on, "error.") }):
		return "error"
	}
	return "plain"
}

// end is the event at which a box is left if nothing is said.
func (b *box) end() string {
	switch b.kind {
	case "state", "choice", "start", "history":
		return "always"
	case "compound":
		if !slices.ContainsFunc(b.boxes, func(c *box) bool { return c.kind == "final" || c.kind == "failed" }) {
			return "always"
		}
	}
	return "done"
}

func (p *picture) targets(ids []string) []*box {
	var out []*box
	for _, id := range ids {
		if b := p.byID[id]; b != nil && !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// connect draws the arrows of an edge: one, or those to a bar and from it on, or those
// to a turn and back: no language of pictures draws an arrow from a box to itself, or
// between it and what is in it.
func (p *picture) connect(e *Edge, from *box, targets []*box, kind string) {
	if len(targets) == 0 {
		return
	}
	id := e.ID
	if id == "" {
		id = from.id + ">" + strings.Join(e.To, ",")
	}
	add := func(from, to *box, label []string) {
		part := p.arrowID(id)
		p.arrows = append(p.arrows, &arrow{id: part, edge: e, from: from, to: to, label: label, kind: kind, part: part != id})
	}
	label := labelOf(e, from)
	switch to := targets[0]; {
	case len(targets) > 1:
		in := around(from, targets...)
		fork := p.helperIn(in, in.child(from), "fork", id)
		add(from, fork, label)
		for _, t := range targets {
			add(fork, t, nil)
		}
	case to != from && to.within(from): // drawn inside, where it leads
		any := p.helperIn(to.in, nil, "anywhere", id)
		any.title = "anywhere in " + from.title
		add(any, to, label)
	case from.within(to) && !to.leaf(): // a turn outside
		again := p.helperIn(to.in, to, "again", id)
		again.title = "↻"
		add(from, again, label)
		add(again, to, nil)
	default:
		add(from, to, label)
	}
}

// arrowID returns the id, or one like it that no arrow has.
func (p *picture) arrowID(id string) string {
	free := id
	for i := 2; p.ids[free]; i++ {
		free = id + "#" + strconv.Itoa(i)
	}
	p.ids[free] = true
	return free
}

// labelOf says in a few lines when an edge is taken, and what is done then. What goes
// without saying is not said: that an activity is done, and that a state waits for
// nothing.
func labelOf(e *Edge, from *box) []string {
	var lines []string
	switch {
	case e.After != nil:
		lines = append(lines, "after "+short(e.After))
	case len(e.On) > 0 && !slices.Equal(e.On, []string{from.end()}):
		lines = append(lines, wrap(line(strings.Join(e.On, ", ")), 32)...)
	}
	switch {
	case e.If != "":
		lines = append(lines, wrap("["+cut(line(e.If), 70)+"]", 32)...)
	case from.kind == "choice":
		lines = append(lines, "[else]")
	}
	if e.Internal && len(e.To) > 0 {
		lines = append(lines, "(internal)")
	}
	effects := append([]string(nil), setNames(e.Set)...)
	if text := doing(e.Do); text != "" {
		effects = append(effects, text)
	}
	if len(effects) > 0 {
		lines = append(lines, "/ "+cut(strings.Join(effects, ", "), 40))
	}
	return lines
}
