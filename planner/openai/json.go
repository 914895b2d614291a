package openai

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fermata-run/fermata/internal/adapter"
)

// This file reads and writes JSON where encoding/json's structs do not fit: what
// must be kept verbatim, and what may be of any type.

func jsonString(s string) []byte { return appendString(nil, s) }

// appendString appends a string as adapter.JSON encodes it. Most of what a
// conversation adds is strings, so it pays to write them by hand.
func appendString(b []byte, s string) []byte {
	start, from, checked := len(b), 0, false
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			if !checked && (!utf8.ValidString(s[i:]) || strings.Contains(s[i:], "\u2028") || strings.Contains(s[i:], "\u2029")) {
				return append(b[:start], adapter.JSON(s)...) // it is not kept as it is
			}
			checked = true
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			return append(b[:start], adapter.JSON(s)...)
		}
	}
	return append(append(b, s[from:]...), '"')
}

// extend adds fields to an encoded object, in the order of their names, unless
// it has them already.
func extend(object []byte, fields map[string]json.RawMessage) []byte {
	if len(fields) == 0 {
		return object
	}
	have := map[string]bool{}
	eachField(object, func(name string, _ json.RawMessage) { have[name] = true })
	out := append([]byte(nil), object[:len(object)-1]...)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if have[name] || !json.Valid(fields[name]) {
			continue
		}
		out = append(append(append(append(out, ','), jsonString(name)...), ':'), fields[name]...)
	}
	return append(out, '}')
}

// join returns the fields of both; those of b win.
func join(a, b map[string]json.RawMessage) map[string]json.RawMessage {
	out := maps.Clone(a)
	if out == nil {
		return b
	}
	maps.Copy(out, b)
	return out
}

// eachField calls f for each field of a valid JSON object, in order. It does
// nothing for any other valid value, and for none.
func eachField(object []byte, f func(name string, value json.RawMessage)) {
	s := scanner{object, 0}
	if s.next() != '{' {
		return
	}
	s.at++
	for s.next() != '}' {
		name := s.value()
		s.next() // the colon
		s.at++
		s.next()
		value := s.value()
		f(text(name), value)
		if s.next() == ',' {
			s.at++
		}
	}
}

// eachItem calls f for each item of a valid JSON array, in order. It does
// nothing for any other valid value, and for none.
func eachItem(array []byte, f func(item json.RawMessage)) {
	s := scanner{array, 0}
	if s.next() != '[' {
		return
	}
	s.at++
	for s.next() != ']' {
		f(s.value())
		if s.next() == ',' {
			s.at++
		}
	}
}

// scanner walks through valid JSON.
type scanner struct {
	b  []byte
	at int
}

// next skips white space and returns the byte behind it; 0 at the end.
func (s *scanner) next() byte {
	for {
		if s.at >= len(s.b) {
			return 0
		}
		switch c := s.b[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
}

// value reads the value that begins here.
func (s *scanner) value() json.RawMessage {
	begin, depth := s.at, 0
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case '"':
			s.skipString()
			if depth == 0 {
				return s.b[begin:s.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.b[begin:s.at] // the end of what holds it
			}
			if depth--; depth == 0 {
				s.at++
				return s.b[begin:s.at]
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.b[begin:s.at]
			}
		}
		s.at++
	}
	return s.b[begin:s.at]
}

func (s *scanner) skipString() {
	for s.at++; s.b[s.at] != '"'; s.at++ {
		if s.b[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

// text returns a JSON string, or "" for any other value.
func text(v json.RawMessage) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 && isASCII(v) {
		return string(v[1 : len(v)-1])
	}
	var s string
	_ = json.Unmarshal(v, &s) // v is valid
	return s
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// number returns a JSON number, also one in a string, as a whole one.
func number(v json.RawMessage) (int, bool) {
	s := string(v)
	if len(v) > 0 && v[0] == '"' {
		s = text(v)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f || f < -1<<53 || f > 1<<53 {
		return 0, false
	}
	return int(f), true
}

// said reports whether a value is more than null, "", [], or {}.
func said(v json.RawMessage) bool {
	switch string(v) {
	case "", "null", `""`, "[]", "{}":
		return false
	}
	return true
}
