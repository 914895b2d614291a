package crashtest

import (
	"context"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fermata-run/fermata/internal/redisserver"
)

var chaosRuns = flag.Int("chaos.runs", 300, "how many runs TestChaos starts, at least")

const (
	chaosWorkers = 4
	chaosLease   = 1500 * time.Millisecond

	// takeOverIn is how long a run may wait for another worker when its own was
	// killed and nothing else happens: what is promised, and what a busy machine
	// may need on top of it to run a test.
	takeOverIn = chaosLease + time.Second
	busy       = 2 * time.Second
)

// TestChaos does to workers, Redis and the network what happens to them in a bad
// year.
func TestChaos(t *testing.T) {
	goredis.SetLogger(silent{})
	srv := redisserver.Test(t, &redisserver.Options{Appendfsync: "always"})
	people := redisserver.TestProxy(t, srv.Addr())
	w := newWorld(t, srv.URL(), "redis://"+people.Addr())
	w.runs, w.open, w.fleet.maxRuns, w.fleet.lease = *chaosRuns, 40, 60, chaosLease
	w.hurried = true
	faults := newSabotage()
	onRedis(t, faults, srv, w.roll(1000))
	onNetwork(faults, "people's network", people, w.roll(1001), time.Second, 5*time.Second)
	for n := range uint64(chaosWorkers) {
		proxy := redisserver.TestProxy(t, srv.Addr())
		b := &berth{store: "redis://" + proxy.Addr()}
		w.fleet.berths = append(w.fleet.berths, b)
		w.fleet.launch(b)
		onNetwork(faults, "a worker's network", proxy, w.roll(1010+n), 2*time.Second, 10*time.Second)
		w.onWorker(faults, b, w.roll(1020+n))
	}
	w.onCalm(faults, w.roll(1002))
	t.Cleanup(faults.stop)
	faults.begin()
	stop := w.live(8, 4, faults.enough, 2*time.Minute+time.Duration(*chaosRuns)*400*time.Millisecond)
	faults.stop()
	w.settle(3 * time.Minute)
	stop()
	w.fleet.killAll()
	sum := w.check()
	w.print(sum, faults)
	if sum.tookOver == 0 || w.ledger.counts["answers about outcome"] == 0 || sum.lookedUp == 0 || w.ledger.failures == 0 {
		t.Error("the chaos was too tame to prove anything")
	}
	for what, n := range w.ledger.counts {
		if strings.HasPrefix(what, "stuck") {
			t.Errorf("%d runs were %s", n, what)
		}
	}
	calm, _ := w.service.holders.takeovers()
	for _, c := range calm {
		if c.took > takeOverIn+busy {
			t.Errorf("run %s waited %s for another worker; the lease is %s", c.run, c.took, chaosLease)
		}
	}
}

// silent keeps the client of Redis from printing that there is none.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// onRedis does things to the server.
func onRedis(t *testing.T, faults *sabotage, srv *redisserver.Server, dice *rand.Rand) {
	s := faults.on("Redis", dice, time.Second, 6*time.Second)
	must := func(err error) {
		if err != nil {
			t.Errorf("the test cannot do to Redis what it wants to: %v", err)
		}
	}
	s.fault("was killed", 2, func() {
		must(srv.Kill())
		s.wait(0, 2*chaosLease)
		must(srv.Restart())
	})
	s.fault("was paused for less than a lease", 1, func() {
		must(srv.Pause())
		s.wait(chaosLease/10, chaosLease)
		must(srv.Resume())
	})
	s.fault("was paused for longer than a lease", 2, func() {
		must(srv.Pause())
		s.wait(chaosLease, 3*chaosLease)
		must(srv.Resume())
	})
	s.fault("forgot its scripts", 2, func() {
		c := goredis.NewClient(srv.ClientOptions())
		defer c.Close()
		must(c.ScriptFlush(context.Background()).Err())
	})
}

// onNetwork does things to the way between somebody and the server.
func onNetwork(faults *sabotage, whose string, proxy *redisserver.Proxy, dice *rand.Rand, least, most time.Duration) {
	s := faults.on(whose, dice, least, most)
	s.fault("was cut", 2, func() {
		proxy.Cut()
		s.wait(chaosLease/10, 5*chaosLease/2)
		proxy.Heal()
	})
	s.fault("stalled", 2, func() {
		proxy.Stall()
		s.wait(chaosLease/10, 5*chaosLease/2)
		proxy.Heal()
	})
	s.fault("was slow", 1, func() {
		proxy.Delay(between(s.dice, time.Millisecond, 60*time.Millisecond))
		s.wait(chaosLease, 2*chaosLease)
		proxy.Heal()
	})
	s.fault("lost replies", 2, func() {
		proxy.DropRepliesTo("evalsha", 1+s.dice.IntN(8))
		s.wait(0, chaosLease)
		proxy.Heal()
	})
}

// onWorker does things to the workers of a berth.
func (w *world) onWorker(faults *sabotage, b *berth, dice *rand.Rand) {
	s := faults.on("a worker", dice, time.Second, 9*time.Second)
	s.fault("was killed", 3, func() {
		w.fleet.kill(b, false)
		s.wait(0, time.Second)
		w.fleet.launch(b)
	})
	s.fault("was frozen", 1, func() {
		w.fleet.freeze(b)
		s.wait(chaosLease/10, 5*chaosLease/2)
		w.fleet.thaw(b)
	})
}

// onCalm kills a worker while nothing else is done to anybody, so that it can be
// seen how long its runs wait for another.
func (w *world) onCalm(faults *sabotage, dice *rand.Rand) {
	s := faults.on("a worker", dice, 6*time.Second, 20*time.Second)
	s.fault("was killed in calm", 1, func() {
		s.calm.RUnlock() // and is locked by nobody else
		defer s.calm.RLock()
		s.calm.Lock()
		defer s.calm.Unlock()
		if !s.wait(2*chaosLease, 3*chaosLease) { // what went before is over
			return
		}
		b := w.fleet.berths[s.dice.IntN(len(w.fleet.berths))]
		w.fleet.kill(b, true)
		for range 50 {
			w.service.stirred() // nothing else happens that would let calls go on
			if s.wait(chaosLease/15, chaosLease/10); w.service.holders.waiting() == 0 {
				break
			}
		}
		s.wait(chaosLease/3, chaosLease/2) // who has them now goes on with them
		w.fleet.launch(b)
	})
}
