package chatserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// A Script says what to answer. In JSON it is {"scenes": […]}, or just a list
// of replies, which is a script of one scene for all conversations.
type Script struct {
	Scenes []Scene `json:"scenes"`
}

// A Scene is the answers to one kind of conversation. The first scene whose
// conditions hold is played; an empty condition always holds.
type Scene struct {
	User    string  `json:"user,omitempty"`   // a text within the first user message
	System  string  `json:"system,omitempty"` // a text within the system message
	Model   string  `json:"model,omitempty"`  // the model asked for
	Replies []Reply `json:"replies"`
}

// A Reply is one answer.
type Reply struct {
	Reasoning string `json:"reasoning,omitempty"`
	Text      string `json:"text,omitempty"`
	Calls     []Call `json:"calls,omitempty"`
	Usage     *Usage `json:"usage,omitempty"`  // nil counts bytes and words
	Finish    string `json:"finish,omitempty"` // finish_reason; "" takes the one that fits

	Repeat int      `json:"repeat,omitempty"` // how often it is given in a row; 0 is once, negative is for ever
	Delay  Duration `json:"delay,omitempty"`  // before the first byte
	Pace   Duration `json:"pace,omitempty"`   // before each chunk of a stream

	// Extra holds more fields of the message, such as reasoning_details. In a
	// stream they come in a chunk of their own.
	Extra map[string]json.RawMessage `json:"extra,omitempty"`

	// Fault or Raw is played instead of the answer. Times says how often before
	// the answer is given after all; 0 is always. The count is kept in memory and
	// by the content of the conversation, so identical conversations share it.
	Fault Fault `json:"fault,omitempty"`
	Raw   *Raw  `json:"raw,omitempty"`
	Times int   `json:"times,omitempty"`
}

// A Call is a tool call of a reply.
type Call struct {
	ID    string                     `json:"id,omitempty"` // "" takes one that is unique in the conversation
	Name  string                     `json:"name"`
	Args  json.RawMessage            `json:"args,omitempty"`  // nil means {}; a string is sent as it is, so that it may be broken
	Extra map[string]json.RawMessage `json:"extra,omitempty"` // more fields of the call, such as extra_content
}

// Usage is what a reply says that it cost, in tokens.
type Usage struct {
	Input     int `json:"input,omitempty"`
	Output    int `json:"output,omitempty"`
	Cached    int `json:"cached,omitempty"`
	Reasoning int `json:"reasoning,omitempty"`
}

// A Duration is a time.Duration that is written as a string in JSON: "20ms".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Replies makes a script of one scene for all conversations.
func Replies(replies ...Reply) Script {
	return Script{Scenes: []Scene{{Replies: replies}}}
}

// ParseScript reads a script from JSON. A field that it does not know is an
// error.
func ParseScript(b []byte) (Script, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if b := bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		var replies []Reply
		if err := dec.Decode(&replies); err != nil {
			return Script{}, fmt.Errorf("chatserver: the script is not a list of replies: %w", err)
		}
		return Replies(replies...).Checked()
	}
	var s Script
	if err := dec.Decode(&s); err != nil {
		return Script{}, fmt.Errorf(`chatserver: the script is neither a list of replies nor {"scenes": […]}: %w`, err)
	}
	return s.Checked()
}

// Checked returns s, or an error that names a fault which there is not.
func (s Script) Checked() (Script, error) {
	for i, scene := range s.Scenes {
		for j, r := range scene.Replies {
			if r.Fault != "" && !r.Fault.known() {
				return Script{}, fmt.Errorf("chatserver: scene %d, reply %d: there is no fault %q; there are %s", i, j, r.Fault, strings.Join(Faults(), ", "))
			}
		}
	}
	return s, nil
}

// ReadScript reads a script from a JSON file.
func ReadScript(path string) (Script, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Script{}, fmt.Errorf("chatserver: %w", err)
	}
	s, err := ParseScript(b)
	if err != nil {
		return Script{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// reply finds the answer to a request.
func (s Script) reply(req *request) (Reply, error) {
	for i, scene := range s.Scenes {
		if !scene.fits(req) {
			continue
		}
		at := 0
		for _, r := range scene.Replies {
			if at += max(r.Repeat, 1); r.Repeat < 0 || req.index < at {
				return r, nil
			}
		}
		return Reply{}, fmt.Errorf("scene %d has run out: it has %d replies, and the conversation holds %d messages of the assistant", i, at, req.index)
	}
	return Reply{}, fmt.Errorf("no scene fits: model %q, first user message %q", req.Model, req.user)
}

func (s Scene) fits(req *request) bool {
	return strings.Contains(req.user, s.User) && strings.Contains(req.system, s.System) && (s.Model == "" || s.Model == req.Model)
}
