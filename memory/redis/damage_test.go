package redis_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
)

// A damage is done to a key of run r1, or of the shard that it shares with the
// others. The zero value of the rest: nothing of it is noticed but by Check, which
// can put it in order.
type damage struct {
	do     func(ctx context.Context, c *goredis.Client, ask string) error
	read   bool   // the run cannot be read
	commit bool   // nothing can be committed to it
	lists  bool   // listing the asks fails
	shared string // a list that all runs of the shard need is of another type: to none can be committed until it is deleted
	stays  bool   // it cannot be mended
	unseen bool   // it cannot be noticed, and need not be
}

const shard = "fermata:{f00}:"

func deleted(name string) func(context.Context, *goredis.Client, string) error {
	return func(ctx context.Context, c *goredis.Client, _ string) error {
		if n, err := c.Del(ctx, shard+name).Result(); n != 1 {
			return fmt.Errorf("there is no key %s to be deleted (%w)", name, err)
		}
		return nil
	}
}

func otherType(name string) func(context.Context, *goredis.Client, string) error {
	return func(ctx context.Context, c *goredis.Client, _ string) error {
		if kind := c.Type(ctx, shard+name).Val(); kind == "stream" || kind == "none" {
			return fmt.Errorf("the key %s is of type %s", name, kind)
		}
		c.Del(ctx, shard+name)
		return c.XAdd(ctx, &goredis.XAddArgs{Stream: shard + name, Values: []string{"a", "b"}}).Err()
	}
}

func field(name, value string) func(context.Context, *goredis.Client, string) error {
	return func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.HSet(ctx, shard+"run:r1", name, value).Err()
	}
}

func element(at int64, change func(string) string) func(context.Context, *goredis.Client, string) error {
	return func(ctx context.Context, c *goredis.Client, _ string) error {
		v, err := c.LIndex(ctx, shard+"log:r1", at).Result()
		if err != nil {
			return err
		}
		return c.LSet(ctx, shard+"log:r1", at, change(v)).Err()
	}
}

func ask(change func(string) string) func(context.Context, *goredis.Client, string) error {
	return func(ctx context.Context, c *goredis.Client, ask string) error {
		v, err := c.HGet(ctx, shard+"asks:r1", ask).Result()
		if err != nil {
			return err
		}
		return c.HSet(ctx, shard+"asks:r1", ask, change(v)).Err()
	}
}

var damages = map[string]damage{
	"run deleted":      {do: deleted("run:r1"), read: true, commit: true},
	"log deleted":      {do: deleted("log:r1"), read: true, commit: true, stays: true},
	"snap deleted":     {do: deleted("snap:r1"), unseen: true},
	"asks deleted":     {do: deleted("asks:r1")},
	"want deleted":     {do: deleted("want:x")},
	"suspects deleted": {do: deleted("suspects:x")},
	"runs deleted":     {do: deleted("runs")},
	"inbox deleted":    {do: deleted("inbox")},
	"agents deleted":   {do: deleted("agents")},

	"run of another type":      {do: otherType("run:r1"), read: true, commit: true, stays: true},
	"log of another type":      {do: otherType("log:r1"), read: true, commit: true, stays: true},
	"snap of another type":     {do: otherType("snap:r1"), stays: true},
	"asks of another type":     {do: otherType("asks:r1"), commit: true, lists: true, stays: true},
	"want of another type":     {do: otherType("want:x"), commit: true, shared: "want:x"},
	"suspects of another type": {do: otherType("suspects:x"), commit: true, shared: "suspects:x"},
	"runs of another type":     {do: otherType("runs"), commit: true, shared: "runs"},
	"inbox of another type":    {do: otherType("inbox"), commit: true, lists: true, shared: "inbox"},

	"a record that is none":       {do: element(0, func(string) string { return "nonsense" }), read: true, stays: true},
	"a record with another byte":  {do: element(1, func(s string) string { return strings.Replace(s, "record", "recorD", 1) }), read: true, stays: true},
	"a record in another's place": {do: element(0, func(s string) string { return strings.Replace(s, " ", " 1", 1) }), read: true, stays: true},
	"a record too many": {do: func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.RPush(ctx, shard+"log:r1", "a b c").Err()
	}, read: true, commit: true, stays: true},
	"a number of records too high": {do: field("seq", "99"), read: true, commit: true, stays: true},
	"a number that is none":        {do: field("seq", "many"), read: true, commit: true, stays: true},
	"no number": {do: func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.HDel(ctx, shard+"run:r1", "seq").Err()
	}, read: true, commit: true, stays: true},
	"another last record":         {do: field("id", "other"), read: true, commit: true, stays: true},
	"strikes that are none":       {do: field("strikes", "many"), unseen: true},
	"a wake-up time that is none": {do: field("wake", "late"), stays: true},
	"a beginning that is none":    {do: field("created", "early"), stays: true},
	"another agent":               {do: field("agent", "y")},
	"a claim of nobody":           {do: field("token", "ghost"), unseen: true},
	"a snapshot with another byte": {do: func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.SetRange(ctx, shard+"snap:r1", -1+int64(c.StrLen(ctx, shard+"snap:r1").Val()), "X").Err()
	}, stays: true},
	"an ask with another byte": {do: ask(func(s string) string { return strings.Replace(s, "ask", "asK", 1) }), lists: true, stays: true},
	"an ask for somebody else": {do: ask(func(s string) string { return strings.Replace(s, "+ada", "+eve", 1) }), lists: true, stays: true},
	"an ask cut short":         {do: ask(func(s string) string { return s[:30] }), lists: true, stays: true},
	"an ask that is none":      {do: ask(func(string) string { return "" }), lists: true, stays: true},
	"an ask in another's place": {do: func(ctx context.Context, c *goredis.Client, ask string) error {
		others, err := c.HVals(ctx, shard+"asks:r2").Result()
		if err != nil {
			return err
		}
		return c.HSet(ctx, shard+"asks:r1", ask, others[0]).Err()
	}, lists: true, stays: true},

	"a stranger in want": {do: func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.ZAdd(ctx, shard+"want:x", goredis.Z{Member: "ghost", Score: 1e15}).Err()
	}},
	"a stranger in runs": {do: func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.ZAdd(ctx, shard+"runs", goredis.Z{Member: "ghost", Score: -1e15}).Err()
	}},
	"a stranger in the inbox": {do: func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.ZAdd(ctx, shard+"inbox", goredis.Z{Member: "ghost.a.0", Score: 1e15}).Err()
	}},
	"a key of nobody": {do: func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.Set(ctx, shard+"junk", "x", 0).Err()
	}, stays: true},
	"a shard of nobody": {do: func(ctx context.Context, c *goredis.Client, _ string) error {
		return c.Set(ctx, "fermata:{f99}:run:r1", "x", 0).Err()
	}, stays: true},
}

func TestDamage(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, &redisserver.Options{Config: []string{"databases 64"}})
	db := 0
	for name, d := range damages {
		url := fmt.Sprintf("%s/%d", srv.URL(), db)
		o := srv.ClientOptions()
		o.DB = db
		db++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := goredis.NewClient(o)
			defer c.Close()
			hurt(t, open(t, url, &redis.Options{Shards: 1}), c, &d)
		})
	}
}

// hurt does the damage to a store with four runs: r1 and r2 want attention, r3 is
// claimed, r4 is a suspect.
func hurt(t *testing.T, s *redis.Store, c *goredis.Client, d *damage) {
	p := map[agent.RunID]memory.Position{}
	for _, run := range []agent.RunID{"r1", "r2", "r3", "r4"} {
		p[run] = begin(t, s, run)
	}
	mine := take(t, s, "r3")
	for range 2 {
		take(t, s, "r4", lease(time.Millisecond))
		pass(t, s, 5*time.Millisecond)
	}
	if found := problems(t, s, true); len(found) > 0 {
		t.Fatalf("check finds %v before anything was damaged", found)
	}
	asks, err := s.Asks(t.Context(), memory.AskQuery{Run: "r1"})
	must(t, err)
	must(t, d.do(t.Context(), c, string(asks.Asks[0].ID)))
	corrupt := func(what string, err error, want bool) {
		t.Helper()
		if want != errors.Is(err, memory.ErrCorrupt) || !want && err != nil {
			t.Errorf("%s: got the error %v; is it to be %v: %v", what, err, memory.ErrCorrupt, want)
		}
	}

	// The run itself.
	before := dump(t, c)
	_, err = s.Read(t.Context(), "r1", memory.ReadOptions{})
	corrupt("reading the run", err, d.read)
	if d.commit {
		for _, base := range []memory.Position{p["r1"], {}} {
			err := s.Commit(t.Context(), full(s, "r1", base))
			if base.Seq == 0 && errors.Is(err, memory.ErrConflict) {
				continue // as for any run that is there
			}
			corrupt("a commit to it", err, true)
		}
		unchanged(t, c, before)
	}
	found := problems(t, s, false)
	if (len(found) == 0) != d.unseen {
		t.Errorf("check finds %v; is there nothing to be found: %v", found, d.unseen)
	}

	// The others.
	for _, run := range []agent.RunID{"r2", "r4"} {
		ends(t, s, run, p[run])
		next := full(s, run, p[run])
		err := s.Commit(t.Context(), next)
		corrupt("a commit to run "+string(run), err, d.shared != "")
		if err == nil {
			p[run] = next.Last()
		}
	}
	_, err = s.Runs(t.Context(), memory.RunQuery{})
	corrupt("listing the runs", err, d.shared == "runs")
	_, err = s.Asks(t.Context(), memory.AskQuery{})
	corrupt("listing the asks", err, d.lists)
	_, err = s.Asks(t.Context(), memory.AskQuery{Run: "r2"})
	corrupt("listing the asks of run r2", err, false)
	renewals, err := s.Renew(t.Context(), time.Minute, []memory.Held{held(mine)})
	must(t, err)
	if !renewals[0].Held || renewals[0].Last != p["r3"] {
		t.Errorf("the renewal of a neighbour's claim is %+v", renewals[0])
	}
	claimed, err := s.Claim(t.Context(), request())
	must(t, err)
	if want := d.shared == "" || d.shared == "inbox" || d.shared == "runs"; want != slices.Contains(runsOf(claimed), "r2") {
		t.Errorf("claimed %v; is run r2 to be among them: %v", runsOf(claimed), want)
	}
	must(t, s.Release(t.Context(), held(mine)))

	// And when it has been put in order.
	if d.shared != "" {
		must(t, c.Del(t.Context(), shard+d.shared).Err())
	}
	if d.unseen || d.stays {
		return
	}
	mended := problems(t, s, true)
	for _, m := range mended {
		if !m.Repaired {
			t.Errorf("check with repair says %+v", m)
		}
	}
	if again := problems(t, s, false); len(again) > 0 {
		t.Errorf("a second check finds %v; the first one has mended %v", again, mended)
	}
	if d.read || d.commit && d.shared == "" {
		return // its entry was made anew, and how it stands others find out
	}
	next := full(s, "r1", p["r1"])
	must(t, s.Commit(t.Context(), next))
	if !slices.Contains(runsOf(claimed), "r2") {
		take(t, s, "r2")
	}
}

// TestRepairKeeps loses all but the log and the asks of a run, and has it as it
// was when its entry is corrected, as the orchestrator's check does.
func TestRepairKeeps(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	s, c := open(t, srv.URL(), &redis.Options{Shards: 1}), admin(t, srv)
	first := full(s, "r1", memory.Position{})
	must(t, s.Commit(t.Context(), first))
	kept := func() (memory.Index, []memory.AskEntry) {
		t.Helper()
		runs, err := s.Runs(t.Context(), memory.RunQuery{Parent: "parent"})
		must(t, err)
		asks, err := s.Asks(t.Context(), memory.AskQuery{For: agent.User{ID: "ada"}, Claimed: "ada"})
		must(t, err)
		if len(runs.Runs) != 1 || len(asks.Asks) != 1 {
			t.Fatalf("there are %d delegates and %d asks, want one of each", len(runs.Runs), len(asks.Asks))
		}
		return runs.Runs[0].Index, asks.Asks
	}
	index, asks := kept()
	for _, lost := range [][]string{{"inbox", "runs", "want:x", "agents"}, {"inbox", "run:r1"}} {
		for _, name := range lost {
			must(t, deleted(name)(t.Context(), c, ""))
		}
		problems(t, s, true)
		if slices.Contains(lost, "run:r1") {
			correct := *first
			correct.Base, correct.Records, correct.Snapshot, correct.Opened = first.Last(), nil, nil, nil
			must(t, s.Commit(t.Context(), &correct))
		}
		if found := problems(t, s, false); len(found) > 0 {
			t.Errorf("after the repair check finds %v", found)
		}
		gotIndex, gotAsks := kept()
		if !reflect.DeepEqual(gotIndex, index) || !reflect.DeepEqual(gotAsks, asks) {
			t.Errorf("without %v there are %+v and %+v, want %+v and %+v", lost, gotIndex, gotAsks, index, asks)
		}
	}
}

// TestEntryStaysSmall looks how the entries of a root and of a delegate are kept: a
// list of fields as long as it is short, and none for the parent of a root.
func TestEntryStaysSmall(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	s, c := open(t, srv.URL(), &redis.Options{Shards: 1}), admin(t, srv)
	for run, parent := range map[agent.RunID]agent.RunID{"r1": "", "r2": agent.RunID(strings.Repeat("p", 64))} {
		next := full(s, run, memory.Position{})
		next.Index.Parent = parent
		must(t, s.Commit(t.Context(), next))
		if got := c.ObjectEncoding(t.Context(), shard+"run:"+string(run)).Val(); got != "listpack" {
			t.Errorf("the entry of %s is kept as %s", run, got)
		}
		if got := c.HExists(t.Context(), shard+"run:"+string(run), "parent").Val(); got != (parent != "") {
			t.Errorf("the entry of %s has a parent: %v", run, got)
		}
	}
}
