package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// Options are what [Open] and [New] may be told. Nil is the same as the zero value.
type Options struct {
	// Prefix begins the name of every key and channel. Stores with different
	// prefixes share a server without knowing of each other. "" is "fermata:".
	Prefix string

	// Shards is over how many hash tags the runs are spread, and so over how many
	// nodes of a Cluster at most. It is fixed when the store is first used; 0 is
	// what the store has, or 16 for a new one. At most 1,024.
	Shards int

	// Replicas is how many replicas must have a commit before anything happens
	// on the strength of it that nobody can take back: a call of a tool that is
	// Once, the acknowledgement of an input (WAIT). 0 waits for none.
	Replicas int
	// Fsync waits, at the same places, until the server's append-only file is on
	// disk, and that of Replicas replicas (WAITAOF, from Redis 7.2 on).
	Fsync bool
	// WaitTimeout bounds these waits; then the commit has failed, and is tried
	// again. 0 is 5 seconds.
	WaitTimeout time.Duration

	// TLS is for rediss:// addresses; nil is what the URL says, or the system's roots.
	TLS *tls.Config
}

const (
	defaultPrefix = "fermata:"
	defaultShards = 16
	maxShards     = 1024
	defaultWait   = 5 * time.Second
	format        = "2" // of what is kept
)

// Store is a store in Redis. Open it once per process.
type Store struct {
	client  goredis.UniversalClient
	control goredis.UniversalClient // for claims and their renewal: a few connections of its own, for which nothing else waits
	own     bool                    // whether the clients are closed with the store
	opts    Options
	keys    keys
	clock   clock
	hub     *hub
	claims  *claims
	tender  *tender

	batches []*batch // of commits: one, or on a Cluster one for each shard

	taking  sync.RWMutex // held for reading while runs are claimed
	closing bool         // nothing is claimed any more; guarded by taking

	life context.Context // ends when Close has given back what it can
	end  context.CancelFunc
	once sync.Once
}

var _ memory.Store = (*Store)(nil)

// Open connects to the Redis that rawURL names, and prepares the store if it is
// new. The forms of rawURL are
//
//	redis://[user:password@]host[:port][/db]
//	redis+sentinel://[user:password@]host:port,host:port/name-of-the-primary[/db]
//	redis+cluster://[user:password@]host:port,host:port
//
// and the same with rediss for TLS. Options may stand in the query: prefix,
// shards, replicas, fsync, wait_timeout; for TLS ca, cert and key (files in
// PEM); for Sentinel sentinel_user and sentinel_password; for the pool
// pool_size. What stands in o goes before them. An error names what is wrong; it
// holds no password.
func Open(ctx context.Context, rawURL string, o *Options) (*Store, error) {
	target, err := parse(rawURL, o)
	if err != nil {
		return nil, err
	}
	client := target.connect()
	s, err := New(ctx, client, &target.options)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	s.control, s.own = target.connectControl(), true
	return s, nil
}

// New makes a store over a client that the caller has, and closes after it.
func New(ctx context.Context, client goredis.UniversalClient, o *Options) (*Store, error) {
	s := &Store{client: client, control: client}
	if o != nil {
		s.opts = *o
	}
	if s.opts.Prefix == "" {
		s.opts.Prefix = defaultPrefix
	}
	if s.opts.WaitTimeout == 0 {
		s.opts.WaitTimeout = defaultWait
	}
	if err := s.opts.check(); err != nil {
		return nil, err
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.keys.prefix = s.opts.Prefix
	s.claims = newClaims()
	if err := s.settle(ctx); err != nil {
		s.end()
		return nil, err
	}
	n := 1
	if _, cluster := client.(*goredis.ClusterClient); cluster {
		n = s.keys.shards
	}
	for range n {
		s.batches = append(s.batches, &batch{s: s})
	}
	s.hub = newHub(s, sharded(ctx, client))
	s.tender = newTender(s)
	return s, nil
}

func (o *Options) check() error {
	for _, c := range o.Prefix {
		if c == '{' || c == '}' || c <= ' ' || c == '*' || c == '?' || c == '[' {
			return fmt.Errorf("redis: the prefix %q has the character %q; braces, blanks and wildcards are not allowed in it", o.Prefix, c)
		}
	}
	switch {
	case o.Shards < 0 || o.Shards > maxShards:
		return fmt.Errorf("redis: %d shards are asked for; 1 to %d are possible", o.Shards, maxShards)
	case o.Replicas < 0:
		return fmt.Errorf("redis: Options.Replicas is %d; it is a number of replicas, or 0", o.Replicas)
	case o.WaitTimeout < time.Millisecond:
		return fmt.Errorf("redis: Options.WaitTimeout is %v; it must be at least a millisecond", o.WaitTimeout)
	}
	return nil
}

// settle finds out, or fixes, the number of shards, and asks the server's time.
func (s *Store) settle(ctx context.Context) error {
	if err := s.client.Time(ctx).Err(); err != nil { // connects; the next one shows the time
		return s.fail(ctx, "open", err)
	}
	sent := time.Now()
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return s.fail(ctx, "open", err)
	}
	s.clock.tell(now.UnixMicro(), sent)
	if s.opts.Fsync {
		if err := s.client.Do(ctx, "WAITAOF", 0, 0, 1).Err(); err != nil {
			return fmt.Errorf("redis: Fsync needs a server with WAITAOF (Redis 7.2 or later): %w", err)
		}
	}
	shards := s.opts.Shards
	if shards == 0 {
		shards = defaultShards
	}
	key := s.keys.config()
	values, err := s.client.HMGet(ctx, key, "format", "shards").Result()
	if err == nil && (values[0] == nil || values[1] == nil) { // nothing is written to a store that is there
		pipe := s.client.Pipeline()
		pipe.HSetNX(ctx, key, "format", format)
		pipe.HSetNX(ctx, key, "shards", shards)
		there := pipe.HMGet(ctx, key, "format", "shards")
		_, err = pipe.Exec(ctx)
		values = there.Val()
	}
	if err != nil {
		return s.fail(ctx, "open: the key "+key, err)
	}
	if f, _ := values[0].(string); f != format {
		return fmt.Errorf("redis: the store at prefix %q has the format %q, and this program knows %s: use a program that knows that one, or another prefix", s.keys.prefix, f, format)
	}
	text, _ := values[1].(string)
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxShards {
		return fmt.Errorf("redis: %s says that the store has %q shards, which is not a number from 1 to %d; restore the number that it had: %w", key, text, maxShards, memory.ErrCorrupt)
	}
	if s.opts.Shards != 0 && n != s.opts.Shards {
		return fmt.Errorf("redis: the store at prefix %q has %d shards, fixed when it was first used, and %d are asked for; ask for none or for %d", s.keys.prefix, n, s.opts.Shards, n)
	}
	s.keys.shards = n
	return nil
}

// Now implements [memory.Store]: the server's clock, as the last reply has shown it.
func (s *Store) Now() time.Time { return s.clock.now() }

// Close implements [memory.Store].
func (s *Store) Close() error {
	var err error
	s.once.Do(func() {
		s.taking.Lock()
		s.closing = true
		s.taking.Unlock()
		err = s.voidAll()
		s.end()
		s.hub.close()
		s.tender.close()
		if s.own {
			err = errors.Join(err, s.client.Close(), s.control.Close())
		}
	})
	return err
}

// begin says why a call cannot be served, if it cannot.
func (s *Store) begin(ctx context.Context) error {
	if s.life.Err() != nil {
		return s.closed()
	}
	return ctx.Err()
}

func (s *Store) closed() error { return fmt.Errorf("redis: the store is closed: %w", fs.ErrClosed) }

// sharded reports whether channels are those of shards (SPUBLISH): on a Cluster
// from Redis 7 on, where others go to all nodes.
func sharded(ctx context.Context, client goredis.UniversalClient) bool {
	if _, ok := client.(*goredis.ClusterClient); !ok {
		return false
	}
	info, err := client.Command(ctx).Result()
	return err == nil && info["spublish"] != nil
}

// node returns the client of the node that has a key.
func (s *Store) node(ctx context.Context, key string) (goredis.Cmdable, error) {
	if c, ok := s.client.(*goredis.ClusterClient); ok {
		return c.MasterForKey(ctx, key)
	}
	return s.client, nil
}

// reload asks a Cluster anew which node has which slot.
func (s *Store) reload(ctx context.Context) error {
	if c, ok := s.client.(*goredis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(context.Context, *goredis.Client) error { return nil }) // it reads the map before
	}
	return errors.New("redis: MOVED, and the address is not that of a Cluster; write redis+cluster://")
}

// where names a run in an error.
func where(what string, run agent.RunID) string { return what + " run " + string(run) }
