package memorytest

import (
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

var listTests = map[string]func(*lab){
	"shows a run": func(l *lab) {
		c := l.ready("r1", memory.Position{}, l.in(time.Hour))
		created := c.Records[0].Time
		p := l.commit(c)
		l.pass(time.Second)
		c = l.step("r1", p, 2)
		c.Index = memory.Index{Agent: "x", Status: agent.StatusStuck, Title: "How do I…", Reason: "no worker", Wake: l.in(time.Minute)}
		l.commit(c)
		shows := func(what, worker string, late time.Duration) {
			l.Helper()
			got := l.entry("r1")
			l.about(got.Late, late, "how late is the entry, "+what)
			want := memory.RunEntry{Run: "r1", Index: c.Index, Created: created, Updated: c.Records[1].Time, Records: 3, Worker: worker, Late: got.Late}
			l.equal(got, want, "the entry, "+what)
		}
		shows("which waits", "", 0)
		l.pass(2 * time.Minute)
		shows("unserved", "", l.d(time.Minute))
		claim := l.take(l.a, "r1", l.aMinute)
		shows("claimed", "w", 0)
		l.pass(time.Minute + time.Second)
		shows("lapsed", "", l.d(time.Second))
		l.must(l.a.Release(l.ctx, held(claim)))
		shows("released", "", l.a.Now().Sub(c.Index.Wake))
	},
	"filters and pages runs": func(l *lab) {
		var runs []agent.RunID // the last changed first
		for i := range 10 {
			run := agent.RunID(fmt.Sprintf("%c%d", "ab"[i%2], i))
			c := l.step(run, memory.Position{}, 1)
			c.Index.Agent = []string{"x", "y", "z"}[i%3]
			c.Index.Status = []agent.Status{agent.StatusIdle, agent.StatusDone, agent.StatusStuck, agent.StatusActing}[i%4]
			l.commit(c)
			runs = slices.Insert(runs, 0, run)
			l.pass(time.Microsecond)
		}
		l.commit(l.step("a0", l.read("a0").Last, 1)) // changed again; its agent is still x and its status idle
		runs = slices.Insert(runs[:9], 0, "a0")
		l.runs(memory.RunQuery{}, runs...)
		l.runs(memory.RunQuery{Agent: "x"}, "a0", "b9", "a6", "b3")
		l.runs(memory.RunQuery{Statuses: []agent.Status{agent.StatusDone, agent.StatusStuck}}, "b9", "a6", "b5", "a2", "b1")
		l.runs(memory.RunQuery{Statuses: []agent.Status{}})
		l.runs(memory.RunQuery{Prefix: "b"}, "b9", "b7", "b5", "b3", "b1")
		l.runs(memory.RunQuery{Prefix: "b5"}, "b5")
		l.runs(memory.RunQuery{Prefix: "b%"})
		l.runs(memory.RunQuery{Prefix: "b", Agent: "y", Statuses: []agent.Status{agent.StatusActing}}, "b7")
	},
	"filters runs by when they changed": func(l *lab) {
		var times []time.Time
		for i := range 5 {
			c := l.step(agent.RunID(fmt.Sprintf("r%d", i)), memory.Position{}, 1)
			c.Index.Agent = []string{"x", "y"}[i%2]
			l.commit(c)
			times = append(times, c.Records[0].Time)
			l.pass(time.Microsecond)
		}
		l.runs(memory.RunQuery{Before: l.now()}, "r4", "r3", "r2", "r1", "r0")
		l.runs(memory.RunQuery{Before: times[3]}, "r2", "r1", "r0") // not one of that moment
		l.runs(memory.RunQuery{Before: times[3].Add(time.Microsecond)}, "r3", "r2", "r1", "r0")
		l.runs(memory.RunQuery{Before: times[3], Agent: "x"}, "r2", "r0")
		l.runs(memory.RunQuery{Before: times[0]})
		l.commit(l.step("r0", l.read("r0").Last, 1))
		l.runs(memory.RunQuery{Before: times[3]}, "r2", "r1")
		l.runs(memory.RunQuery{Before: times[3], Prefix: "r2"}, "r2")
	},
	"orders runs of one moment": func(l *lab) {
		at := l.now()
		for _, run := range []agent.RunID{"c", "a", "d", "b"} {
			c := l.step(run, memory.Position{}, 1)
			c.Records[0].Time = at
			l.commit(c)
		}
		l.runs(memory.RunQuery{}, "a", "b", "c", "d")
	},
	"has pages of a hundred": func(l *lab) {
		c := l.step("r1", memory.Position{}, 1)
		for i := range 101 {
			l.begin(agent.RunID(fmt.Sprintf("x%03d", i)))
			c.Opened = append(c.Opened, memory.AskEntry{ID: agent.AskID(fmt.Sprintf("r1.a.%03d", i))})
		}
		l.commit(c)
		runs, err := l.b.Runs(l.ctx, memory.RunQuery{Prefix: "x"})
		l.must(err)
		asks, err := l.b.Asks(l.ctx, memory.AskQuery{})
		l.must(err)
		if len(runs.Runs) != 100 || runs.Next == "" || len(asks.Asks) != 100 || asks.Next == "" {
			l.Fatalf("got %d runs (next %q) and %d asks (next %q), want a hundred each and more", len(runs.Runs), runs.Next, len(asks.Asks), asks.Next)
		}
	},
	"shows open asks": func(l *lab) {
		now := l.now()
		c := l.step("r1", memory.Position{}, 1)
		one := memory.AskEntry{ID: "r1.a.0", Kind: agent.AskApproval, Opened: now.Add(time.Second), Due: now.Add(time.Hour), Data: []byte("one")}
		two := memory.AskEntry{ID: "r1.a.1", Kind: agent.AskQuestion, Opened: now, Data: []byte("two")}
		both := memory.AskEntry{ID: "r1.a.2", Kind: agent.AskQuestion, Opened: now}
		c.Opened, c.Closed = []memory.AskEntry{one, two, both}, []agent.AskID{both.ID, "r1.never.0"}
		p := l.commit(c)
		c = l.step("r2", memory.Position{}, 1)
		c.Index.Agent = "y"
		three := memory.AskEntry{ID: "r2.a.0", Kind: agent.AskApproval, Opened: now}
		c.Opened = []memory.AskEntry{three}
		l.commit(c)
		one.Run, one.Agent, two.Run, two.Agent, three.Run, three.Agent = "r1", "x", "r1", "x", "r2", "y"
		l.asks(memory.AskQuery{}, two, three, one)
		l.asks(memory.AskQuery{Run: "r1"}, two, one)
		l.asks(memory.AskQuery{Agent: "y"}, three)
		l.asks(memory.AskQuery{Kind: agent.AskApproval}, three, one)
		l.asks(memory.AskQuery{Kind: agent.AskApproval, Agent: "x", Run: "r1"}, one)
		l.asks(memory.AskQuery{Run: "r3"})

		c = l.step("r1", p, 1) // one is replaced, two is closed, and the run goes to another agent
		c.Index.Agent = "y"
		one.Due, one.Data, one.Agent = time.Time{}, []byte("new"), "y"
		c.Opened, c.Closed = []memory.AskEntry{one}, []agent.AskID{two.ID}
		p = l.commit(c)
		l.asks(memory.AskQuery{}, three, one)
		c = l.step("r1", p, 1)
		c.Closed = []agent.AskID{one.ID}
		l.commit(c)
		l.asks(memory.AskQuery{}, three)
	},
}

// runs checks a list of runs, as one page and in pages of each length.
func (l *lab) runs(q memory.RunQuery, want ...agent.RunID) {
	l.Helper()
	for limit := range len(want) + 2 {
		var got []agent.RunID
		for q.Limit, q.After = limit, ""; ; {
			page, err := l.b.Runs(l.ctx, q)
			l.must(err)
			for _, e := range page.Runs {
				got = append(got, e.Run)
			}
			if limit > 0 && len(page.Runs) > limit {
				l.Fatalf("a page of %d has %d runs", limit, len(page.Runs))
			}
			if q.After = page.Next; page.Next == "" || len(got) > len(want) {
				break
			}
		}
		l.equal(got, want, fmt.Sprintf("runs of %+v in pages of %d", q, limit))
	}
}

// asks checks a list of asks, as one page and in pages of each length.
func (l *lab) asks(q memory.AskQuery, want ...memory.AskEntry) {
	l.Helper()
	for limit := range len(want) + 2 {
		var got []memory.AskEntry
		for q.Limit, q.After = limit, ""; ; {
			page, err := l.b.Asks(l.ctx, q)
			l.must(err)
			got = append(got, page.Asks...)
			if limit > 0 && len(page.Asks) > limit {
				l.Fatalf("a page of %d has %d asks", limit, len(page.Asks))
			}
			if q.After = page.Next; page.Next == "" || len(got) > len(want) {
				break
			}
		}
		l.equal(got, want, fmt.Sprintf("asks of %+v in pages of %d", q, limit))
	}
}
