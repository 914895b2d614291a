package scripted

import (
	"encoding/json"
	"fmt"

	"github.com/fermata-run/fermata/agent"
)

// A Reply is one answer of a script: words, calls, both, or a failure.
type Reply struct {
	Reasoning string // thought aloud before the answer
	Text      string
	// Calls are made in parallel. An empty ID is replaced by one that is unique
	// in the conversation and the same whenever it is asked again.
	Calls []agent.Call
	Usage agent.Usage
	// Err, if set, is returned instead of an answer, after the words of Text
	// were emitted. Mark it with [agent.Transient] for one that may pass; but as
	// the model keeps no state it fails again whenever it is asked again.
	Err error
}

// Say makes a reply of words.
func Say(text string) Reply { return Reply{Text: text} }

// Call makes a reply that calls one tool. A string, []byte or json.RawMessage
// is taken as the JSON of the arguments, nil as none, and any other value is
// marshaled. Call panics when args has no JSON form. JSON that is not an object
// is let through, for tests of what a planner does about it.
func Call(name string, args any) Reply {
	return Reply{Calls: []agent.Call{{Name: name, Args: argsJSON(name, args)}}}
}

// Fail makes a reply that is an error.
func Fail(err error) Reply { return Reply{Err: err} }

// And returns a reply that has what both have: the texts joined, the calls of r
// and then those of other.
func (r Reply) And(other Reply) Reply {
	r.Reasoning += other.Reasoning
	r.Text += other.Text
	r.Calls = append(append([]agent.Call(nil), r.Calls...), other.Calls...)
	r.Usage = r.Usage.Add(other.Usage)
	if r.Err == nil {
		r.Err = other.Err
	}
	return r
}

func argsJSON(name string, args any) json.RawMessage {
	var raw json.RawMessage
	switch a := args.(type) {
	case nil:
		return nil
	case string:
		raw = json.RawMessage(a)
	case []byte:
		raw = a
	case json.RawMessage:
		raw = a
	default:
		b, err := json.Marshal(args)
		if err != nil {
			panic(fmt.Sprintf("scripted: the arguments of %s have no JSON form: %v", name, err))
		}
		raw = b
	}
	if !json.Valid(raw) {
		panic(fmt.Sprintf("scripted: the arguments of %s are not JSON: %s", name, raw))
	}
	return raw
}

// message makes the message of r as the index-th answer of a conversation.
func (r Reply) message(index int) agent.Message {
	m := agent.Message{Role: agent.RoleAssistant}
	if r.Reasoning != "" {
		m.Parts = append(m.Parts, agent.Part{Reasoning: r.Reasoning})
	}
	if r.Text != "" {
		m.Parts = append(m.Parts, agent.Part{Text: r.Text})
	}
	for i, c := range r.Calls {
		if c.ID == "" {
			c.ID = fmt.Sprintf("call_%d_%d", index, i)
		}
		m.Parts = append(m.Parts, agent.Part{Call: &c})
	}
	return m
}
