package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// followed is a run whose log is read as far as it goes, and put into words.
type followed struct {
	state *run.State
	tell  *teller
}

func follow(id agent.RunID, me string) *followed {
	return &followed{state: run.New(id), tell: newTeller(me)}
}

// readOn reads what the log has beyond what is known of it. Unlike a watch, it
// does not wait. each sees every record, with the state after it.
func (f *followed) readOn(ctx context.Context, store memory.Store, each func(orchestrator.Event)) error {
	log, err := store.Read(ctx, f.state.Run, memory.ReadOptions{After: f.state.Seq})
	switch {
	case errors.Is(err, memory.ErrErased):
		return &missing{fmt.Sprintf("run %s was erased", f.state.Run), err}
	case errors.Is(err, memory.ErrNotFound):
		return &missing{fmt.Sprintf("there is no run %q", f.state.Run), err}
	case err != nil:
		return err
	}
	for i := range log.Records {
		m := &log.Records[i]
		e, err := run.Decode(m.Data)
		if err != nil {
			return fmt.Errorf("record %d of run %s: %w", m.Seq, f.state.Run, err)
		}
		r := &run.Record{Seq: m.Seq, ID: m.ID, Time: m.Time, Event: e}
		f.state.Apply(r)
		each(orchestrator.Event{Run: f.state.Run, Record: r, Status: f.state.Status(), State: f.state})
	}
	return nil
}

// missing is the error of a run that is not in the store.
type missing struct {
	text string
	err  error
}

func (e *missing) Error() string { return e.text }
func (e *missing) Unwrap() error { return e.err }
