package redis

import (
	"context"
	"strconv"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// Renew implements [memory.Store].
func (s *Store) Renew(ctx context.Context, lease time.Duration, held []memory.Held) ([]memory.Renewal, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if len(held) == 0 {
		return nil, s.fail(ctx, "renew", s.control.Time(ctx).Err()) // whether the server answers
	}
	renewals := make([]memory.Renewal, len(held))
	err := s.eachClaim(ctx, "renew", held, func(c *call, h *memory.Held, name string) {
		if c.script == nil {
			c.script, c.args = renewScript, []any{lease.Microseconds()}
		}
		c.args = append(c.args, string(h.Run), name, string(h.Token))
	}, func(i int, reply any) {
		list, _ := reply.([]any)
		if len(list) != 3 {
			return
		}
		renewals[i] = memory.Renewal{Held: list[0] == "held", Last: position(list[1], list[2])}
		if !renewals[i].Held {
			s.claims.forget(held[i].Run, held[i].Token)
		}
	})
	return renewals, err
}

// Release implements [memory.Store].
func (s *Store) Release(ctx context.Context, h memory.Held) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	err := s.release(ctx, []memory.Held{h}, false)
	s.claims.forget(h.Run, h.Token)
	return err
}

func (s *Store) release(ctx context.Context, held []memory.Held, void bool) error {
	return s.eachClaim(ctx, "release", held, func(c *call, h *memory.Held, name string) {
		if c.script == nil {
			c.script, c.args = releaseScript, []any{s.hub.publish, s.keys.of(h.Run).news(), flag(void)}
		}
		c.args = append(c.args, string(h.Run), name, string(h.Token), strconv.FormatInt(h.Last.Seq, 10), string(h.Last.ID), micros(h.NotBefore))
	}, func(int, any) {})
}

// voidAll voids the claims that the process still has.
func (s *Store) voidAll() error {
	held := s.claims.all()
	if len(held) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), tooOld)
	defer cancel()
	return s.release(ctx, held, true)
}

// eachClaim runs scripts over claims, one per shard in one round trip. add adds a
// claim to a script, told the agent that the run has as far as is known; take
// takes what the script says of the claim. Where it says that the run has another
// agent, it is asked again with that.
func (s *Store) eachClaim(ctx context.Context, what string, held []memory.Held, add func(*call, *memory.Held, string), take func(int, any)) error {
	names := make([]string, len(held))
	todo := make([]int, len(held))
	for i := range held {
		todo[i], names[i] = i, s.claims.agentOf(held[i].Run)
	}
	for len(todo) > 0 {
		groups := s.group(len(todo), func(k int) agent.RunID { return held[todo[k]].Run })
		calls := make([]*call, len(groups))
		for g, members := range groups {
			calls[g] = &call{}
			for _, k := range members {
				h := &held[todo[k]]
				s.address(calls[g], h.Run, names[todo[k]])
				add(calls[g], h, names[todo[k]])
			}
		}
		sent := time.Now()
		replies, errs := s.evalAll(ctx, calls)
		var again []int
		for g, members := range groups {
			if errs[g] != nil {
				return s.fail(ctx, what, errs[g])
			}
			list, ok := replies[g].([]any)
			if !ok || len(list) != len(members)+1 {
				return errReply
			}
			s.clock.tellText(list[0], sent)
			for n, k := range members {
				i := todo[k]
				if name, other := otherAgent(list[n+1]); other {
					names[i] = name
					s.claims.moved(held[i].Run, name)
					again = append(again, i)
					continue
				}
				take(i, list[n+1])
			}
		}
		todo = again
	}
	return nil
}

func otherAgent(reply any) (name string, other bool) {
	list, _ := reply.([]any)
	if len(list) != 2 || list[0] != "agent" {
		return "", false
	}
	name, ok := list[1].(string)
	return name, ok
}
