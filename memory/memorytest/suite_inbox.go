package memorytest

import (
	"fmt"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// inboxTests are those of who may answer asks, and of the filters of lists of them.
var inboxTests = map[string]func(*lab){
	"filters asks by people, age and due time": func(l *lab) {
		now := l.now()
		second := func(n int) time.Time { return now.Add(time.Duration(n) * time.Second) }
		var all []memory.AskEntry
		for i, a := range []memory.AskEntry{
			{Kind: agent.AskQuestion},
			{For: []string{"ada"}, Due: second(100)},
			{For: []string{"group:legal", "bob"}, Not: []string{"ada"}},
			{For: []string{"group:legal"}, Claimed: "ada", Due: second(50)},
			{Not: []string{"bob", "group:crew"}, Claimed: "bob"},
			{For: []string{"legal"}, Due: second(70)}, // a user of that name
			{For: []string{"group:group:legal", ""}},
			{Not: []string{""}, Claimed: "ada", Kind: agent.AskQuestion},
		} {
			a.ID, a.Opened = agent.AskID(fmt.Sprintf("r%d.a.%d", 1+i%2, i)), second(i/2*2)
			if a.Kind == "" {
				a.Kind = agent.AskApproval
			}
			all = append(all, a)
		}
		l.openAsks(all)
		some := func(q memory.AskQuery, want ...int) {
			l.Helper()
			var asks []memory.AskEntry
			for _, i := range want {
				asks = append(asks, all[i])
			}
			l.asks(q, asks...)
		}
		ada, bob := agent.User{ID: "ada", Groups: []string{"legal"}}, agent.User{ID: "bob", Name: "Bob", Groups: []string{"crew"}}
		group := agent.User{Groups: []string{"legal"}} // nobody in particular, of a group
		some(memory.AskQuery{}, 0, 1, 2, 3, 4, 5, 6, 7)
		some(memory.AskQuery{For: ada}, 0, 1, 3, 7)
		some(memory.AskQuery{For: bob}, 0, 2)
		some(memory.AskQuery{For: agent.User{ID: "eve"}}, 0)
		some(memory.AskQuery{For: agent.User{ID: "legal"}}, 0, 5)
		some(memory.AskQuery{For: group}, 0)
		some(memory.AskQuery{Group: "legal"}, 2, 3)
		some(memory.AskQuery{Group: "group:legal"}, 6)
		some(memory.AskQuery{Group: "crew"})
		some(memory.AskQuery{Claimed: "ada"}, 3, 7)
		some(memory.AskQuery{Claimed: "bob"}, 4)
		some(memory.AskQuery{OpenedBefore: second(4)}, 0, 1, 2, 3) // not those of that moment
		some(memory.AskQuery{OpenedBefore: second(4).Add(time.Microsecond)}, 0, 1, 2, 3, 4, 5)
		some(memory.AskQuery{OpenedBefore: second(4).Add(time.Nanosecond)}, 0, 1, 2, 3, 4, 5)
		some(memory.AskQuery{OpenedBefore: now})
		some(memory.AskQuery{DueBefore: second(70)}, 3)
		some(memory.AskQuery{DueBefore: second(1000)}, 1, 3, 5)
		some(memory.AskQuery{For: ada, Group: "legal"}, 3)
		some(memory.AskQuery{For: ada, Claimed: "ada", Kind: agent.AskQuestion}, 7)
		some(memory.AskQuery{For: bob, Claimed: "ada"})
		some(memory.AskQuery{Run: "r2", For: ada}, 1, 3, 7)
		some(memory.AskQuery{Run: "r2", For: ada, DueBefore: second(60), Agent: "x"}, 3)
		some(memory.AskQuery{Run: "r1", OpenedBefore: second(4)}, 0, 2)
		some(memory.AskQuery{Agent: "y", For: ada})
		some(memory.AskQuery{For: ada, OpenedBefore: second(3), DueBefore: second(99)}, 3)
	},
	"keeps people of any names": func(l *lab) {
		odd := []string{"", " ", "a b", "a,b", "+a", "-a", "=a", "100%", "%41", "group:", "group:on call", "@user", `"quoted"`, `\`, "<&>",
			"line\nend\r\t", "\x00", "\x7f", "Ada Lovelace ", "Ÿ\u00a0\u2028語", "e\u0301", "🙂", "null", "[]"}
		long := make([]string, 64)
		for i := range long {
			long[i] = fmt.Sprintf("%02d", i) + strings.Repeat("語 ", 62) + "xxxxxx" // 256 bytes
		}
		var asks []memory.AskEntry
		for i, a := range []memory.AskEntry{
			{For: odd}, {Not: odd}, {For: odd, Not: odd, Claimed: "a, b = c"}, {For: long, Not: long, Claimed: long[0]},
			{Claimed: " "}, {For: []string{""}}, {Not: []string{""}}, {Claimed: strings.Repeat("%", 256)},
		} {
			a.ID, a.Kind, a.Opened, a.Data = agent.AskID(fmt.Sprintf("r%d.a.%d", i, i)), agent.AskApproval, l.now(), []byte(" 1 2 ")
			asks = append(asks, a)
		}
		l.openAsks(asks)
		l.asks(memory.AskQuery{}, asks...)
		for i := range asks {
			l.asks(memory.AskQuery{Run: asks[i].Run}, asks[i])
		}
		l.asks(memory.AskQuery{Claimed: " "}, asks[4])
		l.asks(memory.AskQuery{Group: "on call"}, asks[0], asks[2])
		l.asks(memory.AskQuery{For: agent.User{ID: long[63]}}, asks[1], asks[6])
		l.asks(memory.AskQuery{For: agent.User{ID: "a, b = c"}, Claimed: "a, b = c"})
		l.sound()
	},
	"shares no lists with its callers": func(l *lab) {
		ask := func() memory.AskEntry {
			return memory.AskEntry{ID: "r1.a.0", Kind: agent.AskApproval, Opened: l.due(), For: []string{"ada"}, Not: []string{"bob"}, Data: []byte("ask")}
		}
		given, want := []memory.AskEntry{ask()}, ask()
		want.Opened = given[0].Opened
		l.openAsks(given)
		want.Run, want.Agent = "r1", "x"
		for range 2 {
			given[0].For[0], given[0].Not[0], given[0].Data[0] = "eve", "eve", 'A'
			page, err := l.b.Asks(l.ctx, memory.AskQuery{})
			l.must(err)
			l.equal(page.Asks, []memory.AskEntry{want}, "asks")
			given = page.Asks
		}
	},
	"replaces an open ask": func(l *lab) {
		before := l.now()
		a := memory.AskEntry{ID: "r1.a.0", Kind: agent.AskApproval, Opened: before, For: []string{"ada"}, Data: []byte("one")}
		b := memory.AskEntry{ID: "r1.a.1", Kind: agent.AskApproval, Opened: before.Add(time.Second), Not: []string{"ada"}}
		p := l.openAsks([]memory.AskEntry{a, b})["r1"]
		a.Run, a.Agent, b.Run, b.Agent = "r1", "x", "r1", "x"
		ada, bob := memory.AskQuery{For: agent.User{ID: "ada"}}, memory.AskQuery{For: agent.User{ID: "bob"}}
		l.asks(ada, a)
		l.asks(bob, b)
		replace := func(change func()) {
			l.Helper()
			change()
			c := l.step("r1", p, 1)
			c.Opened = []memory.AskEntry{a}
			p = l.commit(c)
			l.asks(memory.AskQuery{}, a, b)
		}
		replace(func() { a.Claimed = "ada" })
		l.asks(memory.AskQuery{Claimed: "ada"}, a)
		replace(func() { a.For, a.Claimed = []string{"bob", "group:legal"}, "" }) // delegated
		l.asks(ada)
		l.asks(bob, a, b)
		l.asks(memory.AskQuery{Claimed: "ada"})
		replace(func() { a.For, a.Not, a.Claimed, a.Due = nil, []string{"bob"}, "eve", before.Add(time.Hour) })
		l.asks(ada)
		l.asks(bob, b)
		l.asks(memory.AskQuery{DueBefore: before.Add(2 * time.Hour)}, a)
		l.asks(memory.AskQuery{Group: "legal"})
		replace(func() { a.For, a.Not, a.Claimed, a.Due, a.Data = nil, nil, "", time.Time{}, []byte("two") })
		l.asks(ada, a)
		l.asks(memory.AskQuery{DueBefore: before.Add(2 * time.Hour)})
		a.Opened = before.Add(2 * time.Second) // asked anew: it is the younger one now
		c := l.correct("r1", p)
		c.Opened = []memory.AskEntry{a}
		l.commit(c)
		l.asks(memory.AskQuery{}, b, a)
		l.asks(memory.AskQuery{OpenedBefore: before.Add(2 * time.Second)}, b)
		l.sound()
	},
	"fills pages from a large inbox": func(l *lab) {
		const count = 2500 // more than is looked at at once
		var rare, all []memory.AskEntry
		for i := range count {
			a := memory.AskEntry{ID: agent.AskID(fmt.Sprintf("r%d.a.%04d", i%7, i)), Kind: agent.AskApproval,
				Opened: l.due().Add(time.Duration(i/3) * time.Microsecond), For: []string{"group:others"}}
			if i%400 == 399 || i == count-1 {
				a.For = []string{"ada"}
			}
			all = append(all, a)
		}
		l.openAsks(all)
		for _, a := range all {
			if a.For[0] == "ada" {
				rare = append(rare, a)
			}
		}
		sortAsks(rare)
		sortAsks(all)
		l.asks(memory.AskQuery{For: agent.User{ID: "ada"}}, rare...)
		l.asks(memory.AskQuery{For: agent.User{ID: "eve"}})
		var got []agent.AskID
		for q := (memory.AskQuery{Limit: 999}); ; {
			page, err := l.b.Asks(l.ctx, q)
			l.must(err)
			for _, a := range page.Asks {
				got = append(got, a.ID)
			}
			if q.After = page.Next; page.Next == "" {
				break
			}
			l.equal(len(page.Asks), 999, "the length of a page")
		}
		l.equal(got, idsOf(all), "all asks, in pages")
	},
	"filters runs by their parents": func(l *lab) {
		parents := map[agent.RunID]agent.RunID{"a1": "", "b1": "a1", "c1": "a1", "d1": "b1", "e1": "", "f1": "a1", "g1": agent.RunID(strings.Repeat("p", 128))}
		last := map[agent.RunID]memory.Position{}
		for _, run := range []agent.RunID{"a1", "b1", "c1", "d1", "e1", "f1", "g1"} {
			c := l.step(run, memory.Position{}, 1)
			c.Index.Parent = parents[run]
			switch run {
			case "c1":
				c.Index.Agent = "y"
			case "f1":
				c.Index.Wake = l.due()
			}
			last[run] = l.commit(c)
			l.pass(time.Microsecond)
		}
		l.runs(memory.RunQuery{Roots: true}, "e1", "a1")
		l.runs(memory.RunQuery{Parent: "a1"}, "f1", "c1", "b1")
		l.runs(memory.RunQuery{Parent: "a1", Agent: "x"}, "f1", "b1")
		l.runs(memory.RunQuery{Parent: "a1", Before: l.entry("f1").Updated}, "c1", "b1")
		l.runs(memory.RunQuery{Parent: "d1"})
		l.runs(memory.RunQuery{Parent: parents["g1"]}, "g1")
		l.runs(memory.RunQuery{Parent: "a1", Roots: true})
		l.runs(memory.RunQuery{Parent: "a1", Prefix: "b"}, "b1")
		l.runs(memory.RunQuery{}, "g1", "f1", "e1", "d1", "c1", "b1", "a1")
		next := func(run agent.RunID, records int) {
			c := l.step(run, last[run], records)
			c.Index.Parent = parents[run]
			last[run] = l.commit(c)
			l.equal(l.entry(run).Index.Parent, parents[run], "the parent of "+string(run))
		}
		next("b1", 1)
		next("c1", 0)
		next("a1", 1)
		l.must(l.a.Release(l.ctx, held(l.take(l.a, "f1"))))
		l.must(l.a.Erase(l.ctx, "e1"))
		l.sound()
		l.runs(memory.RunQuery{Roots: true}, "a1")
		l.runs(memory.RunQuery{Parent: "a1"}, "b1", "f1", "c1")
		l.must(l.a.Erase(l.ctx, "f1"))
		l.runs(memory.RunQuery{Parent: "a1"}, "b1", "c1")
	},
	"leaves what is Fermata's own out of the roots": func(l *lab) {
		for _, run := range []agent.RunID{"a1", "b1", "c1"} {
			c := l.step(run, memory.Position{}, 1)
			if run == "b1" {
				c.Index.Agent = "@own"
			}
			l.commit(c)
			l.pass(time.Microsecond)
		}
		l.runs(memory.RunQuery{Roots: true}, "c1", "a1")
		l.runs(memory.RunQuery{Roots: true, Agent: "@own"}, "b1")
		l.runs(memory.RunQuery{}, "c1", "b1", "a1")
	},
	"fills pages from many runs": func(l *lab) {
		const count = 1300 // more than is looked at at once
		var few []agent.RunID
		for i := range count {
			c := l.step(agent.RunID(fmt.Sprintf("r%04d", i)), memory.Position{}, 1)
			if c.Index.Parent = "root"; i%250 == 0 {
				c.Index.Parent = ""
				few = append([]agent.RunID{c.Run}, few...)
			}
			c.Records[0].Time = l.now().Add(time.Duration(i/3*3) * time.Microsecond)
			l.commit(c)
		}
		l.runs(memory.RunQuery{Roots: true}, few...)
		l.runs(memory.RunQuery{Statuses: []agent.Status{agent.StatusStuck}})
		seen := map[agent.RunID]bool{}
		for q := (memory.RunQuery{Parent: "root", Limit: 600}); ; {
			page, err := l.b.Runs(l.ctx, q)
			l.must(err)
			for _, e := range page.Runs {
				if seen[e.Run] {
					l.Fatalf("run %s is listed twice", e.Run)
				}
				seen[e.Run] = true
			}
			if q.After = page.Next; page.Next == "" {
				break
			}
			l.equal(len(page.Runs), 600, "the length of a page")
		}
		l.equal(len(seen), count-len(few), "delegates, in pages")
	},
}

// openAsks opens asks, each run's in one commit, and sets their Run and Agent as
// lists have them. It returns the ends of the logs.
func (l *lab) openAsks(asks []memory.AskEntry) map[agent.RunID]memory.Position {
	l.Helper()
	byRun := map[agent.RunID][]memory.AskEntry{}
	for i := range asks {
		run := asks[i].ID.Run()
		byRun[run] = append(byRun[run], asks[i])
		asks[i].Run, asks[i].Agent = run, "x"
	}
	ends := map[agent.RunID]memory.Position{}
	for run, opened := range byRun {
		c := l.step(run, memory.Position{}, 1)
		c.Opened = opened
		ends[run] = l.commit(c)
	}
	return ends
}

func idsOf(asks []memory.AskEntry) (ids []agent.AskID) {
	for _, a := range asks {
		ids = append(ids, a.ID)
	}
	return ids
}
