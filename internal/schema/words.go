package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// text says in one line what is wrong: what was expected and what came.
func (c *compiled) text(f finding, doc any) string {
	got := describe(valueAt(doc, f.at))
	switch k := f.err.ErrorKind.(type) {
	case *kind.Required:
		return "missing required field " + quote(f.name)
	case *kind.AdditionalProperties:
		return c.unknownField(f)
	case *kind.Type:
		return fmt.Sprintf("expected %s, got %s", types(k.Want), got)
	case *kind.Enum:
		return enumText(k, got)
	case *kind.Const:
		return fmt.Sprintf("expected %s, got %s", literal(k.Want), got)
	case *kind.Format:
		return fmt.Sprintf("expected %s, got %s", format(k.Want), got)
	case *kind.AnyOf:
		return c.choiceText(f.err, doc, got)
	case *kind.OneOf:
		if len(k.Subschemas) == 2 {
			return fmt.Sprintf("fits two forms at once (numbers %d and %d), but must fit exactly one", k.Subschemas[0]+1, k.Subschemas[1]+1)
		}
		return c.choiceText(f.err, doc, got)
	case *kind.Not:
		return "is of a form that is not allowed, got " + got
	case *kind.FalseSchema:
		return "is not allowed here, got " + got
	case *kind.PropertyNames:
		return "the field name " + quote(k.Property) + " is not allowed: " + c.causes(f.err, k.Property)
	}
	if s := boundText(f.err.ErrorKind, got); s != "" {
		return s
	}
	return "does not fit the schema, got " + got
}

// boundText is text for the kinds that are about size.
func boundText(k jsonschema.ErrorKind, got string) string {
	switch k := k.(type) {
	case *kind.Minimum:
		return fmt.Sprintf("must be ≥ %s, got %s", rat(k.Want), rat(k.Got))
	case *kind.Maximum:
		return fmt.Sprintf("must be ≤ %s, got %s", rat(k.Want), rat(k.Got))
	case *kind.ExclusiveMinimum:
		return fmt.Sprintf("must be > %s, got %s", rat(k.Want), rat(k.Got))
	case *kind.ExclusiveMaximum:
		return fmt.Sprintf("must be < %s, got %s", rat(k.Want), rat(k.Got))
	case *kind.MultipleOf:
		return fmt.Sprintf("must be a multiple of %s, got %s", rat(k.Want), rat(k.Got))
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %s, got %d", count(k.Want, "character"), k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %s, got %d", count(k.Want, "character"), k.Got)
	case *kind.Pattern:
		return fmt.Sprintf("must match the pattern %s, got %s", Cut(k.Want), got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %s, got %d", count(k.Want, "item"), k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %s, got %d", count(k.Want, "item"), k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("all items must differ, but [%d] and [%d] are the same", k.Duplicates[0], k.Duplicates[1])
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %s too many", count(k.Count, "item"))
	case *kind.Contains:
		return "no item is of the form that one must have"
	case *kind.MinContains:
		return fmt.Sprintf("at least %s must be of a certain form, got %d", count(k.Want, "item"), len(k.Got))
	case *kind.MaxContains:
		return fmt.Sprintf("at most %s may be of a certain form, got %d", count(k.Want, "item"), len(k.Got))
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %s, got %d", count(k.Want, "field"), k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %s, got %d", count(k.Want, "field"), k.Got)
	case *kind.Dependency:
		return fmt.Sprintf("with %s given, %s must be given too", quote(k.Prop), quotes(k.Missing))
	case *kind.DependentRequired:
		return fmt.Sprintf("with %s given, %s must be given too", quote(k.Prop), quotes(k.Missing))
	case *kind.RefCycle:
		return "cannot be checked: the schema refers to itself without end"
	}
	return ""
}

func (c *compiled) unknownField(f finding) string {
	s := "unknown field " + quote(f.name)
	known := c.fields(f.err.SchemaURL)
	if n := Nearest(f.name, known); n != "" {
		return s + " – did you mean " + quote(n) + "?"
	}
	switch {
	case len(known) == 0:
		return s
	case len(known) > 20:
		return s + ", known are " + quotes(known[:20]) + ", …"
	}
	return s + ", known are " + quotes(known)
}

func enumText(k *kind.Enum, got string) string {
	const most = 20
	var words, strs []string
	for i, w := range k.Want {
		if s, ok := w.(string); ok {
			strs = append(strs, s)
		}
		switch {
		case i < most:
			words = append(words, literal(w))
		case i == most:
			words = append(words, fmt.Sprintf("… (%d in all)", len(k.Want)))
		}
	}
	text := fmt.Sprintf("expected one of %s, got %s", strings.Join(words, ", "), got)
	if len(words) == 1 {
		text = fmt.Sprintf("expected %s, got %s", words[0], got)
	}
	if s, ok := k.Got.(string); ok {
		if n := Nearest(s, strs); n != "" {
			text += " – did you mean " + quote(n) + "?"
		}
	}
	return text
}

// choiceText is text for a value that fits none of several forms.
func (c *compiled) choiceText(e *jsonschema.ValidationError, doc any, got string) string {
	var want []string
	for _, b := range e.Causes {
		k, ok := b.ErrorKind.(*kind.Type)
		if !ok || len(b.InstanceLocation) != len(e.InstanceLocation) {
			want = nil
			break
		}
		want = append(want, k.Want...)
	}
	if len(want) > 0 {
		return fmt.Sprintf("expected %s, got %s", types(want), got)
	}
	const most = 4
	var ways []string
	for i, b := range e.Causes {
		if i == most {
			ways = append(ways, "…")
			break
		}
		ways = append(ways, c.causes(b, doc))
	}
	return fmt.Sprintf("fits none of the %d forms that are allowed: either %s", len(e.Causes), strings.Join(ways, ", or "))
}

// causes says in brief what is wrong under e.
func (c *compiled) causes(e *jsonschema.ValidationError, doc any) string {
	var found []finding
	if _, ok := e.ErrorKind.(*kind.PropertyNames); ok {
		for _, b := range e.Causes {
			found = collect(found, b)
		}
	} else {
		found = collect(nil, e)
	}
	if len(found) == 0 {
		return "it has another form"
	}
	f := found[0]
	for _, g := range found[1:] {
		if compareFindings(g, f) < 0 {
			f = g
		}
	}
	if e == f.err { // a choice within the choice
		switch e.ErrorKind.(type) {
		case *kind.AnyOf, *kind.OneOf:
			return "it has one of several other forms"
		}
	}
	return Problem{Path: path(f.at), Text: c.text(f, doc)}.String()
}

// types names JSON types with their article.
func types(names []string) string {
	var words []string
	for _, n := range names {
		switch n {
		case "integer", "array", "object":
			n = "an " + n
		case "null":
		default:
			n = "a " + n
		}
		words = append(words, n)
	}
	return strings.Join(words, " or ")
}

// Formats, as a reader understands them.
var formats = map[string]string{
	"date-time": "a date and time such as 2006-01-02T15:04:05Z",
	"date":      "a date such as 2006-01-02",
	"time":      "a time such as 15:04:05Z",
	"duration":  "a duration such as P1DT2H",
	"email":     "an email address",
	"hostname":  "a host name",
	"ipv4":      "an IPv4 address",
	"ipv6":      "an IPv6 address",
	"uri":       "a URI such as https://example.com/a",
	"uuid":      "a UUID such as 123e4567-e89b-12d3-a456-426614174000",
	"regex":     "a regular expression",
}

func format(name string) string {
	if s, ok := formats[name]; ok {
		return s
	}
	return "a text of the format " + quote(name)
}

// describe says what a value is, cut short.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean " + strconv.FormatBool(v)
	case json.Number:
		return "number " + Cut(string(v))
	case string:
		return "string " + quote(v)
	case []any:
		if len(v) == 0 {
			return "an empty array"
		}
		return "an array of " + count(len(v), "item")
	case map[string]any:
		if len(v) == 0 {
			return "an empty object"
		}
		return "an object"
	}
	return fmt.Sprintf("a %T", v) // cannot happen: decode makes no other
}

// literal writes a value as JSON, cut short.
func literal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return describe(v)
	}
	return Cut(string(b))
}

func rat(r *big.Rat) string {
	if r == nil {
		return "a number out of range"
	}
	if r.IsInt() {
		return Cut(r.Num().String())
	}
	f, exact := r.Float64()
	if exact || len(r.RatString()) > 40 {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return strings.TrimRight(r.FloatString(20), "0")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func quotes(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return strings.Join(quoted, ", ")
}

// quote quotes s in one line, cut short.
func quote(s string) string { return strconv.Quote(Cut(s)) }

// Cut shortens s to a length that a message can bear.
func Cut(s string) string {
	const most = 60 // bytes
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
