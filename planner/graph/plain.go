package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values are plain: nil, bool, int64, float64, string, []any and map[string]any, as
// JSON has them. A number that is integral and fits is an int64, whichever way it was
// written, so that a value is the same before and after it has been saved. Besides,
// expressions give time.Time and time.Duration, which are text once they are kept.

// deepestValue is how deep values may nest.
const deepestValue = 500

var errDeep = fmt.Errorf("the value nests deeper than %d levels", deepestValue)

// normalise returns the plain form of a value that came from JSON, YAML or Go. What
// is plain is not copied. A time becomes RFC 3339 text, a duration the text of its
// String; structs, and other types that are not plain, become what their JSON says.
// The error is of what has no JSON form, such as a function or an infinite number.
func normalise(v any) (any, error) { return normaliseAt(v, 0) }

func normaliseAt(v any, depth int) (any, error) {
	if depth > deepestValue {
		return nil, errDeep
	}
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		return strings.ToValidUTF8(v, "\uFFFD"), nil
	case int:
		return int64(v), nil
	case float64:
		return normaliseFloat(v)
	case float32:
		return normaliseFloat(float64(v))
	case json.Number:
		return normaliseNumber(v)
	case json.RawMessage:
		return decodeValue(v)
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case time.Duration:
		return v.String(), nil
	case map[string]any:
		return normaliseMap(v, depth)
	case []any:
		return normaliseList(v, depth)
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = strings.ToValidUTF8(s, "\uFFFD")
		}
		return list, nil
	}
	return normaliseOther(v, depth)
}

func normaliseMap(m map[string]any, depth int) (any, error) {
	if m == nil {
		return nil, nil
	}
	out, copied := m, false
	for k, e := range m {
		n, err := normaliseAt(e, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		if sameValue(e, n) {
			continue
		}
		if !copied {
			out, copied = maps.Clone(m), true
		}
		out[k] = n
	}
	return out, nil
}

func normaliseList(list []any, depth int) (any, error) {
	if list == nil {
		return nil, nil
	}
	out, copied := list, false
	for i, e := range list {
		n, err := normaliseAt(e, depth+1)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		if sameValue(e, n) {
			continue
		}
		if !copied {
			out, copied = slices.Clone(list), true
		}
		out[i] = n
	}
	return out, nil
}

// sameValue reports whether normalising a has left it as it was.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case nil, bool, int64:
		return true
	case string:
		return a == b.(string)
	case float64:
		_, ok := b.(float64)
		return ok
	case map[string]any:
		m, ok := b.(map[string]any)
		return ok && reflect.ValueOf(m).Pointer() == reflect.ValueOf(a).Pointer()
	case []any:
		l, ok := b.([]any)
		return ok && (len(l) == 0 || &l[0] == &a[0])
	}
	return false
}

// normaliseOther takes the types that are rare in values.
func normaliseOther(v any, depth int) (any, error) {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if u := r.Uint(); u > math.MaxInt64 {
			return float64(u), nil
		}
		return int64(r.Uint()), nil
	case reflect.Map:
		if _, ok := v.(json.Marshaler); !ok && r.Type().Key().Kind() == reflect.Interface {
			return normaliseKeys(r, depth)
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("a %T has no JSON form: %w", v, err)
	}
	return decodeValue(data)
}

// normaliseKeys takes a map whose keys may be anything, as YAML has them.
func normaliseKeys(r reflect.Value, depth int) (any, error) {
	out := make(map[string]any, r.Len())
	for it := r.MapRange(); it.Next(); {
		k, ok := it.Key().Interface().(string)
		if !ok {
			return nil, fmt.Errorf("the key %v is no text: put it in quotes", it.Key().Interface())
		}
		e, err := normaliseAt(it.Value().Interface(), depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		out[k] = e
	}
	return out, nil
}

func normaliseFloat(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("the number is infinite, or none at all: it has no JSON form")
	}
	if f == math.Trunc(f) && f >= math.MinInt64 && f < math.MaxInt64 {
		return int64(f), nil
	}
	return f, nil
}

func normaliseNumber(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil, fmt.Errorf("%.40q is no number that fits", string(n))
	}
	return normaliseFloat(f)
}

// decodeValue returns the value that JSON stands for.
func decodeValue(data json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("this is not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("this is not JSON: more follows the value")
	}
	return normalise(v)
}

// outsideValue returns the value that JSON from outside stands for; null if there is
// none. What is JSON, and can be no value, such as 1e999, is the text that it is: who
// sends it stops no graph by that.
func outsideValue(data json.RawMessage) any {
	if len(data) == 0 {
		return nil
	}
	v, err := decodeValue(data)
	if err != nil {
		return string(data)
	}
	return v
}

// encodeValue returns the compact JSON of a value, with the keys of objects sorted.
func encodeValue(v any) (json.RawMessage, error) {
	n, err := normalise(v)
	if err != nil {
		return nil, err
	}
	return appendValue(nil, n), nil
}

// appendValue appends the JSON of a plain value.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return appendFloat(b, v)
	case string:
		return appendString(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, k), ':')
			b = appendValue(b, v[k])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

// appendFloat writes a number as people do, and one that is very large or very small
// with an exponent.
func appendFloat(b []byte, f float64) []byte {
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'g'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7F {
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(s) // a string has a JSON form
			return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// valueText returns what a value is within a text: itself if it is text, nothing if it
// is null, a plain number, and otherwise compact JSON.
func valueText(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	n, err := normalise(v)
	if err != nil {
		return "", err
	}
	switch n := n.(type) {
	case nil:
		return "", nil
	case string:
		return n, nil
	}
	return string(appendValue(nil, n)), nil
}
