package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/planner/graph/chart"
)

// Get, Set, Local, In, Now and Env make the instance the Variables of its language.
func (x *instance) Get(name string) (any, bool) {
	if v, ok := x.vars[name]; ok {
		return v, true
	}
	raw := x.st.s.raw(x.key("v/" + name))
	if raw == nil {
		return nil, false
	}
	if string(raw) == savedNull {
		return nil, true
	}
	v, err := decodeValue(raw)
	if err != nil {
		x.fatal = errors.Join(x.fatal, fmt.Errorf("graph: the saved variable %q: %w", name, err))
		return nil, false
	}
	x.remember(name, v)
	return v, true
}

// savedNull is how a variable is saved that is null: null itself deletes a key.
const savedNull = `{"$null":true}`

func (x *instance) remember(name string, v any) {
	if x.vars == nil {
		x.vars = map[string]any{}
	}
	x.vars[name] = v
}

func (x *instance) Set(name string, v any) {
	v, err := normalise(v) // as it will be read
	var raw json.RawMessage
	if err == nil {
		raw, err = encodeValue(v)
	}
	if err != nil {
		x.fatal = errors.Join(x.fatal, fmt.Errorf("graph: the variable %q cannot be saved: %w", name, err))
		return
	}
	if string(raw) == "null" {
		raw = json.RawMessage(savedNull)
	}
	x.remember(name, v)
	x.st.s.setRaw(x.key("v/"+name), raw)
}

func (x *instance) input() any {
	return outsideValue(x.st.s.raw(x.key("in")))
}

func (x *instance) Local(name string) (any, bool) {
	if v, ok := x.locals[name]; ok {
		return v, true
	}
	switch name {
	case "input":
		return x.input(), true
	case "user":
		u := x.st.facts.User
		groups := []any{}
		for _, g := range u.Groups {
			groups = append(groups, g)
		}
		return map[string]any{"id": u.ID, "name": u.Name, "groups": groups}, true
	case "meta":
		meta := map[string]any{}
		for k, v := range x.st.facts.Meta {
			meta[k] = v
		}
		return meta, true
	case "saga":
		return x.st.saga(), true
	case "session": // session and name are SCXML's
		return x.sessionID(), true
	case "name":
		return x.p.def.Graph, true
	}
	o := x.cur
	if o == nil {
		return nil, false
	}
	switch name {
	case "event":
		return o.seen(), true
	case "result":
		return o.result, true
	case "failure":
		if o.failure == nil {
			return nil, false
		}
		return map[string]any{"code": o.failure.Code, "message": o.failure.Message}, true
	}
	return nil, false
}

func (x *instance) In(id string) bool {
	n := x.p.nodes[id]
	return n != nil && x.cfg.In(n.n)
}

func (x *instance) Now() time.Time { return x.st.facts.Now }

func (x *instance) Env() *Env { return x.p.env }

// initialise gives a variable its first value: given, or what the definition says.
func (x *instance) initialise(d datum, given func(string) (any, bool), raise func(*chart.Event)) {
	v, ok := any(nil), false
	if given != nil {
		v, ok = given(d.ID)
	}
	var err error
	if !ok {
		v, err = x.eval(d.value)
	}
	if err == nil && (ok || d.Value != nil) {
		err = x.assign(setting{name: d.ID, loc: d.loc}, v)
	} else if err == nil && d.loc == nil {
		x.Set(d.ID, nil)
	}
	if err != nil {
		x.broken(raise, nil, "data "+d.ID, err)
	}
}
