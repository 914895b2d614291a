package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// A shape is what CEL knows of a value before it is there: its type, and how what
// JSON has must be changed to be of that type.
type shape struct {
	typ    *types.Type
	fields map[string]*shape // of an object whose fields are known
	elem   *shape            // of a list's items, or a map's values
	fits   bool              // values must be changed: a number is a double, a timestamp a time
}

var (
	dynShape       = &shape{typ: types.DynType}
	boolShape      = &shape{typ: types.NewNullableType(types.BoolType)}
	intShape       = &shape{typ: types.NewNullableType(types.IntType)}
	numberShape    = &shape{typ: types.NewNullableType(types.DoubleType), fits: true}
	stringShape    = &shape{typ: types.NewNullableType(types.StringType)}
	timestampShape = &shape{typ: types.TimestampType, fits: true}
	durationShape  = &shape{typ: types.DurationType, fits: true}
)

func listShape(elem *shape) *shape {
	return &shape{typ: types.NewListType(elem.typ), elem: elem, fits: elem.fits}
}

func mapShape(elem *shape) *shape {
	return &shape{typ: types.NewMapType(types.StringType, elem.typ), elem: elem, fits: elem.fits}
}

// objectShape is that of an object with fields. Its name is shown in messages; no
// expression can have a name with @.
func objectShape(name string, fields map[string]*shape) *shape {
	s := &shape{typ: types.NewObjectType("@" + name), fields: fields}
	for _, f := range fields {
		s.fits = s.fits || f.fits
	}
	return s
}

// shapeOf returns the shape of a variable.
func shapeOf(d Datum) (*shape, error) {
	if d.Schema != nil {
		return schemaShape(d.ID, d.Schema)
	}
	switch d.Type {
	case "", "any":
		return dynShape, nil
	case "bool":
		return boolShape, nil
	case "int":
		return intShape, nil
	case "number":
		return numberShape, nil
	case "string":
		return stringShape, nil
	case "list":
		return listShape(dynShape), nil
	case "map":
		return mapShape(dynShape), nil
	case "timestamp":
		return timestampShape, nil
	case "duration":
		return durationShape, nil
	}
	return nil, fmt.Errorf("the variable %q has the type %q: expected any, bool, int, number, string, list, map, timestamp or duration", d.ID, d.Type)
}

// fit returns a value as an expression must see it. What is not of the shape is
// returned as it is: the expression's error then says what it does not take.
func (s *shape) fit(v any, adapter types.Adapter) any {
	if !s.fits || v == nil {
		return v
	}
	switch x := v.(type) {
	case int64:
		if s == numberShape {
			return float64(x)
		}
	case string:
		if s == timestampShape {
			if t, err := time.Parse(time.RFC3339, x); err == nil {
				return t
			}
		}
		if s == durationShape {
			if d, err := parseDuration(x); err == nil {
				return d
			}
		}
	case []any:
		if s.elem != nil {
			return types.NewDynamicList(fittingAdapter{adapter, s.elem}, x)
		}
	case map[string]any:
		switch {
		case s.fields != nil:
			return &fittedObject{types.NewStringInterfaceMap(adapter, x), x, s, adapter}
		case s.elem != nil:
			return types.NewStringInterfaceMap(fittingAdapter{adapter, s.elem}, x)
		}
	}
	return v
}

// fittingAdapter adapts the items of a list, or the values of a map, when they are asked for.
type fittingAdapter struct {
	types.Adapter
	elem *shape
}

func (f fittingAdapter) NativeToValue(v any) ref.Val {
	return f.Adapter.NativeToValue(f.elem.fit(v, f.Adapter))
}

// fittedObject adapts the fields of an object when they are asked for.
type fittedObject struct {
	traits.Mapper
	raw     map[string]any
	shape   *shape
	adapter types.Adapter
}

// Find implements [traits.Mapper].
func (o *fittedObject) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	f := o.shape.fields[string(name)]
	if !ok || f == nil || !f.fits {
		return o.Mapper.Find(key)
	}
	v, ok := o.raw[string(name)]
	if !ok {
		return nil, false
	}
	return o.adapter.NativeToValue(f.fit(v, o.adapter)), true
}

// Get implements [traits.Mapper].
func (o *fittedObject) Get(key ref.Val) ref.Val {
	v, ok := o.Find(key)
	if !ok {
		return types.NewErr("no such key: %v", key)
	}
	return v
}

// schemaShape returns the shape that a JSON Schema gives to the values that fit it.
// What it leaves open is dyn. Objects whose properties it lists have no others, unless
// it says more about them; that is stricter than JSON Schema, and finds misspellings.
func schemaShape(name string, schema json.RawMessage) (*shape, error) {
	v, err := decodeValue(schema)
	if err != nil {
		return nil, fmt.Errorf("the schema of %s: %w", name, err)
	}
	r := schemaReader{root: v, refs: map[string]*shape{}, names: map[string]bool{}}
	return r.read(name, v, 0), nil
}

// schemaReader makes shapes of the parts of one schema.
type schemaReader struct {
	root  any
	refs  map[string]*shape // by $ref; nil while it is being made
	names map[string]bool   // of objects
}

func (r *schemaReader) read(name string, schema any, depth int) *shape {
	m, ok := schema.(map[string]any)
	if !ok || depth > 20 {
		return dynShape
	}
	if ref, ok := m["$ref"].(string); ok {
		return r.follow(name, ref, depth)
	}
	if s := r.orNull(name, m, depth); s != nil {
		return s
	}
	switch kind, null := schemaType(m); kind {
	case "boolean":
		return boolShape
	case "integer":
		return intShape
	case "number":
		return numberShape
	case "string":
		return stringShape
	case "array":
		if !null {
			return r.array(name, m, depth)
		}
	case "object":
		return r.object(name, m, null, depth)
	}
	return dynShape
}

// schemaType returns the one type of a schema besides null, or "".
func schemaType(m map[string]any) (kind string, null bool) {
	switch t := m["type"].(type) {
	case string:
		return t, false
	case []any:
		var kinds []string
		for _, e := range t {
			if s, ok := e.(string); ok && s != "null" {
				kinds = append(kinds, s)
			}
		}
		null = len(kinds) < len(t)
		slices.Sort(kinds)
		switch kinds = slices.Compact(kinds); {
		case len(kinds) == 1:
			return kinds[0], null
		case slices.Equal(kinds, []string{"integer", "number"}):
			return "number", null
		}
		return "", null
	case nil:
		if _, ok := m["properties"].(map[string]any); ok {
			return "object", false
		}
	}
	return "", false
}

// orNull takes a choice of two of which one is null.
func (r *schemaReader) orNull(name string, m map[string]any, depth int) *shape {
	for _, word := range []string{"anyOf", "oneOf"} {
		ways, _ := m[word].([]any)
		if len(ways) != 2 || m["type"] != nil || m["properties"] != nil {
			continue
		}
		for i, w := range ways {
			if w, ok := w.(map[string]any); ok && w["type"] == "null" {
				s := r.read(name, ways[1-i], depth+1)
				if k := s.typ.Kind(); k == types.ListKind || k == types.MapKind {
					return dynShape
				}
				return s
			}
		}
	}
	return nil
}

func (r *schemaReader) array(name string, m map[string]any, depth int) *shape {
	if items, ok := m["items"]; ok && m["prefixItems"] == nil {
		return listShape(r.read(name+"[]", items, depth+1))
	}
	return listShape(dynShape)
}

func (r *schemaReader) object(name string, m map[string]any, null bool, depth int) *shape {
	for _, word := range []string{"allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas", "$dynamicRef"} {
		if m[word] != nil {
			return dynShape
		}
	}
	properties, _ := m["properties"].(map[string]any)
	others := m["additionalProperties"]
	switch open, isBool := others.(bool); {
	case len(properties) == 0 && others != nil && !isBool && !null:
		return mapShape(r.read(name+"[]", others, depth+1))
	case len(properties) == 0 || others != nil && !isBool || open:
		return dynShape
	}
	fields := make(map[string]*shape, len(properties))
	for _, k := range slices.Sorted(maps.Keys(properties)) { // in order, for the names of what has several
		fields[k] = r.read(name+"."+k, properties[k], depth+1)
	}
	for r.names[name] { // a property's name may have a dot
		name += "'"
	}
	r.names[name] = true
	return objectShape(name, fields)
}

// follow takes a reference within the schema. One that leads to itself is dyn there.
func (r *schemaReader) follow(name, ref string, depth int) *shape {
	if s, ok := r.refs[ref]; ok {
		if s == nil {
			return dynShape
		}
		return s
	}
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || pointer != "" && pointer[0] != '/' {
		return dynShape
	}
	at := r.root
	for _, step := range strings.Split(pointer, "/")[1:] {
		m, ok := at.(map[string]any)
		if !ok {
			return dynShape
		}
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	r.refs[ref] = nil
	s := r.read(name, at, depth+1)
	r.refs[ref] = s
	return s
}
