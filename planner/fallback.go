package planner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// Fallback makes one model of several: each is asked if the one before it
// failed, whatever the error – another provider may well do what this one
// refused. Only when ctx has ended is nobody asked any more, and the error is
// that of the model which was being asked.
//
// When all have failed, the error joins theirs. It is marked with
// [agent.Transient] if one of them is, with the shortest wait among those.
// Words of a model that failed are taken back by a Delta with Reset.
//
// Fallback panics if there is no model, or if one is nil.
func Fallback(models ...agent.Model) agent.Model {
	if len(models) == 0 {
		panic("planner.Fallback: there is no model: give one at least")
	}
	for i, m := range models {
		if m == nil {
			panic(fmt.Sprintf("planner.Fallback: model %d is nil", i))
		}
	}
	return fallback(append([]agent.Model(nil), models...))
}

type fallback []agent.Model

func (f fallback) Generate(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
	words := &words{emit: emit}
	var errs []error
	for i, m := range f {
		reply, err := m.Generate(ctx, req, words.say)
		if err == nil && reply != nil {
			return reply, nil
		}
		if err == nil {
			err = errors.New("the model returned neither a reply nor an error")
		}
		words.drop()
		err = fmt.Errorf("model %d of %d: %w", i+1, len(f), err)
		if ctx.Err() != nil {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, joined(errs)
}

// joined joins errs, and is transient if one of them is.
func joined(errs []error) error {
	var shortest time.Duration
	found := false
	for _, err := range errs {
		if after, ok := agent.IsTransient(err); ok && (!found || after < shortest) {
			shortest, found = after, true
		}
	}
	err := errs[0]
	if len(errs) > 1 {
		err = errors.Join(errs...)
	}
	if found {
		return agent.Transient(err, shortest)
	}
	return err
}
