package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph/chart"
)

// kept is a signal that came before a node waited for it.
type kept struct {
	Name  string          `json:"name"`
	Data  json.RawMessage `json:"data,omitempty"`
	ID    string          `json:"id,omitempty"`
	Key   string          `json:"key,omitempty"`   // correlation key to which it was posted
	At    time.Time       `json:"at,omitzero"`     // when it came
	Until *time.Time      `json:"until,omitempty"` // nil: for as long as the run lives
}

// Of the signals of a name so many are kept at most, and so many bytes. Those that come then
// stay with the run, which refuses them when it has as many.
const (
	maxKept      = 1000
	maxKeptBytes = 4 << 20
)

// full returns the names of the signals of which no more are kept now, in order. None are
// kept of what an edge takes where the graph is now, nor of what no node waits for since
// a migration.
func (p *planning) full() []string {
	all, bytes := 0, 0
	for key, raw := range p.keys {
		if strings.HasPrefix(key, "k/") {
			all, bytes = all+1, bytes+len(raw)
		}
	}
	if all < maxKept && bytes < maxKeptBytes {
		return nil // and none is read
	}
	count, size := map[string]int{}, map[string]int{}
	for key, raw := range p.keys {
		var k kept
		if strings.HasPrefix(key, "k/") && json.Unmarshal(raw, &k) == nil && !k.expired(p.v.Now) {
			count[k.Name]++
			size[k.Name] += len(k.Data)
		}
	}
	var names []string
	for name := range count {
		if (count[name] >= maxKept || size[name] >= maxKeptBytes) && len(p.g.waiting(name)) > 0 && !p.reacts(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// reacts reports whether an edge, which has no condition, takes signals of a name now.
func (p *planning) reacts(name string) bool {
	graphs, err := p.g.look(p.keys, p.facts()).listening()
	if err != nil {
		return false // the next step says so
	}
	takes := func(ce *chart.Edge) bool {
		e, ok := ce.Tag.(*edge)
		return ok && e.guard == nil && slices.ContainsFunc(ce.Events, func(d string) bool { return chart.Matches(d, name) })
	}
	for _, x := range graphs {
		for _, n := range x.p.chart.ActiveNodes(x.cfg) {
			if slices.ContainsFunc(n.Edges, takes) {
				return true
			}
		}
	}
	return false
}

// listen has the run wait for any signal that no node waits for by its name, but for those
// of which no more are kept.
func (p *planning) listen() {
	wait := agent.Action{Kind: agent.ActWait, Name: agent.AnySignal, Ref: anySignal, Except: p.full()}
	for _, o := range p.v.Open {
		if o.Action.Ref != anySignal {
			continue
		}
		if slices.Equal(o.Action.Except, wait.Except) {
			return
		}
		p.move.Actions = append([]agent.Action{{Kind: agent.ActCancel, Target: o.ID}}, p.move.Actions...)
	}
	p.move.Actions = append(p.move.Actions, wait)
}

// keep keeps an event from outside that nothing has handled, if a node may wait for
// it later. One whose id was kept before is the same one.
func (st *step) keep(e *Event) error {
	waits := st.g.waiting(e.Name)
	if len(waits) == 0 {
		return nil
	}
	k := kept{Name: e.Name, Data: e.Data, ID: e.ID, Key: e.Key, At: st.facts.Now}
	for _, w := range waits {
		d, forever, err := st.keepFor(w)
		if err != nil {
			return err
		}
		if forever {
			k.Until = nil
			break
		}
		if until := st.facts.Now.Add(d); k.Until == nil || until.After(*k.Until) {
			k.Until = &until
		}
	}
	for _, key := range st.s.keys("k/") {
		var old kept
		if _, err := st.s.get(key, &old); err != nil {
			return err
		}
		switch {
		case old.expired(st.facts.Now):
			st.s.del(key)
		case e.ID != "" && old.ID == e.ID && old.Name == e.Name && old.Key == e.Key:
			return nil
		}
	}
	return st.s.set("k/"+st.number(), k)
}

func (k *kept) expired(now time.Time) bool { return k.Until != nil && !now.Before(*k.Until) }

// keepFor is how long a signal is kept for a node. One whose Keep depends on what is not
// there yet, a sub-graph or an item, says that as it is entered.
func (st *step) keepFor(n *node) (d time.Duration, forever bool, err error) {
	if n.Wait.Keep == nil {
		return 0, true, nil
	}
	x, err := st.open("")
	if err != nil || x == nil {
		return 0, false, err
	}
	if _, fixed := n.keep.constant(); !fixed && n.prog != x.p {
		return 0, true, nil
	}
	d, err = x.durationOf(n.keep, "keep")
	return d, err != nil, nil
}

// keeps reports whether a signal that was kept is still one for a node.
func (k *kept) keeps(x *instance, n *node) (bool, error) {
	if n.Wait.Keep == nil || k.At.IsZero() {
		return true, nil
	}
	d, err := x.durationOf(n.keep, "keep")
	return x.st.facts.Now.Before(k.At.Add(d)), err
}

// waiting returns the nodes of all graphs that wait for a signal of this name.
func (g *Graph) waiting(name string) []*node {
	var nodes []*node
	g.root.walk(func(p *program) {
		if !p.waits[name] {
			return
		}
		for i := range p.def.Nodes {
			if n := p.nodes[p.def.Nodes[i].ID]; n.Wait != nil && n.Wait.Signal == name {
				nodes = append(nodes, n)
			}
		}
	})
	return nodes
}

// walk visits a program and its sub-graphs.
func (p *program) walk(visit func(*program)) {
	visit(p)
	for _, d := range p.def.Graphs {
		if sub := p.graphs[d.Graph]; sub != nil {
			sub.walk(visit)
		}
	}
}

// toWait gives a signal to the first node that waits for it, if one does: it was on its
// way when the wait was opened.
func (st *step) toWait(e *Event, data any) (bool, error) {
	if err := st.readAll(); err != nil {
		return false, err
	}
	for _, num := range slices.SortedFunc(mapKeys(st.acts), byNumber) {
		r := st.acts[num]
		if r.gone || r.Kind != actWait || r.Failed != nil {
			continue
		}
		x, err := st.open(r.In)
		if err != nil {
			return false, err
		}
		if x == nil {
			continue
		}
		n := x.p.nodes[r.Node]
		if n == nil || n.Wait == nil || n.Wait.Signal != e.Name || e.Key != "" && n.Wait.Key == nil {
			continue
		}
		first, end := -1, 0
		if n.each != nil {
			first, end = 0, r.Total
		}
		for i := first; i < end; i++ {
			goesOn, waits, err := st.standsAt(num, r, i)
			if err != nil {
				return false, err
			}
			if goesOn && !waits && (e.Key == "" || st.hasKey(x, n, num, i, e.Key)) {
				st.cancel(refOf(num, i))
				return true, st.succeeded(x, num, i, data, "")
			}
		}
	}
	return false, nil
}

// hasKey reports whether a node that waits, or an item of one, does so with this
// correlation key.
func (st *step) hasKey(x *instance, n *node, num string, item int, key string) bool {
	locals, err := st.itemLocals(x, n, num, item)
	if err != nil {
		return false
	}
	before := x.locals
	x.locals = locals
	defer func() { x.locals = before }()
	its, err := x.text(n.key, "key")
	return err == nil && its == key
}

// awaitSignal waits for a signal, or takes one that has come before.
func (st *step) awaitSignal(x *instance, n *node, num string, item int) error {
	key, err := x.text(n.key, "key")
	if err != nil {
		return err
	}
	if n.Wait.Key != nil && strings.TrimSpace(key) == "" {
		return fmt.Errorf("key: the correlation key of a signal is text, and there is none")
	}
	wait := agent.Action{Kind: agent.ActWait, Name: n.Wait.Signal, Key: key, Ref: refOf(num, item)}
	at, _, err := st.keptSignal(x, n, key)
	if err != nil {
		return err
	}
	if at == "" {
		st.act(wait)
		return nil
	}
	if err := st.setWaits(num, item, true); err != nil { // nothing of it is open
		return err
	}
	st.later(func() error { return st.takeKept(x, num, item, wait) })
	return nil
}

// takeKept takes a signal that has come before, if the node has not been left and no
// other has taken it meanwhile.
func (st *step) takeKept(x *instance, num string, item int, wait agent.Action) error {
	r, err := st.record(num)
	if err != nil || r == nil {
		return err
	}
	if goesOn, waits, err := st.standsAt(num, r, item); err != nil || !goesOn || !waits {
		return err
	}
	if err := st.setWaits(num, item, false); err != nil {
		return err
	}
	n, before := x.p.nodes[r.Node], x.locals
	if x.locals, err = st.itemLocals(x, n, num, item); err != nil {
		return err
	}
	at, k, err := st.keptSignal(x, n, wait.Key)
	x.locals = before
	if err != nil {
		return err
	}
	if at == "" {
		st.act(wait)
		return nil
	}
	st.s.del(at)
	return st.succeeded(x, num, item, outsideValue(k.Data), "")
}

// keptSignal returns the first signal that is kept for a node with a correlation key, and
// its key among what is saved; "" if there is none.
func (st *step) keptSignal(x *instance, n *node, key string) (string, *kept, error) {
	for _, at := range st.s.keys("k/") {
		var k kept
		if _, err := st.s.get(at, &k); err != nil {
			return "", nil, err
		}
		if k.Name != n.Wait.Signal || k.Key != "" && k.Key != key || k.expired(st.facts.Now) {
			continue
		}
		if keeps, err := k.keeps(x, n); keeps || err != nil {
			return at, &k, err
		}
	}
	return "", nil, nil
}
