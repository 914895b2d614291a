package memorytest

import (
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

func noTakeOver(r *memory.ClaimRequest) { r.NoTakeOver = true }

var takeOverTests = map[string]func(*lab){
	"is left out": func(l *lab) {
		l.begin("r1")
		lapsed := l.take(l.a, "r1", l.aMinute)
		l.pass(time.Minute)
		l.begin("r2")
		l.equal(claimed(l.claim(l.b, noTakeOver)), []agent.RunID{"r2"}, "claims but for a lapsed one")
		l.none(l.b, "it has lapsed", noTakeOver, only("r1"))
		l.none(l.a, "it has lapsed, also for the handle that had it", noTakeOver, only("r1"))
		renewals, err := l.a.Renew(l.ctx, l.d(time.Minute), []memory.Held{held(lapsed)})
		l.must(err)
		l.equal(renewals, []memory.Renewal{{Held: true, Last: lapsed.Last}}, "the renewal")
		l.pass(time.Minute)
		l.none(l.b, "it has lapsed again", noTakeOver)
		l.equal(l.take(l.b, "r1").Strikes, 1, "strikes of what is taken over")
	},
	"is left out among suspects": func(l *lab) {
		l.begin("r1")
		for range 2 {
			l.take(l.a, "r1", l.aMinute)
			l.pass(time.Minute)
		}
		l.none(l.b, "it has lapsed", noTakeOver, suspects)
		l.none(l.b, "it has lapsed", noTakeOver, suspects, only("r1"))
		l.equal(claimed(l.claim(l.b, suspects)), []agent.RunID{"r1"}, "the suspects")
	},
	"does not keep others from what they may have": func(l *lab) {
		for _, run := range []agent.RunID{"r1", "r2", "r3"} {
			l.begin(run)
			l.take(l.a, run, l.aMinute)
		}
		l.pass(time.Minute)
		l.begin("r4") // comes after the others
		one := func(r *memory.ClaimRequest) { r.Max = 1 }
		l.equal(claimed(l.claim(l.b, noTakeOver, one)), []agent.RunID{"r4"}, "the one that has not lapsed")
	},
	"is not what was given back": func(l *lab) {
		p := l.begin("r1")
		c := l.take(l.a, "r1", l.aMinute)
		l.pass(time.Minute)
		l.must(l.a.Release(l.ctx, held(c)))
		c = l.take(l.b, "r1", noTakeOver)
		l.equal(c, memory.Claim{Run: "r1", Token: c.Token, Last: p}, "the claim of what was given back late")
	},
	"is not what a dead process had": func(l *lab) {
		s := l.open()
		l.begin("r1")
		l.take(s, "r1")
		l.ends(s)
		claims := l.claim(l.b, noTakeOver)
		l.equal(claimed(claims), []agent.RunID{"r1"}, "claims after a death")
		l.equal(claims[0].Strikes, 1, "strikes after a death")
	},
	"is waited past": func(l *lab) {
		l.begin("r1")
		c := l.take(l.a, "r1", l.aMinute)
		l.pass(time.Minute)
		l.none(l.b, "it has lapsed", noTakeOver, func(r *memory.ClaimRequest) { r.Wait = 30 * time.Millisecond })
		l.wakes(l.b, func() { l.must(l.a.Release(l.ctx, held(c))) }, noTakeOver)
	},
	"is waited past when it lapses meanwhile": func(l *lab) {
		l.begin("r0")
		l.take(l.a, "r0", l.aMinute)
		l.wakes(l.b, func() {
			l.pass(time.Minute)
			l.begin("r1")
		}, noTakeOver)
	},
}

var newsTests = map[string]func(*lab){
	"comes from its own handle": func(l *lab) {
		heard, p := l.listen(l.a, "r1")
		l.must(l.a.Commit(l.ctx, l.step("r1", p, 1)))
		heard.waits("r1")
	},
	"comes from another handle": func(l *lab) {
		heard, p := l.listen(l.a, "r1")
		for range 5 {
			c := l.step("r1", p, 2)
			l.must(l.b.Commit(l.ctx, c))
			heard.waits("r1")
			p = c.Last()
		}
	},
	"comes to each of many claims": func(l *lab) {
		heard := l.news()
		var ends []memory.Position
		runs := []agent.RunID{"r1", "r2", "r3"}
		for _, run := range runs {
			ends = append(ends, l.begin(run))
		}
		l.equal(len(l.claim(l.a, heard.tell)), len(runs), "claims")
		for i, run := range runs {
			l.must(l.b.Commit(l.ctx, l.step(run, ends[i], 1)))
			heard.waits(run)
		}
	},
	"comes when the claim has lapsed and is renewed": func(l *lab) {
		heard := l.news()
		p := l.begin("r1")
		c := l.take(l.a, "r1", l.aMinute, heard.tell)
		l.pass(time.Minute)
		_, err := l.a.Renew(l.ctx, l.d(time.Hour), []memory.Held{held(c)})
		l.must(err)
		l.must(l.b.Commit(l.ctx, l.step("r1", p, 1)))
		heard.waits("r1")
	},
	"does not tell of what is done under the claim": func(l *lab) {
		heard := l.news()
		p := l.begin("r1")
		c := l.take(l.a, "r1", heard.tell)
		const commits = 40
		for range commits {
			own := l.step("r1", p, 1)
			own.Claim = c.Token
			l.must(l.a.Commit(l.ctx, own))
			p = own.Last()
		}
		before := heard.count()
		l.must(l.b.Commit(l.ctx, l.step("r1", p, 1)))
		heard.waits("r1")
		if before > commits/10 { // now and then it may
			l.Fatalf("told of news %d times while all of %d commits were made under the claim", before, commits)
		}
	},
	"ends with the release": func(l *lab) {
		heard := l.news()
		one, two := l.begin("r1"), l.begin("r2")
		claims := l.claim(l.a, heard.tell)
		l.equal(claimed(claims), []agent.RunID{"r1", "r2"}, "claims")
		l.must(l.a.Release(l.ctx, held(claims[0])))
		again := l.step("r1", one, 1)
		l.must(l.a.Commit(l.ctx, again))
		l.must(l.b.Commit(l.ctx, l.step("r1", again.Last(), 1)))
		l.must(l.b.Commit(l.ctx, l.step("r2", two, 1)))
		heard.waits("r2") // by then the other would have come, too
		heard.never("r1")
	},
	"goes to the claim that is there now": func(l *lab) {
		before, now := l.news(), l.news()
		p := l.begin("r1")
		l.must(l.a.Release(l.ctx, held(l.take(l.a, "r1", before.tell))))
		l.take(l.a, "r1", now.tell)
		l.must(l.b.Commit(l.ctx, l.step("r1", p, 1)))
		now.waits("r1")
		before.never("r1")
	},
	"may find the store in use": func(l *lab) {
		var mu sync.Mutex // the caller's own
		entered, p := make(chan struct{}), l.begin("r1")
		var once sync.Once
		l.take(l.a, "r1", func(r *memory.ClaimRequest) {
			r.News = func(agent.RunID) {
				once.Do(func() { close(entered) })
				mu.Lock() // whoever has it is calling the store
				defer mu.Unlock()
			}
		})
		mu.Lock()
		committed, used := make(chan error, 1), make(chan error, 1)
		go func() { committed <- l.a.Commit(l.ctx, l.step("r1", p, 1)) }()
		l.comes(entered, "the news")
		go func() {
			_, err := l.a.Read(l.ctx, "r1", memory.ReadOptions{})
			if err == nil {
				err = l.a.Commit(l.ctx, l.step("r2", memory.Position{}, 1))
			}
			used <- err
		}()
		select {
		case err := <-used:
			l.must(err)
		case <-time.After(patience):
			l.Error("the store is locked while it tells the news")
		}
		mu.Unlock()
		l.must(<-committed)
	},
}

// comes waits for what must come soon.
func (l *lab) comes(what <-chan struct{}, name string) {
	l.Helper()
	select {
	case <-what:
	case <-time.After(patience):
		l.Fatalf("%s did not come in %v", name, patience)
	}
}

// news is who listens to what a store tells of claims.
type news struct {
	*lab
	poke chan struct{}

	mu    sync.Mutex
	runs  map[agent.RunID]int // how often each was told of, since it was waited for
	total int
}

func (l *lab) news() *news {
	return &news{lab: l, poke: make(chan struct{}, 1), runs: map[agent.RunID]int{}}
}

// listen begins a run, claims it and listens to its news.
func (l *lab) listen(s memory.Store, run agent.RunID) (*news, memory.Position) {
	l.Helper()
	n, p := l.news(), l.begin(run)
	l.take(s, run, n.tell)
	return n, p
}

// tell is for a claim whose news are to be heard.
func (n *news) tell(r *memory.ClaimRequest) {
	r.News = func(run agent.RunID) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.runs[run]++
		n.total++
		poke(n.poke)
	}
}

func (n *news) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.total
}

// waits waits for news of the run that came since it was waited for.
func (n *news) waits(run agent.RunID) {
	n.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		n.mu.Lock()
		told := n.runs[run]
		delete(n.runs, run)
		n.mu.Unlock()
		if told > 0 {
			return
		}
		select {
		case <-n.poke:
		case <-late.C:
			n.Fatalf("no news of run %s in %v", run, patience)
		}
	}
}

// never checks that nothing was told of the run.
func (n *news) never(run agent.RunID) {
	n.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.runs[run] > 0 {
		n.Fatalf("told of news of run %s %d times", run, n.runs[run])
	}
}
