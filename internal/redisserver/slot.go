package redisserver

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// Slot returns the slot of a key; keys with the same hash tag share theirs.
func (c *Cluster) Slot(ctx context.Context, key string) (int, error) {
	slot, err := c.clients[0].ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return 0, fmt.Errorf("redisserver: ask %s for the slot of a key: %w", c.servers[0].Addr(), err)
	}
	return int(slot), nil
}

// Owner returns the index in Servers of the node that owns the slot, as the node
// asked sees it: the first one that runs.
func (c *Cluster) Owner(ctx context.Context, slot int) (int, error) {
	asked := slices.IndexFunc(c.servers, (*Server).Running)
	if asked < 0 {
		return 0, fmt.Errorf("redisserver: ask for the owner of slot %d: all nodes are down; restart one", slot)
	}
	shards, err := c.clients[asked].ClusterShards(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("redisserver: ask %s for the owner of slot %d: %w", c.servers[asked].Addr(), slot, err)
	}
	for _, shard := range shards { // of one node each
		if slices.ContainsFunc(shard.Slots, func(r redis.SlotRange) bool { return r.Start <= int64(slot) && int64(slot) <= r.End }) {
			if i := slices.Index(c.ids, shard.Nodes[0].ID); i >= 0 {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("redisserver: %s knows no owner of slot %d; slots are 0 to %d", c.servers[asked].Addr(), slot, slots-1)
}

// MoveSlot moves a slot and all its keys to the node that is Servers()[to], and
// returns when all nodes that run know it. Clients with an older map are answered
// with MOVED from then on, and with ASK meanwhile. A slot that is there already
// stays.
func (c *Cluster) MoveSlot(ctx context.Context, slot, to int) error {
	if owner, err := c.Owner(ctx, slot); err != nil || owner == to {
		return err
	}
	m, err := c.StartMove(ctx, slot, to)
	if err != nil {
		return err
	}
	return m.Finish(ctx)
}

// A SlotMove is a slot on its way from one node to another. The old owner still
// answers for the keys that it has, and with ASK for all others.
type SlotMove struct {
	c              *Cluster
	slot, from, to int
}

// StartMove begins to move a slot to the node that is Servers()[to], and moves no
// key yet.
func (c *Cluster) StartMove(ctx context.Context, slot, to int) (*SlotMove, error) {
	if to < 0 || to >= len(c.servers) {
		return nil, fmt.Errorf("redisserver: move slot %d to node %d; there are 0 to %d", slot, to, len(c.servers)-1)
	}
	from, err := c.Owner(ctx, slot)
	if err != nil {
		return nil, err
	}
	if from == to {
		return nil, fmt.Errorf("redisserver: move slot %d to node %d; it is there already", slot, to)
	}
	m := &SlotMove{c, slot, from, to}
	if err := m.setSlot(ctx, to, "IMPORTING", c.ids[from]); err != nil {
		return nil, err
	}
	return m, m.setSlot(ctx, from, "MIGRATING", c.ids[to])
}

// Keys moves up to n keys and returns how many there were to move: 0 means that
// all have been moved.
func (m *SlotMove) Keys(ctx context.Context, n int) (int, error) {
	from, to := m.c.clients[m.from], m.c.servers[m.to]
	keys, err := from.ClusterGetKeysInSlot(ctx, m.slot, n).Result()
	if err != nil {
		return 0, fmt.Errorf("redisserver: ask %s for the keys of slot %d: %w", m.c.servers[m.from].Addr(), m.slot, err)
	}
	if len(keys) == 0 {
		return 0, nil
	}
	const most = 5000 // milliseconds
	args := []any{"MIGRATE", loopback, to.port.number, "", 0, most}
	if to.opts.Password != "" {
		args = append(args, "AUTH", to.opts.Password)
	}
	args = append(args, "KEYS")
	for _, k := range keys {
		args = append(args, k)
	}
	if err := from.Do(ctx, args...).Err(); err != nil {
		return 0, fmt.Errorf("redisserver: move %d keys of slot %d from %s to %s: %w", len(keys), m.slot, m.c.servers[m.from].Addr(), to.Addr(), err)
	}
	return len(keys), nil
}

// Finish moves the keys that are left and makes the new owner known, to itself
// first, so that at no time nobody owns the slot.
func (m *SlotMove) Finish(ctx context.Context) error {
	const atOnce = 100
	for {
		if n, err := m.Keys(ctx, atOnce); err != nil {
			return err
		} else if n == 0 {
			break
		}
	}
	for _, node := range m.order() {
		if !m.c.servers[node].Running() {
			continue // it learns of it from the others
		}
		if err := m.setSlot(ctx, node, "NODE", m.c.ids[m.to]); err != nil {
			return err
		}
	}
	return nil
}

// order is the new owner, the old one, and then the others.
func (m *SlotMove) order() []int {
	nodes := []int{m.to, m.from}
	for i := range m.c.servers {
		if i != m.to && i != m.from {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

func (m *SlotMove) setSlot(ctx context.Context, node int, state, id string) error {
	if err := m.c.clients[node].Do(ctx, "CLUSTER", "SETSLOT", m.slot, state, id).Err(); err != nil {
		return fmt.Errorf("redisserver: tell %s that slot %d is %s %s: %w", m.c.servers[node].Addr(), m.slot, state, id, err)
	}
	return nil
}
