package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// An Event is a fact in a run's log. Its kind, in the log and in JSON output,
// is the name of the Go type in lower case.
type Event interface{ kind() string }

// KindOf returns the event's kind as it stands in the log.
func KindOf(e Event) string { return e.kind() }

// Inputs: they come from outside and need no worker.
type (
	// Started is the first record of every run.
	Started struct {
		Agent string            `json:"agent"`
		User  agent.User        `json:"user,omitzero"`
		Meta  map[string]string `json:"meta,omitempty"`
		Key   string            `json:"key,omitempty"`
		Bare  bool              `json:"bare,omitempty"`  // no message follows: the planner is asked at once
		Trace string            `json:"trace,omitempty"` // of a bare start: as in Messaged

		Deadline time.Time `json:"deadline,omitzero"` // the run ends then, whatever it does; zero has none
		Parent   *Parent   `json:"parent,omitempty"`  // of a run that another one started
		Mailbox  *Address  `json:"mailbox,omitempty"` // of a run that is one
	}

	// Messaged says that the user wrote.
	Messaged struct {
		Message agent.Message `json:"message"`
		By      agent.User    `json:"by,omitzero"`
		Key     string        `json:"key,omitempty"`
		Trace   string        `json:"trace,omitempty"` // W3C traceparent of who sent it; it does not tell messages apart
	}

	// Answered says that a person answered an ask.
	Answered struct {
		Ask    agent.AskID  `json:"ask"`
		Answer agent.Answer `json:"answer"`
		Digest string       `json:"digest,omitempty"` // of the arguments that an approval approved
		Edited bool         `json:"edited,omitempty"` // these are others than the planner's, and it is told so
	}

	// Assigned says that the people whom an ask is for have changed.
	Assigned struct {
		Ask  agent.AskID `json:"ask"`
		How  Assignment  `json:"how"`
		By   agent.User  `json:"by,omitzero"`
		To   []string    `json:"to,omitempty"` // delegate: who may answer now, as in agent.Ask.For
		Note string      `json:"note,omitempty"`
	}

	// Signaled says that an event from outside arrived.
	Signaled struct {
		Name string          `json:"name"`
		Data json.RawMessage `json:"data,omitempty"`
		By   agent.User      `json:"by,omitzero"`
		Key  string          `json:"key,omitempty"`
	}

	// Cancelled says that somebody called the run off.
	Cancelled struct {
		By     agent.User `json:"by,omitzero"`
		Reason string     `json:"reason,omitempty"`
		Key    string     `json:"key,omitempty"`
		Parent bool       `json:"parent,omitempty"` // it comes from the run's parent
	}

	// Retried says that somebody had a stuck run try again.
	Retried struct {
		By   agent.User `json:"by,omitzero"`
		Note string     `json:"note,omitempty"`
		Key  string     `json:"key,omitempty"`
	}

	// Redefined says that the run goes by another definition from now on.
	Redefined struct {
		Definition string                     `json:"definition"`     // the blob
		Keys       map[string]json.RawMessage `json:"keys,omitempty"` // changes to the saved keys; null deletes one
		By         agent.User                 `json:"by,omitzero"`
		Note       string                     `json:"note,omitempty"`
		Key        string                     `json:"key,omitempty"` // of the definition; the same one may come with other Keys
	}
)

// Planning: what came of asking the planner.
type (
	// TurnBegan records under which terms and instructions a turn goes on.
	TurnBegan struct {
		Slot         int64   `json:"slot"`
		Terms        Terms   `json:"terms"`
		Instructions *string `json:"instructions,omitempty"` // nil: as in the turn before
		Trace        string  `json:"trace,omitempty"`        // W3C traceparent of the turn's span; "" if it has none
		Definition   string  `json:"definition,omitempty"`   // the blob by which the agent's planner goes in this run from now on; "" if there is one already, or none
	}

	// Moved records a planner's admitted move, before anything of it is done.
	Moved struct {
		Basis   int64                      `json:"basis"`    // Seq of the last record that the planner has seen
		BasisID agent.RecordID             `json:"basis_id"` // and its id
		Message *agent.Message             `json:"message,omitempty"`
		Actions []Action                   `json:"actions,omitempty"`
		Keys    map[string]json.RawMessage `json:"keys,omitempty"`
		Output  json.RawMessage            `json:"output,omitempty"`
		Again   agent.Again                `json:"again,omitempty"`
		Finish  bool                       `json:"finish,omitempty"`
		Fail    string                     `json:"fail,omitempty"`
		Usage   agent.Usage                `json:"usage,omitzero"`
		Model   string                     `json:"model,omitempty"`
	}

	// PlanFailed says that the planner could not be asked, or gave no move.
	PlanFailed struct {
		Slot      int64         `json:"slot"`
		Attempt   int           `json:"attempt"`
		Error     string        `json:"error"`
		Transient bool          `json:"transient,omitempty"` // ask again after Wait; otherwise the run is stuck
		Wait      time.Duration `json:"wait,omitempty"`
	}
)

// Calls: what came of calling a tool. Results are keyed by action and attempt
// and need no claim.
type (
	// Began is durable before a Once call is made.
	Began struct {
		Action   agent.ActionID `json:"action"`
		Attempt  int            `json:"attempt"`
		Claim    string         `json:"claim"`    // of the worker that makes it
		Deadline time.Time      `json:"deadline"` // the call has ended by then, one way or another
	}

	// Returned says that a call gave a result.
	Returned struct {
		Action  agent.ActionID  `json:"action"`
		Attempt int             `json:"attempt"`
		Content json.RawMessage `json:"content,omitempty"`
		Blob    string          `json:"blob,omitempty"`   // Content is a preview of this
		Lookup  bool            `json:"lookup,omitempty"` // found by Reconcile
	}

	// CallFailed says that a call gave an error.
	CallFailed struct {
		Action  agent.ActionID `json:"action"`
		Attempt int            `json:"attempt"`
		Error   string         `json:"error"`
		Code    string         `json:"code,omitempty"`     // of the error: see agent.Coded
		NotDone bool           `json:"not_done,omitempty"` // the act has surely not taken place
		Again   bool           `json:"again,omitempty"`    // the error is worth another attempt, if one is left
		Wait    time.Duration  `json:"wait,omitempty"`     // before that
		Stack   string         `json:"stack,omitempty"`    // of a panic
		Lookup  bool           `json:"lookup,omitempty"`   // found by Reconcile, and so NotDone
	}

	// Unresolved says that Reconcile could not tell what became of a call.
	Unresolved struct {
		Action  agent.ActionID `json:"action"`
		Attempt int            `json:"attempt"`
		Try     int            `json:"try"`
		Error   string         `json:"error"`
		Wait    time.Duration  `json:"wait,omitempty"`
	}
)

// Between runs: what one has to tell another, and what came of that.
type (
	// Reported says how a delegate of the run stands.
	Reported struct {
		Action agent.ActionID `json:"action"` // the delegation
		Run    agent.RunID    `json:"run"`    // the delegate
		N      int64          `json:"n"`      // of the letter; one that is not above the last is ignored
		Report
		Content json.RawMessage `json:"content,omitempty"` // of a delegate that is done: its result
		Blob    string          `json:"blob,omitempty"`    // Content is a preview of this
		Usage   agent.Usage     `json:"usage,omitzero"`    // of a delegate that has ended, with its own delegates
	}

	// Delivered says what became of a letter to another run.
	Delivered struct {
		To    agent.RunID   `json:"to"`
		N     int64         `json:"n"`
		Error string        `json:"error,omitempty"` // why it was not delivered
		Wait  time.Duration `json:"wait,omitempty"`  // before it is tried again; 0 with Error: it cannot be delivered

		Back []agent.ActionID `json:"back,omitempty"` // of a mailbox: waits that had ended, and took no signal
	}
)

// What follows by itself: from the clock, from a limit, from a worker's fate.
type (
	// TookOver says that another worker's claim is on the run now.
	TookOver struct {
		Claim string `json:"claim"`
	}

	// Lapsed says that a time has come. One field is set, or none: then the run
	// has been idle for long enough.
	Lapsed struct {
		Ask      agent.AskID    `json:"ask,omitempty"`      // its due time
		Wait     agent.ActionID `json:"wait,omitempty"`     // the end of a wait, or the deadline of a delegation
		Call     agent.ActionID `json:"call,omitempty"`     // the deadline of a call whose worker is gone
		Attempt  int            `json:"attempt,omitempty"`  // of Call
		Deadline bool           `json:"deadline,omitempty"` // that of the run
		Signal   agent.RecordID `json:"signal,omitempty"`   // of a mailbox: how long that signal is kept
	}

	// Reminded says that it is time to remind of an open ask.
	Reminded struct {
		Ask agent.AskID `json:"ask"`
	}

	// Limited says that a limit is reached.
	Limited struct {
		Limit string `json:"limit"` // as in Terms: turn_steps, turn_tokens, turn_time, run_steps, run_tokens, run_time
		Used  string `json:"used"`
		Max   string `json:"max"`
	}

	// Stuck says that the run cannot go on by itself.
	Stuck struct {
		Reason     string `json:"reason"`
		Quarantine bool   `json:"quarantine,omitempty"` // it made worker after worker fail: nothing more of it is to be run
	}
)

func (*Started) kind() string    { return "started" }
func (*Messaged) kind() string   { return "messaged" }
func (*Answered) kind() string   { return "answered" }
func (*Assigned) kind() string   { return "assigned" }
func (*Signaled) kind() string   { return "signaled" }
func (*Cancelled) kind() string  { return "cancelled" }
func (*Retried) kind() string    { return "retried" }
func (*Redefined) kind() string  { return "redefined" }
func (*TurnBegan) kind() string  { return "turnbegan" }
func (*Moved) kind() string      { return "moved" }
func (*PlanFailed) kind() string { return "planfailed" }
func (*Began) kind() string      { return "began" }
func (*Returned) kind() string   { return "returned" }
func (*CallFailed) kind() string { return "callfailed" }
func (*Unresolved) kind() string { return "unresolved" }
func (*TookOver) kind() string   { return "tookover" }
func (*Reported) kind() string   { return "reported" }
func (*Delivered) kind() string  { return "delivered" }
func (*Lapsed) kind() string     { return "lapsed" }
func (*Reminded) kind() string   { return "reminded" }
func (*Limited) kind() string    { return "limited" }
func (*Stuck) kind() string      { return "stuck" }

// kinds makes an empty event of each kind. A kind that a released version has
// written stays here for good.
var kinds = map[string]func() Event{
	"started":    func() Event { return new(Started) },
	"messaged":   func() Event { return new(Messaged) },
	"answered":   func() Event { return new(Answered) },
	"assigned":   func() Event { return new(Assigned) },
	"signaled":   func() Event { return new(Signaled) },
	"cancelled":  func() Event { return new(Cancelled) },
	"retried":    func() Event { return new(Retried) },
	"redefined":  func() Event { return new(Redefined) },
	"turnbegan":  func() Event { return new(TurnBegan) },
	"moved":      func() Event { return new(Moved) },
	"planfailed": func() Event { return new(PlanFailed) },
	"began":      func() Event { return new(Began) },
	"returned":   func() Event { return new(Returned) },
	"callfailed": func() Event { return new(CallFailed) },
	"unresolved": func() Event { return new(Unresolved) },
	"tookover":   func() Event { return new(TookOver) },
	"reported":   func() Event { return new(Reported) },
	"delivered":  func() Event { return new(Delivered) },
	"lapsed":     func() Event { return new(Lapsed) },
	"reminded":   func() Event { return new(Reminded) },
	"limited":    func() Event { return new(Limited) },
	"stuck":      func() Event { return new(Stuck) },
	"posted":     func() Event { return new(Posted) },
	"subscribed": func() Event { return new(Subscribed) },
	"mailed":     func() Event { return new(Mailed) },
}

// Version is the version of the log's form that this package writes. It reads
// all up to it.
const Version = 1

// envelope is an event as stored: {"v":1,"kind":"moved","event":{…}}.
type envelope struct {
	V     int             `json:"v"`
	Kind  string          `json:"kind"`
	Event json.RawMessage `json:"event"`
}

// Encode returns the event as it is stored. Characters stand for themselves
// wherever JSON lets them.
func Encode(e Event) ([]byte, error) {
	var b bytes.Buffer
	b.Write(head)
	b.WriteString(e.kind())
	b.WriteString(`","event":`)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("run: encode %s: %w", e.kind(), err)
	}
	b.Truncate(b.Len() - 1) // the encoder's newline
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Decode reads an event as stored. It refuses what a newer version wrote.
func Decode(data []byte) (Event, error) {
	if e, event := fromHead(data); e != nil {
		if e, err := decodeInto(e, event); err == nil {
			return e, nil
		}
	}
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return nil, fmt.Errorf("run: a record is not an event: %w", err)
	}
	if env.V < 1 || env.V > Version {
		return nil, fmt.Errorf("run: a record has version %d, and this program reads versions 1 to %d: use a newer program", env.V, Version)
	}
	empty := kinds[env.Kind]
	if empty == nil {
		return nil, fmt.Errorf("run: a record has the kind %q, which this program does not know: use a newer program", env.Kind)
	}
	return decodeInto(empty(), env.Event)
}

func decodeInto(e Event, event []byte) (Event, error) {
	if err := json.Unmarshal(event, e); err != nil {
		return nil, fmt.Errorf("run: a record of kind %s has another form than expected: %w", e.kind(), err)
	}
	return e, nil
}

// fromHead finds the event in an envelope that is as Encode writes it, without
// reading the whole twice; nil if it is of another form.
func fromHead(data []byte) (e Event, event []byte) {
	rest, ok := bytes.CutPrefix(data, head)
	if !ok {
		return nil, nil
	}
	kind, rest, ok := bytes.Cut(rest, []byte(`","event":`))
	if empty := kinds[string(kind)]; ok && empty != nil && len(rest) > 0 && rest[len(rest)-1] == '}' {
		return empty(), rest[:len(rest)-1]
	}
	return nil, nil
}

// head is how each envelope of Version begins.
var head = fmt.Appendf(nil, `{"v":%d,"kind":"`, Version)

// Store returns the event as it is stored, and as it will be read: apply that one
// and not the one that was given, which may hold memory of others, or be spelled
// in another way.
func Store(e Event) (data []byte, stored Event, err error) {
	if data, err = Encode(e); err != nil {
		return nil, nil, err
	}
	switch e := e.(type) { // the most frequent ones are read back without being parsed
	case *Began:
		if b := *e; b.Deadline.Location() == time.UTC {
			b.Deadline = b.Deadline.Round(0) // without the reading of this process's clock
			return data, &b, nil
		}
	case *Returned:
		if r := *e; isCompact(r.Content) {
			r.Content = bytes.Clone(r.Content)
			return data, &r, nil
		}
	}
	stored, err = Decode(data)
	return data, stored, err
}

// isCompact reports whether valid JSON has no white space between its tokens, and
// is far from nesting deeper than what can be read.
func isCompact(v json.RawMessage) bool {
	inString, depth := false, 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++
		case inString:
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			return false
		case c == '{' || c == '[':
			if depth++; depth > 1000 {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// Record is one record of a run's log: an event, its place, its id and its
// time by the store's clock.
type Record struct {
	Seq   int64
	ID    agent.RecordID
	Time  time.Time
	Event Event
}
