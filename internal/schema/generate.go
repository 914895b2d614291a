package schema

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"
)

// Of is [For] of the type T.
func Of[T any]() (json.RawMessage, error) { return For(reflect.TypeFor[T]()) }

// For returns the JSON Schema of the JSON values that decode into t.
//
// A field of a struct is required unless it is a pointer or has omitempty or
// omitzero in its json tag; `jsonschema:"required"` makes it so in any case. A
// pointer takes null too. Fields that the struct does not have are not allowed.
// Everything is written in place; only types that contain themselves are under
// $defs.
//
// An error says which part of t has no JSON form, or which struct tag is wrong.
func For(t reflect.Type) (json.RawMessage, error) { return generate(t, taken) }

// ForResult returns the JSON Schema of what t encodes to. It differs from [For]
// in what Go's encoding does with nil: a nil slice, map or pointer that is not
// left out is null.
func ForResult(t reflect.Type) (json.RawMessage, error) { return generate(t, given) }

// A direction says whether values come in or go out.
type direction int

const (
	taken direction = iota // decoded
	given                  // encoded
)

func generate(t reflect.Type, dir direction) (s json.RawMessage, err error) {
	if t == nil {
		return nil, fmt.Errorf("schema: no type given")
	}
	// The generator panics on what it does not support, and so may a type's own
	// JSONSchema method.
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("schema: %s: %v", t, r)
		}
	}()
	g := &generator{dir: dir, names: map[reflect.Type]string{}}
	if err := g.survey(t, nil, map[reflect.Type]bool{}); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	root, err := g.schema(t)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if dir == given && nilable(t) {
		root = nullable(root)
	}
	if len(g.names) > 0 {
		if root.Definitions == nil {
			root.Definitions = jsonschema.Definitions{}
		}
		for t, name := range g.names {
			if root.Definitions[name], err = g.schema(t); err != nil {
				return nil, fmt.Errorf("schema: %w", err)
			}
		}
	}
	b, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("schema: %s: %w", t, err)
	}
	if err := Check(b); err != nil {
		return nil, fmt.Errorf("schema: %s: %w", t, err)
	}
	return b, nil
}

// A generator makes the schema of one type and of all that it holds.
type generator struct {
	dir   direction
	names map[reflect.Type]string // of the types that contain themselves
}

// schema returns the schema of t, in which other types that contain themselves
// are references.
func (g *generator) schema(t reflect.Type) (*jsonschema.Schema, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	r := &jsonschema.Reflector{
		Anonymous:      true,
		DoNotReference: true,
		Mapper:         g.wellKnown,
		Lookup: func(t reflect.Type) jsonschema.ID {
			if name, ok := g.names[t]; ok {
				return jsonschema.ID("#/$defs/" + name)
			}
			return jsonschema.EmptyID
		},
	}
	s := r.ReflectFromType(t)
	if s == jsonschema.TrueSchema || s == jsonschema.FalseSchema {
		c := *s
		s = &c
	}
	s.ID, s.Version = "", ""
	return s, g.finish(t, s)
}

// finish walks over t and its schema side by side and does what the reflector
// leaves undone.
func (g *generator) finish(t reflect.Type, s *jsonschema.Schema) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s == nil || s.Ref != "" || ownSchema(t) || t.Implements(schemaExtender) {
		return nil
	}
	if reflect.DeepEqual(s, &jsonschema.Schema{}) {
		s.Extras = map[string]any{} // is written as {}, which more providers take than true
	}
	if g.wellKnown(t) != nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return g.finishFields(t, s, s)
	case reflect.Slice, reflect.Array:
		if s.Items == nil {
			return nil
		}
		if err := g.finish(t.Elem(), s.Items); err != nil {
			return err
		}
		if nilable(t.Elem()) && (g.dir == given || t.Elem().Kind() == reflect.Pointer) {
			s.Items = nullable(s.Items)
		}
	case reflect.Map:
		return g.finishMap(t, s)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if s.Type == "integer" && s.Minimum == "" && s.ExclusiveMinimum == "" {
			s.Minimum = "0"
		}
	}
	return nil
}

func (g *generator) finishMap(t reflect.Type, s *jsonschema.Schema) error {
	elem := s.AdditionalProperties
	for pattern, p := range s.PatternProperties { // integer keys
		elem = p
		delete(s.PatternProperties, pattern)
	}
	if elem == nil || elem == jsonschema.FalseSchema {
		s.AdditionalProperties = nil
		return nil
	}
	if err := g.finish(t.Elem(), elem); err != nil {
		return err
	}
	if nilable(t.Elem()) && (g.dir == given || t.Elem().Kind() == reflect.Pointer) {
		elem = nullable(elem)
	}
	switch t.Key().Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.PatternProperties = map[string]*jsonschema.Schema{"^-?[0-9]+$": elem}
		s.AdditionalProperties = jsonschema.FalseSchema
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.PatternProperties = map[string]*jsonschema.Schema{"^[0-9]+$": elem}
		s.AdditionalProperties = jsonschema.FalseSchema
	default:
		s.AdditionalProperties = elem
	}
	return nil
}

// finishFields finishes the properties of s that are the fields of t, which is
// the type of s or is embedded in it.
func (g *generator) finishFields(t reflect.Type, s, root *jsonschema.Schema) error {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := parseTag(f)
		if tag.skip {
			continue
		}
		if tag.embedded {
			e := f.Type
			if e.Kind() == reflect.Pointer {
				e = e.Elem()
			}
			if err := g.finishFields(e, s, root); err != nil {
				return err
			}
			continue
		}
		if s.Properties == nil {
			continue
		}
		p, ok := s.Properties.Get(tag.name)
		if !ok {
			continue
		}
		p, err := g.finishField(t, f, tag, p)
		if err != nil {
			return err
		}
		s.Properties.Set(tag.name, p)
		if f.Type.Kind() == reflect.Pointer && !tag.required && (g.dir == taken || tag.optional) {
			s.Required = without(s.Required, tag.name)
		}
	}
	return nil
}

func (g *generator) finishField(t reflect.Type, f reflect.StructField, tag fieldTag, p *jsonschema.Schema) (*jsonschema.Schema, error) {
	inner := p
	if tag.nullable && len(p.OneOf) == 2 && p.OneOf[1].Type == "null" {
		inner = p.OneOf[0]
	}
	if err := checkTag(f, inner); err != nil {
		return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
	}
	if f.Type == durationType && inner.Type == "integer" && inner.Description == "" {
		inner.Description = "nanoseconds"
	}
	if err := g.finish(f.Type, inner); err != nil {
		return nil, err
	}
	if tag.nullable {
		return nullable(inner), nil
	}
	// A pointer takes null; what goes out is null where it is nil and not left out.
	null := f.Type.Kind() == reflect.Pointer
	if g.dir == given {
		null = nilable(f.Type) && !tag.optional
	}
	if null {
		return nullable(inner), nil
	}
	return inner, nil
}

// nullable returns s widened by null. A single type becomes a list of two,
// which is shorter than a choice and better understood.
func nullable(s *jsonschema.Schema) *jsonschema.Schema {
	if _, ok := s.Extras["type"]; ok || takesAnything(s) {
		return s
	}
	if s.Type == "" || s.Const != nil {
		n := &jsonschema.Schema{Description: s.Description, AnyOf: []*jsonschema.Schema{s, {Type: "null"}}}
		s.Description = ""
		return n
	}
	extras := map[string]any{"type": []string{s.Type, "null"}}
	for k, v := range s.Extras {
		extras[k] = v
	}
	s.Type, s.Extras = "", extras
	if len(s.Enum) > 0 {
		s.Enum = append(s.Enum, nil)
	}
	return s
}

func takesAnything(s *jsonschema.Schema) bool {
	return s.Type == "" && s.Ref == "" && s.Const == nil && len(s.OneOf)+len(s.AnyOf)+len(s.AllOf)+len(s.Enum) == 0
}

// nilable reports whether the encoding of a t may be null.
func nilable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return t != rawMessageType
	}
	return false
}

func without(list []string, s string) []string {
	var rest []string
	for _, x := range list {
		if x != s {
			rest = append(rest, x)
		}
	}
	return rest
}
