package graph

import (
	"fmt"
	"slices"
	"time"
)

// retry begins another attempt after a wait, if the node's Retry says so.
func (st *step) retry(x *instance, n *node, num string, r *record, item int, f *failure) (bool, error) {
	if n.Retry == nil || f.final || !retries(n.Retry.On, f.Code) {
		return false, nil
	}
	try, err := st.tries(num, r, item)
	if err != nil || try+1 >= n.Retry.Attempts {
		return false, err
	}
	wait, err := x.backoff(n.backoff, n.maxWait, try)
	if err != nil {
		return false, nil // the failure itself is what matters
	}
	if err := st.setTries(num, r, item, try+1); err != nil {
		return false, err
	}
	st.wait(refOf(num, item)+"/r", st.facts.Now.Add(wait))
	return true, nil
}

// retries reports whether an error is worth another attempt. What is wrong in an
// expression stays so.
func retries(on []string, code string) bool {
	if code == "execution" {
		return false
	}
	return len(on) == 0 || slices.ContainsFunc(on, func(d string) bool { return matchesEvent(d, "error."+code) })
}

// backoff is the wait before the attempt that follows after n failed ones.
func (x *instance) backoff(first, most value, n int) (time.Duration, error) {
	wait, longest, err := x.waits(first, most)
	return doubled(wait, longest, n), err
}

// waits are the first wait of a Retry and the longest, with their defaults.
func (x *instance) waits(first, most value) (wait, longest time.Duration, err error) {
	wait, longest = time.Second, time.Minute
	if first.given() {
		if wait, err = x.durationOf(first, "backoff"); err != nil {
			return 0, 0, err
		}
	}
	if most.given() {
		if longest, err = x.durationOf(most, "max"); err != nil {
			return 0, 0, err
		}
	}
	return wait, longest, nil
}

// doubled is a wait that has doubled n times, up to the longest.
func doubled(wait, longest time.Duration, n int) time.Duration {
	for ; n > 0 && wait > 0; n-- {
		if wait > longest/2 {
			return longest
		}
		wait *= 2
	}
	return min(wait, longest)
}

// timedOut ends an activity whose Within has passed.
func (st *step) timedOut(x *instance, num string, r *record) error {
	if !r.Within || r.Asked {
		return nil
	}
	n := x.p.nodes[r.Node]
	r.Within, r.dirty = false, true
	st.withdraw(x, num, r)
	f := &failure{Code: "timeout", Message: fmt.Sprintf("%s was not done in time", n.ID), final: true}
	return st.failed(x, num, -1, f)
}
