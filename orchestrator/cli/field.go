package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
)

// A formField is one field of a form, as its schema describes it.
type formField struct {
	name     string
	title    string
	about    string
	types    []string          // of JSON; nil any
	item     string            // of an array: the type of its items, if they have one
	within   []string          // of an object, or of an array's items: the names of its own fields
	choices  []json.RawMessage // nil: not one of a few
	preset   json.RawMessage   // the default; null where a value is required, and may be that
	form     string            // the format, such as date
	required bool
	holder   json.RawMessage // a schema of an object with this field alone
}

// subschema is what of a schema a form looks at.
type subschema struct {
	Ref         string            `json:"$ref"`
	Type        json.RawMessage   `json:"type"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Enum        []json.RawMessage `json:"enum"`
	Const       json.RawMessage   `json:"const"`
	Default     json.RawMessage   `json:"default"`
	Format      string            `json:"format"`
	Items       json.RawMessage   `json:"items"`

	Properties json.RawMessage `json:"properties"`
	Required   []string        `json:"required"`
	Defs       json.RawMessage `json:"$defs"`
	OldDefs    json.RawMessage `json:"definitions"`
}

// formFields returns the fields of a form's schema, in its order.
func formFields(whole json.RawMessage) ([]formField, error) {
	var s subschema
	if err := json.Unmarshal(whole, &s); err != nil {
		return nil, fmt.Errorf("the form's schema cannot be read: %w", err)
	}
	properties, ok := fieldsOf(s.Properties)
	if !ok || len(properties) == 0 {
		return nil, errors.New("the form's schema names no fields; answer with JSON")
	}
	var out []formField
	for _, p := range properties {
		f, err := readField(&s, p)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// readField reads one property of a schema.
func readField(whole *subschema, p field) (formField, error) {
	sub := resolve(whole, p.value)
	f := formField{
		name: p.name, title: sub.Title, about: sub.Description, preset: sub.Default, form: sub.Format,
		types: typesOf(sub.Type), choices: sub.Enum, required: slices.Contains(whole.Required, p.name),
	}
	if len(f.preset) == 0 && f.required && slices.Contains(f.types, "null") {
		f.preset = json.RawMessage("null")
	}
	if len(sub.Const) > 0 {
		f.choices = []json.RawMessage{sub.Const}
	}
	items := resolve(whole, sub.Items)
	if types := typesOf(items.Type); len(types) == 1 {
		f.item = types[0]
	}
	for _, properties := range []json.RawMessage{sub.Properties, items.Properties} {
		own, _ := fieldsOf(properties)
		for _, x := range own {
			f.within = append(f.within, cleanLine(x.name))
		}
	}
	holder := map[string]any{"type": "object", "properties": map[string]json.RawMessage{p.name: p.value}, "required": []string{p.name}}
	if len(whole.Defs) > 0 {
		holder["$defs"] = whole.Defs
	}
	if len(whole.OldDefs) > 0 {
		holder["definitions"] = whole.OldDefs
	}
	var err error
	if f.holder, err = json.Marshal(holder); err != nil {
		return f, fmt.Errorf("the schema of the field %q cannot be read: %w", p.name, err)
	}
	return f, nil
}

// resolve reads a schema, or the part of the whole that it refers to. What it says
// beside that goes before.
func resolve(whole *subschema, raw json.RawMessage) (s subschema) {
	if json.Unmarshal(raw, &s) != nil {
		return s // true, false or nothing: any value, as far as a form can tell
	}
	for _, defs := range []struct {
		under string
		in    json.RawMessage
	}{{"#/$defs/", whole.Defs}, {"#/definitions/", whole.OldDefs}} {
		name, ok := strings.CutPrefix(s.Ref, defs.under)
		var all map[string]json.RawMessage
		if !ok || json.Unmarshal(defs.in, &all) != nil || all[name] == nil {
			continue
		}
		var meant subschema
		if json.Unmarshal(all[name], &meant) == nil && json.Unmarshal(raw, &meant) == nil {
			return meant
		}
	}
	return s
}

// typesOf reads a schema's type, which is one or several.
func typesOf(raw json.RawMessage) (types []string) {
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{one}
	}
	if json.Unmarshal(raw, &types) != nil {
		return nil
	}
	return types
}

// mayBeEmpty reports whether a value is required, and null is what it is without one.
func (f *formField) mayBeEmpty() bool { return f.required && string(f.preset) == "null" }

// takes reports whether the field takes values of a type.
func (f *formField) takes(kind string) bool { return f.types == nil || slices.Contains(f.types, kind) }

// kind says in a word or two what is to be put there.
func (f *formField) kind() string {
	var words []string
	for _, t := range f.types {
		switch {
		case t == "null":
			continue
		case t == "string" && f.form != "":
			t = f.form
		case t == "string":
			t = "text"
		case t == "integer":
			t = "whole number"
		case t == "boolean":
			t = "yes or no"
		case t == "array" && (f.item == "string" || f.item == "integer" || f.item == "number"):
			t = "list, with commas between"
		case t == "array" && len(f.within) > 0:
			t = "list of objects with " + joined(f.within, "and") + ", as JSON"
		case t == "array":
			t = "list, as JSON"
		case t == "object" && len(f.within) > 0:
			t = "object with " + joined(f.within, "and") + ", as JSON"
		case t == "object":
			t = "object, as JSON"
		}
		words = append(words, t)
	}
	switch {
	case len(f.choices) > 0:
		return "one of these"
	case len(words) == 0:
		return "any value"
	}
	return joined(words, "or")
}

// value reads what a person has typed as a value of the field. The error says what
// the field wants.
func (f *formField) value(line string) (json.RawMessage, error) {
	v := f.read(strings.TrimSpace(line))
	held, err := json.Marshal(map[string]json.RawMessage{f.name: v})
	if err != nil {
		return nil, fmt.Errorf("%s: that cannot be read: %w", f.name, err)
	}
	if err = schema.Validate(f.holder, held); err != nil && slices.Equal(f.types, []string{"boolean"}) && len(f.choices) == 0 {
		return nil, fmt.Errorf("%s: type yes or no, and not %q", cleanLine(f.name), fit(cleanLine(line), 60))
	}
	return v, err
}

// read turns a line into the JSON value that it most likely means.
func (f *formField) read(line string) json.RawMessage {
	if len(f.choices) > 0 {
		return f.chosen(line)
	}
	isJSON := json.Valid([]byte(line))
	if truth, ok := yesNo(line); ok && len(f.types) > 0 && f.takes("boolean") && !f.takes("string") {
		return truth
	}
	if f.takes("array") && f.types != nil && !(isJSON && strings.HasPrefix(line, "[")) {
		return f.list(line)
	}
	if isJSON && (!f.takes("string") || f.types == nil && !strings.HasPrefix(line, `"`)) {
		return json.RawMessage(line)
	}
	return agent.JSONText(line)
}

// chosen returns the choice that a line names: by its text, by that in other letters,
// or by its number.
func (f *formField) chosen(line string) json.RawMessage {
	for _, c := range f.choices {
		if agent.PlainText(c) == line || string(compact(c)) == line {
			return c
		}
	}
	for _, c := range f.choices {
		if strings.EqualFold(agent.PlainText(c), line) {
			return c
		}
	}
	if n, err := strconv.Atoi(line); err == nil && n >= 1 && n <= len(f.choices) {
		return f.choices[n-1]
	}
	return agent.JSONText(line)
}

// list reads items with commas between.
func (f *formField) list(line string) json.RawMessage {
	item := formField{types: []string{"string"}}
	if f.item != "" {
		item.types = []string{f.item}
	}
	var items [][]byte
	for _, s := range strings.Split(line, ",") {
		if s = strings.TrimSpace(s); s != "" {
			items = append(items, item.read(s))
		}
	}
	return append(append(json.RawMessage{'['}, bytes.Join(items, []byte{','})...), ']')
}

// yesNo reads an answer to a yes-or-no question.
func yesNo(line string) (json.RawMessage, bool) {
	switch strings.ToLower(line) {
	case "y", "yes", "true":
		return json.RawMessage("true"), true
	case "n", "no", "false":
		return json.RawMessage("false"), true
	}
	return nil, false
}

// plainValue shows a value of the field to a person.
func (f *formField) plainValue(v json.RawMessage) string {
	switch string(v) {
	case "true":
		return "yes"
	case "false":
		return "no"
	}
	var items []json.RawMessage
	if json.Unmarshal(v, &items) != nil || f.item == "" {
		return cleanLine(agent.PlainText(compact(v)))
	}
	var words []string
	for _, item := range items {
		words = append(words, f.plainValue(item))
	}
	return strings.Join(words, ", ")
}

// wants says what is to be typed.
func (f *formField) wants() string {
	if len(f.choices) > 0 {
		return "type a number or the words of one of these"
	}
	return "type " + f.kind()
}

// inColumn is the name of a field, as wide as the names of all.
func inColumn(fields []formField, i int) string {
	longest := 0
	for _, x := range fields {
		longest = max(longest, min(cellsOf(cleanLine(x.name)), 24))
	}
	name := cleanLine(fields[i].name)
	return "    " + name + strings.Repeat(" ", max(longest-cellsOf(name), 0)+2)
}
