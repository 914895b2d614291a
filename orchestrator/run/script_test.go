package run_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
	"github.com/fermata-run/fermata/orchestrator/run"
)

// A script drives one run by commands. Every command first appends what is
// overdue, as whoever appends does.
//
//	start [bare] [child] [by=ann] [deadline=1h]             a new run; a child is a delegate of another one
//	start mailbox NAME KEY                                  a mailbox
//	say "text" [key=k] [by=ann]
//	signal name [{data}] [key=k]
//	post [{data}] [id=a] [keep=1h]                          to the mailbox
//	subscribed RUN n=5 [waits=x,y]                          a run tells the mailbox who waits
//	mailed CALL {data} signal=m1                            a mailbox gives the run a signal
//	answer CALL choice [value={…}] [note="…"] [by=ann] [edited=yes]   CALL is a call's id, or limit
//	cancel "reason"
//	retry [by=ann] [note="…"]
//	redefine name [keys={…}] [by=ann] [key=k]
//	claim CALL by=ann         of an ask
//	release CALL by=ann
//	delegate CALL by=ann to=bob,group:x [note="…"]
//	begin [instructions="…"] [definition=name] [steps=2] [tokens=9] [time=1m] [run-steps=2] [end-turn] [interrupt] [reject] [close-after=1h] [sees=words] [handoffs=1] [operators=…]
//	move ["words"] [basis=N] [each] [finish] [fail="…"]     and its actions, one a line:
//	    call name [{args}] [idempotent] [readonly] [approve] [lookup] [attempts=2] [timeout=1m]
//	    ask "prompt" [choices=a,b [repair]] [within=1h] [default=a] [for=ann,group:x] [not=@user] [escalate=bob/1h,group:x] [remind=10m]
//	    delegate name [{args}] [within=1h] [due=1h] [outlives]
//	    handoff name
//	    wait [name, or *] [key=k] [except=a,b] [within=1h] [due=1h]       due is counted from the epoch on
//	    withdraw CALL
//	    refused name "why"
//	  each action may have ref=…, the planner's own name of it
//	plan-failed "error" [transient] [wait=5s]
//	began CALL [for=1m]
//	returned CALL {content} [attempt=1]
//	failed CALL "error" [not-done] [again] [wait=5s] [attempt=1]
//	looked-up CALL {content}, or not-done, or "error" wait=5s
//	reported CALL [status] ["reason"] [content={…}] [n=5] [tokens=30] [expired]   what a delegate says of itself
//	delivered CALL ["error" [wait=5s]] [n=5]                what became of the letter to a delegate, the parent, NAME/KEY
//	delivered RUN [back=x,y]                                the same, of a letter of the mailbox
//	tick 5s                   time passes
//	worker name               another worker claims the run
//	quarantine "reason"
//	show                      the conversation, as the planner would be shown it
type script struct {
	t      *testing.T
	state  *run.State
	shadow *run.State // restored from a snapshot at each step
	log    []row
	now    time.Time
	worker string
	calls  int
	names  map[agent.ActionID]string
	runs   map[agent.RunID]string // the call of each delegate
	asks   map[string]agent.AskID // the last ask of each call
}

func newScript(t *testing.T) *script {
	return &script{
		t: t, state: run.New("run"), shadow: run.New("run"), now: epoch, worker: "w1",
		names: map[agent.ActionID]string{}, asks: map[string]agent.AskID{}, runs: map[agent.RunID]string{"parent": "parent"},
	}
}

// step does one command and returns what came of it.
func (s *script) step(command string) string {
	lines := strings.Split(command, "\n")
	c := parseCommand(lines[0])
	if c.verb == "start" {
		*s = *newScript(s.t)
	}
	from := len(s.log)
	said := ""
	s.overdue("")
	switch c.verb {
	case "show":
		return conversation(s.state.View(s.now).Messages)
	case "tick":
		s.now = s.now.Add(s.duration(c.arg(0)))
		s.overdue("")
	case "worker":
		s.worker = c.arg(0)
		s.overdue(s.worker)
	case "say", "signal", "answer", "cancel", "retry", "redefine", "claim", "release", "delegate", "reported", "post", "subscribed", "mailed":
		said = s.input(c)
	default:
		s.add(s.event(c, lines[1:]))
	}
	var b strings.Builder
	for _, row := range s.log[from:] {
		fmt.Fprintf(&b, "#%d %s\n", row.rec.Seq, run.KindOf(row.rec.Event))
	}
	return b.String() + said + s.describe()
}

func (s *script) overdue(claim string) {
	for e := s.state.Overdue(s.now, claim); e != nil; e = s.state.Overdue(s.now, claim) {
		s.add(e)
	}
}

func (s *script) add(e run.Event) {
	data, err := run.Encode(e)
	if err != nil {
		s.t.Fatal(err)
	}
	n := len(s.log) + 1
	r := &run.Record{Seq: int64(n), ID: agent.RecordID(fmt.Sprintf("r%d", n)), Time: s.now, Event: e}
	s.log = append(s.log, row{r, data})
	s.state.Apply(r)
	s.shadow.Apply(r)
	s.restore()
	if err := wellformed.Check(s.state.View(s.now).Messages); err != nil {
		s.t.Errorf("after record %d, what a planner would be shown is not well-formed: %v", n, err)
	}
	s.noteLetters()
	for _, o := range s.state.Open {
		if o.Child != "" {
			s.runs[o.Child] = s.nameOf(o.ID)
		}
		if o.Ask != nil {
			s.asks[s.nameOf(o.ID)] = o.Ask.ID
		}
	}
	if a := s.state.LimitAsk; a != nil {
		s.asks["limit"] = a.ID
	}
}

// restore checks that snapshot and tail give the state of the whole log.
func (s *script) restore() {
	snap := snapshotOf(s.t, s.state)
	if other := snapshotOf(s.t, s.shadow); string(other) != string(snap) {
		s.t.Fatalf("after record %d, snapshot and tail give another state:\n%s\n%s", len(s.log), snap, other)
	}
	var err error
	if s.shadow, err = run.Restore(snap); err != nil {
		s.t.Fatal(err)
	}
}

// input judges an input and appends it if it may be.
func (s *script) input(c *command) string {
	by := s.user(c.option("by"))
	var e run.Event
	switch c.verb {
	case "say":
		e = &run.Messaged{Message: agent.Text(c.arg(0)), By: by, Key: c.option("key")}
	case "signal":
		e = &run.Signaled{Name: c.arg(0), Data: c.json(1), Key: c.option("key")}
	case "answer":
		ask, ok := s.asks[c.arg(0)]
		if !ok {
			ask = agent.AskID("run." + c.arg(0))
		}
		e = &run.Answered{Ask: ask, Answer: agent.Answer{By: by, Choice: c.arg(1), Value: jsonOf(c.option("value")), Note: c.option("note")}, Edited: c.has("edited")}
	case "cancel":
		e = &run.Cancelled{Reason: c.arg(0)}
	case "retry":
		e = &run.Retried{By: by, Note: c.option("note")}
	case "redefine":
		r := &run.Redefined{Definition: c.arg(0), By: by, Key: c.option("key")}
		if keys := c.option("keys"); keys != "" {
			if err := json.Unmarshal([]byte(keys), &r.Keys); err != nil {
				s.t.Fatal(err)
			}
		}
		e = r
	case "claim", "release", "delegate":
		e = &run.Assigned{Ask: s.asks[c.arg(0)], How: run.Assignment(c.verb), By: by, To: list(c.option("to")), Note: c.option("note")}
	case "reported":
		e = s.reported(c)
	case "post", "subscribed", "mailed":
		e = s.mailInput(c)
	}
	ok, err := s.state.Judge(e, validate)
	var refusal *agent.Refusal
	switch {
	case errors.As(err, &refusal):
		return fmt.Sprintf("refused: %v\n", refusal)
	case !ok:
		return "accepted before\n"
	}
	s.add(e)
	return ""
}

// event makes the event that a command stands for.
func (s *script) event(c *command, more []string) run.Event {
	switch c.verb {
	case "start":
		if c.arg(0) == "mailbox" {
			return &run.Started{Agent: run.MailboxAgent, Mailbox: &run.Address{Name: c.arg(1), Key: c.arg(2)}}
		}
		e := &run.Started{Agent: "desk", Bare: c.has("bare"), User: s.user(c.option("by"))}
		if d := s.duration(c.option("deadline")); d > 0 {
			e.Deadline = s.now.Add(d)
		}
		if c.has("child") {
			e.Parent = &run.Parent{Run: "parent", Action: "p3.0", Path: []agent.Place{{Run: "parent", Agent: "boss"}}}
		}
		return e
	case "begin":
		return s.begin(c)
	case "move":
		return s.move(c, more)
	case "plan-failed":
		return &run.PlanFailed{Slot: s.state.Plan.Slot, Attempt: s.state.Plan.Attempt + 1, Error: c.arg(0), Transient: c.has("transient"), Wait: s.duration(c.option("wait"))}
	case "delivered":
		return s.delivered(c)
	case "quarantine":
		return &run.Stuck{Reason: c.arg(0), Quarantine: true}
	}
	id, attempt := s.action(c.arg(0)), 1
	if o := s.state.Action(id); o != nil {
		attempt = o.Attempt
	}
	if n := c.option("attempt"); n != "" {
		attempt = s.number(n)
	}
	switch c.verb {
	case "began":
		return &run.Began{Action: id, Attempt: attempt, Claim: s.worker, Deadline: s.now.Add(s.duration(firstNonEmpty(c.option("for"), "1m")))}
	case "returned":
		return &run.Returned{Action: id, Attempt: attempt, Content: c.json(1)}
	case "failed":
		return &run.CallFailed{Action: id, Attempt: attempt, Error: c.arg(1), NotDone: c.has("not-done"), Again: c.has("again"), Wait: s.duration(c.option("wait"))}
	case "looked-up":
		return s.lookedUp(c, id, attempt)
	}
	s.t.Fatalf("there is no command %q", c.verb)
	return nil
}

func (s *script) begin(c *command) run.Event {
	e := &run.TurnBegan{Slot: s.state.Plan.Slot, Terms: run.Terms{
		TurnSteps: s.number(c.option("steps")), TurnTokens: s.number(c.option("tokens")), TurnTime: s.duration(c.option("time")), RunSteps: s.number(c.option("run-steps")),
		CloseAfter: s.duration(c.option("close-after")), Handoffs: s.number(c.option("handoffs")), Sees: agent.Sees(c.option("sees")),
		Operators: list(c.option("operators")),
	}}
	for word, set := range map[string]func(){
		"end-turn":  func() { e.Terms.OnReached = agent.EndTurn },
		"interrupt": func() { e.Terms.OnMessage = agent.Interrupt },
		"reject":    func() { e.Terms.OnMessage = agent.Reject },
	} {
		if c.has(word) {
			set()
		}
	}
	if text := c.option("instructions"); text != "" {
		e.Instructions = &text
	}
	e.Definition = c.option("definition")
	return e
}

func (s *script) lookedUp(c *command, id agent.ActionID, attempt int) run.Event {
	switch o := s.state.Action(id); {
	case c.has("not-done"):
		return &run.CallFailed{Action: id, Attempt: attempt, Error: "it is not there", NotDone: true, Lookup: true, Again: true}
	case c.option("wait") != "":
		return &run.Unresolved{Action: id, Attempt: attempt, Try: o.Tries + 1, Error: c.arg(1), Wait: s.duration(c.option("wait"))}
	}
	return &run.Returned{Action: id, Attempt: attempt, Content: c.json(1), Lookup: true}
}

// reported is what a delegate says of itself, most often something newer than
// before.
func (s *script) reported(c *command) run.Event {
	id := s.action(c.arg(0))
	e := &run.Reported{Action: id, Run: run.ChildID("run", id), N: int64(s.number(c.option("n"))), Content: jsonOf(c.option("content"))}
	if o := s.state.Action(id); o != nil && e.N == 0 {
		e.N = o.Heard + 5
	}
	for _, l := range s.state.Left {
		if l.Action == id && e.N == 0 {
			e.N = l.Heard + 5
		}
	}
	e.Status, e.Reason, e.Expired = agent.Status(c.arg(1)), c.arg(2), c.has("expired")
	e.Usage.Input = s.number(c.option("tokens"))
	return e
}

// delivered is what became of the letter to a delegate or to the parent.
func (s *script) delivered(c *command) run.Event {
	e := &run.Delivered{N: int64(s.number(c.option("n"))), Error: c.arg(1), Wait: s.duration(c.option("wait"))}
	for id, call := range s.runs {
		if call == c.arg(0) {
			e.To = id
		}
	}
	for _, w := range list(c.option("back")) {
		e.Back = append(e.Back, agent.ActionID(w))
	}
	if l := s.state.LetterTo(e.To); l != nil && e.N == 0 {
		e.N = l.N
	}
	return e
}

// user is somebody with an id and perhaps groups: ann, or ann/finance/sales.
func (s *script) user(text string) agent.User {
	parts := strings.Split(text, "/")
	return agent.User{ID: parts[0], Groups: parts[1:]}
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// move makes an admitted move. Each action stands for a call in its message.
func (s *script) move(c *command, lines []string) run.Event {
	e := &run.Moved{Basis: s.state.Seq, BasisID: s.state.ID, Finish: c.has("finish"), Fail: c.option("fail"), Message: &agent.Message{Role: agent.RoleAssistant}}
	if n := c.option("basis"); n != "" {
		e.Basis = int64(s.number(n))
		e.BasisID = s.log[e.Basis-1].rec.ID
	}
	if c.has("each") {
		e.Again = agent.AtEachClosing
	}
	if words := c.arg(0); words != "" {
		e.Message = agent.Said(words)
	}
	for i, line := range lines {
		s.calls++
		a := s.moveAction(parseCommand(strings.TrimSpace(line)))
		a.CallID = fmt.Sprintf("c%d", s.calls)
		a.Ref = parseCommand(strings.TrimSpace(line)).option("ref")
		s.names[agent.ActionID(fmt.Sprintf("r%d.%d", len(s.log)+1, i))] = a.CallID
		call := &agent.Call{ID: a.CallID, Name: firstNonEmpty(a.Name, string(a.Kind)), Args: a.Args}
		e.Message.Parts = append(e.Message.Parts, agent.Part{Call: call})
		a.Args = nil
		e.Actions = append(e.Actions, a)
	}
	return e
}

func (s *script) moveAction(c *command) run.Action {
	var a run.Action
	switch c.verb {
	case "call":
		a.Kind, a.Name, a.Args, a.Timeout = agent.ActCall, c.arg(0), c.json(1), run.DefaultTimeout
		a.Attempts, a.Lookup = s.number(c.option("attempts")), c.has("lookup")
		if c.has("idempotent") {
			a.Effect = agent.Idempotent
		}
		if c.has("readonly") {
			a.Effect = agent.ReadOnly
		}
		if c.has("approve") {
			a.Approval = "each call of this tool needs approval"
			a.Ask = &agent.Ask{}
			s.people(c, a.Ask)
		}
	case "delegate":
		a.Kind, a.Name, a.Args, a.Within, a.Outlives = agent.ActDelegate, c.arg(0), c.json(1), s.duration(c.option("within")), c.has("outlives")
		a.Due = s.due(c)
	case "handoff":
		a.Kind, a.Name, a.Args = agent.ActHandoff, c.arg(0), json.RawMessage(`{}`)
	case "ask":
		a.Kind, a.Ask = agent.ActAsk, &agent.Ask{Kind: agent.AskQuestion, Prompt: c.arg(0)}
		s.people(c, a.Ask)
		if choices := c.option("choices"); choices != "" {
			a.Ask.Kind, a.Ask.Choices = agent.AskChoice, strings.Split(choices, ",")
		}
		if c.has("repair") {
			a.Ask.Kind = agent.AskRepair
		}
		if d := c.option("default"); d != "" {
			a.Ask.Default = &agent.Answer{Choice: d}
		}
	case "wait":
		a.Kind, a.Name, a.Key, a.Within, a.Due = agent.ActWait, c.arg(0), c.option("key"), s.duration(c.option("within")), s.due(c)
		a.Except = list(c.option("except"))
	case "withdraw":
		a.Kind, a.Target = agent.ActCancel, s.action(c.arg(0))
	case "refused":
		a.Kind, a.Name, a.Refuse = agent.ActCall, c.arg(0), c.arg(1)
	default:
		s.t.Fatalf("there is no action %q", c.verb)
	}
	return a
}

// people says for whom an ask is, and what follows if they do not answer.
func (s *script) people(c *command, ask *agent.Ask) {
	ask.For, ask.Not = list(c.option("for")), list(c.option("not"))
	ask.Within, ask.Remind = s.duration(c.option("within")), s.duration(c.option("remind"))
	for _, step := range list(c.option("escalate")) {
		who, within, _ := strings.Cut(step, "/")
		ask.Escalate = append(ask.Escalate, agent.Escalation{For: []string{who}, Within: s.duration(within)})
	}
}

// action returns the action that a call stands for.
func (s *script) action(call string) agent.ActionID {
	for id, name := range s.names {
		if name == call {
			return id
		}
	}
	s.t.Fatalf("there is no call %q", call)
	return ""
}

// due is a time that is given as one from the epoch on.
func (s *script) due(c *command) time.Time {
	if c.option("due") == "" {
		return time.Time{}
	}
	return epoch.Add(s.duration(c.option("due")))
}

func (s *script) duration(text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *script) number(text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
