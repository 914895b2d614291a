package memorytest

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

var claimTests = map[string]func(*lab){
	"takes what wants attention": func(l *lab) {
		p := l.begin("now")
		l.commit(l.ready("past", memory.Position{}, l.ago(time.Minute)))
		l.commit(l.step("never", memory.Position{}, 1))
		other := l.ready("other", memory.Position{}, l.due())
		other.Index.Agent = "y"
		l.commit(other)
		l.commit(l.ready("later", memory.Position{}, l.in(time.Minute)))

		claims := l.claim(l.b)
		l.equal(claimed(claims), []agent.RunID{"past", "now"}, "the claims, the longest waiting first")
		l.equal(claims[1], memory.Claim{Run: "now", Token: claims[1].Token, Last: p}, "a claim")
		if claims[0].Token == claims[1].Token || claims[0].Token == "" {
			l.Fatalf("the tokens are %q and %q, want two", claims[0].Token, claims[1].Token)
		}
		for _, run := range []agent.RunID{"now", "later", "never", "nowhere"} {
			l.none(l.a, "it is claimed or wants no attention", only(run))
		}
		l.none(l.a, "no agents were named", func(r *memory.ClaimRequest) { r.Agents = nil })
		l.none(l.a, "no run of it", func(r *memory.ClaimRequest) { r.Agents = []string{"z"} })
		l.take(l.a, "other") // whatever its agent
		l.pass(time.Minute)
		both := l.claim(l.a, func(r *memory.ClaimRequest) { r.Agents = []string{"x", "x", "y"} })
		l.equal(claimed(both), []agent.RunID{"later"}, "the claims of two agents after a minute")
	},
	"takes at most Max": func(l *lab) {
		due := l.due() // one moment for all: on real time it goes on between the commits
		for i := range 5 {
			c := l.ready(agent.RunID(fmt.Sprintf("r%d", i)), memory.Position{}, due.Add(-l.d(time.Duration(i)*time.Second)))
			c.Index.Agent = []string{"x", "y"}[i%2]
			l.commit(c)
		}
		both := func(r *memory.ClaimRequest) { r.Agents = []string{"x", "y"} }
		first := l.claim(l.a, both, func(r *memory.ClaimRequest) { r.Max = 2 })
		l.equal(claimed(first), []agent.RunID{"r4", "r3"}, "with Max 2")
		one := l.claim(l.a, both, func(r *memory.ClaimRequest) { r.Max = 0 })
		l.equal(claimed(one), []agent.RunID{"r2"}, "with Max 0")
		if _, err := l.a.Claim(l.ctx, &memory.ClaimRequest{Agents: []string{"x"}}); err == nil {
			l.Fatal("a claim without a lease was not refused")
		}
	},
	"ends with its lease": func(l *lab) {
		p := l.begin("r1")
		first := l.take(l.a, "r1", l.aMinute)
		l.nearly(time.Minute, func() {
			l.none(l.b, "the lease has not ended")
			l.equal(l.entry("r1").Worker, "w", "the worker")
		})
		l.equal(l.entry("r1").Worker, "", "the worker after the lease")
		second := l.take(l.b, "r1")
		l.equal(second.Strikes, 1, "strikes after a worker's silence")
		l.equal(second.Last, p, "the end")
		if first.Token == second.Token {
			l.Fatal("two claims have the same token")
		}
		l.must(l.a.Release(l.ctx, held(first))) // does nothing
		l.none(l.a, "only a lost claim was released")
	},
	"is renewed": func(l *lab) {
		p := l.begin("r1")
		one := l.take(l.a, "r1", l.aMinute)
		l.begin("r2")
		two := l.take(l.a, "r2", l.aMinute)
		p = l.commit(l.ready("r1", p, l.due()))
		l.pass(10 * time.Second)
		renew := func(s memory.Store, lease time.Duration, held ...memory.Held) []memory.Renewal {
			l.Helper()
			got, err := s.Renew(l.ctx, l.d(lease), held)
			l.must(err)
			return got
		}
		got := renew(l.a, 3*time.Minute, memory.Held{Run: "nowhere", Token: "t"}, held(one), memory.Held{Run: "r2", Token: one.Token})
		l.equal(got, []memory.Renewal{{}, {Held: true, Last: p}, {Last: two.Last}}, "the renewals")
		l.pass(time.Minute)
		l.equal(claimed(l.claim(l.b)), []agent.RunID{"r2"}, "claims when one lease was renewed")
		l.pass(3 * time.Minute) // lapsed, but nobody took it
		l.equal(renew(l.a, time.Hour, held(one)), []memory.Renewal{{Held: true, Last: p}}, "the renewal of a lapsed claim")
		l.none(l.b, "it was renewed", only("r1"))
		renew(l.a, time.Minute, held(one)) // and cut short
		l.pass(time.Minute)
		taken := l.take(l.b, "r1")
		l.equal(taken.Strikes, 1, "strikes: a renewal in time is none")
		l.equal(renew(l.a, time.Minute, held(one)), []memory.Renewal{{Last: p}}, "the renewal of a lost claim")
		l.must(l.b.Release(l.ctx, held(taken)))
		l.equal(renew(l.b, time.Minute, held(taken)), []memory.Renewal{{Last: p}}, "the renewal of a released claim")
	},
	"is put off": func(l *lab) {
		l.begin("r1")
		h := held(l.take(l.a, "r1"))
		h.Last, h.NotBefore = memory.Position{}, l.in(time.Minute) // it has seen nothing of the log
		l.must(l.a.Release(l.ctx, h))
		l.none(l.b, "it was put off", only("r1"))
		l.pass(time.Minute)
		l.equal(l.take(l.b, "r1", l.aMinute).Strikes, 0, "strikes: it was given back")
		l.pass(time.Minute)
		c := l.take(l.a, "r1")
		l.equal(c.Strikes, 1, "strikes: its claim ran out")
		h = held(c)
		h.NotBefore = l.due()
		l.must(l.a.Release(l.ctx, h))
		l.equal(l.take(l.b, "r1").Strikes, 1, "strikes: they stay when it is put off")
	},
	"is released": func(l *lab) {
		p := l.begin("r1")
		c := l.take(l.a, "r1")
		l.must(l.b.Release(l.ctx, memory.Held{Run: "r1", Token: "other", Last: p}))
		l.must(l.b.Release(l.ctx, memory.Held{Run: "nowhere", Token: "other"}))
		l.none(l.b, "another claim was released")

		quiet := l.step("r1", p, 1)
		quiet.Claim = c.Token
		c.Last = l.commit(quiet)
		l.must(l.a.Release(l.ctx, held(c)))
		l.none(l.b, "there was no news and it has no wake-up time")

		p = l.commit(l.ready("r1", c.Last, l.in(time.Minute)))
		l.pass(time.Minute)
		c = l.take(l.a, "r1")
		timed := l.ready("r1", p, l.in(time.Minute))
		c.Last = l.commit(timed)
		l.must(l.a.Release(l.ctx, held(c)))
		l.none(l.b, "its wake-up time has not come")
		l.pass(time.Minute)
		c = l.take(l.b, "r1")

		l.commit(l.step("r1", c.Last, 1)) // news that the worker has not folded
		l.must(l.b.Release(l.ctx, held(c)))
		c = l.take(l.a, "r1")
		l.equal(c.Strikes, 0, "strikes after releases")
		c.Last.ID = "other" // the log is not the one that was folded
		l.must(l.a.Release(l.ctx, held(c)))
		l.take(l.a, "r1")
	},
	"is left alone by inputs": func(l *lab) {
		p := l.begin("r1")
		l.take(l.a, "r1")
		l.commit(l.ready("r1", p, l.due()))
		l.none(l.b, "the run is claimed, and an input does not change that")
		l.equal(l.entry("r1").Worker, "w", "the worker")
	},
	"that ends without release leaves the run ready": func(l *lab) {
		p := l.begin("r1")
		c := l.take(l.a, "r1", l.aMinute)
		rest := l.step("r1", p, 1) // it wants no attention any more
		rest.Claim = c.Token
		l.commit(rest)
		l.none(l.b, "it is claimed")
		l.pass(time.Minute)
		l.take(l.b, "r1")
	},
	"goes round": func(l *lab) {
		for i := range 4 {
			l.begin(agent.RunID(fmt.Sprintf("r%d", i)))
			l.pass(time.Second)
		}
		seen := map[agent.RunID]int{}
		for range 12 { // each has news when it is released, and goes to the end of the queue
			c := l.claim(l.a, func(r *memory.ClaimRequest) { r.Max = 1 })[0]
			seen[c.Run]++
			l.commit(l.step(c.Run, c.Last, 1))
			l.must(l.a.Release(l.ctx, held(c)))
			l.pass(time.Second)
		}
		l.equal(fmt.Sprint(seen), "map[r0:3 r1:3 r2:3 r3:3]", "how often each was claimed")
	},
	"counts strikes": func(l *lab) {
		p := l.begin("r1")
		lapse := func(want int, change ...func(*memory.ClaimRequest)) memory.Claim {
			l.Helper()
			claims := l.claim(l.a, append(change, l.aMinute)...)
			if len(claims) != 1 || claims[0].Strikes != want {
				l.Fatalf("got %+v, want one claim with %d strikes", claims, want)
			}
			l.pass(time.Minute)
			return claims[0]
		}
		lapse(0)
		lapse(1)
		l.none(l.a, "it has two strikes and is a suspect")
		lapse(2, suspects)
		c := lapse(3, only("r1"))
		progress := l.ready("r1", p, l.due())
		progress.Claim, progress.Progress = c.Token, true
		p = l.commit(progress)
		c = lapse(1) // this claim's own
		input := l.ready("r1", p, l.due())
		p = l.commit(input) // no progress
		l.none(l.a, "a commit without progress leaves the strikes")
		c = lapse(2, suspects)
		c.Last = p
		l.must(l.a.Release(l.ctx, held(c)))
		l.none(l.a, "a release clears the strikes, so it is no suspect", suspects)
		lapse(0)
	},
	"of a suspect is for one alone": func(l *lab) {
		for i := range 3 {
			l.begin(agent.RunID(fmt.Sprintf("r%d", i)))
		}
		for range 2 {
			l.equal(len(l.claim(l.a, l.aMinute)), 3, "claims")
			l.pass(time.Minute)
		}
		l.begin("fresh")
		first := l.claim(l.a, suspects)
		if len(first) != 1 || first[0].Run == "fresh" {
			l.Fatalf("claimed the suspects %+v, want one alone, and not the run that is none", first)
		}
		l.equal(claimed(l.claim(l.a)), []agent.RunID{"fresh"}, "the others")
		l.none(l.a, "it is no suspect", suspects, only("fresh"))
		next := agent.RunID("r2")
		if first[0].Run == next {
			next = "r1"
		}
		l.equal(claimed(l.claim(l.a, suspects, only(next))), []agent.RunID{next}, "a certain suspect")
	},
	"is void when its process is dead": func(l *lab) {
		s := l.open()
		l.begin("r1")
		l.take(s, "r1")
		other := l.begin("r2")
		l.take(l.a, "r2")
		l.ends(s)
		l.equal(l.entry("r1").Worker, "", "the worker of a dead process")
		claims := l.claim(l.b)
		l.equal(claimed(claims), []agent.RunID{"r1"}, "claims after a death")
		l.equal(claims[0].Strikes, 1, "strikes after a death")
		l.equal(l.entry("r2").Worker, "w", "the worker of a process that lives")
		l.equal(l.read("r2").Last, other, "its end")
	},
	"is void when its store is closed": func(l *lab) {
		s := l.open()
		l.begin("r1")
		c := l.take(s, "r1")
		l.must(s.Close())
		rest := l.ready("r1", c.Last, l.due())
		rest.Claim = c.Token
		l.is(l.a.Commit(l.ctx, rest), memory.ErrClaimLost)
		l.equal(l.take(l.b, "r1").Strikes, 1, "strikes: it was not released")
	},
}

var waitTests = map[string]func(*lab){
	"ends when a run becomes ready in this handle": func(l *lab) { l.wakes(l.a, func() { l.begin("r1") }) },
	"ends when a run becomes ready in another":     func(l *lab) { l.wakes(l.b, func() { l.begin("r1") }) },
	"for one run ends when it becomes ready":       func(l *lab) { l.wakes(l.b, func() { l.begin("r1") }, only("r1")) },
	"ends when a wake-up time comes": func(l *lab) {
		l.commit(l.ready("r1", memory.Position{}, l.in(time.Minute)))
		l.wakes(l.b, func() { l.pass(time.Minute) })
	},
	"ends when a lease ends": func(l *lab) {
		l.begin("r1")
		l.take(l.a, "r1", l.aMinute)
		l.wakes(l.b, func() { l.pass(time.Minute) })
	},
	"ends when a claim is released with news": func(l *lab) {
		l.begin("r1")
		c := l.take(l.a, "r1")
		l.commit(l.step("r1", c.Last, 1))
		l.wakes(l.b, func() { l.must(l.a.Release(l.ctx, held(c))) })
	},
	"ends when a process dies": func(l *lab) {
		s := l.open()
		l.begin("r1")
		l.take(s, "r1")
		l.wakes(l.b, func() { l.ends(s) })
	},
	"passes": func(l *lab) {
		l.none(l.a, "there is none", func(r *memory.ClaimRequest) { r.Wait = 30 * time.Millisecond })
	},
	"ends with Close": func(l *lab) {
		s, ended, ctx := l.open(), make(chan error), l.soon()
		go func() {
			_, err := s.Claim(ctx, &memory.ClaimRequest{Agents: []string{"x"}, Lease: time.Minute, Wait: time.Hour})
			ended <- err
		}()
		l.must(s.Close())
		l.is(<-ended, fs.ErrClosed)
	},
}

// wakes checks that a claim that waits in one handle ends soon after the cause.
// Before the cause it makes some other claims in vain, so that the one that
// waits has most probably done so too.
func (l *lab) wakes(waits memory.Store, cause func(), change ...func(*memory.ClaimRequest)) {
	l.Helper()
	r := &memory.ClaimRequest{Worker: "w", Agents: []string{"x"}, Lease: l.d(time.Hour), Wait: 10 * time.Minute}
	for _, f := range change {
		f(r)
	}
	l.none(waits, "nothing is ready yet", change...)
	type result struct {
		claims []memory.Claim
		err    error
	}
	got, ctx := make(chan result, 1), l.soon()
	begun := make(chan struct{})
	go func() {
		close(begun)
		claims, err := waits.Claim(ctx, r)
		got <- result{claims, err}
	}()
	<-begun
	for range 5 {
		l.none(waits, "nothing is ready yet", change...)
	}
	cause()
	ended := <-got
	l.must(ended.err)
	l.equal(claimed(ended.claims), []agent.RunID{"r1"}, "the claim that waited")
}
