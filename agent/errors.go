package agent

import (
	"errors"
	"time"
)

// NotDone marks err as the error of an act that has surely not taken place, so
// that even a Once tool may be run again: the connection was refused, the
// request was turned down. NotDone(nil) is nil.
func NotDone(err error) error {
	if err == nil {
		return nil
	}
	return &notDone{err}
}

// IsNotDone reports whether err is marked with [NotDone].
func IsNotDone(err error) bool {
	var n *notDone
	return errors.As(err, &n)
}

type notDone struct{ err error }

func (e *notDone) Error() string { return e.err.Error() }
func (e *notDone) Unwrap() error { return e.err }

// Transient marks err as one that may pass, such as an overloaded or
// unreachable model: what failed is tried again later, not before after has
// passed (0 leaves the wait to the back-off). Transient(nil, 0) is nil.
func Transient(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &transient{err, after}
}

// IsTransient reports whether err is marked with [Transient], and how long to
// wait at least.
func IsTransient(err error) (after time.Duration, ok bool) {
	var t *transient
	if !errors.As(err, &t) {
		return 0, false
	}
	return t.after, true
}

type transient struct {
	err   error
	after time.Duration
}

func (e *transient) Error() string { return e.err.Error() }
func (e *transient) Unwrap() error { return e.err }
