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

// Coded marks err with a code of the tool's own, by which a planner can tell one
// failure of it from another: "card.declined". A code is 1 to 64 letters, digits,
// _ . and -; what has another form is none, and err is returned as it is.
// Coded(code, nil) is nil.
func Coded(code string, err error) error {
	if err == nil || !isCode(code) {
		return err
	}
	return &coded{err, code}
}

// CodeOf returns the code with which err, or the outermost error in it that has
// one, is marked by [Coded]; "" if it has none.
func CodeOf(err error) string {
	var c *coded
	if !errors.As(err, &c) {
		return ""
	}
	return c.code
}

// maxCode is how many letters a code has at most.
const maxCode = 64

func isCode(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxCode
}

type coded struct {
	err  error
	code string
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }
