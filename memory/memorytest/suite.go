package memorytest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// Fixture is an empty place where runs are kept, under test.
type Fixture struct {
	// Open opens one more handle on the same data, as another process would.
	// The suite closes it.
	Open func(t *testing.T) memory.Store
	// Kill ends a handle as the death of its process does, so that its claims are
	// void. Nil if the store cannot tell the dead from the silent.
	Kill func(t *testing.T, s memory.Store)
	// RealTime says that the handles do not take their time from the suite's clock
	// but from a real one. The suite then waits where it would move its clock, with
	// shorter times, and asks nothing of a microsecond.
	RealTime bool
}

// Run tests a store against its contract. Each call of fixture makes a new,
// empty place; its handles take their time from clock, or say that they run on
// real time. The tests run in parallel.
func Run(t *testing.T, fixture func(t *testing.T, clock *Clock) Fixture) {
	groups := map[string]map[string]func(*lab){
		"Commit": commitTests, "Correct": correctTests, "Read": readTests, "Claim": claimTests, "Wait": waitTests,
		"Lapsed": takeOverTests, "News": newsTests, "Stats": statsTests, "Check": checkTests,
		"Watch": watchTests, "List": listTests, "Inbox": inboxTests, "Keep": keepTests, "Random": randomTests,
	}
	for group, tests := range groups {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(newLab(t, fixture))
				})
			}
		})
	}
}

// patience is how long the suite waits for what must come soon.
const patience = 10 * time.Second

// lab is what one test works with: two handles on one new place. Its clock
// begins between two microseconds.
type lab struct {
	*testing.T
	fixture Fixture
	clock   *Clock
	ctx     context.Context // ends when patience does
	a, b    memory.Store

	mu     sync.Mutex
	latest time.Time // that now has returned
}

func newLab(t *testing.T, fixture func(*testing.T, *Clock) Fixture) *lab {
	l := &lab{T: t, clock: NewClock(time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.FixedZone("X", 3600)))}
	l.begins()
	l.fixture = fixture(t, l.clock)
	l.a, l.b = l.open(), l.open()
	return l
}

// begins has the patience of the test begin anew: one that does the same many times
// may take as long as the machine needs for it.
func (l *lab) begins() {
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	l.Cleanup(cancel)
	l.ctx = ctx
}

func (l *lab) open() memory.Store {
	l.Helper()
	s := l.fixture.Open(l.T)
	l.Cleanup(func() {
		if err := s.Close(); err != nil {
			l.Errorf("Close: %v", err)
		}
	})
	return s
}

// soon returns a context that ends when what must come soon should have come.
func (l *lab) soon() context.Context {
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	l.Cleanup(cancel)
	return ctx
}

// step makes a commit of n records on base, of the agent "x", that wants no attention.
func (l *lab) step(run agent.RunID, base memory.Position, n int) *memory.Commit {
	c := &memory.Commit{Run: run, Base: base, Index: memory.Index{Agent: "x", Status: agent.StatusIdle}}
	for i := range n {
		c.Records = append(c.Records, memory.Record{
			Seq: base.Seq + int64(i) + 1, ID: agent.RecordID(strings.ToLower(rand.Text())),
			Time: l.now(), Data: []byte("record " + rand.Text()),
		})
	}
	return c
}

// ready is a step whose run wants attention from at on.
func (l *lab) ready(run agent.RunID, base memory.Position, at time.Time) *memory.Commit {
	c := l.step(run, base, 1)
	c.Index.Status, c.Index.Wake = agent.StatusPlanning, at
	return c
}

// begin commits the first record of a run that wants attention now.
func (l *lab) begin(run agent.RunID) memory.Position {
	l.Helper()
	return l.commit(l.ready(run, memory.Position{}, l.due()))
}

func (l *lab) commit(c *memory.Commit) memory.Position {
	l.Helper()
	l.must(l.a.Commit(l.ctx, c))
	return c.Last()
}

func (l *lab) read(run agent.RunID) *memory.Log {
	l.Helper()
	log, err := l.b.Read(l.ctx, run, memory.ReadOptions{})
	l.must(err)
	return log
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// is checks that err is the one that is wanted; nil wants success.
func (l *lab) is(err, want error) {
	l.Helper()
	if !errors.Is(err, want) {
		l.Fatalf("got the error %v, want %v", err, want)
	}
}

func (l *lab) equal(got, want any, what string) {
	l.Helper()
	if diff := difference(got, want); diff != "" {
		l.Fatalf("%s: %s", what, diff)
	}
}

// claim asks the store for runs of the agent "x", without waiting, for an hour.
func (l *lab) claim(s memory.Store, change ...func(*memory.ClaimRequest)) []memory.Claim {
	l.Helper()
	r := &memory.ClaimRequest{Worker: "w", Agents: []string{"x"}, Max: 10, Lease: l.d(time.Hour)}
	for _, f := range change {
		f(r)
	}
	claims, err := s.Claim(l.ctx, r)
	l.must(err)
	return claims
}

// take claims one certain run.
func (l *lab) take(s memory.Store, run agent.RunID, change ...func(*memory.ClaimRequest)) memory.Claim {
	l.Helper()
	claims := l.claim(s, append(change, only(run))...)
	if len(claims) != 1 || claims[0].Run != run || claims[0].Token == "" {
		l.Fatalf("claim of run %s: got %+v, want this run alone, with a token", run, claims)
	}
	return claims[0]
}

// none checks that there is nothing to claim.
func (l *lab) none(s memory.Store, why string, change ...func(*memory.ClaimRequest)) {
	l.Helper()
	if claims := l.claim(s, change...); len(claims) != 0 {
		l.Fatalf("claimed %+v, but %s", claims, why)
	}
}

func only(run agent.RunID) func(*memory.ClaimRequest) {
	return func(r *memory.ClaimRequest) { r.Run = run }
}

func suspects(r *memory.ClaimRequest) { r.Suspects = true }

// aMinute lets the claims end soon.
func (l *lab) aMinute(r *memory.ClaimRequest) { r.Lease = l.d(time.Minute) }

// ends ends a handle, as the death of its process does if the store can tell.
func (l *lab) ends(s memory.Store) {
	l.Helper()
	if l.fixture.Kill == nil {
		l.must(s.Close())
		return
	}
	l.fixture.Kill(l.T, s)
}

func held(c memory.Claim) memory.Held { return memory.Held{Run: c.Run, Token: c.Token, Last: c.Last} }

func claimed(claims []memory.Claim) (runs []agent.RunID) {
	for _, c := range claims {
		runs = append(runs, c.Run)
	}
	return runs
}

// entry finds the run in the list of runs.
func (l *lab) entry(run agent.RunID) memory.RunEntry {
	l.Helper()
	page, err := l.b.Runs(l.ctx, memory.RunQuery{Prefix: string(run)})
	l.must(err)
	i := slices.IndexFunc(page.Runs, func(e memory.RunEntry) bool { return e.Run == run })
	if i < 0 {
		l.Fatalf("run %s is not in the list of runs", run)
	}
	return page.Runs[i]
}
