package run_test

import (
	"errors"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// What the delivery of a letter may end with, beside a refusal.
var (
	errUnreachable = errors.New("the store of the other run cannot be reached")
	errErased      = errors.New("the run was erased")
)

// A flight is a letter on its way to another run, as it was when it left. It may
// be lost, arrive twice or late, and long after newer ones.
type flight struct {
	delivery
	from     *shelf
	opening  []run.Event
	cancel   *run.Cancelled
	reported *run.Reported
	waits    *run.Subscription
	posts    []run.Given
	at       time.Time // when it arrives that was left behind
}

// A delivery names a letter.
type delivery struct {
	sender, to agent.RunID
	n          int64
}

// letter makes up what a job has to deliver.
func (w *world) letter(from *shelf, s *run.State, job run.Job) *flight {
	l := s.LetterTo(job.To)
	f := &flight{delivery: delivery{from.id, job.To, job.N}, from: from, opening: s.Opening(l), cancel: l.Cancel, waits: l.Subscribe, posts: l.Posts}
	if l.Report != nil {
		f.reported = &run.Reported{Action: s.Parent.Action, Run: s.Run, N: l.N, Report: *l.Report}
		if l.Report.Status == agent.StatusDone {
			f.reported.Content = s.Result()
		}
		if l.Report.Status.Ended() {
			f.reported.Usage = s.Spent.Usage
		}
	}
	return f
}

// hand hands the letter over, or fails to, or only seems to fail.
func (t *task) hand() {
	w := t.w
	t.handed = true
	if w.faults && w.dice.percent(4) {
		t.lost = errUnreachable
		return
	}
	t.back, t.lost = w.hand(t.flight)
	if w.faults && w.dice.percent(8) { // and once more, some time later
		w.fly(t.flight, 2*time.Hour)
	}
	if w.faults && w.dice.percent(2) {
		t.lost = errUnreachable // the reply was lost
	}
}

// delivered is what came of it, for the log of the run that has told.
func (t *task) delivered() run.Event {
	done := &run.Delivered{To: t.job.To, N: t.job.N}
	if t.lost == nil {
		done.Back = t.back
		return done
	}
	done.Error = t.lost.Error()
	if errors.Is(t.lost, errUnreachable) {
		t.w.count.LettersUnreachable++
		done.Wait = min(time.Second<<min(t.job.Attempt-1, 20), 5*time.Minute)
	} else {
		t.w.count.Refused++
	}
	return done
}

// leave is what becomes of a delivery whose worker is gone, or which was stopped:
// it happens nevertheless, some time later, or does not.
func (w *world) leave(t *task) {
	if t.flight == nil || t.handed {
		return
	}
	if w.faults && w.dice.percent(60) {
		w.fly(t.flight, 3*time.Minute)
	} else {
		w.count.LettersLost++
	}
}

// fly has a letter arrive within some time.
func (w *world) fly(f *flight, within time.Duration) {
	late := *f
	late.at = w.now.Add(time.Duration(w.dice.upTo(int(within))))
	w.flights = append(w.flights, &late)
}

// land has one of the letters arrive that were left behind, in any order.
func (w *world) land() bool {
	if len(w.flights) == 0 {
		return false
	}
	i := w.dice.upTo(len(w.flights))
	f := w.flights[i]
	if f.at.After(w.now) {
		return false
	}
	w.flights = slices.Delete(w.flights, i, i+1)
	if w.now.Sub(f.at) > run.MemoryOfIDs/2 {
		w.count.LettersLost++ // nothing is on its way for so long
		return true
	}
	if l := f.from.truth.LetterTo(f.to); l == nil || l.N != f.n {
		w.count.LettersOvertaken++
	}
	w.count.LettersLate++
	_, _ = w.hand(f) // nobody is there any more whom it matters to
	return true
}

// hand hands a letter over, as the engine does.
func (w *world) hand(f *flight) (back []agent.ActionID, err error) {
	w.count.Letters++
	if w.handed[f.delivery] {
		w.count.LettersDoubled++
	}
	w.handed[f.delivery] = true
	if f.waits != nil {
		return nil, w.toMailbox(f.waits.Address, &run.Subscribed{Run: f.sender, N: f.n, Actions: f.waits.Actions})
	}
	if w.erased[f.to] {
		return nil, errErased
	}
	if f.posts != nil {
		return w.handPosts(f)
	}
	to := w.byID[f.to]
	switch {
	case f.reported != nil && to == nil:
		return nil, errErased
	case f.reported != nil:
		return nil, w.tell(to, f.reported)
	case f.opening == nil || to != nil:
		return nil, w.handCancel(f)
	}
	return nil, w.begin(f)
}

// begin begins a delegate's run.
func (w *world) begin(f *flight) error {
	child := w.newShelf(f.to)
	child.parent, child.root, child.deep = f.from, f.from.root, f.from.deep
	j := w.read(child, false)
	for _, e := range f.opening {
		j.add("", e)
	}
	err := j.commit("")
	if len(child.rows) == 0 {
		w.count.Runs--
		w.remove(child)
	} else {
		w.count.Delegates++
		w.count.DeepestRun = max(w.count.DeepestRun, len(child.truth.Path()))
	}
	if err != nil {
		return errUnreachable
	}
	return nil
}

// handCancel calls a run off, if that is to be told. That it has ended by itself is
// as good.
func (w *world) handCancel(f *flight) error {
	if f.cancel == nil {
		return nil
	}
	to := w.byID[f.to]
	if to == nil {
		return errErased
	}
	err := w.tell(to, f.cancel)
	var refused *agent.Refusal
	if errors.As(err, &refused) && refused.Kind == agent.RefusedConflict {
		return nil
	}
	return err
}

// tell gives another run an input, and sometimes does not learn whether it was
// taken.
func (w *world) tell(to *shelf, e run.Event) error {
	id := w.newRecordID()
	for {
		done, err := w.try(to, id, e)
		if done {
			return err
		}
		if w.faults && w.dice.percent(50) {
			return errUnreachable
		}
	}
}

// erase removes a delegate that has none of its own, as somebody may at any time,
// or one that has yet to begin.
func (w *world) erase() {
	if !w.faults {
		return
	}
	for _, sh := range w.shelves {
		for _, l := range sh.truth.Outbox {
			if l.Spawn != nil && w.byID[l.To] == nil {
				w.count.Erased++
				w.erased[l.To] = true
				return
			}
		}
	}
	sh := pick(w.dice, w.shelves...)
	if w.dice.percent(60) {
		return
	}
	hasOwn := slices.ContainsFunc(sh.truth.Outbox, func(l *run.Letter) bool { return l.Spawn != nil }) ||
		slices.ContainsFunc(w.shelves, func(x *shelf) bool { return x.parent == sh })
	if sh.parent == nil || hasOwn {
		return
	}
	s := sh.truth
	if !s.Ended || len(s.Outbox) > 0 {
		last := &run.Reported{
			Action: s.Parent.Action, Run: sh.id, N: s.Seq + 1,
			Report: run.Report{Status: agent.StatusFailed, Reason: "the run was erased"}, Usage: s.Spent.Usage,
		}
		if w.tell(sh.parent, last) != nil {
			return // it failed in between, and is not repeated
		}
	}
	if w.unsubscribe(s) != nil {
		return
	}
	w.count.Erased++
	w.erased[sh.id] = true
	w.retireRun(sh)
}
