package redis

import (
	"cmp"
	"context"
	"errors"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// Asks implements [memory.Store].
func (s *Store) Asks(ctx context.Context, q memory.AskQuery) (*memory.AskPage, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	after, err := parseCursor(q.After)
	if err != nil {
		return nil, err
	}
	if q.Run != "" {
		return s.asksOf(ctx, q, after)
	}
	m := &merger{s: s, key: shard.inbox, after: after}
	if !q.OpenedBefore.IsZero() {
		m.to = q.OpenedBefore.UnixMicro()
	}
	limit := cmp.Or(q.Limit, pageSize)
	page := &memory.AskPage{}
	var last place
	for n := limit + 1; ; n *= 2 {
		n = min(n, chunk)
		places, err := m.next(ctx, n)
		if err != nil {
			return nil, s.fail(ctx, "list asks", err)
		}
		if len(places) == 0 {
			return page, nil
		}
		places, asks, err := s.selectAsks(ctx, places, q)
		if err != nil {
			return nil, err
		}
		for i, a := range asks {
			if len(page.Asks) == limit {
				page.Next = last.cursor()
				return page, nil
			}
			page.Asks, last = append(page.Asks, a), places[i]
		}
	}
}

// selectAsks reads the asks in these places which the query selects: the heads of
// all, and then the data of those alone, as most of a large inbox is for others.
func (s *Store) selectAsks(ctx context.Context, places []place, q memory.AskQuery) (there []place, asks []memory.AskEntry, err error) {
	heads, err := s.askHeads(ctx, places)
	if err != nil {
		return nil, nil, err
	}
	pipe := s.client.Pipeline()
	var values []*goredis.StringCmd
	var names []string
	for i, p := range places {
		if a := heads[i]; a != nil && q.Selects(a) {
			there, names = append(there, p), append(names, a.Agent)
			values = append(values, pipe.HGet(ctx, s.keys.of(a.Run).asks(a.Run), p.id))
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	places, there = there, nil
	for i, p := range places {
		v, err := values[i].Result()
		if errors.Is(err, goredis.Nil) {
			continue // closed meanwhile
		}
		if err != nil {
			return nil, nil, s.fail(ctx, "list asks", err)
		}
		a, err := decodeAsk(agent.AskID(p.id), v)
		if err != nil {
			return nil, nil, damaged(a.Run, "the ask %s: %v", p.id, err)
		}
		if a.Agent = names[i]; q.Selects(&a) { // still
			there, asks = append(there, p), append(asks, a)
		}
	}
	return there, asks, nil
}

// askHeads reads asks but for their data; nil for one that was closed meanwhile. A
// script per shard does it, since a command of Redis gives all of a value or nothing.
func (s *Store) askHeads(ctx context.Context, places []place) ([]*memory.AskEntry, error) {
	byShard := map[int]*call{}
	of := map[*call][]int{} // the places of a call
	var calls []*call
	for i, p := range places {
		run := agent.AskID(p.id).Run()
		n := s.keys.number(run)
		c := byShard[n]
		if c == nil {
			c = &call{script: headsScript}
			byShard[n], calls = c, append(calls, c)
		}
		sh := s.keys.shard(n)
		c.keys, c.args, of[c] = append(c.keys, sh.asks(run), sh.run(run)), append(c.args, p.id), append(of[c], i)
	}
	heads := make([]*memory.AskEntry, len(places))
	replies, errs := s.evalAll(ctx, calls)
	for k, c := range calls {
		if errs[k] != nil {
			return nil, s.fail(ctx, "list asks", errs[k])
		}
		list, _ := replies[k].([]any)
		if len(list) != len(c.keys) {
			return nil, errReply
		}
		for j, i := range of[c] {
			v, ok := list[2*j].(string)
			if !ok {
				continue
			}
			a, _, _, err := decodeHead(agent.AskID(places[i].id), v)
			if err != nil {
				return nil, damaged(a.Run, "the ask %s: %v", a.ID, err)
			}
			a.Agent, _ = list[2*j+1].(string)
			heads[i] = &a
		}
	}
	return heads, nil
}

// asksOf lists the asks of one run.
func (s *Store) asksOf(ctx context.Context, q memory.AskQuery, after *place) (*memory.AskPage, error) {
	page := &memory.AskPage{}
	if memory.CheckRun(q.Run) != nil {
		return page, nil // there is no such run
	}
	sh := s.keys.of(q.Run)
	pipe := s.client.Pipeline()
	all, name := pipe.HGetAll(ctx, sh.asks(q.Run)), pipe.HGet(ctx, sh.run(q.Run), "agent")
	_, _ = pipe.Exec(ctx) // each command has its error
	values, err := all.Result()
	if err != nil {
		return nil, s.fail(ctx, "list asks", err)
	}
	for id, v := range values {
		a, err := decodeAsk(agent.AskID(id), v)
		if err != nil {
			return nil, damaged(q.Run, "the ask %s: %v", id, err)
		}
		a.Agent = name.Val()
		if q.Selects(&a) && (after == nil || askPlace(&a).compare(*after) > 0) {
			page.Asks = append(page.Asks, a)
		}
	}
	slices.SortFunc(page.Asks, func(a, b memory.AskEntry) int { return askPlace(&a).compare(askPlace(&b)) })
	if limit := cmp.Or(q.Limit, pageSize); len(page.Asks) > limit {
		page.Asks = page.Asks[:limit]
		page.Next = askPlace(&page.Asks[limit-1]).cursor()
	}
	return page, nil
}

func askPlace(a *memory.AskEntry) place {
	p := place{id: string(a.ID)}
	if !a.Opened.IsZero() {
		p.score = a.Opened.UnixMicro()
	}
	return p
}
