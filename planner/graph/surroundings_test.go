package graph_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
	"pgregory.net/rapid"
)

type keys = map[string]json.RawMessage

// surroundings play the orchestrator, and all that is behind it: they keep what a
// graph has opened, and close it as it comes.
type surroundings struct {
	t    *rapid.T
	g    *graph.Graph
	twin *graph.Graph // of the same definition, made from its JSON
	now  time.Time
	keys keys
	log  []string

	open      []*opened
	lost      []*opened       // calls that were withdrawn, and may take place
	dead      map[string]bool // Refs that were withdrawn
	asked     map[string]bool // Refs of questions to models
	ended     bool
	finishing bool // all is to end well
	calls     int
	got       map[string]bool    // signals that were taken
	kept      []*keptSignal      // signals that came early
	coming    map[string]*opened // waits that a signal ends, by its data
	left      map[string]bool    // signals that may have been taken by a node that is left in this step, with what it had
	looked    map[string]bool    // undos that were compared
	overs     map[string]bool    // paths of sub-graphs that have ended well
	paths     map[string]string  // the graphs that go on or did so before this step, by their paths; one that is tried again has the same path
	ledger    ledger
	joins     joins
	plans     plans
	shape     shape
	counts    map[string]int
}

// count counts what has happened, so that it is known that it happens at all.
func (s *surroundings) count(what string) { s.counts[what]++ }

// opened is an action that has not ended.
type opened struct {
	agent.Action
	node   *graph.Node // whose it is; nil of a send
	scopes []string    // "GRAPH|NODE", from the innermost on
	left   int         // the step in which it was withdrawn
}

func newSurroundings(t *rapid.T, d *graph.Definition, counts map[string]int) *surroundings {
	o := &graph.Options{Models: map[string]agent.Model{"m": agent.ModelFunc(nil)}} // Next asks none
	g, err := graph.New(d, o)
	var invalid *graph.Invalid
	if errors.As(err, &invalid) && !slices.ContainsFunc(invalid.Problems, func(p graph.Problem) bool { return p.Rule != "raised" }) {
		t.Skip(err) // all that is wrong are edges on errors of nodes in which nothing can fail
	}
	if err != nil {
		t.Fatalf("the drawing is refused: %v", err)
	}
	var again graph.Definition
	if err := json.Unmarshal(g.Definition(), &again); err != nil {
		t.Fatal(err)
	}
	twin, err := graph.New(&again, o)
	if err != nil {
		t.Fatal(err)
	}
	return &surroundings{
		t: t, g: g, twin: twin, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), keys: keys{}, dead: map[string]bool{}, got: map[string]bool{},
		looked: map[string]bool{}, coming: map[string]*opened{}, overs: map[string]bool{}, counts: counts,
		shape: shapeOf(d), ledger: ledger{}, joins: joins{by: map[string]*join{}}, plans: plans{by: map[string]*planned{}},
	}
}

func (s *surroundings) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *surroundings) fatal(format string, args ...any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if s.t.Failed() {
		return
	}
	_ = json.Compact(&b, s.g.Definition())
	var saved []string
	for _, k := range slices.Sorted(maps.Keys(s.keys)) {
		saved = append(saved, k+" = "+string(s.keys[k]))
	}
	s.t.Fatalf("%s\n%s\n-- saved\n%s\n-- definition\n%s", fmt.Sprintf(format, args...), strings.Join(s.log, "\n"), strings.Join(saved, "\n"), b.String())
}

// next has the graph react, and models choose where it wants them to.
func (s *surroundings) next(in ...graph.Input) {
	choices := s.step(in)
	for len(choices) > 0 {
		in = nil
		for _, c := range choices {
			in = append(in, s.choose(c))
		}
		choices = s.step(in)
	}
}

// tools are what planner nodes tell their models of.
var tools = []*agent.Tool{{Name: "do", Input: json.RawMessage(`{"type":"object"}`)}}

// step has the graph react once, and looks at what comes of it.
func (s *surroundings) step(in []graph.Input) []graph.Choosing {
	facts := graph.Facts{User: agent.User{ID: "kim"}, Now: s.now, Tools: tools}
	before := throughJSON(s, s.keys)
	s.paths = map[string]string{"r": ""}
	s.findPaths()
	st, err := s.g.Next(s.keys, facts, in...)
	if err != nil {
		s.fatal("it cannot go on: %v", err)
	}
	if !equalJSON(s.keys, before) {
		s.fatal("Next has changed what was saved")
	}
	again, err := s.twin.Next(before, facts, in...)
	if err != nil || !equalJSON(st, again) {
		s.fatal("restored, it does something else: %v\n%s\n%s", err, show(st), show(again))
	}
	for k, v := range st.Keys {
		if string(v) == "null" {
			delete(s.keys, k)
		} else {
			s.keys[k] = v
		}
	}
	s.note("   took %v, at %v", st.Took, st.At)
	s.asked, s.left = map[string]bool{}, map[string]bool{}
	if len(in) > 1 { // then one may be entered by an input, and left by the next one
		s.shape.leaves(st.Took, s.left)
	}
	for _, c := range st.Choices {
		s.asked[c.Ref] = true
	}
	s.findPaths()
	for _, ref := range st.Cancel {
		s.withdraw(ref)
	}
	s.armSignals(in)
	for i := range st.Actions {
		s.begin(&st.Actions[i])
	}
	s.ended = st.Ended
	s.checkKept(st, in)
	s.ledger.step++
	s.check()
	return st.Choices
}

// findPaths adds the paths of the graphs that go on.
func (s *surroundings) findPaths() {
	for k := range s.keys {
		if id, ok := strings.CutSuffix(k, "/up"); ok {
			s.paths[s.pathOf(id)] = id
		}
	}
}

// pathOf is the path that a graph was given.
func (s *surroundings) pathOf(id string) string {
	var in struct{ Path string }
	s.get(prefixOf(id)+"in", &in)
	return in.Path
}

func throughJSON(s *surroundings, k keys) keys {
	raw, err := json.Marshal(k)
	if err != nil {
		s.t.Fatal(err)
	}
	var again keys
	if err := json.Unmarshal(raw, &again); err != nil {
		s.t.Fatal(err)
	}
	return again
}

func show(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func equalJSON(a, b any) bool { return show(a) == show(b) }

// toldOf is what a graph emits for the surroundings.
type toldOf struct {
	Path, ID string
	Result   json.RawMessage
}

// told looks at what a graph tells of its nodes.
func (s *surroundings) told(a *agent.Action) {
	var in toldOf
	if err := json.Unmarshal(a.Args, &in); err != nil {
		s.fatal("%s %s: %v", a.Name, a.Args, err)
	}
	s.note("   %s %s", a.Name, a.Args)
	problem := ""
	switch a.Name {
	case "got":
		s.gotSignal(in)
	case "over":
		s.over(in)
	case "ran":
		problem = s.ran(in)
	case "back":
		problem = s.back(in)
	case "spent":
		problem = s.plans.spent(in.Path, in.ID)
		if s.joins.routed || s.shape.plansIn(s.shape.graphWith(in.ID), in.ID) {
			problem = "" // it may be that of another one
		}
		s.count("budgets that are used up")
	case "plan", "unplan", "chosen", "planned":
		if a.Name == "unplan" {
			s.shape.waitsIn(s.shape.graphWith(in.ID), in.ID, s.left)
		}
		problem = s.plans.told(a, in, s)
	default:
		problem = s.joins.told(a.Name, in, &s.shape)
		s.count("parallel nodes: " + a.Name)
	}
	if problem != "" {
		s.fatal("%s", problem)
	}
}

// over is the end of a sub-graph: it has ended well, and what takes it back is armed.
func (s *surroundings) over(in toldOf) {
	i := strings.LastIndex(in.Path, "/")
	id, _, _ := strings.Cut(in.Path[i+1:], "#")
	s.overs[in.Path] = true
	if n := s.shape.node(s.shape.graphWith(id), id); n.Undo != nil {
		s.ledger.seen(in.Path, s.scopesOf(in.Path[:i], id))
		s.count("undos of sub-graphs")
	}
}

// ran is a node that is done with its sub-graph: that has ended well, or a person says
// that it counts as done.
func (s *surroundings) ran(in toldOf) string {
	var r struct{ Ref string }
	if err := json.Unmarshal(in.Result, &r); err != nil {
		return err.Error()
	}
	if !s.overs[r.Ref] && r.Ref != "by hand" && !s.joins.routed {
		return fmt.Sprintf("%s is done with %s, and its graph has not ended well", in.ID, in.Result)
	}
	return ""
}

// back is the end of a compensation: nothing is left that it has to take back, and
// nothing may have taken place of which that is not known.
func (s *surroundings) back(in toldOf) string {
	id, known := s.paths[in.Path]
	if !known || s.joins.routed {
		return ""
	}
	s.count("compensations")
	scope := id + "|" + s.shape.node(s.shape.graphWith(in.ID), in.ID).Compensate
	for _, o := range s.lost {
		begun := !isWait(&o.Action) && !strings.HasSuffix(o.Ref, "/!") && o.left < s.ledger.step
		if begun && o.node.Undo != nil && slices.Contains(o.scopes, scope) {
			return fmt.Sprintf("%s is done, and %s in %s may have taken place", in.ID, o.Ref, scope)
		}
	}
	return s.ledger.left(scope, in.ID)
}

// begin takes an action up.
func (s *surroundings) begin(a *agent.Action) {
	if a.Kind == agent.ActEmit {
		s.told(a)
		return
	}
	s.note("   open %s: %s %s %s %s", a.Ref, a.Kind, a.Name, a.Args, a.Due.Format("15:04"))
	if a.Ref == "" || s.dead[a.Ref] || slices.ContainsFunc(s.open, func(o *opened) bool { return o.Ref == a.Ref }) {
		s.fatal("the action %q is opened, and is open, or was withdrawn", a.Ref)
	}
	o := &opened{Action: *a}
	r, ok := s.record(a.Ref)
	if !ok {
		s.fatal("the action %q is opened, and nothing of it is saved", a.Ref)
	}
	if r.Node != "" {
		o.node, o.scopes = s.shape.node(s.graphOf(r.In), r.Node), s.scopes(r.In, r.Node)
	}
	s.open = append(s.open, o)
	s.checkGiven(o, r.In)
	if a.Kind == agent.ActCall && strings.HasSuffix(a.Ref, "/u") {
		scope := r.In + "|" + o.node.Compensate
		if problem := s.ledger.undoing(a, scope); problem != "" {
			s.fatal("%s", problem)
		}
	}
}

// checkGiven looks whether a node that a model has chosen is begun with what it gave.
func (s *surroundings) checkGiven(o *opened, in string) {
	if o.node == nil || o.node.Tool+o.node.Agent == "" || o.node.Input != nil || o.Kind != agent.ActCall && o.Kind != agent.ActDelegate {
		return
	}
	x := s.plans.by[s.pathOf(in)+" "+o.node.In]
	want := "{}"
	if x.node.Plan.Args && x.given != "" {
		want = x.given
		s.count("arguments that a model gives")
	}
	if string(o.Args) != want {
		s.fatal("%s is begun with %s, and its model gave %s", o.node.ID, o.Args, want)
	}
}

// withdraw takes back what is not wanted any more. A call may have begun, and a signal
// may be on its way to a wait; otherwise nobody hears of its end.
func (s *surroundings) withdraw(ref string) {
	i := slices.IndexFunc(s.open, func(o *opened) bool { return o.Ref == ref })
	if i < 0 {
		return
	}
	s.note("   withdrawn %s", ref)
	o := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	s.dead[ref], o.left = true, s.ledger.step
	if o.Kind != agent.ActWait || isWait(&o.Action) && upTo(s.t, 3, "on its way") == 3 {
		s.lost = append(s.lost, o)
	}
}

// saved records, as far as the surroundings know them.
type record struct {
	In, Node, Kind, Child, Undoing string
	Asked                          bool
	Failed                         *struct{ Code string }
	Result                         any
}

type above struct{ In, Act, Graph string }

func numberOf(ref string) string {
	num, _, _ := strings.Cut(ref, "/")
	return num
}

func (s *surroundings) record(ref string) (r record, ok bool) {
	return r, s.get("a/"+numberOf(ref), &r)
}

func (s *surroundings) get(key string, into any) bool {
	raw, ok := s.keys[key]
	if ok {
		if err := json.Unmarshal(raw, into); err != nil {
			s.fatal("the key %s: %v", key, err)
		}
	}
	return ok
}

func (s *surroundings) graphOf(in string) string {
	var u above
	if in == "" || !s.get(in+"/up", &u) {
		return "main"
	}
	return u.Graph
}

// scopes are the nodes that a node is in, those around its graph with them.
func (s *surroundings) scopes(in, node string) []string {
	var list []string
	for n := node; n != ""; n = s.shape.up[s.graphOf(in)+"|"+n] {
		list = append(list, in+"|"+n)
	}
	list = append(list, in+"|*")
	var u above
	if in == "" || !s.get(in+"/up", &u) {
		return list
	}
	var r record
	if !s.get("a/"+u.Act, &r) {
		s.fatal("the graph %s goes on, and who runs it does not", in)
	}
	return append(list, s.scopes(r.In, r.Node)...)
}

// scopesOf are the nodes that a node is in, by the path of its graph. Of graphs that began
// and ended in one step nothing is known, and nobody asks.
func (s *surroundings) scopesOf(path, node string) []string {
	in, known := s.paths[path]
	if !known {
		in = "?"
	}
	var list []string
	graph := s.shape.graphWith(node)
	for n := node; n != ""; n = s.shape.up[graph+"|"+n] {
		list = append(list, in+"|"+n)
	}
	list = append(list, in+"|*")
	i := strings.LastIndex(path, "/")
	if i < 0 {
		return list
	}
	around, _, _ := strings.Cut(path[i+1:], "#")
	return append(list, s.scopesOf(path[:i], around)...)
}

// shape is what the surroundings know of a definition.
type shape struct {
	nodes   map[string]*graph.Node // by GRAPH|NODE
	graphs  map[string]*graph.Definition
	in      map[string]string // the graph of a node, by its id
	up      map[string]string
	regions map[string][]string // of parallel nodes, by id
}

func shapeOf(d *graph.Definition) shape {
	s := shape{nodes: map[string]*graph.Node{}, graphs: map[string]*graph.Definition{}, in: map[string]string{}, up: map[string]string{}, regions: map[string][]string{}}
	for _, g := range append([]*graph.Definition{d}, d.Graphs...) {
		s.graphs[g.Graph] = g
		for i := range g.Nodes {
			n := &g.Nodes[i]
			s.in[n.ID] = g.Graph
			s.nodes[g.Graph+"|"+n.ID], s.up[g.Graph+"|"+n.ID] = n, n.In
			if n.Plan != nil {
				s.up[g.Graph+"|"+n.ID+"/choose"] = n.ID
			}
			if p := s.nodes[g.Graph+"|"+n.In]; p != nil && p.Parallel {
				s.regions[p.ID] = append(s.regions[p.ID], n.ID)
			}
		}
	}
	return s
}

func (s *shape) node(graph, id string) *graph.Node { return s.nodes[graph+"|"+id] }

// graphWith names the graph that a node is in: no two nodes have the same id.
func (s *shape) graphWith(id string) string { return s.in[id] }

// children are the nodes right in a node.
func (s *shape) children(of, id string) []*graph.Node {
	var list []*graph.Node
	for i := range s.graphs[of].Nodes {
		if n := &s.graphs[of].Nodes[i]; n.In == id {
			list = append(list, n)
		}
	}
	return list
}

// plansIn reports whether planner nodes are in a node.
func (s *shape) plansIn(of, id string) bool {
	return slices.ContainsFunc(s.children(of, id), func(n *graph.Node) bool { return n.Plan != nil || s.plansIn(of, n.ID) })
}

// waitsIn adds the signals that are waited for right in a node.
func (s *shape) waitsIn(of, id string, names map[string]bool) {
	for _, n := range s.children(of, id) {
		if n.Wait != nil {
			names[n.Wait.Signal] = true
		}
	}
}

// leaves adds the signals that are waited for in what these edges lead away from.
func (s *shape) leaves(took []string, names map[string]bool) {
	for name, g := range s.graphs {
		for _, e := range g.Edges {
			if slices.ContainsFunc(took, func(id string) bool { return id == e.ID || id == name+":"+e.ID }) {
				s.waitsAround(name, s.node(name, e.From), names)
			}
		}
	}
}

// waitsAround adds the signals that are waited for by a node, in it, and in the graph that
// it runs.
func (s *shape) waitsAround(of string, n *graph.Node, names map[string]bool) {
	if n.Wait != nil {
		names[n.Wait.Signal] = true
	}
	below := s.children(of, n.ID)
	if n.Graph != "" {
		of, below = n.Graph, s.children(n.Graph, "")
	}
	for _, k := range below {
		s.waitsAround(of, k, names)
	}
}

// parallelOf returns the parallel node that a region is of.
func (s *shape) parallelOf(region string) string {
	for p, list := range s.regions {
		if slices.Contains(list, region) {
			return p
		}
	}
	return ""
}
