package redisserver

import (
	"context"
	"fmt"
)

// Failover kills the primary, waits for the failover and returns the new primary.
// The old one stays down until its Restart; the sentinels make it a replica then.
func (s *Sentinel) Failover(ctx context.Context) (*Server, error) {
	old, err := s.Primary(ctx)
	if err != nil {
		return nil, err
	}
	if err := old.Kill(); err != nil {
		return nil, err
	}
	return s.WaitFailover(ctx, old)
}

// WaitFailover waits until all sentinels that run name the same primary, another
// than old, and until that one accepts writes. It returns the new primary.
func (s *Sentinel) WaitFailover(ctx context.Context, old *Server) (primary *Server, err error) {
	err = await(ctx, "the sentinels have replaced the primary "+old.Addr(), func(ctx context.Context) error {
		primary, err = s.agreed(ctx)
		if err != nil {
			return err
		}
		if primary == old {
			return fmt.Errorf("%s is still the primary", old.Addr())
		}
		return primary.writable(ctx)
	})
	if err != nil {
		return nil, err
	}
	return primary, nil
}

// agreed returns the primary that all sentinels name.
func (s *Sentinel) agreed(ctx context.Context) (*Server, error) {
	primary, err := s.Primary(ctx)
	if err != nil {
		return nil, err
	}
	for i, one := range s.sentinels {
		if !one.Running() {
			continue
		}
		if got, err := s.named(ctx, i); err != nil {
			return nil, err
		} else if got != primary {
			return nil, fmt.Errorf("the sentinel at %s still names %s, not %s", one.Addr(), got.Addr(), primary.Addr())
		}
	}
	return primary, nil
}

// writable returns nil when the server accepts writes. It asks with one that
// leaves no trace: to delete a key that nobody has.
func (s *Server) writable(ctx context.Context) error {
	c := s.admin()
	defer c.Close()
	if err := c.Del(ctx, "redisserver:nobody-has-this-key").Err(); err != nil {
		return fmt.Errorf("%s does not accept writes: %w", s.Addr(), err)
	}
	return nil
}

// WaitReplica waits until the replica follows the primary and has its data, as
// after the Restart of a primary that was replaced. It returns the replica.
func (s *Sentinel) WaitReplica(ctx context.Context) (replica *Server, err error) {
	err = await(ctx, "the replica follows the primary", func(ctx context.Context) error {
		if replica, err = s.Replica(ctx); err != nil {
			return err
		}
		return replica.follows(ctx)
	})
	if err != nil {
		return nil, err
	}
	return replica, nil
}

// follows returns nil when the server is a replica in sync.
func (s *Server) follows(ctx context.Context) error {
	if !s.Running() {
		return fmt.Errorf("%s is down", s.Addr())
	}
	c := s.admin()
	defer c.Close()
	info, err := c.InfoMap(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if r := info["Replication"]; r["role"] != "slave" || r["master_link_status"] != "up" {
		return fmt.Errorf("%s says that its role is %q and its link to a primary %q", s.Addr(), r["role"], r["master_link_status"])
	}
	return nil
}
