package graph_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// plans are the planner nodes, as they tell of themselves, and what their models were
// asked and have said.
type plans struct {
	by map[string]*planned // by path and id
}

// planned is a planner node, since it was entered last.
type planned struct {
	node     *graph.Node
	children []*graph.Node
	active   bool
	asked    int // times
	tokens   int
	renewed  int      // asked, when a person gave it its budget again
	anew     int      // tokens, likewise
	fresh    bool     // its model has not been asked yet
	next     string   // what was chosen and has not been entered yet
	last     string   // what was entered last, also before it was entered last itself
	chosen   []string // nodes, in order
	ended    bool     // its model has said that nothing more is to be done
	result   any      // and what came of it
	why      string   // what was said made no sense: what the model has to be told
	given    string   // arguments of what was chosen last
}

func (p *plans) told(a *agent.Action, in toldOf, s *surroundings) string {
	sh := &s.shape
	id := in.ID
	if a.Name == "chosen" {
		id = sh.up[sh.graphWith(in.ID)+"|"+in.ID]
	}
	key := in.Path + " " + id
	x := p.by[key]
	if x == nil {
		x = &planned{node: sh.node(sh.graphWith(id), id)}
		x.children = sh.children(sh.graphWith(id), id)
		p.by[key] = x
	}
	switch a.Name {
	case "plan":
		if x.active {
			return key + " is entered, and is active"
		}
		*x = planned{node: x.node, children: x.children, active: true, fresh: true, last: x.last}
	case "unplan":
		if !x.active {
			return key + " is left, and is not active"
		}
		x.active, x.next = false, ""
	case "chosen":
		back := x.fresh && x.last == in.ID // by a history
		if x.next != in.ID && !back || !x.active {
			return fmt.Sprintf("%s of %s is entered, and %q was chosen", in.ID, key, x.next)
		}
		if back {
			s.count("planner nodes that a history brings back")
		}
		x.next, x.last = "", in.ID
	case "planned":
		var r struct {
			Result any
			Steps  []struct{ Node, Outcome string }
		}
		if err := json.Unmarshal(in.Result, &r); err != nil || r.Steps == nil {
			if s.joins.routed {
				return ""
			}
			return fmt.Sprintf("%s is done with %s (%v)", key, in.Result, err)
		}
		var took []string
		for _, step := range r.Steps {
			took = append(took, step.Node)
			if step.Outcome != "returned" && step.Outcome != "failed" {
				return fmt.Sprintf("%s is done, and of %s came %q", key, step.Node, step.Outcome)
			}
		}
		if !x.ended || !slices.Equal(took, x.chosen) || !equalJSON(r.Result, x.result) {
			return fmt.Sprintf("%s is done with %s, and its model has chosen %v and said %s (%v)", key, in.Result, x.chosen, show(x.result), x.ended)
		}
		s.count("planner nodes that are done")
	}
	return ""
}

// rest looks for choices that have come to nothing.
func (p *plans) rest() string {
	for key, x := range p.by {
		if x.active && x.next != "" {
			return fmt.Sprintf("%s of %s was chosen, and is not entered", x.next, key)
		}
	}
	return ""
}

// choices are what a model may choose by what is saved.
func (s *surroundings) choices(x *planned, in string) []string {
	var names []string
	for _, c := range x.children {
		var v string
		var n, is int
		if _, err := fmt.Sscanf(c.When, "%s > %d", &v, &n); err == nil {
			if s.get(prefixOf(in)+"v/"+v, &is); is <= n {
				continue
			}
		} else if _, err := fmt.Sscanf(c.When, "%s < %d", &v, &n); err == nil {
			if s.get(prefixOf(in)+"v/"+v, &is); is >= n {
				continue
			}
		}
		names = append(names, c.ID)
	}
	return names
}

func prefixOf(in string) string {
	if in == "" {
		return ""
	}
	return in + "/"
}

// most is how often the model may choose.
func (x *planned) most() int {
	if x.node.Plan.Steps == 0 {
		return 10
	}
	return x.node.Plan.Steps
}

// spent says whether a planner node that fails for its budget has used less.
func (p *plans) spent(path, id string) string {
	x := p.by[path+" "+id]
	if limit := x.node.Plan.Tokens; x.asked-x.renewed < x.most() && (limit == 0 || x.tokens-x.anew < limit) {
		return fmt.Sprintf("%s fails for its budget, and was asked %d times of %d, with %d tokens of %d", id, x.asked-x.renewed, x.most(), x.tokens-x.anew, limit)
	}
	return ""
}

// skip has a person end a planner node in the stead of its model.
func (p *plans) skip(path, id string, value any) {
	x := p.by[path+" "+id]
	x.ended, x.result = true, value
}

// retry has a person give the model of a planner node its budget again.
func (p *plans) retry(path, id string) {
	x := p.by[path+" "+id]
	x.renewed, x.anew = x.asked, x.tokens
}

// choose has a model answer a question, after a look at what it was asked.
func (s *surroundings) choose(c graph.Choosing) graph.Input {
	r, ok := s.record(c.Ref)
	id := c.Node[strings.LastIndex(c.Node, ":")+1:]
	if !ok || r.Kind != "choose" {
		s.fatal("the model of %s is asked, and nothing of it is saved under %s", c.Node, c.Ref)
	}
	x := s.plans.by[s.pathOf(r.In)+" "+id]
	if x == nil || !x.active {
		s.fatal("the model of %s is asked, and it is not active", c.Node)
	}
	p := x.node.Plan
	switch x.asked, x.fresh = x.asked+1, false; {
	case x.asked-x.renewed > x.most():
		s.fatal("the model of %s chooses for the %dth time, and may %d times", c.Node, x.asked, x.most())
	case p.Tokens > 0 && x.tokens-x.anew >= p.Tokens:
		s.fatal("the model of %s is asked, and has used %d tokens of %d", c.Node, x.tokens, p.Tokens)
	case x.ended:
		s.fatal("the model of %s is asked, and has said that nothing more is to be done", c.Node)
	}
	can := s.choices(x, r.In)
	s.checkRequest(c.Request, x, can)
	s.checkEnabled(c.Node, can)
	if len(can) < len(x.children) {
		s.count("choices without all nodes")
	}
	m, usage := s.says(x, can)
	return graph.Input{Chosen: &graph.Chosen{Ref: c.Ref, Message: m, Usage: usage}}
}

// checkRequest looks at what a model is asked: it is offered what it may choose, and has
// been shown what it has said, with one result of each call.
func (s *surroundings) checkRequest(req *agent.ModelRequest, x *planned, can []string) {
	var offered []string
	for _, t := range req.Tools {
		offered = append(offered, t.Name)
	}
	if want := append(slices.Clone(can), "finish"); !slices.Equal(offered, want) {
		s.fatal("the model of %s is offered %v, and may choose %v", x.node.ID, offered, want)
	}
	said := 0
	open, ever := map[string]bool{}, map[string]bool{}
	var last *agent.Message
	for _, m := range req.Messages {
		switch m.Role {
		case agent.RoleAssistant:
			if said++; len(open) > 0 {
				s.fatal("the model of %s is not shown the results of %v", x.node.ID, slices.Collect(maps.Keys(open)))
			}
			for _, c := range m.Calls() {
				if c.ID == "" || ever[c.ID] || !json.Valid(c.Args) {
					s.fatal("the model of %s is shown a call %+v that has no id of its own, or no arguments", x.node.ID, c)
				}
				open[c.ID], ever[c.ID] = true, true
			}
		case agent.RoleTool:
			for _, part := range m.Parts {
				if r := part.Result; r == nil || !open[r.CallID] || r.Outcome == "" {
					s.fatal("the model of %s is shown a result that it cannot need: %+v", x.node.ID, r)
				}
				delete(open, part.Result.CallID)
			}
		}
		last = m
	}
	if said != x.asked-1 || len(open) > 0 {
		s.fatal("the model of %s was asked %d times before, and is shown %d answers; without a result are %v", x.node.ID, x.asked-1, said, slices.Collect(maps.Keys(open)))
	}
	if x.why != "" && !strings.Contains(show(last), x.why) {
		s.fatal("the model of %s is not told %q, but %s", x.node.ID, x.why, show(last))
	}
}

// checkEnabled compares what people are shown with what the model is. A graph in the run
// may go on several times, so this is of the run's own.
func (s *surroundings) checkEnabled(node string, can []string) {
	list, err := s.g.Enabled(s.keys, graph.Facts{Now: s.now})
	if err != nil {
		s.fatal("%v", err)
	}
	var shown []string
	for _, e := range list {
		if e.Kind == "choice" && e.Node == node {
			shown = append(shown, e.Name)
		}
	}
	if !slices.Equal(shown, can) && !strings.Contains(node, ":") {
		s.fatal("Enabled says that the model of %s may choose %v, and it may %v", node, shown, can)
	}
}

// says draws what a model says.
func (s *surroundings) says(x *planned, can []string) (agent.Message, agent.Usage) {
	x.why = ""
	usage := agent.Usage{Input: upTo(s.t, 30, "tokens"), Output: 1}
	x.tokens += usage.Total()
	m := agent.Message{Role: agent.RoleAssistant}
	call := func(name, args string) {
		s.calls++
		m.Parts = append(m.Parts, agent.Part{Call: &agent.Call{ID: fmt.Sprintf("c%d", s.calls), Name: name, Args: json.RawMessage(args)}})
	}
	args := fmt.Sprintf(`{"given":%d}`, s.calls)
	way := upTo(s.t, 9, "says")
	if s.finishing {
		way = 7
	}
	switch {
	case way == 9: // nothing, or nonsense
		switch upTo(s.t, 2, "nonsense") {
		case 0:
			x.why = "call one of the functions"
		case 1:
			call("nowhere", args)
			x.why = "cannot be chosen now"
		case 2:
			call(x.children[upTo(s.t, len(x.children)-1, "any")].ID, "{")
			if name := m.Parts[0].Call.Name; slices.Contains(can, name) {
				x.next = name
			} else {
				x.why = "cannot be chosen now"
			}
		}
	case way == 8:
		x.result, x.ended = "that is all", true
		m.Parts = append(m.Parts, agent.Part{Text: "that is all"})
	case way == 7 || len(can) == 0:
		x.result, x.ended = fmt.Sprintf("done after %d", s.calls), true
		call("finish", fmt.Sprintf(`{"result":%q}`, x.result))
	default:
		x.next = oneOf(s.t, "chooses", can)
		call(x.next, args)
		if way == 0 { // and more, which is too much
			call(oneOf(s.t, "too", append(slices.Clone(can), "finish")), args)
			m.Parts[1].Call.ID = oneOf(s.t, "id", []string{"", m.Parts[0].Call.ID, "c1"})
		}
	}
	switch {
	case x.next != "":
		x.chosen = append(x.chosen, x.next)
		if x.given = string(m.Parts[0].Call.Args); x.given == "{" {
			x.given = "{}"
		}
		s.count("choices of a model")
	case x.why != "":
		s.count("choices that are refused")
	}
	s.note("model of %s says %s", x.node.ID, show(m.Parts))
	return m, usage
}
