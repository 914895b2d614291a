package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// A fieldTag is what the tags of a struct field say of its place in the JSON.
type fieldTag struct {
	name     string
	skip     bool // not part of the JSON
	embedded bool // its fields stand in for it
	optional bool // left out when empty
	required bool // by `jsonschema:"required"`
	nullable bool // by `jsonschema:"nullable"`
}

func parseTag(f reflect.StructField) fieldTag {
	opts := strings.Split(f.Tag.Get("json"), ",")
	words := splitTag(f.Tag.Get("jsonschema"))
	tag := fieldTag{name: f.Name}
	if opts[0] == "-" || slices.Contains(words, "-") {
		tag.skip = true
		return tag
	}
	if opts[0] != "" {
		tag.name = opts[0]
	}
	elem := f.Type
	if elem.Kind() == reflect.Pointer {
		elem = elem.Elem()
	}
	tag.embedded = f.Anonymous && opts[0] == "" && elem.Kind() == reflect.Struct
	tag.skip = !f.IsExported() && !tag.embedded
	tag.optional = slices.Contains(opts[1:], "omitempty") || slices.Contains(opts[1:], "omitzero")
	tag.required = slices.Contains(words, "required")
	tag.nullable = slices.Contains(words, "nullable")
	return tag
}

// The keywords that a jsonschema tag may have, by the type of the field; those
// of "" fit every type.
var keywords = map[string][]string{
	"": {"title", "description", "type", "anchor", "oneof_required", "anyof_required",
		"oneof_ref", "anyof_ref", "oneof_type", "anyof_type"},
	"string":  {"minLength", "maxLength", "pattern", "format", "readOnly", "writeOnly", "default", "example", "enum"},
	"number":  {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "default", "example", "enum"},
	"integer": {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "default", "example", "enum"},
	"array":   {"minItems", "maxItems", "uniqueItems", "default", "format", "pattern"},
	"boolean": {"default"},
}

// Keywords whose value is a number.
var numeric = []string{"minLength", "maxLength", "minItems", "maxItems", "multipleOf",
	"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}

// checkTag refuses a keyword that the reflector would pass over in silence: a
// bound that does not hold is worse than none.
func checkTag(f reflect.StructField, s *jsonschema.Schema) error {
	raw := f.Tag.Get("jsonschema")
	for _, word := range splitTag(raw) {
		key, value, ok := strings.Cut(word, "=")
		switch {
		case word == "" || word == "required" || word == "nullable":
			continue
		case !ok:
			return fmt.Errorf("`jsonschema:%q`: %q is not a keyword: a comma within a text is written \\\\, – or give the text in a jsonschema_description tag", raw, word)
		case !known(key, s):
			return fmt.Errorf("`jsonschema:%q`: the keyword %q does not fit a field of JSON type %q", raw, key, s.Type)
		case slices.Contains(numeric, key) && !isNumber(value):
			return fmt.Errorf("`jsonschema:%q`: %s must be a number, got %q", raw, key, value)
		case (s.Type == "number" || s.Type == "integer") && slices.Contains([]string{"default", "example", "enum"}, key) && !isNumber(value):
			return fmt.Errorf("`jsonschema:%q`: %s must be a number, got %q", raw, key, value)
		}
	}
	return nil
}

func known(key string, s *jsonschema.Schema) bool {
	if slices.Contains(keywords[""], key) || slices.Contains(keywords[s.Type], key) {
		return true
	}
	return s.Type == "array" && s.Items != nil && s.Items.Type != "array" && slices.Contains(keywords[s.Items.Type], key)
}

func isNumber(s string) bool {
	if strings.TrimSpace(s) != s || !json.Valid([]byte(s)) {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// splitTag splits at commas that have no backslash before them, as the
// reflector does.
func splitTag(tag string) []string {
	var words []string
	var b strings.Builder
	for i := 0; i < len(tag); i++ {
		switch {
		case tag[i] == '\\' && i+1 < len(tag) && tag[i+1] == ',':
			b.WriteByte(',')
			i++
		case tag[i] == ',':
			words = append(words, b.String())
			b.Reset()
		default:
			b.WriteByte(tag[i])
		}
	}
	return append(words, b.String())
}
