package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

var (
	timeType       = reflect.TypeFor[time.Time]()
	durationType   = reflect.TypeFor[time.Duration]()
	rawMessageType = reflect.TypeFor[json.RawMessage]()
	numberType     = reflect.TypeFor[json.Number]()
	bigIntType     = reflect.TypeFor[big.Int]()
	urlType        = reflect.TypeFor[url.URL]()

	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

	// The methods by which the reflector lets a type say what its schema is.
	schemaMaker    = reflect.TypeFor[interface{ JSONSchema() *jsonschema.Schema }]()
	schemaAlias    = reflect.TypeFor[interface{ JSONSchemaAlias() any }]()
	schemaExtender = reflect.TypeFor[interface{ JSONSchemaExtend(*jsonschema.Schema) }]()
)

// wellKnown returns a new schema of a type whose JSON form does not follow from
// its kind, and nil of any other. It is the reflector's Mapper.
func (g *generator) wellKnown(t reflect.Type) *jsonschema.Schema {
	if ownSchema(t) {
		return nil
	}
	switch t {
	case timeType:
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case durationType:
		return &jsonschema.Schema{Type: "integer", Description: "nanoseconds"}
	case numberType:
		return &jsonschema.Schema{Type: "number"}
	case bigIntType:
		return &jsonschema.Schema{Type: "integer"}
	case rawMessageType:
		return &jsonschema.Schema{Extras: map[string]any{}}
	}
	asJSON, asText := jsonUnmarshaler, textUnmarshaler
	if g.dir == given {
		asJSON, asText = jsonMarshaler, textMarshaler
	}
	switch p := reflect.PointerTo(t); {
	case t.Kind() == reflect.Interface:
		return nil
	case p.Implements(asJSON):
		return &jsonschema.Schema{Extras: map[string]any{}} // only the type knows
	case p.Implements(asText):
		return &jsonschema.Schema{Type: "string"}
	}
	return nil
}

// ownSchema reports whether t says itself what its schema is.
func ownSchema(t reflect.Type) bool { return t.Implements(schemaMaker) || t.Implements(schemaAlias) }

// survey walks over t and all that it holds. It names the types that contain
// themselves, and refuses what has no JSON form.
func (g *generator) survey(t reflect.Type, above []reflect.Type, seen map[reflect.Type]bool) error {
	for n := 0; t.Kind() == reflect.Pointer; n++ {
		if n == 100 {
			return fmt.Errorf("%s is a pointer to itself", t)
		}
		t = t.Elem()
	}
	if ownSchema(t) || g.wellKnown(t) != nil {
		return nil
	}
	if t.Name() != "" {
		if slices.Contains(above, t) {
			g.name(t)
			return nil
		}
		if seen[t] {
			return nil
		}
		seen[t] = true
	}
	above = append(above[:len(above):len(above)], t)
	switch t.Kind() {
	case reflect.Struct:
		if t == urlType {
			return fmt.Errorf("%s has no JSON form of its own: take a string", t)
		}
		for i := range t.NumField() {
			f := t.Field(i)
			tag := parseTag(f)
			if tag.skip {
				continue
			}
			if tag.embedded && (slices.Contains(above, f.Type) || f.Type.Kind() == reflect.Pointer && slices.Contains(above, f.Type.Elem())) {
				return fmt.Errorf("%s embeds itself", t)
			}
			if err := g.survey(f.Type, above, seen); err != nil {
				return fmt.Errorf("%s.%s: %w", t, f.Name, err)
			}
		}
	case reflect.Slice, reflect.Array:
		return g.survey(t.Elem(), above, seen)
	case reflect.Map:
		if err := checkKey(t.Key()); err != nil {
			return err
		}
		return g.survey(t.Elem(), above, seen)
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("%s has no JSON form", t)
	}
	return nil
}

func checkKey(t reflect.Type) error {
	switch t.Kind() {
	case reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	}
	if t.Implements(textMarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return nil
	}
	return fmt.Errorf("a map with keys of type %s has no JSON form: keys are strings or integers", t)
}

// name gives t a name under $defs that no other type has.
func (g *generator) name(t reflect.Type) {
	if _, ok := g.names[t]; ok {
		return
	}
	base := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return r
		}
		return '_'
	}, t.Name())
	name := base
	for n := 2; g.named(name); n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	g.names[t] = name
}

func (g *generator) named(name string) bool {
	for _, n := range g.names {
		if n == name {
			return true
		}
	}
	return false
}
