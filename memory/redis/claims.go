package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

const (
	// lookAgain is how often a waiting claim looks although nothing was told, in
	// case a message was lost.
	lookAgain = 2 * time.Second
	// soon is what is waited for without another look.
	soon = 5 * time.Millisecond
	// horizon is how far ahead a look sees: it waits for what comes in between.
	horizon = 10 * time.Second
	// tooOld is how late a server may serve a claim. One that was stopped for a
	// while has the claims that were asked before in its queue, and renewals
	// behind them: it would hand out the runs of workers that are alive.
	tooOld = 2 * time.Second
)

var errLate = fmt.Errorf("the server has served the request more than %v late: those who hold the runs could not renew their claims meanwhile, and do so first", tooOld)

// candidate is a run that may be there to be claimed.
type candidate struct {
	run   agent.RunID
	agent string
	score int64 // when it wants attention, in microseconds
}

// Claim implements [memory.Store]. A look at the sorted sets of all shards, which
// writes nothing, finds candidates; a script per shard takes those that are still
// there to be taken. The longest waiting come first within a shard, and closely
// over all.
func (s *Store) Claim(ctx context.Context, r *memory.ClaimRequest) ([]memory.Claim, error) {
	if r.Lease <= 0 {
		return nil, fmt.Errorf("redis: a claim with the lease %v; it must be more than 0", r.Lease)
	}
	if r.Wait > 0 || r.News != nil {
		s.hub.listen(ctx)
	}
	w := newWaiter(r)
	if r.Wait > 0 {
		s.tender.begin()
		defer s.hub.wait(w)()
	}
	deadline := time.NewTimer(max(r.Wait, 0))
	defer deadline.Stop()
	for {
		if err := s.begin(ctx); err != nil {
			return nil, err
		}
		claims, next, err := s.tryClaim(ctx, r, w)
		if err != nil {
			return nil, s.fail(ctx, "claim", err)
		}
		if len(claims) > 0 || r.Wait <= 0 {
			return claims, nil
		}
		if w.await(ctx, s.life, deadline.C, next) {
			return nil, nil
		}
	}
}

// tryClaim takes what can be taken now; next is how long to wait before it is
// worth to look again.
func (s *Store) tryClaim(ctx context.Context, r *memory.ClaimRequest, w *waiter) (claims []memory.Claim, _ time.Duration, err error) {
	now, next := s.clock.latest(), time.Duration(lookAgain) // the server decides what is due
	latest := now + tooOld.Microseconds()                   // also for what a look has found that took long
	if told := w.told(now); len(told) > 0 {
		if claims, err = s.take(ctx, r, latest, told, &next); err != nil || len(claims) > 0 {
			return claims, 0, err
		}
		if next < soon { // by the server's clock it is not due yet: no look would find more
			w.keep(told)
			return nil, next, nil
		}
	}
	found, err := s.look(ctx, r, now)
	if err == nil && s.Now().UnixMicro() > latest {
		err = errLate
	}
	if err != nil {
		return nil, 0, err
	}
	ready := 0
	for _, c := range found {
		if c.score > now {
			next = min(next, time.Duration(c.score-now)*time.Microsecond)
			break
		}
		ready++
	}
	claims, err = s.take(ctx, r, latest, found[:ready], &next)
	return claims, next, err
}

// look finds candidates, the longest waiting first.
func (s *Store) look(ctx context.Context, r *memory.ClaimRequest, now int64) ([]candidate, error) {
	if r.Run != "" {
		return s.lookAt(ctx, r.Run, r.Suspects)
	}
	most := wanted(r)
	type query struct {
		agent string
		cmd   *goredis.ZSliceCmd
	}
	var queries []query
	pipe := s.control.Pipeline()
	until := &goredis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(now+horizon.Microseconds(), 10), Count: int64(2*most + 2)}
	for n := range s.keys.shards {
		sh := s.keys.shard(n)
		for _, name := range r.Agents {
			key := sh.want(name)
			if r.Suspects {
				key = sh.suspects(name)
			}
			queries = append(queries, query{name, pipe.ZRangeByScoreWithScores(ctx, key, until)})
		}
	}
	if len(queries) == 0 {
		return nil, nil
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	var found []candidate
	for _, q := range queries {
		members, err := q.cmd.Result()
		if err != nil && !goredis.HasErrorPrefix(err, "WRONGTYPE") { // which check finds, and stops nobody
			return nil, err
		}
		for _, m := range members {
			id, _ := m.Member.(string)
			found = append(found, candidate{agent.RunID(id), q.agent, int64(m.Score)})
		}
	}
	slices.SortFunc(found, candidate.before)
	return slices.Compact(found), nil
}

func (c candidate) before(o candidate) int {
	return cmp.Or(cmp.Compare(c.score, o.score), cmp.Compare(c.run, o.run))
}

// lookAt is look for one run, whatever its agent.
func (s *Store) lookAt(ctx context.Context, run agent.RunID, suspects bool) ([]candidate, error) {
	if memory.CheckRun(run) != nil {
		return nil, nil
	}
	sh := s.keys.of(run)
	name, err := s.control.HGet(ctx, sh.run(run), "agent").Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pipe := s.control.Pipeline()
	scores := []*goredis.FloatCmd{pipe.ZScore(ctx, sh.suspects(name), string(run))}
	if !suspects {
		scores = append(scores, pipe.ZScore(ctx, sh.want(name), string(run)))
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	for _, cmd := range scores {
		score, err := cmd.Result()
		if err == nil {
			return []candidate{{run, name, int64(score)}}, nil
		}
		if !errors.Is(err, goredis.Nil) {
			return nil, err
		}
	}
	return nil, nil
}

// wanted is how many runs are asked for.
func wanted(r *memory.ClaimRequest) int {
	if r.Suspects || r.Run != "" {
		return 1
	}
	return max(r.Max, 1)
}

// take claims of the candidates as many as are wanted and are still there, if the
// server serves it at the time latest or before, in microseconds. It lowers next
// where the server says that one wants attention only later: its clock decides.
func (s *Store) take(ctx context.Context, r *memory.ClaimRequest, latest int64, from []candidate, next *time.Duration) (claims []memory.Claim, err error) {
	most := wanted(r)
	for len(from) > 0 && len(claims) < most && err == nil {
		n := min(most-len(claims), len(from))
		var taken []memory.Claim
		taken, err = s.takeThese(ctx, r, latest, from[:n], next)
		claims, from = append(claims, taken...), from[n:]
	}
	if len(claims) > 0 {
		return claims, nil // what could not be asked is asked next time
	}
	return nil, err
}

// takeThese claims the candidates, with one script per shard in one round trip.
// What is sent is waited for even if ctx ends: a claim that nobody knows of would
// keep its run from everybody until the lease has ended.
func (s *Store) takeThese(ctx context.Context, r *memory.ClaimRequest, latest int64, from []candidate, next *time.Duration) ([]memory.Claim, error) {
	s.taking.RLock()
	defer s.taking.RUnlock()
	if s.closing {
		return nil, s.closed()
	}
	which := "sound"
	switch {
	case r.Suspects:
		which = "suspects"
	case r.Run != "":
		which = "any"
	}
	groups := s.group(len(from), func(i int) agent.RunID { return from[i].run })
	tokens := make([]memory.Token, len(from))
	calls := make([]*call, len(groups))
	for g, members := range groups {
		c := &call{script: claimScript, args: []any{
			r.Worker, r.Lease.Microseconds(), which, flag(r.NoTakeOver), latest, len(members)}}
		for _, i := range members {
			tokens[i] = memory.Token(rand.Text())
			s.address(c, from[i].run, from[i].agent)
			c.args = append(c.args, string(from[i].run), from[i].agent, string(tokens[i]))
		}
		calls[g] = c
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tooOld)
	defer cancel()
	sent := time.Now()
	replies, errs := s.evalAll(ctx, calls)
	for g, c := range calls {
		if errs[g] != nil && len(calls) > 1 { // once more by itself: the tokens make it the same claim
			replies[g], errs[g] = s.eval(ctx, c)
		}
	}
	claims := make([]memory.Claim, len(from))
	for g, members := range groups {
		if errs[g] != nil {
			continue
		}
		list, ok := replies[g].([]any)
		if !ok || len(list) < 2 {
			return nil, errReply
		}
		s.clock.tellText(list[0], sent)
		if list[1] == "old" {
			errs[g] = errLate
			continue
		}
		for k, i := range members {
			reply, _ := list[2+k].([]any)
			claims[i] = s.taken(r, &from[i], tokens[i], reply)
			if len(reply) == 2 && reply[0] == "no" {
				later, _ := strconv.ParseInt(fmt.Sprint(reply[1]), 10, 64)
				*next = min(*next, time.Duration(later)*time.Microsecond)
			}
		}
	}
	claims = slices.DeleteFunc(claims, func(c memory.Claim) bool { return c.Run == "" })
	if len(claims) > 0 {
		return claims, nil
	}
	return nil, errors.Join(errs...)
}

// taken makes a claim of what the script says of a candidate, if it was taken.
func (s *Store) taken(r *memory.ClaimRequest, c *candidate, token memory.Token, list []any) memory.Claim {
	if len(list) != 4 || list[0] != "taken" {
		return memory.Claim{}
	}
	strikes, _ := strconv.Atoi(fmt.Sprint(list[3]))
	s.claims.add(c.run, &heldClaim{token: token, agent: c.agent, news: r.News})
	return memory.Claim{Run: c.run, Token: token, Last: position(list[1], list[2]), Strikes: strikes}
}

func position(seq, id any) memory.Position {
	n, _ := strconv.ParseInt(fmt.Sprint(seq), 10, 64)
	text, _ := id.(string)
	return memory.Position{Seq: n, ID: agent.RecordID(text)}
}

// address adds the keys of a run that claim, renew and release want.
func (s *Store) address(c *call, run agent.RunID, name string) {
	sh := s.keys.of(run)
	c.keys = append(c.keys, sh.run(run), sh.want(name), sh.suspects(name))
}

// atOnce is how many runs one script works on at most, so that none takes long.
const atOnce = 200

// group puts the indexes of runs together that one script may work on.
func (s *Store) group(n int, run func(int) agent.RunID) [][]int {
	var groups [][]int
	open := map[int]int{} // by shard: its last group
	for i := range n {
		sh := s.keys.number(run(i))
		g, ok := open[sh]
		if !ok || len(groups[g]) == atOnce {
			g = len(groups)
			groups = append(groups, nil)
			open[sh] = g
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}
