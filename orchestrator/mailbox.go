package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// DefaultKeep is how long a posted signal is kept when nothing waits for it.
const DefaultKeep = 24 * time.Hour

// PostInput says who posts a signal, and for how long it counts. A nil *PostInput,
// and the zero value of each field, give the defaults.
type PostInput struct {
	By agent.User
	// ID makes posting idempotent: among the signals of one name and key each id
	// counts once, and is remembered for 30 days at least. Another signal with it is
	// refused. Empty: each call posts a signal.
	ID string
	// Keep is how long the signal is kept when nothing waits for it: 0 is
	// [DefaultKeep], and 30 days are the most.
	Keep time.Duration
}

// Post tells of an event from outside when it is not known which run waits for it: the
// signal goes to one action that waits for its name with its correlation key
// (agent.Action.Key), the first that is there, now or as long as the signal is kept.
// It is durable when Post returns. Data is any JSON value, or nil. The error is an
// *[agent.Refusal] if the signal cannot be taken. To signal a run by its id, see
// [Orchestrator.Signal].
func (o *Orchestrator) Post(ctx context.Context, name, key string, data json.RawMessage, in *PostInput) error {
	if in == nil {
		in = &PostInput{}
	}
	to := run.Address{Name: name, Key: key}
	if err := to.Judge(); err != nil {
		return err
	}
	e := &run.Posted{Data: data, By: in.By, ID: in.ID, Keep: in.Keep}
	if e.Keep == 0 {
		e.Keep = DefaultKeep
	}
	if err := run.JudgePosted(e); err != nil {
		return err
	}
	return o.toMailbox(ctx, to, e)
}

// drivable returns the names of the agents whose runs this process drives: those that
// it has, and that of mailboxes, which everybody drives who drives any.
func (o *Orchestrator) drivable() []string {
	if len(o.agents) == 0 {
		return nil
	}
	return append(o.names(), run.MailboxAgent)
}

// toMailbox appends an input to the mailbox of an address: that generation which has
// not ended. If there is none, it begins one, also where a run says that it waits no
// more: what it has said before may still be on its way.
func (o *Orchestrator) toMailbox(ctx context.Context, to run.Address, e run.Event) error {
	record := newRecordID()
	for n := 0; ; {
		id := run.MailboxID(to, n)
		done, err := o.tryInput(ctx, id, record, e)
		if errors.Is(err, memory.ErrNotFound) {
			j := &journal{store: o.store, state: run.New(id)}
			err = j.begin(ctx, []run.Event{&run.Started{Agent: run.MailboxAgent, Mailbox: &to}, e})
		}
		switch {
		case errors.Is(err, memory.ErrConflict): // somebody else appended, or began it: judge again
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		case errors.Is(err, run.ErrMailboxEnded), errors.Is(err, memory.ErrErased):
			n++
			continue
		case done:
			o.poke(id)
		}
		return err
	}
}

// unsubscribe tells the mailboxes of a run that is to be erased that it waits no more.
// A signal that is on its way to it goes back when it cannot be delivered.
func (o *Orchestrator) unsubscribe(ctx context.Context, s *run.State) error {
	told := map[run.Address]bool{}
	for _, x := range s.Subscribed {
		told[x.Address] = true
	}
	for _, l := range s.Outbox {
		if l.Subscribe != nil {
			told[l.Subscribe.Address] = true
		}
	}
	for to := range told {
		if err := o.toMailbox(ctx, to, &run.Subscribed{Run: s.Run, N: s.Seq + 1}); err != nil {
			return err
		}
	}
	return nil
}

// endMailbox ends a mailbox that is to be erased, so that whoever begins to wait
// meanwhile, or posts, begins the next one. One that was erased already is no error.
func (o *Orchestrator) endMailbox(ctx context.Context, id agent.RunID) error {
	for {
		err := o.tryEndMailbox(ctx, id)
		switch {
		case errors.Is(err, memory.ErrErased):
			return nil
		case !errors.Is(err, memory.ErrConflict) || ctx.Err() != nil:
			return err
		}
	}
}

func (o *Orchestrator) tryEndMailbox(ctx context.Context, id agent.RunID) error {
	j, err := read(ctx, o.store, id, true, nil)
	if err != nil || j.state.Ended {
		return err
	}
	if err := judgeErase(j.state); err != nil {
		return err
	}
	if _, err := j.add(newRecordID(), &run.Cancelled{Reason: "it is erased"}); err != nil {
		return err
	}
	return j.commit(ctx, "")
}

// judgeErase refuses to erase a mailbox at which something waits, and which would wait
// for ever.
func judgeErase(s *run.State) error {
	if len(s.Mailbox.Waiting) == 0 && len(s.Outbox) == 0 {
		return nil
	}
	return agent.Refuse(agent.RefusedConflict, "run %s is the mailbox of the signal %q with the key %q, for which runs wait; cancel them first", s.Run, s.Mailbox.Name, s.Mailbox.Key)
}

// handPosts gives signals to the waits of a run, and returns which of these had ended.
// A run that is not there any more is an error.
func (o *Orchestrator) handPosts(ctx context.Context, l *delivery) (back []agent.ActionID, err error) {
	for _, g := range l.posts {
		err := o.input(ctx, l.job.To, &run.Mailed{
			Action: g.Action, From: l.from, Signal: g.Post.ID, Name: l.mailbox.Name, Key: l.mailbox.Key, Data: g.Post.Data, By: g.Post.By,
		})
		var refused *agent.Refusal
		switch {
		case errors.As(err, &refused) && refused.Kind != agent.RefusedUnknown:
			back = append(back, g.Action)
		case err != nil:
			return nil, err
		}
	}
	return back, nil
}

// fetch gives the runs of a tree that rest the signals which their mailboxes have for
// them, and reports whether one of them has gone on since. Workers do so, too, and
// record it; whoever does it again does no harm.
func (o *Orchestrator) fetch(ctx context.Context, g *grove) (goesOn bool, err error) {
	for id, stands := range g.stands {
		if len(stands.subscribed) == 0 || len(o.agents) == 0 {
			continue
		}
		for _, x := range stands.subscribed {
			m, err := o.mailbox(ctx, x.Address)
			if err != nil {
				return false, err
			}
			if m == nil || m.LetterTo(id) == nil {
				continue // what was in one that is recorded as delivered is in the run's log
			}
			d := &delivery{job: run.Job{To: id}, from: m.Run, mailbox: x.Address, posts: m.LetterTo(id).Posts}
			var refused *agent.Refusal
			if _, err := o.handPosts(ctx, d); err != nil && !errors.As(err, &refused) && !errors.Is(err, memory.ErrErased) {
				return false, err
			}
		}
		j, err := read(ctx, o.store, id, true, nil)
		if errors.Is(err, memory.ErrNotFound) || errors.Is(err, memory.ErrErased) {
			continue
		}
		if err != nil {
			return false, err
		}
		goesOn = goesOn || o.agents[j.state.Agent] != nil && j.state.Seq != stands.seq
	}
	return goesOn, nil
}

// mailbox returns the mailbox of an address that has not ended; nil if there is none.
func (o *Orchestrator) mailbox(ctx context.Context, to run.Address) (*run.State, error) {
	for n := 0; ; n++ {
		id := run.MailboxID(to, n)
		j, err := read(ctx, o.store, id, true, nil)
		switch {
		case errors.Is(err, memory.ErrErased):
		case errors.Is(err, memory.ErrNotFound):
			return nil, nil
		case err != nil:
			return nil, err
		case !j.state.Ended:
			return j.state, nil
		}
	}
}

// followMailboxes drives the mailboxes that know of a run's waits, each until ctx ends
// or it has ended.
func (w *worker) followMailboxes(ctx context.Context, s *run.State) {
	for _, x := range s.Subscribed {
		first := run.MailboxID(x.Address, 0)
		if s.LetterTo(first) != nil || ctx.Err() != nil {
			continue // it will be looked at again when that is delivered
		}
		w.mu.Lock()
		known := w.followed[first]
		w.followed[first] = true
		w.mu.Unlock()
		if known {
			continue
		}
		w.following.Go(func() {
			m, err := w.o.mailbox(ctx, x.Address)
			for more := err == nil && m != nil; more && ctx.Err() == nil; {
				more = w.claimOne(ctx, m.Run)
			}
			w.mu.Lock()
			delete(w.followed, first) // who waits for it next finds the one after it
			w.mu.Unlock()
		})
	}
}
