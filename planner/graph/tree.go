package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The bounds of a text that Parse takes.
const (
	maxText  = 1 << 20 // bytes
	maxDepth = 100     // of objects and lists in one another
	maxParts = 300_000 // objects, lists, fields and values, with each alias counted as what it stands for
)

// kind is that of a part of a text.
type kind uint8

const (
	isNull kind = iota
	isBool
	isNumber
	isWords
	isSequence
	isMapping
)

var kindNames = [...]string{"null", "a boolean", "a number", "text", "a list", "an object"}

// A tree is a text as it was written, before it is known what it means.
type tree struct {
	kind kind
	word string  // of a boolean, a number (as JSON has it) or a text
	keys []key   // of an object, in the order of the text
	kids []*tree // of an object, beside keys, or of a list
	line int
}

type key struct {
	name string
	line int
}

// readTree reads JSON, or YAML, of which nearly all JSON is a part. The tree is nil if
// there is no going on after a problem; otherwise what is wrong is not in it.
func readTree(data []byte) (*tree, []Problem) {
	var n notes
	var t *tree
	var err error
	if s := bytes.TrimLeft(data, " \t\r\n"); len(s) > 0 && s[0] == '{' && json.Valid(data) {
		r := &jsonReader{notes: &n, dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
		r.dec.UseNumber()
		t, err = r.read(0, "")
	} else {
		t, err = readYAML(data, &n)
	}
	var f *flaw
	if errors.As(err, &f) {
		return nil, append(n.problems, Problem(*f))
	}
	return t, n.problems
}

// A flaw ends the reading.
type flaw Problem

func (f *flaw) Error() string { return f.Message }

func flawAt(line int, path, format string, args ...any) error {
	return &flaw{Path: path, Rule: "syntax", Message: fmt.Sprintf(format, args...), Line: line}
}

// notes are what is wrong with a text and does not end its reading.
type notes struct {
	problems []Problem
	parts    int
}

// full reports whether more than what is told is known to be wrong.
func (n *notes) full() bool { return len(n.problems) > maxProblems }

func (n *notes) bad(line int, path, rule, format string, args ...any) {
	if !n.full() {
		n.problems = append(n.problems, Problem{Path: path, Rule: rule, Message: fmt.Sprintf(format, args...), Line: line})
	}
}

// count counts a part.
func (n *notes) count(line int, path string) error {
	if n.parts++; n.parts > maxParts {
		return flawAt(line, path, "the text has too many parts, aliases counted as what they stand for: at most %d are taken", maxParts)
	}
	return nil
}

// unique reports whether a field is given for the first time.
func (n *notes) unique(seen map[string]int, k key, path string) bool {
	first, twice := seen[k.name]
	if twice {
		n.bad(k.line, path, "twice", "the field %q is given twice, first on line %d: keep one", shorten(k.name), first)
		return false
	}
	seen[k.name] = k.line
	return true
}

// jsonReader reads the tree of a text that is valid JSON.
type jsonReader struct {
	*notes
	dec  *json.Decoder
	data []byte
	at   int // up to here lines are counted
	line int
}

func (r *jsonReader) token() (json.Token, error) {
	tok, err := r.dec.Token()
	if err != nil {
		return nil, flawAt(r.line, "", "this is not JSON: %v", err)
	}
	end := int(r.dec.InputOffset())
	r.line += bytes.Count(r.data[r.at:end], []byte("\n"))
	r.at = end
	return tok, r.count(r.line, "")
}

func (r *jsonReader) read(depth int, path string) (*tree, error) {
	tok, err := r.token()
	if err != nil {
		return nil, err
	}
	t := &tree{line: r.line}
	switch tok := tok.(type) {
	case nil:
	case bool:
		t.kind, t.word = isBool, strconv.FormatBool(tok)
	case string:
		t.kind, t.word = isWords, tok
	case json.Number:
		t.number(string(tok), path, r.notes)
	case json.Delim:
		if depth++; depth > maxDepth {
			return nil, flawAt(t.line, path, "objects and lists are %d deep here: at most %d are taken", depth, maxDepth)
		}
		t.kind = isSequence
		if tok == '{' {
			t.kind = isMapping
		}
		return t, r.fill(t, depth, path)
	}
	return t, nil
}

// fill reads what is in an object or a list, and its end.
func (r *jsonReader) fill(t *tree, depth int, path string) error {
	seen := map[string]int{}
	for r.dec.More() {
		p, fresh := at(path, len(t.kids)), true
		if t.kind == isMapping {
			tok, err := r.token()
			if err != nil {
				return err
			}
			k := key{tok.(string), r.line}
			p = join(path, k.name)
			if fresh = r.unique(seen, k, p); fresh {
				t.keys = append(t.keys, k)
			}
		}
		kid, err := r.read(depth, p)
		if err != nil {
			return err
		}
		if fresh {
			t.kids = append(t.kids, kid)
		}
	}
	_, err := r.token()
	return err
}

func (t *tree) number(s, path string, n *notes) {
	t.kind = isNumber
	var err error
	if t.word, err = plainNumber(s); err != nil {
		n.bad(t.line, path, "number", "%v", err)
		t.word = "0"
	}
}

// plainNumber returns a number as JSON has it. One with an integral value that an
// int64 holds is written as an integer, as 1.0 and 1 are the same number to JSON.
func plainNumber(s string) (string, error) {
	digits := strings.TrimLeft(s, "+-")
	if strings.Contains(s, "_") || len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return "", fmt.Errorf("the number %s is read differently by different programs: write it without _ and leading 0, or in quotes if it is text", shorten(s))
	}
	if i, err := strconv.ParseInt(s, 0, 64); err == nil {
		return strconv.FormatInt(i, 10), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsInf(f, 0) || math.IsNaN(f):
		return "", fmt.Errorf("the number %s is not one that JSON has, or it is too large: write it in quotes if it is text", shorten(s))
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return strconv.FormatInt(int64(f), 10), nil
	case strings.Trim(digits, "0123456789") == "":
		return "", fmt.Errorf("the integer %s is too large to be kept exactly: write it in quotes", shorten(s))
	}
	b, err := json.Marshal(f)
	return string(b), err
}

// value returns the tree as plain data: nil, bool, int64, float64, string, []any and
// map[string]any.
func (t *tree) value() any {
	switch t.kind {
	case isBool:
		return t.word == "true"
	case isWords:
		return t.word
	case isNumber:
		if i, err := strconv.ParseInt(t.word, 10, 64); err == nil {
			return i
		}
		f, _ := strconv.ParseFloat(t.word, 64) // cannot fail: plainNumber has made it
		return f
	case isSequence:
		list := make([]any, len(t.kids))
		for i, k := range t.kids {
			list[i] = k.value()
		}
		return list
	case isMapping:
		object := make(map[string]any, len(t.kids))
		for i, k := range t.kids {
			object[t.keys[i].name] = k.value()
		}
		return object
	}
	return nil
}

// json returns the tree as JSON, fields in the order of the text.
func (t *tree) json(b []byte) []byte {
	switch t.kind {
	case isBool, isNumber:
		return append(b, t.word...)
	case isWords:
		return append(b, quoted(t.word)...)
	case isSequence:
		b = append(b, '[')
		for i, k := range t.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = k.json(b)
		}
		return append(b, ']')
	case isMapping:
		b = append(b, '{')
		for i, k := range t.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(b, quoted(t.keys[i].name)...), ':')
			b = k.json(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func quoted(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // cannot fail: it is a string
	return bytes.TrimSpace(b.Bytes())
}

// find returns the part of the tree at a path, or the innermost around it, and the
// line it is on.
func (t *tree) find(path string) (*tree, int) {
	line := t.line
	for _, s := range splitPath(path) {
		next := t.step(s)
		if next < 0 {
			return t, line
		}
		line = t.kids[next].line
		if t.kind == isMapping {
			line = t.keys[next].line
		}
		t = t.kids[next]
	}
	return t, line
}

func (t *tree) step(s string) int {
	if t.kind == isMapping {
		for i, k := range t.keys {
			if k.name == s {
				return i
			}
		}
		return -1
	}
	if i, err := strconv.Atoi(s); err == nil && t.kind == isSequence && i >= 0 && i < len(t.kids) {
		return i
	}
	return -1
}
