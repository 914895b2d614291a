package graph

import (
	"encoding/json"
	"slices"
	"time"
)

// record is what is saved of an activity, or of a timer, that goes on.
type record struct {
	In      string     `json:"in,omitempty"` // the graph
	Node    string     `json:"node"`
	Kind    activity   `json:"kind"`
	Try     int        `json:"try,omitempty"`   // attempts made, but for the one that goes on
	Due     *time.Time `json:"due,omitempty"`   // of a timer
	Edge    string     `json:"edge,omitempty"`  // of After
	Send    *sent      `json:"send,omitempty"`  // that comes later
	Total   int        `json:"total,omitempty"` // items of Each
	Child   string     `json:"child,omitempty"` // the sub-graph that it runs
	Invoke  string     `json:"invoke,omitempty"`
	Index   int        `json:"index,omitempty"` // of the Invoke in its node
	Undoing string     `json:"undoing,omitempty"`

	Failed *failure        `json:"failed,omitempty"`
	Asked  bool            `json:"asked,omitempty"`  // a person is asked what is to be done about Failed
	Result json.RawMessage `json:"result,omitempty"` // it has ended well, but its Output could not be evaluated
	Armed  bool            `json:"armed,omitempty"`  // its Undo is in the ledger
	Within bool            `json:"within,omitempty"` // it has a timer of Within
	Waits  bool            `json:"waits,omitempty"`  // no action of it is open: it waits for another attempt; a compensation for the outcome of a call, too

	dirty, gone bool
}

// Kinds of records that are no node's activity.
const (
	recAfter  activity = "after"
	recSend   activity = "send"
	recInvoke activity = "invoke"
)

func (r *record) save(st *step, n string) error {
	switch {
	case r.gone:
		st.s.del("a/" + n)
	case r.dirty:
		return st.s.set("a/"+n, r)
	}
	return nil
}

// add opens a record.
func (st *step) add(r *record) string {
	n := st.number()
	r.dirty = true
	st.acts[n] = r
	return n
}

// record returns an open record; nil if there is none.
func (st *step) record(n string) (*record, error) {
	if r := st.acts[n]; r != nil {
		if r.gone {
			return nil, nil
		}
		return r, nil
	}
	var r record
	if ok, err := st.s.get("a/"+n, &r); err != nil || !ok {
		return nil, err
	}
	st.acts[n] = &r
	return &r, nil
}

// records yields the numbers of all open records of a graph's node, or of all nodes
// for "", in order.
func (st *step) records(x *instance, id string) ([]string, error) {
	if err := st.readAll(); err != nil {
		return nil, err
	}
	var list []string
	for n, r := range st.acts {
		if !r.gone && r.In == x.id && (id == "" || r.Node == id) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, byNumber)
	return list, nil
}

// readAll reads all open records.
func (st *step) readAll() error {
	if st.all {
		return nil
	}
	for _, k := range st.s.keys("a/") {
		if _, err := st.record(k[2:]); err != nil {
			return err
		}
	}
	st.all = true
	return nil
}
