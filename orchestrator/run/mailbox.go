package run

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fermata-run/fermata/agent"
)

// The rules of signals whose sender does not know which run waits.
//
//   - A name and a correlation key have a mailbox: a run of MailboxAgent, whose id
//     follows from them. A signal that is posted to them is a record of its log.
//   - A run tells the mailbox which of its waits are open, by a letter (subscribe.go).
//   - The mailbox gives each signal to one wait, the first it has heard of, by a
//     letter to that run. What it has given away is in the letter and nowhere else.
//     The letter is delivered when the run has taken the signal, or has refused it as
//     the wait has ended: then the signal is back in the mailbox, in its old place.
//   - A run takes a signal once: it remembers which one has ended which wait, and is
//     told of one and the same as often as that may be.
//   - A signal that nothing waits for is kept for a time. Its lapse is an event.
//   - A mailbox that has held nothing for MailboxIdle ends. Then the next generation
//     takes its place, as a run with another id.

// MailboxAgent stands in the place of the agent in the runs that are mailboxes. No
// agent can have that name. Every worker drives them.
const MailboxAgent = "@mailbox"

// The bounds of what a mailbox keeps.
const (
	MailboxIdle = 30 * 24 * time.Hour // a mailbox that has held nothing for so long ends
	MaxKeep     = 30 * 24 * time.Hour // the longest time for which a signal is kept
	MemoryOfIDs = 30 * 24 * time.Hour // the least time for which a signal's id is remembered, and a run's last letter
)

// mailboxPrefix is how the ids of mailboxes begin. Other ids have no o and no l.
const mailboxPrefix = "mailbox"

// An Address is what a mailbox is for.
type Address struct {
	Name string `json:"name"` // of the signals
	Key  string `json:"key"`  // the correlation key
}

// MailboxID returns the id of a mailbox, the n-th for its address; the first is 0.
func MailboxID(a Address, n int) agent.RunID {
	return mailboxPrefix + DeriveID("mailbox", a.Name, a.Key, n)
}

// IsMailbox reports whether the id is one of a mailbox.
func IsMailbox(id agent.RunID) bool { return strings.HasPrefix(string(id), mailboxPrefix) }

// Posted and Subscribed are inputs of a mailbox.
type (
	// Posted says that a signal was sent to the mailbox.
	Posted struct {
		Data json.RawMessage `json:"data,omitempty"`
		By   agent.User      `json:"by,omitzero"`
		ID   string          `json:"id,omitempty"` // the sender's: each counts once
		Keep time.Duration   `json:"keep"`         // how long it is kept when nothing waits
	}

	// Subscribed says which waits of a run take signals of the mailbox: all that there
	// are, the oldest first.
	Subscribed struct {
		Run     agent.RunID      `json:"run"`
		N       int64            `json:"n"` // of the letter; one that is not above the last is ignored
		Actions []agent.ActionID `json:"actions,omitempty"`
	}
)

func (*Posted) kind() string     { return "posted" }
func (*Subscribed) kind() string { return "subscribed" }

// A Mailbox is what a run knows that is one.
type Mailbox struct {
	Address
	Waiting []Waiting            `json:"waiting,omitempty"` // who takes the next signals, in this order
	Kept    []Post               `json:"kept,omitempty"`    // signals that nothing waits for, the oldest first
	IDs     map[string]PostedID  `json:"ids,omitempty"`     // of signals, by the sender's id
	Heard   map[agent.RunID]Mark `json:"heard,omitempty"`   // the last letter of each run
	Swept   time.Time            `json:"swept,omitzero"`    // when what is old was last forgotten of the two
}

// Waiting is a wait that takes a signal.
type Waiting struct {
	Run    agent.RunID    `json:"run"`
	Action agent.ActionID `json:"action"`
}

// A Post is a signal that was posted.
type Post struct {
	Seq   int64           `json:"seq"`
	ID    agent.RecordID  `json:"id"`
	Data  json.RawMessage `json:"data,omitempty"`
	By    agent.User      `json:"by,omitzero"`
	Until time.Time       `json:"until"` // it is kept so long when nothing waits
}

// PostedID is what is remembered of a signal that came with an id.
type PostedID struct {
	What string    `json:"what"` // a hash of it
	At   time.Time `json:"at"`
}

// A Mark is the number of the last letter that a run sent, and when it came.
type Mark struct {
	N  int64     `json:"n"`
	At time.Time `json:"at"`
}

// Given is a signal on its way to a wait.
type Given struct {
	Action agent.ActionID `json:"action"`
	Post   Post           `json:"post"`
}

// mail folds a record into a mailbox. What is no mailbox's to take changes nothing.
func (s *State) mail(r *Record) {
	switch e := r.Event.(type) {
	case *Posted:
		s.posted(r, e)
	case *Subscribed:
		s.subscribed(e)
	case *Delivered:
		s.given(e)
	case *Lapsed:
		if e.Signal == "" {
			s.lapsed(r, e)
		} else {
			s.lapsedSignal(e.Signal)
		}
	case *Retried:
		s.retried(r, e)
	case *Stuck:
		s.stuck(r, e)
	case *Cancelled: // it is about to be erased, with what it keeps
		if m := s.Mailbox; s.Ending == nil && len(m.Waiting) == 0 && len(s.Outbox) == 0 {
			m.Kept = nil
			s.end(r, &End{Status: agent.StatusCancelled, Reason: e.Reason}, agent.Cancelled)
		}
	}
	s.handOut()
	s.sweep()
	s.settle(r)
}

func (s *State) posted(r *Record, e *Posted) {
	m := s.Mailbox
	if e.ID != "" {
		if _, there := m.IDs[e.ID]; there {
			return
		}
		if m.IDs == nil {
			m.IDs = map[string]PostedID{}
		}
		m.IDs[e.ID] = PostedID{What: e.what(), At: s.Time}
	}
	m.Kept = append(m.Kept, Post{Seq: r.Seq, ID: r.ID, Data: e.Data, By: e.By, Until: s.Time.Add(e.Keep)})
}

// what tells signals with one id apart.
func (e *Posted) what() string { return hash([]byte(e.By.ID + "\x00" + Digest(e.Data)))[:16] }

// subscribed takes which waits of a run are open. One to which a signal is on its
// way is not waiting: what becomes of that says whether it has ended.
func (s *State) subscribed(e *Subscribed) {
	m := s.Mailbox
	if e.N <= m.Heard[e.Run].N {
		return
	}
	if m.Heard == nil {
		m.Heard = map[agent.RunID]Mark{}
	}
	m.Heard[e.Run] = Mark{N: e.N, At: s.Time}
	m.Waiting = slices.DeleteFunc(slices.Clone(m.Waiting), func(w Waiting) bool {
		return w.Run == e.Run && !slices.Contains(e.Actions, w.Action)
	})
	for _, id := range e.Actions {
		w := Waiting{Run: e.Run, Action: id}
		if !slices.Contains(m.Waiting, w) && !s.givenTo(w) {
			m.Waiting = append(m.Waiting, w)
		}
	}
}

// givenTo reports whether a signal is on its way to a wait.
func (s *State) givenTo(w Waiting) bool {
	l := s.LetterTo(w.Run)
	return l != nil && slices.ContainsFunc(l.Posts, func(g Given) bool { return g.Action == w.Action })
}

// handOut gives signals to those who wait, as long as there are both.
func (s *State) handOut() {
	m := s.Mailbox
	for s.Ending == nil && len(m.Kept) > 0 && len(m.Waiting) > 0 {
		l := &Letter{To: m.Waiting[0].Run}
		if old := s.LetterTo(l.To); old != nil {
			l.Posts = slices.Clone(old.Posts)
		}
		l.Posts = append(l.Posts, Given{Action: m.Waiting[0].Action, Post: m.Kept[0]})
		m.Kept, m.Waiting = slices.Delete(slices.Clone(m.Kept), 0, 1), slices.Delete(slices.Clone(m.Waiting), 0, 1)
		s.post(l)
	}
}

// given takes what became of the signals in a letter: those were taken that are not
// back. If there is no such run any more, it waits for nothing, and all are.
func (s *State) given(e *Delivered) {
	l := s.LetterTo(e.To)
	if l == nil || l.N != e.N {
		return
	}
	gone := e.Error != "" && e.Wait <= 0
	if gone {
		s.Mailbox.Waiting = slices.DeleteFunc(slices.Clone(s.Mailbox.Waiting), func(w Waiting) bool { return w.Run == e.To })
	}
	if e.Error == "" || gone {
		for _, g := range l.Posts {
			if gone || slices.Contains(e.Back, g.Action) {
				s.takeBack(g.Post)
			}
		}
	}
	s.letterDelivered(e)
}

// takeBack puts a signal back where it was: those that came before it are before it.
func (s *State) takeBack(p Post) {
	kept := s.Mailbox.Kept
	i, _ := slices.BinarySearchFunc(kept, p.Seq, func(k Post, seq int64) int { return cmp.Compare(k.Seq, seq) })
	s.Mailbox.Kept = slices.Insert(slices.Clone(kept), i, p)
}

func (s *State) lapsedSignal(id agent.RecordID) {
	m := s.Mailbox
	m.Kept = slices.DeleteFunc(slices.Clone(m.Kept), func(p Post) bool { return p.ID == id && !s.Time.Before(p.Until) })
}

// sweepEvery is how often a mailbox forgets what is old.
const sweepEvery = 24 * time.Hour

// sweep forgets ids, and the letters of runs of which nothing waits.
func (s *State) sweep() {
	m := s.Mailbox
	if s.Time.Before(m.Swept.Add(sweepEvery)) {
		return
	}
	m.Swept = s.Time
	old := s.Time.Add(-MemoryOfIDs)
	maps.DeleteFunc(m.IDs, func(_ string, p PostedID) bool { return p.At.Before(old) })
	waits := map[agent.RunID]bool{}
	for _, w := range m.Waiting {
		waits[w.Run] = true
	}
	maps.DeleteFunc(m.Heard, func(id agent.RunID, k Mark) bool { return k.At.Before(old) && !waits[id] && s.LetterTo(id) == nil })
}

// mailStatus says how a mailbox stands: it waits as long as it holds something.
func (s *State) mailStatus() agent.Status {
	if m := s.Mailbox; len(m.Waiting) > 0 || len(m.Kept) > 0 || len(s.Outbox) > 0 {
		return agent.StatusWaiting
	}
	return agent.StatusIdle
}

// ErrMailboxEnded says that a mailbox takes nothing more: the next generation does.
var ErrMailboxEnded error = agent.Refuse(agent.RefusedConflict, "the mailbox has ended; the next one for its name and key takes its place")

// isMail reports whether an input is one that a mailbox takes, or gives.
func isMail(e Event) bool {
	switch e.(type) {
	case *Posted, *Subscribed, *Mailed:
		return true
	}
	return false
}

// judgeMail judges what a mailbox takes, and what it gives.
func (s *State) judgeMail(e Event) (bool, error) {
	if e, ok := e.(*Mailed); ok {
		return s.judgeMailed(e)
	}
	if s.Mailbox == nil {
		return false, agent.Refuse(agent.RefusedInvalid, "run %s is no mailbox", s.Run)
	}
	if _, retry := e.(*Retried); !retry && s.Ending != nil {
		return false, ErrMailboxEnded
	}
	switch e := e.(type) {
	case *Posted:
		return s.judgePosted(e)
	case *Subscribed:
		return e.N > s.Mailbox.Heard[e.Run].N, nil
	case *Retried:
		err := s.judgeRetry(e)
		return err == nil, err
	}
	return false, agent.Refuse(agent.RefusedConflict, "run %s is the mailbox of the signal %q with the key %q; it takes signals that are posted there, and ends by itself", s.Run, s.Mailbox.Name, s.Mailbox.Key)
}

func (s *State) judgePosted(e *Posted) (bool, error) {
	m := s.Mailbox
	if before, there := m.IDs[e.ID]; there && e.ID != "" {
		if before.What == e.what() {
			return false, nil
		}
		return false, agent.Refuse(agent.RefusedConflict, "the id %q was used for another signal %q with the key %q; use a new id for a new signal", e.ID, m.Name, m.Key)
	}
	if err := JudgePosted(e); err != nil {
		return false, err
	}
	size := len(e.Data) + sizeOf(e.By)
	for _, k := range m.Kept {
		size += len(k.Data) + sizeOf(k.By)
	}
	if (len(m.Kept) >= MaxSignals || size > MaxKept) && len(m.Waiting) == 0 {
		return false, agent.Refuse(agent.RefusedConflict, "%d signals %q with the key %q are kept that nothing has waited for, and no more are taken", len(m.Kept), m.Name, m.Key)
	}
	return true, nil
}

// envelopeRoom is how much larger a signal may become on its way from the mailbox to
// the run that takes it.
const envelopeRoom = 4 << 10

// JudgePosted says what is wrong with a posted signal whatever the mailbox; nil if
// nothing is.
func JudgePosted(e *Posted) error {
	if err := JudgeKey(e.ID); err != nil {
		return err
	}
	if !utf8.ValidString(e.ID) {
		return agent.Refuse(agent.RefusedInvalid, "the id %q is not UTF-8 text; send text", cut(e.ID, 80))
	}
	if e.Keep <= 0 || e.Keep > MaxKeep {
		return agent.Refuse(agent.RefusedInvalid, "a signal is kept for more than nothing and at most %v, and %v was asked for", MaxKeep, e.Keep)
	}
	if len(e.Data) > 0 && !json.Valid(e.Data) {
		return agent.Refuse(agent.RefusedInvalid, "the signal's data is not JSON: %s", cut(string(e.Data), 80))
	}
	if err := tooLarge("signal", len(e.Data)); err != nil {
		return err
	}
	if err := judgeWords(e.By, ""); err != nil {
		return err
	}
	if err := JudgeForm(e); err != nil {
		return err
	}
	if data, err := Encode(e); err == nil && len(data) > MaxInput-envelopeRoom {
		return agent.Refuse(agent.RefusedInvalid, "the signal has %d bytes as it would be recorded, and at most %d are taken; put large content where a tool can read it, and send a reference", len(data), MaxInput-envelopeRoom)
	}
	return nil
}

// Judge says what is wrong with an address; nil if nothing is.
func (a Address) Judge() error {
	switch {
	case a.Name == "" || a.Name == "*":
		return agent.Refuse(agent.RefusedInvalid, "a signal with a correlation key needs a name of its own, and %q came", a.Name)
	case a.Key == "":
		return agent.Refuse(agent.RefusedInvalid, "the correlation key of the signal %q is empty; say what its sender and who waits for it both know, such as the number of an order", cut(a.Name, 80))
	case len(a.Name) > MaxKey || len(a.Key) > MaxKey:
		return agent.Refuse(agent.RefusedInvalid, "the signal's name has %d bytes and its correlation key %d, and at most %d each are taken", len(a.Name), len(a.Key), MaxKey)
	case !utf8.ValidString(a.Name) || !utf8.ValidString(a.Key):
		return agent.Refuse(agent.RefusedInvalid, "the signal's name %q and its correlation key %q are to be UTF-8 text", cut(a.Name, 80), cut(a.Key, 80))
	}
	return nil
}

// title is how a mailbox is listed.
func (a Address) title() string { return cut(fmt.Sprintf("%s %s", a.Name, a.Key), maxTitle) }
