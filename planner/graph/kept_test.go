package graph_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// keptSignal is a signal that has come before a node waited for it, as the surroundings
// expect it to be kept.
type keptSignal struct {
	name, id string
	data     string // its own
	came     time.Time
	until    time.Time // by the node that keeps it longest; zero: for good
}

func (k *keptSignal) expired(now time.Time) bool { return !k.until.IsZero() && !now.Before(k.until) }

// keptFor reports whether a signal that was kept is still one for a node.
func (k *keptSignal) keptFor(n *graph.Node, now time.Time) bool {
	return n.Wait.Keep == nil || now.Before(k.came.Add(keepOf(n)))
}

func keepOf(n *graph.Node) time.Duration {
	d, err := time.ParseDuration(n.Wait.Keep.(string))
	if err != nil {
		panic(err)
	}
	return d
}

// keeps says how long a signal of a name is kept that comes now; false if no node ever
// waits for it.
func (s *shape) keeps(name string, now time.Time) (until time.Time, ok bool) {
	for _, n := range s.nodes {
		if n.Wait == nil || n.Wait.Signal != name {
			continue
		}
		if n.Wait.Keep == nil {
			return time.Time{}, true
		}
		if end := now.Add(keepOf(n)); end.After(until) {
			until = end
		}
		ok = true
	}
	return until, ok
}

// signalOf is the signal that an input brings; nil if it brings none.
func signalOf(in *graph.Input) *keptSignal {
	switch e, c := in.Event, in.Closed; {
	case e != nil:
		return &keptSignal{name: e.Name, id: e.ID, data: string(e.Data)}
	case c != nil && c.Signal != "":
		return &keptSignal{name: c.Signal, id: c.SignalKey, data: string(c.Content)}
	}
	return nil
}

// savedSignals are the data of the signals that the graph keeps.
func (s *surroundings) savedSignals() []string {
	var list []string
	for k := range s.keys {
		if strings.HasPrefix(k, "k/") {
			var kept struct{ Data json.RawMessage }
			s.get(k, &kept)
			list = append(list, string(kept.Data))
		}
	}
	return list
}

// checkKept compares the signals that are kept with those that should be. before are
// those that were kept before the step, of which st is what follows.
func (s *surroundings) checkKept(st *graph.Step, in []graph.Input) {
	saved := s.savedSignals()
	here := func(data string) bool { return slices.Contains(saved, data) }
	took := show(st.Keys) + show(st.Actions)
	taken := func(k *keptSignal) bool {
		if here(k.data) {
			return false
		}
		return strings.Contains(took, k.data) || s.left[k.name]
	}
	s.kept = slices.DeleteFunc(s.kept, func(k *keptSignal) bool {
		expired := k.expired(s.now)
		switch {
		case expired && !here(k.data) && strings.Contains(took, k.data):
			s.fatal("the signal %s was kept until %v, and is taken", k.data, k.until)
		case taken(k) && !expired:
			s.count("kept signals that are taken")
		case !here(k.data) && !expired:
			s.fatal("the signal %s was kept, is wanted, and is lost", k.data)
		case here(k.data) && expired && s.opens(st, k.name):
			s.count("kept signals that had expired when a node waited")
		case here(k.data):
			return false
		}
		return !here(k.data)
	})
	for i := range in {
		k := signalOf(&in[i])
		if k == nil {
			continue
		}
		until, waits := s.shape.keeps(k.name, s.now)
		k.came, k.until = s.now, until
		same := func(o *keptSignal) bool { return o.id != "" && o.id == k.id && o.name == k.name && !o.expired(s.now) }
		switch doubled := slices.ContainsFunc(s.kept, same); {
		case here(k.data) && (!waits || doubled):
			s.fatal("the signal %s is kept, and no node waits for it (%v), or it was kept before (%v)", k.data, !waits, doubled)
		case here(k.data):
			s.kept = append(s.kept, k)
			s.count("signals that are kept")
		case doubled:
			s.count("signals that come twice")
		case len(in) == 1 && waits && s.coming[k.data] == nil && len(st.Took) == 0 && s.keys["end"] == nil && !strings.Contains(took, k.data):
			s.fatal("the signal %s is neither taken nor kept, and a node may wait for it", k.data)
		}
	}
	for _, k := range s.kept {
		until := k.until
		if s.keptUntil(k.data) != until {
			s.fatal("the signal %s is kept until %v, and should be until %v", k.data, s.keptUntil(k.data), until)
		}
		for _, o := range s.open {
			if !isWait(&o.Action) || o.Name != k.name {
				continue
			}
			r, _ := s.record(o.Ref)
			if k.keptFor(s.shape.node(s.shape.graphWith(r.Node), r.Node), s.now) {
				s.fatal("a node waits for %s, and the signal %s is kept", k.name, k.data)
			}
			s.count("kept signals that are too old for a node")
		}
	}
}

// opens reports whether a step opens a wait for a signal.
func (s *surroundings) opens(st *graph.Step, name string) bool {
	return slices.ContainsFunc(st.Actions, func(a agent.Action) bool { return isWait(&a) && a.Name == name })
}

// isWait reports whether an action waits for a signal, and not for a time.
func isWait(a *agent.Action) bool { return a.Kind == agent.ActWait && a.Due.IsZero() }

func (s *surroundings) keptUntil(data string) time.Time {
	for k := range s.keys {
		var kept struct {
			Data  json.RawMessage
			Until time.Time
		}
		if strings.HasPrefix(k, "k/") && s.get(k, &kept) && string(kept.Data) == data {
			return kept.Until
		}
	}
	return time.Time{}
}

var signalData = regexp.MustCompile(`"signal \d+"`)

// gotSignal looks at what a wait tells that it has got: a signal is taken once, and what
// takes it back is armed.
func (s *surroundings) gotSignal(in toldOf) {
	for _, data := range signalData.FindAllString(string(in.Result), -1) {
		if s.got[data] {
			s.fatal("the signal %s is taken twice", data)
		}
		s.got[data] = true
		n := s.shape.node(s.shape.graphWith(in.ID), in.ID)
		if n.Undo != nil && s.ledger.find(strings.Trim(data, `"`)) == nil {
			s.fatal("%s has taken the signal %s, and nothing undoes it", in.ID, data)
		}
	}
}

// armSignals adds to the ledger what waits have armed. The wait that a signal ended is
// sure to be armed if nothing went before; otherwise it may have been left, and another
// one may take the signal now or later.
func (s *surroundings) armSignals(in []graph.Input) {
	for _, k := range s.newUndos() {
		var e struct {
			Scope []string
			Args  json.RawMessage
		}
		s.get(k, &e)
		data := show(refOf(e.Args))
		if !signalData.MatchString(data) {
			continue
		}
		_, at, _ := strings.Cut(e.Scope[0], "|")
		n := s.shape.node(s.shape.graphWith(at), at)
		comes := func(k *keptSignal) bool { return k != nil && k.data == data && n.Wait.Signal == k.name }
		if n.Undo == nil || n.Wait == nil || !slices.ContainsFunc(s.kept, comes) && !slices.ContainsFunc(in, func(in graph.Input) bool { return comes(signalOf(&in)) }) {
			s.fatal("%s is armed by %s, and no wait there can have taken that signal", data, at)
		}
		if o := s.coming[data]; o != nil && o.scopes[0] == e.Scope[0] { // else another run of the same graph has it
			e.Scope = o.scopes
		}
		s.ledger.seen(refOf(e.Args), e.Scope)
		s.count("undos of waits")
	}
	if k := signalOf(&in[0]); k != nil && s.coming[k.data] != nil && s.coming[k.data].node.Undo != nil && s.ledger.find(strings.Trim(k.data, `"`)) == nil {
		s.fatal("a wait has ended with the signal %s, and nothing undoes it", k.data)
	}
}

// newUndos are the keys of what is armed and has not been looked at, the oldest first.
func (s *surroundings) newUndos() []string {
	var list []string
	for k := range s.keys {
		if strings.HasPrefix(k, "u/") && !s.looked[k] {
			s.looked[k] = true
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return list
}
