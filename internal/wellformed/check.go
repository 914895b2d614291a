// Package wellformed says whether a conversation can be sent to a language
// model. The orchestrator promises that it always can, whatever happened to the
// run meanwhile; so the scripted models and the test endpoint hold what they are
// sent against the rules of [Check], and [Model] does that for any other model.
package wellformed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/fermata-run/fermata/agent"
)

// An Error says where a conversation breaks a rule, and how.
type Error struct {
	Message int        // its index
	Part    int        // the index of the part; -1 where it is the message as a whole
	Role    agent.Role // of the message
	Detail  string     // what is wrong
}

func (e *Error) Error() string {
	at := ""
	if e.Part >= 0 {
		at = fmt.Sprintf(", part %d", e.Part)
	}
	return fmt.Sprintf("message %d, of role %q%s: %s", e.Message, e.Role, at, e.Detail)
}

// Check returns an [*Error] for the first breach of a rule, and nil if every
// provider can take the conversation. The rules are:
//
//   - a message is of the user, the assistant, a tool, or a note
//   - it is not empty: it has a part, and each part holds just one thing, beside
//     which opaque fields may stand
//   - calls stand in messages of the assistant only; a call has an id that no other
//     call of the conversation has, a name, and a JSON object or nothing as its
//     arguments
//   - results stand in tool messages only, and nothing else stands there; a result
//     has an outcome, JSON or nothing as its content, and if it has a name then that
//     of its call
//   - each call has exactly one result, in the tool message directly behind its
//     own, and each result has its call
//   - messages with the same id have the same content; no id is no id
//
// Results come in any order. Who speaks first or last, and how often in a row,
// does not matter.
func Check(messages []*agent.Message) error {
	c := &checker{all: messages, ids: map[string]int{}, calls: map[string]bool{}}
	for i, m := range messages {
		if m == nil {
			return &Error{Message: i, Part: -1, Detail: "it is nil"}
		}
		if part, bad := c.message(i, m); bad != "" {
			return &Error{Message: i, Part: part, Role: m.Role, Detail: bad}
		}
	}
	return nil
}

type checker struct {
	all   []*agent.Message
	ids   map[string]int  // of the messages so far that have one, with their places
	calls map[string]bool // the ids of all calls so far
}

// whole is the place of what is wrong with no part, but with the message.
const whole = -1

// message says what is wrong with the message at i, and with which part of it.
func (c *checker) message(i int, m *agent.Message) (part int, bad string) {
	switch m.Role {
	case agent.RoleUser, agent.RoleAssistant, agent.RoleTool, agent.RoleNote:
	default:
		return whole, fmt.Sprintf("the role is unknown: there are %s, %s, %s and %s", agent.RoleUser, agent.RoleAssistant, agent.RoleTool, agent.RoleNote)
	}
	if len(m.Parts) == 0 {
		return whole, "the message is empty"
	}
	if bad := c.sameID(i, m); bad != "" {
		return whole, bad
	}
	for k := range m.Parts {
		p := &m.Parts[k]
		if bad := form(m.Role, p); bad != "" {
			return k, bad
		}
		switch {
		case p.Call != nil:
			bad = c.call(i, p.Call)
		case p.Result != nil:
			bad = c.result(i, k, p.Result)
		}
		if bad != "" {
			return k, bad
		}
	}
	return whole, ""
}

func (c *checker) sameID(i int, m *agent.Message) string {
	if m.ID == "" {
		return ""
	}
	before, known := c.ids[m.ID]
	if !known {
		c.ids[m.ID] = i
		return ""
	}
	if first := c.all[before]; first != m && !reflect.DeepEqual(first, m) {
		return fmt.Sprintf("it has the id %q of message %d, and another content", m.ID, before)
	}
	return ""
}

// form says what is wrong with a part by itself.
func form(role agent.Role, p *agent.Part) string {
	things := 0
	for _, has := range []bool{p.Text != "", p.Reasoning != "", p.Media != nil, p.Call != nil, p.Result != nil} {
		if has {
			things++
		}
	}
	switch {
	case things == 0 && len(p.Opaque) == 0:
		return "the part is empty"
	case things > 1:
		return fmt.Sprintf("the part holds %d things, and has room for one", things)
	case p.Call != nil && role != agent.RoleAssistant:
		return fmt.Sprintf("the call %q does not stand in a message of role %s", p.Call.ID, agent.RoleAssistant)
	case p.Result != nil && role != agent.RoleTool:
		return fmt.Sprintf("the result of the call %q does not stand in a message of role %s", p.Result.CallID, agent.RoleTool)
	case p.Result == nil && role == agent.RoleTool:
		return "there is something other than a result"
	}
	return ""
}

// call says what is wrong with a call of the message at i.
func (c *checker) call(i int, call *agent.Call) string {
	switch {
	case call.ID == "":
		return fmt.Sprintf("a call of %q has no id", call.Name)
	case c.calls[call.ID]:
		return fmt.Sprintf("the id %q was that of a call before", call.ID)
	case call.Name == "":
		return fmt.Sprintf("the call %q has no name", call.ID)
	case len(call.Args) > 0 && !isObject(call.Args):
		return fmt.Sprintf("the arguments of the call %q are not a JSON object: %.100q", call.ID, call.Args)
	}
	c.calls[call.ID] = true
	if i+1 < len(c.all) && c.all[i+1] != nil && has(c.all[i+1].Parts, call.ID) {
		return ""
	}
	return fmt.Sprintf("the call %q of %q has no result in a tool message directly behind it", call.ID, call.Name)
}

// result says what is wrong with the result that is part k of the message at i.
func (c *checker) result(i, k int, r *agent.Result) string {
	var of *agent.Call
	if i > 0 {
		for _, call := range c.all[i-1].Calls() {
			if call.ID == r.CallID {
				of = call
			}
		}
	}
	switch {
	case of == nil && c.calls[r.CallID]:
		return fmt.Sprintf("the result of the call %q does not stand directly behind it", r.CallID)
	case of == nil:
		return fmt.Sprintf("there is no call %q of which this could be the result", r.CallID)
	case has(c.all[i].Parts[:k], r.CallID):
		return fmt.Sprintf("it is a second result of the call %q", r.CallID)
	case r.Name != "" && r.Name != of.Name:
		return fmt.Sprintf("the result of the call %q says that it is of %q, and the call is of %q", r.CallID, r.Name, of.Name)
	case r.Outcome == "":
		return fmt.Sprintf("the result of the call %q has no outcome", r.CallID)
	case len(r.Content) > 0 && !json.Valid(r.Content):
		return fmt.Sprintf("the content of the result of the call %q is not JSON: %.100q", r.CallID, r.Content)
	case len(r.Edited) > 0 && !isObject(r.Edited):
		return fmt.Sprintf("the edited arguments of the call %q are not a JSON object: %.100q", r.CallID, r.Edited)
	}
	return ""
}

// has reports whether one of parts is a result of the call.
func has(parts []agent.Part, callID string) bool {
	for i := range parts {
		if r := parts[i].Result; r != nil && r.CallID == callID {
			return true
		}
	}
	return false
}

func isObject(raw json.RawMessage) bool {
	return json.Valid(raw) && bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{"))
}
