package scxml

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
)

// markup is a piece of XML that an object of a session stands for.
type markup struct {
	text  string
	graph string // the name of the graph that it is, if it is a document
}

// markup makes an object of a piece of XML: its document.
func (s *session) markup(text, graph string) (goja.Value, error) {
	root, err := parseXML([]byte("<document>"+text+"</document>"), "", newBudget())
	if err != nil {
		return nil, fmt.Errorf("the text is not XML: %w", err)
	}
	o := s.node(root)
	s.xml[o] = &markup{text, graph}
	if len(root.kids) > 0 {
		s.put(o, "documentElement", s.node(root.kids[0]))
	}
	return o, nil
}

// node makes an object of an element, as far as the DOM goes here.
func (s *session) node(e *element) *goja.Object {
	o := s.vm.NewObject()
	s.xml[o] = &markup{text: string(e.outer)}
	method := func(name string, f func(goja.FunctionCall) goja.Value) { s.put(o, name, s.vm.ToValue(f)) }
	method("getElementsByTagName", func(c goja.FunctionCall) goja.Value {
		return s.list(descendants(e, c.Argument(0).String()))
	})
	method("getAttribute", func(c goja.FunctionCall) goja.Value {
		if v, given := e.attr(c.Argument(0).String()); given {
			return s.vm.ToValue(v)
		}
		return goja.Null()
	})
	method("toString", func(goja.FunctionCall) goja.Value { return s.vm.ToValue(s.xml[o].text) })
	s.put(o, "tagName", s.vm.ToValue(e.name.Local))
	s.put(o, "nodeName", s.vm.ToValue(e.name.Local))
	s.lazy(o, "textContent", func() goja.Value { return s.vm.ToValue(textOf(e)) })
	s.lazy(o, "childNodes", func() goja.Value { return s.list(e.kids) })
	return o
}

func (s *session) lazy(o *goja.Object, name string, get func() goja.Value) {
	getter := s.vm.ToValue(func(goja.FunctionCall) goja.Value { return get() })
	if err := o.DefineAccessorProperty(name, getter, nil, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
		panic(err)
	}
}

func (s *session) list(elements []*element) goja.Value {
	nodes := make([]any, len(elements))
	for i, e := range elements {
		nodes[i] = s.node(e)
	}
	return s.vm.NewArray(nodes...)
}

// descendants returns the elements below e of a name, or all with "*", in order.
func descendants(e *element, name string) []*element {
	var found []*element
	for _, k := range e.kids {
		if name == "*" || k.name.Local == name {
			found = append(found, k)
		}
		found = append(found, descendants(k, name)...)
	}
	return found
}

// textOf returns all the text in an element.
func textOf(e *element) string {
	var b bytes.Buffer
	d := xml.NewDecoder(bytes.NewReader(e.inner))
	d.Strict = false
	for {
		t, err := d.RawToken()
		if err != nil {
			return b.String()
		}
		if c, ok := t.(xml.CharData); ok {
			b.Write(c)
		}
	}
}

// isFunction reports whether an expression is a function and nothing more.
func isFunction(x ast.Expression) bool {
	switch x.(type) {
	case *ast.FunctionLiteral, *ast.ArrowFunctionLiteral:
		return true
	}
	return false
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
