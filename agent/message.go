package agent

import (
	"encoding/json"
	"strings"
)

// A Role says whose words a message holds.
type Role string

const (
	RoleUser      Role = "user"      // a person who talks with the agent
	RoleAssistant Role = "assistant" // the planner: words and calls
	RoleTool      Role = "tool"      // the results of calls, one part each
	RoleNote      Role = "note"      // the orchestrator: what became of a call whose result was shown as pending or unknown
)

// A Message is one entry of a conversation. Messages that a View shows are
// shared between goroutines and must not be changed.
type Message struct {
	// ID is set on messages of a recorded conversation and never changes: two
	// messages of one run with the same ID have the same content, so an encoding
	// of it may be kept. Leave it empty in new messages.
	ID    string `json:"id,omitempty"`
	Role  Role   `json:"role"`
	Parts []Part `json:"parts"`

	// Opaque holds fields that a model's provider wants back verbatim with this
	// message, by provider name. Only that provider's adapter looks inside.
	Opaque map[string]json.RawMessage `json:"opaque,omitempty"`
}

// A Part is one piece of a message. Exactly one of its fields is set, but for
// Opaque, which may stand beside any.
type Part struct {
	Text      string  `json:"text,omitempty"`
	Reasoning string  `json:"reasoning,omitempty"` // what a model thought aloud; shown to people, not sent back unless the provider asks for it
	Media     *Media  `json:"media,omitempty"`
	Call      *Call   `json:"call,omitempty"`
	Result    *Result `json:"result,omitempty"`

	Opaque map[string]json.RawMessage `json:"opaque,omitempty"` // as Message.Opaque, for this part
}

// Media is an image or a file by reference: an https or data URL.
type Media struct {
	Type string `json:"type"` // MIME type, such as image/png
	URL  string `json:"url"`
	Name string `json:"name,omitempty"`
}

// A Call is a planner's wish to have a tool called, as it stands in the
// conversation. ID is unique among the calls of one conversation.
type Call struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"` // a JSON object; empty means {}
}

// An Outcome says how an action stands or ended.
type Outcome string

const (
	Returned   Outcome = "returned"   // it was done, and this is what it gave
	Failed     Outcome = "failed"     // it was not done, or it was done in vain: the content says why
	Denied     Outcome = "denied"     // a person said no; the content has the reason
	Answered   Outcome = "answered"   // a person answered, or gave the result in the tool's stead
	Expired    Outcome = "expired"    // nobody answered, or nothing arrived, in time
	Cancelled  Outcome = "cancelled"  // the planner, a person or the end of the run withdrew it
	Superseded Outcome = "superseded" // the user interrupted, and it was withdrawn

	Pending Outcome = "pending" // still open: a person, an event or a time is awaited; a note will follow
	Unknown Outcome = "unknown" // still open: it was begun, and nobody knows whether it took place; a note will follow
)

// Open reports whether the outcome is not final yet.
func (o Outcome) Open() bool { return o == Pending || o == Unknown }

// A Result is what a call gave, as the planner is shown it.
type Result struct {
	CallID  string          `json:"call_id"`
	Name    string          `json:"name,omitempty"`
	Outcome Outcome         `json:"outcome"`
	Content json.RawMessage `json:"content,omitempty"` // any JSON value; a string is shown as its text
	Blob    string          `json:"blob,omitempty"`    // set when Content is only a preview: the hash of the whole value
	Edited  json.RawMessage `json:"edited,omitempty"`  // the arguments that a person has put in the place of the call's, of which a Model has to be told; empty if nobody has
}

// Text makes a message of a user's words.
func Text(s string) Message {
	return Message{Role: RoleUser, Parts: []Part{{Text: s}}}
}

// Said makes a message of an assistant's words.
func Said(s string) *Message {
	return &Message{Role: RoleAssistant, Parts: []Part{{Text: s}}}
}

// Text returns the words of the message, without reasoning, calls and results.
func (m *Message) Text() string {
	if m == nil {
		return ""
	}
	if len(m.Parts) == 1 {
		return m.Parts[0].Text
	}
	var b strings.Builder
	for _, p := range m.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// Calls returns the calls of the message, in order.
func (m *Message) Calls() []*Call {
	if m == nil {
		return nil
	}
	var calls []*Call
	for _, p := range m.Parts {
		if p.Call != nil {
			calls = append(calls, p.Call)
		}
	}
	return calls
}

// PlainText returns a JSON value as a reader wants it: the text of a string,
// and any other value as JSON.
func PlainText(v json.RawMessage) string {
	var s string
	if len(v) > 0 && v[0] == '"' && json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// JSONText returns s as a JSON string.
func JSONText(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic("agent: a string has no JSON form: " + err.Error()) // cannot happen: Marshal replaces invalid UTF-8
	}
	return b
}
