package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/tools"
)

// plan makes a planner of a function that knows how many moves it has made.
func plan(f func(v *agent.View) *agent.Move) agent.Planner {
	return agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) { return f(v), nil })
}

// gives makes a move that gives tasks to an agent, one call for each.
func gives(to string, tasks ...string) *agent.Move {
	m := &agent.Move{Message: &agent.Message{}}
	for i, task := range tasks {
		id := fmt.Sprintf("%s_%d", to, i)
		m.Message.Parts = append(m.Message.Parts, agent.Part{Call: &agent.Call{ID: id, Name: "delegate_to_" + to, Args: raw(fmt.Sprintf(`{"task":%q}`, task))}})
		m.Actions = append(m.Actions, agent.Action{Kind: agent.ActDelegate, Name: to, CallID: id})
	}
	return m
}

func says(text string) *agent.Move { return &agent.Move{Message: agent.Said(text)} }

// results returns what the last calls of a conversation gave, in order.
func results(v *agent.View) []string {
	var out []string
	for i := len(v.Messages) - 1; i >= 0; i-- {
		if m := v.Messages[i]; m.Role == agent.RoleTool {
			for _, p := range m.Parts {
				out = append(out, string(p.Result.Outcome)+": "+agent.PlainText(p.Result.Content))
			}
			return out
		}
	}
	return nil
}

// manager makes the agent "desk", which gives tasks to another one and says what
// came of them.
func manager(to *agent.Agent, tasks ...string) *agent.Agent {
	return &agent.Agent{Name: "desk", Delegates: []*agent.Agent{to}, Planner: plan(func(v *agent.View) *agent.Move {
		if v.Steps == 0 && v.Turn == 1 {
			return gives(to.Name, tasks...)
		}
		return says(strings.Join(results(v), "; "))
	})}
}

func childOf(l *lab, id agent.RunID, index int) agent.RunID {
	l.Helper()
	for _, m := range l.log(id).Records {
		if moved, ok := m.Event.(*run.Moved); ok && len(moved.Actions) > index && moved.Actions[index].Kind == agent.ActDelegate {
			return run.ChildID(id, agent.ActionID(fmt.Sprintf("%s.%d", m.ID, index)))
		}
	}
	l.Fatalf("run %s gave no task\n%s", id, l.log(id))
	return ""
}

func TestDelegates(t *testing.T) {
	inLab(t, func(l *lab) {
		var mu sync.Mutex
		var views []*agent.View
		billing := &agent.Agent{Name: "billing", Planner: plan(func(v *agent.View) *agent.Move {
			mu.Lock()
			views = append(views, v)
			mu.Unlock()
			return says("did " + v.Messages[0].Text())
		})}
		l.work(nil, manager(billing, "one", "two"))
		id, err := l.client.Start(l.Context(), orchestrator.Request{
			Agent: "desk", Message: agent.Text("go"), Meta: map[string]string{"shop": "7"},
			User: agent.User{ID: "u1", Groups: []string{"customers"}},
		})
		l.must(err)
		res := l.rests(id, agent.StatusIdle)
		if res.Text != "returned: did one; returned: did two" {
			l.Errorf("got %q\n%s", res.Text, l.log(id))
		}
		l.after(time.Minute)
		for i := range 2 {
			child := childOf(l, id, i)
			e := l.entry(child)
			if e.Index.Status != agent.StatusDone || e.Index.Parent != id || e.Index.Agent != "billing" || !e.Index.Wake.IsZero() {
				l.Errorf("the child stands as %+v", e.Index)
			}
			if s := l.state(child); s.User.ID != "u1" || s.Meta["shop"] != "7" || s.Parent.Run != id || len(s.Outbox) > 0 {
				l.Errorf("the child is %+v", s)
			}
		}
		for _, v := range views {
			if len(v.Path) != 2 || v.Path[0] != (agent.Place{Run: id, Agent: "desk"}) || v.Path[1].Agent != "billing" || v.User.Groups[0] != "customers" {
				l.Errorf("the child's planner is shown %+v", v)
			}
		}
		page, err := l.client.Runs(l.Context(), memory.RunQuery{Roots: true})
		l.must(err)
		if len(page.Runs) != 1 || page.Runs[0].Run != id {
			l.Errorf("the roots are %+v", page.Runs)
		}
	})
}

// A result of a delegate that is too large for the parent's log, and cannot be kept
// beside it for now, comes when it can.
func TestLargeResultOfADelegate(t *testing.T) {
	inLab(t, func(l *lab) {
		big := strings.Repeat("all work and no play ", 60_000)
		store := &library{Store: l.store.Another()}
		billing := &agent.Agent{Name: "billing", Planner: plan(func(*agent.View) *agent.Move {
			store.fail(errors.New("no room for blobs"))
			return says(big)
		})}
		orchestratortest.Work(l.T, store, nil, manager(billing, "go"))
		id := l.start("go")
		l.after(time.Minute)
		store.fail(nil)
		l.after(time.Hour)
		if res := orchestrator.ResultOf(l.state(id)); res.Status != agent.StatusIdle || !strings.Contains(res.Text, "all work") {
			l.Errorf("the run is %s and says %.80q\n%.2000s", res.Status, res.Text, l.log(id))
		}
	})
}

// An ask of a delegate is in the inbox with its path, the parent visibly waits,
// and goes on when it is answered.
func TestDelegateThatAsks(t *testing.T) {
	inLab(t, func(l *lab) {
		billing := &agent.Agent{Name: "billing", Planner: plan(func(v *agent.View) *agent.Move {
			if v.Steps == 0 {
				return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &agent.Ask{Kind: agent.AskQuestion, Prompt: "which?"}}}}
			}
			return says("it is " + agent.PlainText(v.News[0].Closed.Content))
		})}
		l.work(nil, manager(billing, "find out"))
		id := l.start("go")
		res := l.rests(id, agent.StatusWaiting)
		if len(res.Asks) != 1 || res.Asks[0].Prompt != "which?" || len(res.Asks[0].Path) != 2 || res.Asks[0].Path[0].Run != id || res.Asks[0].Agent != "billing" {
			l.Fatalf("the asks are %+v\n%s", res.Asks, l.log(id))
		}
		l.answer(res.Asks[0], agent.Answer{Value: raw(`"seven"`)})
		if res := l.rests(id, agent.StatusIdle); res.Text != "returned: it is seven" {
			l.Errorf("got %q", res.Text)
		}
	})
}

// What becomes of a delegate its parent is told, however it ends.
func TestHowDelegatesEnd(t *testing.T) {
	stays := func(v *agent.View) *agent.Move {
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Name: "never"}}}
	}
	for name, c := range map[string]struct {
		child func(v *agent.View) *agent.Move
		do    func(l *lab, child agent.RunID)
		want  string
	}{
		"fails":        {func(*agent.View) *agent.Move { return &agent.Move{Fail: "no invoice"} }, nil, "failed: it failed: no invoice"},
		"is cancelled": {stays, func(l *lab, child agent.RunID) { l.must(l.client.Cancel(l.Context(), child, "enough", nil)) }, "cancelled: it was called off: enough"},
		"finishes": {func(*agent.View) *agent.Move {
			return &agent.Move{Output: raw(`{"sum":7}`), Finish: true}
		}, nil, `returned: {"sum":7}`},
		"is erased": {stays, func(l *lab, child agent.RunID) { l.must(l.client.Erase(l.Context(), child)) }, "failed: it failed: the run was erased"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.work(nil, manager(&agent.Agent{Name: "billing", Planner: plan(c.child)}, "go"))
				id := l.start("go")
				if c.do != nil {
					l.rests(id, agent.StatusWaiting)
					c.do(l, childOf(l, id, 0))
				}
				if res := l.rests(id, agent.StatusIdle); res.Text != c.want {
					l.Errorf("got %q, want %q\n%s", res.Text, c.want, l.log(id))
				}
			})
		})
	}
}

// A stuck delegate makes its parent visibly wait on it, up to the root.
func TestStuckDelegate(t *testing.T) {
	inLab(t, func(l *lab) {
		broken := true
		lookup := &agent.Agent{Name: "lookup", Planner: agent.PlannerFunc(func(context.Context, *agent.View, func(agent.Delta)) (*agent.Move, error) {
			if broken {
				return nil, fmt.Errorf("401: wrong key")
			}
			return says("found"), nil
		})}
		billing := manager(lookup, "look it up")
		billing.Name = "billing"
		l.work(nil, manager(billing, "find out"))
		id := l.start("go")
		res := l.rests(id, agent.StatusWaiting)
		if res.Reason != "it waits for billing, which is stuck: it waits for lookup, which is stuck: 401: wrong key" {
			l.Errorf("the reason is %q\n%s", res.Reason, l.log(id))
		}
		for at := id; at != childOf(l, childOf(l, id, 0), 0); at = childOf(l, at, 0) { // each says which one is meant
			err := l.client.Retry(l.Context(), at, "", nil)
			if l.refused(err, agent.RefusedConflict); !mentions(err, "is not stuck itself") || !mentions(err, "retry that run, "+string(childOf(l, at, 0))) {
				l.Errorf("to retry %s: %v", at, err)
			}
		}
		broken = false
		l.must(l.client.Retry(l.Context(), childOf(l, childOf(l, id, 0), 0), "", nil))
		if res := l.rests(id, agent.StatusIdle); res.Text != "returned: returned: found" {
			l.Errorf("got %q", res.Text)
		}
	})
}

// Cancellation and deadlines go down the tree; a delegate that outlives its parent
// is left alone.
func TestDownTheTree(t *testing.T) {
	stays := plan(func(v *agent.View) *agent.Move {
		if v.Steps > 0 {
			return says("it came")
		}
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActWait, Name: "never"}}}
	})
	tree := func(outlives bool) *agent.Agent {
		billing := manager(&agent.Agent{Name: "lookup", Planner: stays}, "look it up")
		billing.Name, billing.Outlives = "billing", outlives
		return manager(billing, "find out")
	}
	family := func(l *lab, id agent.RunID) (child, grandchild agent.RunID) {
		child = childOf(l, id, 0)
		return child, childOf(l, child, 0)
	}
	t.Run("cancel", func(t *testing.T) {
		inLab(t, func(l *lab) {
			l.work(nil, tree(false))
			id := l.start("go")
			l.rests(id, agent.StatusWaiting)
			child, grandchild := family(l, id)
			l.must(l.client.Cancel(l.Context(), id, "enough", nil))
			l.after(time.Minute)
			for _, r := range []agent.RunID{id, child, grandchild} {
				if e := l.entry(r); e.Index.Status != agent.StatusCancelled || !e.Index.Wake.IsZero() {
					l.Errorf("%s is %+v\n%s", r, e.Index, l.log(r))
				}
			}
		})
	})
	t.Run("outlive", func(t *testing.T) {
		inLab(t, func(l *lab) {
			l.work(nil, tree(true))
			id := l.start("go")
			l.rests(id, agent.StatusWaiting)
			child, grandchild := family(l, id)
			l.must(l.client.Cancel(l.Context(), id, "enough", nil))
			l.after(time.Minute)
			for _, r := range []agent.RunID{child, grandchild} {
				if e := l.entry(r); e.Index.Status != agent.StatusWaiting {
					l.Errorf("%s is %+v\n%s", r, e.Index, l.log(r))
				}
			}
			l.must(l.client.Signal(l.Context(), grandchild, "never", nil, nil))
			l.after(time.Minute)
			if e := l.entry(child); e.Index.Status == agent.StatusWaiting {
				l.Errorf("the child is %+v\n%s", e.Index, l.log(child))
			}
		})
	})
	t.Run("deadline", func(t *testing.T) {
		inLab(t, func(l *lab) {
			l.work(nil, tree(false))
			id, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go"), Deadline: time.Now().Add(time.Hour)})
			l.must(err)
			l.rests(id, agent.StatusWaiting)
			child, grandchild := family(l, id)
			l.after(2 * time.Hour)
			for _, r := range []agent.RunID{id, child, grandchild} {
				s := l.state(r)
				if !s.Ended || s.Ending.Status == agent.StatusDone || s.Time.Sub(s.Created) > time.Hour+time.Minute {
					l.Errorf("%s is %s\n%s", r, s.Status(), l.log(r))
				}
			}
		})
	})
	t.Run("within", func(t *testing.T) {
		inLab(t, func(l *lab) {
			boss := &agent.Agent{Name: "desk", Delegates: []*agent.Agent{{Name: "billing", Planner: stays}}, Planner: plan(func(v *agent.View) *agent.Move {
				if v.Steps == 0 {
					return &agent.Move{Actions: []agent.Action{{Kind: agent.ActDelegate, Name: "billing", Args: raw(`{"task":"x"}`), Within: time.Hour}}}
				}
				return says(string(v.News[0].Closed.Outcome))
			})}
			l.work(nil, boss)
			id := l.start("go")
			l.rests(id, agent.StatusWaiting)
			l.after(61 * time.Minute)
			if res := l.rests(id, agent.StatusIdle); res.Text != "expired" {
				l.Errorf("got %q\n%s", res.Text, l.log(id))
			}
			if s := l.state(childOf(l, id, 0)); !s.Ended {
				l.Errorf("the child is %s", s.Status())
			}
		})
	})
}

// A hand-off: the same run goes on with another agent, its terms and instructions.
func TestHandOff(t *testing.T) {
	hands := func(to string) *agent.Move {
		return &agent.Move{
			Message: &agent.Message{Parts: []agent.Part{{Text: "I hand you over."}, {Call: &agent.Call{ID: "h_" + to, Name: "hand_off_to_" + to, Args: raw(`{}`)}}}},
			Actions: []agent.Action{{Kind: agent.ActHandoff, Name: to, CallID: "h_" + to}},
		}
	}
	for _, c := range []struct {
		sees agent.Sees
		want string
	}{
		{agent.SeesAll, "user: hello|assistant: hi|user: a return|assistant: I hand you over. [h_returns]|tool: h_returns=returned"},
		{agent.SeesWords, "user: hello|assistant: hi|user: a return|assistant: I hand you over."},
		{agent.SeesTurn, "user: a return|assistant: I hand you over. [h_returns]|tool: h_returns=returned"},
	} {
		t.Run("sees "+string(c.sees), func(t *testing.T) {
			inLab(t, func(l *lab) {
				var seen []string
				returns := &agent.Agent{Name: "returns", Sees: c.sees, Planner: plan(func(v *agent.View) *agent.Move {
					if v.Agent != "returns" {
						l.Errorf("the agent is %s", v.Agent)
					}
					seen = append(seen, shown(v))
					return says("send it to us")
				})}
				desk := &agent.Agent{Name: "desk", Handoffs: []*agent.Agent{returns}, Planner: plan(func(v *agent.View) *agent.Move {
					if v.Turn == 1 {
						return says("hi")
					}
					return hands("returns")
				})}
				l.work(nil, desk)
				id := l.start("hello")
				l.rests(id, agent.StatusIdle)
				l.send(id, "a return")
				if res := l.rests(id, agent.StatusIdle); res.Text != "send it to us" {
					l.Errorf("got %+v\n%s", res, l.log(id))
				}
				l.send(id, "thanks")
				l.rests(id, agent.StatusIdle)
				if len(seen) != 2 || seen[0] != c.want || seen[1] != c.want+"|assistant: send it to us|user: thanks" {
					l.Errorf("it was shown\n%s", strings.Join(seen, "\n"))
				}
				if e := l.entry(id); e.Index.Agent != "returns" {
					l.Errorf("the entry is %+v", e.Index)
				}
				if s := l.state(id); s.Turn.N != 3 || s.Turn.Hands != 0 {
					l.Errorf("the turn is %+v", s.Turn)
				}
			})
		})
	}
	t.Run("bounded", func(t *testing.T) {
		inLab(t, func(l *lab) {
			a, b := &agent.Agent{Name: "desk"}, &agent.Agent{Name: "returns"}
			a.Handoffs, b.Handoffs = []*agent.Agent{b}, []*agent.Agent{a}
			a.Limits.Handoffs, b.Limits.Handoffs = 4, 4
			n := 0
			next := func(v *agent.View) *agent.Move {
				if n++; slices.ContainsFunc(v.News, func(n agent.News) bool { return n.Closed != nil && n.Closed.Outcome == agent.Failed }) {
					return says("nobody is responsible")
				}
				m := hands(v.Handoffs[0].Name)
				m.Message.Parts[1].Call.ID += fmt.Sprint(n)
				m.Actions[0].CallID += fmt.Sprint(n)
				return m
			}
			a.Planner, b.Planner = plan(next), plan(next)
			l.work(nil, a)
			id := l.start("hello")
			if res := l.rests(id, agent.StatusIdle); res.Text != "nobody is responsible" || n != 6 {
				l.Errorf("after %d moves: %+v\n%s", n, res, l.log(id))
			}
		})
	})
	t.Run("to another process", func(t *testing.T) {
		inLab(t, func(l *lab) {
			returns := &agent.Agent{Name: "returns", Planner: plan(func(v *agent.View) *agent.Move { return says("send it to us") })}
			desk := &agent.Agent{Name: "desk", Planner: plan(func(v *agent.View) *agent.Move { return hands("returns") })}
			desk.Handoffs = []*agent.Agent{{Name: "returns", Planner: returns.Planner}}
			l.work(nil, returns)
			l.work(nil, desk)
			id := l.start("a return")
			if res := l.rests(id, agent.StatusIdle); res.Text != "send it to us" {
				l.Errorf("got %+v\n%s", res, l.log(id))
			}
		})
	})
}

// shown tells a view's conversation in a line.
func shown(v *agent.View) string {
	var out []string
	for _, m := range v.Messages {
		text := m.Text()
		for _, p := range m.Parts {
			if p.Call != nil {
				text += " [" + p.Call.ID + "]"
			}
			if p.Result != nil {
				text += p.Result.CallID + "=" + string(p.Result.Outcome)
			}
		}
		out = append(out, string(m.Role)+": "+text)
	}
	return strings.Join(out, "|")
}

// A delegate can be awaited by itself, by a process that drives nothing else.
func TestAwaitDelegate(t *testing.T) {
	inLab(t, func(l *lab) {
		billing := &agent.Agent{Name: "billing", Planner: plan(func(v *agent.View) *agent.Move {
			if v.Steps == 0 {
				return &agent.Move{Actions: []agent.Action{{Kind: agent.ActAsk, Ask: &agent.Ask{Kind: agent.AskQuestion, Prompt: "which?"}}}}
			}
			return says("it is " + agent.PlainText(v.News[0].Closed.Content))
		})}
		o, err := orchestrator.New(l.store, []*agent.Agent{manager(billing, "find out", "and that")}, nil)
		l.must(err)
		res, err := o.Run(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("go")})
		l.must(err)
		if len(res.Asks) != 2 {
			l.Fatalf("the asks are %+v", res.Asks)
		}
		for _, a := range res.Asks {
			l.answer(a, agent.Answer{Value: raw(`"seven"`)})
		}
		child, err := o.Await(l.Context(), res.Asks[0].ID.Run())
		l.must(err)
		if child.Status != agent.StatusDone || child.Text != "it is seven" {
			l.Errorf("got %+v", child)
		}
		if res, err = o.Await(l.Context(), res.Run); err != nil || res.Text != "returned: it is seven; returned: it is seven" {
			l.Errorf("got %+v, %v", res, err)
		}
	})
}

// Who may approve a call may not change it into one that others have to approve.
func TestEditedArgumentsAreJudgedAnew(t *testing.T) {
	for by, want := range map[string]string{"carl": `failed: carl has changed the arguments to ones that others have to approve (it is much)`, "bob": "returned: paid"} {
		inLab(t, func(l *lab) {
			paid := 0
			pay := tools.Func("act", "Pay.", func(_ context.Context, p payment) (string, error) { paid++; return "paid", nil },
				&tools.Options{Approve: tools.ApproveIf(func(_ context.Context, p payment) *agent.Ask {
					if p.Amount > 100 {
						return &agent.Ask{Prompt: "it is much", For: []string{"group:supervisors"}}
					}
					return &agent.Ask{Prompt: "it is something"}
				})})
			desk := &agent.Agent{Name: "desk", Tools: []*agent.Tool{pay}, Planner: plan(func(v *agent.View) *agent.Move {
				if v.Steps == 0 {
					m := &agent.Move{Message: &agent.Message{Parts: []agent.Part{{Call: &agent.Call{ID: "c", Name: "act", Args: raw(`{"order":7,"amount":5}`)}}}}}
					m.Actions = []agent.Action{{Kind: agent.ActCall, Name: "act", CallID: "c"}}
					return m
				}
				return says(results(v)[0])
			})}
			l.work(nil, desk)
			id := l.start("act")
			ask := l.asks(id, agent.AskApproval)
			who := agent.User{ID: by}
			if by == "bob" {
				who.Groups = []string{"supervisors"}
			}
			l.answer(ask, agent.Answer{By: who, Choice: agent.Edit, Value: raw(`{"order":7,"amount":500}`)})
			if res := l.rests(id, agent.StatusIdle); !strings.HasPrefix(res.Text, want) || (by == "bob") != (paid == 1) {
				l.Errorf("%s: got %q, and it was paid %d times\n%s", by, res.Text, paid, l.log(id))
			}
		})
	}
}

// Who is asked in the end may change a call into another one about which the rule asks the
// same people, and into no other. To whom somebody has delegated it may not.
func TestWhoWasAskedInTheirSteadMayEdit(t *testing.T) {
	const others = "failed: dan has changed the arguments to ones that others have to approve (it is "
	escalated := func(l *lab, _ *agent.Ask) { l.after(time.Hour) }
	delegated := func(l *lab, ask *agent.Ask) {
		l.must(l.client.DelegateAsk(l.Context(), ask.ID, agent.User{ID: "bob", Groups: []string{"supervisors"}}, []string{"dan"}, ""))
	}
	chain := []agent.Escalation{{For: []string{"dan"}}}
	for name, c := range map[string]struct {
		comes  func(l *lab, ask *agent.Ask)
		amount string
		chain  []agent.Escalation
		want   string
	}{
		"escalated, as before":           {escalated, "450", chain, "returned: paid"},
		"escalated, for anybody":         {escalated, "50", chain, "returned: paid"},
		"escalated, for somebody other":  {escalated, "5000", chain, others + "very much"},
		"delegated, as before":           {delegated, "450", nil, others + "much"},
		"delegated, for anybody":         {delegated, "50", nil, "returned: paid"},
		"delegated, and in the chain":    {delegated, "450", chain, "returned: paid"},
		"delegated, and only then in it": {delegated, "900", nil, others + "much"},
		"delegated, and not changed":     {delegated, "500", nil, "returned: paid"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				pay := tools.Func("act", "Pay.", func(_ context.Context, p order) (string, error) { return "paid", nil },
					&tools.Options{Approve: tools.ApproveIf(func(_ context.Context, p order) *agent.Ask {
						switch {
						case p.ID > 1000:
							return &agent.Ask{Prompt: "it is very much", For: []string{"group:board"}, Within: time.Hour, Escalate: chain}
						case p.ID == 900:
							return &agent.Ask{Prompt: "it is much", For: []string{"group:supervisors"}, Not: []string{agent.TheUser}, Within: time.Hour, Escalate: chain}
						case p.ID > 100:
							return &agent.Ask{Prompt: "it is much", For: []string{"group:supervisors"}, Not: []string{agent.TheUser}, Within: time.Hour, Escalate: c.chain}
						}
						return &agent.Ask{Prompt: "it is something"}
					})})
				ask := l.asked(caller(pay, `{"id":500}`, nil))
				c.comes(l, ask)
				l.answer(ask, agent.Answer{By: agent.User{ID: "dan"}, Choice: agent.Edit, Value: raw(`{"id":` + c.amount + `}`)})
				if res := l.rests(ask.ID.Run(), agent.StatusDone); !strings.HasPrefix(res.Text, c.want) {
					l.Errorf("got %q, want %q", res.Text, c.want)
				}
			})
		})
	}
}

// A delegate that says of which form its tasks are is told the whole object, also
// where another would be told a text. What does not fit is refused.
func TestDelegatesWithInput(t *testing.T) {
	inLab(t, func(l *lab) {
		shipping := &agent.Agent{
			Name: "shipping", Input: raw(`{"type":"object","properties":{"task":{"type":"string","maxLength":9}},"required":["task"]}`),
			Planner: plan(func(v *agent.View) *agent.Move { return says("told " + v.Messages[0].Text()) }),
		}
		l.work(nil, manager(shipping, "order 7", "order 7 and much more"))
		id := l.start("hello")
		text := l.rests(id, agent.StatusIdle).Text
		first, second, _ := strings.Cut(text, "; ")
		if first != `returned: told {"task":"order 7"}` || !strings.HasPrefix(second, "failed: the task of shipping does not fit its schema: task: ") {
			l.Errorf("came is %q\n%s", text, l.log(id))
		}
	})
}

// The schema of an agent's tasks is looked at before anything begins.
func TestInputThatMakesNoSense(t *testing.T) {
	for input, want := range map[string]string{
		`{`:                  "the Input of agent clerk",
		`{"type":"strange"}`: "the Input of agent clerk",
		`{"type":"string"}`:  `a task is an object, and the schema has the type string; give it "type": "object"`,
		`{"properties":{}}`:  `a task is an object`,
		``:                   "the Input of agent clerk",
		`{"type":"object"}`:  "",
	} {
		clerk := &agent.Agent{Name: "clerk", Planner: plan(func(*agent.View) *agent.Move { return says("") }), Input: raw(input)}
		_, err := orchestrator.New(memorytest.NewStore(nil), []*agent.Agent{manager(clerk)}, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", input, err, want)
		}
	}
}
