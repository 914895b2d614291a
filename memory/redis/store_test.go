package redis_test

import (
	"testing"

	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/memory/redis"
)

func TestStore(t *testing.T) {
	srv := redisserver.Test(t, nil)
	memorytest.Run(t, fixture(srv.URL()))
}

// fixture makes each place under a prefix of its own.
func fixture(url string) func(*testing.T, *memorytest.Clock) memorytest.Fixture {
	return func(t *testing.T, _ *memorytest.Clock) memorytest.Fixture {
		prefix := t.Name() + ":"
		return memorytest.Fixture{RealTime: true, Open: func(t *testing.T) memory.Store {
			s, err := redis.Open(t.Context(), url, &redis.Options{Prefix: prefix, Shards: 4})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	}
}
