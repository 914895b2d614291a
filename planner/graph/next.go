package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// Facts are what a step may know beside its input and what is saved.
type Facts struct {
	User agent.User
	Meta map[string]string
	Now  time.Time

	// Tools and Delegates are the agent's: a planner node tells its model what they
	// take.
	Tools     []*agent.Tool
	Delegates []*agent.Agent
}

// An Input is one thing that a graph is to react to: one of its fields is set.
type Input struct {
	Start     *Start        // begin; once, and before anything else
	Event     *Event        // an event from outside
	Closed    *agent.Closed // an action has ended; its Ref says which
	Chosen    *Chosen       // the model of a planner node has chosen
	Redefined bool          // the run goes on under another definition
}

// Start begins a graph.
type Start struct {
	Data json.RawMessage // its input, any JSON value; nil is null
}

// Event is an event from outside.
type Event struct {
	Name string
	Data json.RawMessage // any JSON value; nil is null
	ID   string          // "" has none
	By   string          // id of the user who gave it; "" if that is not known
	Key  string          // correlation key to which it was posted; "" if it was sent to the run
}

// A Step is what follows from inputs.
type Step struct {
	Keys    map[string]json.RawMessage // changes to what is saved; null deletes
	Actions []agent.Action             // to be done; each has a Ref
	Cancel  []string                   // Refs of actions that are not wanted any more, if they are open
	Choices []Choosing                 // that models have to make before anything else
	Said    []string                   // to the user
	Logged  []string                   // for those who try the graph; Plan drops it
	Took    []string                   // ids of the edges that were taken, in order; those of a sub-graph as GRAPH:ID
	At      []string                   // ids of the innermost nodes that are active, likewise
	Ended   bool                       // the graph has ended: with Output, or as Failed says
	Output  json.RawMessage
	Failed  *Failure
}

// Failure is why a graph has failed.
type Failure struct {
	Code, Message string
}

// String returns the failure in words: the code, unless that says no more than "failed",
// and the message.
func (f *Failure) String() string {
	if f.Code == "failed" && f.Message != "" {
		return f.Message
	}
	return strings.TrimSuffix(f.Code+": "+f.Message, ": ")
}

// maxEvents is how many events a step may send itself.
const maxEvents = 10_000

// maxDone is how much a step may do by the way for one input, in entries, exits and edges:
// things, and what it says, emits and logs, which is kept until the step is over, as one more
// for every hundred bytes.
const maxDone = 1_000_000

// maxInvoked is how many graphs a step may invoke for one input.
const maxInvoked = 1000

// step is a call of Next.
type step struct {
	g       *Graph
	s       *saved
	facts   Facts
	out     *Step
	insts   map[string]*instance
	run     runKey
	queue   []func() error
	count   int
	done    int
	invoked int
	bad     error                // what is saved and cannot be read, found where no error can be returned
	acts    map[string]*record   // by number; read so far
	all     bool                 // acts has all of them
	lists   map[string][]any     // items of Each; read so far
	stands  map[string]*standing // how they stand; looked at so far
	moved   bool                 // a node was entered
}

// runKey is what is saved of the whole.
type runKey struct {
	N       int64  `json:"n"`               // the last number that was given
	Version string `json:"graph,omitempty"` // hash of the definition
}

// Next is the whole of a graph as a pure function: what is saved, facts and inputs
// give what is to be saved, done and said. keys is not changed. An error says that
// the graph cannot go on: what is saved does not fit it, an expression has failed and
// nothing handles that, or its transitions do not end. Nothing of the step is then in
// effect.
func (g *Graph) Next(keys map[string]json.RawMessage, facts Facts, in ...Input) (*Step, error) {
	facts.Now = facts.Now.UTC().Truncate(time.Microsecond)
	st := g.look(keys, facts)
	if _, err := st.s.get("run", &st.run); err != nil {
		return nil, err
	}
	before := st.run
	for i := range in {
		st.afresh()
		if err := st.take(&in[i]); err != nil {
			return nil, fmt.Errorf("graph %s: %w", g.name, err)
		}
		if err := st.drain(); err != nil {
			return nil, fmt.Errorf("graph %s: %w", g.name, err)
		}
	}
	if err := st.finish(before); err != nil {
		return nil, fmt.Errorf("graph %s: %w", g.name, err)
	}
	return st.out, nil
}

// note keeps an error for the end of the step, which it then fails.
func (st *step) note(err error) { st.bad = errors.Join(st.bad, err) }

// finish saves what has changed, and says whether the graph has ended.
func (st *step) finish(before runKey) error {
	for _, x := range st.sorted() {
		if err := x.settle(); err != nil {
			return err
		}
	}
	if err := st.concluded(); err != nil {
		return err
	}
	if st.run != before {
		if err := st.s.set("run", st.run); err != nil {
			return err
		}
	}
	for _, n := range slices.SortedFunc(mapKeys(st.acts), byNumber) {
		if err := st.acts[n].save(st, n); err != nil {
			return err
		}
	}
	st.out.Choices = slices.DeleteFunc(st.out.Choices, func(c Choosing) bool { // of what has been left since
		r, err := st.record(c.Ref)
		return err == nil && r == nil
	})
	st.out.Keys = st.s.patch
	if st.moved || len(st.out.Took) > 0 || before.N == 0 {
		st.out.At = st.where()
	}
	return st.bad
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func (st *step) sorted() []*instance {
	var all []*instance
	for _, id := range slices.SortedFunc(mapKeys(st.insts), byNumber) {
		all = append(all, st.insts[id])
	}
	return all
}

// where returns the ids of the innermost active nodes of all graphs.
func (st *step) where() []string {
	var at []string
	ids := []string{""}
	for _, k := range st.s.keys("i") {
		if id, ok := strings.CutSuffix(k, "/at"); ok {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		x, err := st.open(id)
		if st.note(err); x == nil || x.cfg == nil {
			continue
		}
		for _, n := range x.p.chart.Basic(x.cfg) {
			if c := x.p.nodes[n]; c != nil && c.kind == actChoose {
				n = c.planner.ID
			}
			at = append(at, x.prefix()+n)
		}
	}
	return at
}

func (x *instance) prefix() string {
	if x.id == "" {
		return ""
	}
	return x.p.def.Graph + ":"
}

func (st *step) took(x *instance, id string) {
	st.out.Took = append(st.out.Took, x.prefix()+id)
}

// number gives the next number.
func (st *step) number() string {
	st.run.N++
	return strconv.FormatInt(st.run.N, 10)
}

// does counts what is done by the way. There is no end to what loops in loops can do.
func (st *step) does(n int) error {
	if st.done += n; st.done > maxDone {
		return fmt.Errorf("more is done by the way in one step than the %d things that may be: have fewer loops in each other, or a tool that does it", maxDone)
	}
	return nil
}

// afresh begins to count what is done: how many inputs come at once is chance.
func (st *step) afresh() {
	st.done, st.invoked = 0, 0
	for _, x := range st.insts {
		if s, ok := x.sess.(*celSession); ok {
			s.spent = 0
		}
	}
}

// later has something done when the macrostep that goes on is complete.
func (st *step) later(f func() error) { st.queue = append(st.queue, f) }

func (st *step) drain() error {
	for len(st.queue) > 0 {
		f := st.queue[0]
		st.queue = st.queue[1:]
		if st.count++; st.count > maxEvents {
			return fmt.Errorf("it has sent itself %d events in one step, and goes on: break the circle", maxEvents)
		}
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// open returns a graph of the run; nil if there is none.
func (st *step) open(id string) (*instance, error) {
	if x := st.insts[id]; x != nil {
		if x.gone {
			return nil, nil
		}
		return x, nil
	}
	x := &instance{st: st, id: id, p: st.g.root}
	raw := st.s.raw(x.key("at"))
	if raw == nil {
		return nil, nil
	}
	if id != "" {
		var u up
		if ok, err := st.s.get(x.key("up"), &u); err != nil || !ok {
			return nil, err
		}
		parent, err := st.open(u.In)
		if err != nil || parent == nil {
			return nil, err
		}
		x.up = &u
		if x.p = parent.p.graphOf(u.Graph); x.p == nil {
			return nil, fmt.Errorf("the sub-graph %q is not in the definition", u.Graph)
		}
	}
	cfg, err := x.p.chart.Restore(raw)
	if err != nil {
		return nil, err
	}
	x.cfg = cfg
	st.insts[id] = x
	return x, nil
}

// take has the graph react to one input.
func (st *step) take(in *Input) error {
	switch {
	case in.Start != nil:
		return st.start(in.Start)
	case in.Event != nil:
		return st.outside(in.Event)
	case in.Closed != nil:
		return st.closed(in.Closed)
	case in.Chosen != nil:
		return st.chosen(in.Chosen)
	case in.Redefined:
		return st.rearm()
	}
	return nil
}

func (st *step) start(in *Start) error {
	if st.s.has("at") {
		return nil
	}
	if err := st.g.root.takes(in.Data); err != nil {
		return fmt.Errorf("graph %s cannot begin: its input does not fit: %w", st.g.name, err)
	}
	st.run.Version = st.g.hash
	if len(in.Data) > 0 {
		st.s.setRaw("in", in.Data)
	}
	x := &instance{st: st, p: st.g.root}
	st.insts[""] = x
	return x.start(nil)
}

// outside has all graphs of the run see an event from outside, unless a node waits for
// it. One that none handles is kept, if a node may wait for it later; so is one that was
// posted to a correlation key, which only a node with that key takes.
func (st *step) outside(e *Event) error {
	data := outsideValue(e.Data)
	if taken, err := st.toWait(e, data); taken || err != nil {
		return err
	}
	if e.Key != "" {
		return st.keep(e)
	}
	handled := false
	graphs, err := st.listening()
	if err != nil {
		return err
	}
	for _, x := range graphs {
		if x.p.strict && isInner(e.Name) {
			continue // that an activity has ended, nobody says from outside
		}
		o := &occurrence{Name: e.Name, Type: "external", Data: data, outside: true, id: e.ID, by: e.By}
		x.missed = false
		if err := x.react(o); err != nil {
			return err
		}
		handled = handled || !x.missed
	}
	if !handled {
		return st.keep(e)
	}
	return nil
}

// listening returns the graphs that see events from outside: the run's own, and those
// that are its parts.
func (st *step) listening() ([]*instance, error) {
	var all []*instance
	ids := []string{""}
	for _, k := range st.s.keys("i") {
		if id, ok := strings.CutSuffix(k, "/up"); ok {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		x, err := st.open(id)
		if err != nil {
			return nil, err
		}
		if x != nil && (x.up == nil || x.up.Invoke == "") {
			all = append(all, x)
		}
	}
	return all, nil
}

// concluded says how the graph has ended, once no call is left whose outcome is not
// known. What it says then sees those, too, if it does not depend on the event.
func (st *step) concluded() error {
	var end endKey
	known, err := st.s.get("end", &end)
	if err != nil {
		return err
	}
	x, err := st.open("")
	if err != nil || x == nil || !x.cfg.Ended {
		return err
	}
	switch now, err := x.end(); {
	case err == nil:
		end = now
	case !known:
		return err
	}
	if !known {
		if err := st.s.set("end", end); err != nil {
			return err
		}
	}
	if len(st.s.keys("l/")) > 0 {
		return nil
	}
	st.out.Ended, st.out.Output = true, end.Output
	if f := end.Failed; f != nil {
		st.out.Failed, st.out.Output = &Failure{Code: f.Code, Message: f.Message}, nil
	}
	return nil
}

func (x *instance) end() (endKey, error) {
	result, failed, err := x.outcome()
	if err != nil {
		return endKey{}, err
	}
	raw, err := encodeValue(result)
	if err != nil {
		return endKey{}, fmt.Errorf("its result: %w", err)
	}
	return endKey{Output: raw, Failed: failed}, nil
}

// endKey is how the graph has ended.
type endKey struct {
	Output json.RawMessage `json:"output,omitempty"`
	Failed *failure        `json:"failed,omitempty"`
}
