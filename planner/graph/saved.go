package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// What is saved of a graph is a map of small JSON values, so that a step writes what
// it changes and nothing else.
//
//	run             {"n": 7, "graph": "…"}: the last number that was given
//	at              where the graph stands: the active nodes, by id, and its histories
//	in              what it was started with
//	v/NAME          a variable
//	a/N             an activity that goes on, or a timer, with what has to be known of it
//	b/N/I           an item of an activity with Each
//	l/N             a call that was begun, and whose node was left before its outcome was known; of a
//	                sub-graph that has gone its in and v/… stay until then
//	u/N             an entry of the ledger: what an Undo takes back
//	k/N             a signal that came before a node waited for it
//	p/NODE          what the model of a planner node has used; p/NODE/I what it chose at its I-th step, and what came of it
//	iN/…            a sub-graph: at, in, v/…, p/… of its own, and up, which says who runs it
//	lapsed          after a migration, the timers of active nodes that are over
//	end             how the graph has ended, as long as a call is left whose outcome is not known
//
// N is a number that is given once in a run. The Ref of an action is N, or N with
// what is meant of it behind a slash.
type saved struct {
	base  map[string]json.RawMessage
	patch map[string]json.RawMessage
}

func (s *saved) raw(key string) json.RawMessage {
	if v, ok := s.patch[key]; ok {
		if string(v) == "null" {
			return nil
		}
		return v
	}
	return s.base[key]
}

func (s *saved) has(key string) bool { return s.raw(key) != nil }

// get reads a value; false if there is none.
func (s *saved) get(key string, into any) (bool, error) {
	raw := s.raw(key)
	if raw == nil {
		return false, nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return false, fmt.Errorf("graph: the saved key %q has another form than expected: %w", key, err)
	}
	return true, nil
}

func (s *saved) setRaw(key string, v json.RawMessage) {
	switch old, known := s.base[key]; {
	case known && string(old) == string(v):
		delete(s.patch, key)
	default:
		s.patch[key] = v
	}
}

func (s *saved) set(key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("graph: the key %q has no JSON form: %w", key, err)
	}
	s.setRaw(key, raw)
	return nil
}

func (s *saved) del(key string) {
	if _, ok := s.base[key]; ok {
		s.patch[key] = json.RawMessage("null")
		return
	}
	delete(s.patch, key)
}

// keys returns the keys with a prefix, in order: numbers by their size.
func (s *saved) keys(prefix string) []string {
	var keys []string
	for k := range s.base {
		if strings.HasPrefix(k, prefix) && s.has(k) {
			keys = append(keys, k)
		}
	}
	for k, v := range s.patch {
		if _, ok := s.base[k]; !ok && strings.HasPrefix(k, prefix) && string(v) != "null" {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return keys
}

// whole returns all that is saved, with the changes in effect.
func (s *saved) whole() map[string]json.RawMessage {
	all := make(map[string]json.RawMessage, len(s.base)+len(s.patch))
	for k, v := range s.base {
		all[k] = v
	}
	for k, v := range s.patch {
		if string(v) == "null" {
			delete(all, k)
		} else {
			all[k] = v
		}
	}
	return all
}
