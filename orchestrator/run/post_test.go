package run_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A posted is what the world knows of a signal that was posted, by other means than
// folding the mailbox.
type posted struct {
	mailbox *shelf
	until   time.Time
	taker   *shelf // the run whose log has taken it; nil: none
	action  agent.ActionID
	lapsed  bool
}

// once is an id with which a signal was posted.
type once struct {
	mailbox agent.RunID
	id      string
}

// addresses are what the simulated agents wait for, and others post to.
var addresses = []run.Address{{Name: "paid", Key: "k1"}, {Name: "paid", Key: "k2"}, {Name: "sent", Key: "k1"}}

// post has somebody post a signal, who does not know for whom it is.
func (w *world) post() {
	d := w.dice
	e := &run.Posted{Data: pick(d, json.RawMessage(`{"sum":4}`), json.RawMessage(`{"sum": 4}`), nil), By: bob, Keep: pick(d, time.Minute, time.Hour, run.MaxKeep)}
	if d.percent(50) {
		e.ID = fmt.Sprint("p", d.upTo(60))
	}
	switch d.upTo(40) {
	case 0:
		e.Keep = pick(d, 0, -time.Second, run.MaxKeep+1)
	case 1:
		e.Data = json.RawMessage(`{`)
	}
	if run.JudgePosted(e) != nil {
		if e.Keep > 0 && e.Keep <= run.MaxKeep && (e.Data == nil || json.Valid(e.Data)) {
			w.t.Fatalf("it is refused: %s", describe(e))
		}
		return
	}
	to := pick(d, addresses...)
	for _, sh := range w.shelves {
		if m := sh.truth.Mailbox; m != nil && len(m.Waiting) > 0 && d.percent(70) {
			to = m.Address
		}
	}
	_ = w.toMailbox(to, e)
}

// toMailbox gives an input to the mailbox of an address that has not ended, as the
// engine does.
func (w *world) toMailbox(to run.Address, e run.Event) error {
	for n := 0; ; n++ {
		id := run.MailboxID(to, n)
		if w.erased[id] {
			continue
		}
		sh := w.byID[id]
		if sh == nil {
			w.count.Mailboxes++
			sh = w.newShelf(id)
			j := w.read(sh, false)
			j.add("", &run.Started{Agent: run.MailboxAgent, Mailbox: &to})
			j.add("", e)
			err := j.commit("")
			if len(sh.rows) == 0 {
				w.count.Runs--
				w.count.Mailboxes--
				w.remove(sh)
			}
			if err != nil {
				return errUnreachable
			}
			return nil
		}
		err := w.tell(sh, e)
		if errors.Is(err, run.ErrMailboxEnded) {
			w.count.NextMailboxes++
			continue
		}
		return err
	}
}

// unsubscribe tells the mailboxes of a run that is erased that it waits no more.
func (w *world) unsubscribe(s *run.State) error {
	told := slices.Clone(s.Subscribed)
	for _, l := range s.Outbox {
		if l.Subscribe != nil {
			told = append(told, *l.Subscribe)
		}
	}
	for _, x := range told {
		if err := w.toMailbox(x.Address, &run.Subscribed{Run: s.Run, N: s.Seq + 1}); err != nil {
			return err
		}
	}
	return nil
}

// handPosts gives signals to the waits of a run, as the engine does.
func (w *world) handPosts(f *flight) (back []agent.ActionID, err error) {
	to := w.byID[f.to]
	if to == nil {
		return nil, errErased
	}
	for _, g := range f.posts {
		m := f.from.truth.Mailbox
		err := w.tell(to, &run.Mailed{Action: g.Action, From: f.from.id, Signal: g.Post.ID, Name: m.Name, Key: m.Key, Data: g.Post.Data, By: g.Post.By})
		var refused *agent.Refusal
		switch {
		case errors.As(err, &refused):
			back = append(back, g.Action)
		case err != nil:
			return nil, err
		}
	}
	return back, nil
}

// expectMail returns the verdicts that are right for what a mailbox takes or gives,
// and for what is given to a run that is a mailbox.
func expectMail(sh *shelf, j *journal, e run.Event) []string {
	s := j.state
	switch e := e.(type) {
	case *run.Mailed:
		p := sh.world.posts[e.Signal]
		o := s.Action(e.Action)
		switch {
		case p.taker == sh && p.action == e.Action:
			return []string{repeated}
		case o != nil && o.Phase == run.Awaiting && o.Action.Key == e.Key:
			return []string{accepted}
		}
		return []string{conflict}
	case *run.Retried:
		switch {
		case s.Ended, s.Stuck == nil:
			return []string{conflict}
		}
		return []string{accepted}
	}
	if s.Ending != nil {
		return []string{conflict}
	}
	switch e := e.(type) {
	case *run.Posted:
		before, there := sh.world.once[once{sh.id, e.ID}]
		switch {
		case !there:
			return []string{accepted}
		case sh.world.now.Sub(before.at) > run.MemoryOfIDs:
			return []string{accepted, repeated, conflict}
		case run.Digest(e.Data) == run.Digest(before.data):
			return []string{repeated}
		}
		return []string{conflict}
	case *run.Subscribed:
		return []string{accepted, repeated}
	}
	return []string{conflict}
}

// wasPosted is when an id was used, and what for.
type wasPosted struct {
	at   time.Time
	data json.RawMessage
}

// notePosts notes what a record says of signals, and that it may say so: each is
// taken by one wait at most, and once.
func (w *world) notePosts(sh *shelf, was *glance, r *run.Record) {
	switch e := r.Event.(type) {
	case *run.Posted:
		w.notePosted(sh, was, r, e)
	case *run.Mailed:
		w.noteMailed(sh, was, r, e)
	case *run.Delivered:
		w.count.PostsBack += len(e.Back)
	case *run.Lapsed:
		if p := w.posts[e.Signal]; p != nil && !was.ended {
			if r.Time.Before(p.until) || p.mailbox != sh || p.taker != nil && w.byID[p.taker.id] == p.taker {
				w.broken(sh, "the signal %s lapses, which is kept until %s", e.Signal, p.until.Sub(epoch))
			}
			p.lapsed = true
			w.count.PostsLapsed++
		}
	}
}

// postCheck: no signal is lost that something waits for, and each is in one place
// until it is taken or its time is over.
var postCheck = &check{record: func(w *world, sh *shelf, _ *glance, _ *run.Record) {
	if sh.truth.Mailbox == nil {
		checkSubscribed(w, sh)
		return
	}
	checkMailbox(w, sh)
}}

func (w *world) notePosted(sh *shelf, was *glance, r *run.Record, e *run.Posted) {
	if was.ended {
		w.broken(sh, "a signal is in the log of a mailbox that had ended")
	}
	if before, there := w.once[once{sh.id, e.ID}]; there && e.ID != "" && r.Time.Sub(before.at) <= run.MemoryOfIDs {
		w.broken(sh, "the id %s counts twice", e.ID)
	}
	if e.ID != "" {
		w.once[once{sh.id, e.ID}] = wasPosted{r.Time, e.Data}
	}
	w.count.Posts++
	p := &posted{mailbox: sh, until: r.Time.Add(e.Keep)}
	w.posts[r.ID] = p
	if sh.unsettled == nil {
		sh.unsettled = map[agent.RecordID]*posted{}
	}
	sh.unsettled[r.ID] = p
}

func (w *world) noteMailed(sh *shelf, was *glance, r *run.Record, e *run.Mailed) {
	p := w.posts[e.Signal]
	_, open := was.open[e.Action]
	if !open || sh.truth.Action(e.Action) != nil {
		w.broken(sh, "the signal %s is given to the wait %s, which it does not end", e.Signal, e.Action)
	}
	if p.taker != nil && w.byID[p.taker.id] == p.taker { // what was erased has taken nothing
		w.broken(sh, "the signal %s was taken by %s of %s before", e.Signal, p.action, p.taker.id)
	}
	if p.lapsed {
		w.broken(sh, "the signal %s had lapsed", e.Signal)
	}
	p.taker, p.action = sh, e.Action
	w.count.PostsTaken++
}

// checkMailbox checks that each signal of a mailbox is in one place.
func checkMailbox(w *world, sh *shelf) {
	s, m := sh.truth, sh.truth.Mailbox
	if len(m.Kept) > 0 && len(m.Waiting) > 0 && s.Ending == nil {
		w.broken(sh, "%d signals are kept, and %d waits are open for them", len(m.Kept), len(m.Waiting))
	}
	places := map[agent.RecordID]int{}
	given := map[run.Waiting]int{}
	for i, p := range m.Kept {
		places[p.ID]++
		if i > 0 && p.Seq <= m.Kept[i-1].Seq {
			w.broken(sh, "the signals are kept in another order than they came in")
		}
	}
	for _, l := range s.Outbox {
		for _, g := range l.Posts {
			places[g.Post.ID]++
			given[run.Waiting{Run: l.To, Action: g.Action}]++
		}
	}
	for _, x := range m.Waiting {
		given[x]++
	}
	for x, n := range given {
		if n > 1 {
			w.broken(sh, "the wait %+v is told of %d times", x, n)
		}
	}
	for id := range places {
		if sh.unsettled[id] == nil {
			w.broken(sh, "the signal %s is there again", id)
		}
	}
	for id, p := range sh.unsettled {
		gone := p.taker != nil && w.byID[p.taker.id] != p.taker
		switch n := places[id]; {
		case n > 1:
			w.broken(sh, "the signal %s is in %d places", id, n)
		case n == 0 && p.taker == nil && !p.lapsed:
			w.broken(sh, "the signal %s is lost", id)
		case n == 1 && p.lapsed:
			w.broken(sh, "the signal %s has lapsed and is there", id)
		case n == 1 && p.taker != nil && !gone && !onItsWay(s, p, id):
			w.broken(sh, "the signal %s was taken by %s and is there", id, p.taker.id)
		case n == 0:
			delete(sh.unsettled, id)
		}
	}
	if s.Ended && len(places)+len(m.Waiting) > 0 {
		w.broken(sh, "the mailbox has ended with %d signals and %d waits", len(places), len(m.Waiting))
	}
}

// onItsWay reports whether the mailbox has yet to learn that a signal was taken.
func onItsWay(s *run.State, p *posted, id agent.RecordID) bool {
	l := s.LetterTo(p.taker.id)
	return l != nil && slices.ContainsFunc(l.Posts, func(g run.Given) bool { return g.Post.ID == id && g.Action == p.action })
}

// checkSubscribed checks that each open wait with a key stands in what mailboxes are
// told, or will be.
func checkSubscribed(w *world, sh *shelf) {
	for _, o := range sh.truth.Open {
		if o.Phase != run.Awaiting || o.Action.Key == "" {
			continue
		}
		if !slices.ContainsFunc(sh.truth.Subscribed, func(x run.Subscription) bool {
			return x.Address == run.Address{Name: o.Action.Name, Key: o.Action.Key} && slices.Contains(x.Actions, o.ID)
		}) {
			w.broken(sh, "the wait %s is open, and its mailbox is not told", o.ID)
		}
	}
}

// hearsOfPosts checks, at a moment at which nobody has anything to do, that who waits
// is known to its mailbox, and that a mailbox knows of nobody who does not.
func (w *world) hearsOfPosts(sh *shelf) {
	s := sh.truth
	if m := s.Mailbox; m != nil {
		for _, x := range m.Waiting {
			from := w.byID[x.Run]
			if from == nil || sh.id != run.MailboxID(m.Address, 0) {
				continue // a letter of a run that is gone, or for the mailbox before, may come late
			}
			o := from.truth.Action(x.Action)
			if (o == nil || o.Action.Key != m.Key) && from.truth.LetterTo(sh.id) == nil {
				w.broken(sh, "%+v is held to wait, and does not", x)
			}
		}
		return
	}
	for _, o := range s.Open {
		to := run.Address{Name: o.Action.Name, Key: o.Action.Key}
		if o.Phase != run.Awaiting || to.Key == "" || s.LetterTo(run.MailboxID(to, 0)) != nil {
			continue
		}
		heard := false
		for _, x := range w.shelves {
			if m := x.truth.Mailbox; m != nil && m.Address == to {
				l := x.truth.LetterTo(sh.id)
				heard = heard || slices.Contains(m.Waiting, run.Waiting{Run: sh.id, Action: o.ID}) ||
					l != nil && slices.ContainsFunc(l.Posts, func(g run.Given) bool { return g.Action == o.ID })
			}
		}
		if !heard {
			w.broken(sh, "the wait %s is open, and no mailbox knows of it", o.ID)
		}
	}
}

// retireMailbox removes a mailbox that has ended, as a sweep does.
func (w *world) retireMailbox() {
	for _, sh := range w.shelves {
		if sh.truth.Mailbox != nil && sh.truth.Ended && w.dice.percent(w.eagerness()) {
			w.retireRun(sh)
			w.erased[sh.id] = true
			return
		}
	}
}

func (w *world) eagerness() int {
	if w.faults {
		return 1
	}
	return 0
}
