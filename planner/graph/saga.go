package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph/chart"
)

// entry is a line of the ledger: something that was done, and what takes it back.
type entry struct {
	Scope []string        `json:"scope"` // the nodes in which it was done, from the innermost on; see scopesOf
	Node  string          `json:"node"`
	Tool  string          `json:"tool"`
	Args  json.RawMessage `json:"args"`
	State string          `json:"state,omitempty"` // "" armed, undone, or by-hand: a person says that it is

	Attempts int           `json:"attempts,omitempty"`
	Backoff  time.Duration `json:"backoff,omitempty"`
	Max      time.Duration `json:"max,omitempty"`
	On       []string      `json:"on,omitempty"`
	Try      int           `json:"try,omitempty"` // failed attempts
}

const (
	undone = "undone"
	byHand = "by-hand"
)

// late is a call whose node was left before its outcome was known. The graph that it
// is of may have gone, too: of that the variables are kept as long as it is late.
type late struct {
	In      string   `json:"in,omitempty"`
	Node    string   `json:"node"`
	Item    any      `json:"item,omitempty"`    // of Each
	At      int      `json:"at"`                // its index; -1 without
	Scope   []string `json:"scope"`             // as in entry
	Graphs  []string `json:"graphs,omitempty"`  // names of the graphs down to its own
	Undoing string   `json:"undoing,omitempty"` // of one that takes something back: the entry
}

// armUndo adds to the ledger what takes an activity back that has ended well.
func (st *step) armUndo(x *instance, n *node, scope []string, ref string) error {
	u := n.undo
	args, err := x.arguments(u.input)
	if err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	if args == nil {
		args = json.RawMessage("{}")
	}
	e := &entry{Scope: scope, Node: n.ID, Tool: u.Tool, Args: args}
	if at := strings.TrimPrefix(ref, strings.SplitN(ref, "/", 2)[0]); at != "" {
		e.Node += at
	}
	if r := u.Retry; r != nil {
		e.Attempts, e.On = r.Attempts, r.On
		if e.Backoff, e.Max, err = x.waits(u.backoff, u.maxWait); err != nil {
			return fmt.Errorf("undo: %w", err)
		}
	}
	return st.s.set("u/"+st.number(), e)
}

// scopesOf names the nodes around a node, and those around the graphs that it is in,
// each with its graph: "|pay", "|*", "i3|ship".
func (x *instance) scopesOf(n *node) []string {
	var scopes []string
	for c := n.n; c != nil; c = c.Parent() {
		if c.ID == "" {
			scopes = append(scopes, x.id+"|*")
		} else {
			scopes = append(scopes, x.id+"|"+c.ID)
		}
	}
	if x.up == nil {
		return scopes
	}
	parent, err := x.st.open(x.up.In)
	r, unread := x.st.record(x.up.Act)
	x.st.note(errors.Join(err, unread))
	if parent == nil || r == nil {
		return scopes
	}
	return append(scopes, parent.scopesOf(parent.p.nodes[r.Node])...)
}

// undoNext takes back the last thing that a compensation has to take back, and ends
// it when there is nothing left.
func (st *step) undoNext(x *instance, n *node, num string) error {
	r, err := st.record(num)
	if err != nil || r == nil || x.gone {
		return err
	}
	scope := x.id + "|" + n.Compensate
	armed, gone, err := st.ledger(scope)
	if err != nil {
		return err
	}
	r.dirty = true
	if len(armed) == 0 && !st.lateIn(scope) {
		return st.complete(x, n, num, r, map[string]any{"undone": gone}, "")
	}
	if len(armed) == 0 || st.isUndone(armed[len(armed)-1], num) {
		r.Undoing, r.Waits = "", true
		return nil // for the outcome of a call that may have taken place
	}
	r.Undoing = armed[len(armed)-1]
	var e entry
	if _, err := st.s.get(r.Undoing, &e); err != nil {
		return err
	}
	st.act(agent.Action{Kind: agent.ActCall, Name: e.Tool, Args: e.Args, Ref: num + "/u"})
	return nil
}

// ledger returns the keys of what is armed in a scope, the oldest first, and the
// nodes of what has been undone in it.
func (st *step) ledger(scope string) (armed []string, gone []any, err error) {
	gone = []any{}
	for _, k := range st.s.keys("u/") {
		var e entry
		if _, err := st.s.get(k, &e); err != nil {
			return nil, nil, err
		}
		switch {
		case !slices.Contains(e.Scope, scope):
		case e.State == "":
			armed = append(armed, k)
		default:
			gone = append(gone, e.Node)
		}
	}
	return armed, gone, nil
}

// undid takes the end of a call that takes something back.
func (st *step) undid(x *instance, num string, r *record, c *agent.Closed) error {
	n := x.p.nodes[r.Node]
	if r.Undoing == "" || n.kind != actCompensate {
		return nil
	}
	var e entry
	if ok, err := st.s.get(r.Undoing, &e); err != nil || !ok {
		return err
	}
	if c.Outcome == agent.Returned || c.Outcome == agent.Answered {
		e.State = undone
		if err := st.s.set(r.Undoing, e); err != nil {
			return err
		}
		st.later(st.resume)
		return st.undoNext(x, n, num)
	}
	f := failureFrom(c)
	if e.Try+1 < e.Attempts && !f.final && retries(e.On, f.Code) {
		wait := doubled(e.Backoff, e.Max, e.Try)
		e.Try++
		if err := st.s.set(r.Undoing, e); err != nil {
			return err
		}
		r.Waits, r.dirty = true, true
		st.wait(num+"/r", st.facts.Now.Add(wait))
		return nil
	}
	f.final = true
	f.Message = fmt.Sprintf("%s cannot be undone by %s: %s", e.Node, e.Tool, f.Message)
	return st.failed(x, num, -1, f)
}

// remember notes a call that is cancelled and may have taken place.
func (st *step) remember(x *instance, n *node, num string, i int) {
	l := late{In: x.id, Node: n.ID, At: i, Scope: x.scopesOf(n), Graphs: x.path()}
	if i >= 0 {
		list, err := st.items(num)
		if st.note(err); i < len(list) {
			l.Item = list[i]
		}
	}
	if err := st.s.set("l/"+refOf(num, i), l); err != nil {
		x.fatal = err
	}
}

// rememberUndo notes a call that takes something back, or a question about it, that is
// cancelled: it may have taken place, or a person may have done it.
func (st *step) rememberUndo(x *instance, n *node, ref string, r *record) {
	var e entry
	if ok, err := st.s.get(r.Undoing, &e); err != nil || !ok {
		x.fatal = errors.Join(x.fatal, err)
		return
	}
	l := late{In: x.id, Node: n.ID, At: -1, Scope: e.Scope, Undoing: r.Undoing}
	if err := st.s.set("l/"+ref, l); err != nil {
		x.fatal = err
	}
}

// path names the graphs from the run's own, without it, down to this one.
func (x *instance) path() []string {
	if x.up == nil {
		return nil
	}
	parent, err := x.st.open(x.up.In)
	if x.st.note(err); parent == nil {
		return nil // cannot be: who runs it goes on
	}
	return append(parent.path(), x.up.Graph)
}

// closedLate takes the outcome of a call whose node was left: one that took place is
// armed, and a compensation that waits for it goes on.
func (st *step) closedLate(c *agent.Closed) error {
	var l late
	if ok, err := st.s.get("l/"+c.Ref, &l); err != nil || !ok {
		return err
	}
	st.s.del("l/" + c.Ref)
	if c.Outcome == agent.Returned || c.Outcome == agent.Answered {
		err := error(nil)
		if l.Undoing != "" {
			err = st.undoneLate(&l, c)
		} else {
			err = st.armLate(&l, c)
		}
		if err != nil {
			return err
		}
	}
	st.forgetLate(l.In)
	return st.resume()
}

func (st *step) undoneLate(l *late, c *agent.Closed) error {
	state := undone
	if strings.HasSuffix(c.Ref, "/!") {
		if c.Answer == nil || c.Answer.Choice != agent.Skip {
			return nil
		}
		state = byHand
	}
	var e entry
	if ok, err := st.s.get(l.Undoing, &e); err != nil || !ok {
		return err
	}
	e.State = state
	return st.s.set(l.Undoing, e)
}

// graphOfLate returns the graph of a late call, as expressions see it: if it has gone, it
// has nothing but its variables.
func (st *step) graphOfLate(l *late) (*instance, error) {
	x, err := st.open(l.In)
	if err != nil || x != nil {
		return x, err
	}
	p := st.g.root
	for _, name := range l.Graphs {
		if p = p.graphOf(name); p == nil {
			return nil, fmt.Errorf("the sub-graph %q is not in the definition", name)
		}
	}
	return &instance{st: st, id: l.In, p: p, cfg: &chart.Configuration{}}, nil
}

func (st *step) armLate(l *late, c *agent.Closed) error {
	x, err := st.graphOfLate(l)
	if err != nil {
		return err
	}
	n := x.p.nodes[l.Node]
	if n == nil || n.undo == nil || c.Outcome == agent.Answered && n.kind != actAsk {
		return nil
	}
	result, _ := resultOf(n.kind, c)
	before, cur := x.locals, x.cur
	x.cur = &occurrence{Name: "done", at: n, result: result, Data: result}
	if l.At >= 0 {
		x.locals = map[string]any{n.each.as: l.Item, "index": int64(l.At)}
	}
	defer func() { x.locals, x.cur = before, cur }()
	if err := st.armUndo(x, n, l.Scope, refOf("", l.At)); err != nil {
		return fmt.Errorf("%s took place after its node was left, and what undoes it cannot be evaluated: %w", n.ID, err)
	}
	return nil
}

// resume has compensations go on that wait for the outcome of a call.
func (st *step) resume() error {
	list, err := st.compensations()
	if err != nil {
		return err
	}
	for _, num := range list {
		r := st.acts[num]
		if !r.Waits || r.Undoing != "" {
			continue
		}
		x, err := st.open(r.In)
		if err != nil || x == nil {
			return err
		}
		r.Waits, r.dirty = false, true
		if err := st.undoNext(x, x.p.nodes[r.Node], num); err != nil {
			return err
		}
	}
	return nil
}

// compensations returns the numbers of all that go on, in order.
func (st *step) compensations() ([]string, error) {
	if err := st.readAll(); err != nil {
		return nil, err
	}
	var list []string
	for n, r := range st.acts {
		if !r.gone && r.Kind == actCompensate {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, byNumber)
	return list, nil
}

// isUndone reports whether an entry is being undone by another compensation than this
// one, or by a call of one that has gone.
func (st *step) isUndone(key, num string) bool {
	list, err := st.compensations()
	if st.note(err); slices.ContainsFunc(list, func(n string) bool { return n != num && st.acts[n].Undoing == key }) {
		return true
	}
	return slices.ContainsFunc(st.lates(), func(l late) bool { return l.Undoing == key })
}

// lates are the calls whose outcome is awaited.
func (st *step) lates() []late {
	var list []late
	for _, k := range st.s.keys("l/") {
		var l late
		_, err := st.s.get(k, &l)
		st.note(err)
		list = append(list, l)
	}
	return list
}

// lateIn reports whether a call of a scope may have taken place.
func (st *step) lateIn(scope string) bool {
	return slices.ContainsFunc(st.lates(), func(l late) bool { return slices.Contains(l.Scope, scope) })
}

// saga is what expressions see of the ledger.
func (st *step) saga() map[string]any {
	done, gone := []any{}, []any{}
	for _, k := range st.s.keys("u/") {
		var e entry
		_, err := st.s.get(k, &e)
		st.note(err)
		if e.State == "" {
			done = append(done, e.Node)
		} else {
			gone = append(gone, e.Node)
		}
	}
	return map[string]any{"done": done, "undone": gone}
}
