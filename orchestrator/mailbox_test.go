package orchestrator_test

import (
	"context"
	"encoding/json"
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
	"github.com/fermata-run/fermata/planner/scripted"
)

// waiter makes the agent "desk", which waits for the signal "paid" with the keys that
// the user's message names, and at the end says what came of each. A key may have a
// time after a slash: "7/1h 8".
func waiter() *agent.Agent {
	plan := func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
		var wrote []string
		var ended []string
		for _, n := range v.News {
			if n.Message != nil {
				wrote = append(wrote, strings.Fields(n.Message.Text())...)
			}
			if n.Closed != nil {
				ended = append(ended, strings.TrimSpace(fmt.Sprintf("%s %s", n.Closed.Outcome, agent.PlainText(n.Closed.Content))))
			}
		}
		m := &agent.Move{}
		if len(ended) > 0 {
			m.Message = agent.Said(strings.Join(ended, ", "))
		}
		for _, w := range wrote {
			key, within, _ := strings.Cut(w, "/")
			d, _ := time.ParseDuration(within)
			m.Actions = append(m.Actions, agent.Action{Kind: agent.ActWait, Name: "paid", Key: key, Within: d})
		}
		return m, nil
	}
	return &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(plan)}
}

// post posts the signal "paid".
func (l *lab) post(key, data string, in *orchestrator.PostInput) {
	l.Helper()
	l.must(l.client.Post(l.Context(), "paid", key, json.RawMessage(data), in))
}

// tells checks what the run said last.
func (l *lab) tells(id agent.RunID, want string) {
	l.Helper()
	if res := l.rests(id, agent.StatusIdle); res.Text != want {
		l.Errorf("the run says %q, want %q\n%s", res.Text, want, l.log(id))
	}
}

// mailbox returns the n-th mailbox of "paid" with the key.
func mailbox(key string, n int) agent.RunID {
	return run.MailboxID(run.Address{Name: "paid", Key: key}, n)
}

func TestPostAfterTheWait(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, waiter())
		id := l.start("7")
		l.rests(id, agent.StatusWaiting)
		l.after(time.Hour)
		l.post("7", `{"sum": 3}`, &orchestrator.PostInput{By: agent.User{ID: "bank"}})
		l.after(time.Second)
		l.tells(id, `returned {"sum":3}`)
		l.kinds(id, "started", "messaged", "turnbegan", "moved", "delivered", "mailed", "moved")
		l.kinds(mailbox("7", 0), "started", "subscribed", "posted", "delivered")
		if e := l.entry(mailbox("7", 0)); e.Index.Status != agent.StatusIdle || e.Index.Title != "paid 7" {
			l.Errorf("the mailbox is listed as %+v", e.Index)
		}
	})
}

func TestPostBeforeTheWait(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, waiter())
		l.post("7", `1`, nil)
		l.after(time.Hour)
		id := l.start("7")
		l.after(time.Second)
		l.tells(id, "returned 1")
		page, err := l.client.Runs(l.Context(), memory.RunQuery{Roots: true})
		l.must(err)
		if len(page.Runs) != 1 || page.Runs[0].Run != id {
			l.Errorf("the roots are %+v", page.Runs)
		}
	})
}

// Each signal goes to one wait, to the one that was there first.
func TestPostToTwoWaits(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, waiter())
		first, second := l.start("7"), l.start("7 7 8")
		l.rests(first, agent.StatusWaiting)
		l.rests(second, agent.StatusWaiting)
		l.after(time.Second)
		waiting := l.state(mailbox("7", 0)).Mailbox.Waiting
		if len(waiting) != 3 {
			l.Fatalf("the mailbox knows of %+v", waiting)
		}
		for i := range 3 {
			l.post("7", fmt.Sprint(i), nil)
		}
		l.post("7", "3", nil)
		l.post("8", "4", nil)
		l.after(time.Second)
		got := map[agent.RunID][]string{}
		for _, id := range []agent.RunID{first, second} {
			for _, e := range orchestratortest.Find[*run.Mailed](l.log(id)) {
				if e.Key == "7" {
					got[id] = append(got[id], string(e.Data))
				}
			}
		}
		for i, w := range waiting {
			if !slices.Contains(got[w.Run], fmt.Sprint(i)) {
				l.Errorf("the signal %d is for the wait %+v, and the runs have %v", i, w, got)
			}
		}
		if kept := l.state(mailbox("7", 0)).Mailbox.Kept; len(kept) != 1 || string(kept[0].Data) != "3" {
			l.Errorf("the mailbox keeps %+v", kept)
		}
		l.rests(first, agent.StatusIdle)
		l.rests(second, agent.StatusIdle)
	})
}

// A signal that nothing waits for is kept as long as was said. That it lapses is in
// the log, also when no worker was there.
func TestPostLapses(t *testing.T) {
	inLab(t, func(l *lab) {
		l.post("7", "1", &orchestrator.PostInput{Keep: time.Hour})
		l.post("7", "2", nil)
		l.after(2 * time.Hour)
		l.kinds(mailbox("7", 0), "started", "posted", "posted")
		l.post("8", "1", &orchestrator.PostInput{Keep: time.Hour})
		l.work(nil, waiter())
		l.after(time.Minute)
		l.kinds(mailbox("7", 0), "started", "posted", "posted", "lapsed")
		id := l.start("7")
		l.after(time.Second)
		l.tells(id, "returned 2")
		l.after(time.Hour)
		if s := l.state(mailbox("8", 0)); len(s.Mailbox.Kept) > 0 || s.Status() != agent.StatusIdle {
			l.Errorf("it is kept for longer than an hour\n%s", l.log(mailbox("8", 0)))
		}
		late := l.start("8/1h")
		l.after(time.Minute)
		l.rests(late, agent.StatusWaiting)
		l.after(time.Hour)
		l.tells(late, "expired the time has come")
	})
}

func TestPostWithAnID(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, waiter())
		in := func(id string) *orchestrator.PostInput { return &orchestrator.PostInput{ID: id} }
		l.post("7", `{"a":1,"b":2}`, in("x"))
		l.post("7", `{"b":2, "a":1}`, in("x"))
		l.post("8", `3`, in("x")) // another mailbox
		l.refused(l.client.Post(l.Context(), "paid", "7", raw(`4`), in("x")), agent.RefusedConflict)
		first := l.start("7")
		l.after(time.Second)
		l.tells(first, `returned {"a":1,"b":2}`)
		l.post("7", `{"a":1,"b":2}`, in("x"))
		second := l.start("7")
		l.after(time.Hour)
		l.rests(second, agent.StatusWaiting)
		l.post("7", `5`, in("y"))
		l.after(time.Second)
		l.tells(second, "returned 5")
	})
}

// A signal on its way to a wait that ends meanwhile goes to the next one.
func TestPostToAWaitThatEnds(t *testing.T) {
	for name, end := range map[string]func(l *lab, id agent.RunID){
		"cancelled":    func(l *lab, id agent.RunID) { l.must(l.client.Cancel(l.Context(), id, "enough", nil)) },
		"expired":      func(l *lab, id agent.RunID) { l.after(2 * time.Hour) },
		"by its id":    func(l *lab, id agent.RunID) { l.must(l.client.Signal(l.Context(), id, "paid", raw(`0`), nil)) },
		"erased":       func(l *lab, id agent.RunID) { l.must(l.client.Erase(l.Context(), id)) },
		"erased, late": func(l *lab, id agent.RunID) { l.must(l.store.Erase(l.Context(), id)) },
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				o, err := orchestrator.New(l.store.Another(), []*agent.Agent{waiter()}, nil)
				l.must(err)
				stop := l.until(o)
				first := l.start("7/1h")
				l.after(time.Second)
				second := l.start("7")
				l.after(time.Second)
				stop()
				l.post("7", "1", nil)
				if s := l.state(mailbox("7", 0)); s.LetterTo(first) == nil || len(s.Mailbox.Kept) > 0 {
					l.Fatalf("the signal is not on its way: %s", l.log(mailbox("7", 0)))
				}
				end(l, first)
				l.work(nil, waiter())
				l.after(time.Minute)
				l.tells(second, "returned 1")
				if s := l.state(mailbox("7", 0)); s.Status() != agent.StatusIdle {
					l.Errorf("the mailbox holds something\n%s", l.log(mailbox("7", 0)))
				}
			})
		})
	}
}

// With nobody else to take it, the signal is kept until its time is over.
func TestPostComesBack(t *testing.T) {
	inLab(t, func(l *lab) {
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{waiter()}, nil)
		l.must(err)
		stop := l.until(o)
		first := l.start("7")
		l.after(time.Second)
		stop()
		l.post("7", "1", &orchestrator.PostInput{Keep: 3 * time.Hour})
		l.must(l.client.Cancel(l.Context(), first, "enough", nil))
		l.after(time.Hour)
		l.work(nil, waiter())
		l.after(time.Hour)
		second := l.start("7")
		l.after(time.Second)
		l.tells(second, "returned 1")
	})
}

// A mailbox that has held nothing for 30 days ends, and another takes its place: at the
// very moment, after it, and when the one before is erased.
func TestMailboxesFollowEachOther(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, waiter())
		id := l.start("7")
		l.after(time.Second)
		l.post("7", "1", nil)
		l.after(time.Second)
		l.tells(id, "returned 1")
		empty := l.state(mailbox("7", 0)).Time
		l.after(empty.Add(run.MailboxIdle).Sub(l.store.Now()) - time.Second)
		if s := l.state(mailbox("7", 0)); s.Ended {
			l.Fatalf("the mailbox has ended too early\n%s", l.log(mailbox("7", 0)))
		}
		l.after(2 * time.Second)
		if s := l.state(mailbox("7", 0)); s.Status() != agent.StatusDone || !s.Wake().IsZero() {
			l.Fatalf("the mailbox has not ended\n%s", l.log(mailbox("7", 0)))
		}
		l.post("7", "2", nil)
		next := l.start("7")
		l.after(time.Second)
		l.tells(next, "returned 2")
		holds := func(signals int) {
			t.Helper()
			if m := l.state(mailbox("7", 1)).Mailbox; m == nil || len(m.Kept) != signals || len(m.Waiting) > 0 {
				t.Errorf("the second mailbox is to hold %d signals\n%s", signals, l.log(mailbox("7", 1)))
			}
		}
		holds(0)
		n, err := l.client.Prune(l.Context(), 0)
		if err != nil || n != 2 {
			l.Errorf("%d runs are erased (%v), and the mailbox and the first run have ended", n, err)
		}
		l.post("7", "3", nil)
		holds(1)
	})
}

// A signal that comes as the mailbox is to end, with no worker there that ends it,
// finds the end first, and goes to the next one.
func TestPostAsTheMailboxEnds(t *testing.T) {
	inLab(t, func(l *lab) {
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{waiter()}, nil)
		l.must(err)
		stop := l.until(o)
		l.post("7", "1", &orchestrator.PostInput{Keep: time.Hour})
		l.after(2 * time.Hour)
		stop()
		l.after(run.MailboxIdle)
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { l.post("7", "4", &orchestrator.PostInput{ID: "4"}) })
		}
		group.Wait()
		l.kinds(mailbox("7", 0), "started", "posted", "lapsed", "lapsed")
		l.kinds(mailbox("7", 1), "started", "posted")
	})
}

// Who drives one run alone drives the mailboxes that know of it.
func TestDriveWithAMailbox(t *testing.T) {
	inLab(t, func(l *lab) {
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{waiter()}, nil)
		l.must(err)
		id := l.start("7 8")
		ctx, cancel := context.WithCancel(l.Context())
		var group sync.WaitGroup
		group.Go(func() { l.must(o.Drive(ctx, id)) })
		l.after(time.Minute)
		l.post("8", "1", nil)
		l.after(time.Minute)
		l.post("7", "2", nil)
		l.after(time.Minute)
		l.tells(id, "returned 1, returned 2")
		cancel()
		group.Wait()
	})
}

// The same where a delegate waits.
func TestAwaitADelegateWithAMailbox(t *testing.T) {
	inLab(t, func(l *lab) {
		clerk := waiter()
		clerk.Name = "clerk"
		boss := service(l.says(scripted.Call("delegate_to_clerk", `{"task":"7"}`), done))
		boss.Delegates = []*agent.Agent{clerk}
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{boss}, nil)
		l.must(err)
		res, err := o.Run(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("act")})
		l.must(err)
		if res.Status != agent.StatusWaiting {
			l.Fatalf("it is %s\n%s", res.Status, l.log(res.Run))
		}
		l.post("7", "1", nil)
		res, err = o.Await(l.Context(), res.Run)
		l.must(err)
		if res.Status != agent.StatusIdle || res.Text != "Done." {
			l.Errorf("it is %s and says %q\n%s", res.Status, res.Text, l.log(res.Run))
		}
	})
}

// Run and Await, with no worker there, find the signals that are there for the run.
func TestAwaitWithAMailbox(t *testing.T) {
	inLab(t, func(l *lab) {
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{waiter()}, nil)
		l.must(err)
		l.post("7", "1", nil)
		l.after(time.Minute)
		res, err := o.Run(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("7 8")})
		l.must(err)
		if s := l.state(res.Run); res.Status != agent.StatusWaiting || len(s.Open) != 1 {
			l.Errorf("it is %s with %d waits\n%s", res.Status, len(s.Open), l.log(res.Run))
		}
		l.post("8", "2", nil)
		res, err = o.Await(l.Context(), res.Run)
		l.must(err)
		if res.Status != agent.StatusIdle || res.Text != "returned 1, returned 2" {
			l.Errorf("it is %s and says %q\n%s", res.Status, res.Text, l.log(res.Run))
		}
	})
}

func TestPostRefuses(t *testing.T) {
	inLab(t, func(l *lab) {
		ctx := l.Context()
		for what, err := range map[string]error{
			"no name":          l.client.Post(ctx, "", "7", nil, nil),
			"any name":         l.client.Post(ctx, "*", "7", nil, nil),
			"no key":           l.client.Post(ctx, "paid", "", nil, nil),
			"a long key":       l.client.Post(ctx, "paid", strings.Repeat("7", run.MaxKey+1), nil, nil),
			"no text":          l.client.Post(ctx, "paid", "\xff", nil, nil),
			"no JSON":          l.client.Post(ctx, "paid", "7", raw(`{`), nil),
			"large data":       l.client.Post(ctx, "paid", "7", agent.JSONText(strings.Repeat("x", run.MaxMessage)), nil),
			"a negative time":  l.client.Post(ctx, "paid", "7", nil, &orchestrator.PostInput{Keep: -1}),
			"too long a time":  l.client.Post(ctx, "paid", "7", nil, &orchestrator.PostInput{Keep: run.MaxKeep + 1}),
			"somebody large":   l.client.Post(ctx, "paid", "7", nil, &orchestrator.PostInput{By: agent.User{ID: strings.Repeat("u", run.MaxInput)}}),
			"an id as no text": l.client.Post(ctx, "paid", "7", nil, &orchestrator.PostInput{ID: "\xff"}),
		} {
			l.refused(err, agent.RefusedInvalid)
			if err == nil {
				l.Errorf("%s is taken", what)
			}
		}
		page, err := l.client.Runs(ctx, memory.RunQuery{})
		l.must(err)
		if len(page.Runs) > 0 {
			l.Errorf("there are runs: %+v", page.Runs)
		}
		l.work(nil, waiter())
		l.start("7")
		l.after(time.Second)
		m := mailbox("7", 0)
		_, err = l.client.Start(ctx, orchestrator.Request{Agent: run.MailboxAgent})
		l.refused(err, agent.RefusedUnknown)
		for _, err := range []error{
			l.client.Send(ctx, m, agent.Text("x"), nil), l.client.Signal(ctx, m, "paid", nil, nil), l.client.Cancel(ctx, m, "x", nil),
			l.client.Retry(ctx, m, "x", nil), l.client.Erase(ctx, m),
		} {
			l.refused(err, agent.RefusedConflict)
		}
		for range run.MaxSignals {
			l.post("8", "1", nil)
		}
		l.refused(l.client.Post(ctx, "paid", "8", nil, nil), agent.RefusedConflict)
		l.must(l.client.Erase(ctx, mailbox("8", 0))) // with what it keeps
		l.post("8", "1", nil)
		l.kinds(mailbox("8", 1), "started", "posted")
	})
}

// What people and signals race for comes to the same end wherever a worker is killed.
func TestPostsSurviveCrashes(t *testing.T) {
	orchestratortest.CrashEverywhere(t, func(t *testing.T, w *orchestratortest.World) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		start := func(text string) agent.RunID {
			id, err := w.Client.Start(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text(text)})
			must(err)
			return id
		}
		post := func(key string, n int) {
			must(w.Client.Post(ctx, "paid", key, raw(fmt.Sprint(n)), &orchestrator.PostInput{ID: fmt.Sprint(n)}))
		}
		w.Work(waiter())
		post("7", 1)
		runs := []agent.RunID{start("7 8"), start("7"), start("7 8/1m")}
		time.Sleep(30 * time.Second)
		for range 2 {
			post("7", 2)
			post("8", 3)
		}
		must(w.Client.Cancel(ctx, runs[1], "enough", nil))
		post("7", 4)
		time.Sleep(time.Hour)
		post("8", 5)
		taken := map[string]int{}
		time.Sleep(time.Minute)
		waits := 0
		for _, id := range runs {
			l := orchestratortest.ReadLog(t, w.Store, id)
			for _, e := range orchestratortest.Find[*run.Mailed](l) {
				taken[string(e.Data)]++
			}
			waits += len(l.State.Open)
			if len(l.State.Outbox) > 0 {
				t.Errorf("a letter is left: %s", l)
			}
		}
		kept := 0
		for _, key := range []string{"7", "8"} {
			l := orchestratortest.ReadLog(t, w.Store, mailbox(key, 0))
			for _, p := range l.State.Mailbox.Kept {
				kept++
				taken[string(p.Data)]++
			}
			if len(l.State.Outbox) > 0 || len(l.State.Mailbox.Waiting) != 0 && key == "7" {
				t.Errorf("something is left: %s", l)
			}
		}
		if waits > 0 || len(taken) != 5 {
			t.Errorf("%d waits are open, %d signals are kept, and the signals are taken or kept %v times", waits, kept, taken)
		}
		for data, n := range taken {
			if n != 1 {
				t.Errorf("the signal %s is taken or kept %d times", data, n)
			}
		}
		for p, err := range w.Client.Check(ctx, false) {
			t.Errorf("run %s: %s (%v)", p.Run, p.What, err)
		}
	})
}

// A post that fails, however it fails, can be posted again under its id, and counts
// once.
func TestPostIsRepeated(t *testing.T) {
	for _, at := range []memorytest.Moment{memorytest.Before, memorytest.After} {
		for n := 1; n <= 3; n++ {
			inLab(t, func(l *lab) {
				faults := make([]int, 100)
				for i := range faults {
					faults[i] = n + i // no try gets through, until the process is another one
				}
				broken, err := orchestrator.New(memorytest.Faulty(l.store, memorytest.At(memorytest.Fault{At: at}, faults...)), nil, nil)
				l.must(err)
				failed := 0
				for i := range 3 {
					in := &orchestrator.PostInput{ID: fmt.Sprint(i)}
					if broken.Post(l.Context(), "paid", "7", raw(fmt.Sprint(i)), in) != nil {
						failed++
					}
				}
				for i := range 3 {
					l.post("7", fmt.Sprint(i), &orchestrator.PostInput{ID: fmt.Sprint(i)})
				}
				if kept := l.state(mailbox("7", 0)).Mailbox.Kept; len(kept) != 3 || failed == 0 && at == memorytest.Before {
					l.Errorf("%d posts failed, and %d signals are kept", failed, len(kept))
				}
			})
		}
	}
}

// A mailbox that is used much is read from its snapshot on.
func TestMailboxWithMuchToDo(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, waiter())
		for i := range 200 {
			l.post("7", fmt.Sprint(i), nil)
			id := l.start("7")
			l.after(time.Second)
			l.tells(id, fmt.Sprintf("returned %d", i))
			if i%50 == 0 {
				l.after(time.Minute)
			}
		}
		if log := l.log(mailbox("7", 0)); log.State.Seq < 601 || log.State.Status() != agent.StatusIdle {
			l.Errorf("the mailbox has %d records, and is %s", log.State.Seq, log.State.Status())
		}
	})
}

// A run that begins to wait as a mailbox is erased is not forgotten: either that one stays,
// or the next one knows of it.
func TestEraseOfAMailboxAsARunBeginsToWait(t *testing.T) {
	erases := func(t *testing.T, begins func(s *afterRead, then func()), refused bool) {
		t.Helper()
		inLab(t, func(l *lab) {
			l.work(nil, waiter())
			l.post("7", "1", nil)
			l.start("7") // and takes it
			l.after(time.Second)
			var waits agent.RunID
			store := &afterRead{Store: l.store.Another(), run: mailbox("7", 0)}
			begins(store, sync.OnceFunc(func() {
				waits = l.start("7")
				l.after(time.Second)
			}))
			o, err := orchestrator.New(store, nil, nil)
			l.must(err)
			if err := o.Erase(l.Context(), mailbox("7", 0)); refused {
				l.refused(err, agent.RefusedConflict)
			} else {
				l.must(err)
			}
			l.post("7", "2", nil)
			l.after(time.Second)
			if res := orchestrator.ResultOf(l.state(waits)); res.Text != "returned 2" {
				l.Errorf("the run is %s and says %q\n%s", res.Status, res.Text, l.log(waits))
			}
		})
	}
	t.Run("before its end", func(t *testing.T) {
		erases(t, func(s *afterRead, then func()) { s.then = then }, true)
	})
	t.Run("after its end", func(t *testing.T) {
		erases(t, func(s *afterRead, then func()) { s.erase = then }, false)
	})
}
