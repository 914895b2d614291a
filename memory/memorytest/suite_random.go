package memorytest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

var randomTests = map[string]func(*lab){
	"appends of many goroutines have one winner per place": func(l *lab) {
		const goroutines, each = 8, 12
		won := make([][]memory.Position, goroutines)
		var group sync.WaitGroup
		for g := range goroutines {
			group.Go(func() { won[g] = l.appendMany([]memory.Store{l.a, l.b}[g%2], each) })
		}
		group.Wait()
		log := l.read("r1")
		l.equal(log.Last.Seq, int64(goroutines*each), "the length of the log")
		owner := map[memory.Position]int{}
		for g, places := range won {
			for i, p := range places {
				if before, taken := owner[p]; taken {
					l.Fatalf("%+v was won by %d and %d", p, before, g)
				}
				if i > 0 && p.Seq <= places[i-1].Seq {
					l.Fatalf("goroutine %d won %+v after %+v", g, p, places[i-1])
				}
				owner[p] = g
			}
		}
		for _, r := range log.Records {
			if _, ok := owner[r.Position()]; !ok {
				l.Fatalf("record %+v is in the log, and nobody was told so", r.Position())
			}
		}
	},
	"claims of many goroutines have one winner each": func(l *lab) {
		const runs, goroutines = 20, 6
		for i := range runs {
			l.begin(agent.RunID(fmt.Sprintf("r%d", i)))
		}
		var group sync.WaitGroup
		got := make([][]memory.Claim, goroutines)
		for g := range goroutines {
			group.Go(func() {
				s := []memory.Store{l.a, l.b}[g%2]
				for {
					claims, err := s.Claim(l.ctx, &memory.ClaimRequest{Agents: []string{"x"}, Max: 2, Lease: l.d(time.Hour)})
					if err != nil || len(claims) == 0 {
						if err != nil {
							l.Error(err)
						}
						return
					}
					got[g] = append(got[g], claims...)
				}
			})
		}
		group.Wait()
		owner := map[agent.RunID]int{}
		for g, claims := range got {
			for _, c := range claims {
				if before, taken := owner[c.Run]; taken {
					l.Fatalf("run %s was claimed by %d and %d", c.Run, before, g)
				}
				owner[c.Run] = g
			}
		}
		l.equal(len(owner), runs, "how many were claimed")
	},
	"does what the store in memory does": func(l *lab) {
		games := 0
		rapid.Check(l.T, func(t *rapid.T) {
			games++
			l.begins()
			newGame(l, t, games).play()
		})
		l.begins()
		l.sound()
	},
}

// appendMany appends records one by one, reading on after each conflict.
func (l *lab) appendMany(s memory.Store, count int) (won []memory.Position) {
	var base memory.Position
	for len(won) < count {
		c := l.step("r1", base, 1)
		switch err := s.Commit(l.ctx, c); {
		case err == nil:
			base = c.Last()
			won = append(won, base)
		case errors.Is(err, memory.ErrConflict):
			log, err := s.Read(l.ctx, "r1", memory.ReadOptions{After: base.Seq})
			if err != nil {
				l.Error(err)
				return won
			}
			base = log.Last
		default:
			l.Error(err)
			return won
		}
	}
	return won
}

// game plays the same random moves on the store under test and on the store in
// memory, each with two handles, and compares all that they answer. Tokens are
// random, so claims are known by their number. On real time, where the two
// cannot take steps at the same instant, no time of a game comes while it lasts.
type game struct {
	*rapid.T
	lab    *lab
	tested [2]memory.Store
	model  [2]memory.Store
	runs   []agent.RunID
	agents []string
	claims []pair
	last   map[agent.RunID][]memory.Position
	places time.Duration // how many of them on real time have been given out
}

// pair is one claim, as each of both stores knows it.
type pair struct{ tested, model memory.Held }

func newGame(l *lab, t *rapid.T, number int) *game {
	clock := l.clock.Now
	if l.fixture.RealTime {
		clock = l.now
	}
	data := NewStore(clock)
	g := &game{T: t, lab: l, tested: [2]memory.Store{l.a, l.b}, model: [2]memory.Store{data, data.Another()},
		last: map[agent.RunID][]memory.Position{}}
	for i := range 4 { // names of this game's own: the store under test is the same in all
		g.runs = append(g.runs, agent.RunID(fmt.Sprintf("g%dr%d", number, i)))
	}
	g.agents = []string{fmt.Sprintf("x%d", number), fmt.Sprintf("y%d", number)}
	return g
}

func (g *game) play() {
	g.Repeat(map[string]func(*rapid.T){
		"commit":  func(*rapid.T) { g.commit() },
		"claim":   func(*rapid.T) { g.claim() },
		"renew":   func(*rapid.T) { g.renew() },
		"release": func(*rapid.T) { g.release() },
		"erase":   func(*rapid.T) { g.erase() },
		"restart": func(*rapid.T) { g.restart() },
		"advance": func(*rapid.T) { g.advance() },
		"look":    func(*rapid.T) { g.look() },
	})
	g.look()
}

func (g *game) run() agent.RunID { return rapid.SampledFrom(g.runs).Draw(g.T, "run") }
func (g *game) handle() int      { return rapid.IntRange(0, 1).Draw(g.T, "handle") }

func (g *game) same(tested, model any, what string) {
	g.Helper()
	if diff := difference(tested, model); diff != "" {
		g.Fatalf("%s: the store under test and the one in memory differ: %s", what, diff)
	}
}

// kind is what the contract says of an error.
func kind(err error) string {
	for _, e := range []error{memory.ErrConflict, memory.ErrClaimLost, memory.ErrNotFound, memory.ErrErased} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return fmt.Sprint(err)
}

func (g *game) commit() {
	run := g.run()
	bases := append([]memory.Position{{}}, g.last[run]...)
	base := bases[len(bases)-1]
	if rapid.IntRange(0, 9).Draw(g.T, "stale") == 0 {
		base = rapid.SampledFrom(bases).Draw(g.T, "base")
	}
	records := rapid.IntRange(0, 3).Draw(g.T, "records")
	if base.Seq == 0 {
		records = max(records, 1)
	}
	c := g.lab.step(run, base, records)
	c.Index.Agent = rapid.SampledFrom(g.agents).Draw(g.T, "agent")
	c.Index.Status = rapid.SampledFrom([]agent.Status{agent.StatusIdle, agent.StatusDone}).Draw(g.T, "status")
	c.Index.Wake = g.wake()
	c.Index.Parent = g.parent(run)
	c.Progress = rapid.IntRange(0, 5).Draw(g.T, "progress") == 0
	if records > 0 && rapid.Bool().Draw(g.T, "snapshot") {
		c.Snapshot = []byte(c.Last().ID)
	}
	if rapid.Bool().Draw(g.T, "ask") {
		id := agent.AskID(fmt.Sprintf("%s.a.%d", run, rapid.IntRange(0, 2).Draw(g.T, "opened")))
		c.Opened = []memory.AskEntry{g.ask(id)}
		c.Closed = []agent.AskID{agent.AskID(fmt.Sprintf("%s.a.%d", run, rapid.IntRange(0, 2).Draw(g.T, "closed")))}
	}
	tested, model := *c, *c
	if p := g.held(); p != nil && rapid.Bool().Draw(g.T, "claimed") {
		tested.Claim, model.Claim = p.tested.Token, p.model.Token
	}
	h := g.handle()
	err := g.tested[h].Commit(g.lab.ctx, &tested)
	g.same(kind(err), kind(g.model[h].Commit(g.lab.ctx, &model)), "Commit")
	if err == nil && records > 0 {
		g.last[run] = append(g.last[run], c.Last())
	}
}

// parent is always the same for a run: each second one is the first one's delegate.
func (g *game) parent(run agent.RunID) agent.RunID {
	if i := slices.Index(g.runs, run); i%2 == 1 {
		return g.runs[0]
	}
	return ""
}

// ask draws an ask, which may have been opened a while ago.
func (g *game) ask(id agent.AskID) memory.AskEntry {
	second := time.Duration(rapid.IntRange(0, 40).Draw(g.T, "age"))
	a := memory.AskEntry{ID: id, Data: []byte("ask"), Opened: g.lab.now().Add(-second * time.Second),
		Kind: rapid.SampledFrom([]agent.AskKind{agent.AskChoice, agent.AskApproval}).Draw(g.T, "kind"),
		For:  g.people("for"), Not: g.people("not")}
	if rapid.IntRange(0, 2).Draw(g.T, "is claimed") == 0 {
		a.Claimed = g.user().ID
	}
	if due := rapid.IntRange(-1, 60).Draw(g.T, "due"); due >= 0 {
		a.Due = a.Opened.Add(time.Duration(due) * time.Second)
	}
	return a
}

func (g *game) people(of string) []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"ada", "bob", "group:legal", "group:on call"}), 0, 2).Draw(g.T, of)
}

func (g *game) user() agent.User {
	return rapid.SampledFrom([]agent.User{{ID: "ada", Groups: []string{"legal"}}, {ID: "bob", Groups: []string{"on call", "legal"}}, {ID: "eve"}}).Draw(g.T, "user")
}

// query draws what is asked of the inbox.
func (g *game) query() memory.AskQuery {
	sometimes := func(what string) bool { return rapid.IntRange(0, 3).Draw(g.T, what) == 0 }
	q := memory.AskQuery{Agent: rapid.SampledFrom(g.agents).Draw(g.T, "of"), Limit: rapid.IntRange(1, 5).Draw(g.T, "limit")}
	if sometimes("of a run") {
		q.Run = g.run()
	}
	if sometimes("of a kind") {
		q.Kind = agent.AskApproval
	}
	if sometimes("for somebody") {
		q.For = g.user()
	}
	if sometimes("of a group") {
		q.Group = rapid.SampledFrom([]string{"legal", "on call"}).Draw(g.T, "group")
	}
	if sometimes("claimed") {
		q.Claimed = g.user().ID
	}
	at := g.lab.now().Add(-time.Duration(rapid.IntRange(0, 40).Draw(g.T, "before")) * time.Second)
	if sometimes("old") {
		q.OpenedBefore = at
	}
	if sometimes("due soon") {
		q.DueBefore = at
	}
	return q
}

// wake draws a wake-up time. On real time it is none, or one of before the game
// and of a place of its own in the queue, or one of after it.
func (g *game) wake() time.Time {
	seconds := time.Duration(rapid.IntRange(-1, 30).Draw(g.T, "wake"))
	switch {
	case seconds < 0:
		return time.Time{}
	case !g.lab.fixture.RealTime:
		return g.lab.now().Add(seconds * time.Second)
	case seconds < 15:
		g.places++
		return g.lab.ago(time.Hour + (seconds<<20+g.places)*time.Millisecond)
	default:
		return g.lab.in(time.Hour)
	}
}

func (g *game) advance() {
	seconds := time.Duration(rapid.IntRange(1, 40).Draw(g.T, "seconds"))
	if !g.lab.fixture.RealTime {
		g.lab.pass(seconds * time.Second)
	}
}

// lease is 20 seconds, or on real time more than the game lasts.
func (g *game) lease() time.Duration {
	if g.lab.fixture.RealTime {
		return g.lab.d(time.Hour)
	}
	return 20 * time.Second
}

func (g *game) claim() {
	r := &memory.ClaimRequest{Worker: "w", Agents: g.agents, Max: rapid.IntRange(1, 4).Draw(g.T, "max"), Lease: g.lease()}
	r.Suspects = rapid.IntRange(0, 3).Draw(g.T, "suspects") == 0
	r.NoTakeOver = rapid.IntRange(0, 3).Draw(g.T, "no take-over") == 0
	if rapid.IntRange(0, 3).Draw(g.T, "one") == 0 {
		r.Run = g.run()
	}
	h := g.handle()
	tested, err := g.tested[h].Claim(g.lab.ctx, r)
	g.lab.must(err)
	model, err := g.model[h].Claim(g.lab.ctx, r)
	g.lab.must(err)
	if len(tested) == len(model) {
		for i := range tested {
			g.claims = append(g.claims, pair{held(tested[i]), held(model[i])})
			tested[i].Token, model[i].Token = "", ""
		}
	}
	g.same(tested, model, "Claim")
}

// held is one of the claims so far, lost or not; nil if there is none.
func (g *game) held() *pair {
	if len(g.claims) == 0 {
		return nil
	}
	return &g.claims[rapid.IntRange(max(0, len(g.claims)-6), len(g.claims)-1).Draw(g.T, "claim")]
}

func (g *game) renew() {
	p, h := g.held(), g.handle()
	if p == nil {
		return
	}
	tested, err := g.tested[h].Renew(g.lab.ctx, g.lease(), []memory.Held{p.tested})
	g.lab.must(err)
	model, err := g.model[h].Renew(g.lab.ctx, g.lease(), []memory.Held{p.model})
	g.lab.must(err)
	g.same(tested, model, "Renew")
}

func (g *game) release() {
	p, h := g.held(), g.handle()
	if p == nil {
		return
	}
	if ends := g.last[p.model.Run]; len(ends) > 0 && rapid.Bool().Draw(g.T, "folded") {
		p.tested.Last, p.model.Last = ends[len(ends)-1], ends[len(ends)-1]
	}
	g.lab.must(g.tested[h].Release(g.lab.ctx, p.tested))
	g.lab.must(g.model[h].Release(g.lab.ctx, p.model))
}

func (g *game) erase() {
	if rapid.IntRange(0, 9).Draw(g.T, "really") > 0 {
		return
	}
	run := g.run()
	g.lab.must(g.tested[0].Erase(g.lab.ctx, run))
	g.lab.must(g.model[0].Erase(g.lab.ctx, run))
}

// restart closes a handle and opens another. On real time it does not: the two
// stores would void the claims in two instants, and the order of what then wants
// attention is by these.
func (g *game) restart() {
	if rapid.IntRange(0, 9).Draw(g.T, "really") > 0 || g.lab.fixture.RealTime {
		return
	}
	g.lab.must(g.tested[1].Close())
	g.lab.must(g.model[1].Close())
	g.lab.b = g.lab.open()
	g.tested[1], g.model[1] = g.lab.b, g.model[0].(*Store).Another()
}

// look compares all that can be read.
func (g *game) look() {
	h := g.handle()
	for _, run := range g.runs {
		tested, err := g.tested[h].Read(g.lab.ctx, run, memory.ReadOptions{Snapshot: true})
		model, want := g.model[h].Read(g.lab.ctx, run, memory.ReadOptions{Snapshot: true})
		g.same(kind(err), kind(want), "Read")
		if err == nil {
			g.same(tested, model, "Read")
		}
	}
	q := memory.RunQuery{Prefix: string(g.runs[0][:len(g.runs[0])-1])}
	if rapid.Bool().Draw(g.T, "before") {
		q.Before = g.lab.now().Add(-g.lab.d(20 * time.Second))
	}
	switch rapid.IntRange(0, 3).Draw(g.T, "family") {
	case 0:
		q.Roots = true
	case 1:
		q.Parent = g.run()
	}
	runs, err := g.tested[h].Runs(g.lab.ctx, q)
	g.lab.must(err)
	want, err := g.model[h].Runs(g.lab.ctx, q)
	g.lab.must(err)
	if g.lab.fixture.RealTime { // how late a run is changes from call to call
		for _, page := range []*memory.RunPage{runs, want} {
			for i := range page.Runs {
				page.Runs[i].Late = 0
			}
		}
	}
	g.same(runs, want, "Runs")
	g.stats(h)
	for _, name := range g.agents {
		g.asks(h, memory.AskQuery{Agent: name})
	}
	g.asks(h, g.query())
}

// asks compares all pages of what is asked of the inbox. Each store has its own
// names of pages.
func (g *game) asks(h int, q memory.AskQuery) {
	of := q
	for {
		tested, err := g.tested[h].Asks(g.lab.ctx, q)
		g.lab.must(err)
		model, err := g.model[h].Asks(g.lab.ctx, of)
		g.lab.must(err)
		g.same(tested.Asks, model.Asks, "Asks")
		g.same(tested.Next != "", model.Next != "", "whether there are more asks")
		if q.After, of.After = tested.Next, model.Next; model.Next == "" {
			return
		}
	}
}

// stats compares what wants attention. On real time the two stores count at two
// instants.
func (g *game) stats(h int) {
	if g.lab.fixture.RealTime {
		return
	}
	tested, err := g.tested[h].Stats(g.lab.ctx)
	g.lab.must(err)
	model, err := g.model[h].Stats(g.lab.ctx)
	g.lab.must(err)
	for _, name := range g.agents {
		g.same(tested.Ready[name], model.Ready[name], "Stats")
	}
}
