package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

const (
	pageSize = 100 // of a list, when none is asked for
	chunk    = 500 // how many entries are asked for in one round trip: it begins with a page, and grows while few are selected
)

// place is where an entry stands in a list: lists go by score, then by id.
type place struct {
	score int64
	id    string
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.score, o.score), cmp.Compare(p.id, o.id))
}

// cursor writes a place for the caller to come back with.
func (p place) cursor() string { return fmt.Sprintf("%d.%s", p.score, p.id) }

func parseCursor(s string) (*place, error) {
	if s == "" {
		return nil, nil
	}
	score, id, ok := strings.Cut(s, ".")
	n, err := strconv.ParseInt(score, 10, 64)
	if !ok || err != nil {
		return nil, fmt.Errorf("redis: %q is not the Next of a page", s)
	}
	return &place{n, id}, nil
}

// A merger goes through a sorted set of each shard in the order of all.
type merger struct {
	s     *Store
	key   func(shard) string
	after *place // begin behind it
	from  int64  // and not before this score, if it is not 0
	to    int64  // nor after this one, likewise
	lanes []*lane
}

// lane is the part of one shard.
type lane struct {
	key   string
	ahead []place
	after *place
	skip  int64 // members of the score of after that were read
	done  bool
}

// next returns up to n places, in order; fewer only at the end.
func (m *merger) next(ctx context.Context, n int) ([]place, error) {
	if m.lanes == nil {
		for i := range m.s.keys.shards {
			m.lanes = append(m.lanes, &lane{key: m.key(m.s.keys.shard(i)), after: m.after})
		}
	}
	var out []place
	for len(out) < n {
		if err := m.fill(ctx, n); err != nil {
			return nil, err
		}
		var best *lane
		for _, l := range m.lanes {
			if len(l.ahead) > 0 && (best == nil || l.ahead[0].compare(best.ahead[0]) < 0) {
				best = l
			}
		}
		if best == nil {
			break
		}
		out = append(out, best.ahead[0])
		best.ahead = best.ahead[1:]
	}
	return out, nil
}

// fill reads on in the lanes that have nothing ahead, in one round trip.
func (m *merger) fill(ctx context.Context, n int) error {
	for {
		var empty []*lane
		var cmds []*goredis.ZSliceCmd
		pipe := m.s.client.Pipeline()
		n = min(max(n, 10), chunk)
		for _, l := range m.lanes {
			if len(l.ahead) > 0 || l.done {
				continue
			}
			by := &goredis.ZRangeBy{Min: "-inf", Max: "+inf", Count: int64(n), Offset: l.skip}
			if m.from != 0 {
				by.Min = strconv.FormatInt(m.from, 10)
			}
			if m.to != 0 {
				by.Max = strconv.FormatInt(m.to, 10)
			}
			if l.after != nil {
				by.Min = strconv.FormatInt(l.after.score, 10)
			}
			empty = append(empty, l)
			cmds = append(cmds, pipe.ZRangeByScoreWithScores(ctx, l.key, by))
		}
		if len(empty) == 0 {
			return nil
		}
		_, _ = pipe.Exec(ctx) // each command has its error
		for i, l := range empty {
			members, err := cmds[i].Result()
			if err != nil {
				return err
			}
			l.take(members, n)
		}
	}
}

// take takes what was read, but for what stands at or before the place where
// the lane begins.
func (l *lane) take(members []goredis.Z, asked int) {
	l.done = len(members) < asked
	start := l.after
	for _, z := range members {
		id, _ := z.Member.(string)
		p := place{int64(z.Score), id}
		if l.after == nil || p.score != l.after.score {
			l.skip = 0
		}
		l.skip++
		l.after = &p
		if start == nil || p.compare(*start) > 0 {
			l.ahead = append(l.ahead, p)
		}
	}
}

// Runs implements [memory.Store].
func (s *Store) Runs(ctx context.Context, q memory.RunQuery) (*memory.RunPage, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	after, err := parseCursor(q.After)
	if err != nil {
		return nil, err
	}
	m := &merger{s: s, key: shard.runs, after: after}
	if !q.Before.IsZero() {
		m.from = -q.Before.UnixMicro() // the score is minus the time
	}
	limit := cmp.Or(q.Limit, pageSize)
	page := &memory.RunPage{}
	var last place
	for n := limit + 1; ; n *= 2 {
		n = min(n, chunk)
		places, err := m.next(ctx, n)
		if err != nil {
			return nil, s.fail(ctx, "list runs", err)
		}
		if len(places) == 0 {
			return page, nil
		}
		places = slices.DeleteFunc(places, func(p place) bool { return !strings.HasPrefix(p.id, q.Prefix) })
		entries, err := s.entries(ctx, places, q)
		if err != nil {
			return nil, s.fail(ctx, "list runs", err)
		}
		for i, e := range entries {
			if e == nil {
				continue
			}
			if len(page.Runs) == limit {
				page.Next = last.cursor()
				return page, nil
			}
			page.Runs, last = append(page.Runs, *e), places[i]
		}
	}
}

var entryFields = []string{"agent", "status", "title", "reason", "wake", "seq", "created", "token", "worker", "parent"}

// entries reads the entries of runs; nil for those that the query does not want,
// or that are gone.
func (s *Store) entries(ctx context.Context, places []place, q memory.RunQuery) ([]*memory.RunEntry, error) {
	pipe := s.client.Pipeline()
	hashes := make([]*goredis.SliceCmd, len(places))
	for i, p := range places {
		hashes[i] = pipe.HMGet(ctx, s.keys.of(agent.RunID(p.id)).run(agent.RunID(p.id)), entryFields...)
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	entries := make([]*memory.RunEntry, len(places))
	scores := make([][2]*goredis.FloatCmd, len(places))
	claimed := make([]bool, len(places))
	pipe = s.client.Pipeline()
	for i, p := range places {
		e, held, err := decodeEntry(agent.RunID(p.id), hashes[i])
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		if e.Updated = time.UnixMicro(-p.score).UTC(); !q.Selects(e) {
			continue
		}
		entries[i], claimed[i] = e, held
		sh := s.keys.of(e.Run)
		scores[i] = [2]*goredis.FloatCmd{pipe.ZScore(ctx, sh.want(e.Index.Agent), p.id), pipe.ZScore(ctx, sh.suspects(e.Index.Agent), p.id)}
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	now := s.Now()
	for i, e := range entries {
		if e == nil {
			continue
		}
		want, err := either(scores[i])
		if err != nil {
			return nil, err
		}
		if !want.IsZero() && !want.After(now) {
			e.Late, e.Worker = now.Sub(want), ""
		} else if !claimed[i] {
			e.Worker = ""
		}
	}
	return entries, nil
}

// either returns the time in the one of two sorted sets that has the run; zero
// if none has.
func either(cmds [2]*goredis.FloatCmd) (time.Time, error) {
	for _, cmd := range cmds {
		score, err := cmd.Result()
		if err == nil {
			return time.UnixMicro(int64(score)).UTC(), nil
		}
		if !errors.Is(err, goredis.Nil) && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// decodeEntry makes an entry of a run's hash; nil if there is none. One that is
// damaged is shown as stuck: nothing else can be known of it.
func decodeEntry(run agent.RunID, cmd *goredis.SliceCmd) (e *memory.RunEntry, claimed bool, err error) {
	values, err := cmd.Result()
	if goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return broken(run), false, nil
	}
	if err != nil {
		return nil, false, err
	}
	text := make([]string, len(values))
	for i, v := range values {
		text[i], _ = v.(string)
	}
	if values[0] == nil && values[5] == nil {
		return nil, false, nil
	}
	e = &memory.RunEntry{Run: run, Worker: text[8], Index: memory.Index{
		Agent: text[0], Status: agent.Status(text[1]), Title: text[2], Reason: text[3], Parent: agent.RunID(text[9])}}
	var errs [3]error
	e.Index.Wake, errs[0] = parseMicros(text[4])
	e.Records, errs[1] = strconv.ParseInt(text[5], 10, 64)
	e.Created, errs[2] = parseMicros(text[6])
	if errors.Join(errs[:]...) != nil {
		return broken(run), false, nil
	}
	return e, values[7] != nil, nil
}

const brokenReason = "its entry in the store is damaged: fermata store check says how"

func broken(run agent.RunID) *memory.RunEntry {
	return &memory.RunEntry{Run: run, Index: memory.Index{Status: agent.StatusStuck, Reason: brokenReason}}
}
