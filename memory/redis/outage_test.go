package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
)

// watch has the run's ends come on a channel.
func watch(t *testing.T, s memory.Store, run agent.RunID) <-chan memory.Position {
	c := make(chan memory.Position, 1000)
	go func() {
		for t.Context().Err() == nil {
			for h, err := range s.Watch(t.Context(), run) {
				if err != nil {
					break // as a caller does: try again
				}
				c <- h.Last
			}
			breathe(t)
		}
	}()
	return c
}

// breathe waits a moment before something is tried again.
func breathe(t *testing.T) {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-t.Context().Done():
	}
}

// sees waits until a watcher has seen the end.
func sees(t *testing.T, c <-chan memory.Position, want memory.Position) {
	t.Helper()
	for soon(t, c, "a hint") != want {
	}
}

// claims has claims that wait come on a channel, as a worker asks for them:
// again and again, whatever happens.
func claims(t *testing.T, s memory.Store, change ...func(*memory.ClaimRequest)) <-chan memory.Claim {
	c := make(chan memory.Claim, 1000)
	go func() {
		for t.Context().Err() == nil {
			got, err := s.Claim(t.Context(), request(append(change, wait)...))
			for _, claim := range got {
				c <- claim
			}
			if err != nil {
				breathe(t)
			}
		}
	}()
	return c
}

// listeners returns how many subscribe to a channel of news.
func listeners(t *testing.T, c *goredis.Client, channel string) int64 {
	n, err := c.PubSubNumSub(t.Context(), channel).Result()
	if err != nil {
		return 0
	}
	return n[channel]
}

// faster is less than the period in which waiting claims and watchers look
// though nothing was told: what comes within it was told.
const faster = time.Second

func TestRestart(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, &redisserver.Options{Appendfsync: "always"})
	a, b, c := open(t, srv.URL(), nil), open(t, srv.URL(), nil), admin(t, srv)
	p := begin(t, b, "r1")
	claim := take(t, a, "r1")
	hints := watch(t, a, "r1")
	sees(t, hints, p)
	claimed := claims(t, a)

	for round := range 2 {
		must(t, srv.Kill())
		must(t, srv.Restart())
		run := agent.RunID(fmt.Sprintf("new%d", round))
		until(t, "a run is begun", func() bool {
			first := full(b, run, memory.Position{})
			return b.Commit(t.Context(), first) == nil
		})
		if got := soon(t, claimed, "a claim after the restart"); got.Run != run {
			t.Fatalf("claimed %+v, want run %s", got, run)
		}
		next := step(b, "r1", p, 1)
		next.Claim = claim.Token
		must(t, b.Commit(t.Context(), next))
		p = next.Last()
		sees(t, hints, p)
		ends(t, a, "r1", p)
	}

	until(t, "both listen again", func() bool {
		return listeners(t, c, "fermata:{f00}:news") == 1 && listeners(t, c, "fermata:{f15}:news") == 1
	})
	rounds := 0
	until(t, "news of a claim and of a run come as they are told", func() bool {
		rounds++
		start := time.Now()
		begin(t, b, agent.RunID(fmt.Sprintf("last%d", rounds)))
		soon(t, claimed, "a claim that was told of")
		next := step(b, "r1", p, 1)
		must(t, b.Commit(t.Context(), next))
		p = next.Last()
		sees(t, hints, p)
		return time.Since(start) < faster // once is enough: the machine may be busy
	})
	renewals, err := a.Renew(t.Context(), time.Minute, []memory.Held{held(claim)})
	must(t, err)
	if !renewals[0].Held {
		t.Error("a claim was lost by the restarts")
	}
}

// TestFailover has a replica take the primary's place.
func TestFailover(t *testing.T) {
	t.Parallel()
	sentinel := redisserver.TestSentinel(t, nil)
	a, b := open(t, sentinelURL(sentinel), nil), open(t, sentinelURL(sentinel), nil)
	p := begin(t, b, "r1")
	claim := take(t, a, "r1")
	claimed, hints := claims(t, a), watch(t, a, "r1")
	sees(t, hints, p)
	primary, err := sentinel.Primary(t.Context())
	must(t, err)
	if n := admin(t, primary).Wait(t.Context(), 1, patience).Val(); n != 1 {
		t.Fatal("the replica is not in step")
	}
	_, err = sentinel.Failover(t.Context())
	must(t, err)
	next := step(b, "r1", p, 1)
	next.Claim = claim.Token
	until(t, "a commit takes place on the new primary", func() bool { return b.Commit(t.Context(), next) == nil })
	sees(t, hints, next.Last())
	begin(t, b, "r2")
	if got := soon(t, claimed, "a claim"); got.Run != "r2" {
		t.Errorf("claimed %+v, want r2", got)
	}
	ends(t, a, "r1", next.Last())
	renewals, err := a.Renew(t.Context(), time.Minute, []memory.Held{held(claim)})
	must(t, err)
	if !renewals[0].Held {
		t.Error("a claim was lost by the failover")
	}
	if found := problems(t, a, false); len(found) > 0 {
		t.Errorf("check finds %v", found)
	}
}

// TestForgottenScripts has each kind of call meet a server that does not know
// the scripts, as after a failover.
func TestForgottenScripts(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	s, c := open(t, srv.URL(), nil), admin(t, srv)
	forget := func() { must(t, c.ScriptFlush(t.Context()).Err()) }
	const n = 30 // on all shards
	var runs []agent.RunID
	for i := range n {
		runs = append(runs, agent.RunID(fmt.Sprintf("r%02d", i)))
		forget()
		begin(t, s, runs[i])
	}
	forget()
	claimed, err := s.Claim(t.Context(), request())
	must(t, err)
	if got := runsOf(claimed); fmt.Sprint(got) != fmt.Sprint(runs) {
		t.Fatalf("claimed %v, want all of %v", got, runs)
	}
	var all []memory.Held
	for _, claim := range claimed {
		all = append(all, held(claim))
	}
	forget()
	renewals, err := s.Renew(t.Context(), time.Minute, all)
	must(t, err)
	for i, r := range renewals {
		if !r.Held || r.Last != claimed[i].Last {
			t.Errorf("the renewal of %s is %+v", all[i].Run, r)
		}
	}
	// Many commits at once, which share round trips.
	forget()
	errs := make(chan error, n)
	for _, claim := range claimed {
		go func() {
			next := step(s, claim.Run, claim.Last, 1)
			next.Claim = claim.Token
			errs <- s.Commit(t.Context(), next)
		}()
	}
	for range n {
		must(t, soon(t, errs, "a commit"))
	}
	for _, f := range []func() error{
		func() error { return s.Release(t.Context(), all[0]) },
		func() error { _, err := s.Read(t.Context(), runs[0], memory.ReadOptions{}); return err },
		func() error { return s.Speak(t.Context(), runs[0], memory.Words{Attempt: "a", Data: []byte("b")}) },
		func() error { _, err := s.PutBlob(t.Context(), runs[0], []byte("blob")); return err },
		func() error { return s.Erase(t.Context(), runs[0]) },
		func() error {
			for p, err := range s.Check(t.Context(), false) {
				return fmt.Errorf("%v %w", p, err)
			}
			return nil
		},
	} {
		forget()
		must(t, f())
	}
}

// TestLostReplies loses the replies to scripts that have run.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	proxy := redisserver.TestProxy(t, srv.Addr())
	s := open(t, "redis://"+proxy.Addr(), nil)
	p := begin(t, s, "r1")
	begin(t, s, "r2")
	lost := 0
	lose := func(n int, f func() error) error {
		t.Helper()
		proxy.DropRepliesTo("evalsha", n)
		err := f()
		lost += n
		if got := proxy.Dropped(); got != lost {
			t.Fatalf("%d replies were lost so far, want %d", got, lost)
		}
		return err
	}

	var claimed []memory.Claim
	must(t, lose(1, func() (err error) { claimed, err = s.Claim(t.Context(), request()); return err }))
	if got := fmt.Sprint(runsOf(claimed)); got != "[r1 r2]" || claimed[0].Strikes+claimed[1].Strikes != 0 {
		t.Fatalf("claimed %+v, want r1 and r2 without strikes", claimed)
	}
	one := claimed[0]
	if one.Run != "r1" {
		one = claimed[1]
	}
	next := step(s, "r1", p, 2)
	next.Claim, next.Index.Wake = one.Token, s.Now().Add(-time.Second)
	must(t, lose(1, func() error { return s.Commit(t.Context(), next) }))
	ends(t, s, "r1", next.Last())
	one.Last = next.Last()
	must(t, lose(1, func() error { return s.Release(t.Context(), held(one)) }))
	if again := take(t, s, "r1"); again.Strikes != 0 {
		t.Errorf("a run that was released has %d strikes", again.Strikes)
	}

	// So often that the client gives up: it is not known, and the same commit says it.
	last := step(s, "r1", next.Last(), 1)
	err := lose(4, func() error { return s.Commit(t.Context(), last) })
	is(t, err, nil, "commit to run r1")
	must(t, s.Commit(t.Context(), last))
	ends(t, s, "r1", last.Last())

	// And when somebody has written after it.
	later := step(s, "r1", last.Last(), 1)
	is(t, lose(4, func() error { return s.Commit(t.Context(), later) }), nil)
	must(t, open(t, srv.URL(), nil).Commit(t.Context(), step(s, "r1", later.Last(), 1)))
	must(t, s.Commit(t.Context(), later))
	is(t, s.Commit(t.Context(), step(s, "r1", later.Last(), 1)), memory.ErrConflict)
}

// TestCutConnection cuts the connections of a worker's store for longer than a
// lease, and then slows them down.
func TestCutConnection(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	proxy := redisserver.TestProxy(t, srv.Addr())
	a, b := open(t, "redis://"+proxy.Addr(), nil), open(t, srv.URL(), nil)
	p := begin(t, b, "r1")
	mine := take(t, a, "r1", lease(time.Second))
	claimed, hints := claims(t, a), watch(t, a, "r1")
	sees(t, hints, p)

	proxy.Cut()
	if err := a.Commit(t.Context(), step(a, "r2", memory.Position{}, 1)); err == nil {
		t.Error("a commit without a connection succeeded")
	}
	pass(t, b, 1100*time.Millisecond)
	proxy.Heal()
	renewals, err := a.Renew(t.Context(), time.Minute, []memory.Held{held(mine)})
	must(t, err)
	if !renewals[0].Held {
		t.Error("a claim that nobody took was lost")
	}
	begin(t, b, "r3")
	if got := soon(t, claimed, "a claim"); got.Run != "r3" {
		t.Errorf("claimed %+v, want r3", got)
	}
	next := step(b, "r1", p, 1)
	must(t, b.Commit(t.Context(), next))
	sees(t, hints, next.Last())

	proxy.Delay(200 * time.Millisecond)
	slow := step(a, "r1", next.Last(), 1)
	slow.Claim = mine.Token
	must(t, a.Commit(t.Context(), slow))
	sees(t, hints, slow.Last())
	begin(t, b, "r4")
	if got := soon(t, claimed, "a claim over a slow line"); got.Run != "r4" {
		t.Errorf("claimed %+v, want r4", got)
	}
	if off := a.Now().Sub(b.Now()).Abs(); off > 250*time.Millisecond {
		t.Errorf("the clocks of two handles differ by %v after slow replies", off)
	}
}

// TestLateClaim stops the server for longer than a lease, with a claim on its way.
func TestLateClaim(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	a, b := open(t, srv.URL(), nil), open(t, srv.URL(), nil)
	_, err := b.Claim(t.Context(), request(func(r *memory.ClaimRequest) { r.Wait = time.Millisecond })) // it listens from now on
	must(t, err)
	begin(t, a, "r1")
	mine := take(t, a, "r1", lease(time.Second))
	late := b.Now()
	must(t, srv.Pause())
	asked := beside(t, func(ctx context.Context) ([]memory.Claim, error) {
		return b.Claim(ctx, request(wait))
	})
	named := beside(t, func(ctx context.Context) ([]memory.Claim, error) {
		return b.Claim(ctx, request(only("r1")))
	})
	pass(t, b, 2500*time.Millisecond)
	must(t, srv.Resume())
	for _, c := range []<-chan result[[]memory.Claim]{asked, named} {
		got := soon(t, c, "the claim's end")
		if len(got.value) > 0 {
			t.Errorf("a claim that was asked %v before it was served took %+v over", b.Now().Sub(late), got.value)
		}
		if got.err == nil {
			t.Error("a claim that was served too late gave no error, by which its worker knows that others had no chance to renew")
		} else {
			is(t, got.err, nil, "late")
		}
	}
	renewals, err := a.Renew(t.Context(), time.Second, []memory.Held{held(mine)})
	must(t, err)
	if !renewals[0].Held {
		t.Error("the claim of a worker that lives was lost")
	}
	pass(t, b, time.Second)
	if got := take(t, b, "r1"); got.Strikes != 1 {
		t.Errorf("the run has %d strikes after its worker's silence, want 1", got.Strikes)
	}
	if off := a.Now().Sub(b.Now()).Abs(); off > 250*time.Millisecond {
		t.Errorf("the clocks of two handles differ by %v after the server stood still", off)
	}
}
