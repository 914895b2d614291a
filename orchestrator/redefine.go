package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// Redefine has a run go by another definition from now on; see [agent.Definer]. Its
// planner is asked at once: a move that it is thinking about is void, and a run that
// is stuck because of its planner goes on. What is open stays so.
//
// Change is shown the run as its planner would be, with the definition by which it
// goes now, or none if that is lost; and returns what is to change of the saved keys,
// as in agent.Move.Keys, so that they fit the new definition. If it returns an error,
// nothing is changed. It may be asked several times, as the run goes on meanwhile; a
// nil change leaves the keys as they are.
//
// The error is an *[agent.Refusal] if the run has ended or goes by no definition, and
// if change says no: its own, or one of the kind conflict. A nil in is the zero Input.
func (o *Orchestrator) Redefine(ctx context.Context, id agent.RunID, definition []byte, change func(v *agent.View) (keys map[string]json.RawMessage, err error), in *Input) error {
	if len(definition) == 0 {
		return agent.Refuse(agent.RefusedInvalid, "the new definition of run %s is empty; to end the run, cancel it", id)
	}
	in = orZero(in)
	sum := sha256.Sum256(definition)
	r := &redefinition{
		o: o, id: id, record: newRecordID(), definition: definition, change: change,
		event: run.Redefined{Definition: hex.EncodeToString(sum[:]), By: in.By, Note: in.Note, Key: in.Key},
	}
	return o.untilDone(ctx, id, func() (done bool, err error) { return r.try(ctx) })
}

// redefinition is one call of Redefine.
type redefinition struct {
	o          *Orchestrator
	id         agent.RunID
	record     agent.RecordID
	definition []byte
	change     func(*agent.View) (map[string]json.RawMessage, error)
	event      run.Redefined // but for the keys
	kept       bool          // the definition is a blob of the run
}

// try judges and appends it once, as tryInput does. It reads the whole run, as what
// a planner is shown has all words.
func (r *redefinition) try(ctx context.Context) (done bool, err error) {
	j, err := read(ctx, r.o.store, r.id, false, nil)
	if err != nil {
		return false, err
	}
	j.moment = r.o.store.Now()
	if err := j.addOverdue(""); err != nil {
		return false, err
	}
	e, refusal, err := r.judged(ctx, j)
	if err != nil {
		return false, err
	}
	if e != nil {
		if _, err := j.add(r.record, e); err != nil {
			return false, err
		}
	}
	done = len(j.batch) > 0
	if err := j.commit(ctx, ""); err != nil {
		return false, err
	}
	return done, refusal
}

// judged returns the event to append, whose definition is kept by then; or nil, and
// why none is: no reason says that the same was accepted before.
func (r *redefinition) judged(ctx context.Context, j *journal) (e *run.Redefined, refusal, err error) {
	full := r.event
	if ok, refusal := j.state.Judge(&full, schema.Validate); !ok {
		return nil, refusal, nil
	}
	if r.change != nil {
		v, err := r.view(ctx, j)
		if err != nil {
			return nil, nil, err
		}
		keys, err := r.change(v)
		if err != nil {
			return nil, refusalOf(r.id, err), nil
		}
		full.Keys = keys
		if ok, refusal := j.state.Judge(&full, schema.Validate); !ok {
			return nil, refusal, nil
		}
	}
	if !r.kept {
		if _, err := r.o.store.PutBlob(ctx, r.id, r.definition); err != nil {
			return nil, nil, err
		}
		r.kept = true
	}
	return &full, nil, nil
}

// refusalOf is the error of a change that says no.
func refusalOf(id agent.RunID, err error) error {
	var refusal *agent.Refusal
	if errors.As(err, &refusal) {
		return err
	}
	return agent.Refuse(agent.RefusedConflict, "run %s cannot go on by this definition: %v", id, err)
}

// view is the run as its planner would be shown it now.
func (r *redefinition) view(ctx context.Context, j *journal) (*agent.View, error) {
	v := j.state.View(j.moment)
	if p := r.o.agents[j.state.Agent]; p != nil {
		v.Tools, v.Delegates, v.Handoffs = p.Agent.Tools, p.Agent.Delegates, p.Agent.Handoffs
	}
	now, err := r.o.store.Blob(ctx, r.id, j.state.Definition)
	if err != nil && !isRefused(err) {
		return nil, err
	}
	v.Definition = now
	return v, nil
}
