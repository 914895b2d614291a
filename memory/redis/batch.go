package redis

import (
	"context"
	"sync"
)

// A batch sends the commits of many runs together: while one round trip is under
// way, those that come wait for it and share the next. One that comes alone is
// sent at once by whoever wants it, without a goroutine between. On a Cluster
// there is one for each shard, so that a node that is down holds up no other's.
type batch struct {
	s *Store

	mu      sync.Mutex
	flights int // round trips under way
	queue   []*queued
}

const (
	maxFlights = 2   // round trips at once
	maxBatch   = 128 // commits in one
)

// queued is a call that waits for a round trip.
type queued struct {
	call  *call
	reply any
	err   error
	done  chan struct{}
}

// eval is Store.eval, perhaps together with others.
func (b *batch) eval(ctx context.Context, c *call) (any, error) {
	b.mu.Lock()
	if b.flights < maxFlights {
		b.flights++
		b.mu.Unlock()
		defer b.land()
		return b.s.eval(ctx, c)
	}
	q := &queued{call: c, done: make(chan struct{})}
	b.queue = append(b.queue, q)
	b.mu.Unlock()
	select {
	case <-q.done:
		return q.reply, q.err
	case <-ctx.Done():
		return nil, ctx.Err() // it may take place all the same
	}
}

// land ends a round trip, and begins the next if anybody waits for one. Whoever
// has waited is not kept: the next is another goroutine's.
func (b *batch) land() {
	b.mu.Lock()
	n := min(len(b.queue), maxBatch)
	if n == 0 {
		b.flights--
		b.mu.Unlock()
		return
	}
	mine := b.queue[:n:n]
	b.queue = b.queue[n:]
	b.mu.Unlock()
	go func() {
		defer b.land()
		calls := make([]*call, n)
		for i, q := range mine {
			calls[i] = q.call
		}
		replies, errs := b.s.evalAll(b.s.life, calls)
		for i, q := range mine {
			q.reply, q.err = replies[i], errs[i]
			close(q.done)
		}
	}()
}
