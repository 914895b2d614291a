package orchestrator_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// The people of these tests. Runs are started on behalf of asker, who is in finance
// as well.
var (
	asker    = agent.User{ID: "u1", Name: "Ann", Groups: []string{"finance"}}
	bob      = agent.User{ID: "bob", Groups: []string{"finance"}}
	cid      = agent.User{ID: "cid", Groups: []string{"finance", "board"}}
	dan      = agent.User{ID: "dan", Groups: []string{"board"}}
	eve      = agent.User{ID: "eve"}
	nameless = agent.User{Name: "bob", Groups: []string{"finance"}} // of whom no id is known
	nobody   = agent.User{}
)

// cameTo is what an action came to, as its planner is told.
func cameTo(c *agent.Closed) string {
	return strings.TrimSpace(string(c.Outcome) + ": " + agent.PlainText(c.Content) + " " + c.By.ID)
}

// once makes the agent "desk", which does all of this at once and, when all of it has
// ended, says what it came to and is done.
func once(actions func(v *agent.View) []agent.Action) *agent.Agent {
	return &agent.Agent{Name: "desk", Planner: plan(func(v *agent.View) *agent.Move {
		if v.Steps == 0 {
			return &agent.Move{Actions: actions(v)}
		}
		var came []string
		for _, n := range v.News {
			if n.Closed != nil {
				came = append(came, cameTo(n.Closed))
			}
		}
		return &agent.Move{Message: agent.Said(strings.Join(came, "; ")), Finish: true}
	})}
}

// questions makes an agent that asks all of these.
func questions(asks ...agent.Ask) *agent.Agent {
	return once(func(*agent.View) (actions []agent.Action) {
		for i := range asks {
			actions = append(actions, agent.Action{Kind: agent.ActAsk, Ask: &asks[i]})
		}
		return actions
	})
}

// caller makes an agent that calls a tool, perhaps with an approval that it wants
// itself.
func caller(t *agent.Tool, args string, wants *agent.Ask) *agent.Agent {
	a := once(func(*agent.View) []agent.Action {
		return []agent.Action{{Kind: agent.ActCall, Name: t.Name, Args: raw(args), Ask: wants}}
	})
	a.Tools = []*agent.Tool{t}
	return a
}

// startFor starts a run of desk on somebody's behalf.
func (l *lab) startFor(u agent.User) agent.RunID {
	l.Helper()
	id, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go"), User: u})
	l.must(err)
	return id
}

// asked has a worker with this agent, a run of asker, and the one thing that it asks.
func (l *lab) asked(a *agent.Agent) *agent.Ask {
	l.Helper()
	l.work(nil, a)
	return l.open(l.startFor(asker))
}

// left is what a run of asker asks, whose worker has gone since.
func (l *lab) left(a *agent.Agent) []*agent.Ask {
	l.Helper()
	o, err := orchestrator.New(l.store.Another(), []*agent.Agent{a}, nil)
	l.must(err)
	stop := l.until(o)
	defer stop()
	return l.rests(l.startFor(asker), agent.StatusWaiting).Asks
}

// open waits until the run asks, and returns its one ask.
func (l *lab) open(id agent.RunID) *agent.Ask {
	l.Helper()
	res := l.rests(id, agent.StatusWaiting)
	if len(res.Asks) != 1 {
		l.Fatalf("want one ask, got %+v\n%s", res.Asks, l.log(id))
	}
	return res.Asks[0]
}

// now returns an open ask as the inbox has it by now.
func (l *lab) now(ask *agent.Ask) *agent.Ask {
	l.Helper()
	asks, _, err := l.client.Asks(l.Context(), memory.AskQuery{Run: ask.ID.Run()})
	l.must(err)
	for _, a := range asks {
		if a.ID == ask.ID {
			return a
		}
	}
	l.Fatalf("ask %s is not in the inbox\n%s", ask.ID, l.log(ask.ID.Run()))
	return nil
}

// try checks what came of doing something to an ask: it was refused as kind says,
// with these words, and the log is as it was; or, with the kind "", accepted.
func (l *lab) try(ask *agent.Ask, kind agent.RefusalKind, do func() error, says ...string) {
	l.Helper()
	l.after(0) // whoever is at it comes to rest
	before := l.state(ask.ID.Run()).Seq
	err := do()
	if kind == "" {
		l.must(err)
		return
	}
	if l.refused(err, kind); err == nil {
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			l.Errorf("the refusal %q does not say %q", err, s)
		}
	}
	if after := l.state(ask.ID.Run()).Seq; after != before {
		l.Errorf("refused as %s, and the log has grown from %d to %d\n%s", kind, before, after, l.log(ask.ID.Run()))
	}
}

// These are what one can do to an ask.
func (l *lab) answering(ask *agent.Ask, a agent.Answer) func() error {
	return func() error { return l.client.Answer(l.Context(), ask.ID, a) }
}

func (l *lab) claiming(ask *agent.Ask, by agent.User) func() error {
	return func() error { return l.client.ClaimAsk(l.Context(), ask.ID, by) }
}

func (l *lab) releasing(ask *agent.Ask, by agent.User) func() error {
	return func() error { return l.client.ReleaseAsk(l.Context(), ask.ID, by) }
}

func (l *lab) delegating(ask *agent.Ask, by agent.User, to ...string) func() error {
	return func() error { return l.client.DelegateAsk(l.Context(), ask.ID, by, to, "please") }
}

// red is somebody's answer to colour.
func red(by agent.User) agent.Answer { return agent.Answer{Choice: "red", By: by} }

// forWhom is colour, without an end, for these people and not for those.
func forWhom(these, not []string) agent.Ask {
	return agent.Ask{Kind: agent.AskChoice, Prompt: "Which colour?", Choices: []string{"red", "blue"}, For: these, Not: not}
}

// said checks what a run has said at its end.
func (l *lab) said(id agent.RunID, want string) {
	l.Helper()
	if res := l.rests(id, agent.StatusDone); res.Text != want {
		l.Errorf("the planner was told %q, want %q\n%s", res.Text, want, l.log(id))
	}
}

const address = `{"type":"object","properties":{"street":{"type":"string","minLength":1},"zip":{"type":"integer"}},"required":["street","zip"],"additionalProperties":false}`

// Of each kind of question, what does not fit is refused with the reason, and what
// fits is told to the planner.
func TestKindsOfQuestions(t *testing.T) {
	type bad struct {
		answer agent.Answer
		says   string
	}
	value := func(v string) agent.Answer { return agent.Answer{Value: raw(v), By: bob} }
	for name, c := range map[string]struct {
		ask  agent.Ask
		bad  []bad
		good agent.Answer
		told string
	}{
		"question": {
			agent.Ask{Kind: agent.AskQuestion, Prompt: "How many?", Schema: raw(`{"type":"integer","minimum":1}`)},
			[]bad{
				{value(`"two"`), "expected an integer"}, {value(`0`), "must be ≥ 1"}, {value(`1.5`), "integer"},
				{value(`{`), "is not JSON"}, {value("\"\xff\""), "UTF-8"}, {agent.Answer{By: bob}, "the answer is empty"},
				{agent.Answer{Choice: "red", Value: raw(`2`), By: bob}, "has no choices"},
			},
			value(`2`), "answered: 2 bob",
		},
		"question without a schema": {
			agent.Ask{Kind: agent.AskQuestion, Prompt: "And?"},
			[]bad{{agent.Answer{Note: "hm", By: bob}, "the answer is empty"}, {value(`{"a":1,"a":2}`), "duplicate"}},
			value(`{"a":[1,null]}`), `answered: {"a":[1,null]} bob`,
		},
		"choice": {
			forWhom(nil, nil),
			[]bad{{agent.Answer{Choice: "green", By: bob}, `takes one of ["red" "blue"]`}, {agent.Answer{Choice: "Red", By: bob}, `"Red" came`}, {value(`"red"`), `"" came`}},
			red(bob), "answered: red bob",
		},
		"choice with a note": {forWhom(nil, nil), nil, agent.Answer{Choice: "red", Note: "the dark one", By: bob}, `answered: {"choice":"red","note":"the dark one"} bob`},
		"form": {
			agent.Ask{Kind: agent.AskForm, Prompt: "Where to?", Schema: raw(address)},
			[]bad{
				{value(`{"street":"Main St"}`), `missing required field "zip"`}, {value(`{"street":"","zip":1}`), "street"},
				{value(`{"street":"Main St","zip":"1"}`), "zip: expected an integer"}, {value(`{"street":"Main St","zip":1,"floor":2}`), "floor"},
				{value(`[]`), "expected an object"}, {agent.Answer{By: bob}, "the answer is empty"},
			},
			value(`{"street":"Main St","zip":12345}`), `answered: {"street":"Main St","zip":12345} bob`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				ask := l.asked(questions(c.ask))
				for _, b := range c.bad {
					l.try(ask, agent.RefusedInvalid, l.answering(ask, b.answer), b.says)
				}
				l.try(ask, "", l.answering(ask, c.good))
				l.said(ask.ID.Run(), c.told)
			})
		})
	}
}

// What is answered to a choice beside the choice is told beside it, and never in its
// stead.
func TestChoiceWithAValue(t *testing.T) {
	inLab(t, func(l *lab) {
		ask := l.asked(questions(forWhom(nil, nil)))
		l.try(ask, "", l.answering(ask, agent.Answer{Choice: "red", Value: raw(`"blue"`), By: bob}))
		l.said(ask.ID.Run(), `answered: {"choice":"red","value":"blue"} bob`)
	})
}

// An approval takes four answers. What an approver gives in the stead of the arguments,
// or of the result, has to fit as the original would have; what was approved is in the
// log, with who and when.
func TestAnswersToApprovals(t *testing.T) {
	for name, c := range map[string]struct {
		bad    []agent.Answer
		says   string
		good   agent.Answer
		told   string
		called string // with which arguments
		digest string // of what was approved, in the log
	}{
		"approve": {
			[]agent.Answer{{}, {Choice: "yes"}, {Choice: "Approve"}}, `takes one of ["approve" "edit" "deny" "instead"]`,
			agent.Answer{Choice: agent.Approve}, "returned: paid", `{"sum":70}`, run.Digest(raw(`{"sum":70}`)),
		},
		"edit": {
			[]agent.Answer{{Choice: agent.Edit, Value: raw(`{"sum":700}`)}, {Choice: agent.Edit, Value: raw(`{"sum":70,"sum":7}`)}, {Choice: agent.Edit, Value: raw(`{}`)}}, "sum",
			agent.Answer{Choice: agent.Edit, Value: raw(`{ "sum": 7 }`)}, "returned: paid", `{"sum":7}`, run.Digest(raw(`{"sum":7}`)),
		},
		"edit without arguments": {
			[]agent.Answer{{Choice: agent.Edit}}, "the arguments to use",
			agent.Answer{Choice: agent.Approve}, "returned: paid", `{"sum":70}`, run.Digest(raw(`{"sum":70}`)),
		},
		"instead": {
			[]agent.Answer{{Choice: agent.Instead, Value: raw(`7`)}, {Choice: agent.Instead, Value: raw(`{"text":"paid"}`)}}, "expected a string",
			agent.Answer{Choice: agent.Instead, Value: raw(`"paid by hand"`)}, "answered: paid by hand bob", "", "",
		},
		"instead without a result": {
			[]agent.Answer{{Choice: agent.Instead}}, "the result to give",
			agent.Answer{Choice: agent.Instead, Value: raw(`"paid by hand"`)}, "answered: paid by hand bob", "", "",
		},
		"approve other arguments": {
			[]agent.Answer{{Choice: agent.Approve, Value: raw(`{"sum":7}`)}, {Choice: agent.Deny, Value: raw(`"paid"`)}}, `other arguments are given with "edit"`,
			agent.Answer{Choice: agent.Approve, Value: raw(`null`)}, "returned: paid", `{"sum":70}`, run.Digest(raw(`{"sum":70}`)),
		},
		"deny":               {nil, "", agent.Answer{Choice: agent.Deny, Note: "too much"}, "denied: too much bob", "", ""},
		"deny without words": {nil, "", agent.Answer{Choice: agent.Deny}, "denied: no reason was given bob", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				var called atomic.Value
				called.Store("")
				pay := &agent.Tool{
					Name: "pay", Approve: agent.Always, Output: raw(`{"type":"string"}`),
					Input: raw(`{"type":"object","properties":{"sum":{"type":"integer","maximum":500}},"required":["sum"]}`),
					Call: func(_ ctx, args raw) (raw, error) {
						called.Store(string(args))
						return raw(`"paid"`), nil
					},
				}
				ask := l.asked(caller(pay, `{"sum":70}`, nil))
				if ask.Kind != agent.AskApproval || ask.Tool != "pay" || string(ask.Args) != `{"sum":70}` || ask.Digest != run.Digest(ask.Args) {
					l.Errorf("the ask is %+v", ask)
				}
				for _, b := range c.bad {
					b.By = bob
					l.try(ask, agent.RefusedInvalid, l.answering(ask, b), c.says)
				}
				l.try(ask, agent.RefusedConflict, l.answering(ask, agent.Answer{Choice: agent.Approve, Digest: run.Digest(raw(`{"sum":7}`)), By: bob}), "not the ones that were shown")
				l.after(time.Minute)
				at, good := time.Now(), c.good
				good.By, good.Digest = bob, ask.Digest
				l.try(ask, "", l.answering(ask, good))
				l.said(ask.ID.Run(), c.told)
				if got := called.Load(); got != c.called {
					l.Errorf("it was called with %q, want %q", got, c.called)
				}
				l.answerInLog(ask, bob, at, c.digest)
			})
		})
	}
}

// answerInLog checks what the log has of the one answer to an ask.
func (l *lab) answerInLog(ask *agent.Ask, by agent.User, at time.Time, digest string) {
	l.Helper()
	log, n := l.log(ask.ID.Run()), 0
	for _, r := range log.Records {
		e, ok := r.Event.(*run.Answered)
		if !ok || e.Ask != ask.ID {
			continue
		}
		n++
		if e.Answer.By.ID != by.ID || !slices.Equal(e.Answer.By.Groups, by.Groups) || !r.Time.Equal(at) || e.Digest != digest {
			l.Errorf("the log has the answer %+v at %s; want one by %s at %s that approved %q", e, r.Time, by.ID, at, digest)
		}
	}
	if n != 1 {
		l.Errorf("the log has %d answers\n%s", n, log)
	}
	if end := log.State.Asked[ask.ID]; end.How != "answered" || end.By != by.ID || !end.At.Equal(at) {
		l.Errorf("the ask has ended as %+v", end)
	}
}

// Whom an ask is for may answer it and sees it in their inbox; nobody else does
// either.
func TestWhoMayAnswer(t *testing.T) {
	finance, board := "group:finance", "group:board"
	everybody := map[string]agent.User{
		"asker": asker, "bob": bob, "cid": cid, "dan": dan, "eve": eve, "nameless": nameless, "nobody": nobody,
		"finance as an id": {ID: finance}, "bob as a group": {ID: "x", Groups: []string{"bob", finance}}, "@user": {ID: agent.TheUser},
	}
	inLab(t, func(l *lab) {
		cases := map[string]struct {
			these, not []string
			may        []string
		}{
			"anybody":                    {nil, nil, []string{"asker", "bob", "cid", "dan", "eve", "nameless", "nobody", "finance as an id", "bob as a group", "@user"}},
			"a user":                     {[]string{"bob"}, nil, []string{"bob"}},
			"two users":                  {[]string{"bob", "eve"}, nil, []string{"bob", "eve"}},
			"a group":                    {[]string{finance}, nil, []string{"asker", "bob", "cid", "nameless"}},
			"a group and a user":         {[]string{board, "eve"}, nil, []string{"cid", "dan", "eve"}},
			"the user":                   {[]string{agent.TheUser}, nil, []string{"asker"}},
			"four eyes":                  {nil, []string{agent.TheUser}, []string{"bob", "cid", "dan", "eve", "finance as an id", "bob as a group", "@user"}},
			"four eyes of a group":       {[]string{finance}, []string{agent.TheUser}, []string{"bob", "cid"}},
			"a group but for another":    {[]string{finance}, []string{board}, []string{"asker", "bob"}},
			"a user that is out as well": {[]string{"bob", "eve"}, []string{"bob"}, []string{"eve"}},
			"everybody but a group":      {nil, []string{finance}, []string{"dan", "eve", "finance as an id", "bob as a group", "@user"}},
		}
		l.work(nil, once(func(v *agent.View) []agent.Action {
			c := cases[v.Messages[0].Text()]
			ask := forWhom(c.these, c.not)
			return []agent.Action{{Kind: agent.ActAsk, Ask: &ask}}
		}))
		for name, c := range cases {
			id, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text(name), User: asker})
			l.must(err)
			ask := l.open(id)
			for who, u := range everybody {
				may := slices.Contains(c.may, who)
				if listed, _, err := l.client.Asks(l.Context(), memory.AskQuery{Run: id, For: u}); !u.IsZero() && (err != nil || (len(listed) == 1) != may) {
					l.Errorf("%s: the inbox of %s has %d asks, %v", name, who, len(listed), err)
				}
				if !may {
					l.try(ask, agent.RefusedForbidden, l.answering(ask, red(u)))
					l.try(ask, agent.RefusedForbidden, l.claiming(ask, u))
					l.try(ask, agent.RefusedForbidden, l.releasing(ask, u))
					l.try(ask, agent.RefusedForbidden, l.delegating(ask, u, "eve"))
				}
			}
			first := everybody[c.may[len(name)%len(c.may)]]
			l.try(ask, "", l.answering(ask, red(first)))
			l.said(id, strings.TrimSpace("answered: red "+first.ID))
		}
	})
}

// Whose id is spelled as a group is, or as the user of a run is named, comes into no list of
// people: there it would let the group answer, and keep nobody from it.
func TestUsersWhoseIDsAreNone(t *testing.T) {
	inLab(t, func(l *lab) {
		for _, id := range []string{"group:finance", "group:", agent.TheUser} {
			_, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go"), User: agent.User{ID: id}})
			l.refused(err, agent.RefusedInvalid)
		}
		ask := l.asked(questions(forWhom(nil, nil)))
		l.try(ask, agent.RefusedInvalid, l.delegating(ask, agent.User{ID: "group:finance"}, "dan"), "is not the id of a user")
		l.try(ask, "", l.delegating(ask, bob, "dan"))
	})
}

// A time that no log can hold is refused, and so is more about a user than a record holds.
func TestRequestsThatCannotBeRecorded(t *testing.T) {
	inLab(t, func(l *lab) {
		for what, r := range map[string]orchestrator.Request{
			"a deadline": {Deadline: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)},
			"a user":     {User: agent.User{ID: "ann", Name: strings.Repeat("n", run.MaxInput)}},
			"an id":      {User: agent.User{ID: "ann\xff"}},
		} {
			r.Agent = "desk"
			_, err := l.client.Start(l.Context(), r)
			if !refused(err, agent.RefusedInvalid) {
				l.Errorf("%s: got %v, want a refusal as invalid", what, err)
			}
		}
	})
}

// Where nobody knows who a run's user is, what only they may decide, or only others,
// is not asked and not done, and the planner is told.
func TestUnknownRequester(t *testing.T) {
	rule := func(ask agent.Ask) agent.Approval {
		return func(ctx, agent.CallInfo, raw) (*agent.Ask, error) { return &ask, nil }
	}
	fourEyes := agent.Ask{Prompt: "four eyes", Not: []string{agent.TheUser}}
	later := forWhom([]string{"bob"}, nil)
	later.Within, later.Escalate = time.Hour, []agent.Escalation{{For: []string{agent.TheUser}}}
	for name, desk := range map[string]func(h *hand) *agent.Agent{
		"for the user":       func(*hand) *agent.Agent { return questions(forWhom([]string{agent.TheUser}, nil)) },
		"not for the user":   func(*hand) *agent.Agent { return questions(forWhom(nil, []string{agent.TheUser})) },
		"for the user later": func(*hand) *agent.Agent { return questions(later) },
		"a tool's rule": func(h *hand) *agent.Agent {
			return caller(h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = rule(fourEyes) }), `{}`, nil)
		},
		"the planner's own wish": func(h *hand) *agent.Agent { return caller(h.tool("act", agent.Once), `{}`, &fourEyes) },
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				l.work(nil, desk(h))
				id := l.startFor(agent.User{Name: "Ann", Groups: []string{"finance"}}) // a name says nothing
				l.said(id, "failed: it is to be answered by the user of this run, or by anybody else, and who the user is was not said when the run was started")
				if len(h.calls) != 0 {
					l.Error("the call was made")
				}
			})
		})
	}
}

// An id that an ask would take for a group, or for whoever the user is, is nobody's: it
// would let its owner, or others, decide what they may not.
func TestIdsThatAreGroups(t *testing.T) {
	for _, id := range []string{"group:finance", "group:", agent.TheUser} {
		inLab(t, func(l *lab) {
			odd := agent.User{ID: id, Groups: []string{"finance"}}
			_, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go"), User: odd})
			if l.refused(err, agent.RefusedInvalid); !mentions(err, "is not the id of a user") {
				t.Errorf("as %s: %v", id, err)
			}
			ask := l.asked(questions(forWhom([]string{"group:finance"}, nil)))
			l.try(ask, agent.RefusedInvalid, l.delegating(ask, odd, "dan"), "is not the id of a user")
		})
	}
}

// What is for people who may not decide it, and would wait for them without an end, is not
// asked and not done, and the planner is told. With an end it is asked: others may come.
func TestAsksForNobody(t *testing.T) {
	timed := func(ask agent.Ask, steps ...agent.Escalation) agent.Ask {
		ask.Within, ask.Escalate = time.Hour, steps
		return ask
	}
	self := forWhom([]string{"u1"}, []string{agent.TheUser})
	fourEyes := agent.Ask{Prompt: "four eyes", For: []string{"u1"}, Not: []string{agent.TheUser}}
	rule := func(ctx, agent.CallInfo, raw) (*agent.Ask, error) { return &fourEyes, nil }
	const nobody = "failed: nobody could answer it: it is for %s, and none of these may decide it"
	for name, c := range map[string]struct {
		desk func(h *hand) *agent.Agent
		want string // "" if it is asked
	}{
		"the user alone, who may not": {func(*hand) *agent.Agent { return questions(self) }, fmt.Sprintf(nobody, "u1")},
		"a tool's rule": {func(h *hand) *agent.Agent {
			return caller(h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = rule }), `{}`, nil)
		}, fmt.Sprintf(nobody, "u1")},
		"at the end of its chain": {func(*hand) *agent.Agent {
			return questions(timed(forWhom([]string{"bob"}, []string{"cid", "dan"}), agent.Escalation{For: []string{"dan", "cid"}}))
		}, ""},
		"a group, of which some may": {func(*hand) *agent.Agent {
			return questions(forWhom([]string{"group:finance"}, []string{agent.TheUser}))
		}, ""},
		"the user alone, for an hour": {func(*hand) *agent.Agent { return questions(timed(self)) }, ""},
		"the user, and then others": {func(*hand) *agent.Agent {
			return questions(timed(self, agent.Escalation{For: []string{"bob"}}))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				l.work(nil, c.desk(h))
				id := l.startFor(asker)
				if c.want == "" {
					l.open(id)
					return
				}
				l.said(id, c.want)
				if len(h.calls) != 0 {
					l.Error("the call was made")
				}
			})
		})
	}
}

// The last people of a chain, who would be asked without an end, are left out if none of
// them may decide it: those before them may, and then it expires.
func TestEscalationToNobody(t *testing.T) {
	inLab(t, func(l *lab) {
		ask := forWhom([]string{"bob"}, []string{"cid", agent.TheUser})
		ask.Within, ask.Escalate = time.Hour, []agent.Escalation{{For: []string{"eve"}, Within: time.Hour}, {For: []string{agent.TheUser, "cid"}}}
		l.work(nil, questions(ask))
		id := l.startFor(asker)
		if got := l.open(id); len(got.Escalate) != 1 {
			l.Errorf("the ask goes on with %+v, want eve alone", got.Escalate)
		}
		l.after(2 * time.Hour)
		l.said(id, "expired: nobody answered in time")
	})
}

// An agent's operators answer what Fermata asks by itself, and nothing else.
func TestOperators(t *testing.T) {
	operated := func(a *agent.Agent) *agent.Agent {
		a.Operators = []string{"group:board"}
		return a
	}
	broken := &agent.Tool{Name: "act", Call: func(ctx, raw) (raw, error) { return nil, errors.New("no reply") }}
	limited := operated(&agent.Agent{Name: "desk", Limits: agent.Limits{TurnSteps: 1}, Tools: []*agent.Tool{newHand().tool("act", agent.ReadOnly)}, Planner: plan(func(v *agent.View) *agent.Move {
		if v.Steps == 0 {
			return &agent.Move{Actions: []agent.Action{{Kind: agent.ActCall, Name: "act", Args: raw(`{}`)}}}
		}
		return &agent.Move{Message: agent.Said("went on"), Finish: true}
	})})
	for name, c := range map[string]struct {
		desk   *agent.Agent
		kind   agent.AskKind
		answer agent.Answer
		who    agent.User // an operator, if the ask is theirs
		others agent.RefusalKind
		said   string
	}{
		"outcome":  {operated(caller(broken, `{}`, nil)), agent.AskOutcome, agent.Answer{Choice: agent.NotHappened}, dan, agent.RefusedForbidden, "failed: it did not take place dan"},
		"limit":    {limited, agent.AskLimit, agent.Answer{Choice: agent.Continue}, dan, agent.RefusedForbidden, "went on"},
		"approval": {operated(caller(newHand().tool("act", agent.Once, func(t *agent.Tool) { t.Approve = agent.Always }), `{}`, nil)), agent.AskApproval, agent.Answer{Choice: agent.Approve}, eve, "", "returned: done"},
		"question": {operated(questions(forWhom(nil, nil))), agent.AskChoice, agent.Answer{Choice: "red"}, eve, "", "answered: red eve"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				ask := l.asked(c.desk)
				if ask.Kind != c.kind || (len(ask.For) == 0) != (c.others == "") {
					l.Fatalf("the ask is %+v", ask)
				}
				if c.others != "" {
					for _, u := range []agent.User{asker, bob, eve, nobody} {
						a := c.answer
						a.By = u
						l.try(ask, c.others, l.answering(ask, a))
					}
				}
				c.answer.By = c.who
				if c.kind == agent.AskOutcome || c.kind == agent.AskLimit {
					a := c.answer
					a.Value = raw(`{"sum":7}`)
					l.try(ask, agent.RefusedInvalid, l.answering(ask, a), "takes no value")
				}
				l.try(ask, "", l.answering(ask, c.answer))
				l.said(ask.ID.Run(), c.said)
			})
		})
	}
}

// Where the operator is the run's user, and nobody knows who that is, it is anybody else
// among the operators, or else anybody: what became of a call has to be told by somebody.
func TestOperatorsOfAnUnknownUser(t *testing.T) {
	broken := &agent.Tool{Name: "act", Call: func(ctx, raw) (raw, error) { return nil, errors.New("no reply") }}
	for name, c := range map[string]struct {
		operators []string
		user      agent.User
		want      []string
		by        agent.User
	}{
		"nobody else":      {[]string{agent.TheUser}, agent.User{Name: "Ann"}, nil, nobody},
		"somebody else":    {[]string{"group:board", agent.TheUser}, nobody, []string{"group:board"}, dan},
		"a user one knows": {[]string{agent.TheUser}, asker, []string{"u1"}, asker},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				desk := caller(broken, `{}`, nil)
				desk.Operators = c.operators
				l.work(nil, desk)
				ask := l.open(l.startFor(c.user))
				if ask.Kind != agent.AskOutcome || !slices.Equal(ask.For, c.want) {
					l.Errorf("the ask is for %q, want %q: %+v", ask.For, c.want, ask)
				}
				l.try(ask, "", l.answering(ask, agent.Answer{By: c.by, Choice: agent.NotHappened}))
				if res := l.rests(ask.ID.Run(), agent.StatusDone); !strings.HasPrefix(res.Text, "failed: it did not take place") {
					l.Errorf("got %q", res.Text)
				}
			})
		})
	}
}

// Who has claimed an ask is the only one who may answer it.
func TestClaimAsk(t *testing.T) {
	inLab(t, func(l *lab) {
		ask := l.asked(questions(forWhom([]string{"group:finance"}, nil)))
		id := ask.ID.Run()
		l.try(ask, agent.RefusedForbidden, l.claiming(ask, eve), "for group:finance, and not for eve")
		l.try(ask, agent.RefusedInvalid, l.claiming(ask, nameless), "was not said")
		l.try(ask, "", l.claiming(ask, bob))
		if now := l.now(ask); now.Claimed.ID != "bob" || !slices.Equal(now.For, ask.For) {
			l.Errorf("after the claim the ask is %+v", now)
		}
		records := l.state(id).Seq
		l.try(ask, "", l.claiming(ask, bob))
		if l.state(id).Seq != records {
			l.Errorf("to claim one's own again is in the log\n%s", l.log(id))
		}
		l.try(ask, agent.RefusedConflict, l.claiming(ask, cid), "claimed by bob")
		l.try(ask, agent.RefusedConflict, l.claiming(ask, nameless), "claimed by bob")
		l.try(ask, agent.RefusedConflict, l.answering(ask, red(cid)), "claimed by bob")
		l.try(ask, agent.RefusedConflict, l.answering(ask, red(nameless)), "claimed by bob")
		l.try(ask, agent.RefusedConflict, l.delegating(ask, cid, "eve"), "claimed by bob")
		l.try(ask, agent.RefusedForbidden, l.claiming(ask, eve), "not for eve")
		l.try(ask, "", l.answering(ask, red(bob)))
		l.try(ask, agent.RefusedConflict, l.claiming(ask, bob), "answered already by bob")
		l.said(id, "answered: red bob")
	})
}

// A claim goes back with whoever has it, or with any other whom the ask is for.
func TestReleaseAsk(t *testing.T) {
	inLab(t, func(l *lab) {
		ask := l.asked(questions(forWhom([]string{"group:finance"}, nil)))
		id := ask.ID.Run()
		for _, by := range []agent.User{bob, cid} {
			l.try(ask, "", l.claiming(ask, bob))
			l.try(ask, agent.RefusedForbidden, l.releasing(ask, eve), "not for eve")
			l.try(ask, "", l.releasing(ask, by))
			if now := l.now(ask); !now.Claimed.IsZero() {
				l.Errorf("released by %s, it is claimed by %+v", by.ID, now.Claimed)
			}
		}
		records := l.state(id).Seq
		l.try(ask, "", l.releasing(ask, cid))
		if l.state(id).Seq != records {
			l.Errorf("to release what nobody has claimed is in the log\n%s", l.log(id))
		}
		l.try(ask, "", l.claiming(ask, cid))
		l.try(ask, agent.RefusedConflict, l.answering(ask, red(bob)))
		l.try(ask, "", l.releasing(ask, bob))
		l.try(ask, "", l.answering(ask, red(bob)))
		l.said(id, "answered: red bob")
	})
}

// A delegate may answer, and so may who has delegated; the others whom the ask was
// for may not any more, and whom it excludes never.
func TestDelegateAsk(t *testing.T) {
	ask := forWhom([]string{"group:finance"}, []string{agent.TheUser, "mal"})
	begin := func(t *testing.T, f func(l *lab, ask *agent.Ask)) {
		t.Helper()
		inLab(t, func(l *lab) { f(l, l.asked(questions(ask))) })
	}
	for name, by := range map[string]agent.User{"the delegate answers": dan, "the delegator answers": bob} {
		t.Run(name, func(t *testing.T) {
			begin(t, func(l *lab, ask *agent.Ask) {
				l.try(ask, "", l.claiming(ask, bob))
				l.try(ask, "", l.delegating(ask, bob, "dan"))
				now := l.now(ask)
				if !slices.Equal(now.For, []string{"dan", "bob"}) || now.Delegated.ID != "bob" || now.Note != "please" || !now.Claimed.IsZero() || !slices.Equal(now.Not, []string{"u1", "mal"}) {
					l.Errorf("after it was delegated the ask is %+v", now)
				}
				l.try(ask, agent.RefusedForbidden, l.answering(ask, red(cid)), "not for cid")
				l.try(ask, agent.RefusedForbidden, l.delegating(ask, cid, "cid"))
				l.try(ask, agent.RefusedForbidden, l.answering(ask, red(asker)))
				l.try(ask, "", l.answering(ask, red(by)))
				l.said(ask.ID.Run(), "answered: red "+by.ID)
				e := orchestratortest.Find[*run.Assigned](l.log(ask.ID.Run()))[1]
				if e.How != run.Delegate || e.By.ID != "bob" || e.Note != "please" {
					l.Errorf("the log says %+v", e)
				}
			})
		})
	}
	t.Run("twice", func(t *testing.T) {
		begin(t, func(l *lab, ask *agent.Ask) {
			l.try(ask, "", l.delegating(ask, bob, "dan"))
			records := l.state(ask.ID.Run()).Seq
			l.try(ask, "", l.delegating(ask, bob, "dan"))
			if l.state(ask.ID.Run()).Seq != records {
				l.Errorf("to delegate twice is in the log twice\n%s", l.log(ask.ID.Run()))
			}
			l.try(ask, "", l.delegating(ask, dan, "eve")) // and on
			l.try(ask, agent.RefusedForbidden, l.answering(ask, red(bob)))
			l.try(ask, "", l.answering(ask, red(eve)))
		})
	})
	t.Run("taken back", func(t *testing.T) {
		begin(t, func(l *lab, ask *agent.Ask) {
			l.try(ask, "", l.delegating(ask, bob, "group:board"))
			l.try(ask, "", l.delegating(ask, bob, "bob"))
			l.try(ask, agent.RefusedForbidden, l.answering(ask, red(dan)))
			l.try(ask, "", l.answering(ask, red(bob)))
		})
	})
	t.Run("to a group, of which some are excluded", func(t *testing.T) {
		begin(t, func(l *lab, ask *agent.Ask) {
			l.try(ask, "", l.delegating(ask, bob, "group:board"))
			l.try(ask, agent.RefusedForbidden, l.answering(ask, red(agent.User{ID: "mal", Groups: []string{"board"}})), "may not decide it")
			l.try(ask, "", l.answering(ask, red(dan)))
		})
	})
	t.Run("to nobody", func(t *testing.T) {
		begin(t, func(l *lab, ask *agent.Ask) {
			for _, to := range [][]string{
				nil, {}, {""}, {"dan", ""}, {"group:"}, {"\xff"}, {strings.Repeat("x", 257)}, slices.Repeat([]string{"dan"}, 65),
				{"u1"}, {agent.TheUser}, {"mal"}, {"dan", "mal"},
			} {
				l.try(ask, agent.RefusedInvalid, l.delegating(ask, bob, to...), "deleg")
			}
			l.try(ask, "", l.answering(ask, red(cid)))
		})
	})
	t.Run("to the user of nobody", func(t *testing.T) {
		inLab(t, func(l *lab) {
			l.work(nil, questions(forWhom(nil, nil)))
			ask := l.open(l.startFor(nobody))
			l.try(ask, agent.RefusedInvalid, l.delegating(ask, bob, agent.TheUser))
		})
	})
	t.Run("to the user", func(t *testing.T) {
		inLab(t, func(l *lab) {
			ask := l.asked(questions(forWhom([]string{"bob"}, nil)))
			l.try(ask, "", l.delegating(ask, bob, agent.TheUser))
			l.try(ask, "", l.answering(ask, red(asker)))
		})
	})
}

// chain is an ask for bob that goes to cid after an hour, to the board after two more,
// and ends after three more.
func chain(end *agent.Answer) agent.Ask {
	ask := forWhom([]string{"bob"}, []string{"mal"})
	ask.Within, ask.Default = time.Hour, end
	ask.Escalate = []agent.Escalation{{For: []string{"cid"}, Within: 2 * time.Hour}, {For: []string{"group:board"}, Within: 3 * time.Hour}}
	return ask
}

// With each step of its chain an ask is for others, and for these alone, until the
// step's own due time.
func TestEscalation(t *testing.T) {
	for stage, c := range []struct {
		after time.Duration
		may   agent.User
		not   []agent.User
		rest  time.Duration // until it is due
	}{
		{0, bob, []agent.User{cid, dan}, time.Hour},
		{time.Hour - time.Microsecond, bob, []agent.User{cid, dan}, time.Microsecond},
		{time.Hour, cid, []agent.User{bob, dan}, 2 * time.Hour},
		{3*time.Hour - time.Microsecond, cid, []agent.User{bob, dan}, time.Microsecond},
		{3 * time.Hour, dan, []agent.User{bob, {ID: "mal", Groups: []string{"board"}}}, 3 * time.Hour},
		{6*time.Hour - time.Microsecond, cid, []agent.User{bob}, time.Microsecond}, // who is of the board, too
	} {
		t.Run(fmt.Sprint(c.after), func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.work(nil, questions(chain(nil)))
				ask := l.open(l.startFor(asker))
				l.try(ask, "", l.claiming(ask, bob)) // which ends with his time
				l.after(time.Until(ask.Opened.Add(c.after)))
				now := l.now(ask)
				if now.Stage != stage/2 || len(now.Escalate) != 2-stage/2 || !now.Due.Equal(time.Now().Add(c.rest)) || now.Opened != ask.Opened || (now.Claimed.ID == "bob") != (now.Stage == 0) {
					l.Errorf("after %s the ask is %+v", c.after, now)
				}
				for _, u := range c.not {
					l.try(ask, agent.RefusedForbidden, l.answering(ask, red(u)))
				}
				l.try(ask, "", l.answering(ask, red(c.may)))
				l.said(ask.ID.Run(), "answered: red "+c.may.ID)
			})
		})
	}
}

// At the end of its chain an ask expires, or its default is taken.
func TestEndOfAChain(t *testing.T) {
	for said, end := range map[string]*agent.Answer{
		"expired: nobody answered in time": nil,
		"answered: blue clock":             {Choice: "blue", By: agent.User{ID: "clock"}},
	} {
		t.Run(said, func(t *testing.T) {
			inLab(t, func(l *lab) {
				ask := l.asked(questions(chain(end)))
				l.after(time.Until(ask.Opened.Add(6 * time.Hour)))
				l.try(ask, agent.RefusedExpired, l.answering(ask, red(dan)), "expired at")
				l.try(ask, agent.RefusedExpired, l.claiming(ask, dan))
				l.said(ask.ID.Run(), said)
				if n := count[*run.Lapsed](l.log(ask.ID.Run())); n != 3 {
					l.Errorf("the log has %d times that came, want 3", n)
				}
			})
		})
	}
}

// A step is for as long as it says from when it is in the log: before that nobody
// could know of it. So with no worker up for a week each answer finds that one step of
// the chain is over, has it in the log before it is judged, and leaves the next ones
// their time.
func TestChainWithoutWorkers(t *testing.T) {
	inLab(t, func(l *lab) {
		ask := l.left(questions(chain(nil)))[0]
		id, week := ask.ID.Run(), 7*24*time.Hour
		for stage, late := range []agent.User{bob, {ID: "cid"}} {
			l.after(week)
			l.refused(l.client.Answer(l.Context(), ask.ID, red(late)), agent.RefusedForbidden)
			now := l.now(ask)
			if now.Stage != stage+1 || !now.Due.Equal(time.Now().Add(time.Duration(stage+2)*time.Hour)) {
				l.Errorf("after %d weeks the ask is %+v", stage+1, now)
			}
		}
		l.after(week)
		l.refused(l.client.Answer(l.Context(), ask.ID, red(dan)), agent.RefusedExpired)
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "lapsed", "lapsed", "lapsed")
		l.work(nil, questions(chain(nil)))
		l.said(id, "expired: nobody answered in time")
	})
	inLab(t, func(l *lab) {
		ask := l.left(questions(chain(nil)))[0]
		l.after(7 * 24 * time.Hour)
		l.must(l.client.Answer(l.Context(), ask.ID, red(cid))) // it is his by now
		l.kinds(ask.ID.Run(), "started", "messaged", "turnbegan", "moved", "lapsed", "answered")
	})
}

// All that is overdue is in the log, in the order in which it was due, before an
// answer to something else.
func TestOverdueBeforeAnAnswer(t *testing.T) {
	inLab(t, func(l *lab) {
		due := func(d, remind time.Duration, end *agent.Answer) agent.Ask {
			ask := forWhom(nil, nil)
			ask.Within, ask.Remind, ask.Default = d, remind, end
			return ask
		}
		desk := questions(due(3*time.Hour, 0, nil), due(2*time.Hour, time.Hour, &agent.Answer{Choice: "blue"}), due(0, 0, nil))
		asks := l.left(desk)
		id := asks[0].ID.Run()
		l.after(7 * 24 * time.Hour)
		l.must(l.client.Answer(l.Context(), asks[2].ID, red(eve)))
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "reminded", "lapsed", "lapsed", "answered")
		lapsed := orchestratortest.Find[*run.Lapsed](l.log(id))
		if lapsed[0].Ask != asks[1].ID || lapsed[1].Ask != asks[0].ID {
			l.Errorf("the log has them in another order\n%s", l.log(id))
		}
		l.work(nil, desk)
		l.said(id, "answered: blue; expired: nobody answered in time; answered: red eve")
	})
}

// reminders returns when a run's log reminds of its asks, from begin on.
func (l *lab) reminders(id agent.RunID, begin time.Time) (at []time.Duration) {
	l.Helper()
	for _, r := range l.log(id).Records {
		if _, ok := r.Event.(*run.Reminded); ok {
			at = append(at, r.Time.Sub(begin))
		}
	}
	return at
}

// Of an ask is reminded as long as it is open, whoever has claimed it, by events that
// every watcher sees.
func TestReminders(t *testing.T) {
	minutes := func(n ...time.Duration) (d []time.Duration) {
		for _, m := range n {
			d = append(d, m*time.Minute)
		}
		return d
	}
	remind := forWhom(nil, nil)
	remind.Remind = 10 * time.Minute
	ends := remind
	ends.Within = 30 * time.Minute
	escalates := ends
	escalates.Escalate = []agent.Escalation{{For: []string{"cid"}}}
	for name, c := range map[string]struct {
		ask  agent.Ask
		do   func(l *lab, ask *agent.Ask)
		want []time.Duration
	}{
		"until it is answered": {remind, func(l *lab, ask *agent.Ask) {
			l.after(25 * time.Minute)
			l.answer(ask, red(eve))
			l.after(time.Hour)
		}, minutes(10, 20)},
		"until it is withdrawn": {remind, func(l *lab, ask *agent.Ask) {
			l.after(15 * time.Minute)
			l.must(l.client.Cancel(l.Context(), ask.ID.Run(), "", nil))
			l.after(time.Hour)
		}, minutes(10)},
		"until its due time":         {ends, func(l *lab, ask *agent.Ask) { l.after(2 * time.Hour) }, minutes(10, 20)},
		"and on when others have it": {escalates, func(l *lab, ask *agent.Ask) { l.after(51 * time.Minute) }, minutes(10, 20, 40, 50)},
		"although it is claimed": {remind, func(l *lab, ask *agent.Ask) {
			l.after(15 * time.Minute)
			l.must(l.claiming(ask, bob)())
			l.after(20 * time.Minute)
			if now := l.now(ask); now.Reminded != 3 || now.Claimed.ID != "bob" || !now.RemindAt.Equal(ask.Opened.Add(40*time.Minute)) {
				l.Errorf("after 35 minutes the ask is %+v", now)
			}
		}, minutes(10, 20, 30)},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				ask := l.asked(questions(c.ask))
				c.do(l, ask)
				if got := l.reminders(ask.ID.Run(), ask.Opened); !slices.Equal(got, c.want) {
					l.Errorf("it was reminded of after %v, want %v\n%s", got, c.want, l.log(ask.ID.Run()))
				}
			})
		})
	}
	t.Run("no more than a hundred times", func(t *testing.T) {
		inLab(t, func(l *lab) {
			ask := l.asked(questions(remind))
			l.after(24 * time.Hour)
			if n := len(l.reminders(ask.ID.Run(), ask.Opened)); n != 100 || !l.now(ask).RemindAt.IsZero() || !l.entry(ask.ID.Run()).Index.Wake.IsZero() {
				l.Errorf("it was reminded of %d times, and the run is %+v", n, l.entry(ask.ID.Run()).Index)
			}
		})
	})
	t.Run("once for a long time without workers", func(t *testing.T) {
		inLab(t, func(l *lab) {
			desk := questions(remind)
			ask := l.left(desk)[0]
			l.after(time.Until(ask.Opened.Add(24 * time.Hour)))
			l.work(nil, desk)
			l.after(25 * time.Minute)
			if got, day := l.reminders(ask.ID.Run(), ask.Opened), 24*time.Hour; !slices.Equal(got, []time.Duration{day, day + 10*time.Minute, day + 20*time.Minute}) {
				l.Errorf("it was reminded of after %v", got)
			}
		})
	})
	t.Run("watched", func(t *testing.T) {
		inLab(t, func(l *lab) {
			ask := l.asked(questions(remind))
			n := 0
			for ev, err := range l.client.Watch(l.Context(), ask.ID.Run(), nil) {
				l.must(err)
				if e, ok := ev.Record.Event.(*run.Reminded); ok {
					if n++; e.Ask != ask.ID || ev.State.Asks()[0].Reminded != n {
						l.Errorf("the event is %+v, and the ask %+v", e, ev.State.Asks()[0])
					}
				}
				if n == 3 {
					break
				}
			}
			if since := time.Since(ask.Opened); since != 30*time.Minute {
				l.Errorf("the third came after %s", since)
			}
		})
	})
}

// Due, where Within is not set, is a time of its own; Within wins.
func TestDueTimes(t *testing.T) {
	inLab(t, func(l *lab) {
		at := time.Now().Add(5 * time.Hour).UTC()
		fixed, both := forWhom(nil, nil), forWhom(nil, nil)
		fixed.Due = at
		both.Due, both.Within = at, time.Hour
		l.work(nil, questions(fixed, both))
		id := l.startFor(asker)
		asks := l.rests(id, agent.StatusWaiting).Asks
		if !asks[0].Due.Equal(at) || !asks[1].Due.Equal(asks[1].Opened.Add(time.Hour)) {
			l.Errorf("they are due at %s and %s", asks[0].Due, asks[1].Due)
		}
		l.after(time.Hour)
		l.refused(l.client.Answer(l.Context(), asks[1].ID, red(eve)), agent.RefusedExpired)
		l.after(4*time.Hour - time.Microsecond - time.Since(asks[1].Due))
		l.must(l.client.Answer(l.Context(), asks[0].ID, red(eve)))
		l.said(id, "expired: nobody answered in time; answered: red eve")
	})
}

// What a run does not need any more is withdrawn: whoever answers is told so.
func TestWithdrawn(t *testing.T) {
	// keeping asks and waits; when the wait ends, it does this.
	keeping := func(then func(v *agent.View) *agent.Move) *agent.Agent {
		ask := forWhom(nil, nil)
		return &agent.Agent{Name: "desk", OnMessage: agent.Interrupt, Planner: plan(func(v *agent.View) *agent.Move {
			if v.Steps == 0 && v.Turn == 1 {
				return &agent.Move{Again: agent.AtEachClosing, Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &ask}, {Kind: agent.ActWait, Name: "go"}}}
			}
			return then(v)
		})}
	}
	calls := func(v *agent.View) *agent.Move {
		for _, o := range v.Open {
			if o.Ask != "" {
				return &agent.Move{Actions: []agent.Action{{Kind: agent.ActCancel, Target: o.ID}}}
			}
		}
		return says("called off")
	}
	goOn := func(l *lab, id agent.RunID) { l.must(l.client.Signal(l.Context(), id, "go", nil, nil)) }
	for name, c := range map[string]struct {
		then func(v *agent.View) *agent.Move
		do   func(l *lab, id agent.RunID)
	}{
		"the run is cancelled":     {calls, func(l *lab, id agent.RunID) { l.must(l.client.Cancel(l.Context(), id, "enough", nil)) }},
		"the user interrupts":      {func(*agent.View) *agent.Move { return says("yes?") }, func(l *lab, id agent.RunID) { l.send(id, "stop") }},
		"the planner withdraws it": {calls, goOn},
		"the planner finishes":     {func(*agent.View) *agent.Move { return &agent.Move{Finish: true} }, goOn},
		"the planner fails":        {func(*agent.View) *agent.Move { return &agent.Move{Fail: "no"} }, goOn},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				ask := l.asked(keeping(c.then))
				l.try(ask, "", l.claiming(ask, bob))
				c.do(l, ask.ID.Run())
				l.after(time.Minute)
				for what, do := range map[string]func() error{
					"answer": l.answering(ask, red(bob)), "claim": l.claiming(ask, bob), "release": l.releasing(ask, bob), "delegate": l.delegating(ask, bob, "dan"),
				} {
					l.try(ask, agent.RefusedConflict, do, "was withdrawn at")
					if l.Failed() {
						l.Fatal(what)
					}
				}
				if asks, _, err := l.client.Asks(l.Context(), memory.AskQuery{}); err != nil || len(asks) > 0 {
					l.Errorf("the inbox has %+v, %v", asks, err)
				}
			})
		})
	}
}

// Of many people who claim, delegate and answer at once, one is accepted with an
// answer, and it is theirs that the run goes on with.
func TestOneAnswerOfMany(t *testing.T) {
	inLab(t, func(l *lab) {
		for round := range 5 {
			ask := l.asked(questions(forWhom(nil, []string{agent.TheUser})))
			var accepted []string
			var mu sync.Mutex
			var group sync.WaitGroup
			each := func(n int, f func(o *orchestrator.Orchestrator, by agent.User, i int) error) {
				for i := range n {
					group.Go(func() {
						o, err := orchestrator.New(l.store.Another(), nil, nil)
						l.must(err)
						by := agent.User{ID: fmt.Sprintf("p%d", i)}
						if err := f(o, by, i); err != nil && !refused(err, agent.RefusedConflict) && !refused(err, agent.RefusedForbidden) {
							l.Errorf("%s: %v", by.ID, err)
						}
					})
				}
			}
			answer := func(o *orchestrator.Orchestrator, by agent.User, i int) error {
				a := agent.Answer{Choice: ask.Choices[i%2], By: by}
				err := o.Answer(l.Context(), ask.ID, a)
				if err == nil {
					mu.Lock()
					accepted = append(accepted, fmt.Sprintf("answered: %s %s", a.Choice, by.ID))
					mu.Unlock()
					return o.Answer(l.Context(), ask.ID, a) // once more, which is nothing new
				}
				return err
			}
			each(12, answer)
			each(4, func(o *orchestrator.Orchestrator, by agent.User, i int) error {
				if round%2 == 0 {
					return o.ClaimAsk(l.Context(), ask.ID, by)
				}
				return o.DelegateAsk(l.Context(), ask.ID, by, []string{fmt.Sprintf("p%d", i+4), "p11"}, "")
			})
			group.Wait()
			if len(accepted) == 0 { // somebody has claimed it who had answered too early
				now := l.now(ask)
				by := now.Claimed
				if by.ID == "" {
					by.ID = now.For[0]
				}
				l.must(answer(l.client, by, 0))
			}
			if len(accepted) != 1 || count[*run.Answered](l.log(ask.ID.Run())) != 1 {
				l.Errorf("the answers %q were accepted\n%s", accepted, l.log(ask.ID.Run()))
			}
			l.said(ask.ID.Run(), accepted[0])
		}
	})
}

// The same answer by the same person again is nothing new, also at once, later, spelled
// otherwise, and with odd characters; anything else comes too late.
func TestSameAnswerAgain(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, questions(agent.Ask{Kind: agent.AskQuestion, Prompt: "And?"}))
		ask := l.open(l.startFor(asker))
		a := agent.Answer{Value: raw(`{"a":"é<>&\u2028","b":1.0}`), Note: "né<&>\u2028", By: bob}
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { l.must(l.client.Answer(l.Context(), ask.ID, a)) })
		}
		group.Wait()
		l.after(48 * time.Hour)
		again := a
		again.Value, again.By.Name, again.By.Groups = raw(` { "b" : 1.0, "a":"\u00e9\u003c>&\u2028" } `), "Bob", nil
		l.must(l.client.Answer(l.Context(), ask.ID, again))
		if n := count[*run.Answered](l.log(ask.ID.Run())); n != 1 {
			l.Errorf("the log has %d answers", n)
		}
		for _, change := range []func(a *agent.Answer){
			func(a *agent.Answer) { a.By = cid },
			func(a *agent.Answer) { a.By = nobody },
			func(a *agent.Answer) { a.Note = "" },
			func(a *agent.Answer) { a.Value = raw(`{"a":"é<>&\u2028","b":1}`) },
		} {
			other := a
			change(&other)
			l.try(ask, agent.RefusedConflict, l.answering(ask, other), "answered already by bob")
		}
	})
}

// An approval rule that names people or times that make no sense, or that breaks, does
// not let the call through: anybody may decide about it, and can read what is wrong.
func TestNonsenseOfApprovalRules(t *testing.T) {
	for name, c := range map[string]struct {
		ask  *agent.Ask
		err  error
		says string
	}{
		"no name":             {&agent.Ask{For: []string{"bob", ""}}, nil, "not the id of a user"},
		"no group":            {&agent.Ask{Not: []string{"group:"}}, nil, `"group:" is not the id of a user`},
		"not text":            {&agent.Ask{For: []string{"\xff"}}, nil, "not the id of a user"},
		"a long name":         {&agent.Ask{For: []string{strings.Repeat("x", 257)}}, nil, "at most 256 bytes"},
		"many names":          {&agent.Ask{For: slices.Repeat([]string{"bob"}, 65)}, nil, "at most 64"},
		"a default to edit":   {&agent.Ask{Within: time.Hour, Default: &agent.Answer{Choice: agent.Edit}}, nil, `"edit" came`},
		"a default, never":    {&agent.Ask{Default: &agent.Answer{Choice: agent.Deny}}, nil, "needs Within or Due"},
		"escalation, never":   {&agent.Ask{Escalate: []agent.Escalation{{For: []string{"bob"}}}}, nil, "needs Within or Due"},
		"escalation to none":  {&agent.Ask{Within: time.Hour, Escalate: []agent.Escalation{{}}}, nil, "For whom"},
		"escalation for ever": {&agent.Ask{Within: time.Hour, Escalate: []agent.Escalation{{For: []string{"bob"}}, {For: []string{"cid"}}}}, nil, "needs Within"},
		"a long chain":        {&agent.Ask{Within: time.Hour, Escalate: slices.Repeat([]agent.Escalation{{For: []string{"bob"}, Within: time.Hour}}, 17)}, nil, "at most 16 steps"},
		"before it began":     {&agent.Ask{Within: -time.Hour}, nil, "not negative"},
		"a year too far":      {&agent.Ask{Due: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, nil, "the year 10000"},
		"an error":            {nil, errors.New("no directory"), "no directory"},
		"a panic":             {nil, nil, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				tool := h.tool("act", agent.Once, func(t *agent.Tool) {
					t.Approve = func(ctx, agent.CallInfo, raw) (*agent.Ask, error) {
						if c.ask == nil && c.err == nil {
							panic("boom")
						}
						return c.ask, c.err
					}
				})
				ask := l.asked(caller(tool, `{}`, nil))
				if ask.Kind != agent.AskApproval || !strings.Contains(ask.Prompt, c.says) || len(ask.For)+len(ask.Not)+len(ask.Escalate) > 0 || !ask.Due.IsZero() || ask.Default != nil {
					l.Errorf("the ask is %+v", ask)
				}
				if len(h.calls) > 0 {
					l.Fatal("the call was made")
				}
				l.try(ask, "", l.answering(ask, agent.Answer{Choice: agent.Approve, By: eve}))
				l.said(ask.ID.Run(), "returned: done")
			})
		})
	}
}

// A planner can have a call wait for approval whose tool asks for none; where the tool
// does, its terms are the ones that hold.
func TestPlannerWantsApproval(t *testing.T) {
	wants := &agent.Ask{
		Prompt: "I am not sure.", For: []string{"bob"}, Within: time.Hour, Default: &agent.Answer{Choice: agent.Deny, Note: "nobody was there"},
		Kind: agent.AskForm, ID: "x.y.0", Choices: []string{"sure"}, Tool: "other", Digest: "0", Args: raw(`{"a":1}`), Claimed: eve, Stage: 3, // none of which it has a say in
	}
	strict := func(ctx, agent.CallInfo, raw) (*agent.Ask, error) {
		return &agent.Ask{Prompt: "It is the rule.", For: []string{"cid"}}, nil
	}
	for name, c := range map[string]struct {
		rule   agent.Approval
		prompt string
		may    agent.User
		others agent.User
	}{
		"without a rule":          {nil, "I am not sure.", bob, cid},
		"with one that is silent": {agent.Never, "I am not sure.", bob, cid},
		"with one that asks":      {strict, "It is the rule.", cid, bob},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				h := newHand()
				ask := l.asked(caller(h.tool("act", agent.Once, func(t *agent.Tool) { t.Approve = c.rule }), `{"a":2}`, wants))
				if ask.Kind != agent.AskApproval || !strings.HasSuffix(ask.Prompt, c.prompt) || ask.Tool != "act" || string(ask.Args) != `{"a":2}` || len(ask.Choices) != 4 ||
					ask.Digest != run.Digest(ask.Args) || !ask.Claimed.IsZero() || ask.Stage != 0 || ask.ID == "x.y.0" {
					l.Errorf("the ask is %+v", ask)
				}
				l.try(ask, agent.RefusedForbidden, l.answering(ask, agent.Answer{Choice: agent.Approve, By: c.others}))
				if len(h.calls) > 0 {
					l.Fatal("the call was made")
				}
				l.try(ask, "", l.answering(ask, agent.Answer{Choice: agent.Approve, By: c.may}))
				l.said(ask.ID.Run(), "returned: done")
			})
		})
	}
	t.Run("by default", func(t *testing.T) {
		inLab(t, func(l *lab) {
			h := newHand()
			ask := l.asked(caller(h.tool("act", agent.Once), `{}`, wants))
			l.after(time.Hour)
			l.said(ask.ID.Run(), "denied: nobody was there")
			if len(h.calls) > 0 {
				l.Error("the call was made")
			}
		})
	})
	t.Run("on terms that make no sense", func(t *testing.T) {
		inLab(t, func(l *lab) {
			h := newHand()
			l.work(nil, caller(h.tool("act", agent.Once), `{}`, &agent.Ask{Prompt: "?", For: []string{"group:"}}))
			if res := l.rests(l.startFor(asker), agent.StatusStuck); !strings.Contains(res.Reason, `"group:" is not the id`) || len(h.calls) > 0 {
				l.Errorf("it is %+v", res)
			}
		})
	})
}

// A default is held to what an answer would be held to.
func TestDefaultsThatNobodyCouldGive(t *testing.T) {
	number := agent.Ask{Kind: agent.AskQuestion, Prompt: "How many?", Schema: raw(`{"type":"integer"}`), Within: time.Hour}
	for name, d := range map[string]agent.Answer{
		"empty": {}, "a choice": {Choice: "two"}, "words": {Value: raw(`"two"`)},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				ask := number
				ask.Default = &d
				l.work(nil, questions(ask))
				l.rests(l.startFor(asker), agent.StatusStuck)
			})
		})
	}
}
