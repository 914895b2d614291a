package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// Commit implements [memory.Store].
func (s *Store) Commit(ctx context.Context, c *memory.Commit) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	args, err := s.commitArgs(c)
	if err != nil {
		return err
	}
	call := &call{script: commitScript, keys: s.commitKeys(c), args: args}
	for {
		reply, err := s.tryCommit(ctx, c, call)
		if err != nil {
			return s.fail(ctx, where("commit to", c.Run), err)
		}
		if before, other := agentBefore(reply); other {
			call.keys = s.commitKeys(c, before) // the run is another agent's until now
			continue
		}
		return s.verdict(c, reply)
	}
}

// agentBefore returns the agent that the run has had until now, if the reply to a
// commit says that its keys are wanted. It is "" of an entry that was lost.
func agentBefore(reply any) (before string, other bool) {
	list, _ := reply.([]any)
	if len(list) != 3 || list[1] != "agent" {
		return "", false
	}
	before, other = list[2].(string)
	return before, other
}

// tryCommit runs the script, and waits for replicas or the disk where that is
// asked for.
func (s *Store) tryCommit(ctx context.Context, c *memory.Commit, call *call) (any, error) {
	sent := time.Now()
	var reply any
	var err error
	if c.Acts && s.waits() {
		reply, err = s.evalAndWait(ctx, call)
	} else {
		reply, err = s.batchOf(c.Run).eval(ctx, call)
	}
	if list, ok := reply.([]any); ok && len(list) > 0 {
		s.clock.tellText(list[0], sent)
	}
	return reply, err
}

// batchOf returns the batch that a run's commits go with.
func (s *Store) batchOf(run agent.RunID) *batch {
	if len(s.batches) == 1 {
		return s.batches[0]
	}
	return s.batches[s.keys.number(run)]
}

func (s *Store) commitKeys(c *memory.Commit, before ...string) []string {
	sh := s.keys.of(c.Run)
	keys := []string{
		sh.run(c.Run), sh.log(c.Run), sh.snap(c.Run), sh.asks(c.Run), sh.runs(), sh.inbox(), sh.erased(), sh.agents(),
		sh.want(c.Index.Agent), sh.suspects(c.Index.Agent),
	}
	for _, name := range before {
		keys = append(keys, sh.want(name), sh.suspects(name))
	}
	return keys
}

// commitArgs encodes a commit as lua/commit.lua wants it.
func (s *Store) commitArgs(c *memory.Commit) ([]any, error) {
	sh, last := s.keys.of(c.Run), c.Last()
	args := make([]any, 0, 22+len(c.Records)+3*len(c.Opened)+len(c.Closed))
	args = append(args,
		string(c.Run), c.Base.Seq, string(c.Base.ID), string(c.Claim), s.hub.publish, sh.news(), sh.watch(c.Run),
		c.Index.Agent, string(c.Index.Status), c.Index.Title, c.Index.Reason, micros(c.Index.Wake), string(c.Index.Parent), flag(c.Progress))
	if c.Snapshot != nil {
		args = append(args, encodeSnapshot(last, c.Snapshot))
	} else {
		args = append(args, "")
	}
	args = append(args, len(c.Records), len(c.Opened), len(c.Closed))
	if n := len(c.Records); n > 0 {
		args = append(args, c.Records[0].Time.UnixMicro(), c.Records[n-1].Time.UnixMicro(), string(last.ID))
	} else {
		args = append(args, "", "", "")
	}
	args = append(args, flag(c.Acts && s.waits()))
	for i := range c.Records {
		args = append(args, encodeRecord(&c.Records[i]))
	}
	for i := range c.Opened {
		a := &c.Opened[i]
		score := micros(a.Opened)
		if score == "" {
			score = "0"
		}
		args = append(args, string(a.ID), score, encodeAsk(a))
	}
	for _, id := range c.Closed {
		args = append(args, string(id))
	}
	return args, nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// verdict is what a commit's reply means.
func (s *Store) verdict(c *memory.Commit, reply any) error {
	list, ok := reply.([]any)
	if !ok || len(list) < 2 {
		return errReply
	}
	text := func(i int) string {
		if i < len(list) {
			t, _ := list[i].(string)
			return t
		}
		return ""
	}
	switch text(1) {
	case "ok", "done":
		s.claims.committed(c)
		return nil
	case "conflict":
		return fmt.Errorf("redis: commit to run %s on record %d %q, but the log ends with %s %q: %w", c.Run, c.Base.Seq, c.Base.ID, text(2), text(3), memory.ErrConflict)
	case "lost":
		return fmt.Errorf("redis: commit to run %s: %w", c.Run, memory.ErrClaimLost)
	case "erased":
		return fmt.Errorf("redis: commit to run %s: %w", c.Run, memory.ErrErased)
	case "done, and not waited for":
		return fmt.Errorf("redis: commit to run %s: it took place, and the server could not be asked to wait until it is kept: %s", c.Run, text(2))
	case "corrupt":
		return damaged(c.Run, "%s", text(2))
	}
	return errReply
}

// waits reports whether anything is to be waited for after a commit that Acts.
func (s *Store) waits() bool { return s.opts.Replicas > 0 || s.opts.Fsync }

// evalAndWait runs a script, and waits on the same connection until what it wrote
// is where the options want it.
func (s *Store) evalAndWait(ctx context.Context, c *call) (any, error) {
	known := true
	for range 3 {
		node, err := s.node(ctx, c.keys[0])
		if err != nil {
			return nil, err
		}
		pipe := node.Pipeline()
		var cmd, wait *goredis.Cmd
		if known {
			cmd = pipe.EvalSha(ctx, c.script.sha, c.keys, c.args...)
		} else {
			cmd = pipe.Eval(ctx, c.script.source, c.keys, c.args...)
		}
		timeout := s.opts.WaitTimeout.Milliseconds()
		if s.opts.Fsync {
			wait = pipe.Do(ctx, "WAITAOF", 1, s.opts.Replicas, timeout)
		} else {
			wait = pipe.Do(ctx, "WAIT", s.opts.Replicas, timeout)
		}
		_, _ = pipe.Exec(ctx) // each command has its error
		reply, err := cmd.Result()
		if known && err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
			known = false
			continue
		}
		if err != nil && goredis.HasErrorPrefix(err, "MOVED") && s.reload(ctx) == nil {
			continue // the slot has another node now
		}
		if err != nil {
			return nil, err
		}
		return reply, s.waited(wait)
	}
	return nil, errors.New("the slot of the run is on its way from one node to another; try again")
}

// waited reports what is missing.
func (s *Store) waited(cmd *goredis.Cmd) error {
	v, err := cmd.Result()
	if err != nil {
		return err
	}
	var local, replicas int64
	switch v := v.(type) {
	case int64:
		replicas = v
	case []any:
		if len(v) == 2 {
			local, _ = v[0].(int64)
			replicas, _ = v[1].(int64)
		}
	}
	if replicas < int64(s.opts.Replicas) || s.opts.Fsync && local < 1 {
		return fmt.Errorf("after %v only %s replicas have it, and %d are to have it before anything happens on its strength", s.opts.WaitTimeout, strconv.FormatInt(replicas, 10), s.opts.Replicas)
	}
	return nil
}
