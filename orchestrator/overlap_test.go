package orchestrator_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// slowStore is a store whose commits take a while before they take place, and
// which counts what is read.
type slowStore struct {
	memory.Store
	lasts func(*memory.Commit) time.Duration
	reads atomic.Int32 // of records
}

func (s *slowStore) Commit(ctx context.Context, c *memory.Commit) error {
	if s.lasts != nil {
		time.Sleep(s.lasts(c)) // of virtual time
	}
	return s.Store.Commit(ctx, c)
}

func (s *slowStore) Read(ctx context.Context, id agent.RunID, o memory.ReadOptions) (*memory.Log, error) {
	log, err := s.Store.Read(ctx, id, o)
	if err == nil {
		s.reads.Add(int32(len(log.Records)))
	}
	return log, err
}

// has reports whether a commit has an event of this type.
func has[E run.Event](c *memory.Commit) bool {
	for _, r := range c.Records {
		e, err := run.Decode(r.Data)
		if _, ok := e.(E); ok && err == nil {
			return true
		}
	}
	return false
}

// timed is a model that notes when it is asked.
type timed struct {
	agent.Model
	asked []time.Time
}

func (m *timed) Generate(ctx context.Context, r *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
	m.asked = append(m.asked, time.Now())
	return m.Model.Generate(ctx, r, emit)
}

// The model is asked while the commit of the results is under way; a call that
// acts waits for the commit of its beginning.
func TestPlanningOverlapsTheCommit(t *testing.T) {
	inLab(t, func(l *lab) {
		const lasts = 10 * time.Second
		var called, returned time.Time
		h := newHand()
		h.check = func(agent.CallInfo) { called = time.Now() }
		store := &slowStore{Store: l.store.Another(), lasts: func(c *memory.Commit) time.Duration {
			if has[*run.Returned](c) {
				returned = time.Now()
			}
			return lasts
		}}
		model := &timed{Model: l.plays(step(act), step(done, "act returned"))}
		orchestratortest.Work(l.T, store, nil, service(model, h.tool("act", agent.Once)))
		began := time.Now()
		id := l.start("go")
		l.rests(id, agent.StatusIdle)
		if len(model.asked) != 2 || !model.asked[0].Equal(began) {
			l.Fatalf("the model was asked at %v, want first at %v, while its turn's beginning is committed", model.asked, began)
		}
		// The move waits for the commit of the turn's beginning, and the call for the move's.
		if want := began.Add(2 * lasts); !called.Equal(want) {
			l.Errorf("the call was made at %v, want %v, when its beginning was durable", called, want)
		}
		if !model.asked[1].Equal(returned) {
			l.Errorf("the model was asked again at %v, want %v, while the result is committed", model.asked[1], returned)
		}
	})
}

// A move that was planned for records that did not become durable is dropped,
// and the model is asked anew, with what there is.
func TestPlanForACommitThatFails(t *testing.T) {
	inLab(t, func(l *lab) {
		h := newHand()
		var id agent.RunID
		sent := false
		store := &slowStore{Store: l.store.Another(), lasts: func(c *memory.Commit) time.Duration {
			if has[*run.Returned](c) && !sent {
				sent = true
				l.send(id, "and hurry") // somebody else appends: a conflict
			}
			return time.Second
		}}
		var shown [][]string
		a := &agent.Agent{Name: "desk", Tools: []*agent.Tool{h.tool("act", agent.Once)}, Planner: agent.PlannerFunc(
			func(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
				var texts []string
				for _, m := range v.Messages {
					texts = append(texts, string(m.Role)+":"+m.Text())
				}
				shown = append(shown, texts)
				if len(v.Messages) == 1 {
					return &agent.Move{Message: &agent.Message{Role: agent.RoleAssistant, Parts: []agent.Part{{Call: &agent.Call{ID: "c1", Name: "act"}}}},
						Actions: []agent.Action{{Kind: agent.ActCall, Name: "act", CallID: "c1"}}}, nil
				}
				return &agent.Move{Message: agent.Said("Done.")}, nil
			})}
		orchestratortest.Work(l.T, store, nil, a)
		id = l.start("go")
		l.rests(id, agent.StatusIdle)
		if len(h.calls) != 1 {
			l.Errorf("%d calls, want one\n%s", len(h.calls), l.log(id))
		}
		if n := count[*run.Moved](l.log(id)); n != 2 {
			l.Errorf("%d moves, want 2: the one that was planned ahead is dropped\n%s", n, l.log(id))
		}
		if last := shown[len(shown)-1]; len(shown) != 3 || last[len(last)-1] != "user:and hurry" {
			l.Errorf("the planner was shown %q, want at last the message, too", shown)
		}
	})
}

// A run stays warm for a short while: when somebody writes to it, no more is read
// than what was appended. Later it is read as any other, since nothing is kept.
func TestWarmRuns(t *testing.T) {
	inLab(t, func(l *lab) {
		store := &slowStore{Store: l.store.Another()}
		o, err := orchestrator.New(store, []*agent.Agent{service(l.says(done, done, done))}, nil)
		l.must(err)
		l.until(o)
		id := l.start("one")
		l.rests(id, agent.StatusIdle)
		l.after(time.Second)
		before := store.reads.Load()
		l.send(id, "two")
		l.rests(id, agent.StatusIdle)
		if n := store.reads.Load() - before; n != 2 {
			l.Errorf("%d records of a warm run were read, want 2: the message, and the one before it", n)
		}
		l.after(time.Minute)
		before = store.reads.Load()
		l.send(id, "three")
		l.rests(id, agent.StatusIdle)
		if n, all := store.reads.Load()-before, int32(len(l.log(id).Records)); n < all-3 {
			l.Errorf("%d of %d records of a run that was cold were read, want all that there were", n, all)
		}
	})
}
