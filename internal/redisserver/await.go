package redisserver

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// patience is how long a server, a sentinel or a cluster may take to become
// ready. It is long because loading a large file is, and a machine may be busy;
// a server that dies meanwhile is noticed at once.
const patience = time.Minute

// errFinal marks an error of a condition that can no longer come true.
type errFinal struct{ error }

func (e errFinal) Unwrap() error { return e.error }

// await asks cond again and again until it returns nil. It gives up with an
// [errFinal] of cond, or when ctx ends, and then says what cond last lacked.
func await(ctx context.Context, what string, cond func(context.Context) error) error {
	const often = 10 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	var lacked error
	for {
		err := cond(ctx)
		if err == nil {
			return nil
		}
		if final := (errFinal{}); errors.As(err, &final) {
			return fmt.Errorf("redisserver: wait until %s: %w", what, final.error)
		}
		if lacked == nil || ctx.Err() == nil { // else err only says that ctx has ended
			lacked = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redisserver: wait until %s: %w; last seen: %w", what, ctx.Err(), lacked)
		case <-tick.C:
		}
	}
}
