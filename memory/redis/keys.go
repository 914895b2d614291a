package redis

import (
	"fmt"
	"hash/fnv"

	"github.com/fermata-run/fermata/agent"
)

// keys names what is kept. A run's shard is a hash of its id, and each key of a
// shard has the shard's tag in braces, so that all of them lie in one slot.
type keys struct {
	prefix string
	shards int
}

// config is the one key that belongs to no shard.
func (k keys) config() string { return k.prefix + "config" }

// A shard is the beginning of the names of all its keys.
type shard string

func (k keys) shard(n int) shard { return shard(fmt.Sprintf("%s{f%02d}:", k.prefix, n)) }

func (k keys) number(run agent.RunID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(run)) // it never fails
	return int(h.Sum32() % uint32(k.shards))
}

func (k keys) of(run agent.RunID) shard { return k.shard(k.number(run)) }

func (s shard) run(r agent.RunID) string   { return string(s) + "run:" + string(r) }
func (s shard) log(r agent.RunID) string   { return string(s) + "log:" + string(r) }
func (s shard) snap(r agent.RunID) string  { return string(s) + "snap:" + string(r) }
func (s shard) asks(r agent.RunID) string  { return string(s) + "asks:" + string(r) }
func (s shard) blobs(r agent.RunID) string { return string(s) + "blobs:" + string(r) }
func (s shard) words(r agent.RunID) string { return string(s) + "words:" + string(r) }

func (s shard) want(agent string) string     { return string(s) + "want:" + agent }
func (s shard) suspects(agent string) string { return string(s) + "suspects:" + agent }
func (s shard) runs() string                 { return string(s) + "runs" }
func (s shard) inbox() string                { return string(s) + "inbox" }
func (s shard) erased() string               { return string(s) + "erased" }
func (s shard) agents() string               { return string(s) + "agents" }

// The channels.
func (s shard) news() string               { return string(s) + "news" }
func (s shard) watch(r agent.RunID) string { return string(s) + "watch:" + string(r) }
