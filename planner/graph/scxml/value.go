package scxml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/dop251/goja"
)

// Values of Go stand for those of ECMAScript as JSON does. Two more kinds outlive a
// step: {"$js": "function…"} is a function, by its source, and {"$xml": "<a/>"} a
// piece of XML. An object that has such a key itself gets one more $ before it.

// The bounds of a value that is kept.
const (
	maxValueDepth = 200
	maxValueParts = 500_000
	maxValueText  = 8 << 20
)

var marks = regexp.MustCompile(`^\$+(js|xml)$`)

// value makes a value of the virtual machine. Functions are made only of variables:
// in data from outside the same is an object like others.
func (s *session) value(v any, functions bool) goja.Value {
	switch v := v.(type) {
	case nil:
		return goja.Null()
	case time.Time:
		d, err := s.vm.New(s.vm.Get("Date"), s.vm.ToValue(v.UnixMilli()))
		if err != nil {
			return goja.Undefined()
		}
		return d
	case time.Duration:
		return s.vm.ToValue(v.String())
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return s.vm.ToValue(i)
		}
		f, err := v.Float64()
		if err != nil {
			return s.vm.ToValue(v.String())
		}
		return s.vm.ToValue(f)
	case json.RawMessage:
		var any any
		d := json.NewDecoder(bytes.NewReader(v))
		d.UseNumber()
		if err := d.Decode(&any); err != nil {
			return goja.Undefined()
		}
		return s.value(any, functions)
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = s.value(item, functions)
		}
		return s.vm.NewArray(items...)
	case map[string]any:
		return s.object(v, functions)
	case []string:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = item
		}
		return s.vm.NewArray(items...)
	case map[string]string:
		o := s.vm.NewObject()
		for k, item := range v {
			s.put(o, k, s.vm.ToValue(item))
		}
		return o
	}
	return s.vm.ToValue(v)
}

func (s *session) object(m map[string]any, functions bool) goja.Value {
	if text, ok := m["$xml"].(string); ok {
		name, _ := m["graph"].(string)
		if v, err := s.markup(text, name); err == nil {
			return v
		}
	}
	if source, ok := m["$js"].(string); ok && functions && len(m) == 1 {
		if f, err := s.revive(source); err == nil {
			return f
		}
	}
	o := s.vm.NewObject()
	for _, k := range sortedKeys(m) {
		v := s.value(m[k], functions)
		if marks.MatchString(k) && len(k) > 1 && k[1] == '$' {
			k = k[1:]
		}
		s.put(o, k, v)
	}
	return o
}

func (s *session) put(o *goja.Object, key string, v goja.Value) {
	// Not Set, which would call the setter of __proto__.
	if err := o.DefineDataProperty(key, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
		panic(err)
	}
}

// revive makes a function of its source. To evaluate it does nothing else, since it
// is a function and nothing more.
func (s *session) revive(source string) (goja.Value, error) {
	x, p, err := parseExpression(source)
	if err != nil {
		return nil, err
	}
	if !isFunction(x) {
		return nil, errors.New("this is no function")
	}
	program, err := goja.CompileAST(p, false)
	if err != nil {
		return nil, err
	}
	return s.vm.RunProgram(program)
}

// export makes a value of Go. A date by itself is a time, and within others its text.
func (s *session) export(v goja.Value) (any, error) {
	if o, ok := v.(*goja.Object); ok && o.ClassName() == "Date" {
		if t, ok := o.Export().(time.Time); ok {
			return t.UTC(), nil
		}
		return nil, nil
	}
	x := exporter{s: s, parts: maxValueParts, text: maxValueText}
	return x.export(v, 0)
}

// hasFunctions reports whether a value is or holds a function.
func (s *session) hasFunctions(v goja.Value) bool {
	x := exporter{s: s, parts: maxValueParts, text: maxValueText}
	_, err := x.export(v, 0)
	return err != nil || x.functions
}

type exporter struct {
	s           *session
	parts, text int
	functions   bool
}

func (x *exporter) export(v goja.Value, depth int) (any, error) {
	if x.parts--; x.parts < 0 || depth > maxValueDepth {
		return nil, fmt.Errorf("the value cannot be kept: it refers to itself, or is deeper than %d or has more than %d parts", maxValueDepth, maxValueParts)
	}
	o, ok := v.(*goja.Object)
	if !ok {
		return x.scalar(v)
	}
	if m := x.s.xml[o]; m != nil {
		xml := map[string]any{"$xml": m.text}
		if m.graph != "" {
			xml["graph"] = m.graph
		}
		return xml, x.spend(len(m.text))
	}
	if _, function := goja.AssertFunction(o); function {
		x.functions = true
		source := o.String()
		return map[string]any{"$js": source}, x.spend(len(source))
	}
	switch o.ClassName() {
	case "Array":
		return x.array(o, depth)
	case "Date":
		t, ok := o.Export().(time.Time)
		if !ok {
			return nil, nil
		}
		return t.UTC().Format("2006-01-02T15:04:05.000Z"), nil
	case "String", "Number", "Boolean":
		return x.scalar(x.s.vm.ToValue(o.Export()))
	case "Error":
		return o.String(), nil
	}
	m := make(map[string]any)
	for _, k := range o.Keys() {
		item := o.Get(k)
		if item == nil || goja.IsUndefined(item) {
			continue
		}
		e, err := x.export(item, depth+1)
		if err != nil {
			return nil, err
		}
		if err := x.spend(len(k)); err != nil {
			return nil, err
		}
		if marks.MatchString(k) {
			k = "$" + k
		}
		m[k] = e
	}
	return m, nil
}

func (x *exporter) array(o *goja.Object, depth int) (any, error) {
	n := o.Get("length").ToInteger()
	if n > int64(x.parts) {
		return nil, fmt.Errorf("the value cannot be kept: it has a list of %d parts, and %d are the most", n, maxValueParts)
	}
	list := make([]any, n)
	for i := range list {
		item := o.Get(fmt.Sprint(i))
		if item == nil {
			item = goja.Undefined()
		}
		e, err := x.export(item, depth+1)
		if err != nil {
			return nil, err
		}
		list[i] = e
	}
	return list, nil
}

// scalar makes a value of Go of one that is no object. What JSON does not have is
// nil: undefined, and numbers that are none.
func (x *exporter) scalar(v goja.Value) (any, error) {
	if v == nil {
		return nil, nil
	}
	if _, symbol := v.(*goja.Symbol); symbol {
		return nil, errors.New("a symbol cannot be kept, and JSON has none like it")
	}
	switch g := v.Export().(type) {
	case nil, bool, int64:
		return g, nil
	case string:
		return g, x.spend(len(g))
	case float64:
		if math.IsNaN(g) || math.IsInf(g, 0) {
			return nil, nil
		}
		return g, nil
	default:
		return nil, fmt.Errorf("a value of the kind %T cannot be kept, and JSON has none like it", g)
	}
}

func (x *exporter) spend(text int) error {
	if x.text -= text; x.text < 0 {
		return fmt.Errorf("the value cannot be kept: it has more than %d bytes of text", maxValueText)
	}
	return nil
}

// equal reports whether two values are the same as JSON.
func equal(a, b any) bool {
	if same(a, b) {
		return true
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
