package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// field is one field of a JSON object.
type field struct {
	name  string
	value json.RawMessage
}

// fieldsOf returns the fields of a JSON object in their order; ok is false for
// anything else.
func fieldsOf(v json.RawMessage) (fields []field, ok bool) {
	d := json.NewDecoder(bytes.NewReader(v))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var f field
		f.name, _ = name.(string) // an object's keys are strings
		if d.Decode(&f.value) != nil {
			return nil, false
		}
		fields = append(fields, f)
	}
	return fields, true
}

// brief shows a JSON value on one line: the text of a string, the fields of an
// object as name=value, and anything else as JSON.
func brief(v json.RawMessage) string {
	fields, ok := fieldsOf(v)
	if !ok {
		return cleanLine(agent.PlainText(compact(v)))
	}
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(cleanLine(f.name) + "=" + cleanLine(string(compact(f.value))))
	}
	return b.String()
}

// compact returns v without white space between its tokens, and v itself if it
// is not JSON.
func compact(v json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return v
	}
	return b.Bytes()
}

// typable returns a JSON value as it can stand in a line that is edited: characters
// that would steer the terminal, which can only be in its strings, are escaped.
func typable(v json.RawMessage) string {
	var b strings.Builder
	for _, r := range string(compact(v)) {
		if steers(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
