package graph

import (
	"slices"
	"strings"
)

// comesToRest looks for transitions that follow one another without end, and without
// a condition that could stop them: by edges on always, and by events that they
// raise.
//
// It plays the graph from each atomic node on, as the kernel would, for as long as
// what comes next is certain: until a guard, a parallel node, or events that are
// raised under a condition.
func (c *checker) comesToRest() {
	settles, told := map[*vertex]bool{}, map[*vertex]bool{}
	for _, v := range c.all {
		if !v.states() && !v.history() && v.Final == "" {
			p := &play{c: c, at: v, settles: settles, told: told, queue: raisedBy(v.Entry)}
			p.run(v.at)
		}
	}
	for _, l := range c.edges {
		p := &play{c: c, at: l.from, settles: settles, told: told}
		if len(l.Do) > 0 && !l.from.states() && p.take(l) && len(p.queue) > 0 {
			p.run(l.at)
		}
	}
}

// longest is how many transitions are played while events are queued; what goes on
// for longer is left to the kernel's own bound.
const longest = 100

// perhaps stands in a queue for what is raised under a condition.
const perhaps = "\x00"

// A play is a graph in which one atomic node is active.
type play struct {
	c       *checker
	at      *vertex
	queue   []string
	settles map[*vertex]bool // known to come to rest when they are entered with no event queued
	told    map[*vertex]bool // of which it was said that they do not
}

// run goes on until it comes to rest, or to where it was before.
func (p *play) run(path string) {
	var way, rested []*vertex
	defer func() {
		for _, v := range rested {
			p.settles[v] = true // or it was told that it does not
		}
	}()
	here := map[*vertex]bool{} // since the last event
	states := map[string]bool{}
	for steps := 0; steps < longest; {
		if len(p.queue) > 0 {
			steps++
		} else {
			if p.settles[p.at] {
				break
			}
			rested = append(rested, p.at)
		}
		if here[p.at] {
			p.tell(path, way)
			return
		}
		here[p.at], way = true, append(way, p.at)
		l, certain := pick(p.at, "")
		if certain && l == nil && len(p.queue) > 0 {
			state := p.at.ID + perhaps + strings.Join(p.queue, " ")
			if states[state] {
				p.tell(path, way)
				return
			}
			states[state] = true
			event := p.queue[0]
			p.queue = p.queue[1:]
			clear(here)
			if l, certain = pick(p.at, event); certain && l == nil {
				continue
			}
		}
		if l == nil || !certain || !p.take(*l) {
			break
		}
	}
}

func (p *play) tell(path string, way []*vertex) {
	from := slices.Index(way, p.at)
	if p.told[p.at] {
		return
	}
	var names []string
	for _, v := range append(way[from:], p.at) {
		p.told[v] = true
		if len(names) < 8 && (len(names) == 0 || names[len(names)-1] != v.ID) {
			names = append(names, shorten(v.ID))
		}
	}
	if len(names) == 1 {
		names = append(names, names[0])
	}
	p.c.bad(path, "the transitions that follow here never end, as none has a condition (%s): give one of them an if or an event", strings.Join(names, " > "))
}

// pick returns the first edge of a node and of those around it that an event
// enables, "" for none; nil if there is none. It is not certain if a guard decides,
// or what goes on in another region.
func pick(v *vertex, event string) (l *link, certain bool) {
	if event == perhaps {
		return nil, false
	}
	for ; v != nil; v = v.up {
		edges := v.edges
		if event == "" {
			edges = v.auto
		}
		for i := range edges {
			l := &edges[i]
			switch {
			case event != "" && !slices.ContainsFunc(l.On, func(on string) bool { return on != "always" && covers(on, event) }):
			case l.If != "":
				return nil, false
			default:
				return l, true
			}
		}
		if v.region() {
			return nil, false
		}
	}
	return nil, true
}

// take takes an edge, and reports whether it is certain where that leads.
func (p *play) take(l link) bool {
	d := l.domain()
	if d == nil {
		p.queue = append(p.queue, raisedBy(l.Do)...)
		return true
	}
	if len(l.to) != 1 {
		return false
	}
	for v := p.at; v != nil && v != d; v = v.up {
		p.queue = append(p.queue, raisedBy(v.Exit)...)
	}
	p.queue = append(p.queue, raisedBy(l.Do)...)
	var around []*vertex
	for v := l.to[0]; v != d; v = v.up {
		around = append(around, v)
	}
	for v := l.to[0]; v.states(); v = around[0] {
		if len(v.first) != 1 || v.Parallel {
			return false
		}
		around = slices.Insert(around, 0, v.first[0])
	}
	for _, v := range slices.Backward(around) {
		if v.Parallel || v.history() || v.Plan != nil {
			return false
		}
		p.queue = append(p.queue, raisedBy(v.Entry)...)
		if v.Initial != nil && (v == l.to[0] || v.within(l.to[0])) {
			p.queue = append(p.queue, raisedBy(v.Initial.Do)...)
		}
	}
	p.at = around[0]
	return p.at.Final == ""
}

// raisedBy returns the events that are raised, with perhaps for those of which that
// is not certain.
func raisedBy(list []Do) []string {
	var names []string
	for _, do := range list {
		switch {
		case do.Raise != "":
			names = append(names, do.Raise)
		case do.If != "" || do.Each != nil || do.Script != "" || do.Send != nil:
			names = append(names, perhaps)
		}
	}
	return names
}
