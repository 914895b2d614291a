package graph

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/fermata-run/fermata/internal/schema"
)

// Parse reads a definition from YAML or JSON. It takes the form that [Schema]
// describes, and nothing else: an unknown field, a wrong type, a field that is
// given twice, a second document, a merge key, a number that JSON does not have are
// refused, and so is a text of more than 1 MiB. The error is then an [*Invalid] with
// all that is wrong, and on which line. What the definition means is not looked at;
// [Check] and [New] do that.
//
// A text may say some things in a shorter way than Go:
//
//	to: next              for to: [next]; so may on
//	final: true           for final: done
//	initial: first        for initial: {to: [first]}
//	for: group:boss       for for: [group:boss]; so may not
//
// In values integers are int64, other numbers float64. Times are text. The words on,
// off, yes and no are text, too.
func Parse(data []byte) (*Definition, error) {
	if err := readable(data); err != nil {
		return nil, &Invalid{Problems: []Problem{*err}}
	}
	d := &Definition{}
	t, problems := readTree(data)
	if t != nil {
		f := &filler{notes{problems: problems}}
		f.fill(reflect.ValueOf(d).Elem(), t, "")
		problems = f.problems
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &Invalid{Graph: d.Graph, Problems: atMost(problems)}
	}
	return d, nil
}

func readable(data []byte) *Problem {
	switch {
	case len(data) > maxText:
		return &Problem{Rule: "size", Message: fmt.Sprintf("the text has %d bytes: at most %d are taken", len(data), maxText)}
	case !utf8.Valid(data):
		return &Problem{Rule: "syntax", Message: "the text is not UTF-8: save it as that"}
	}
	return nil
}

// ParseFile reads a definition from a file, as [Parse] does.
func ParseFile(path string) (*Definition, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	d, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// Locate gives problems the lines of the text that the definition was read from, as
// far as it can be read.
func Locate(data []byte, problems []Problem) {
	if readable(data) != nil {
		return
	}
	t, _ := readTree(data)
	if t == nil {
		return
	}
	for i := range problems {
		if p := &problems[i]; p.Line == 0 {
			_, p.Line = t.find(p.Path)
		}
	}
}

// filler puts a tree into Go values, and notes all that does not fit.
type filler struct{ notes }

func (f *filler) expected(t *tree, path, what string) {
	got := kindNames[t.kind]
	switch t.kind {
	case isBool, isNumber:
		got += " " + shorten(t.word)
		if what == "text" {
			what, got = "text", got+": put it in quotes"
		}
	case isWords:
		got += " " + strconv.Quote(shorten(t.word))
	case isNull:
		got += ": leave the field out, or say what it is"
	}
	f.bad(t.line, path, "type", "expected %s, got %s", what, got)
}

// fill puts t into v, which is settable.
func (f *filler) fill(v reflect.Value, t *tree, path string) {
	switch v.Interface().(type) {
	case json.RawMessage:
		if t.kind != isNull {
			v.SetBytes(t.json(nil))
		}
		return
	}
	switch v.Kind() {
	case reflect.Interface: // any
		if x := t.value(); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		f.fill(p.Elem(), t, path)
		v.Set(p)
	case reflect.Struct:
		f.object(v, t, path)
	case reflect.Slice:
		f.list(v, t, path)
	case reflect.Map:
		f.entries(v, t, path)
	case reflect.String:
		if t.kind != isWords {
			f.expected(t, path, "text")
			return
		}
		v.SetString(t.word)
	case reflect.Bool:
		if t.kind != isBool {
			f.expected(t, path, "true or false")
			return
		}
		v.SetBool(t.word == "true")
	case reflect.Int:
		n, err := strconv.Atoi(t.word)
		if t.kind != isNumber || err != nil {
			f.expected(t, path, "an integer")
			return
		}
		v.SetInt(int64(n))
	}
}

func (f *filler) object(v reflect.Value, t *tree, path string) {
	if t.kind != isMapping {
		f.expected(t, path, "an object with "+some(fieldNames(v.Type())))
		return
	}
	for i, k := range t.keys {
		p := join(path, k.name)
		field, ok := fieldOf(v, k.name)
		if !ok {
			f.unknown(v.Type(), k, p)
			continue
		}
		f.fill(field, shorthand(v.Type(), k.name, t.kids[i]), p)
	}
}

func (f *filler) unknown(t reflect.Type, k key, path string) {
	if f.full() {
		return // what may be meant takes a while to find
	}
	known := fieldNames(t)
	hint := "known are " + some(known)
	if n := schema.Nearest(k.name, known); n != "" {
		hint = "did you mean " + n + "?"
	}
	f.bad(k.line, path, "unknown", "there is no field %q here: %s", shorten(k.name), hint)
}

// shorthand returns the long form of what a text says in a short way.
func shorthand(t reflect.Type, field string, v *tree) *tree {
	wrap := func(kind kind, keys ...key) *tree {
		return &tree{kind: kind, keys: keys, kids: []*tree{v}, line: v.line}
	}
	switch {
	case (field == "to" || field == "on") && v.kind == isWords && (t == reflect.TypeFor[Edge]() || t == reflect.TypeFor[Retry]()):
		return wrap(isSequence)
	case (field == "for" || field == "not") && v.kind == isWords && (t == reflect.TypeFor[Ask]() || t == reflect.TypeFor[Escalation]()):
		return wrap(isSequence)
	case field == "final" && v.kind == isBool && v.word == "true":
		return &tree{kind: isWords, word: "done", line: v.line}
	case field == "initial" && v.kind == isWords:
		v = wrap(isSequence)
		return wrap(isMapping, key{"to", v.line})
	}
	return v
}

func (f *filler) list(v reflect.Value, t *tree, path string) {
	if t.kind == isNull {
		return // an empty list, as YAML has it when nothing is below a name
	}
	if t.kind != isSequence {
		f.expected(t, path, "a list")
		return
	}
	list := reflect.MakeSlice(v.Type(), len(t.kids), len(t.kids))
	for i, k := range t.kids {
		f.fill(list.Index(i), k, at(path, i))
	}
	v.Set(list)
}

func (f *filler) entries(v reflect.Value, t *tree, path string) {
	if t.kind == isNull {
		return
	}
	if t.kind != isMapping {
		f.expected(t, path, "an object")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(t.kids)))
	for i, k := range t.keys {
		e := reflect.New(v.Type().Elem()).Elem()
		f.fill(e, t.kids[i], join(path, k.name))
		v.SetMapIndex(reflect.ValueOf(k.name), e)
	}
}

// fieldOf returns the field that a JSON name stands for.
func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	i := slices.Index(fieldNames(v.Type()), name)
	if i < 0 {
		return reflect.Value{}, false
	}
	return v.Field(i), true // those without a name come last
}

// fieldNames returns the JSON names of a struct's fields, in their order.
func fieldNames(t reflect.Type) []string {
	if names, ok := namesOf.Load(t); ok {
		return names.([]string)
	}
	var names []string
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	namesOf.Store(t, names)
	return names
}

var namesOf sync.Map // of reflect.Type: []string

// some lists names, not too many.
func some(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
