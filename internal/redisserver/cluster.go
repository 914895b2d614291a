package redisserver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

const slots = 16384 // of every cluster

// A Cluster is a Redis Cluster of masters without replicas. Make it with
// [StartCluster].
type Cluster struct {
	servers []*Server
	clients []*redis.Client // one of each server
	ids     []string        // of the nodes, in the order of servers
}

// StartCluster starts n masters that share the slots in equal ranges, the first
// server the lowest, and returns when all agree that the cluster is whole. o is
// for each of them and may be nil; below a Dir of it, each has a directory.
func StartCluster(n int, o *Options) (*Cluster, error) {
	if n < 1 || n > slots {
		return nil, fmt.Errorf("redisserver: a cluster of %d nodes; it takes 1 to %d", n, slots)
	}
	servers, err := startAll(n, func(i int) (*Server, error) {
		return startRole(o.below("node-"+strconv.Itoa(i)), role{cluster: true, lines: clusterLines})
	})
	if err != nil {
		return nil, err
	}
	c := &Cluster{servers: servers}
	for _, s := range servers {
		c.clients = append(c.clients, s.admin())
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.form(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func clusterLines(s *Server) []string {
	return []string{
		"cluster-enabled yes",
		"cluster-config-file nodes.conf",
		"cluster-port " + strconv.Itoa(s.bus.number),
		"cluster-node-timeout 5000", // longer than a busy machine lets a healthy node wait
	}
}

// below returns o with the directory name below its own, if it has one.
func (o *Options) below(name string) *Options {
	if o == nil || o.Dir == "" {
		return o
	}
	c := *o
	c.Dir = filepath.Join(o.Dir, name)
	return &c
}

// startAll starts n servers at once. When one fails, none is left.
func startAll(n int, start func(i int) (*Server, error)) ([]*Server, error) {
	servers, errs := make([]*Server, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { servers[i], errs[i] = start(i) })
	}
	all.Wait()
	err := errors.Join(errs...)
	if err == nil {
		return servers, nil
	}
	for _, s := range servers {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return nil, err
}

// form makes a cluster of the servers: every node gets its slots and an epoch of
// its own, so that no claims collide, and meets the others.
func (c *Cluster) form(ctx context.Context) error {
	n := len(c.servers)
	for i, cl := range c.clients {
		id, err := cl.ClusterMyID(ctx).Result()
		if err != nil {
			return fmt.Errorf("redisserver: ask %s for its id: %w", c.servers[i].Addr(), err)
		}
		c.ids = append(c.ids, id)
		if err := cl.ClusterAddSlotsRange(ctx, i*slots/n, (i+1)*slots/n-1).Err(); err != nil {
			return fmt.Errorf("redisserver: give slots to %s: %w; it takes a new node and Redis 7.0 or later", c.servers[i].Addr(), err)
		}
		if err := cl.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return fmt.Errorf("redisserver: give an epoch to %s: %w", c.servers[i].Addr(), err)
		}
	}
	for i, cl := range c.clients {
		for _, other := range c.servers[:i] {
			if err := cl.Do(ctx, "CLUSTER", "MEET", loopback, other.port.number, other.bus.number).Err(); err != nil {
				return fmt.Errorf("redisserver: %s meets %s: %w", c.servers[i].Addr(), other.Addr(), err)
			}
		}
	}
	return c.WaitOK(ctx)
}

// WaitOK waits until all nodes agree that the cluster is whole: each knows the
// others and an owner for each slot, none of which has failed.
func (c *Cluster) WaitOK(ctx context.Context) error {
	return await(ctx, "all nodes of the cluster are ready", func(ctx context.Context) error {
		for i, cl := range c.clients {
			if !c.servers[i].Running() {
				return fmt.Errorf("%s is down", c.servers[i].Addr())
			}
			info, err := cl.ClusterInfo(ctx).Result()
			if err != nil {
				return fmt.Errorf("%s: %w", c.servers[i].Addr(), err)
			}
			for _, want := range []string{"cluster_state:ok", fmt.Sprintf("cluster_slots_ok:%d", slots), fmt.Sprintf("cluster_known_nodes:%d", len(c.servers))} {
				if !strings.Contains(info, want+"\r\n") {
					return fmt.Errorf("CLUSTER INFO of %s lacks %s; it is: %s", c.servers[i].Addr(), want, strings.Join(strings.Fields(info), " "))
				}
			}
		}
		return nil
	})
}

// Servers returns its nodes, always in the same order.
func (c *Cluster) Servers() []*Server { return append([]*Server(nil), c.servers...) }

// Addrs returns the addresses of its nodes, in the order of Servers.
func (c *Cluster) Addrs() []string { return addrs(c.servers) }

func addrs(servers []*Server) []string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Addr()
	}
	return all
}

// ClientOptions returns what a cluster client of go-redis needs to reach it as the
// default user. The result is the caller's to change.
func (c *Cluster) ClientOptions() *redis.ClusterOptions {
	o := c.servers[0].ClientOptions()
	return &redis.ClusterOptions{
		Addrs:                    c.Addrs(),
		Password:                 o.Password,
		TLSConfig:                o.TLSConfig,
		MaintNotificationsConfig: o.MaintNotificationsConfig,
	}
}

// Close closes all nodes. It may be called again.
func (c *Cluster) Close() error {
	var errs []error
	for _, cl := range c.clients {
		if err := cl.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, closeAll(c.servers))...)
}

func closeAll(servers []*Server) error {
	errs := make([]error, len(servers))
	for i, s := range servers {
		errs[i] = s.Close()
	}
	return errors.Join(errs...)
}
