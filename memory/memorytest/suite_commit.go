package memorytest

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

var commitTests = map[string]func(*lab){
	"is read back as it was written": func(l *lab) {
		c := l.step("r1", memory.Position{}, 3)
		c.Records[1].Data = nil
		c.Records[2].Time = c.Records[1].Time.Add(time.Second + 999*time.Nanosecond)
		l.commit(c)
		want := bytes.Clone(c.Records[0].Data)
		c.Records[0].Data[0] ^= 1 // what the store keeps is its own
		log := l.read("r1")
		c.Records[0].Data = want
		for i := range c.Records {
			c.Records[i].Time = micro(c.Records[i].Time)
		}
		l.equal(log, &memory.Log{Records: c.Records, Last: c.Last()}, "the log")
		log.Records[0].Data[0] ^= 1
		l.equal(l.read("r1").Records, c.Records, "the log, read again")
	},
	"needs the log's end as its base": func(l *lab) {
		p := l.commit(l.step("r1", memory.Position{}, 2))
		for what, base := range map[string]memory.Position{
			"the beginning": {}, "an earlier record": {Seq: 1, ID: l.read("r1").Records[0].ID},
			"another id": {Seq: p.Seq, ID: "other"}, "a later record": {Seq: p.Seq + 1, ID: p.ID},
		} {
			l.Log(what)
			l.is(l.b.Commit(l.ctx, l.step("r1", base, 1)), memory.ErrConflict)
		}
		l.Log("no such run")
		l.is(l.b.Commit(l.ctx, l.step("r2", p, 1)), memory.ErrConflict)
		_, err := l.b.Read(l.ctx, "r2", memory.ReadOptions{})
		l.is(err, memory.ErrNotFound)
		l.equal(l.read("r1").Last, p, "the end after refused commits")
	},
	"has no effect when refused": func(l *lab) {
		first := l.step("r1", memory.Position{}, 1)
		first.Opened = []memory.AskEntry{{ID: "r1.a.0", Kind: agent.AskQuestion, Opened: l.now()}}
		p := l.commit(first)
		before := l.entry("r1")
		for _, change := range []func(*memory.Commit){
			func(c *memory.Commit) { c.Base = memory.Position{Seq: 1, ID: "other"} },
			func(c *memory.Commit) { c.Claim = "none" },
		} {
			c := l.ready("r1", p, l.due())
			c.Snapshot, c.Closed = []byte("s"), []agent.AskID{"r1.a.0"}
			c.Opened = []memory.AskEntry{{ID: "r1.b.0", Kind: agent.AskQuestion, Opened: l.now()}}
			change(c)
			if err := l.a.Commit(l.ctx, c); err == nil {
				l.Fatal("the commit was not refused")
			}
		}
		l.equal(l.entry("r1"), before, "the entry")
		log, err := l.a.Read(l.ctx, "r1", memory.ReadOptions{Snapshot: true})
		l.must(err)
		l.equal(log.Last, p, "the end")
		l.equal(log.Snapshot, []byte(nil), "the snapshot")
		asks, err := l.a.Asks(l.ctx, memory.AskQuery{})
		l.must(err)
		if len(asks.Asks) != 1 || asks.Asks[0].ID != "r1.a.0" {
			l.Fatalf("open asks: %+v, want r1.a.0 alone", asks.Asks)
		}
		l.none(l.a, "the commits that wanted attention were refused")
	},
	"may be repeated": func(l *lab) {
		c := l.step("r1", memory.Position{}, 2)
		l.commit(c)
		l.must(l.b.Commit(l.ctx, c))
		c2 := l.step("r1", c.Last(), 1)
		c2.Index.Title = "newer"
		p := l.commit(c2)
		l.must(l.b.Commit(l.ctx, c)) // also when others have appended since
		l.equal(l.read("r1").Last, p, "the end")
		l.equal(l.entry("r1").Index.Title, "newer", "the title")

		part := l.step("r1", p, 1)
		l.commit(part)
		more := l.step("r1", p, 2)
		more.Records[0] = part.Records[0]
		l.is(l.a.Commit(l.ctx, more), memory.ErrConflict) // only a part of it is there
	},
	"may be repeated when the claim is lost": func(l *lab) {
		p := l.begin("r1")
		claim := l.take(l.a, "r1")
		c := l.step("r1", p, 1)
		c.Claim = claim.Token
		l.commit(c)
		l.must(l.a.Release(l.ctx, held(claim)))
		l.must(l.b.Commit(l.ctx, c))
	},
	"looks at the claim if one is set": func(l *lab) {
		p := l.begin("r1")
		c := l.ready("r1", p, l.due())
		c.Claim = "none"
		l.is(l.a.Commit(l.ctx, c), memory.ErrClaimLost) // no claim at all
		claim := l.take(l.a, "r1", l.aMinute)
		l.is(l.a.Commit(l.ctx, c), memory.ErrClaimLost) // another
		both := l.ready("r1", memory.Position{}, l.due())
		both.Claim = "none"
		l.is(l.a.Commit(l.ctx, both), memory.ErrConflict) // the log's end is looked at first
		c.Claim = claim.Token
		p = l.commit(c)
		p = l.commit(l.ready("r1", p, l.due())) // an input needs none

		l.pass(time.Minute) // lapsed, and nobody has taken the run
		c = l.ready("r1", p, l.due())
		c.Claim = claim.Token
		p = l.commit(c)
		taken := l.take(l.b, "r1")
		c = l.ready("r1", p, l.due())
		c.Claim = claim.Token
		l.is(l.a.Commit(l.ctx, c), memory.ErrClaimLost)
		l.must(l.b.Release(l.ctx, held(taken)))
		c.Claim = taken.Token
		l.is(l.a.Commit(l.ctx, c), memory.ErrClaimLost)
	},
	"is refused when malformed": func(l *lab) {
		for what, change := range map[string]func(*memory.Commit){
			"no records": func(c *memory.Commit) { c.Records = nil },
			"a bare snapshot": func(c *memory.Commit) {
				c.Base, c.Records, c.Snapshot = memory.Position{Seq: 1, ID: "a"}, nil, []byte("s")
			},
			"a gap":           func(c *memory.Commit) { c.Records[1].Seq++ },
			"a wrong start":   func(c *memory.Commit) { c.Records[0].Seq, c.Records[1].Seq = 0, 1 },
			"no record id":    func(c *memory.Commit) { c.Records[0].ID = "" },
			"equal ids":       func(c *memory.Commit) { c.Records[1].ID = c.Records[0].ID },
			"time backwards":  func(c *memory.Commit) { c.Records[1].Time = c.Records[0].Time.Add(-1) },
			"no run":          func(c *memory.Commit) { c.Run = "" },
			"a bad run":       func(c *memory.Commit) { c.Run = "R.1" },
			"a foreign ask":   func(c *memory.Commit) { c.Opened = []memory.AskEntry{{ID: "r2.a.0"}} },
			"a foreign close": func(c *memory.Commit) { c.Closed = []agent.AskID{"a"} },
			"half a base":     func(c *memory.Commit) { c.Base.ID = "a" },
		} {
			c := l.step("r1", memory.Position{}, 2)
			change(c)
			if err := l.a.Commit(l.ctx, c); err == nil {
				l.Errorf("a commit with %s was not refused", what)
			}
		}
		page, err := l.a.Runs(l.ctx, memory.RunQuery{})
		l.must(err)
		l.equal(len(page.Runs), 0, "runs after refused commits")
	},
	"takes a big record": func(l *lab) {
		c := l.step("r1", memory.Position{}, 2)
		big := make([]byte, 8<<20)
		random := rand.NewChaCha8([32]byte{1})
		random.Read(big)
		c.Records[0].Data = big
		l.commit(c)
		log := l.read("r1")
		if !bytes.Equal(log.Records[0].Data, big) {
			l.Fatal("the record of 8 MB came back changed")
		}
	},
	"and all other calls end with the context": func(l *lab) {
		p := l.begin("r1")
		ctx, cancel := context.WithCancel(l.ctx)
		cancel()
		l.eachCall(ctx, p, func(what string, err error) {
			if err == nil || ctx.Err() == nil {
				l.Errorf("%s with a context that has ended: got %v, want its error", what, err)
			}
		})
		for range l.a.Watch(ctx, "r1") {
			l.Fatal("Watch with a context that has ended yields something")
		}
		l.equal(l.read("r1").Last, p, "the end")
	},
	"and all other calls fail after Close": func(l *lab) {
		p := l.begin("r1")
		s := l.a
		l.must(s.Close())
		l.eachCall(l.ctx, p, func(what string, err error) { l.Log(what); l.is(err, fs.ErrClosed) })
		for _, err := range s.Watch(l.soon(), "r1") {
			l.is(err, fs.ErrClosed)
		}
		l.equal(l.read("r1").Last, p, "the end")
	},
}

// eachCall makes every call that can fail and gives its error to check.
func (l *lab) eachCall(ctx context.Context, p memory.Position, check func(what string, err error)) {
	check("Commit", l.a.Commit(ctx, l.step("r1", p, 1)))
	_, err := l.a.Read(ctx, "r1", memory.ReadOptions{})
	check("Read", err)
	_, err = l.a.Claim(ctx, &memory.ClaimRequest{Agents: []string{"x"}, Lease: time.Minute, Wait: time.Hour})
	check("Claim", err)
	_, err = l.a.Renew(ctx, time.Minute, []memory.Held{{Run: "r1"}})
	check("Renew", err)
	check("Release", l.a.Release(ctx, memory.Held{Run: "r1", Token: "t"}))
	check("Speak", l.a.Speak(ctx, "r1", memory.Words{Attempt: "a"}))
	_, err = l.a.Runs(ctx, memory.RunQuery{})
	check("Runs", err)
	_, err = l.a.Asks(ctx, memory.AskQuery{})
	check("Asks", err)
	_, err = l.a.Stats(ctx)
	check("Stats", err)
	err = nil
	for _, err = range l.a.Check(ctx, false) {
	}
	check("Check", err)
	_, err = l.a.PutBlob(ctx, "r1", nil)
	check("PutBlob", err)
	_, err = l.a.Blob(ctx, "r1", "h")
	check("Blob", err)
	check("Erase", l.a.Erase(ctx, "r1"))
}

var readTests = map[string]func(*lab){
	"tells what is not there": func(l *lab) {
		_, err := l.a.Read(l.ctx, "r1", memory.ReadOptions{})
		l.is(err, memory.ErrNotFound)
	},
	"gives the part that is asked for": func(l *lab) {
		var all []memory.Record
		var p, at memory.Position
		var snapshot []byte
		for i := range 7 {
			c := l.step("r1", p, 1+i%2)
			if i == 1 || i == 4 { // each replaces the one before
				c.Snapshot = []byte{byte(i)}
				snapshot, at = c.Snapshot, c.Last()
			}
			p = l.commit(c)
			all = append(all, c.Records...)
		}
		for after := int64(-1); after <= p.Seq+1; after++ {
			for limit := range 4 {
				for _, with := range []bool{false, true} {
					o := memory.ReadOptions{After: after, Limit: limit, Snapshot: with}
					got, err := l.b.Read(l.ctx, "r1", o)
					l.must(err)
					l.equal(got, expected(all, o, snapshot, at), "part of the log")
				}
			}
		}
	},
	"tells an empty snapshot from none": func(l *lab) {
		c := l.step("r1", memory.Position{}, 1)
		c.Snapshot = []byte{}
		l.commit(c)
		log, err := l.b.Read(l.ctx, "r1", memory.ReadOptions{Snapshot: true})
		l.must(err)
		if log.Snapshot == nil || log.SnapshotAt != c.Last() || len(log.Records) != 0 {
			l.Fatalf("got %+v, want an empty snapshot that is not nil, at the end", log)
		}
	},
}

// expected computes what Read must return.
func expected(all []memory.Record, o memory.ReadOptions, snapshot []byte, at memory.Position) *memory.Log {
	log := &memory.Log{Last: all[len(all)-1].Position()}
	after := max(o.After, 0)
	if o.Snapshot && at.Seq >= after {
		log.Snapshot, log.SnapshotAt, after = snapshot, at, at.Seq
	}
	for _, r := range all {
		if r.Seq > after && (o.Limit == 0 || len(log.Records) < o.Limit) {
			r.Time = micro(r.Time)
			log.Records = append(log.Records, r)
		}
	}
	return log
}
