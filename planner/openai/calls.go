package openai

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// calls gathers the tool calls of an answer from their pieces, in the order in
// which they began. Which call a piece belongs to is decided in this order:
//
//  1. A piece with an id that is known belongs to that call, unless both have
//     an index and these differ.
//  2. A piece with an index belongs to the latest call of that index, unless it
//     begins another: it has another id, or it has no id but a name where the
//     call already has a different one, or the same and complete arguments.
//     (Some endpoints give every call the index 0.)
//  3. A piece with a new id begins a call.
//  4. A piece with neither belongs to the latest call, with the same exception.
//
// Each call of an answer in one piece is a call of its own.
type calls struct{ list []*call }

const maxCalls = 1000 // in one answer; what makes more is out of its mind

type call struct {
	id, name string
	index    int // -1 if it has none
	args     arguments
	unknown  gathered // fields of the call
	function gathered // fields of its function
}

// piece is what one event says of a call.
type piece struct {
	id, name, args string
	index          int // -1 if it has none
}

// add takes a piece. It returns the name of the call that begins with it, or "".
func (c *calls) add(raw json.RawMessage, whole bool) (begun string) {
	p := piece{index: -1}
	var unknown, function gathered
	eachField(raw, func(name string, v json.RawMessage) {
		switch name {
		case "type":
		case "id":
			p.id = text(v)
		case "index":
			if n, ok := number(v); ok && n >= 0 {
				p.index = n
			}
		case "function":
			eachField(v, func(name string, v json.RawMessage) {
				switch name {
				case "name":
					p.name = text(v)
				case "arguments":
					p.args = argsText(v)
				default:
					function.add(name, v)
				}
			})
		default:
			unknown.add(name, v)
		}
	})
	to := c.find(p)
	if to == nil || whole {
		to = &call{id: p.id, index: p.index}
		c.list = append(c.list, to)
	} else if to.args.complete() && p.name != "" && p.args == to.args.String() {
		p.args = "" // the whole call once more
	}
	if to.name == "" && p.name != "" {
		to.name, begun = p.name, p.name
	}
	if to.id == "" {
		to.id = p.id
	}
	to.args.add(p.args)
	to.unknown.join(unknown)
	to.function.join(function)
	return begun
}

// find returns the call that p belongs to, or nil if it begins one.
func (c *calls) find(p piece) *call {
	var latest *call
	for i := len(c.list) - 1; i >= 0; i-- {
		known := c.list[i]
		if p.id != "" && known.id == p.id && (p.index == known.index || p.index < 0 || known.index < 0) {
			return known
		}
		if latest == nil && (p.index == known.index || p.index < 0) {
			latest = known
		}
	}
	if latest == nil || p.id != "" && (latest.id != "" || p.index < 0) {
		return nil
	}
	if p.id == "" && p.name != "" && latest.name != "" {
		again := p.name == latest.name && (!latest.args.complete() || p.args == latest.args.String())
		if !again {
			return nil
		}
	}
	return latest
}

// arguments are the text of a call's arguments as far as it has come. They
// follow how deep in JSON it stands, so that each piece is looked at once.
type arguments struct {
	strings.Builder
	depth            int
	begun            bool // with an object
	quoted, escaping bool
}

func (a *arguments) add(s string) {
	a.WriteString(s)
	for i := range len(s) {
		switch c := s[i]; {
		case a.escaping:
			a.escaping = false
		case a.quoted:
			a.escaping, a.quoted = c == '\\', c != '"'
		case c == '"':
			a.quoted = true
		case c == '{':
			a.depth++
			a.begun = true
		case c == '}':
			a.depth--
		}
	}
}

// complete reports whether an object has come to its end.
func (a *arguments) complete() bool { return a.begun && a.depth == 0 && !a.quoted }

// argsText is the text of arguments, which some endpoints send as an object.
func argsText(v json.RawMessage) string {
	if len(v) > 0 && v[0] == '"' {
		return text(v)
	}
	if string(v) == "null" {
		return ""
	}
	return string(v)
}

// broken reports whether there is a call whose arguments are not JSON.
func (c *calls) broken() bool {
	for _, k := range c.list {
		if _, ok := repairArgs(k.args.String()); !ok {
			return true
		}
	}
	return false
}

// parts makes the parts of the message.
func (c *calls) parts(host string) []agent.Part {
	var out []agent.Part
	for _, k := range c.list {
		args, _ := repairArgs(k.args.String())
		out = append(out, agent.Part{
			Call:   &agent.Call{ID: k.id, Name: k.name, Args: args},
			Opaque: k.unknown.opaque(host, &k.function),
		})
	}
	return out
}

// repairArgs makes JSON of arguments as they came: nothing of an empty text or
// null, the object of one that was put into a string, one of several that are
// the same. ok is false where none of this fits; then the result is a JSON
// string of the text, for the planner to show to the model.
func repairArgs(s string) (args json.RawMessage, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || s == "null" {
		return nil, true
	}
	dec := json.NewDecoder(strings.NewReader(s))
	var first json.RawMessage
	if dec.Decode(&first) != nil {
		return agent.JSONText(s), false
	}
	for {
		var more json.RawMessage
		err := dec.Decode(&more)
		if err == io.EOF {
			break
		}
		if err != nil || !sameJSON(first, more) {
			return agent.JSONText(s), false
		}
	}
	if inner := strings.TrimSpace(text(first)); strings.HasPrefix(inner, "{") && json.Valid([]byte(inner)) {
		return json.RawMessage(inner), true
	}
	return first, true
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
