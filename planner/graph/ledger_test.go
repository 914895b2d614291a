package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// ledger is what the surroundings know of calls that can be undone.
type ledger struct {
	lines []*undoable
	step  int
}

// undoable is a call that took place.
type undoable struct {
	ref    string // what it gave
	scopes []string
	step   int  // in which it was told
	told   bool // by the end of an action: those of a step are in order
	undone bool
	byHand bool
}

// arm adds what has ended with the end of an action; seen, what was seen to have ended.
func (l *ledger) arm(ref string, scopes []string) {
	l.lines = append(l.lines, &undoable{ref: ref, scopes: scopes, step: l.step, told: true})
}

func (l *ledger) seen(ref string, scopes []string) {
	l.lines = append(l.lines, &undoable{ref: ref, scopes: scopes, step: l.step})
}

func (l *ledger) find(ref string) *undoable {
	i := slices.IndexFunc(l.lines, func(x *undoable) bool { return x.ref == ref })
	if i < 0 {
		return nil
	}
	return l.lines[i]
}

func refOf(args json.RawMessage) string {
	var in struct{ Ref string }
	if err := json.Unmarshal(args, &in); err != nil {
		return err.Error()
	}
	return in.Ref
}

// undoing says what is wrong with a call that takes something back.
func (l *ledger) undoing(a *agent.Action, scope string) string {
	ref := refOf(a.Args)
	x := l.find(ref)
	switch {
	case strings.Contains(string(a.Args), `"by":null`):
		return fmt.Sprintf("%s is undone with %s, and the variables of its graph are not there", ref, a.Args)
	case x == nil:
		return fmt.Sprintf("%s is undone, and never took place", ref)
	case x.undone || x.byHand:
		return fmt.Sprintf("%s is undone again", ref)
	case !slices.Contains(x.scopes, scope):
		return fmt.Sprintf("%s is undone in %s, and took place in %v", ref, scope, x.scopes)
	}
	for _, later := range l.lines[slices.Index(l.lines, x)+1:] {
		after := later.step > x.step || later.told && x.told
		if after && later.step < l.step && !later.undone && !later.byHand && slices.Contains(later.scopes, scope) {
			return fmt.Sprintf("%s is undone in %s, and %s took place after it and is not", ref, scope, later.ref)
		}
	}
	return ""
}

// undone notes that a call was taken back.
func (l *ledger) undone(a *agent.Action) string {
	x := l.find(refOf(a.Args))
	if x.undone {
		return fmt.Sprintf("%s is undone twice", x.ref)
	}
	x.undone = true
	return ""
}

// left says what a compensation has left that is done.
func (l *ledger) left(scope, node string) string {
	for _, x := range l.lines {
		if x.step < l.step && !x.undone && !x.byHand && slices.Contains(x.scopes, scope) {
			return fmt.Sprintf("%s is done, and %s took place in %s and is not taken back", node, x.ref, scope)
		}
	}
	return ""
}

func (l *ledger) byHand(ref string) { l.find(ref).byHand = true }

// undoRef is what the call gave whose entry has this key.
func (s *surroundings) undoRef(key string) string {
	var e struct{ Args json.RawMessage }
	s.get(key, &e)
	return refOf(e.Args)
}

// checkLedger compares what is saved with what took place.
func (s *surroundings) checkLedger() {
	saved := map[string]string{}
	for k := range s.keys {
		if !strings.HasPrefix(k, "u/") {
			continue
		}
		var e struct {
			Args  json.RawMessage
			State string
		}
		s.get(k, &e)
		if _, twice := saved[refOf(e.Args)]; twice {
			s.fatal("%s is armed twice", refOf(e.Args))
		}
		saved[refOf(e.Args)] = e.State
	}
	for _, x := range s.ledger.lines {
		state, armed := saved[x.ref]
		switch {
		case !armed:
			s.fatal("%s took place, and nothing undoes it", x.ref)
		case x.undone != (state == "undone"), x.byHand != (state == "by-hand"):
			s.fatal("%s: undone %v, by hand %v, and saved is %q", x.ref, x.undone, x.byHand, state)
		}
	}
	if len(saved) != len(s.ledger.lines) {
		s.fatal("%d undos are armed, and %d calls took place", len(saved), len(s.ledger.lines))
	}
}

// joins are the parallel nodes, as they tell of themselves.
type joins struct {
	by     map[string]*join // by path and id
	routed bool             // in this step a person has a way taken: it may be that of a join
}

type join struct {
	active, complete, joined bool
	ended                    map[string]bool
}

func (j *joins) told(what string, in toldOf, sh *shape) string {
	p := in.ID
	if what == "end" {
		p = sh.parallelOf(in.ID)
	}
	key := in.Path + " " + p
	x := j.by[key]
	if x == nil {
		x = &join{}
		j.by[key] = x
	}
	switch what {
	case "enter":
		if x.active {
			return key + " is entered, and is active"
		}
		*x = join{active: true, ended: map[string]bool{}}
	case "end":
		if x.ended[in.ID] || !x.active {
			return fmt.Sprintf("%s of %s ends, and has ended or is not active", in.ID, key)
		}
		x.ended[in.ID] = true
		x.complete = len(x.ended) == len(sh.regions[p])
	case "exit":
		if !x.active {
			return key + " is left, and is not active"
		}
		x.active = false
	case "join":
		if x.active || !x.complete && !j.routed || x.joined {
			return fmt.Sprintf("%s is joined: complete %v, joined before %v", key, x.complete, x.joined)
		}
		x.joined = true
	}
	return ""
}

// rest looks for joins that should have come by now.
func (j *joins) rest() string {
	j.routed = false
	for key, x := range j.by {
		if x.active && x.complete {
			return key + " has ended in all regions, and is not joined"
		}
	}
	return ""
}
