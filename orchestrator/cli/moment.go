package cli

import (
	"context"
	"time"
)

// driverWait is how long to look for a worker that takes a run up: one that is
// there does so within milliseconds.
const driverWait = time.Second

// moment waits a little, and reports whether ctx goes on.
func moment(ctx context.Context) bool {
	t := time.NewTimer(25 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
