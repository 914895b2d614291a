package graph

import (
	"maps"
	"slices"
	"strings"
)

// The rules here follow the ways through a graph without looking at conditions: what
// they refuse is wrong whatever those say.

// reached returns the nodes that can ever be active, and the histories that can be
// gone to.
func (c *checker) reached() map[*vertex]bool {
	if c.entered != nil {
		return c.entered
	}
	c.entered = map[*vertex]bool{c.root: true}
	r := &reacher{seen: c.entered, begun: map[*vertex]bool{}}
	r.begin(c.root)
	r.follow()
	return c.entered
}

type reacher struct {
	seen  map[*vertex]bool
	begun map[*vertex]bool // entered by default
	todo  []*vertex        // whose edges have not been followed
}

// follow follows the edges of all that has been entered.
func (r *reacher) follow() {
	for len(r.todo) > 0 {
		v := r.todo[len(r.todo)-1]
		r.todo = r.todo[:len(r.todo)-1]
		for _, l := range v.edges {
			r.goTo(l.to)
		}
	}
}

func (r *reacher) mark(v *vertex) {
	if !r.seen[v] {
		r.seen[v] = true
		r.todo = append(r.todo, v)
	}
}

// goTo enters the targets of an edge, and with each the nodes around it.
func (r *reacher) goTo(to []*vertex) {
	for _, t := range to {
		r.mark(t)
		r.begin(t)
		for p := t.up; p != nil; p = p.up {
			r.mark(p)
			if p.Parallel {
				r.begin(p) // the other regions
			}
		}
	}
}

// begin enters what is in a node by default.
func (r *reacher) begin(v *vertex) {
	if !r.begun[v] {
		r.begun[v] = true
		r.goTo(v.first)
	}
}

// isReached looks for nodes that are never entered. Where a whole line of them is cut
// off it tells of the first; and of one in a circle, if that has no first.
func (c *checker) isReached() {
	led := c.led()
	r := &reacher{seen: maps.Clone(c.reached()), begun: map[*vertex]bool{}}
	for _, circles := range []bool{false, true} {
		for _, v := range c.all {
			switch {
			case r.seen[v] || !c.reached()[v.up]: // what is around it is not reached either, which is enough to say
				continue
			case led[v] && !circles:
				continue
			case v.history():
				c.bad(v.at, "no edge goes to the history %q: let one go there, or leave it out", shorten(v.ID))
			default:
				c.bad(v.at, "the node %q is never entered: let an edge go to it, or leave it out", shorten(v.ID))
			}
			r.goTo([]*vertex{v})
			r.follow()
		}
	}
	c.unused()
}

// led returns the nodes to which, or into which, edges lead from others that are never
// entered.
func (c *checker) led() map[*vertex]bool {
	led := map[*vertex]bool{}
	for _, l := range c.edges {
		if c.reached()[l.from] {
			continue
		}
		for _, t := range l.to {
			for ; t != l.from && !l.from.within(t); t = t.up {
				led[t] = true
			}
		}
	}
	return led
}

// An edgeKind says what an edge waits for, as far as leaving a node goes.
type edgeKind uint8

const (
	free    edgeKind = iota // events from outside, time, or nothing at all
	onDone                  // only the end of something
	onError                 // only failures
)

func (l link) kind() edgeKind {
	all := func(wide string) bool {
		return len(l.On) > 0 && !slices.ContainsFunc(l.On, func(on string) bool { return !covers(wide, on) })
	}
	switch {
	case l.After != nil:
		return free
	case all("done"):
		return onDone
	case all("error"):
		return onError
	}
	return free
}

// isLeft looks for states that nothing can leave once they are entered, and for ends
// of compound nodes after which nothing comes.
func (c *checker) isLeft() {
	left := c.leavable()
	for _, v := range c.all {
		switch {
		case !c.reached()[v] || left[v] || v.history() || v.states() || v.activity() != "":
		case v.Final != "" && (v.up == c.root || v.up.Plan != nil):
		case v.Final != "" && v.up.region():
			c.bad(v.at, "when %q is entered its region %q has ended, and nothing leaves the parallel node %q when all have: add an edge from %q on done", shorten(v.ID), shorten(v.up.ID), shorten(v.up.up.ID), shorten(v.up.up.ID))
		case v.Final != "":
			c.bad(v.at, "when %q is entered %q has ended, and nothing leaves it: add an edge from %q on done", shorten(v.ID), shorten(v.up.ID), shorten(v.up.ID))
		default:
			c.bad(v.at, "once %q is entered nothing leaves it, nor a node around it: add an edge from it, or make it final", shorten(v.ID))
		}
	}
}

// leavable returns the nodes that some edge leaves, of their own or of nodes around
// or beside them.
func (c *checker) leavable() map[*vertex]bool {
	whole, ended, left := map[*vertex]bool{}, map[*vertex]bool{}, map[*vertex]bool{}
	for _, l := range c.edges {
		d := l.domain()
		if d == nil || !c.reached()[l.from] {
			continue
		}
		kind := l.kind()
		switch {
		case kind == free || slices.ContainsFunc(l.wants, func(w string) bool { return covers(w, "done") }):
			whole[l.from] = true
		case slices.Contains(l.wants, c.d.doneOf(l.from.ID)):
			ended[l.from] = true
		}
		for p := l.from.up; p != d && p != nil; p = p.up {
			if p.Parallel && kind != onError {
				whole[p] = true
			}
		}
	}
	var visit func(v *vertex, all bool)
	visit = func(v *vertex, all bool) {
		all = all || whole[v]
		left[v] = all || v.Final != "" && v.up.ended(ended)
		for _, k := range v.kids {
			visit(k, all)
		}
	}
	visit(c.root, false)
	return left
}

// ended reports whether a node is left when it is done, by an edge or by what a model
// chooses; or, if it is a region, the parallel node when all of its regions are done.
func (v *vertex) ended(by map[*vertex]bool) bool {
	for ; v != nil; v = v.up {
		switch {
		case by[v] || v.up != nil && v.up.Plan != nil:
			return true
		case !v.region():
			return false
		}
	}
	return false
}

// endsAreTaken looks for activities whose end nothing reacts to, or only what does not
// leave them, so that they stay as they are for good.
func (c *checker) endsAreTaken() {
	left := c.leavable()
	for _, v := range c.all {
		if v.activity() == "" && v.Plan == nil || v.up.Plan != nil || !c.reached()[v] {
			continue
		}
		if v.Ask == nil || len(v.Ask.Choices) == 0 || v.Each != nil {
			event := "done"
			if v.Plan != nil {
				event = c.d.doneOf(v.ID)
			}
			switch {
			case !c.taken(v, event):
				c.bad(v.at, "no edge says what comes after %q: add one from it, to a final node if it is the last", shorten(v.ID))
			case v.Plan == nil && !left[v]:
				c.bad(v.at, "when %q has ended nothing leaves it: say with to where its edge on done goes", shorten(v.ID))
			}
			continue
		}
		for _, choice := range v.Ask.Choices {
			if !c.taken(v, "done."+choice) {
				c.bad(v.at+".ask.choices", "no edge says what comes after the choice %q of %q: add one on done.%s, or on done for all that are left", choice, shorten(v.ID), choice)
			}
		}
	}
}

// reaction is a question: does something react to this event of this node?
type reaction struct {
	v     *vertex
	event string
}

// taken reports whether an edge reacts to an event of the node: its own, or one of
// the nodes around it.
func (c *checker) taken(v *vertex, event string) bool {
	if yes, known := c.reactions[reaction{v, event}]; known {
		return yes
	}
	yes := v.up != nil && c.taken(v.up, event) || slices.ContainsFunc(v.edges, func(l link) bool {
		return slices.ContainsFunc(l.wants, func(w string) bool { return covers(w, event) })
	})
	c.reactions[reaction{v, event}] = yes
	return yes
}

// eventsAreRaised looks for edges on the end or failure of what cannot end or fail
// so.
func (c *checker) eventsAreRaised() {
	if !c.cel() {
		return
	}
	named := c.namedEvents()
	for _, l := range c.edges {
		for i, on := range l.wants {
			d := descriptor(on)
			if d == "" || named[d] {
				continue
			}
			if covers("after", d) {
				c.bad(at(l.at+".on", i), "time is no event that has a name: say after, with a duration, in the place of on")
			}
			if !covers("done", d) && !covers("error", d) {
				continue
			}
			path := at(l.at+".on", i)
			if strings.Contains(l.at, "steps[") {
				path = l.at
			}
			if hint := c.raises(l.from, d); hint != "" {
				c.bad(path, "%s", hint)
			}
		}
	}
}

// powers are the ways in which a node and what is in it can end and fail.
type powers struct {
	choices                 []string // done.CHOICE
	ends, fails, each, plan bool
	moves                   bool // by itself: on always
}

func (c *checker) powersOf(v *vertex) *powers {
	if p := c.powers[v]; p != nil {
		return p
	}
	p := &powers{
		ends:  v.activity() != "" || v.Plan != nil || len(v.finals()) > 0,
		fails: v.activity() != "" || v.Plan != nil || v.computes(),
		each:  v.Each != nil,
		plan:  v.Plan != nil,
		moves: len(v.auto) > 0,
	}
	if v.Ask != nil && v.Each == nil {
		for _, choice := range v.Ask.Choices {
			p.choices = append(p.choices, "done."+choice)
		}
	}
	for _, k := range v.kids {
		q := c.powersOf(k)
		p.choices = append(p.choices, q.choices...)
		p.ends, p.fails, p.each, p.plan = p.ends || q.ends, p.fails || q.fails, p.each || q.each, p.plan || q.plan
		p.moves = p.moves || q.moves
	}
	c.powers[v] = p
	return p
}

// raises says why a node, or what is in it, does not raise events of this name; ""
// if it does.
func (c *checker) raises(v *vertex, event string) string {
	can, name := c.powersOf(v), shorten(v.ID)
	switch {
	case event == c.d.doneOf(v.ID):
		if v.Parallel || v.Plan != nil || len(v.finals()) > 0 {
			return ""
		}
		return name + " is never done, as no final node is right in it: add one, or name another event, or always"
	case event == "done" && !can.ends:
		return "neither " + name + " nor what is in it ever ends: name another event, or always"
	case event != "done" && covers("done", event) && !slices.ContainsFunc(can.choices, func(n string) bool { return covers(event, n) }):
		return "nobody can choose " + shorten(strings.TrimPrefix(event, "done.")) + " in " + name + ": " + suggest(event, can.choices, "add it to the choices of an ask")
	case covers("error", event) && !can.fails:
		return "nothing in " + name + " can fail: name another event"
	case event == "error.unmet" && !can.each:
		return "only what is done for each item of a list fails with error.unmet, and " + name + " has no each"
	case event == "error.budget" && !can.plan:
		return "only a planner node fails with error.budget, and " + name + " is none and has none in it"
	}
	return ""
}

// computes reports whether the node has expressions, which may fail.
func (v *vertex) computes() bool {
	if len(v.Entry)+len(v.Exit) > 0 || v.Extra != nil {
		return true
	}
	return slices.ContainsFunc(v.edges, func(l link) bool {
		return l.If != "" || l.Set != nil || len(l.Do) > 0 || l.After != nil
	})
}

// namedEvents returns the descriptors of the events that the definition itself names:
// those that it takes from outside, raises or sends.
func (c *checker) namedEvents() map[string]bool {
	named := map[string]bool{}
	add := func(name string) {
		name = descriptor(name)
		for i, r := range name {
			if r == '.' {
				named[name[:i]] = true
			}
		}
		named[name] = true
	}
	for name := range c.d.Events {
		add(name)
	}
	c.eachDo(func(_ string, do *Do) {
		if do.Raise != "" {
			add(do.Raise)
		}
		if do.Send != nil {
			if name, ok := do.Send.Event.(string); ok {
				add(name)
			}
		}
	})
	return named
}

// joinsCanBe looks for edges that wait for all regions of a parallel node, of which
// one never ends.
func (c *checker) joinsCanBe() {
	for _, l := range c.edges {
		if !l.from.Parallel || l.kind() != onDone || !c.reached()[l.from] {
			continue
		}
		for _, r := range l.from.kids {
			if !r.history() && !c.canEnd(r) {
				c.bad(l.at, "the edge waits for all regions of %q, and %q never ends: put a final node in it, and an edge to that", shorten(l.from.ID), shorten(r.ID))
			}
		}
	}
}

// canEnd reports whether a node can be done.
func (c *checker) canEnd(v *vertex) bool {
	if v.Parallel {
		return !slices.ContainsFunc(v.kids, func(k *vertex) bool { return !k.history() && !c.canEnd(k) })
	}
	return slices.ContainsFunc(v.finals(), func(f *vertex) bool { return c.reached()[f] })
}

// edgesCanBeTaken looks for edges that others of the same node always come before.
func (c *checker) edgesCanBeTaken() {
	for _, v := range c.all {
		always := slices.IndexFunc(v.edges, func(l link) bool { return l.If == "" && slices.Contains(l.On, "always") })
		if always >= 0 && v.activity() == "" {
			c.behind(v, always)
			continue
		}
		c.behindOthers(v)
	}
}

// behind reports the edges of a node that is left at once in any case.
func (c *checker) behind(v *vertex, always int) {
	for i, l := range v.edges {
		if i == always || i < always && slices.Contains(l.On, "always") {
			continue
		}
		c.bad(l.at, "the edge is never taken, as %s leaves %q as soon as it is entered: give that one an if or an event", v.edges[always].at, shorten(v.ID))
	}
	moves := func(k *vertex) bool {
		return slices.ContainsFunc(k.edges, func(l link) bool { return slices.Contains(l.On, "always") })
	}
	if v.states() && len(v.edges[always].to) > 0 && !slices.ContainsFunc(c.all, func(k *vertex) bool { return k.within(v) && moves(k) }) {
		c.bad(v.edges[always].at, "the edge leaves %q as soon as it is entered, before anything in it has begun: say on which event, or put a final node in %q", shorten(v.ID), shorten(v.ID))
	}
}

// behindOthers reports the edges of a node whose events earlier ones always take.
func (c *checker) behindOthers(v *vertex) {
	taken := map[string]string{} // descriptors that are taken in any case, and by which edge
	for _, l := range v.edges {
		hidden, first := len(l.wants) > 0, ""
		for _, on := range l.wants {
			if first = widest(taken, on); first == "" {
				hidden = false
				break
			}
		}
		if hidden {
			c.bad(l.at, "the edge on %s is never taken, as %s comes first and takes all of that: give that one an if, or put this one before it", shorten(strings.Join(l.On, ", ")), first)
		}
		if l.If == "" {
			for _, on := range l.wants {
				if d := descriptor(on); taken[d] == "" {
					taken[d] = l.at
				}
			}
		}
	}
}

// widest returns by which edge a descriptor, or a wider one, is taken; "" if by none.
func widest(taken map[string]string, on string) string {
	if on == "always" {
		return taken[on]
	}
	for d := descriptor(on); d != ""; {
		if by := taken[d]; by != "" {
			return by
		}
		d = d[:max(strings.LastIndexByte(d, '.'), 0)]
	}
	return taken[""]
}
