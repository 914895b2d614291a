package graph

import (
	"slices"
	"strings"
	"unicode"

	"github.com/fermata-run/fermata/internal/schema"
)

// The bounds of a definition.
const (
	maxNodes   = 20_000 // with those of the graphs in it
	maxEdges   = 100_000
	maxNesting = 64 // of nodes in one another
	maxName    = 200
)

func (c *checker) hasName() {
	switch {
	case c.d.Graph == "":
		c.bad(c.path("graph"), "the graph has no name: say graph: and a name of letters, digits, _ and -")
	case !wellFormed(c.d.Graph, "_-"):
		c.bad(c.path("graph"), "the name %q is not made of letters, digits, _ and - alone: rename the graph", shorten(c.d.Graph))
	}
	if !c.cel() && languageOf(c.d.Language) == nil {
		c.bad(c.path("language"), "the language %q is not known here: leave it out for cel; ecmascript needs the package planner/graph/scxml", shorten(c.d.Language))
	}
}

// wellFormed reports whether a name is made of letters, digits and some other signs.
func wellFormed(name, signs string) bool {
	return name != "" && len(name) <= maxName && strings.IndexFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune(signs, r)
	}) < 0
}

// identifier reports whether a name is a letter or _, then letters, digits and _.
func identifier(name string) bool {
	return len(name) <= maxName && name != "" && (name[0] < '0' || name[0] > '9') && strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

func (c *checker) isBounded() {
	nodes, edges := count(c.d)
	switch {
	case len(c.d.Nodes) == 0:
		c.bad(c.path("nodes"), "there are no nodes: give steps, or nodes and edges")
	case c.outer == nil && nodes > maxNodes:
		c.bad(c.path("nodes"), "there are %d nodes, and at most %d are taken: use Each for many of the same", nodes, maxNodes)
	case c.outer == nil && edges > maxEdges:
		c.bad(c.path("edges"), "there are %d edges, and at most %d are taken", edges, maxEdges)
	}
	c.tooBig = c.outer == nil && (nodes > maxNodes || edges > maxEdges)
	for _, v := range c.all {
		if v.depth == maxNesting+1 {
			c.tooBig = true
			c.bad(v.at+".in", "the node %q is in %d others, one in the other, and at most %d are taken", shorten(v.ID), maxNesting, maxNesting)
		}
	}
}

func count(d *Definition) (nodes, edges int) {
	nodes, edges = len(d.Nodes), len(d.Edges)
	for _, g := range d.Graphs {
		if g != nil {
			n, e := count(g)
			nodes, edges = nodes+n, edges+e
		}
	}
	return nodes, edges
}

func (c *checker) hasIDs() {
	for _, v := range c.all {
		first := c.byID[v.ID]
		switch {
		case v.ID == "":
			c.bad(v.at+".id", "the node has no id: give it one of letters, digits, _ and -")
		case !wellFormed(v.ID, "_-.:"):
			c.bad(v.at+".id", "the id %q is not made of letters, digits, _, -, . and : alone, or too long", shorten(v.ID))
		case first != v && strings.Contains(v.at, "steps["):
			c.bad(v.at, "the step is named %q as %s is: give one of them another id", shorten(v.ID), first.at)
		case first != v:
			c.bad(v.at+".id", "the id %q is that of %s, too: ids differ", shorten(v.ID), first.at)
		}
	}
	taken := map[string]string{}
	for i := range c.d.Edges {
		e := &c.d.Edges[i]
		if strings.IndexFunc(e.ID, unicode.IsControl) >= 0 || len(e.ID) > 4*maxName {
			c.bad(e.at+".id", "the id %q has signs that cannot be shown, or is too long", shorten(e.ID))
		}
		if first, twice := taken[e.ID]; twice {
			c.bad(e.at+".id", "the id %q is that of %s, too: ids differ", shorten(e.ID), first)
			continue
		}
		taken[e.ID] = e.at
	}
}

// missing says that there is no node with an id, and which may be meant.
func (c *checker) missing(path, id string) {
	var ids []string
	if len(c.problems) <= maxProblems {
		for _, v := range c.all[:min(len(c.all), 500)] {
			ids = append(ids, v.ID)
		}
	}
	c.bad(path, "there is no node %q: %s", shorten(id), suggest(id, ids, "add it, or name another"))
}

// suggest is a hint to the nearest of some names, or else another hint.
func suggest(name string, names []string, hint string) string {
	if n := schema.Nearest(name, names); n != "" {
		return "did you mean " + n + "?"
	}
	return hint
}

func (c *checker) isTree() {
	for _, v := range c.all {
		switch {
		case v.In != "" && c.byID[v.In] == nil:
			c.missing(v.at+".in", v.In)
		case v.loop:
			c.bad(v.at+".in", "the node %q is in %q, which is in itself by that: a node is a part of another one", shorten(v.ID), shorten(v.In))
		}
	}
}

func (c *checker) hasKinds() {
	for _, v := range c.all {
		kinds := v.activities()
		if v.Parallel {
			kinds = append(kinds, "parallel")
		}
		if v.History != "" {
			kinds = append(kinds, "history")
		}
		if v.Final != "" {
			kinds = append(kinds, "final")
		}
		if v.Plan != nil {
			kinds = append(kinds, "plan")
		}
		if len(kinds) > 1 {
			c.bad(v.at, "the node %q has %s: a node is one of these; make two nodes of it", shorten(v.ID), strings.Join(kinds, " and "))
		}
		if v.Final != "" && v.Final != "done" && v.Final != "failed" {
			c.bad(v.at+".final", "expected done or failed, got %q", shorten(v.Final))
		}
		if v.History != "" && v.History != "shallow" && v.History != "deep" {
			c.bad(v.at+".history", "expected shallow or deep, got %q", shorten(v.History))
		}
		if id := v.Compensate; id != "" && id != "*" && c.byID[id] == nil {
			c.missing(v.at+".compensate", id)
		}
	}
}

func (c *checker) hasChildren() {
	for _, v := range c.all {
		kind := v.activity()
		switch {
		case v.Final != "":
			kind = "final"
		case v.History != "":
			kind = "history"
		}
		switch {
		case kind != "" && len(v.kids) > 0:
			c.bad(v.at, "the node %q has %s, so no nodes are in it, and %q is: put both in a node around them", shorten(v.ID), kind, shorten(v.kids[0].ID))
		case v.Parallel && !v.states():
			c.bad(v.at+".parallel", "the parallel node %q has no regions: put nodes in it (in: %s)", shorten(v.ID), shorten(v.ID))
		case v.Plan != nil && !v.states():
			c.bad(v.at+".plan", "the planner node %q has nothing to choose from: put nodes in it (in: %s)", shorten(v.ID), shorten(v.ID))
		case len(v.kids) > 0 && !v.states():
			c.bad(v.at, "the node %q has a history in it and no state", shorten(v.ID))
		}
	}
	if !c.root.states() && len(c.all) > 0 {
		c.bad(c.path("nodes"), "no node is at the top: at least one has no in")
	}
}

// states reports whether nodes other than histories are in v.
func (v *vertex) states() bool {
	return slices.ContainsFunc(v.kids, func(k *vertex) bool { return !k.history() })
}

func (c *checker) hasRegions() {
	for _, v := range c.all {
		if v.region() && v.Final != "" {
			c.bad(v.at+".final", "the node %q is right in the parallel node %q, which ends when its regions have: put it in one of them", shorten(v.ID), shorten(v.up.ID))
		}
	}
}

func (c *checker) hasHistories() {
	for _, v := range c.all {
		if !v.history() {
			continue
		}
		switch {
		case v.up == c.root:
			c.bad(v.at+".in", "the history %q is at the top: it stands for what was active in the node that it is in; say which", shorten(v.ID))
		case v.Initial == nil || len(v.Initial.To) == 0:
			c.bad(v.at+".initial", "the history %q needs initial, where to go when nothing is remembered", shorten(v.ID))
		}
		if len(v.Entry)+len(v.Exit) > 0 {
			c.bad(v.at, "the history %q is never active itself, so it has neither entry nor exit: put them on its initial edge", shorten(v.ID))
		}
	}
}

func (c *checker) hasPlanners() {
	for _, v := range c.all {
		p := v.up
		if p == nil || p.Plan == nil {
			if v.When != "" {
				c.bad(v.at+".when", "the node %q is not right in a planner node, so nothing chooses it: use if on the edges to it", shorten(v.ID))
			}
			continue
		}
		switch {
		case v.activity() != "" || v.Final != "":
		case v.compound() && (len(v.finals()) > 0 || v.Plan != nil):
		case v.Parallel:
		default:
			c.bad(v.at, "the node %q can be chosen in the planner node %q, but never ends: make it an activity, or put a final node in it", shorten(v.ID), shorten(p.ID))
		}
	}
}

func (c *checker) beginsBelow() {
	if c.d.Initial != nil {
		c.initial(c.path("initial"), c.d.Initial, c.root, "the graph")
	}
	for _, v := range c.all {
		switch {
		case v.Initial == nil:
		case v.history() && v.up != c.root:
			c.initial(v.at+".initial", v.Initial, v.up, "the node around the history "+shorten(v.ID))
			if to := c.named(v.Initial.To); v.History == "shallow" && !(c.o != nil && c.o.Lax) && slices.ContainsFunc(to, func(t *vertex) bool { return t.within(v.up) && t.up != v.up }) {
				c.bad(v.at+".initial.to", "the history %q is shallow, so its default is a node right in %q", shorten(v.ID), shorten(v.up.ID))
			}
		case v.history():
		case v.Plan != nil:
			c.bad(v.at+".initial", "the model chooses where the planner node %q begins: leave initial out", shorten(v.ID))
		case v.Parallel:
			c.bad(v.at+".initial", "all regions of the parallel node %q begin at once: leave initial out", shorten(v.ID))
		case !v.compound():
			c.bad(v.at+".initial", "no nodes are in %q that could begin: leave initial out", shorten(v.ID))
		default:
			c.initial(v.at+".initial", v.Initial, v, shorten(v.ID))
		}
	}
}

// initial checks an edge that is no reaction to anything.
func (c *checker) initial(path string, e *Edge, below *vertex, name string) {
	if len(e.To) == 0 {
		c.bad(path+".to", "the initial edge goes nowhere: say which node of %s begins", name)
	}
	if len(e.On) > 0 || e.After != nil || e.If != "" || e.Internal || e.From != "" {
		c.bad(path, "an initial edge is taken in any case, so it has no from, on, after, if and internal: use an edge on always for a choice")
	}
	for i, id := range e.To {
		switch t := c.byID[id]; {
		case t == nil:
			c.missing(at(path+".to", i), id)
		case !t.within(below):
			c.bad(at(path+".to", i), "%q is not in %s", shorten(id), name)
		}
	}
	c.together(path, e.To)
}

func (c *checker) joinsNodes() {
	for i := range c.d.Edges {
		e := &c.d.Edges[i]
		switch from := c.byID[e.From]; {
		case e.From == "":
			c.bad(e.at+".from", "the edge comes from nowhere: say which node it leaves")
		case from == nil:
			c.missing(e.at+".from", e.From)
		case from.Final != "":
			c.bad(e.at+".from", "%q is final, so no edge leaves it: let the edge leave the node around it, or do not make it final", shorten(e.From))
		case from.history():
			c.bad(e.at+".from", "%q is a history, which is never active: its one edge is initial", shorten(e.From))
		}
		for k, id := range e.To {
			if c.byID[id] == nil {
				path := at(e.at+".to", k)
				if strings.Contains(e.at, "steps[") {
					path = e.at
				}
				c.missing(path, id)
			}
		}
	}
}

func (c *checker) hasTargets() {
	for _, l := range c.edges {
		c.together(l.at, l.To)
		for _, t := range l.to {
			for p := t.up; p != nil && p.up != nil; p = p.up {
				if p.Plan != nil && !l.from.within(p) {
					c.bad(l.at+".to", "%q is in the planner node %q, where the model chooses: let the edge go to %q", shorten(t.ID), shorten(p.ID), shorten(p.ID))
				}
			}
		}
	}
}

// together checks that several targets can be active at once.
func (c *checker) together(path string, to []string) {
	found := c.named(to)
	if len(found) != len(to) {
		return // said already
	}
	if len(to) > 64 {
		c.bad(path+".to", "the edge goes to %d nodes: at most 64 are taken", len(to))
		return
	}
	for i, t := range found {
		for _, o := range found[:i] {
			if t == o || t.within(o) || o.within(t) || !meet(t, o).Parallel {
				c.bad(path+".to", "the edge goes to %q and %q, which are not in different regions of one parallel node: only one of them can be active", shorten(o.ID), shorten(t.ID))
			}
		}
	}
}
