package orchestrator

import (
	"context"
	"errors"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// tellUnread has the list of runs say why nobody goes on with a run whose log
// cannot be read. The log stays as it is; the next commit of whoever can read it
// replaces the entry.
func (d *driver) tellUnread(ctx context.Context, cause error) error {
	reason := fmt.Sprintf("nobody goes on with it, as its log cannot be read; it is tried again every %v: %v", unreadableWait, cause)
	for range 3 {
		// Only the store knows where a log ends that cannot be read. Asked for first, it
		// makes a conflict of whatever comes in between.
		held := memory.Held{Run: d.claim.Run, Token: d.claim.Token}
		renewals, err := d.o.store.Renew(ctx, d.o.opts.Lease, []memory.Held{held})
		if err != nil || !renewals[0].Held {
			return err
		}
		e, err := listed(ctx, d.o.store, memory.RunQuery{Prefix: string(d.claim.Run)}, d.claim.Run)
		if err != nil || e == nil {
			return err
		}
		x := e.Index
		if x.Status.Ended() || x.Status == agent.StatusStuck && x.Reason == reason {
			return nil
		}
		x.Status, x.Reason = agent.StatusStuck, reason
		err = d.o.store.Commit(ctx, &memory.Commit{Run: d.claim.Run, Base: renewals[0].Last, Claim: d.claim.Token, Index: x})
		if !errors.Is(err, memory.ErrConflict) {
			return err
		}
	}
	return nil
}
