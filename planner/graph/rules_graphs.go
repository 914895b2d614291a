package graph

import (
	"slices"
	"strings"
)

// hasGraphs checks which graphs nodes run, and that none runs itself.
func (c *checker) hasGraphs() {
	seen := map[string]bool{}
	for i, g := range c.d.Graphs {
		path := at(c.path("graphs"), i)
		switch {
		case g == nil:
			c.bad(path, "there is no definition here that could be used")
		case seen[g.Graph]:
			c.bad(join(path, "graph"), "the name %q is that of another one of these graphs, too: names differ", shorten(g.Graph))
		default:
			seen[g.Graph] = true
		}
	}
	here := c.scope()
	for _, call := range here.calls() {
		if here.find(call.name) == nil {
			c.bad(call.path, "there is no graph %q: %s", shorten(call.name), suggest(call.name, here.names(), "add it under graphs"))
		}
	}
	if c.outer == nil {
		c.ends(here)
	}
}

// A scope is a definition among those around it. What a node names as its graph is
// one of Graphs of its own definition, or else of the nearest one around that.
type scope struct {
	d  *Definition
	up *scope
}

func (c *checker) scope() *scope {
	if c == nil {
		return nil
	}
	return &scope{c.d, c.outer.scope()}
}

// find returns the graph of that name; nil if there is none.
func (s *scope) find(name string) *scope {
	for ; s != nil; s = s.up {
		for _, g := range s.d.Graphs {
			if g != nil && g.Graph == name {
				return &scope{g, s}
			}
		}
	}
	return nil
}

func (s *scope) names() []string {
	var names []string
	for ; s != nil; s = s.up {
		for _, g := range s.d.Graphs {
			if g != nil {
				names = append(names, g.Graph)
			}
		}
	}
	return names
}

// A call is a place where a graph is run.
type call struct{ path, name string }

// calls returns the places in the definition itself.
func (s *scope) calls() []call {
	var calls []call
	for i := range s.d.Nodes {
		n := &s.d.Nodes[i]
		if n.Graph != "" {
			calls = append(calls, call{n.at + ".graph", n.Graph})
		}
		if n.Extra == nil || !s.d.cel() {
			continue
		}
		for k, inv := range n.Extra.Invokes {
			if name, ok := inv.Graph.(string); ok && constant(name) {
				calls = append(calls, call{at(n.at+".extra.invokes", k) + ".graph", name})
			}
		}
	}
	return calls
}

// ends checks that no graph is run by itself, by way of others or not.
func (c *checker) ends(s *scope) {
	ended := map[*Definition]bool{}
	var way []*Definition
	var visit func(s *scope)
	visit = func(s *scope) {
		way = append(way, s.d)
		defer func() { way, ended[s.d] = way[:len(way)-1], true }()
		for _, call := range s.calls() {
			next := s.find(call.name)
			switch {
			case next == nil || ended[next.d]:
			case slices.Contains(way, next.d):
				var names []string
				for _, d := range way[slices.Index(way, next.d):] {
					names = append(names, shorten(d.Graph))
				}
				c.bad(call.path, "a graph is run by itself, which would never end: %s > %s; use an edge back instead", strings.Join(names, " > "), shorten(call.name))
			default:
				visit(next)
			}
		}
		for _, g := range s.d.Graphs {
			if g != nil && !ended[g] && !slices.Contains(way, g) {
				visit(&scope{g, s})
			}
		}
	}
	visit(s)
}

// unused reports the graphs that no node runs.
func (c *checker) unused() {
	if c.outer != nil || !c.cel() {
		return
	}
	used := map[*Definition]bool{}
	var visit func(s *scope, f func(*scope))
	visit = func(s *scope, f func(*scope)) {
		f(s)
		for _, g := range s.d.Graphs {
			if g != nil {
				visit(&scope{g, s}, f)
			}
		}
	}
	visit(c.scope(), func(s *scope) {
		for _, call := range s.calls() {
			if g := s.find(call.name); g != nil {
				used[g.d] = true
			}
		}
	})
	visit(c.scope(), func(s *scope) {
		if s.up != nil && !used[s.d] {
			c.bad(s.d.at, "no node runs the graph %q: name it in one, or leave it out", shorten(s.d.Graph))
		}
	})
}
