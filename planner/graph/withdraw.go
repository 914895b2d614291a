package graph

import (
	"slices"

	"github.com/fermata-run/fermata/agent"
)

// cancelNode cancels what a node had going on, as it is left.
func (st *step) cancelNode(x *instance, n *node) error {
	list, err := st.records(x, n.ID)
	if err != nil {
		return err
	}
	for _, num := range list {
		if r := st.acts[num]; r.Kind != recSend {
			st.drop(x, num, r, true)
		}
	}
	return nil
}

// drop closes a record. With cancel what goes on of it is withdrawn.
func (st *step) drop(x *instance, num string, r *record, cancel bool) {
	if cancel {
		st.withdraw(x, num, r)
	}
	if r.Within {
		st.cancel(num + "/w")
	}
	if r.Asked && cancel {
		st.cancel(num + "/!")
	}
	for _, k := range st.s.keys("b/" + num + "/") {
		st.s.del(k)
	}
	st.s.del("b/" + num)
	r.gone = true
}

// withdraw cancels the actions and sub-graphs of an activity. A call that may be
// under way, and that can be undone, is remembered until its outcome is known.
func (st *step) withdraw(x *instance, num string, r *record) {
	n := x.p.nodes[r.Node]
	switch {
	case r.Kind == recAfter, r.Kind == recSend:
		st.cancel(num)
	case r.Kind == recInvoke, r.Child != "":
		st.stop(r.Child)
	case n.each != nil && r.Kind == n.kind:
		st.withdrawItems(x, n, num)
	case r.Kind == actCompensate:
		st.withdrawUndo(x, n, num, r)
	case r.Failed == nil && r.Waits:
		st.cancel(num + "/r")
	case r.Failed == nil:
		if n.mayTakePlace() && !st.opening(num) {
			st.remember(x, n, num, -1)
		}
		st.cancel(num)
	}
}

// withdrawUndo cancels a compensation. Others may wait for what it does.
func (st *step) withdrawUndo(x *instance, n *node, num string, r *record) {
	switch {
	case r.Undoing == "" || r.Result != nil:
	case r.Failed != nil:
		if r.Asked && !st.opening(num+"/!") {
			st.rememberUndo(x, n, num+"/!", r)
		}
	case r.Waits:
		st.cancel(num + "/r")
	default:
		if !st.opening(num + "/u") {
			st.rememberUndo(x, n, num+"/u", r)
		}
		st.cancel(num + "/u")
	}
	st.later(st.resume)
}

// mayTakePlace reports whether an activity that is cancelled may have to be undone. A
// wait, and a timer, has ended well before, or it never does.
func (n *node) mayTakePlace() bool { return n.undo != nil && n.kind != actWait && n.kind != actTimer }

// opening reports whether an action is of this step.
func (st *step) opening(ref string) bool {
	return slices.ContainsFunc(st.out.Actions, func(a agent.Action) bool { return a.Ref == ref })
}
