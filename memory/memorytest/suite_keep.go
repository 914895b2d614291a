package memorytest

import (
	"bytes"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

var keepTests = map[string]func(*lab){
	"tells the time in UTC to the microsecond": func(l *lab) {
		now := l.a.Now()
		if now.Location() != time.UTC || !now.Equal(now.Truncate(time.Microsecond)) {
			l.Fatalf("Now is %v, want it in UTC and to the microsecond", now)
		}
		if want := l.clock.Now().UTC().Truncate(time.Microsecond); !now.Equal(want) && !l.fixture.RealTime {
			l.Fatalf("Now is %v, want %v", now, want)
		}
		l.pass(time.Minute)
		l.about(l.a.Now().Sub(now), l.d(time.Minute), "what has passed in a minute")
		l.about(l.b.Now().Sub(now), l.d(time.Minute), "what has passed by another handle's clock")
	},
	"keeps blobs of a run": func(l *lab) {
		value := bytes.Repeat([]byte("value"), 100_000)
		const absent = "2ec0a0aad5f21fd0ae3c2ba6a6bf4e2a3ee5a3a5d5a0e3a0e5a0e3a0e5a0e3a0"
		hash, err := l.a.PutBlob(l.ctx, "r1", value) // there is no such run yet
		l.must(err)
		again, err := l.b.PutBlob(l.ctx, "r1", value)
		l.must(err)
		l.equal(again, hash, "the name, kept twice")
		empty, err := l.a.PutBlob(l.ctx, "r1", nil)
		l.must(err)
		l.equal(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "the name of nothing")
		l.begin("r1")
		got, err := l.b.Blob(l.ctx, "r1", hash)
		l.must(err)
		if !bytes.Equal(got, value) {
			l.Fatal("the value came back changed")
		}
		got, err = l.b.Blob(l.ctx, "r1", empty)
		l.must(err)
		l.equal(got, []byte{}, "the empty value")
		_, err = l.b.Blob(l.ctx, "r2", hash) // another run's
		l.is(err, memory.ErrNotFound)
		_, err = l.b.Blob(l.ctx, "r1", absent)
		l.is(err, memory.ErrNotFound)
	},
	"erases a run and all that is kept of it": func(l *lab) {
		c := l.ready("r1", memory.Position{}, l.due())
		c.Snapshot = []byte("s")
		c.Opened = []memory.AskEntry{{ID: "r1.a.0", Kind: agent.AskQuestion}}
		l.commit(c)
		hash, err := l.a.PutBlob(l.ctx, "r1", []byte("value"))
		l.must(err)
		claim := l.take(l.a, "r1", l.aMinute)
		kept := l.begin("r2")
		l.must(l.b.Erase(l.ctx, "r1"))
		l.must(l.b.Erase(l.ctx, "r1")) // may be repeated
		l.must(l.b.Erase(l.ctx, "r3")) // also where nothing is

		for _, run := range []agent.RunID{"r1", "r3"} {
			_, err = l.a.Read(l.ctx, run, memory.ReadOptions{})
			l.is(err, memory.ErrErased)
			l.is(l.a.Commit(l.ctx, l.step(run, memory.Position{}, 1)), memory.ErrErased)
			_, err = l.a.PutBlob(l.ctx, run, []byte("value"))
			l.is(err, memory.ErrErased)
		}
		l.is(l.a.Commit(l.ctx, c), memory.ErrErased)
		next := l.step("r1", c.Last(), 1)
		next.Claim = claim.Token
		l.is(l.a.Commit(l.ctx, next), memory.ErrErased)
		_, err = l.a.Blob(l.ctx, "r1", hash)
		l.is(err, memory.ErrNotFound)
		renewals, err := l.a.Renew(l.ctx, time.Minute, []memory.Held{held(claim)})
		l.must(err)
		l.equal(renewals, []memory.Renewal{{}}, "the renewal of an erased run")
		l.must(l.a.Release(l.ctx, held(claim)))
		l.runs(memory.RunQuery{}, "r2")
		l.asks(memory.AskQuery{})
		l.pass(time.Minute)
		l.equal(claimed(l.claim(l.a)), []agent.RunID{"r2"}, "claims")
		l.equal(l.read("r2").Last, kept, "the end of another run")
	},
	"closes twice": func(l *lab) {
		l.must(l.a.Close())
		l.must(l.a.Close())
	},
}
