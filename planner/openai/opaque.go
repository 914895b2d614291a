package openai

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// opaque is what the package keeps in Message.Opaque and Part.Opaque: fields of
// an endpoint's message, or of a call and its function, that it does not know.
// They are given back to the host that they came from and to no other, as one
// endpoint's fields are errors to the next.
type opaque struct {
	From     string                     `json:"from"`
	Fields   map[string]json.RawMessage `json:"fields,omitempty"`
	Function map[string]json.RawMessage `json:"function,omitempty"`
}

// opaque reads what is to be given back to the encoder's host.
func (e encoder) opaque(kept map[string]json.RawMessage) opaque {
	raw, ok := kept[Provider]
	if !ok {
		return opaque{}
	}
	var o opaque
	if json.Unmarshal(raw, &o) != nil || o.From != e.host {
		return opaque{}
	}
	return o
}

// gathered collects fields of which a stream sends pieces. Until the end the
// pieces are only kept, so that a thousand of them cost what they weigh.
type gathered struct {
	names  []string
	pieces map[string][]json.RawMessage
}

// add takes a piece. One that says nothing is not kept.
func (g *gathered) add(name string, v json.RawMessage) {
	if !said(v) {
		return
	}
	if g.pieces == nil {
		g.pieces = map[string][]json.RawMessage{}
	}
	if _, ok := g.pieces[name]; !ok {
		g.names = append(g.names, name)
	}
	g.pieces[name] = append(g.pieces[name], bytes.Clone(v))
}

func (g *gathered) join(other gathered) {
	for _, name := range other.names {
		for _, v := range other.pieces[name] {
			g.add(name, v)
		}
	}
}

func (g *gathered) fields() map[string]json.RawMessage {
	if g == nil || len(g.names) == 0 {
		return nil
	}
	fields := map[string]json.RawMessage{}
	for name, pieces := range g.pieces {
		fields[name] = merge(name, pieces)
	}
	return fields
}

// opaque makes what is kept of the fields of a message or call, and of the
// call's function; nil if there is nothing.
func (g *gathered) opaque(host string, function *gathered) map[string]json.RawMessage {
	o := opaque{From: host, Fields: g.fields(), Function: function.fields()}
	if o.Fields == nil && o.Function == nil {
		return nil
	}
	return map[string]json.RawMessage{Provider: adapter.JSON(o)}
}

// growing are strings that a stream sends bit by bit. Other strings, such as an
// id, come whole and may be repeated.
var growing = []string{"text", "summary", "data", "thinking", "content", "transcript", "arguments"}

// merge makes one value of the pieces of one field: a single piece is kept
// verbatim, strings and lists are joined, objects are merged field by field, and
// of anything else the last piece counts.
func merge(name string, pieces []json.RawMessage) json.RawMessage {
	if len(pieces) == 1 {
		return pieces[0]
	}
	kind := pieces[0][0]
	for _, p := range pieces {
		if p[0] != kind {
			return pieces[len(pieces)-1]
		}
	}
	switch kind {
	case '"':
		return mergeStrings(name, pieces)
	case '[':
		return mergeLists(name, pieces)
	case '{':
		return mergeObjects(pieces)
	}
	return pieces[len(pieces)-1]
}

func mergeStrings(name string, pieces []json.RawMessage) json.RawMessage {
	same := func(p json.RawMessage) bool { return bytes.Equal(p, pieces[0]) }
	if !slices.Contains(growing, name) && !slices.ContainsFunc(pieces, func(p json.RawMessage) bool { return !same(p) }) {
		return pieces[0]
	}
	var all []byte
	for _, p := range pieces {
		all = append(all, text(p)...)
	}
	return agent.JSONText(string(all))
}

func mergeObjects(pieces []json.RawMessage) json.RawMessage {
	var g gathered
	for _, p := range pieces {
		eachField(p, func(name string, v json.RawMessage) { g.add(name, v) })
	}
	return adapter.JSON(g.fields())
}

// mergeLists joins lists. Items that are pieces of the same thing, as their
// type, index and id say, are merged; an id may be missing in some pieces.
func mergeLists(name string, pieces []json.RawMessage) json.RawMessage {
	type thing struct{ pieces []json.RawMessage }
	var things []*thing
	known, latest := map[itemKey]*thing{}, map[itemKey]itemKey{}
	for _, list := range pieces {
		eachItem(list, func(item json.RawMessage) {
			key := keyOf(item)
			group := itemKey{typ: key.typ, index: key.index}
			if last, ok := latest[group]; ok && (key.id == "" || last.id == "") {
				known[key] = known[last]
			}
			t := known[key]
			if t == nil || key.index < 0 {
				t = &thing{}
				things = append(things, t)
				known[key] = t
			}
			t.pieces = append(t.pieces, item)
			if _, ok := latest[group]; !ok || key.id != "" {
				latest[group] = key
			}
		})
	}
	out := []byte{'['}
	for i, t := range things {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, merge(name, t.pieces)...)
	}
	return append(out, ']')
}

// itemKey says which thing an item of a list is a piece of.
type itemKey struct {
	typ, id string
	index   int // -1 if it has none: then it is a thing of its own
}

func keyOf(item json.RawMessage) itemKey {
	k := itemKey{index: -1}
	eachField(item, func(name string, v json.RawMessage) {
		switch name {
		case "type":
			k.typ = text(v)
		case "id":
			k.id = text(v)
		case "index":
			if n, ok := number(v); ok && n >= 0 {
				k.index = n
			}
		}
	})
	return k
}
