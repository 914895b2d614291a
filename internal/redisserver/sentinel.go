package redisserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// SentinelOptions says how a primary and its sentinels run. The zero value and
// nil are three sentinels that are quick to act.
type SentinelOptions struct {
	Servers         Options       // of the primary and the replica; below a Dir, each has a directory
	Sentinels       int           // how many; 0 means 3. More than half of them must run for a failover
	MasterName      string        // "" means "mymaster"
	DownAfter       time.Duration // how long the primary may be silent; 0 means 500 ms
	FailoverTimeout time.Duration // Redis's failover-timeout; 0 means 3 s
}

// A Sentinel is a primary and a replica with the sentinels that watch them. Make
// it with [StartSentinel].
type Sentinel struct {
	opts      SentinelOptions
	servers   []*Server // the first primary, the first replica
	sentinels []*Server
	clients   []*redis.SentinelClient // one of each sentinel
}

// StartSentinel starts a primary, its replica and the sentinels, and returns when
// the replica has the primary's data and every sentinel knows them all. o may be
// nil.
func StartSentinel(o *SentinelOptions) (*Sentinel, error) {
	s := &Sentinel{}
	if o != nil {
		s.opts = *o
	}
	if s.opts.Sentinels == 0 {
		s.opts.Sentinels = 3
	}
	if s.opts.MasterName == "" {
		s.opts.MasterName = "mymaster"
	}
	if s.opts.DownAfter == 0 {
		s.opts.DownAfter = 500 * time.Millisecond
	}
	if s.opts.FailoverTimeout == 0 {
		s.opts.FailoverTimeout = 3 * time.Second
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sentinel) start() error {
	primary, err := Start(s.opts.Servers.below("a"))
	if err != nil {
		return err
	}
	s.servers = append(s.servers, primary)
	replica, err := startRole(s.opts.Servers.below("b"), role{lines: func(*Server) []string {
		return []string{fmt.Sprintf("replicaof %s %d", loopback, primary.port.number)}
	}})
	if err != nil {
		return err
	}
	s.servers = append(s.servers, replica)
	s.sentinels, err = startAll(s.opts.Sentinels, func(int) (*Server, error) {
		return startRole(&Options{TLS: s.opts.Servers.TLS}, role{sentinel: true, lines: s.lines})
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, one := range s.sentinels {
		o := one.ClientOptions()
		o.ContextTimeoutEnabled = true
		c := redis.NewSentinelClient(o)
		s.clients = append(s.clients, c)
		if err := c.Process(ctx, redis.NewCmd(ctx, hasten...)); err != nil {
			return fmt.Errorf("redisserver: set the periods of the sentinel at %s: %w; it takes Redis 7.0 or later", one.Addr(), err)
		}
	}
	return await(ctx, "all sentinels know the primary, the replica and one another", s.complete)
}

// hasten makes sentinels find one another, and forgive a machine that stood
// still, in a fraction of the usual time. All periods are in milliseconds.
var hasten = []any{"SENTINEL", "DEBUG", "publish-period", 200, "info-period", 500, "ask-period", 200, "tilt-period", 1000}

// lines returns what a sentinel is told to watch.
func (s *Sentinel) lines(*Server) []string {
	name, primary := s.opts.MasterName, s.servers[0]
	lines := []string{
		fmt.Sprintf("sentinel monitor %s %s %d %d", name, loopback, primary.port.number, s.opts.Sentinels/2+1),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", name, s.opts.DownAfter.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s %d", name, s.opts.FailoverTimeout.Milliseconds()),
	}
	if pw := s.opts.Servers.Password; pw != "" {
		lines = append(lines, "sentinel auth-pass "+name+" "+quote(pw))
	}
	return lines
}

// complete returns nil when every sentinel is connected to all that it must know
// for a failover.
func (s *Sentinel) complete(ctx context.Context) error {
	for i, c := range s.clients {
		others, err := c.Sentinels(ctx, s.opts.MasterName).Result()
		if err != nil {
			return err
		}
		if got, want := count(others, "flags", "sentinel"), len(s.sentinels)-1; got != want {
			return fmt.Errorf("the sentinel at %s is connected to %d others, not %d", s.sentinels[i].Addr(), got, want)
		}
		replicas, err := c.Replicas(ctx, s.opts.MasterName).Result()
		if err != nil {
			return err
		}
		if got := min(count(replicas, "flags", "slave"), count(replicas, "master-link-status", "ok")); got != 1 {
			return fmt.Errorf("the sentinel at %s knows %d healthy replicas, not 1: %v", s.sentinels[i].Addr(), got, replicas)
		}
	}
	return nil
}

func count(all []map[string]string, field, want string) int {
	n := 0
	for _, m := range all {
		if m[field] == want {
			n++
		}
	}
	return n
}

// MasterName returns the name under which the sentinels know the primary.
func (s *Sentinel) MasterName() string { return s.opts.MasterName }

// SentinelAddrs returns the addresses of the sentinels.
func (s *Sentinel) SentinelAddrs() []string { return addrs(s.sentinels) }

// Sentinels returns the sentinels' own processes, for who wants to kill one.
func (s *Sentinel) Sentinels() []*Server { return append([]*Server(nil), s.sentinels...) }

// Servers returns both servers: the first primary and the first replica.
func (s *Sentinel) Servers() []*Server { return append([]*Server(nil), s.servers...) }

// ClientOptions returns what a failover client of go-redis needs to reach the
// primary as the default user. The result is the caller's to change.
func (s *Sentinel) ClientOptions() *redis.FailoverOptions {
	o := s.servers[0].ClientOptions()
	return &redis.FailoverOptions{
		MasterName:    s.opts.MasterName,
		SentinelAddrs: s.SentinelAddrs(),
		Password:      o.Password,
		TLSConfig:     o.TLSConfig,
	}
}

// Primary returns the server that the first sentinel to answer names as the
// primary. It may be down: sentinels name another only at the end of a failover.
func (s *Sentinel) Primary(ctx context.Context) (*Server, error) {
	err := errors.New("redisserver: no sentinel runs; restart one")
	for i, one := range s.sentinels {
		if !one.Running() {
			continue
		}
		var primary *Server
		if primary, err = s.named(ctx, i); err == nil {
			return primary, nil
		}
	}
	return nil, err
}

// Replica returns the server that is not [Sentinel.Primary], which may be down or
// not be told yet that it is a replica.
func (s *Sentinel) Replica(ctx context.Context) (*Server, error) {
	primary, err := s.Primary(ctx)
	if err != nil {
		return nil, err
	}
	if primary == s.servers[0] {
		return s.servers[1], nil
	}
	return s.servers[0], nil
}

// named returns what the sentinel i holds for the primary.
func (s *Sentinel) named(ctx context.Context, i int) (*Server, error) {
	addr, err := s.clients[i].GetMasterAddrByName(ctx, s.opts.MasterName).Result()
	if err != nil {
		return nil, fmt.Errorf("redisserver: ask the sentinel at %s for the primary: %w", s.sentinels[i].Addr(), err)
	}
	for _, one := range s.servers {
		if len(addr) == 2 && addr[1] == strconv.Itoa(one.port.number) {
			return one, nil
		}
	}
	return nil, fmt.Errorf("redisserver: the sentinel at %s names %v as the primary; expected one of %v", s.sentinels[i].Addr(), addr, addrs(s.servers))
}

// Close closes the sentinels and the servers. It may be called again.
func (s *Sentinel) Close() error {
	var errs []error
	for _, c := range s.clients {
		if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, closeAll(s.sentinels), closeAll(s.servers))...)
}
