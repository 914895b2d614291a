package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

const (
	scanned   = 500              // how many keys one step of a walk asks for
	leaseLeft = 30 * time.Second // to the worker of a claim that is in no list
)

// Check implements [memory.Store]. It walks all keys with the store's prefix. The
// lists of a shard (runs, inbox, agents, want, suspects) follow from the entries
// and asks of its runs, and are what it repairs; also an entry that is lost, as
// far as the log tells. Logs, snapshots, asks and blobs it only reads.
func (s *Store) Check(ctx context.Context, repair bool) iter.Seq2[memory.Problem, error] {
	return func(yield func(memory.Problem, error) bool) {
		c := &checker{s: s, repair: repair, yield: yield}
		if err := s.begin(ctx); err != nil {
			yield(memory.Problem{}, err)
			return
		}
		err := s.walk(ctx, s.keys.prefix+"{f*", func(keys []string) error { return c.page(ctx, keys) })
		if err != nil && !errors.Is(err, errEnough) {
			yield(memory.Problem{}, s.fail(ctx, "check", err))
		}
	}
}

// errEnough ends a walk whose caller wants no more.
var errEnough = errors.New("enough")

// walk calls f for the keys that fit the pattern, page by page, some perhaps twice.
func (s *Store) walk(ctx context.Context, pattern string, f func(keys []string) error) error {
	scan := func(ctx context.Context, node goredis.Cmdable) error {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, globQuote.Replace(pattern), scanned).Result()
			if err != nil {
				return err
			}
			if err := f(keys); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	cluster, ok := s.client.(*goredis.ClusterClient)
	if !ok {
		return scan(ctx, s.client)
	}
	var one sync.Mutex // f is not made for many at once
	return cluster.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error {
		one.Lock()
		defer one.Unlock()
		return scan(ctx, node)
	})
}

// globQuote keeps the backslash of a prefix from meaning something.
var globQuote = strings.NewReplacer(`\`, `\\`)

// checker is one Check.
type checker struct {
	s      *Store
	repair bool
	yield  func(memory.Problem, error) bool
}

func (c *checker) found(run agent.RunID, repaired bool, format string, args ...any) error {
	if !c.yield(memory.Problem{Run: run, What: fmt.Sprintf(format, args...), Repaired: repaired}, nil) {
		return errEnough
	}
	return nil
}

// page checks what the keys of a page hold: runs together, in few round trips.
func (c *checker) page(ctx context.Context, keys []string) error {
	var runs []agent.RunID
	for _, key := range keys {
		run, err := c.key(ctx, key)
		if err != nil {
			return err
		}
		if run != "" {
			runs = append(runs, run)
		}
	}
	if len(runs) == 0 {
		return nil
	}
	if err := c.read(ctx, runs); err != nil {
		return err
	}
	return c.mend(ctx, runs)
}

// key checks what one key holds, unless it is a run's entry, or makes one: then it
// returns the run.
func (c *checker) key(ctx context.Context, key string) (agent.RunID, error) {
	tag, rest, ok := strings.Cut(strings.TrimPrefix(key, c.s.keys.prefix+"{f"), "}:")
	n, err := strconv.Atoi(tag)
	if !ok || err != nil || n >= c.s.keys.shards {
		return "", c.found("", false, "the key %s belongs to no shard; the store has %d", key, c.s.keys.shards)
	}
	kind, name, _ := strings.Cut(rest, ":")
	sh := c.s.keys.shard(n)
	switch kind {
	case "run":
		return agent.RunID(name), nil
	case "log":
		return c.withEntry(ctx, sh, agent.RunID(name))
	case "blobs":
		return "", c.blobs(ctx, sh, agent.RunID(name))
	case "runs", "inbox", "want", "suspects":
		return "", c.list(ctx, sh, key, kind, name)
	case "snap", "asks", "words", "erased", "agents":
		return "", nil // looked at with their run, or nothing to hold them against
	}
	return "", c.found("", false, "the key %s is none of this store's", key)
}

// read checks what is kept of runs: their logs, snapshots and asks. Most logs are
// short, and come in one round trip.
func (c *checker) read(ctx context.Context, runs []agent.RunID) error {
	calls := make([]*call, len(runs))
	pipe := c.s.client.Pipeline()
	asks, snaps := make([]*goredis.MapStringStringCmd, len(runs)), make([]*goredis.StringCmd, len(runs))
	for i, run := range runs {
		sh := c.s.keys.of(run)
		calls[i] = c.s.readCall(run, memory.ReadOptions{Limit: scanned})
		asks[i], snaps[i] = pipe.HGetAll(ctx, sh.asks(run)), pipe.Get(ctx, sh.snap(run))
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	replies, errs := c.s.evalAll(ctx, calls)
	for i, run := range runs {
		log, err := c.s.readReply(ctx, run, 0, replies[i], errs[i])
		if err == nil && log.Last.Seq > scanned {
			err = c.readOn(ctx, run)
		}
		if err := c.told(run, err); err != nil {
			return err
		}
		if err := c.askValues(run, asks[i]); err != nil {
			return err
		}
		if err := c.snapshot(run, snaps[i]); err != nil {
			return err
		}
	}
	return nil
}

// readOn reads the rest of a long log.
func (c *checker) readOn(ctx context.Context, run agent.RunID) error {
	for after := int64(scanned); ; after += scanned {
		log, err := c.s.Read(ctx, run, memory.ReadOptions{After: after, Limit: scanned})
		if err != nil || len(log.Records) < scanned {
			return err
		}
	}
}

func (c *checker) askValues(run agent.RunID, cmd *goredis.MapStringStringCmd) error {
	values, err := cmd.Result()
	if goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return c.found(run, false, "its asks are of another type")
	}
	if err != nil {
		return err
	}
	for id, v := range values {
		if _, err := decodeAsk(agent.AskID(id), v); err != nil {
			if err := c.found(run, false, "the ask %s: %v", id, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) snapshot(run agent.RunID, cmd *goredis.StringCmd) error {
	v, err := cmd.Result()
	switch {
	case errors.Is(err, goredis.Nil):
		return nil
	case goredis.HasErrorPrefix(err, "WRONGTYPE"):
		return c.found(run, false, "its snapshot is of another type")
	case err != nil:
		return err
	}
	if _, _, err := decodeSnapshot(v); err != nil {
		return c.found(run, false, "its snapshot: %v", err)
	}
	return nil
}

// mend holds the lists against runs.
func (c *checker) mend(ctx context.Context, runs []agent.RunID) error {
	pipe := c.s.client.Pipeline()
	entries := make([]*goredis.SliceCmd, len(runs))
	for i, run := range runs {
		entries[i] = pipe.HMGet(ctx, c.s.keys.of(run).run(run), entryFields...)
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	calls := make([]*call, len(runs))
	for i, run := range runs {
		name := ""
		if v := entries[i].Val(); len(v) > 0 {
			name, _ = v[0].(string)
		}
		calls[i] = c.s.mendCall(run, name, c.repair)
		if e, _, err := decodeEntry(run, entries[i]); err == nil && e != nil && e.Index.Reason == brokenReason {
			if err := c.found(run, false, "its entry, or a field of it, is not of its form"); err != nil {
				return err
			}
		}
	}
	replies, errs := c.s.evalAll(ctx, calls)
	for i, run := range runs {
		wrong, err := replies[i], errs[i]
		if _, other := otherAgent(wrong); other && err == nil { // since a moment
			var list []any
			list, err = c.s.mend(ctx, run, c.repair)
			wrong = list
		}
		if goredis.HasErrorPrefix(err, "WRONGTYPE") {
			err = c.found(run, false, "a key of it, or a list of its shard, is of another type: %v", err)
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		list, ok := wrong.([]any)
		if !ok || len(list) == 0 {
			return errReply
		}
		for _, what := range list[1:] {
			if err := c.found(run, c.repair, "%v", what); err != nil {
				return err
			}
		}
	}
	return nil
}

// told passes on what a read has found to be damaged.
func (c *checker) told(run agent.RunID, err error) error {
	if errors.Is(err, memory.ErrCorrupt) {
		return c.found(run, false, "%v", err)
	}
	if errors.Is(err, memory.ErrErased) || errors.Is(err, memory.ErrNotFound) { // meanwhile
		return nil
	}
	return err
}

// mendCall is the script that holds the lists against a run of this agent.
func (s *Store) mendCall(run agent.RunID, name string, repair bool) *call {
	sh := s.keys.of(run)
	return &call{script: mendScript,
		keys: []string{sh.run(run), sh.log(run), sh.asks(run), sh.runs(), sh.inbox(), sh.agents(), sh.want(name), sh.suspects(name)},
		args: []any{string(run), name, flag(repair), leaseLeft.Microseconds()}}
}

// mend holds the lists against a run, and puts them in order if repair is set. It
// returns the script's reply.
func (s *Store) mend(ctx context.Context, run agent.RunID, repair bool) ([]any, error) {
	for name := ""; ; {
		reply, err := s.eval(ctx, s.mendCall(run, name, repair))
		if err != nil {
			return nil, err
		}
		other, is := otherAgent(reply)
		if !is {
			list, _ := reply.([]any)
			return list, nil
		}
		name = other
	}
}

// withEntry checks that a log has an entry, and makes one of what the log tells:
// how the run stands, and whose delegate it is, the orchestrator's check finds out by
// folding it. It returns the run if it has a new entry.
func (c *checker) withEntry(ctx context.Context, sh shard, run agent.RunID) (agent.RunID, error) {
	lost, err := c.s.eval(ctx, &call{script: adoptScript, keys: []string{sh.run(run), sh.log(run), sh.runs()}, args: []any{string(run), flag(c.repair)}})
	if goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return "", c.found(run, false, "it has no entry, and its log is of another type")
	}
	if err != nil || lost != int64(1) {
		return "", err
	}
	if err := c.found(run, c.repair, "it has a log and no entry"); err != nil || !c.repair {
		return "", err
	}
	return run, nil
}

// blobs checks that each blob fits its name.
func (c *checker) blobs(ctx context.Context, sh shard, run agent.RunID) error {
	names, err := c.s.client.HKeys(ctx, sh.blobs(run)).Result()
	if goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return c.found(run, false, "its blobs are of another type")
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		_, err := c.s.Blob(ctx, run, name)
		if err := c.told(run, err); err != nil {
			return err
		}
	}
	return nil
}

// list checks that what a list has is there.
func (c *checker) list(ctx context.Context, sh shard, key, kind, name string) error {
	for cursor := uint64(0); ; {
		pairs, next, err := c.s.client.ZScan(ctx, key, cursor, "", scanned).Result()
		if goredis.HasErrorPrefix(err, "WRONGTYPE") {
			return c.found("", false, "the list %s is of another type; delete it and repair", key)
		}
		if err != nil {
			return err
		}
		var members []string
		for i := 0; i < len(pairs); i += 2 {
			members = append(members, pairs[i])
		}
		if err := c.members(ctx, sh, key, kind, name, members); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// members checks that members of a list belong there.
func (c *checker) members(ctx context.Context, sh shard, key, kind, name string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	q := &call{script: strayScript, keys: []string{key}, args: []any{kind, name, flag(c.repair)}}
	for _, id := range ids {
		base := sh.run(agent.RunID(id))
		if kind == "inbox" {
			base = sh.asks(agent.AskID(id).Run())
		}
		q.keys, q.args = append(q.keys, base), append(q.args, id)
	}
	reply, err := c.s.eval(ctx, q)
	if err != nil {
		return err
	}
	strays, _ := reply.([]any)
	for _, id := range strays {
		run := agent.RunID(fmt.Sprint(id))
		if kind == "inbox" {
			run = agent.AskID(run).Run()
		}
		if err := c.found(run, c.repair, "%s has %s, and the run has nothing of the kind", key, id); err != nil {
			return err
		}
	}
	return nil
}
