package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// item is what is saved of an item of Each: that it goes on, or how it has ended. The
// list of all items is saved once, under b/N.
type item struct {
	Try   int             `json:"try"`             // failed attempts
	Waits bool            `json:"waits,omitempty"` // for another attempt
	Child string          `json:"child,omitempty"`
	Armed bool            `json:"armed,omitempty"` // its Undo is in the ledger, or nothing is to be undone
	OK    json.RawMessage `json:"ok,omitempty"`
	Bare  bool            `json:"bare,omitempty"` // with OK: its Undo could not be evaluated, and is not armed
	Err   *failure        `json:"err,omitempty"`
}

// How an item's key begins says how it stands, so that a join is derived from what is
// saved, by a look at each key.
const (
	itemOK  = `{"ok":`
	itemErr = `{"err":`
)

func (i *item) encode() (json.RawMessage, error) {
	switch {
	case i.OK != nil:
		return json.Marshal(struct {
			OK   json.RawMessage `json:"ok"`
			Bare bool            `json:"bare,omitempty"`
		}{i.OK, i.Bare})
	case i.Err != nil:
		return json.Marshal(struct {
			Err *failure `json:"err"`
		}{i.Err})
	}
	return json.Marshal(i)
}

func itemKey(num string, i int) string { return "b/" + num + "/" + strconv.Itoa(i) }

func (st *step) setItem(num string, i int, it *item) error {
	raw, err := it.encode()
	if err != nil {
		return err
	}
	key := itemKey(num, i)
	if c := st.stands[num]; c != nil {
		c.count(st.s.raw(key), -1)
		c.count(raw, 1)
		if c.results != nil && it.OK != nil {
			if c.results[i], err = decodeValue(it.OK); err != nil {
				return err
			}
		}
	}
	st.s.setRaw(key, raw)
	return nil
}

func (st *step) item(num string, i int) (*item, error) {
	var it item
	ok, err := st.s.get(itemKey(num, i), &it)
	if err != nil || !ok {
		return nil, err
	}
	return &it, nil
}

// tries are the failed attempts of an activity, or of an item of one.
func (st *step) tries(num string, r *record, i int) (int, error) {
	if i < 0 {
		return r.Try, nil
	}
	it, err := st.item(num, i)
	if err != nil || it == nil {
		return 0, err
	}
	return it.Try, nil
}

func (st *step) setTries(num string, r *record, i, tries int) error {
	if i < 0 {
		r.Try, r.Waits, r.dirty = tries, true, true
		return nil
	}
	return st.setItem(num, i, &item{Try: tries, Waits: true})
}

// setWaits notes whether an activity, or an item of one, has nothing open.
func (st *step) setWaits(num string, i int, waits bool) error {
	if i < 0 {
		r := st.acts[num]
		r.Waits, r.dirty = waits, true
		return nil
	}
	it, err := st.item(num, i)
	if err != nil || it == nil {
		return err
	}
	it.Waits = waits
	return st.setItem(num, i, it)
}

// standsAt says whether an activity, or an item of one, has not ended, and whether it
// waits for another attempt.
func (st *step) standsAt(num string, r *record, i int) (goesOn, waits bool, err error) {
	if i < 0 {
		return true, r.Waits, nil
	}
	it, err := st.item(num, i)
	if err != nil || it == nil || it.OK != nil || it.Err != nil {
		return false, false, err
	}
	return true, it.Waits, nil
}

// beginEach begins the first items of a list.
func (st *step) beginEach(x *instance, n *node, num string, r *record) error {
	list, err := x.eval(n.each.in)
	items, ok := list.([]any)
	if err == nil && !ok {
		err = fmt.Errorf("each.in: a list is expected, and this is %s", show(list))
	}
	var raw json.RawMessage
	if err == nil {
		raw, err = encodeValue(items)
	}
	if err != nil {
		return st.failLater(x, num, -1, err)
	}
	r.Total = len(items)
	st.s.setRaw("b/"+num, raw)
	st.later(func() error { return st.advance(x, n, num) })
	return nil
}

// standing is how the items of a list stand. It is derived from what is saved once in a
// step, and kept up to date within it.
type standing struct {
	ok, bad, running int
	next             int   // no item before it is still to begin
	results          []any // nil: not looked at
}

func (c *standing) begun() int { return c.ok + c.bad + c.running }

// count adds n items that are saved as raw; nil is one that is not.
func (c *standing) count(raw json.RawMessage, n int) {
	switch s := string(raw); {
	case s == "" || s == "null":
	case strings.HasPrefix(s, itemOK):
		c.ok += n
	case strings.HasPrefix(s, itemErr):
		c.bad += n
	default:
		c.running += n
	}
}

func (st *step) standing(num string) *standing {
	if c := st.stands[num]; c != nil {
		return c
	}
	prefix := "b/" + num + "/"
	c := &standing{}
	for k, v := range st.s.base {
		if _, changed := st.s.patch[k]; !changed && strings.HasPrefix(k, prefix) {
			c.count(v, 1)
		}
	}
	for k, v := range st.s.patch {
		if strings.HasPrefix(k, prefix) {
			c.count(v, 1)
		}
	}
	if st.stands == nil {
		st.stands = map[string]*standing{}
	}
	st.stands[num] = c
	return c
}

// verdict is what an Until says of how the items stand.
type verdict int

const (
	more verdict = iota
	enough
	unmet
)

func (st *step) judge(x *instance, n *node, num string, r *record, c *standing) (verdict, error) {
	left := r.Total - c.ok - c.bad
	switch e := n.each; {
	case e.until != nil:
		return st.judgeUntil(x, n, num, r, c, left)
	case e.need < 0 && c.bad > 0:
		return unmet, nil
	case e.need < 0 && left == 0, e.need >= 0 && c.ok >= e.need:
		return enough, nil
	case e.need >= 0 && c.ok+left < e.need:
		return unmet, nil
	}
	return more, nil
}

func (st *step) judgeUntil(x *instance, n *node, num string, r *record, c *standing, left int) (verdict, error) {
	results, err := st.results(num, r.Total)
	if err != nil {
		return more, err
	}
	before := x.locals
	x.locals = map[string]any{"results": results, "failed": int64(c.bad), "total": int64(r.Total)}
	defer func() { x.locals = before }()
	yes, err := x.holds(n.each.until)
	switch {
	case err != nil:
		return unmet, fmt.Errorf("until: %w", err)
	case yes:
		return enough, nil
	case left == 0:
		return unmet, nil
	}
	return more, nil
}

// results are those of all items, in their order; null where there is none.
func (st *step) results(num string, total int) ([]any, error) {
	c := st.standing(num)
	if c.results != nil {
		return c.results, nil
	}
	results := make([]any, total)
	for i := range results {
		raw := st.s.raw(itemKey(num, i))
		if !strings.HasPrefix(string(raw), itemOK) {
			continue
		}
		var it item
		if err := json.Unmarshal(raw, &it); err != nil {
			return nil, err
		}
		v, err := decodeValue(it.OK)
		if err != nil {
			return nil, err
		}
		results[i] = v
	}
	c.results = results
	return results, nil
}

// advance ends a list of which enough is done, or that cannot be done any more, and
// begins further items otherwise.
func (st *step) advance(x *instance, n *node, num string) error {
	r, err := st.record(num)
	if err != nil || r == nil || r.Failed != nil || x.gone {
		return err
	}
	c := st.standing(num)
	v, err := st.judge(x, n, num, r, c)
	if err != nil {
		st.withdrawItems(x, n, num)
		return st.failed(x, num, -1, &failure{Code: "execution", Message: err.Error(), final: true})
	}
	switch v {
	case enough:
		results, err := st.results(num, r.Total)
		if err != nil {
			return err
		}
		st.withdrawItems(x, n, num)
		return st.complete(x, n, num, r, results, "")
	case unmet:
		f := st.unmet(n, num, r, c)
		st.withdrawItems(x, n, num)
		return st.failed(x, num, -1, f)
	}
	for c.begun() < r.Total && (n.each.AtOnce <= 0 || c.running < n.each.AtOnce) {
		i := c.next
		c.next++
		if st.s.has(itemKey(num, i)) {
			continue
		}
		if err := st.setItem(num, i, &item{}); err != nil {
			return err
		}
		if err := st.launch(x, n, num, i); err != nil {
			return err
		}
	}
	return nil
}

// unmet says why a list cannot be done: with the first error of an item.
func (st *step) unmet(n *node, num string, r *record, c *standing) *failure {
	f := &failure{Code: "unmet", final: true, Message: fmt.Sprintf("%d of %d items of %s have failed, and %d ended well", c.bad, r.Total, n.ID, c.ok)}
	for i := range r.Total {
		it, err := st.item(num, i)
		if err == nil && it != nil && it.Err != nil {
			f.Message += fmt.Sprintf("; item %d: %s: %s", i, it.Err.Code, it.Err.Message)
			break
		}
	}
	return f
}

func (st *step) itemDone(x *instance, n *node, num string, r *record, i int, result any) error {
	it, err := st.item(num, i)
	if err != nil || it == nil || it.OK != nil || it.Err != nil {
		return err
	}
	raw, err := encodeValue(result)
	if err != nil {
		return err
	}
	if err := st.setItem(num, i, &item{OK: raw, Bare: n.undo != nil && !it.Armed}); err != nil {
		return err
	}
	armed, err := st.armItem(x, n, num, i, result)
	if !armed || err != nil {
		return err
	}
	return st.advance(x, n, num)
}

// armItem arms what takes an item back that has ended well. If that cannot be evaluated
// the others are withdrawn, and the activity fails: this one is not done again.
func (st *step) armItem(x *instance, n *node, num string, i int, result any) (bool, error) {
	it, err := st.item(num, i)
	if err != nil || it == nil || !it.Bare {
		return true, err
	}
	if err := st.arm(x, n, num, i, result); err != nil {
		st.withdrawItems(x, n, num)
		return false, st.failed(x, num, -1, &failure{Code: "execution", Message: fmt.Sprintf("item %d of %s has ended well, but its undo cannot be evaluated: %v", i, n.ID, err), final: true})
	}
	return true, st.setItem(num, i, &item{OK: it.OK})
}

// arm adds to the ledger what takes an activity back, or an item of one, that has ended
// well with a result.
func (st *step) arm(x *instance, n *node, num string, i int, result any) error {
	locals, err := st.itemLocals(x, n, num, i)
	if err != nil {
		return err
	}
	before, cur := x.locals, x.cur
	defer func() { x.locals, x.cur = before, cur }()
	x.locals, x.cur = locals, &occurrence{Name: "done", at: n, result: result, Data: result}
	return st.armUndo(x, n, x.scopesOf(n), refOf(num, i))
}

// armAgain arms what could not be evaluated as its item ended.
func (st *step) armAgain(x *instance, n *node, num string, total int) (bool, error) {
	results, err := st.results(num, total)
	if err != nil {
		return false, err
	}
	for i, result := range results {
		if armed, err := st.armItem(x, n, num, i, result); !armed || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (st *step) itemFailed(x *instance, n *node, num string, _ *record, i int, f *failure) error {
	if err := st.setItem(num, i, &item{Err: f}); err != nil {
		return err
	}
	return st.advance(x, n, num)
}

// itemLocals are what the expressions of an item see.
func (st *step) itemLocals(x *instance, n *node, num string, i int) (map[string]any, error) {
	if i < 0 || n.each == nil {
		return x.locals, nil
	}
	list, err := st.items(num)
	if err != nil || i >= len(list) {
		return nil, err
	}
	return map[string]any{n.each.as: list[i], "index": int64(i)}, nil
}

// items are those of a list, read once in a step.
func (st *step) items(num string) ([]any, error) {
	if list, ok := st.lists[num]; ok {
		return list, nil
	}
	v, err := decodeValue(st.s.raw("b/" + num))
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	if st.lists == nil {
		st.lists = map[string][]any{}
	}
	st.lists[num] = list
	return list, nil
}

// withdrawItems cancels the items that go on.
func (st *step) withdrawItems(x *instance, n *node, num string) {
	delete(st.stands, num)
	for _, k := range st.s.keys("b/" + num + "/") {
		raw := string(st.s.raw(k))
		if strings.HasPrefix(raw, itemOK) || strings.HasPrefix(raw, itemErr) {
			continue
		}
		i, _ := strconv.Atoi(k[len("b/")+len(num)+1:])
		ref := refOf(num, i)
		switch it, err := st.item(num, i); {
		case err != nil || it == nil:
			x.fatal = errors.Join(x.fatal, err)
		case it.Child != "":
			st.stop(it.Child)
		case it.Waits:
			st.cancel(ref + "/r")
		default:
			if n.mayTakePlace() && !st.opening(ref) {
				st.remember(x, n, num, i)
			}
			st.cancel(ref)
		}
		st.s.del(k)
	}
}
