package run_test

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A kin is a delegation as the ledger knows it.
type kin struct {
	action   agent.ActionID
	child    agent.RunID
	name     string
	due      time.Time
	outlives bool

	open  bool
	left  bool // it was called off, and is still listened to
	heard int64
	said  []byte // its result, as the run heard it
}

// enterFamily notes what a record says of runs that belong together.
func (l *ledger) enterFamily(w *world, sh *shelf, was *glance, r *run.Record) {
	s := sh.truth
	switch e := r.Event.(type) {
	case *run.Started:
		l.began = e.Agent
	case *run.Moved:
		l.usage = l.usage.Add(e.Usage)
		if s.Plan.LastMove == r.Seq {
			l.enterTasks(w, sh, was, r, e)
		}
	case *run.Reported:
		if e.Status == agent.StatusStuck {
			w.count.DelegatesStuck++
		}
		if k := l.kin[e.Action]; k != nil && k.child == e.Run && (k.open || k.left) && e.N > k.heard {
			l.hear(w, s, k, e)
		}
	case *run.Lapsed:
		if e.Deadline {
			w.count.RunDeadlines++
		}
		if k := l.kin[e.Wait]; k != nil && k.open {
			w.count.DelegatesLate++
		}
	case *run.TurnBegan:
		if was.handed && !s.Handed {
			l.enterTakeOver(w, s)
		}
	}
	for _, k := range l.tasks {
		if !k.open || s.Action(k.action) != nil {
			continue
		}
		k.open = false
		if _, refused := r.Event.(*run.Delivered); refused {
			continue
		}
		if e, late := r.Event.(*run.Lapsed); k.outlives && s.Ending != nil && !(late && e.Wait == k.action) {
			w.count.Outlived++
			continue
		}
		k.left = true
		w.count.CalledOff++
		if w.byID[k.child] == nil {
			w.count.CalledOffUnbegun++
		}
	}
}

// enterTasks notes which agent's planner asked for what, and which tasks it gave.
func (l *ledger) enterTasks(w *world, sh *shelf, was *glance, r *run.Record, e *run.Moved) {
	s := sh.truth
	for i := range e.Actions {
		a := &e.Actions[i]
		id := actionID(r, i)
		l.by[id] = was.agent
		switch {
		case a.Kind == agent.ActDelegate && strings.Contains(a.Refuse, "they go no deeper"):
			w.count.TooDeep++
		case a.Kind == agent.ActDelegate && a.Refuse == "":
			k := &kin{action: id, child: run.ChildID(sh.id, id), name: a.Name, due: s.Deadline, outlives: a.Outlives, open: true}
			if by := s.Time.Add(a.Within); a.Within > 0 && (k.due.IsZero() || by.Before(k.due)) {
				k.due = by
			}
			if !a.Due.IsZero() && (k.due.IsZero() || a.Due.Before(k.due)) {
				k.due = a.Due
			}
			l.kin[id] = k
			l.tasks = append(l.tasks, k)
		}
	}
}

// hear notes what the run was told of a delegate, for the first time.
func (l *ledger) hear(w *world, s *run.State, k *kin, e *run.Reported) {
	k.heard = e.N
	if !e.Status.Ended() {
		return
	}
	l.usage = l.usage.Add(e.Usage)
	switch {
	case k.left && e.Status == agent.StatusDone && s.Ending == nil:
		w.count.DoneNevertheless++
	case k.left:
	case e.Status == agent.StatusDone:
		w.count.DelegatesDone++
	case e.Status == agent.StatusFailed:
		w.count.DelegatesFailed++
	default:
		w.count.DelegatesCancelled++
	}
	k.open, k.left = false, false
	if k.said = e.Content; k.said == nil && e.Status == agent.StatusDone {
		k.said = agent.JSONText("done, without a word")
	}
}

// enterTakeOver notes of which messages the agent is shown nothing to which the run
// was handed off.
func (l *ledger) enterTakeOver(w *world, s *run.State) {
	all := s.Messages()
	l.sees, l.hidden, l.kept = s.Terms.Sees, map[string]bool{}, map[string]bool{}
	from := 0
	switch l.sees {
	case agent.SeesWords:
		w.count.SawWords++
		from = len(all)
	case agent.SeesTurn:
		w.count.SawTurn++
		for i, m := range all {
			if m.Role == agent.RoleUser {
				from = i
			}
		}
	}
	for i, m := range all {
		if i < from {
			l.hidden[m.ID] = true
		} else {
			l.kept[m.ID] = true
		}
	}
}

// familyCheck: what runs know of each other, and what they will be told.
var familyCheck = &check{
	record: func(w *world, sh *shelf, was *glance, r *run.Record) {
		if r.Seq == 1 {
			checkOpening(w, sh)
		}
		if m, ok := r.Event.(*run.Messaged); ok && r.Seq == 2 && sh.parent != nil {
			text, whole := m.Message.Text(), sh.ledger.began == "lookup" // which has a schema of its tasks
			if whole && text == "find it" || !whole && text == `{"task":"find it"}` {
				w.broken(sh, "the delegate %s is told %s", sh.ledger.began, text)
			}
		}
		if !was.ended && sh.truth.Spent.Usage != sh.ledger.usage {
			w.broken(sh, "the run has used %+v, and with what its delegates have used once that is %+v", sh.truth.Spent.Usage, sh.ledger.usage)
		}
		checkOutbox(w, sh)
		checkKin(w, sh)
		checkHandOff(w, sh, was, r)
		checkHeard(w, sh, r)
		if sh.parent != nil {
			checkTold(w, sh)
			checkKin(w, sh.parent)
		}
	},
	view: func(w *world, sh *shelf, v *agent.View, _ int64) {
		if v.Agent != sh.truth.Agent || sh.truth.Handed {
			w.broken(sh, "the planner of %s is asked, and the run goes on with %s", v.Agent, sh.truth.Agent)
		}
		checkSaid(w, sh, v)
	},
	end: func(w *world, sh *shelf) {
		for _, k := range sh.ledger.tasks {
			child := w.byID[k.child]
			if !w.faults && child != nil && !child.truth.Ended {
				w.broken(child, "the delegate goes on for ever")
			}
		}
	},
}

// checkOpening checks what a delegate has from above.
func checkOpening(w *world, sh *shelf) {
	s, parent := sh.truth, sh.parent
	if parent == nil {
		if s.Parent != nil || s.Path() != nil {
			w.broken(sh, "a root stands below %+v", s.Parent)
		}
		return
	}
	p := parent.truth
	k := parent.ledger.kin[s.Parent.Action]
	if k == nil || k.child != sh.id || k.name != s.Agent || s.Parent.Run != parent.id {
		w.broken(sh, "the run was begun for the task %s of %s, which gave it none: %+v", s.Parent.Action, s.Parent.Run, k)
	}
	var path []agent.Place
	for x := sh; x != nil; x = x.parent {
		path = append(path, agent.Place{Run: x.id, Agent: x.ledger.began})
	}
	slices.Reverse(path)
	if !slices.Equal(s.Path(), path) {
		w.broken(sh, "the path is %+v, and %+v is right", s.Path(), path)
	}
	if len(path) > run.MaxDepth {
		w.broken(sh, "the run stands at the depth %d", len(path))
	}
	if s.User.ID != p.User.ID || s.Meta["shop"] != p.Meta["shop"] || !s.Deadline.Equal(k.due) {
		w.broken(sh, "user, meta and deadline are %v, %v and %s; the deadline is to be %s", s.User, s.Meta, s.Deadline, k.due)
	}
}

// checkOutbox checks that there is one letter for each run that is to be told.
func checkOutbox(w *world, sh *shelf) {
	s := sh.truth
	for i, l := range s.Outbox {
		toParent := sh.parent != nil && l.To == sh.parent.id
		toChild := slices.ContainsFunc(sh.ledger.tasks, func(k *kin) bool { return k.child == l.To })
		if slices.ContainsFunc(s.Outbox[:i], func(x *run.Letter) bool { return x.To == l.To }) || l.N > s.Seq || l.N < 1 {
			w.broken(sh, "the letter %d to %s has no place of its own", l.N, l.To)
		}
		if (l.Posts != nil) != (s.Mailbox != nil) || (l.Subscribe != nil) != run.IsMailbox(l.To) {
			w.broken(sh, "the letter to %s is of another kind of run: %+v", l.To, l)
		}
		if toParent != (l.Report != nil) || toChild != (l.Spawn != nil || l.Cancel != nil) {
			w.broken(sh, "the letter to %s says what it is not to say: %+v", l.To, l)
		}
	}
}

// checkKin checks that a run knows how its delegates stand, or will be told, and
// that they know what it wants of them, or will be told.
func checkKin(w *world, sh *shelf) {
	s := sh.truth
	for _, o := range s.Open {
		if o.Phase != run.Afield {
			continue
		}
		child, to := w.byID[o.Child], s.LetterTo(o.Child)
		if to != nil && to.Cancel != nil {
			w.broken(sh, "the task %s is open, and its delegate is to be called off", o.ID)
		}
		if child == nil {
			if to == nil || to.Spawn == nil {
				w.broken(sh, "the task %s is open, and nobody will begin it", o.ID)
			}
			continue
		}
		if back := child.truth.LetterTo(sh.id); back == nil && o.Stands != child.truth.Told || back != nil && (back.N < o.Heard || *back.Report != child.truth.Told) {
			w.broken(sh, "the delegate %s stands as %+v, known is %+v, and the letter on its way is %+v", child.id, child.truth.Told, o.Stands, back)
		}
		if o.Stands.Status == agent.StatusStuck && s.Status() != agent.StatusStuck && s.Plan.Error == "" && !strings.Contains(s.Reason(), "which is stuck") {
			w.broken(sh, "the delegate %s is stuck, and the run does not say so", child.id)
		}
	}
	for _, l := range s.Left {
		child, to := w.byID[l.Run], s.LetterTo(l.Run)
		switch {
		case child == nil && w.erased[l.Run]:
		case child == nil && (to == nil || to.Spawn == nil || to.Cancel == nil):
			w.broken(sh, "the delegate %s was called off before it began, and the letter to it is %+v", l.Run, to)
		case child == nil:
		case child.truth.Ending == nil && (to == nil || to.Cancel == nil):
			w.broken(sh, "the delegate %s was called off, goes on, and will not be told", l.Run)
		case child.truth.Ended && !s.Ended && child.truth.LetterTo(sh.id) == nil:
			w.broken(sh, "the delegate %s that was called off has ended, and that will not be told", l.Run)
		}
	}
	for _, k := range sh.ledger.tasks {
		left := slices.ContainsFunc(s.Left, func(l run.Left) bool { return l.Action == k.action && l.Run == k.child })
		if k.left && !left && !w.erased[k.child] && !s.Ended || left && !k.left {
			w.broken(sh, "the delegate %s was called off: %v; it is listened to: %v", k.child, k.left, left)
		}
	}
}

// checkTold checks that what a delegate says of itself, or will, is true.
func checkTold(w *world, sh *shelf) {
	s := sh.truth
	stuck := slices.ContainsFunc(s.Open, func(o *run.Open) bool { return o.Phase == run.Afield && o.Stands.Status == agent.StatusStuck })
	var want run.Report
	switch status := s.Status(); {
	case s.Ended:
		want = run.Report{Status: status, Reason: s.Ending.Reason, Expired: s.Ending.Expired}
	case status == agent.StatusIdle && s.Turn.N > 0:
		w.broken(sh, "the delegate's task is over, and it has not ended")
	case status == agent.StatusStuck, status == agent.StatusWaiting && stuck:
		want = run.Report{Status: agent.StatusStuck, Reason: s.Told.Reason}
		if s.Told.Reason == "" {
			w.broken(sh, "the delegate is stuck and does not tell why")
		}
	case status == agent.StatusWaiting:
		want = run.Report{Status: agent.StatusWaiting}
	}
	if s.Told != want {
		w.broken(sh, "the parent is told %+v, and %+v is right", s.Told, want)
	}
}

// checkHeard holds what a run is told against the delegate itself.
func checkHeard(w *world, sh *shelf, r *run.Record) {
	e, ok := r.Event.(*run.Reported)
	if !ok {
		return
	}
	child := w.byID[e.Run]
	if child == nil || !child.truth.Ended || !e.Status.Ended() || e.Reason == "the run was erased" {
		return
	}
	s := child.truth
	result := s.Result()
	if s.Ending.Status != agent.StatusDone {
		result = nil
	}
	if e.Status != s.Ending.Status || e.Usage != s.Spent.Usage || !bytes.Equal(e.Content, result) {
		w.broken(sh, "the delegate said %s %+v, and the run is told %s", result, s.Spent.Usage, describe(e))
	}
}

// checkSaid checks that a planner is shown of a delegate what that has said.
func checkSaid(w *world, sh *shelf, v *agent.View) {
	for _, n := range v.News {
		if n.Closed == nil {
			continue
		}
		k := sh.ledger.kin[n.Closed.Action]
		if k != nil && n.Closed.Outcome == agent.Returned && !bytes.Equal(n.Closed.Content, k.said) {
			w.broken(sh, "the delegate said %s, and its planner is shown %s", k.said, n.Closed.Content)
		}
		if k == nil || n.Closed.CallID == "" || n.Closed.Outcome != agent.Returned {
			continue
		}
		shown := slices.ContainsFunc(v.Messages, func(m *agent.Message) bool {
			return slices.ContainsFunc(m.Parts, func(p agent.Part) bool {
				return p.Result != nil && p.Result.CallID == n.Closed.CallID && bytes.Equal(p.Result.Content, k.said) ||
					m.Role == agent.RoleNote && strings.Contains(p.Text, "("+n.Closed.CallID+")") && strings.Contains(p.Text, agent.PlainText(k.said))
			})
		})
		if !shown && len(sh.ledger.hidden) == 0 {
			w.broken(sh, "what the delegate said is not in the conversation: %s\n%s", k.said, conversation(v.Messages))
		}
	}
}

// checkHandOff checks that a run is handed off by a move alone, as often as may be,
// and that what is open stays that of whose planner asked for it.
func checkHandOff(w *world, sh *shelf, was *glance, r *run.Record) {
	s := sh.truth
	m, _ := r.Event.(*run.Moved)
	to := ""
	if m != nil && s.Plan.LastMove == r.Seq {
		for i, a := range m.Actions {
			if a.Kind != agent.ActHandoff || a.Refuse != "" {
				continue
			}
			most := s.Terms.Handoffs
			closed := slices.IndexFunc(s.News, func(n run.News) bool { return n.Action == actionID(r, i) })
			if closed < 0 {
				w.broken(sh, "the hand-off to %s is not closed", a.Name)
			}
			if s.News[closed].Closed.Outcome == agent.Returned {
				w.count.HandOffs++
				to = a.Name
			} else {
				w.count.HandOffsRefused++
			}
			if full := most > 0 && was.hands >= most; full == (to != "") {
				w.broken(sh, "the run was handed off %d times in this turn, %d are the most, and now to %q", was.hands, most, to)
			}
		}
	}
	if to == "" && s.Agent != was.agent && r.Seq > 1 || to != "" && (s.Agent != to || !s.Handed || s.Turn.Hands != was.hands+1) {
		w.broken(sh, "the run is handed off to %q and goes on with %s after %s", to, s.Agent, was.agent)
	}
	if s.Turn.Hands != was.hands && to == "" && s.Turn.N == was.turn {
		w.broken(sh, "the run was handed off %d times, and %d times now", was.hands, s.Turn.Hands)
	}
	for _, o := range s.Open {
		if by := sh.ledger.by[o.ID]; by != firstNonEmpty(o.Agent, s.Agent) {
			w.broken(sh, "the planner of %s asked for %s, and it is held to be of %q", by, o.ID, firstNonEmpty(o.Agent, s.Agent))
		}
	}
}

// standsStill checks the whole world at a moment at which nobody has anything to
// do: nothing in it is silent, and whoever waits for what is stuck says so.
func (w *world) standsStill() {
	for _, sh := range w.shelves {
		s := sh.truth
		if wake := s.Wake(); !sh.wake.Equal(wake) && sh.claim == "" && !sh.ready && !sh.torn {
			w.broken(sh, "the run wakes at %s, and the store knows of %s", wake, sh.wake)
		}
		if !w.alive(sh) {
			w.broken(sh, "the run is silent, with all below it")
		}
		if s.Status() == agent.StatusStuck {
			w.saysWhy(sh)
		}
		w.hearsOfPosts(sh)
	}
}

// alive reports whether something will become of a run, or says why not.
func (w *world) alive(sh *shelf) bool {
	s := sh.truth
	subscribed := slices.ContainsFunc(s.Open, func(o *run.Open) bool { return o.Phase == run.Awaiting && o.Action.Name != "" })
	switch {
	case s.Ended:
		return len(s.Outbox) == 0 || !s.Wake().IsZero()
	case s.Status() == agent.StatusStuck:
		return s.Reason() != ""
	case s.Status() == agent.StatusIdle:
		return sh.parent == nil
	case !s.Wake().IsZero(), len(s.Asks()) > 0, subscribed, serves(s):
		return true
	}
	return slices.ContainsFunc(s.Open, func(o *run.Open) bool {
		child := w.byID[o.Child]
		return o.Phase == run.Afield && child != nil && w.alive(child) && (!child.truth.Ended || child.truth.LetterTo(sh.id) != nil)
	})
}

// saysWhy checks that all runs above a stuck one that rest and have been told say
// so.
func (w *world) saysWhy(sh *shelf) {
	for ; sh.parent != nil; sh = sh.parent {
		p := sh.parent.truth
		o := p.Action(sh.truth.Parent.Action)
		if o == nil || sh.truth.LetterTo(sh.parent.id) != nil || !p.Status().Resting() || p.Status() == agent.StatusStuck || p.Plan.Error != "" {
			return
		}
		if o.Stands.Status != agent.StatusStuck || !strings.Contains(p.Reason(), "which is stuck") {
			w.broken(sh.parent, "the delegate %s is stuck, and the run says only %q", sh.id, p.Reason())
		}
	}
	w.count.StuckUpToTheRoot++
}
