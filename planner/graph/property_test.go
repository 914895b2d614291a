package graph_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
	"pgregory.net/rapid"
)

// Random graphs in random surroundings, by way of Next alone. After each step it is
// held that
//
//   - the graph, restored from JSON by a program that has read its definition from
//     JSON, does the same, and what was saved is not changed;
//   - it has ended, or something is open: it is never silent;
//   - each Ref is open once, and does not come back when it was withdrawn; what is open
//     belongs to a node that is active, or to a send;
//   - nothing is saved of what has ended;
//   - each parallel node is left by its join when all its regions have ended, and then
//     once;
//   - each signal is taken by one wait at most; one that came early is kept as long as
//     it should be, taken by the first wait until then, and by none after;
//   - each undo is armed by a call, answer, signal or sub-graph that took place, called
//     in reverse order, and done once; a compensation that is done has left nothing;
//   - the model of a planner node is offered the nodes that are enabled and no other,
//     is told what came of each choice, and is not asked beyond its budget; what it has
//     chosen is entered, and nothing else is.
//
// -rapid.checks says how many graphs are drawn. Of what has to be seen in a hundred of
// them, something is.
func TestRandomGraphs(t *testing.T) {
	counts := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		s := newSurroundings(t, drawDefinition(t), counts)
		s.count("runs")
		s.note("start")
		s.next(graph.Input{Start: &graph.Start{Data: json.RawMessage(`{"path":"r"}`)}})
		s.early()
		for range upTo(t, 40, "events") {
			if s.ended {
				break
			}
			s.something()
		}
		s.toTheEnd()
		s.atTheEnd()
	})
	for _, what := range wanted {
		if counts["runs"] >= 100 && counts[what] == 0 {
			t.Errorf("this has never happened: %s", what)
		}
	}
	t.Logf("%v", counts)
}

// wanted is what has to happen in a hundred runs, so that it is known to be looked at.
var wanted = []string{
	"choices of a model", "choices that are refused", "choices without all nodes", "budgets that are used up", "planner nodes that are done",
	"undos of asks", "undos of waits", "undos of sub-graphs", "compensations",
	"signals that are kept", "kept signals that are taken", "kept signals that had expired when a node waited", "signals that come twice",
	"parallel nodes: join",
}

// something has anything happen that may happen.
func (s *surroundings) something() {
	draw := func(n int, what string) int { return upTo(s.t, n, what) }
	var in []graph.Input
	for range 1 + draw(3, "at once")/3 {
		switch what := draw(14, "what"); {
		case what <= 6 && len(s.open) > 0:
			in = append(in, s.close(draw(len(s.open)-1, "which")))
		case what == 7 && len(s.lost) > 0:
			in = append(in, s.closeLost(draw(len(s.lost)-1, "which lost")))
		case what == 8 || what == 9:
			s.now = s.now.Add([]time.Duration{time.Minute, 30 * time.Minute, 2 * time.Hour}[draw(2, "time")])
		default:
			name := oneOf(s.t, "signal", append(s.awaited(), "go", "stop", "paid", "shipped", "brief", "worst"))
			for range 1 + draw(3, "doubled")/3 {
				in = append(in, s.signal(name))
			}
		}
	}
	for _, i := range s.due() {
		in = append(in, s.expire(i))
	}
	if len(in) > 0 {
		s.next(in...)
	}
}

// awaited are the names of the signals that are waited for.
func (s *surroundings) awaited() []string {
	var names []string
	for _, o := range s.open {
		if isWait(&o.Action) {
			names = append(names, o.Name)
		}
	}
	return names
}

// due are the actions whose time has come.
func (s *surroundings) due() []int {
	var list []int
	for i, o := range s.open {
		if !o.Due.IsZero() && !o.Due.After(s.now) {
			list = append(list, i-len(list)) // each is gone when the next is taken
		}
	}
	return list
}

func (s *surroundings) take(i int) *opened {
	o := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	return o
}

func (s *surroundings) expire(i int) graph.Input { return s.lapsed(s.take(i)) }

func (s *surroundings) lapsed(o *opened) graph.Input {
	return s.closing(o, agent.Closed{Outcome: agent.Returned, Content: agent.JSONText("the time has come")})
}

func (s *surroundings) closing(o *opened, c agent.Closed) graph.Input {
	c.Ref, c.Name = o.Ref, o.Name
	said := ""
	if c.Answer != nil {
		said = c.Answer.Choice
	}
	s.note("close %s: %s %s %s %s", c.Ref, c.Name, c.Outcome, c.Code+said, c.Content)
	return graph.Input{Closed: &c}
}

// signal is a signal that comes: it ends a wait of its name, or is an event. Some have
// an id, and come twice under it.
func (s *surroundings) signal(name string) graph.Input {
	i := slices.IndexFunc(s.open, func(o *opened) bool { return isWait(&o.Action) && o.Name == name })
	data := s.signalData()
	switch {
	case i < 0:
	case !s.finishing && upTo(s.t, 1, "opened meanwhile") == 1:
		s.count("signals on their way as a wait is opened")
	default:
		return s.signalled(s.take(i), data)
	}
	e := &graph.Event{Name: name, Data: data}
	if rapid.Bool().Draw(s.t, "has an id") {
		e.ID = name + "-1"
	}
	s.note("event %s %s", e.Name, e.ID)
	return graph.Input{Event: e}
}

func (s *surroundings) signalData() json.RawMessage {
	s.calls++
	return json.RawMessage(fmt.Sprintf(`"signal %d"`, s.calls))
}

// signalled has a wait end by a signal.
func (s *surroundings) signalled(o *opened, data json.RawMessage) graph.Input {
	s.coming[string(data)] = o
	return s.closing(o, agent.Closed{Outcome: agent.Returned, Content: data, Signal: o.Name})
}

// answered has a person answer. What a note says is its own.
func (s *surroundings) answered(o *opened, choice string) graph.Input {
	s.calls++
	a := &agent.Answer{Choice: choice, Note: fmt.Sprintf("call-%d", s.calls), By: agent.User{ID: "kim"}}
	if o.node.Undo != nil {
		s.ledger.arm(a.Note, o.scopes)
		s.count("undos of asks")
	}
	return s.closing(o, agent.Closed{Outcome: agent.Answered, Answer: a, Content: agent.JSONText(choice)})
}

// close ends an open action in one of the ways in which it may end.
func (s *surroundings) close(i int) graph.Input {
	o := s.take(i)
	way := upTo(s.t, 9, "way")
	switch {
	case o.Kind == agent.ActAsk && o.Ask.Kind == agent.AskRepair:
		c := oneOf(s.t, "repair", o.Ask.Choices)
		return s.repair(o, c)
	case !o.Due.IsZero():
		if o.Due.After(s.now) {
			s.now = o.Due
		}
		return s.lapsed(o)
	case o.Kind == agent.ActAsk && way < 8:
		return s.answered(o, oneOf(s.t, "choice", o.Ask.Choices))
	case o.Kind == agent.ActAsk && way == 8:
		return s.closing(o, agent.Closed{Outcome: agent.Expired})
	case way < 7:
		return s.returned(o)
	case way == 7 && s.calls%2 == 0:
		return s.closing(o, agent.Closed{Outcome: agent.Failed, Code: "card"})
	case way == 7:
		return s.closing(o, agent.Closed{Outcome: agent.Failed, Code: "network"})
	case way == 8 && o.Kind == agent.ActCall && !strings.HasSuffix(o.Ref, "/u") && s.calls%2 == 0: // nothing is to be undone
		s.count("results in a call's stead")
		value := json.RawMessage(`{"ref":"in its stead"}`)
		return s.closing(o, agent.Closed{Outcome: agent.Answered, Content: value, Answer: &agent.Answer{Choice: agent.Instead, Value: value}})
	case way == 8:
		return s.closing(o, agent.Closed{Outcome: agent.Denied})
	}
	return s.closing(o, agent.Closed{Outcome: agent.Cancelled})
}

// returned has an action end well. What a call gives is its own.
func (s *surroundings) returned(o *opened) graph.Input {
	c := agent.Closed{Outcome: agent.Returned}
	if isWait(&o.Action) {
		return s.signalled(o, s.signalData())
	} else {
		s.calls++
		ref := fmt.Sprintf("call-%d", s.calls)
		c.Content = json.RawMessage(fmt.Sprintf(`{"ref":%q}`, ref))
		switch {
		case strings.HasSuffix(o.Ref, "/u"):
			if problem := s.ledger.undone(&o.Action); problem != "" {
				s.fatal("%s", problem)
			}
		case o.node != nil && o.node.Undo != nil:
			s.ledger.arm(ref, o.scopes)
		}
	}
	return s.closing(o, c)
}

func (s *surroundings) repair(o *opened, choice string) graph.Input {
	r, _ := s.record(o.Ref)
	s.joins.routed = s.joins.routed || strings.HasPrefix(choice, "route:")
	value := map[string]any{"ref": "by hand", "nothing": map[string]any{"at": map[string]any{"all": 1}}}
	if choice == agent.Skip && r.Kind == "choose" {
		s.plans.skip(s.pathOf(r.In), strings.TrimSuffix(r.Node, "/choose"), value)
		s.count("planner nodes that a person has skipped")
	}
	if choice == agent.RetryIt && r.Kind == "choose" {
		s.plans.retry(s.pathOf(r.In), strings.TrimSuffix(r.Node, "/choose"))
	}
	if choice == agent.Skip && r.Undoing != "" && r.Result == nil {
		s.ledger.byHand(s.undoRef(r.Undoing))
	}
	return s.closing(o, agent.Closed{Outcome: agent.Answered, Answer: &agent.Answer{Choice: choice, Value: json.RawMessage(show(value)), By: agent.User{ID: "ops"}}})
}

// closeLost tells what became of a call that was withdrawn.
func (s *surroundings) closeLost(i int) graph.Input {
	o := s.lost[i]
	s.lost = slices.Delete(s.lost, i, i+1)
	switch {
	case isWait(&o.Action): // nobody waits for it any more, so it is an event
		s.count("signals to a wait that was withdrawn")
		return s.closing(o, agent.Closed{Outcome: agent.Returned, Content: s.signalData(), Signal: o.Name})
	case o.Kind == agent.ActAsk && o.Ask.Kind != agent.AskRepair && upTo(s.t, 1, "late answer") == 1:
		s.count("answers to an ask that was withdrawn")
		return s.answered(o, oneOf(s.t, "choice", o.Ask.Choices))
	case o.Kind == agent.ActAsk:
		return s.closing(o, agent.Closed{Outcome: agent.Cancelled})
	}
	switch upTo(s.t, 3, "late") {
	case 0, 1:
		return s.returned(o)
	case 2:
		return s.closing(o, agent.Closed{Outcome: agent.Failed, Code: "card"})
	}
	return s.closing(o, agent.Closed{Outcome: agent.Cancelled})
}

// early has signals come that no node waits for yet, and time pass in which some of them
// expire.
func (s *surroundings) early() {
	if s.ended || upTo(s.t, 3, "early") == 0 {
		return
	}
	for _, name := range []string{"brief", "paid", "shipped", "brief"} {
		if !slices.Contains(s.awaited(), name) {
			s.next(s.signal(name))
		}
	}
	s.now = s.now.Add(30 * time.Minute)
	for len(s.due()) > 0 {
		s.next(s.expire(s.due()[0]))
	}
}

// toTheEnd has all end well from now on, and the graph with it.
func (s *surroundings) toTheEnd() {
	s.early()
	s.finishing = true
	for i := 0; !s.ended; i++ {
		if i > 600 {
			s.fatal("it does not come to an end")
		}
		switch {
		case len(s.lost) > 0:
			s.next(s.closeLost(0))
		case i%6 == 5 || len(s.open) == 0:
			s.next(s.signal("go"))
		default:
			s.next(s.endWell(0))
		}
	}
}

func (s *surroundings) endWell(i int) graph.Input {
	o := s.take(i)
	switch {
	case o.Kind == agent.ActAsk && o.Ask.Kind == agent.AskRepair:
		return s.repair(o, agent.Skip)
	case o.Kind == agent.ActAsk:
		return s.answered(o, o.Ask.Choices[0])
	case !o.Due.IsZero():
		if o.Due.After(s.now) {
			s.now = o.Due
		}
		return s.lapsed(o)
	}
	return s.returned(o)
}

// atTheEnd looks at what is left when the graph has ended.
func (s *surroundings) atTheEnd() {
	for k := range s.keys {
		switch head, _, _ := strings.Cut(k, "/"); head {
		case "run", "at", "in", "end", "v", "u", "k":
		case "a":
			if r, _ := s.record(k[2:]); r.Kind == "send" {
				continue
			}
			s.fatal("it has ended, and %s is left", k)
		default:
			s.fatal("it has ended, and %s is left", k)
		}
	}
}

// check looks at what is saved and open after a step.
func (s *surroundings) check() {
	for _, problem := range []string{s.joins.rest(), s.plans.rest()} {
		if problem != "" {
			s.fatal("%s", problem)
		}
	}
	s.checkPaths()
	s.checkLedger()
	for _, k := range slices.Sorted(maps.Keys(s.keys)) {
		head, rest, _ := strings.Cut(k, "/")
		switch {
		case head == "a":
			s.checkRecord(rest)
		case head == "b" && s.keys["a/"+numberOf(rest)] == nil:
			s.fatal("%s is left of what has ended", k)
		case head[0] == 'i' && head != "in" && s.keys[head+"/up"] == nil && !s.isLate(head):
			s.fatal("%s is left of a graph that has ended", k)
		case head[0] == 'i' && head != "in" && rest == "up":
			s.checkGraph(head)
		}
	}
	for _, o := range s.open {
		if _, ok := s.record(o.Ref); !ok && !s.ended {
			s.fatal("%s is open, and nothing of it is saved: it should have been withdrawn", o.Ref)
		}
	}
	if !s.ended && len(s.open)+len(s.lost)+len(s.asked) == 0 && !s.listens() {
		s.fatal("it is silent")
	}
}

// checkPaths looks whether what is active is of a graph that goes on.
func (s *surroundings) checkPaths() {
	goesOn := map[string]bool{"r": true}
	for k := range s.keys {
		if id, ok := strings.CutSuffix(k, "/up"); ok {
			goesOn[s.pathOf(id)] = true
		}
	}
	for key, x := range s.joins.by {
		if path, _, _ := strings.Cut(key, " "); x.active && !goesOn[path] {
			s.fatal("%s was not left, and its graph does not go on", key)
		}
	}
	for key, x := range s.plans.by {
		if path, _, _ := strings.Cut(key, " "); x.active && !goesOn[path] {
			s.fatal("%s was not left, and its graph does not go on", key)
		}
	}
}

// checkRecord looks whether what goes on has a node that is active, and something by
// which it will end.
func (s *surroundings) checkRecord(num string) {
	r, _ := s.record(num)
	if f := r.Failed; f != nil && f.Code == "budget" {
		if problem := s.plans.spent(s.pathOf(r.In), strings.TrimSuffix(r.Node, "/choose")); problem != "" {
			s.fatal("%s", problem)
		}
		if !s.looked[num] {
			s.looked[num] = true
			s.count("budgets that are used up")
		}
	}
	if r.Node != "" && !s.active(r.In, r.Node) {
		s.fatal("a/%s goes on, and its node %s is not active", num, r.Node)
	}
	goesOn := slices.ContainsFunc(s.open, func(o *opened) bool { return numberOf(o.Ref) == num && o.Ref != num+"/w" })
	goesOn = goesOn || s.asked[num] || r.Kind == "compensate" && r.Failed == nil && s.isAwaited(num) || r.Child != "" && s.keys[r.Child+"/up"] != nil
	for k, v := range s.keys {
		if strings.HasPrefix(k, "b/"+num+"/") {
			var item struct{ Child string }
			if err := json.Unmarshal(v, &item); err != nil {
				s.fatal("%s: %v", k, err)
			}
			goesOn = goesOn || item.Child != "" && s.keys[item.Child+"/up"] != nil
		}
	}
	if !goesOn && !s.ended {
		s.fatal("a/%s (%s) goes on, and nothing of it is open", num, r.Node)
	}
}

// isAwaited reports whether there is something that a compensation may wait for: a call
// that is late, or another compensation.
func (s *surroundings) isAwaited(num string) bool {
	for k := range s.keys {
		var r record
		if strings.HasPrefix(k, "l/") || strings.HasPrefix(k, "a/") && k[2:] != num && s.get(k, &r) && r.Undoing != "" {
			return true
		}
	}
	return false
}

// checkGraph looks at a graph that goes on in the run.
func (s *surroundings) checkGraph(in string) {
	var u above
	s.get(in+"/up", &u)
	if s.keys["a/"+u.Act] == nil {
		s.fatal("the graph %s goes on, and who runs it does not", in)
	}
}

// isLate reports whether a graph has a call that may have taken place: its variables
// are kept for that.
func (s *surroundings) isLate(in string) bool {
	for k := range s.keys {
		var l struct{ In string }
		if strings.HasPrefix(k, "l/") && s.get(k, &l) && l.In == in {
			return true
		}
	}
	return false
}

// active reports whether a node is active in its graph.
func (s *surroundings) active(in, node string) bool {
	key := "at"
	if in != "" {
		key = in + "/at"
	}
	var at struct{ Active []string }
	s.get(key, &at)
	for _, id := range at.Active {
		for ; id != ""; id = s.shape.up[s.graphOf(in)+"|"+id] {
			if id == node {
				return true
			}
		}
	}
	return false
}

// listens reports whether an event from outside may lead on.
func (s *surroundings) listens() bool {
	list, err := s.g.Enabled(s.keys, graph.Facts{Now: s.now})
	if err != nil {
		s.fatal("%v", err)
	}
	return slices.ContainsFunc(list, func(e graph.Enabled) bool { return e.Kind != "condition" })
}
