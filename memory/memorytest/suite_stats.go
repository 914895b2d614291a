package memorytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

var statsTests = map[string]func(*lab){
	"are of nothing at first": func(l *lab) { l.counts(0, 0, nil) },
	"count runs and open asks": func(l *lab) {
		c := l.step("r1", memory.Position{}, 1)
		c.Opened = []memory.AskEntry{{ID: "r1.a.0", Kind: agent.AskQuestion}, {ID: "r1.a.1", Kind: agent.AskQuestion}}
		p := l.commit(c)
		l.commit(l.step("r2", memory.Position{}, 3))
		l.counts(2, 2, nil)
		c = l.step("r1", p, 1)
		c.Closed = []agent.AskID{"r1.a.0"}
		l.commit(c)
		l.counts(2, 1, nil)
		l.must(l.a.Erase(l.ctx, "r1"))
		l.counts(1, 0, nil)
	},
	"count what wants attention": func(l *lab) {
		begin := func(run agent.RunID, of string, wake time.Time) memory.Position {
			c := l.ready(run, memory.Position{}, wake)
			c.Index.Agent = of
			return l.commit(c)
		}
		begin("x1", "x", l.ago(time.Minute))
		begin("x2", "x", l.ago(2*time.Minute))
		p := begin("y1", "y", l.ago(3*time.Minute))
		begin("z1", "z", l.in(time.Hour)) // not yet
		l.counts(4, 0, map[string]lag{"x": {2, 2 * time.Minute}, "y": {1, 3 * time.Minute}})

		claim := l.take(l.a, "x2", l.aMinute)
		l.counts(4, 0, map[string]lag{"x": {1, time.Minute}, "y": {1, 3 * time.Minute}})
		l.pass(2 * time.Minute) // lapsed a minute ago
		l.counts(4, 0, map[string]lag{"x": {2, 3 * time.Minute}, "y": {1, 5 * time.Minute}})
		l.must(l.a.Release(l.ctx, held(claim)))
		l.take(l.a, "x1")
		l.counts(4, 0, map[string]lag{"x": {1, 4 * time.Minute}, "y": {1, 5 * time.Minute}})

		c := l.ready("y1", p, l.ago(time.Minute)) // goes to another agent
		c.Index.Agent = "z"
		p = l.commit(c)
		l.counts(4, 0, map[string]lag{"x": {1, 4 * time.Minute}, "z": {1, time.Minute}})
		l.commit(l.step("y1", p, 1))
		l.must(l.a.Erase(l.ctx, "x2"))
		l.counts(3, 0, nil)
	},
	"count suspects, too": func(l *lab) {
		l.begin("r1")
		for range memory.SuspectAfter {
			l.take(l.a, "r1", l.aMinute)
			l.pass(time.Minute)
		}
		l.counts(1, 0, map[string]lag{"x": {1, 0}})
	},
}

// lag is a memory.Ready in the time of the suite.
type lag struct {
	runs int64
	lag  time.Duration
}

// counts checks what the store counts.
func (l *lab) counts(runs, asks int64, ready map[string]lag) {
	l.Helper()
	got, err := l.b.Stats(l.ctx)
	l.must(err)
	if got.Runs != runs || got.Asks != asks || len(got.Ready) != len(ready) {
		l.Fatalf("the store counts %+v, want %d runs, %d asks and %d agents with runs that want attention: %v", got, runs, asks, len(ready), ready)
	}
	for name, want := range ready {
		of := got.Ready[name]
		l.equal(of.Runs, want.runs, "how many runs want attention, of the agent "+name)
		if want.lag > 0 {
			l.about(of.Lag, l.d(want.lag), "how long the first one waits, of the agent "+name)
		}
	}
}

var checkTests = map[string]func(*lab){
	"finds nothing in an empty store": func(l *lab) { l.sound() },
	"finds nothing after all that may happen": func(l *lab) {
		c := l.ready("r1", memory.Position{}, l.due())
		c.Snapshot = []byte("s")
		c.Opened = []memory.AskEntry{
			{ID: "r1.a.0", Kind: agent.AskQuestion, Opened: l.now(), Due: l.in(time.Hour), Data: []byte("ask")}, {ID: "r1.a.1"},
		}
		p := l.commit(c)
		_, err := l.a.PutBlob(l.ctx, "r1", []byte("value"))
		l.must(err)
		l.sound()
		_, err = l.a.PutBlob(l.ctx, "r2", nil) // the run comes later, or never
		l.must(err)
		l.commit(l.step("r3", memory.Position{}, 3))
		l.begin("r4")
		for range memory.SuspectAfter + 1 { // a suspect, and claimed
			l.take(l.a, "r4", l.aMinute)
			l.pass(time.Minute)
		}
		l.take(l.a, "r1")
		l.speak("one", 0, "Good mor")
		c = l.ready("r1", p, l.due())
		c.Index.Agent, c.Closed = "y", []agent.AskID{"r1.a.1"}
		p = l.commit(c)
		c = l.ready("r1", p, l.in(time.Hour))
		c.Records, c.Opened = nil, []memory.AskEntry{{ID: "r1.a.1"}}
		l.commit(c)
		l.sound()
		s := l.open()
		l.begin("r5")
		l.take(s, "r5")
		l.ends(s)
		l.sound()
		l.must(l.a.Erase(l.ctx, "r1"))
		l.must(l.a.Erase(l.ctx, "r2"))
		l.sound()
	},
	"repairs nothing that is sound": func(l *lab) {
		c := l.ready("r1", memory.Position{}, l.ago(time.Minute))
		c.Opened = []memory.AskEntry{{ID: "r1.a.0", Kind: agent.AskQuestion, Opened: l.now()}}
		l.commit(c)
		l.pass(time.Second)
		l.begin("r2")
		claim := l.take(l.a, "r2")
		l.pass(time.Second)
		l.commit(l.ready("r3", memory.Position{}, l.in(time.Hour)))
		l.sound()
		l.equal(l.entry("r2").Worker, "w", "the worker")
		l.equal(claimed(l.claim(l.b)), []agent.RunID{"r1"}, "what wants attention")
		l.runs(memory.RunQuery{}, "r3", "r2", "r1")
		asks, err := l.b.Asks(l.ctx, memory.AskQuery{})
		l.must(err)
		l.equal(len(asks.Asks), 1, "open asks")
		renewals, err := l.a.Renew(l.ctx, l.d(time.Hour), []memory.Held{held(claim)})
		l.must(err)
		l.equal(renewals, []memory.Renewal{{Held: true, Last: claim.Last}}, "the renewal")
	},
	"finds nothing while others go on": func(l *lab) {
		ctx, stop := context.WithCancel(l.ctx)
		var others sync.WaitGroup
		defer others.Wait()
		defer stop()
		for g := range 3 {
			others.Go(func() {
				for i := range 60 { // without an end, a slow check would run after them for ever
					err := l.live(ctx, l.b, agent.RunID(fmt.Sprintf("g%dr%d", g, i)))
					if ctx.Err() != nil {
						return
					}
					if err != nil {
						l.Error(err)
						return
					}
				}
			})
		}
		done := make(chan struct{})
		go func() {
			others.Wait()
			close(done)
		}()
		for {
			l.sound()
			select {
			case <-done:
				return
			default:
			}
		}
	},
}

// sound checks that the store finds nothing wrong with itself, and has nothing
// to repair.
func (l *lab) sound() {
	l.Helper()
	for _, repair := range []bool{false, true} {
		for p, err := range l.b.Check(l.ctx, repair) {
			l.must(err)
			l.Errorf("Check finds a problem in a store that is sound: %+v", p)
		}
	}
}

// live begins a run, does all kinds of things to it, and perhaps erases it.
func (l *lab) live(ctx context.Context, s memory.Store, run agent.RunID) error {
	c := l.ready(run, memory.Position{}, l.due())
	c.Snapshot = []byte("s")
	c.Opened = []memory.AskEntry{{ID: agent.AskID(run + ".a.0"), Kind: agent.AskQuestion, Opened: l.now()}}
	if err := s.Commit(ctx, c); err != nil {
		return err
	}
	claims, err := s.Claim(ctx, &memory.ClaimRequest{Run: run, Lease: l.d(time.Hour)})
	if err != nil || len(claims) != 1 {
		return fmt.Errorf("claimed %+v of run %s, want it alone: %w", claims, run, err)
	}
	_, err = s.PutBlob(ctx, run, []byte(run))
	next := l.step(run, c.Last(), 2)
	next.Claim, next.Snapshot, next.Closed = claims[0].Token, []byte("t"), []agent.AskID{c.Opened[0].ID}
	err = errors.Join(err, s.Commit(ctx, next), s.Release(ctx, held(claims[0])))
	if err == nil && next.Records[0].ID[0] < 'm' { // a random letter
		err = s.Erase(ctx, run)
	}
	return err
}
