package planner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
)

// The rules of repair. What is recorded must be a conversation that every
// provider takes back, and each call must get its one result:
//
//   - an id that is empty, or that a call of the conversation or of the same
//     message has already, gives way to a new one, derived from its place
//   - a name keeps to the letters that providers take
//   - arguments are a JSON object; what is none is kept within one, as _invalid
//   - a call that cannot be made is an action that says why, for the model
//
// Whether arguments fit their tool's schema is judged when the move is admitted;
// of the functions that are no tools, it is judged here.
type repair struct {
	view   *agent.View
	offers []offer // beside the view's tools
}

// invalidArgs is the field that holds arguments which are not a JSON object.
const invalidArgs = "_invalid"

// message returns the model's message, repaired, and the actions for its calls.
// The model's own message stays as it is.
func (r *repair) message(m *agent.Message) (*agent.Message, []agent.Action) {
	msg := said(m)
	var calls []*agent.Call
	for i := range msg.Parts {
		if p := &msg.Parts[i]; p.Call != nil {
			c := *p.Call
			p.Call = &c
			calls = append(calls, &c)
		}
	}
	r.ids(calls)
	actions := make([]agent.Action, len(calls))
	for i, c := range calls {
		actions[i] = r.action(c)
		if i >= maxCalls {
			actions[i] = refused(c, fmt.Sprintf("there are %d calls in one message, and at most %d are made; make this one in a later message", len(calls), maxCalls))
		}
	}
	return msg, actions
}

// ids sees to it that each call has an id that no other call has.
func (r *repair) ids(calls []*agent.Call) {
	var bad []int
	for i, c := range calls {
		if c.ID == "" || r.used(c.ID) || usedBy(calls[:i], c.ID) {
			bad = append(bad, i)
		}
	}
	for _, i := range bad {
		id := fmt.Sprintf("call_%d_%d", len(r.view.Messages), i)
		for r.used(id) || usedBy(calls, id) {
			id += "_"
		}
		calls[i].ID = id
	}
}

// used reports whether a call of the conversation has the id. A look at each is
// faster than a map of them, which would be made for few questions.
func (r *repair) used(id string) bool {
	for _, messages := range [][]*agent.Message{r.view.Messages, r.view.Whole} {
		for _, m := range messages {
			for i := range m.Parts {
				if c := m.Parts[i].Call; c != nil && c.ID == id {
					return true
				}
			}
		}
	}
	return false
}

func usedBy(calls []*agent.Call, id string) bool {
	return slices.ContainsFunc(calls, func(c *agent.Call) bool { return c.ID == id })
}

// action returns the action for a call, whose name and arguments it repairs.
func (r *repair) action(c *agent.Call) agent.Action {
	given := c.Name
	known := r.name(c)
	args, complaint := readArgs(c.Args)
	c.Args = args
	switch {
	case !known:
		return refused(c, r.unknown(given))
	case complaint != "":
		return refused(c, fmt.Sprintf("the arguments of %s are not a JSON object: %s; make the call again with its arguments as one JSON object", c.Name, complaint))
	}
	if i := slices.IndexFunc(r.offers, func(o offer) bool { return o.spec.Name == c.Name }); i >= 0 {
		return r.offers[i].action(c)
	}
	return agent.Action{Kind: agent.ActCall, Name: c.Name, CallID: c.ID}
}

// action returns the action for a call of the function.
func (o *offer) action(c *agent.Call) agent.Action {
	if err := schema.Validate(o.spec.Input, c.Args); err != nil {
		return refused(c, fmt.Sprintf("the arguments of %s do not fit its schema: %v", c.Name, err))
	}
	a, err := o.act(c.Args)
	if err != nil {
		return refused(c, fmt.Sprintf("the arguments of %s make no sense: %v", c.Name, err))
	}
	a.CallID = c.ID
	return a
}

func refused(c *agent.Call, why string) agent.Action {
	return agent.Action{Kind: agent.ActCall, Name: c.Name, CallID: c.ID, Refuse: why}
}

// name gives the call a name that providers take, and reports whether it is
// that of a function that was offered.
func (r *repair) name(c *agent.Call) bool {
	// Some models put the namespace in which they were shown the functions
	// before the name.
	for _, name := range []string{c.Name, strings.TrimPrefix(strings.TrimSpace(c.Name), "functions.")} {
		for _, n := range r.names() {
			if n == name {
				c.Name = name
				return true
			}
		}
	}
	c.Name = plainName(c.Name)
	return false
}

func (r *repair) names() []string {
	names := make([]string, 0, len(r.view.Tools)+len(r.offers))
	for _, t := range r.view.Tools {
		names = append(names, t.Name)
	}
	for i := range r.offers {
		names = append(names, r.offers[i].spec.Name)
	}
	return names
}

// unknown tells the model that it was not offered a function of this name.
func (r *repair) unknown(name string) string {
	const most = 50
	names := r.names()
	s := fmt.Sprintf("there is no tool %q", cut(name, 80))
	if n := r.meant(name, names); n != "" {
		s += fmt.Sprintf(" – did you mean %q?", n)
	}
	switch {
	case len(names) == 0:
		return s + "; there are no tools at all: answer without"
	case len(names) > most:
		return s + "; the tools are: " + strings.Join(names[:most], ", ") + ", …"
	}
	return s + "; the tools are: " + strings.Join(names, ", ")
}

// meant is the function that was most likely meant: of an agent whose name was
// given alone, that for it. "" says that nobody can tell.
func (r *repair) meant(name string, names []string) string {
	for i := range r.offers {
		if o := &r.offers[i]; o.agent != "" && o.agent == name {
			return o.spec.Name
		}
	}
	return schema.Nearest(name, names)
}

// longestName is how many letters of a function's name providers take.
const longestName = 64

// plainName replaces what providers do not take in a name.
func plainName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, s)
	if s == "" {
		return "unknown"
	}
	return s[:min(len(s), longestName)]
}

// readArgs returns arguments as a JSON object. If they are none, it returns an
// object that holds what came, and a complaint.
func readArgs(args json.RawMessage) (object json.RawMessage, complaint string) {
	text := bytes.TrimSpace(args)
	// What does not parse comes from the adapters as a JSON string of its text;
	// some models write the object itself as a string.
	if len(text) > 0 && text[0] == '"' {
		var s string
		if json.Unmarshal(text, &s) == nil {
			text = bytes.TrimSpace([]byte(s))
		}
	}
	if len(text) == 0 || string(text) == "null" {
		return json.RawMessage("{}"), ""
	}
	var raw json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		complaint = err.Error()
	} else if !utf8.Valid(text) {
		complaint = "the text is not UTF-8"
	} else if text[0] != '{' {
		complaint = "this came: " + cut(string(text), 80)
	} else {
		return text, ""
	}
	const kept = 500 // bytes
	object = fmt.Appendf(nil, `{%q:%s}`, invalidArgs, agent.JSONText(cut(string(text), kept)))
	return object, complaint
}

// cut shortens s to about n bytes.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
