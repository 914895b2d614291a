package redis_test

import (
	"context"
	"flag"
	"net/url"
	"os"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/memory/redis"
)

// Most tests wait most of the time, for leases that end and servers that come
// back, so more of them go on at once than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	redis.Quiet() // tests break connections
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := flag.Set("test.parallel", "12"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func TestStore(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	memorytest.Run(t, fixture(srv.URL(), 4))
}

func TestStoreUnderSentinel(t *testing.T) {
	t.Parallel()
	memorytest.Run(t, fixture(sentinelURL(redisserver.TestSentinel(t, nil)), 2))
}

func TestStoreOnCluster(t *testing.T) {
	t.Parallel()
	memorytest.Run(t, fixture(clusterURL(redisserver.TestCluster(t, 3, nil)), 5))
}

// TestStoreOfLimitedUser runs the suite over TLS as the user of [rules].
func TestStoreOfLimitedUser(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, &redisserver.Options{TLS: true, Password: "admin", ACL: []string{oneLine("fermata on >pass%word " + rules)}})
	u := url.URL{Scheme: "rediss", User: url.UserPassword("fermata", "pass%word"), Host: srv.Addr(), RawQuery: "ca=" + url.QueryEscape(srv.CAFile())}
	memorytest.Run(t, fixture(u.String(), 1))
	noneTooMany(t, rules, srv)
}

// noneTooMany checks, when all parts of the test have ended, that each command
// that the rules allow was called.
func noneTooMany(t *testing.T, rules string, servers ...*redisserver.Server) {
	var clients []*goredis.Client
	for _, srv := range servers {
		clients = append(clients, admin(t, srv))
	}
	t.Cleanup(func() {
		called := map[string]bool{}
		for _, c := range clients {
			info, err := c.InfoMap(context.Background(), "commandstats").Result()
			must(t, err)
			for name := range info["Commandstats"] {
				called["+"+strings.TrimPrefix(name, "cmdstat_")] = true
			}
		}
		for _, rule := range strings.Fields(rules) {
			if strings.HasPrefix(rule, "+") && !called[rule] {
				t.Errorf("the rules have %s, which nothing calls", rule)
			}
		}
	})
}

// TestStoreOfLimitedUserOnCluster is the same on a Cluster, where channels are
// those of shards.
func TestStoreOfLimitedUserOnCluster(t *testing.T) {
	t.Parallel()
	c := redisserver.TestCluster(t, 3, &redisserver.Options{ACL: []string{oneLine("fermata on >secret " + rules + clusterRules)}})
	memorytest.Run(t, fixture("redis+cluster://fermata:secret@"+strings.Join(c.Addrs(), ","), 3))
	noneTooMany(t, clusterRules, c.Servers()...)
}

// rules are all that a user of the store needs, with the store's prefix; here
// the names of the tests begin the prefixes. A script may do only what its user
// may, so the commands of the scripts are among them. What a client may always
// do (HELLO, AUTH) is not.
//
//   - Open: TIME, HMGET, HSETNX (the key config); SELECT with a database; WAIT or
//     WAITAOF with replicas or fsync; CLIENT SETNAME
//   - scripts: EVALSHA, EVAL and what they call
//   - lists and looks: HGET, HMGET, HGETALL, HKEYS, GET, ZSCORE, ZCARD, ZCOUNT, ZRANGE, ZRANGEBYSCORE, SMEMBERS
//   - check, and the walk that keeps the lists in order: SCAN, ZSCAN
//   - news: SUBSCRIBE, UNSUBSCRIBE, PUBLISH, PING
const rules = `resetkeys ~TestStore* resetchannels &TestStore* -@all
	+time +hmget +hsetnx +evalsha +eval
	+hset +hget +hgetall +hdel +hexists +hkeys +get +set +getrange +strlen +append +pexpire +del +unlink +exists
	+rpush +lrange +llen +lindex +zadd +zrem +zscore +zcard +zcount +zrange +zrangebyscore
	+sadd +smembers +sismember +scan +zscan
	+subscribe +unsubscribe +publish +ping +client|setname`

// clusterRules are what a Cluster needs besides. The key config and each shard
// may be on any node; the client asks which.
const clusterRules = ` +cluster|slots +command +ssubscribe +sunsubscribe +spublish`

func oneLine(rules string) string { return strings.Join(strings.Fields(rules), " ") }

func sentinelURL(s *redisserver.Sentinel) string {
	return "redis+sentinel://" + strings.Join(s.SentinelAddrs(), ",") + "/" + s.MasterName()
}

func clusterURL(c *redisserver.Cluster) string {
	return "redis+cluster://" + strings.Join(c.Addrs(), ",")
}

// fixture makes each place under a prefix of its own.
func fixture(url string, shards int) func(*testing.T, *memorytest.Clock) memorytest.Fixture {
	return func(t *testing.T, _ *memorytest.Clock) memorytest.Fixture {
		prefix := t.Name() + ":"
		return memorytest.Fixture{RealTime: true, Open: func(t *testing.T) memory.Store {
			s, err := redis.Open(t.Context(), url, &redis.Options{Prefix: prefix, Shards: shards})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	}
}

func BenchmarkInbox(b *testing.B) {
	memorytest.BenchmarkInbox(b, open(b, redisserver.Test(b, nil).URL(), nil))
}
