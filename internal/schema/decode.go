package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a value may have at most. These are far above what a model or a person
// writes, and keep the work that any value can cause in proportion to its size.
const (
	maxDepth    = 500     // arrays and objects within each other
	maxParts    = 200_000 // values, counting each item and each field
	maxExponent = 400     // of a number; a float64 has about 308
	maxDigits   = 1000    // of a number, as written
)

// decode reads one JSON value into the form that the validator takes: numbers
// as json.Number, objects as maps. It refuses what other readers of the same
// bytes might understand differently: a field that is there twice, and text
// that is not UTF-8.
func decode(data []byte) (any, error) {
	if !json.Valid(data) {
		return nil, fmt.Errorf("not valid JSON: %s", complaint(data))
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("not valid JSON: the text is not UTF-8")
	}
	d := decoder{data: data}
	return d.value()
}

// complaint says why data is not valid JSON.
func complaint(data []byte) string {
	if len(strings.TrimSpace(string(data[:min(len(data), 100)]))) == 0 {
		return "it is empty"
	}
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if err == nil {
		return "unknown error" // cannot happen: json.Valid uses the same scanner
	}
	if syn, ok := err.(*json.SyntaxError); ok {
		return fmt.Sprintf("%s (at byte %d)", syn.Error(), syn.Offset)
	}
	return err.Error()
}

// A decoder reads data, which is known to be valid JSON.
type decoder struct {
	data  []byte
	pos   int
	parts int
	path  []string
}

func (d *decoder) value() (any, error) {
	if d.parts++; d.parts > maxParts {
		return nil, fmt.Errorf("too large: more than %d values in one", maxParts)
	}
	if len(d.path) > maxDepth {
		return nil, fmt.Errorf("too deep: more than %d arrays and objects within each other", maxDepth)
	}
	d.space()
	switch c := d.data[d.pos]; c {
	case '{':
		return d.object()
	case '[':
		return d.array()
	case '"':
		return d.string(), nil
	case 't':
		d.pos += len("true")
		return true, nil
	case 'f':
		d.pos += len("false")
		return false, nil
	case 'n':
		d.pos += len("null")
		return nil, nil
	default:
		return d.number()
	}
}

func (d *decoder) object() (any, error) {
	m, fold := map[string]any{}, map[string]string{}
	d.pos++ // {
	for d.space(); d.data[d.pos] != '}'; d.space() {
		if d.data[d.pos] == ',' {
			d.pos++
			d.space()
		}
		name := d.string()
		d.space()
		d.pos++ // :
		if before, ok := fold[strings.ToLower(name)]; ok && before != name {
			return nil, &Invalid{Problems: []Problem{{Path: path(d.path), Text: fmt.Sprintf("fields %s and %s differ in case only: give one of them", quote(before), quote(name))}}}
		}
		fold[strings.ToLower(name)] = name
		if _, ok := m[name]; ok {
			return nil, &Invalid{Problems: []Problem{{Path: path(d.path), Text: fmt.Sprintf("duplicate field %s: give it once", quote(name))}}}
		}
		d.path = append(d.path, name)
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
		m[name] = v
	}
	d.pos++ // }
	return m, nil
}

func (d *decoder) array() (any, error) {
	list := []any{}
	d.pos++ // [
	for d.space(); d.data[d.pos] != ']'; d.space() {
		if d.data[d.pos] == ',' {
			d.pos++
		}
		d.path = append(d.path, strconv.Itoa(len(list)))
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
		list = append(list, v)
	}
	d.pos++ // ]
	return list, nil
}

func (d *decoder) string() string {
	start, escaped := d.pos, false
	for d.pos++; d.data[d.pos] != '"'; d.pos++ {
		if d.data[d.pos] == '\\' {
			escaped = true
			d.pos++
		}
	}
	d.pos++
	text := d.data[start:d.pos]
	if !escaped {
		return string(text[1 : len(text)-1])
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return string(text) // cannot happen: the text is a valid string
	}
	return s
}

func (d *decoder) number() (any, error) {
	start := d.pos
	for d.pos < len(d.data) && strings.IndexByte("+-.eE0123456789", d.data[d.pos]) >= 0 {
		d.pos++
	}
	n := json.Number(d.data[start:d.pos])
	if outOfRange(string(n)) {
		return nil, &Invalid{Problems: []Problem{{Path: path(d.path), Text: "the number " + Cut(string(n)) + " is out of range"}}}
	}
	return n, nil
}

// outOfRange reports whether the number could not be computed with at ease.
func outOfRange(n string) bool {
	if len(n) > maxDigits {
		return true
	}
	i := strings.IndexAny(n, "eE")
	if i < 0 {
		return false
	}
	exp, err := strconv.Atoi(strings.TrimPrefix(n[i+1:], "+"))
	return err != nil || math.Abs(float64(exp)) > maxExponent
}

func (d *decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}
