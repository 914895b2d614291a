// Package redis keeps runs in Redis: any number of processes on any number of
// machines share one server, a primary with replicas under Sentinel, or a
// Cluster. It is a [memory.Store], equal in rank to memory/sqlite.
//
//	store, err := redis.Open(ctx, "redis://localhost:6379", nil)
//	o, err := orchestrator.New(store, agents, nil)
//	err = o.Work(ctx)
//
// It needs Redis 6.2 or later, or Valkey, and no modules. Each commit is one
// script on one slot: all keys of a shard carry its hash tag. docs/redis.md has
// the keys for people with redis-cli, and says what each setting of a server does
// to the promises.
package redis
