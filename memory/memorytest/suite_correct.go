package memorytest

import (
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// correctTests are those of commits without records.
var correctTests = map[string]func(*lab){
	"replaces what is kept beside the log": func(l *lab) {
		first := l.step("r1", memory.Position{}, 3)
		first.Snapshot = []byte("s")
		first.Opened = []memory.AskEntry{{ID: "r1.a.0", Kind: agent.AskQuestion, Opened: l.now()}, {ID: "r1.a.1", Kind: agent.AskQuestion, Opened: l.now()}}
		p := l.commit(first)
		before := l.entry("r1")
		l.pass(time.Minute)

		c := l.correct("r1", p)
		c.Index = memory.Index{Agent: "y", Status: agent.StatusStuck, Title: "new", Reason: "why", Wake: l.in(time.Hour), Parent: "root"}
		opened := memory.AskEntry{ID: "r1.b.0", Kind: agent.AskApproval, Opened: l.now().Add(time.Second), Data: []byte("ask")}
		c.Opened, c.Closed = []memory.AskEntry{opened}, []agent.AskID{"r1.a.0"}
		l.equal(l.commit(c), p, "the end after it")
		before.Index = c.Index
		l.equal(l.entry("r1"), before, "the entry, with the times of its records")
		kept := first.Opened[1]
		kept.Run, kept.Agent, opened.Run, opened.Agent = "r1", "y", "r1", "y"
		l.asks(memory.AskQuery{}, kept, opened)
		log, err := l.b.Read(l.ctx, "r1", memory.ReadOptions{Snapshot: true})
		l.must(err)
		l.equal(log, &memory.Log{Snapshot: first.Snapshot, SnapshotAt: p, Last: p}, "the log, from its snapshot")
		l.equal(l.read("r1").Records, first.Records, "the records")
		l.must(l.b.Commit(l.ctx, c)) // again
		p = l.commit(l.step("r1", p, 1))
		l.equal(l.read("r1").Last, p, "the end after one more record")
	},
	"sets the wake-up time": func(l *lab) {
		p := l.commit(l.step("r1", memory.Position{}, 1))
		l.none(l.b, "it wants no attention")
		l.commit(l.correct("r1", p, l.due()))
		l.equal(claimed(l.claim(l.b)), []agent.RunID{"r1"}, "claims when it has been made to want attention")
		p = l.begin("r2")
		l.commit(l.correct("r2", p))
		l.none(l.b, "it does not want attention any more")
		l.commit(l.correct("r2", p, l.in(time.Minute)))
		l.pass(time.Minute)
		l.take(l.b, "r2")
	},
	"leaves a claim alone": func(l *lab) {
		p := l.begin("r1")
		claim := l.take(l.a, "r1")
		l.commit(l.correct("r1", p, l.due()))
		l.none(l.b, "it is claimed")
		l.equal(l.entry("r1").Worker, "w", "the worker")
		l.commit(l.correct("r1", p)) // now it wants no attention
		l.must(l.a.Release(l.ctx, held(claim)))
		l.none(l.b, "the worker has folded the whole log")
	},
	"clears the strikes with Progress": func(l *lab) {
		p := l.begin("r1")
		l.take(l.a, "r1", l.aMinute)
		l.pass(time.Minute)
		l.equal(l.take(l.a, "r1", l.aMinute).Strikes, 1, "strikes")
		c := l.correct("r1", p)
		c.Progress = true
		l.commit(c)
		l.pass(time.Minute)
		l.equal(l.take(l.a, "r1").Strikes, 1, "strikes after progress: those of the last claim")
	},
	"needs the log's end as its base": func(l *lab) {
		first := l.step("r1", memory.Position{}, 2)
		p := l.commit(first)
		before := l.entry("r1")
		for what, base := range map[string]memory.Position{
			"an earlier record": first.Records[0].Position(), "another id": {Seq: p.Seq, ID: "other"}, "a later record": {Seq: p.Seq + 1, ID: "other"},
		} {
			l.Log(what)
			c := l.correct("r1", base, l.due())
			c.Opened = []memory.AskEntry{{ID: "r1.a.0"}}
			l.is(l.b.Commit(l.ctx, c), memory.ErrConflict)
		}
		l.is(l.b.Commit(l.ctx, l.correct("r2", p, l.due())), memory.ErrConflict) // there is no such run
		l.equal(l.entry("r1"), before, "the entry after refused commits")
		l.asks(memory.AskQuery{})
		l.none(l.a, "the commits that wanted attention were refused")
		l.runs(memory.RunQuery{}, "r1")
	},
	"looks at the claim if one is set": func(l *lab) {
		p := l.begin("r1")
		c := l.correct("r1", p, l.due())
		c.Claim = "none"
		l.is(l.a.Commit(l.ctx, c), memory.ErrClaimLost)
		claim := l.take(l.a, "r1")
		l.is(l.a.Commit(l.ctx, c), memory.ErrClaimLost)
		c.Claim, c.Index.Title = claim.Token, "new"
		l.commit(c)
		l.equal(l.entry("r1").Index.Title, "new", "the title")
	},
	"is refused for an erased run": func(l *lab) {
		p := l.begin("r1")
		l.must(l.a.Erase(l.ctx, "r1"))
		l.is(l.a.Commit(l.ctx, l.correct("r1", p)), memory.ErrErased)
		l.runs(memory.RunQuery{})
	},
	"wakes those who wait for a claim": func(l *lab) {
		p := l.commit(l.step("r1", memory.Position{}, 1))
		l.wakes(l.b, func() { l.commit(l.correct("r1", p, l.due())) })
	},
}

// correct is a commit without records to a run of the agent "x", which wants
// attention at the time, if one is given.
func (l *lab) correct(run agent.RunID, base memory.Position, wake ...time.Time) *memory.Commit {
	c := l.step(run, base, 0)
	for _, at := range wake {
		c.Index.Wake = at
	}
	return c
}
