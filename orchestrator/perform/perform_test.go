package perform_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/perform"
	"github.com/fermata-run/fermata/orchestrator/run"
)

type (
	ctx = context.Context
	raw = json.RawMessage
)

// performer makes one whose agent has a single tool.
func performer(tool *agent.Tool, plan agent.PlannerFunc) *perform.Performer {
	a := &agent.Agent{Name: "desk", Planner: plan}
	if tool != nil {
		tool.Name = "act"
		a.Tools = []*agent.Tool{tool}
	}
	return &perform.Performer{Agent: a, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
}

// task is the first attempt of a call of the tool "act".
func task(effect agent.Effect) *perform.Task {
	return &perform.Task{
		Info:   agent.CallInfo{Run: "r1", Action: "a.0", Attempt: 1},
		Action: run.Action{Action: agent.Action{Kind: agent.ActCall, Name: "act"}, Effect: effect, Timeout: time.Minute, Attempts: 10},
		Args:   raw(`{}`),
	}
}

func nobody(run.Event) {}

// given does a job in a goroutine of its own and returns what it gives.
func given(job func(give func(run.Event))) run.Event {
	events := make(chan run.Event)
	go job(func(e run.Event) { events <- e })
	return <-events
}

func call(p *perform.Performer, c ctx, k *perform.Task, late func(run.Event)) run.Event {
	return given(func(give func(run.Event)) { p.Call(c, k, give, late) })
}

func lookup(p *perform.Performer, c ctx, k *perform.Task, try int) run.Event {
	return given(func(give func(run.Event)) { p.Lookup(c, k, try, give) })
}

// failed checks that an event is a failed call.
func failed(t *testing.T, e run.Event) *run.CallFailed {
	t.Helper()
	f, ok := e.(*run.CallFailed)
	if !ok {
		t.Fatalf("got %#v, want a failed call", e)
	}
	if f.Action != "a.0" || f.Attempt != 1 {
		t.Errorf("it is of another call: %+v", f)
	}
	return f
}

// A call that cannot be made has surely not taken place.
func TestCallThatIsNotMade(t *testing.T) {
	for want, change := range map[string]func(*perform.Task){
		"has no tool":                     func(t *perform.Task) { t.Action.Name = "gone" },
		"not the ones that were approved": func(t *perform.Task) { t.Digest = run.Digest(raw(`{"a":1}`)) },
		"the time to call":                func(t *perform.Task) { t.Deadline = time.Now() },
	} {
		made := false
		p := performer(&agent.Tool{Call: func(ctx, raw) (raw, error) { made = true; return nil, nil }}, nil)
		k := task(agent.Once)
		change(k)
		if e := failed(t, call(p, t.Context(), k, nobody)); made || !e.NotDone || !strings.Contains(e.Error, want) {
			t.Errorf("got %+v, made %v, want one that is not done: %s", e, made, want)
		}
	}
	k := task(agent.Once)
	k.Args, k.Digest = raw(`{"b": 2, "a": 1}`), run.Digest(raw(`{"a":1,"b":2}`))
	p := performer(&agent.Tool{Call: func(_ ctx, args raw) (raw, error) { return args, nil }}, nil)
	if e, ok := call(p, t.Context(), k, nobody).(*run.Returned); !ok || string(e.Content) != string(k.Args) {
		t.Errorf("arguments that were approved in another spelling: got %#v", e)
	}
}

// The wait before the next attempt doubles, up to a most, of which a random half
// is left out; an error may ask for more.
func TestWaits(t *testing.T) {
	for _, c := range []struct {
		attempt  int
		err      error
		min, max time.Duration
	}{
		{1, errors.New("x"), 5 * time.Second, 10 * time.Second},
		{2, errors.New("x"), 10 * time.Second, 20 * time.Second},
		{4, errors.New("x"), 30 * time.Second, time.Minute},
		{9, errors.New("x"), 30 * time.Second, time.Minute},
		{1, agent.Transient(errors.New("x"), time.Hour), time.Hour, time.Hour},
		{10, errors.New("x"), 0, 0}, // the last
	} {
		p := performer(&agent.Tool{Call: func(ctx, raw) (raw, error) { return nil, c.err }}, nil)
		for range 100 {
			k := task(agent.Idempotent)
			k.Info.Attempt, k.Action.Backoff, k.Action.MaxWait = c.attempt, 10*time.Second, time.Minute
			e, ok := call(p, t.Context(), k, nobody).(*run.CallFailed)
			if !ok || e.Again != (c.attempt < 10) || e.Wait < c.min || e.Wait > c.max {
				t.Fatalf("after attempt %d got %+v, want a wait of %s to %s", c.attempt, e, c.min, c.max)
			}
		}
	}
}

// A call that is stopped may simply be made again, or else its outcome is
// unknown; one that has a result has it.
func TestCallThatIsStopped(t *testing.T) {
	stubborn := func(c ctx, _ raw) (raw, error) { <-c.Done(); return raw(`"acted"`), nil }
	obedient := func(c ctx, _ raw) (raw, error) { <-c.Done(); return nil, c.Err() }
	for _, c := range []struct {
		name   string
		effect agent.Effect
		call   func(ctx, raw) (raw, error)
		kind   string // "" for no event
	}{
		{"ReadOnly", agent.ReadOnly, obedient, ""},
		{"Idempotent", agent.Idempotent, obedient, ""},
		{"Once", agent.Once, obedient, "callfailed"},
		{"ReadOnly that acts", agent.ReadOnly, stubborn, "returned"},
		{"Once that acts", agent.Once, stubborn, "returned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := performer(&agent.Tool{Call: c.call}, nil)
				stopped, stop := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { stop(perform.ErrStopped) })
				e := call(p, stopped, task(c.effect), nobody)
				if (e == nil) != (c.kind == "") || e != nil && run.KindOf(e) != c.kind {
					t.Fatalf("got %#v, want %q", e, c.kind)
				}
				if f, ok := e.(*run.CallFailed); ok && f.NotDone {
					t.Errorf("a call that was stopped may have taken place: %+v", f)
				}
			})
		})
	}
}

// A call that does not end is given up, and tells later what came of it.
func TestCallThatComesLate(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		kind string // of the late event; "" for none
	}{"acted": {nil, "returned"}, "not done": {agent.NotDone(errors.New("x")), "callfailed"}, "failed": {errors.New("x"), ""}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				over := make(chan struct{})
				p := performer(&agent.Tool{Call: func(ctx, raw) (raw, error) { <-over; return raw(`1`), c.err }}, nil)
				var late []run.Event
				k := task(agent.Once)
				k.Deadline = time.Now().Add(10 * time.Second)
				began := time.Now()
				e := failed(t, call(p, t.Context(), k, func(e run.Event) { late = append(late, e) }))
				if took := time.Since(began); took != 11*time.Second || e.NotDone || !strings.Contains(e.Error, "did not return within its time-out") {
					t.Errorf("after %s got %+v", took, e)
				}
				close(over)
				synctest.Wait()
				if (len(late) == 1) != (c.kind != "") || len(late) == 1 && run.KindOf(late[0]) != c.kind {
					t.Errorf("late came %#v, want %q", late, c.kind)
				}
			})
		})
	}
}

// A large result that cannot be kept beside the log is kept in it.
func TestLargeResult(t *testing.T) {
	big := agent.JSONText(strings.Repeat("x", 100<<10))
	p := performer(&agent.Tool{Call: func(ctx, raw) (raw, error) { return big, nil }}, nil)
	p.PutBlob = func(ctx, agent.RunID, []byte) (string, error) { return "", errors.New("no room") }
	if e := call(p, t.Context(), task(agent.Once), nobody).(*run.Returned); string(e.Content) != string(big) || e.Blob != "" {
		t.Errorf("the result has %d bytes and the blob %q", len(e.Content), e.Blob)
	}
	p.PutBlob = func(_ ctx, id agent.RunID, data []byte) (string, error) {
		if id != "r1" || string(data) != string(big) {
			t.Errorf("%d bytes of run %s are kept", len(data), id)
		}
		return "hash", nil
	}
	if e := call(p, t.Context(), task(agent.Once), nobody).(*run.Returned); len(e.Content) > 20<<10 || e.Blob != "hash" || !json.Valid(e.Content) {
		t.Errorf("the preview has %d bytes and the blob %q", len(e.Content), e.Blob)
	}
}

func TestLookup(t *testing.T) {
	for name, c := range map[string]struct {
		reconcile func(ctx, raw) (raw, error)
		kind      string
		least     time.Duration // of the wait
	}{
		"found":       {func(ctx, raw) (raw, error) { return raw(`1`), nil }, "returned", 0},
		"not done":    {func(ctx, raw) (raw, error) { return nil, agent.NotDone(errors.New("x")) }, "callfailed", time.Second / 2},
		"cannot tell": {func(ctx, raw) (raw, error) { return nil, errors.New("x") }, "unresolved", 4 * time.Second},
		"panics":      {func(ctx, raw) (raw, error) { panic("x") }, "unresolved", 4 * time.Second},
		"hangs":       {func(c ctx, _ raw) (raw, error) { <-c.Done(); return nil, c.Err() }, "unresolved", 4 * time.Second},
		"is gone":     {nil, "unresolved", 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := performer(&agent.Tool{Reconcile: c.reconcile}, nil)
				e := lookup(p, t.Context(), task(agent.Once), 3)
				var wait time.Duration
				switch e := e.(type) {
				case *run.Returned:
					if !e.Lookup {
						t.Error("it does not say that it was looked up")
					}
				case *run.CallFailed:
					wait = e.Wait
					if !e.Lookup || !e.NotDone || !e.Again {
						t.Errorf("got %+v", e)
					}
				case *run.Unresolved:
					wait = e.Wait
					if e.Try != 3 || e.Error == "" {
						t.Errorf("got %+v", e)
					}
				}
				if run.KindOf(e) != c.kind || wait < c.least || wait > 2*c.least {
					t.Errorf("got %s with a wait of %s, want %s and at least %s", run.KindOf(e), wait, c.kind, c.least)
				}
			})
		})
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	p := performer(&agent.Tool{Reconcile: func(ctx, raw) (raw, error) { return nil, errors.New("x") }}, nil)
	if e := lookup(p, stopped, task(agent.Once), 1); e != nil {
		t.Errorf("a look-up that was stopped gave %#v", e)
	}
}

func plan(p *perform.Performer, c ctx) run.Event {
	return given(func(give func(run.Event)) {
		p.Plan(c, &agent.View{Run: "r1", Agent: "desk"}, run.Job{Kind: run.JobPlan, Slot: 7, Attempt: 3}, 9, "e9", func(agent.Delta) {}, give)
	})
}

func TestPlan(t *testing.T) {
	p := performer(&agent.Tool{Call: func(ctx, raw) (raw, error) { return nil, nil }}, func(_ ctx, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
		if len(v.Tools) != 1 || v.Tools[0].Name != "act" {
			t.Errorf("the planner is shown the tools %v", v.Tools)
		}
		return &agent.Move{Actions: []agent.Action{{Kind: agent.ActCall, Name: "act"}}}, nil
	})
	m, ok := plan(p, t.Context()).(*run.Moved)
	if !ok || m.Basis != 9 || m.BasisID != "e9" || m.Actions[0].Effect != agent.Once || m.Actions[0].Timeout != time.Minute {
		t.Errorf("got %+v", m)
	}
}

func TestPlanThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		err       error
		transient bool
		min, max  time.Duration
	}{
		"for good":               {errors.New("x"), false, 0, 0},
		"for a while":            {agent.Transient(errors.New("x"), 0), true, 2 * time.Second, 4 * time.Second},
		"for as long as it says": {agent.Transient(errors.New("x"), time.Hour), true, time.Hour, time.Hour},
	} {
		p := performer(nil, func(ctx, *agent.View, func(agent.Delta)) (*agent.Move, error) { return nil, c.err })
		e, ok := plan(p, t.Context()).(*run.PlanFailed)
		if !ok || e.Slot != 7 || e.Attempt != 3 || e.Error != "x" || e.Transient != c.transient || e.Wait < c.min || e.Wait > c.max {
			t.Errorf("%s: got %+v", name, e)
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if e := plan(p, stopped); e != nil {
			t.Errorf("%s: a planner that was stopped gave %#v", name, e)
		}
	}
}

// The code of a tool's error is recorded, also of one that its look-up gives.
func TestCodeOfAnError(t *testing.T) {
	declined := func(ctx, raw) (raw, error) {
		return nil, agent.NotDone(agent.Coded("card.declined", errors.New("x")))
	}
	p := performer(&agent.Tool{Call: declined, Reconcile: declined}, nil)
	if e := failed(t, call(p, t.Context(), task(agent.Once), nobody)); e.Code != "card.declined" || e.Error != "x" || !e.NotDone {
		t.Errorf("the call gives %+v", e)
	}
	if e := failed(t, lookup(p, t.Context(), task(agent.Once), 1)); e.Code != "card.declined" || !e.Lookup {
		t.Errorf("the look-up gives %+v", e)
	}
	k := task(agent.Once)
	k.Action.Name = "gone"
	if e := failed(t, call(p, t.Context(), k, nobody)); e.Code != "" {
		t.Errorf("a call that was not made gives %+v", e)
	}
}
