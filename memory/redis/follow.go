package redis

import (
	"context"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// The channels of a Cluster's shards move with the slots. A node that gives a slot
// away ends the subscriptions, and one that has not got it refuses them; the
// client stays with that node all the same, so the hub goes after them.

// unheard is a subscription of a shard that is not confirmed yet.
type unheard struct {
	shard int
	since time.Time
}

// wants reports whether a channel is to be heard.
func (h *hub) wants(channel string) bool {
	if _, run, ok := strings.Cut(channel, "}:watch:"); ok {
		h.subMu.Lock()
		defer h.subMu.Unlock()
		return h.heard[agent.RunID(run)]
	}
	return h.wantsNews()
}

// moved is told when a node of a Cluster has ended a subscription, since it has
// given the shard's slot away: the client stays with that node.
func (h *hub) moved(shard int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed && !h.moving[shard] {
		h.moving[shard] = true
		h.readers.Go(func() { h.follow(shard) })
	}
}

// confirm sees after subscriptions that are not confirmed in time: a node that has
// not the slot refuses them, and the client stays with it.
func (h *hub) confirm() {
	const inTime = time.Second
	var late []int
	h.mu.Lock()
	for _, u := range h.unheard {
		if time.Since(u.since) > inTime {
			late = append(late, u.shard)
		}
	}
	h.mu.Unlock()
	for _, shard := range late {
		h.moved(shard)
	}
}

// follow subscribes to the channels of a shard anew, until all are confirmed: the
// nodes of a Cluster learn one after the other who has the slot.
func (h *hub) follow(shard int) {
	const soon, late = 50 * time.Millisecond, 2 * time.Second
	for pause := soon; h.store.life.Err() == nil; pause = min(2*pause, late) {
		_ = h.store.reload(h.store.life) // or it tries again
		h.resubscribe(shard)
		sleep(h.store.life, pause)
		h.mu.Lock()
		all := true
		for _, u := range h.unheard {
			all = all && u.shard != shard
		}
		if all {
			delete(h.moving, shard)
		}
		h.mu.Unlock()
		if all {
			return
		}
	}
}

// resubscribe makes a new connection for the channels of a shard.
func (h *hub) resubscribe(shard int) {
	h.subMu.Lock()
	defer h.subMu.Unlock()
	if sub := h.subs[shard]; sub != nil {
		delete(h.subs, shard)
		_ = sub.Close()
	}
	for _, channel := range h.channels(shard) {
		h.subscribe(shard, channel)
	}
}

// channels returns those of a shard that are to be heard. subMu is held.
func (h *hub) channels(shard int) (all []string) {
	if h.wantsNews() {
		all = append(all, h.store.keys.shard(shard).news())
	}
	for run := range h.heard {
		if h.store.keys.number(run) == shard {
			all = append(all, h.store.keys.shard(shard).watch(run))
		}
	}
	return all
}

func (h *hub) wantsNews() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listens
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
