package orchestrator_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
	"github.com/fermata-run/fermata/planner/scripted"
)

func TestStartWithKey(t *testing.T) {
	inLab(t, func(l *lab) {
		r := orchestrator.Request{Agent: "desk", Message: agent.Text("hello"), Meta: map[string]string{"a": "1", "b": "2"}, Key: "k1"}
		id, err := l.client.Start(l.Context(), r)
		l.must(err)
		l.work(nil, service(l.says(done)))
		l.rests(id, agent.StatusIdle)
		again, err := l.client.Start(l.Context(), r)
		if err != nil || again != id {
			l.Errorf("the same request again: got %s, %v, want %s", again, err, id)
		}
		for what, change := range map[string]func(*orchestrator.Request){
			"other words": func(r *orchestrator.Request) { r.Message = agent.Text("hello?") },
			"no words":    func(r *orchestrator.Request) { r.Message = agent.Message{} },
			"other meta":  func(r *orchestrator.Request) { r.Meta = map[string]string{"a": "2"} },
			"other name":  func(r *orchestrator.Request) { r.User.Name = "Bob" },
		} {
			other := r
			change(&other)
			_, err := l.client.Start(l.Context(), other)
			if !refused(err, agent.RefusedConflict) {
				l.Errorf("the same key with %s: got %v, want a refusal as conflict", what, err)
			}
		}
		// Another user's key, and that of another agent, is another key.
		for _, change := range []func(*orchestrator.Request){
			func(r *orchestrator.Request) { r.User = agent.User{ID: "u2"} },
			func(r *orchestrator.Request) { r.Agent = "till" },
		} {
			other := r
			change(&other)
			if elsewhere, err := l.client.Start(l.Context(), other); err != nil || elsewhere == id {
				l.Errorf("got %s, %v, want another run than %s", elsewhere, err, id)
			}
		}
		l.kinds(id, "started", "messaged", "turnbegan", "moved")
	})
}

func TestStartConcurrently(t *testing.T) {
	inLab(t, func(l *lab) {
		ids := make([]agent.RunID, 20)
		var group sync.WaitGroup
		for i := range ids {
			group.Go(func() {
				o, err := orchestrator.New(l.store.Another(), nil, nil)
				l.must(err)
				ids[i], err = o.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("hello"), Key: "k"})
				l.must(err)
			})
		}
		group.Wait()
		for _, id := range ids {
			if id != ids[0] {
				l.Fatalf("the same request gave the runs %s", ids)
			}
		}
		l.kinds(ids[0], "started", "messaged")
	})
}

// The reply to the commit of a start is lost: it is no conflict with itself.
func TestStartAfterALostReply(t *testing.T) {
	inLab(t, func(l *lab) {
		faulty := memorytest.Faulty(l.store, memorytest.At(memorytest.Fault{At: memorytest.After}, 1, 3))
		o, err := orchestrator.New(faulty, nil, nil)
		l.must(err)
		for _, key := range []string{"", "k"} {
			id, err := o.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("hello"), Key: key})
			l.must(err)
			l.kinds(id, "started", "messaged")
		}
	})
}

func TestBareStart(t *testing.T) {
	inLab(t, func(l *lab) {
		asked := 0
		l.work(nil, &agent.Agent{Name: "desk", Planner: agent.PlannerFunc(func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
			asked++
			if len(v.Messages) != 0 || v.Turn != 1 || v.Meta["job"] != "nightly" {
				l.Errorf("want an empty conversation, the first turn and the meta, got %+v", v)
			}
			return &agent.Move{Message: agent.Said("Good morning."), Finish: true}, nil
		})})
		id, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Meta: map[string]string{"job": "nightly"}})
		l.must(err)
		res := l.rests(id, agent.StatusDone)
		if res.Text != "Good morning." || asked != 1 {
			l.Errorf("got %+v after %d plans", res, asked)
		}
	})
}

func TestMessagesThatAreRefused(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, service(l.says(done)))
		id := l.start("hello")
		l.rests(id, agent.StatusIdle)
		for what, m := range map[string]agent.Message{
			"10 MB":         agent.Text(strings.Repeat("x", 10<<20)),
			"an empty text": agent.Text(""),
			"no parts":      {},
			"a result":      {Parts: []agent.Part{{Result: &agent.Result{CallID: "x"}}}},
		} {
			if err := l.client.Send(l.Context(), id, m, nil); !refused(err, agent.RefusedInvalid) {
				l.Errorf("send %s: got %v, want a refusal as invalid", what, err)
			}
			if len(m.Parts) == 0 {
				continue // starts without a message
			}
			if _, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Message: m}); !refused(err, agent.RefusedInvalid) {
				l.Errorf("start with %s: got %v, want a refusal as invalid", what, err)
			}
		}
		l.kinds(id, "started", "messaged", "turnbegan", "moved")
		opaque := agent.Text("hello")
		opaque.Opaque = map[string]json.RawMessage{"openai": json.RawMessage(`{}`)}
		l.refused(l.client.Send(l.Context(), id, opaque, nil), agent.RefusedInvalid)
		l.refused(l.client.Send(l.Context(), id, agent.Text("hello"), &orchestrator.Input{Key: strings.Repeat("k", run.MaxKey+1)}), agent.RefusedInvalid)
		_, err := l.client.Start(l.Context(), orchestrator.Request{Agent: "desk", Meta: map[string]string{"book": strings.Repeat("x", 1<<20)}})
		l.refused(err, agent.RefusedInvalid)
		big := strings.Repeat("x", run.MaxMessage)
		l.must(l.client.Send(l.Context(), id, agent.Text(big), nil))
	})
}

func TestUnknownRuns(t *testing.T) {
	inLab(t, func(l *lab) {
		ctx := l.Context()
		l.refused(l.client.Send(ctx, "nobody", agent.Text("x"), nil), agent.RefusedUnknown)
		l.refused(l.client.Cancel(ctx, "nobody", "", nil), agent.RefusedUnknown)
		l.refused(l.client.Retry(ctx, "nobody", "", nil), agent.RefusedUnknown)
		l.refused(l.client.Signal(ctx, "nobody", "x", nil, nil), agent.RefusedUnknown)
		l.refused(l.client.Answer(ctx, "nonsense", agent.Answer{}), agent.RefusedUnknown)
		l.refused(l.client.Answer(ctx, "nobody.x.0", agent.Answer{}), agent.RefusedUnknown)
		_, err := l.client.Await(ctx, "nobody")
		l.refused(err, agent.RefusedUnknown)
		_, err = l.client.State(ctx, "nobody")
		l.refused(err, agent.RefusedUnknown)
		id := l.start("hello")
		l.must(l.client.Erase(ctx, id))
		l.refused(l.client.Send(ctx, id, agent.Text("x"), nil), agent.RefusedUnknown)
	})
}

// TestUnreadableRun has a worker meet a log that a newer version wrote: it leaves
// the run alone, gives it back without a strike, and drives the others.
func TestUnreadableRun(t *testing.T) {
	inLab(t, func(l *lab) {
		at := l.store.Now()
		l.must(l.store.Commit(l.Context(), &memory.Commit{
			Run: "newer", Index: memory.Index{Agent: "desk", Status: agent.StatusPlanning, Wake: at},
			Records: []memory.Record{{Seq: 1, ID: "a", Time: at, Data: []byte(`{"v":2,"kind":"started","event":{}}`)}},
		}))
		stop := l.shutDown(nil, service(l.says(done)))
		l.rests(l.start("hello"), agent.StatusIdle)
		l.after(time.Second)
		e := l.entry("newer")
		if e.Worker != "" || e.Records != 1 || e.Late != 0 {
			l.Errorf("want the run put off and its log as it was, got %+v", e)
		}
		if e.Index.Agent != "desk" || e.Index.Status != agent.StatusStuck || !strings.Contains(e.Index.Reason, "use a newer program") {
			l.Errorf("the list does not say why nobody goes on with it: %+v", e.Index)
		}
		stop()
		claims, err := l.store.Claim(l.Context(), &memory.ClaimRequest{Run: "newer", Lease: time.Minute, Wait: 2 * time.Minute})
		l.must(err)
		if len(claims) != 1 || claims[0].Strikes != 0 {
			l.Errorf("another worker claims %+v, want one claim without strikes", claims)
		}
		l.disorder = true
		if found := l.check(true); len(found) != 1 || found[0].Run != "newer" || found[0].Repaired || !strings.Contains(found[0].What, "cannot be read by this program") {
			l.Errorf("the check has found %+v, want that the log cannot be read", found)
		}
	})
}

// A run whose agent no worker has waits, and is listed as late; a worker that
// comes up with it drives it.
func TestNobodyHasTheAgent(t *testing.T) {
	inLab(t, func(l *lab) {
		other := service(l.says(done))
		other.Name = "till"
		l.work(nil, other)
		id := l.start("hello")
		l.after(time.Hour)
		if e := l.entry(id); e.Late != time.Hour || e.Worker != "" || e.Index.Status != agent.StatusPlanning {
			l.Errorf("want a run that is late by an hour, got %+v", e)
		}
		l.kinds(id, "started", "messaged")
		l.work(nil, service(l.says(done)))
		l.rests(id, agent.StatusIdle)
		if e := l.entry(id); e.Late != 0 {
			l.Errorf("an idle run is listed as late by %s", e.Late)
		}
	})
}

// A process that waits for a run of an agent which it does not have leaves it
// to those who do.
func TestAwaitWithoutTheAgent(t *testing.T) {
	inLab(t, func(l *lab) {
		other := service(l.says(done))
		other.Name = "till"
		o, err := orchestrator.New(l.store.Another(), []*agent.Agent{other}, nil)
		l.must(err)
		id := l.start("hello")
		awaited := make(chan *orchestrator.Result, 1)
		go func() {
			res, err := o.Await(l.Context(), id)
			l.must(err)
			awaited <- res
		}()
		l.after(time.Second)
		l.work(nil, service(l.says(done)))
		l.after(time.Minute)
		select {
		case res := <-awaited:
			if res.Status != agent.StatusIdle || res.Text != "Done." {
				l.Errorf("got %+v", res)
			}
		default:
			l.Fatalf("nobody has driven the run: %+v\n%s", l.entry(id), l.log(id))
		}
	})
}

func TestRunAgainWithKey(t *testing.T) {
	inLab(t, func(l *lab) {
		o, err := orchestrator.New(l.store, []*agent.Agent{service(l.says(done, scripted.Say("Again?")))}, nil)
		l.must(err)
		r := orchestrator.Request{Agent: "desk", Message: agent.Text("hello"), Key: "k"}
		first, err := o.Run(l.Context(), r)
		l.must(err)
		second, err := o.Run(l.Context(), r)
		l.must(err)
		if first.Run != second.Run || second.Text != "Done." || second.Seq != first.Seq {
			l.Errorf("want the same run as it stands, got %+v and then %+v", first, second)
		}
		if _, err := o.Start(l.Context(), orchestrator.Request{Agent: "nobody"}); !refused(err, agent.RefusedUnknown) || !strings.Contains(err.Error(), "desk") {
			l.Errorf("an agent that this program does not have: got %v", err)
		}
		_, err = l.client.Start(l.Context(), orchestrator.Request{})
		l.refused(err, agent.RefusedUnknown)
	})
}

func TestListRuns(t *testing.T) {
	inLab(t, func(l *lab) {
		l.work(nil, service(l.says(done)))
		id := l.start("  Where is\n my parcel?  ")
		l.rests(id, agent.StatusIdle)
		page, err := l.client.Runs(l.Context(), memory.RunQuery{Statuses: []agent.Status{agent.StatusIdle}})
		l.must(err)
		if len(page.Runs) != 1 || page.Runs[0].Index.Title != "Where is my parcel?" {
			l.Errorf("got %+v", page.Runs)
		}
	})
}
