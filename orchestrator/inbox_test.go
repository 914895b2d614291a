package orchestrator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
)

// An office has asks of many kinds, for many people, of several agents. The prompt of
// each begins with its name.
type office struct {
	*testing.T
	o    *orchestrator.Orchestrator
	asks map[string]*agent.Ask
}

// newOffice opens the asks, in this order:
//
//	any     a choice for anybody
//	form    for finance, due in an hour
//	four    a question for bob, not for asker, due in two hours
//	taken   a question for finance but not for bob, claimed by cid
//	pay     an approval for the board, of the agent till
//	child   a question for eve, of a delegate
//	passed  a choice that was bob's, who delegated it to the board
func newOffice(t *testing.T, store memory.Store) *office {
	t.Helper()
	named := func(name string, kind agent.AskKind, change func(a *agent.Ask)) agent.Ask {
		ask := agent.Ask{Kind: kind, Prompt: name + "?"}
		if kind == agent.AskChoice {
			ask.Choices = []string{"red", "blue"}
		}
		if change != nil {
			change(&ask)
		}
		return ask
	}
	asks := map[string]agent.Ask{
		"any": named("any", agent.AskChoice, nil),
		"form": named("form", agent.AskForm, func(a *agent.Ask) {
			a.Schema, a.For, a.Within = raw(address), []string{"group:finance"}, time.Hour
		}),
		"four":   named("four", agent.AskQuestion, func(a *agent.Ask) { a.For, a.Not, a.Within = []string{"bob"}, []string{agent.TheUser}, 2*time.Hour }),
		"taken":  named("taken", agent.AskQuestion, func(a *agent.Ask) { a.For, a.Not = []string{"group:finance"}, []string{"bob"} }),
		"child":  named("child", agent.AskQuestion, func(a *agent.Ask) { a.For = []string{"eve"} }),
		"passed": named("passed", agent.AskChoice, func(a *agent.Ask) { a.For = []string{"bob"} }),
	}
	pay := newHand().tool("pay", agent.Once)
	till := caller(pay, `{}`, &agent.Ask{Prompt: "pay?", For: []string{"group:board"}})
	till.Name = "till"
	billing := questions(asks["child"])
	billing.Name = "billing"
	desk := &agent.Agent{Name: "desk", Delegates: []*agent.Agent{billing}, Planner: plan(func(v *agent.View) *agent.Move {
		ask, ok := asks[v.Messages[0].Text()]
		switch {
		case v.Steps > 0:
			return says("thanks")
		case v.Messages[0].Text() == "child" || !ok:
			return gives("billing", "ask")
		}
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &ask}}}
	})}
	o, err := orchestrator.New(store, []*agent.Agent{desk, till}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &office{t, o, map[string]*agent.Ask{}}
	for _, name := range []string{"any", "form", "four", "taken", "pay", "child", "passed"} {
		r := orchestrator.Request{Agent: "desk", Message: agent.Text(name), User: asker}
		if name == "pay" {
			r.Agent = "till"
		}
		res, err := o.Run(t.Context(), r)
		f.must(err)
		if len(res.Asks) != 1 {
			t.Fatalf("%s: the run is %+v", name, res)
		}
		f.asks[name] = res.Asks[0]
	}
	f.must(o.ClaimAsk(t.Context(), f.asks["taken"].ID, cid))
	f.must(o.DelegateAsk(t.Context(), f.asks["passed"].ID, bob, []string{"group:board"}, ""))
	return f
}

func (f *office) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// inbox lists the names of asks, page by page, and the pages' sizes.
func (f *office) inbox(q memory.AskQuery) (names []string) {
	f.Helper()
	for pages := 0; ; pages++ {
		asks, next, err := f.o.Asks(f.Context(), q)
		f.must(err)
		if q.Limit > 0 && (len(asks) > q.Limit || next != "" && len(asks) < q.Limit) {
			f.Errorf("a page has %d asks, want %d", len(asks), q.Limit)
		}
		for _, a := range asks {
			name, _, _ := strings.Cut(strings.TrimPrefix(a.Prompt, "May pay be called? "), "?")
			names = append(names, name)
		}
		if q.After = next; next == "" {
			return names
		}
		if pages > 20 {
			f.Fatal("the pages do not end")
		}
	}
}

// The inbox has, of all runs and their delegates, the asks that fit a query, the
// oldest first, on pages of any size.
func TestInboxQueries(t *testing.T) {
	try := func(t *testing.T, store memory.Store) {
		f := newOffice(t, store)
		all := []string{"any", "form", "four", "taken", "pay", "child", "passed"}
		hour := f.asks["form"].Due
		for name, c := range map[string]struct {
			q    memory.AskQuery
			want []string
		}{
			"all":                             {memory.AskQuery{}, all},
			"for asker":                       {memory.AskQuery{For: asker}, []string{"any", "form"}},
			"for bob":                         {memory.AskQuery{For: bob}, []string{"any", "form", "four", "passed"}},
			"for cid, who has claimed":        {memory.AskQuery{For: cid}, []string{"any", "form", "taken", "pay", "passed"}},
			"for dan, to whom one was passed": {memory.AskQuery{For: dan}, []string{"any", "pay", "passed"}},
			"for eve":                         {memory.AskQuery{For: eve}, []string{"any", "child"}},
			"for one without an id":           {memory.AskQuery{For: nameless}, []string{"any", "form"}},
			"for a stranger":                  {memory.AskQuery{For: agent.User{ID: "group:finance"}}, []string{"any"}},
			"of finance":                      {memory.AskQuery{Group: "finance"}, []string{"form", "taken"}},
			"of the board":                    {memory.AskQuery{Group: "board"}, []string{"pay", "passed"}},
			"of no group":                     {memory.AskQuery{Group: "group:board"}, nil},
			"approvals":                       {memory.AskQuery{Kind: agent.AskApproval}, []string{"pay"}},
			"questions":                       {memory.AskQuery{Kind: agent.AskQuestion}, []string{"four", "taken", "child"}},
			"choices":                         {memory.AskQuery{Kind: agent.AskChoice}, []string{"any", "passed"}},
			"forms":                           {memory.AskQuery{Kind: agent.AskForm}, []string{"form"}},
			"outcomes":                        {memory.AskQuery{Kind: agent.AskOutcome}, nil},
			"of the till":                     {memory.AskQuery{Agent: "till"}, []string{"pay"}},
			"of a delegate":                   {memory.AskQuery{Agent: "billing"}, []string{"child"}},
			"of a run":                        {memory.AskQuery{Run: f.asks["four"].ID.Run()}, []string{"four"}},
			"claimed by cid":                  {memory.AskQuery{Claimed: "cid"}, []string{"taken"}},
			"claimed by bob":                  {memory.AskQuery{Claimed: "bob"}, nil},
			"older":                           {memory.AskQuery{OpenedBefore: f.asks["taken"].Opened}, all[:3]},
			"oldest":                          {memory.AskQuery{OpenedBefore: f.asks["any"].Opened}, nil},
			"due":                             {memory.AskQuery{DueBefore: hour.Add(time.Microsecond)}, []string{"form"}},
			"not due yet":                     {memory.AskQuery{DueBefore: hour}, nil},
			"due some time":                   {memory.AskQuery{DueBefore: hour.Add(24 * time.Hour)}, []string{"form", "four"}},
			"several at once": {memory.AskQuery{
				For: bob, Group: "finance", Kind: agent.AskForm, Agent: "desk", OpenedBefore: f.asks["four"].Opened, DueBefore: hour.Add(time.Hour),
			}, []string{"form"}},
			"several, and one does not fit": {memory.AskQuery{For: bob, Kind: agent.AskForm, Group: "board"}, nil},
		} {
			for _, c.q.Limit = range []int{0, 1, 2, 7} {
				if got := f.inbox(c.q); !slices.Equal(got, c.want) {
					t.Errorf("%s, on pages of %d: got %q, want %q", name, c.q.Limit, got, c.want)
				}
			}
		}
		// What is shown is what may be answered.
		for name, ask := range f.asks {
			for _, u := range []agent.User{asker, bob, cid, dan, eve, nameless} {
				shown := slices.Contains(f.inbox(memory.AskQuery{For: u}), name)
				err := f.o.Answer(t.Context(), ask.ID, agent.Answer{By: u, Choice: "?"}) // which is never a choice
				if shown != refused(err, agent.RefusedInvalid) {
					t.Errorf("%s is in the inbox of %+v: %v; and to answer it gives %v", name, u, shown, err)
				}
			}
		}
		found(t, checked(t, f.o, false), "", false)
	}
	t.Run("memory", func(t *testing.T) { try(t, memorytest.NewStore(nil)) })
	eachStore(t, try)
}

// An ask of a delegate says on whose behalf it is, and by which way it was come to.
func TestInboxHasPaths(t *testing.T) {
	inLab(t, func(l *lab) {
		lookup := questions(forWhom(nil, []string{agent.TheUser}))
		lookup.Name = "lookup"
		billing := manager(lookup, "look it up")
		billing.Name = "billing"
		l.work(nil, manager(billing, "find out"))
		id := l.startFor(asker)
		shown := l.open(id)
		child := childOf(l, id, 0)
		grandchild := childOf(l, child, 0)
		ask := l.now(shown)
		want := []agent.Place{{Run: id, Agent: "desk"}, {Run: child, Agent: "billing"}, {Run: grandchild, Agent: "lookup"}}
		if !slices.Equal(ask.Path, want) || !slices.Equal(shown.Path, want) || ask.User.ID != "u1" || ask.Agent != "lookup" || ask.ID.Run() != grandchild {
			l.Errorf("the ask is %+v, want the path %+v", ask, want)
		}
		l.try(ask, agent.RefusedForbidden, l.answering(ask, red(asker))) // the root's user is the delegates'
		l.try(ask, "", l.answering(ask, red(bob)))
		l.rests(id, agent.StatusIdle)
	})
}

// Whatever happens to an open ask, the inbox has it once, in its old place, and as it
// is now.
func TestInboxHasTheLastWord(t *testing.T) {
	inLab(t, func(l *lab) {
		changing := chain(nil)
		changing.Remind = 45 * time.Minute
		other := forWhom(nil, nil)
		l.work(nil, questions(changing, other))
		id := l.startFor(asker)
		ask := l.rests(id, agent.StatusWaiting).Asks[0]
		listed := func(what string, u agent.User, ok func(a *agent.Ask) bool) {
			l.Helper()
			page, err := l.store.Asks(l.Context(), memory.AskQuery{})
			l.must(err)
			if len(page.Asks) != 2 || page.Asks[0].ID != ask.ID {
				l.Fatalf("%s: the list has %+v", what, page.Asks)
			}
			now, e := l.now(ask), page.Asks[0]
			if !ok(now) || !slices.Equal(e.For, now.For) || !slices.Equal(e.Not, now.Not) || e.Claimed != now.Claimed.ID || !e.Due.Equal(now.Due) || !e.Opened.Equal(ask.Opened) {
				l.Errorf("%s: the entry is %+v, and the ask %+v", what, e, now)
			}
			if mine, _, err := l.client.Asks(l.Context(), memory.AskQuery{For: u}); err != nil || len(mine) != 2 {
				l.Errorf("%s: the inbox of %s has %+v, %v", what, u.ID, mine, err)
			}
		}
		listed("opened", bob, func(a *agent.Ask) bool { return a.Stage == 0 })
		l.must(l.claiming(ask, bob)())
		listed("claimed", bob, func(a *agent.Ask) bool { return a.Claimed.ID == "bob" })
		l.must(l.releasing(ask, bob)())
		listed("released", bob, func(a *agent.Ask) bool { return a.Claimed.IsZero() })
		l.must(l.delegating(ask, bob, "eve")())
		listed("delegated", eve, func(a *agent.Ask) bool { return a.Delegated.ID == "bob" && a.Note == "please" })
		l.after(50 * time.Minute)
		listed("reminded of", eve, func(a *agent.Ask) bool { return a.Reminded == 1 })
		l.after(15 * time.Minute)
		listed("escalated", cid, func(a *agent.Ask) bool {
			return a.Stage == 1 && a.Delegated.IsZero() && a.Note == "" && len(a.Escalate) == 1
		})
		l.must(l.answering(ask, red(cid))())
		if asks, _, err := l.client.Asks(l.Context(), memory.AskQuery{Run: id}); err != nil || len(asks) != 1 || asks[0].ID == ask.ID {
			l.Errorf("after the answer the inbox has %+v, %v", asks, err)
		}
	})
}

// A check finds an entry of the inbox that does not say what the log does: of people
// too, by which a store selects without looking into the ask.
func TestCheckOfTheInbox(t *testing.T) {
	entry := func(change func(e *memory.AskEntry)) func(*beside, *memory.Commit) {
		return func(b *beside, c *memory.Commit) {
			e := b.asks[0]
			e.For, e.Not = slices.Clone(e.For), slices.Clone(e.Not)
			change(&e)
			c.Opened = append(c.Opened, e)
		}
	}
	otherwise := "otherwise than in its log"
	disturbances := []struct {
		name string
		how  func(*beside, *memory.Commit)
		says string
	}{
		{"missing", func(b *beside, c *memory.Commit) { c.Closed = []agent.AskID{b.asks[0].ID} }, "not in the list of asks"},
		{"one too many", entry(func(e *memory.AskEntry) { e.ID += "0" }), "which is not open"},
		{"for one more", entry(func(e *memory.AskEntry) { e.For = append(e.For, "mal") }), otherwise},
		{"for another", entry(func(e *memory.AskEntry) { e.For[0] = "mal" }), otherwise},
		{"for anybody", entry(func(e *memory.AskEntry) { e.For = nil }), otherwise},
		{"not for one more", entry(func(e *memory.AskEntry) { e.Not = append(e.Not, "cid") }), otherwise},
		{"not for nobody", entry(func(e *memory.AskEntry) { e.Not = nil }), otherwise},
		{"claimed by another", entry(func(e *memory.AskEntry) { e.Claimed = "mal" }), otherwise},
		{"not claimed", entry(func(e *memory.AskEntry) { e.Claimed = "" }), otherwise},
		{"due later", entry(func(e *memory.AskEntry) { e.Due = e.Due.Add(time.Hour) }), otherwise},
		{"never due", entry(func(e *memory.AskEntry) { e.Due = time.Time{} }), otherwise},
		{"of another kind", entry(func(e *memory.AskEntry) { e.Kind = agent.AskForm }), otherwise},
		{"opened before", entry(func(e *memory.AskEntry) { e.Opened = e.Opened.Add(-time.Second) }), otherwise},
		{"claimed in the ask itself", entry(func(e *memory.AskEntry) { e.Data = []byte(strings.Replace(string(e.Data), `"cid"`, `"mal"`, 1)) }), otherwise},
	}
	try := func(t *testing.T, store memory.Store) {
		ask := forWhom([]string{"group:finance", "cid"}, []string{"bob"})
		ask.Within = 24 * time.Hour
		o, err := orchestrator.New(store, []*agent.Agent{questions(ask)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := o.Run(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go"), User: asker})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.ClaimAsk(t.Context(), res.Asks[0].ID, cid); err != nil {
			t.Fatal(err)
		}
		for _, d := range disturbances {
			was := disturb(t, store, res.Run, d.how)
			if now := besideOf(t, store, res.Run); now.equal(was) {
				t.Fatalf("%s: nothing was disturbed", d.name)
			}
			got := checked(t, o, false)
			if len(got) != 1 || !strings.Contains(got[0].What, d.says) {
				t.Errorf("%s: the check has found %+v, want %q", d.name, got, d.says)
			}
			found(t, checked(t, o, true), res.Run, true, d.says)
			if now := besideOf(t, store, res.Run); !now.equal(was) {
				t.Errorf("%s: it was %+v, and after the repair it is %+v", d.name, was, now)
			}
			found(t, checked(t, o, false), res.Run, false)
		}
		if err := o.Answer(t.Context(), res.Asks[0].ID, red(cid)); err != nil {
			t.Errorf("after all that it takes no answer: %v", err)
		}
	}
	t.Run("memory", func(t *testing.T) { try(t, memorytest.NewStore(nil)) })
	eachStore(t, try)
}
