package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Tree is a run and the delegates that it has, or had, in the order in which they
// began.
type Tree struct {
	Run      agent.RunID
	Action   agent.ActionID // of the parent, for which it was started; "" for the tree's top
	Agent    string         // with which it began
	State    *run.State     // nil for one that was erased or has yet to begin
	Children []*Tree
}

// Tree returns a run and all below it, as their logs say.
func (o *Orchestrator) Tree(ctx context.Context, id agent.RunID) (*Tree, error) {
	t, err := o.tree(ctx, &Tree{Run: id})
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, o.known(id, err))
	}
	return t, nil
}

// tree fills in t from its run's log.
func (o *Orchestrator) tree(ctx context.Context, t *Tree) (*Tree, error) {
	j := &journal{store: o.store, state: run.New(t.Run)}
	var tasks []*Tree
	_, err := j.readOn(ctx, func(r *run.Record) {
		for _, a := range j.state.Open {
			if a.Seq == r.Seq && a.Phase == run.Afield {
				tasks = append(tasks, &Tree{Run: a.Child, Action: a.ID, Agent: a.Action.Name})
			}
		}
		if e, ok := r.Event.(*run.Started); ok && t.Agent == "" {
			t.Agent = e.Agent
		}
	})
	if err != nil {
		return nil, err
	}
	t.State = j.state
	for _, c := range tasks {
		child, err := o.tree(ctx, c)
		switch {
		case errors.Is(err, memory.ErrNotFound), errors.Is(err, memory.ErrErased):
			child = c
		case err != nil:
			return nil, fmt.Errorf("read run %s, a delegate of %s: %w", c.Run, t.Run, err)
		}
		t.Children = append(t.Children, child)
	}
	return t, nil
}

// all yields the runs of the tree that are there, those below before those above.
func (t *Tree) all(yield func(*Tree) bool) bool {
	for _, c := range t.Children {
		if !c.all(yield) {
			return false
		}
	}
	return t.State == nil || yield(t)
}

// Erase removes a run, all its delegates and all that is kept of them for good,
// leaving tombstones of their ids. Runs that go on are cancelled first by the
// caller. The parent of a delegate that is erased is told that it has failed. If it
// fails in between, it can be repeated.
func (o *Orchestrator) Erase(ctx context.Context, id agent.RunID) error {
	t, err := o.tree(ctx, &Tree{Run: id})
	if errors.Is(err, memory.ErrNotFound) || errors.Is(err, memory.ErrErased) || errors.Is(err, errUnreadable) || errors.Is(err, memory.ErrCorrupt) {
		return o.store.Erase(ctx, id) // it alone: nobody knows of more
	}
	if err != nil {
		return err
	}
	if t.State.Mailbox != nil {
		if err := o.endMailbox(ctx, id); err != nil {
			return err
		}
	}
	if err := o.tellErased(ctx, t.State); err != nil {
		return err
	}
	t.all(func(x *Tree) bool {
		err = o.unsubscribe(ctx, x.State)
		return err == nil
	})
	if err != nil {
		return err
	}
	_, err = o.eraseAll(ctx, t)
	return err
}

func (o *Orchestrator) eraseAll(ctx context.Context, t *Tree) (erased int, err error) {
	t.all(func(x *Tree) bool {
		if err = o.store.Erase(ctx, x.Run); err == nil {
			erased++
		}
		return err == nil
	})
	return erased, err
}

// tellErased tells the parent of a run that is to be erased. The run may go on until it
// is, and tell the parent of that; so this letter has a number above all of its others.
func (o *Orchestrator) tellErased(ctx context.Context, s *run.State) error {
	if s.Parent == nil || s.Ended && len(s.Outbox) == 0 {
		return nil
	}
	err := o.input(ctx, s.Parent.Run, &run.Reported{
		Action: s.Parent.Action, Run: s.Run, N: math.MaxInt64,
		Report: run.Report{Status: agent.StatusFailed, Reason: "the run was erased"}, Usage: s.Spent.Usage,
	})
	var refused *agent.Refusal
	if errors.As(err, &refused) {
		return nil // there is nobody to tell
	}
	return err
}
