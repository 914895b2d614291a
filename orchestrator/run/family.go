package run

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// The rules of runs that belong together.
//
//   - A delegation is an open action of the parent, and a run of its own. The
//     child's id follows from the action's, so that there is one child however
//     often it is started.
//   - What one run has to tell another is a letter in its outbox, which is part of
//     the fold: it leaves in the commit of what it follows from, by being in the
//     log. There is one letter for each run that is to be told; a later one takes
//     the place of one that was not delivered yet, as only the last state matters.
//   - A letter's number is that of the record it follows from. It is delivered at
//     least once, as an input of the other run, which takes no letter whose number
//     is not above that of the last.
//   - A delegation that is withdrawn has ended for the parent at once. The child is
//     told to cancel; what it says when it has ended is shown if it is news.
//   - A child ends when its turn does: that is the result of its task.

// MaxDepth is how many runs stand above each other at most, the root included.
const MaxDepth = 8

// Parent says which run started this one, and for which action.
type Parent struct {
	Run    agent.RunID    `json:"run"`
	Action agent.ActionID `json:"action"`
	Path   []agent.Place  `json:"path"` // from the root to Run
}

// A Letter is what a run has to tell another one.
type Letter struct {
	To     agent.RunID `json:"to"`
	N      int64       `json:"n"`                // Seq of the record that it follows from
	Spawn  *Spawn      `json:"spawn,omitempty"`  // to a child: begin
	Cancel *Cancelled  `json:"cancel,omitempty"` // to a child: end; with Spawn, one that need not begin
	Report *Report     `json:"report,omitempty"` // to the parent

	Subscribe *Subscription `json:"subscribe,omitempty"` // to a mailbox, which To names by its first generation
	Posts     []Given       `json:"posts,omitempty"`     // of a mailbox: signals for waits of the run, all that are on their way

	Tries     int       `json:"tries,omitempty"` // failed ones
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Spawn is the beginning of a delegate's run.
type Spawn struct {
	Action   agent.ActionID  `json:"action"`
	Agent    string          `json:"agent"`
	Task     json.RawMessage `json:"task"`            // the action's arguments
	Whole    bool            `json:"whole,omitempty"` // it is told all of them, whatever they are
	Deadline time.Time       `json:"deadline,omitzero"`
}

// Report says how a delegate stands. The zero Report says that it goes on.
type Report struct {
	Status  agent.Status `json:"status,omitempty"` // waiting, stuck, or how it ended
	Reason  string       `json:"reason,omitempty"`
	Expired bool         `json:"expired,omitempty"` // it failed as its deadline had passed
}

// Left is a delegate that was called off.
type Left struct {
	Action agent.ActionID `json:"action"`
	Run    agent.RunID    `json:"run"`
	Name   string         `json:"name"`
	CallID string         `json:"call_id,omitempty"`
	Heard  int64          `json:"heard,omitempty"`
}

// encoding has 32 lowercase letters and digits that are hard to confuse.
var encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// DeriveID returns the id of the run that the parts name: the same for the same
// parts.
func DeriveID(kind string, parts ...any) agent.RunID {
	name := "fermata " + kind
	for _, p := range parts {
		name += fmt.Sprintf(" %q", p)
	}
	sum := sha256.Sum256([]byte(name))
	return agent.RunID(encoding.EncodeToString(sum[:])[:26])
}

// ChildID returns the id of the run that a delegation starts.
func ChildID(parent agent.RunID, action agent.ActionID) agent.RunID {
	return DeriveID("child", parent, action)
}

// Path returns the places from the root to this run; nil for a root.
func (s *State) Path() []agent.Place {
	if s.Parent == nil {
		return nil
	}
	return append(slices.Clip(s.Parent.Path), s.place())
}

// place is how the run stands in the paths of those below it.
func (s *State) place() agent.Place {
	if s.First != "" {
		return agent.Place{Run: s.Run, Agent: s.First}
	}
	return agent.Place{Run: s.Run, Agent: s.Agent}
}

// Opening returns the first records of the run that a letter of s starts, or
// nil if the letter starts none.
func (s *State) Opening(l *Letter) []Event {
	if l.Spawn == nil {
		return nil
	}
	path := s.Path()
	if path == nil {
		path = []agent.Place{s.place()}
	}
	started := &Started{
		Agent: l.Spawn.Agent, User: s.User, Meta: s.Meta, Deadline: l.Spawn.Deadline,
		Parent: &Parent{Run: s.Run, Action: l.Spawn.Action, Path: path},
	}
	text := string(l.Spawn.Task)
	if !l.Spawn.Whole {
		text = taskText(l.Spawn.Task)
	}
	events := []Event{started, &Messaged{Message: agent.Text(text), By: s.User, Trace: s.Turn.Trace}}
	if l.Cancel != nil {
		events = append(events, l.Cancel)
	}
	return events
}

// taskText is what a delegate is told: the field "task" if it is the only one,
// and otherwise all of the arguments.
func taskText(args json.RawMessage) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(args, &fields) == nil && len(fields) == 1 {
		if text := agent.PlainText(fields["task"]); text != "" {
			return text
		}
	}
	return string(args)
}

// Result returns what a delegate has to say at its end: its structured result, or
// what it said last; nil if it said nothing, and in a state that was restored from a
// snapshot.
func (s *State) Result() json.RawMessage {
	if s.Turn.Output != nil {
		return s.Turn.Output
	}
	for i := len(s.messages) - 1; i >= 0; i-- {
		if m := s.messages[i]; m.Role == agent.RoleAssistant && m.Text() != "" {
			return agent.JSONText(m.Text())
		}
	}
	return nil
}

// LetterTo returns the letter that a run has yet to be told, or nil.
func (s *State) LetterTo(to agent.RunID) *Letter {
	for _, l := range s.Outbox {
		if l.To == to {
			return l
		}
	}
	return nil
}

// post puts a letter into the outbox, in the place of one to the same run that
// was not delivered yet. A child that has yet to begin is told to begin, too.
func (s *State) post(l *Letter) {
	l.N = s.Seq
	for i, old := range s.Outbox {
		if old.To == l.To {
			if l.Spawn == nil {
				l.Spawn = old.Spawn
			}
			s.Outbox[i] = l
			return
		}
	}
	s.Outbox = append(s.Outbox, l)
}

// delegate opens a task of another run.
func (s *State) delegate(o *Open) {
	o.Phase = Afield
	o.Child = ChildID(s.Run, o.ID)
	o.Due = earlier(s.Deadline, s.until(&o.Action))
	s.post(&Letter{To: o.Child, Spawn: &Spawn{Action: o.ID, Agent: o.Action.Name, Task: o.Args, Whole: o.Action.Whole, Deadline: o.Due}})
	o.Args = nil // they stand in the letter, and in the child
}

// callOff tells a delegate that its result is not wanted any more.
func (s *State) callOff(o *Open, why string) {
	s.post(&Letter{To: o.Child, Cancel: &Cancelled{Reason: why, Parent: true}})
	s.Left = append(s.Left, Left{Action: o.ID, Run: o.Child, Name: o.Action.Name, CallID: o.Action.CallID, Heard: o.Heard})
}

// reported takes what a delegate says of itself.
func (s *State) reported(r *Record, e *Reported) {
	o := s.Action(e.Action)
	if o == nil || o.Phase != Afield || o.Child != e.Run {
		s.reportedLate(r, e)
		return
	}
	if e.N <= o.Heard {
		return
	}
	o.Heard, o.Stands = e.N, e.Report
	if !e.Status.Ended() {
		return
	}
	s.spend(e.Usage)
	outcome, content := e.outcome()
	s.close(r, o, outcome, content, func(c *agent.Closed) { c.Blob = e.Blob })
}

// reportedLate takes what a delegate says that was called off. That it was done
// nevertheless is shown.
func (s *State) reportedLate(r *Record, e *Reported) {
	i := slices.IndexFunc(s.Left, func(l Left) bool { return l.Action == e.Action && l.Run == e.Run && l.Heard < e.N })
	if i < 0 {
		return
	}
	l := s.Left[i]
	if !e.Status.Ended() {
		s.Left[i].Heard = e.N
		return
	}
	s.Left = slices.Delete(slices.Clone(s.Left), i, i+1)
	s.spend(e.Usage)
	if outcome, content := e.outcome(); outcome == agent.Returned && s.Ending == nil {
		s.news(r, News{Kind: "note", Note: fmt.Sprintf("The task of %s (%s) was called off, but it had been done by then: %s", l.Name, l.CallID, agent.PlainText(content))})
	}
}

// spend counts what a delegate has used.
func (s *State) spend(u agent.Usage) {
	s.Spent.Usage = s.Spent.Usage.Add(u)
	if s.Turn.Open {
		s.Turn.Usage = s.Turn.Usage.Add(u)
	}
}

// outcome is how a delegation has ended whose run has.
func (e *Reported) outcome() (agent.Outcome, json.RawMessage) {
	why := func(words string) json.RawMessage {
		if e.Reason != "" {
			words += ": " + e.Reason
		}
		return agent.JSONText(words)
	}
	switch {
	case e.Status == agent.StatusDone:
		content := e.Content
		if content == nil {
			content = agent.JSONText("done, without a word")
		}
		return agent.Returned, content
	case e.Expired:
		return agent.Expired, why("it was not done in time")
	case e.Status == agent.StatusCancelled:
		return agent.Cancelled, why("it was called off")
	}
	return agent.Failed, why("it failed")
}

// letterDelivered takes what became of a letter, and returns the letter if it is not
// to be tried again.
func (s *State) letterDelivered(e *Delivered) *Letter {
	i := slices.IndexFunc(s.Outbox, func(l *Letter) bool { return l.To == e.To && l.N == e.N })
	if i < 0 {
		return nil
	}
	l := *s.Outbox[i]
	if e.Error != "" && e.Wait > 0 {
		l.Tries++
		l.NotBefore = s.Time.Add(e.Wait)
		s.Outbox[i] = &l
		return nil
	}
	s.Outbox = slices.Delete(slices.Clone(s.Outbox), i, i+1)
	return &l
}

// delivered takes what became of a letter of a run that is no mailbox.
func (s *State) delivered(r *Record, e *Delivered) {
	l := s.letterDelivered(e)
	if l == nil || e.Error == "" {
		return
	}
	s.Left = slices.DeleteFunc(slices.Clone(s.Left), func(x Left) bool { return x.Run == e.To })
	if l.Spawn == nil {
		return
	}
	if o := s.Action(l.Spawn.Action); o != nil && o.Phase == Afield {
		s.close(r, o, agent.Failed, agent.JSONText("the task could not be given: "+e.Error), nil)
	}
}

// tellParent has a child's parent told when the child stands otherwise than the
// parent knows.
func (s *State) tellParent() {
	if s.Parent == nil {
		return
	}
	if now := s.report(); now != s.Told {
		s.Told = now
		s.post(&Letter{To: s.Parent.Run, Report: &now})
	}
}

// report says how the run stands, as far as it matters to its parent.
func (s *State) report() Report {
	switch status := s.Status(); {
	case s.Ended:
		return Report{Status: status, Reason: s.Ending.Reason, Expired: s.Ending.Expired}
	case status == agent.StatusIdle: // its turn has yet to begin
		return Report{}
	case status == agent.StatusStuck:
		return Report{Status: status, Reason: cut(s.Reason(), maxReason)}
	case status.Resting():
		if why := s.stuckDelegate(); why != "" {
			return Report{Status: agent.StatusStuck, Reason: cut(why, maxReason)}
		}
		return Report{Status: agent.StatusWaiting}
	}
	return Report{}
}

// maxReason is how many bytes of a reason a parent is told.
const maxReason = 300

// stuckDelegate says which delegate is stuck, and why; "" if none is.
func (s *State) stuckDelegate() string {
	if o := s.stuckTask(); o != nil {
		return fmt.Sprintf("it waits for %s, which is stuck: %s", o.Action.Name, o.Stands.Reason)
	}
	return ""
}

// stuckTask returns the first open action whose delegate is stuck, or nil.
func (s *State) stuckTask() *Open {
	for _, o := range s.Open {
		if o.Phase == Afield && o.Stands.Status == agent.StatusStuck {
			return o
		}
	}
	return nil
}

// endOfTask ends a child whose turn is over: what it said last is the result.
func (s *State) endOfTask(r *Record) {
	if s.Parent == nil || s.Ending != nil || s.Turn.Open || s.Turn.N == 0 || s.Status() != agent.StatusIdle && !s.gaveUp() {
		return
	}
	end := &End{Status: agent.StatusDone}
	if s.Turn.Halted != "" {
		end = &End{Status: agent.StatusFailed, Reason: s.Turn.Halted}
	}
	s.end(r, end, agent.Cancelled)
}

// gaveUp reports whether a turn was ended before its planner ended it, and nothing is open
// but waits: of their end only the planner would hear, which is not asked any more.
func (s *State) gaveUp() bool {
	return s.Turn.Halted != "" && s.Stuck == nil && !slices.ContainsFunc(s.Open, func(o *Open) bool { return o.Phase != Awaiting })
}

// handOff has the run go on with another agent. What is open stays so, as that of
// the agent before.
func (s *State) handOff(r *Record, o *Open) agent.Outcome {
	if most := s.Terms.Handoffs; most > 0 && s.Turn.Hands >= most {
		s.close(r, o, agent.Failed, agent.JSONText(fmt.Sprintf("the run was handed off %d times in this turn, and may not be more often; go on yourself", most)), nil)
		return agent.Failed
	}
	for _, x := range s.Open {
		if x.Agent == "" {
			x.Agent = s.Agent
		}
	}
	s.Turn.Hands++
	s.close(r, o, agent.Returned, agent.JSONText("the conversation goes on with "+o.Action.Name), nil)
	if s.First == "" {
		s.First = s.Agent
	}
	s.Agent, s.Handed, s.Definition = o.Action.Name, true, ""
	return ""
}

// takeOver lets the agent begin to which the run was handed off: what has
// happened until now but for the user's new messages becomes part of the
// conversation, of which it is shown what its terms say.
func (s *State) takeOver(r *Record) {
	var wrote []News
	rest := s.News[:0:0]
	for _, n := range s.News {
		if n.Kind == "message" {
			wrote = append(wrote, n)
		} else {
			rest = append(rest, n)
		}
	}
	s.News = rest
	s.messages = append(s.messages, s.takenUp(r.Seq, r.ID)...)
	s.Owed = nil
	s.Handed = false
	s.News = append([]News{{Seq: r.Seq, ID: r.ID, Kind: "handoff"}}, wrote...)
	s.shown = nil
	if s.blind || s.Terms.Sees == agent.SeesAll {
		return
	}
	s.shown = []*agent.Message{}
	from := 0
	for i, m := range s.messages {
		if s.Terms.Sees == agent.SeesTurn && m.Role == agent.RoleUser {
			from = i
		}
	}
	for _, m := range s.messages[from:] {
		if s.Terms.Sees == agent.SeesWords {
			m = wordsOf(m)
		}
		if m != nil {
			s.shown = append(s.shown, m)
		}
	}
}

// wordsOf returns what of a message is said by the user or an agent; nil if there
// is nothing.
func wordsOf(m *agent.Message) *agent.Message {
	if m.Role != agent.RoleUser && m.Role != agent.RoleAssistant {
		return nil
	}
	words := &agent.Message{ID: m.ID + ".words", Role: m.Role}
	for _, p := range m.Parts {
		if p.Text != "" || p.Media != nil {
			words.Parts = append(words.Parts, agent.Part{Text: p.Text, Media: p.Media})
		}
	}
	if len(words.Parts) == 0 {
		return nil
	}
	return words
}
