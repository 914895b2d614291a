package scxml

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// processor is the type of the one event processor that there is.
const processor = "http://www.w3.org/TR/scxml/#SCXMLEventProcessor"

// eventFields are those of _event, in the order in which it has them. Each is there,
// and undefined if the event does not have it.
var eventFields = []string{"name", "type", "sendid", "origin", "origintype", "invokeid", "data"}

// system makes the variables that SCXML promises, and In.
func (s *session) system() {
	s.fixed("_event", func() goja.Value {
		raw, ok := s.vars.Local("event")
		m, isMap := raw.(map[string]any)
		if !ok || !isMap {
			return goja.Undefined()
		}
		if !s.event.loaded || !same(raw, s.event.raw) {
			s.event = seen{true, s.eventOf(m), raw}
		}
		return s.event.js
	})
	s.fixed("_sessionid", func() goja.Value { return s.vm.ToValue(s.text("session")) })
	s.fixed("_name", func() goja.Value { return s.vm.ToValue(s.text("name")) })
	var processors, platform goja.Value
	s.fixed("_ioprocessors", func() goja.Value {
		if processors == nil {
			one := func() goja.Value {
				return s.frozen(map[string]goja.Value{"location": s.vm.ToValue("#_scxml_" + s.text("session"))})
			}
			processors = s.frozen(map[string]goja.Value{"scxml": one(), processor: one()})
		}
		return processors
	})
	s.fixed("_x", func() goja.Value {
		if platform == nil {
			platform = s.frozen(nil)
		}
		return platform
	})
	in := s.vm.ToValue(func(c goja.FunctionCall) goja.Value { return s.vm.ToValue(s.vars.In(c.Argument(0).String())) })
	s.fixed("In", func() goja.Value { return in })
}

// text returns a local that is a text.
func (s *session) text(name string) string {
	v, _ := s.vars.Local(name)
	t, _ := v.(string)
	return t
}

// fixed makes a global variable that cannot be assigned to.
func (s *session) fixed(name string, get func() goja.Value) {
	set := func(goja.FunctionCall) goja.Value {
		panic(s.vm.NewTypeError(fmt.Sprintf("%s cannot be assigned to", name)))
	}
	err := s.vm.GlobalObject().DefineAccessorProperty(name, s.vm.ToValue(func(goja.FunctionCall) goja.Value { return get() }), s.vm.ToValue(set), goja.FLAG_FALSE, goja.FLAG_TRUE)
	if err != nil && s.err == nil {
		s.err = err
	}
}

// frozen makes an object of which nothing can be changed.
func (s *session) frozen(m map[string]goja.Value) goja.Value {
	o := s.vm.NewObject()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if err := o.DefineDataProperty(k, m[k], goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE); err != nil {
			panic(err)
		}
	}
	return o
}

func (s *session) eventOf(m map[string]any) goja.Value {
	o := s.vm.NewObject()
	for _, k := range eventFields {
		v := goja.Undefined()
		if raw := m[k]; raw != nil && (raw != "" || k == "name" || k == "data") {
			v = s.value(raw, false)
		}
		if err := o.DefineDataProperty(k, v, goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE); err != nil {
			panic(err)
		}
	}
	return o
}

// helpers makes what the loader writes into expressions.
func (s *session) helpers() {
	helper := func(name string, f func(goja.FunctionCall) goja.Value) {
		v := s.vm.ToValue(f)
		if err := s.vm.GlobalObject().DefineDataProperty(name, v, goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE); err != nil && s.err == nil {
			s.err = err
		}
	}
	helper("$fail", func(c goja.FunctionCall) goja.Value { panic(s.vm.NewTypeError(c.Argument(0).String())) })
	helper("$xml", func(c goja.FunctionCall) goja.Value {
		name := ""
		if len(c.Arguments) > 1 {
			name = c.Argument(1).String()
		}
		v, err := s.markup(c.Argument(0).String(), name)
		if err != nil {
			panic(s.vm.NewTypeError(err.Error()))
		}
		return v
	})
	helper("$graph", func(c goja.FunctionCall) goja.Value {
		v := c.Argument(0)
		if o, ok := v.(*goja.Object); ok && s.xml[o] != nil && s.xml[o].graph != "" {
			return s.vm.ToValue(s.xml[o].graph)
		}
		text := strings.TrimSpace(v.String())
		if name := c.Argument(1).ToObject(s.vm).Get(text); name != nil {
			return name
		}
		panic(s.vm.NewTypeError(fmt.Sprintf("%.80q is no document that was there as this one was loaded", text)))
	})
}
