package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

const refund = `{
	"type": "object",
	"properties": {
		"order_id": {"type": "integer", "minimum": 1},
		"amount": {"type": "number", "maximum": 500},
		"reason": {"type": "string", "minLength": 3},
		"speed": {"enum": ["slow", "fast"]},
		"mail": {"type": "string", "format": "email"},
		"lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "maxItems": 3}
	},
	"required": ["order_id", "reason"],
	"additionalProperties": false,
	"$defs": {"line": {
		"type": "object",
		"properties": {"sku": {"type": "string", "pattern": "^[A-Z]+$"}, "n": {"type": "integer"}},
		"required": ["sku"],
		"additionalProperties": false
	}}
}`

func TestValidateSaysWhatToDo(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{`{"order_id": 1, "reason": "broken"}`, ""},
		{`{"order_id": 1.0, "reason": "broken"}`, ""},
		{
			`{"oder_id": 1, "order_id": "A-17", "amount": 900}`,
			`missing required field "reason"; unknown field "oder_id" – did you mean "order_id"?; amount: must be ≤ 500, got 900; order_id: expected an integer, got string "A-17"`,
		},
		{`[]`, `expected an object, got an empty array`},
		{`"x"`, `expected an object, got string "x"`},
		{`{"order_id": 0, "reason": "x"}`, `order_id: must be ≥ 1, got 0; reason: must have at least 3 characters, got 1`},
		{`{"order_id": 1.5, "reason": "broken"}`, `order_id: expected an integer, got number 1.5`},
		{`{"order_id": null, "reason": "broken"}`, `order_id: expected an integer, got null`},
		{`{"order_id": 1, "reason": "broken", "speed": "fsat"}`, `speed: expected one of "slow", "fast", got string "fsat" – did you mean "fast"?`},
		{`{"order_id": 1, "reason": "broken", "mail": "me"}`, `mail: expected an email address, got string "me"`},
		{`{"order_id": 1, "reason": "broken", "xyzzy": 1}`, `unknown field "xyzzy", known are "amount", "lines", "mail", "order_id", "reason", "speed"`},
		{
			`{"order_id": 1, "reason": "broken", "lines": [{"sku": "A"}, {"sku": "a", "m": 1}, {"n": true}]}`,
			`lines[1]: unknown field "m", known are "n", "sku"; lines[1].sku: must match the pattern ^[A-Z]+$, got string "a"; lines[2]: missing required field "sku"; lines[2].n: expected an integer, got boolean true`,
		},
		{`{"order_id": 1, "reason": "broken", "lines": [1,2,3,4]}`, `lines: must have at most 3 items, got 4; lines[0]: expected an object, got number 1; lines[1]: expected an object, got number 2; lines[2]: expected an object, got number 3; lines[3]: expected an object, got number 4`},
	} {
		err := Validate([]byte(refund), []byte(tt.value))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
			t.Errorf("%s\n got %v\nwant %s", tt.value, err, tt.want)
		}
	}
}

func TestKeywords(t *testing.T) {
	for _, tt := range []struct{ schema, value, want string }{
		{`{"anyOf": [{"type": "string"}, {"type": "null"}]}`, `3`, `expected a string or null, got number 3`},
		{`{"type": ["string", "null"]}`, `3`, `expected null or a string, got number 3`},
		{`{"oneOf": [{"type": "integer"}, {"minimum": 3}]}`, `4`, `fits two forms at once (numbers 1 and 2), but must fit exactly one`},
		{`{"anyOf": [{"type": "string", "minLength": 2}, {"type": "integer"}]}`, `"x"`, `must have at least 2 characters, got 1`},
		{
			`{"oneOf": [{"properties": {"k": {"const": "a"}, "n": {"type": "integer"}}}, {"properties": {"k": {"const": "b"}}}]}`,
			`{"k": "a", "n": "x"}`, `n: expected an integer, got string "x"`,
		},
		{
			`{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}`, `{}`,
			`fits none of the 2 forms that are allowed: either missing required field "a", or missing required field "b"`,
		},
		{`{"const": 5}`, `6`, `expected 5, got number 6`},
		{`{"enum": [1]}`, `6`, `expected 1, got number 6`},
		{`false`, `6`, `is not allowed here, got number 6`},
		{`{"not": {"type": "integer"}}`, `6`, `is of a form that is not allowed, got number 6`},
		{`{"exclusiveMinimum": 0.1}`, `0.1`, `must be > 0.1, got 0.1`},
		{`{"exclusiveMaximum": 1}`, `1`, `must be < 1, got 1`},
		{`{"multipleOf": 5}`, `7`, `must be a multiple of 5, got 7`},
		{`{"minItems": 1}`, `[]`, `must have at least 1 item, got 0`},
		{`{"uniqueItems": true}`, `[1, 2, 1.0]`, `all items must differ, but [0] and [2] are the same`},
		{`{"contains": {"type": "string"}}`, `[1]`, `no item is of the form that one must have`},
		{`{"minProperties": 1}`, `{}`, `must have at least 1 field, got 0`},
		{`{"maxProperties": 0}`, `{"a": 1}`, `must have at most 0 fields, got 1`},
		{`{"propertyNames": {"maxLength": 2}}`, `{"abc": 1}`, `the field name "abc" is not allowed: must have at most 2 characters, got 3`},
		{`{"dependentRequired": {"a": ["b"]}}`, `{"a": 1}`, `with "a" given, "b" must be given too`},
		{`{"unevaluatedProperties": false}`, `{"a b": 1}`, `["a b"]: is not allowed here, got number 1`},
		{`{"$ref": "#"}`, `1`, `cannot be checked: the schema refers to itself without end`},
		{`{"format": "date-time"}`, `"today"`, `expected a date and time such as 2006-01-02T15:04:05Z, got string "today"`},
		{`{"pattern": "^(?!a)b$"}`, `"zzz"`, ``}, // beyond Go's patterns: not checked
		{`{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}], "additionalItems": false}`, `["a", 1]`, `has 1 item too many`},
		{``, `{"any": "thing"}`, ``},
	} {
		err := Validate([]byte(tt.schema), []byte(tt.value))
		if got := fmt.Sprint(err); err == nil && tt.want != "" || err != nil && got != tt.want {
			t.Errorf("%s of %s\n got %v\nwant %s", tt.value, tt.schema, err, tt.want)
		}
	}
}

func TestHostileValues(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, tt := range map[string]struct{ schema, value, want string }{
		"empty":           {`{}`, ``, `not valid JSON: it is empty`},
		"cut off":         {`{}`, `{"a": `, `not valid JSON: unexpected end of JSON input (at byte 6)`},
		"two values":      {`{}`, `{} {}`, `not valid JSON: invalid character '{' after top-level value (at byte 4)`},
		"not UTF-8":       {`{}`, "\"\xff\"", `not valid JSON: the text is not UTF-8`},
		"duplicate":       {`{}`, `{"a": {"b": 1, "\u0062": 2}}`, `a: duplicate field "b": give it once`},
		"deep":            {`{}`, strings.Repeat("[", 2000) + strings.Repeat("]", 2000), `too deep: more than 500 arrays and objects within each other`},
		"deeper":          {`{}`, strings.Repeat("[", 2000000), `exceeded max depth`},
		"many values":     {`{"items": {"type": "string"}}`, "[" + strings.Repeat("1,", 1000000) + "1]", `too large: more than 200000 values in one`},
		"many problems":   {`{"items": {"type": "string"}}`, "[" + strings.Repeat("1,", 150000) + "1]", `; and 149991 more`},
		"long string":     {`{"maxLength": 5}`, `"` + strings.Repeat("é", 5<<20) + `"`, `must have at most 5 characters, got 5242880`},
		"long names":      {`{"additionalProperties": false}`, `{"` + long + `1": 1, "` + long + `2": 1}`, `unknown field "xxxx`},
		"long path":       {`{"additionalProperties": {"type": "string"}}`, `{"` + long + `": 1}`, `…"]: expected a string, got number 1`},
		"huge exponent":   {`{"type": "integer", "maximum": 1}`, `{"a": [1e999999999]}`, `a[0]: the number 1e999999999 is out of range`},
		"tiny exponent":   {`{"multipleOf": 0.1}`, `1e-999999`, `the number 1e-999999 is out of range`},
		"beyond integers": {`{"multipleOf": 1}`, `1e99999999999999999999`, `out of range`},
		"many digits":     {`{"maximum": 1}`, strings.Repeat("9", 1<<20), `is out of range`},
		"big but fine":    {`{"maximum": 1}`, `1e300`, `must be ≤ 1, got 1000`},
		"control bytes":   {`{"type": "integer"}`, `"a\nb\u0000"`, `expected an integer, got string "a\nb\x00"`},
		"half surrogate":  {`{"const": 1}`, `"\ud800"`, `expected 1, got string`},
	} {
		t.Run(name, func(t *testing.T) {
			err := Validate([]byte(tt.schema), []byte(tt.value))
			var inv *Invalid
			if !errors.As(err, &inv) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %.300v, want %s", err, tt.want)
			}
			if n := len(err.Error()); n > 2*maxMessage {
				t.Errorf("the message has %d bytes", n)
			}
			if strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("the message has more than one line: %q", err)
			}
		})
	}
}

// Objects are maps and come in any order; messages must not.
func TestMessagesAreStable(t *testing.T) {
	value := []byte(`{"order_id": "x", "amount": "x", "reason": 1, "speed": 1, "mail": 1, "q": 1, "r": 1, "lines": [{}, {}, 3]}`)
	want := Validate([]byte(refund), value).Error()
	for range 50 {
		if got := Validate([]byte(refund), value).Error(); got != want {
			t.Fatalf("got %s\nthen %s", want, got)
		}
	}
}

func TestBadSchemas(t *testing.T) {
	for _, tt := range []struct{ schema, want string }{
		{`{`, `bad JSON Schema: not valid JSON: unexpected end of JSON input`},
		{`3`, `bad JSON Schema: expected an object, got number 3`},
		{`{"type": "int"}`, `bad JSON Schema: type: `},
		{`{"properties": {"a": {"type": "int"}}}`, `properties.a.type: expected one of "array"`},
		{`{"minimum": "1"}`, `minimum: expected a number, got string "1"`},
		{`{"pattern": "("}`, `pattern: expected a regular expression, got string "("`},
		{`{"$ref": "#/$defs/nowhere"}`, `bad JSON Schema: `},
		{`{"$ref": "https://example.com/s.json"}`, `bad JSON Schema: it refers to https://example.com/s.json: a schema may only refer to parts of itself`},
		{`{"$ref": "file:///etc/passwd"}`, `it refers to file:///etc/passwd`},
		{`{"$id": "file:///etc/", "$ref": "passwd"}`, `it refers to file:///etc/passwd`},
		{`{"$schema": "https://example.com/meta"}`, `it refers to https://example.com/meta`},
		{`{"maximum": 1e999999999}`, `maximum: the number 1e999999999 is out of range`},
		{`{"title": "` + strings.Repeat("x", maxSchema) + `"}`, `at most 1048576 are allowed`},
		{strings.Repeat(`{"not":`, 600) + "{}" + strings.Repeat("}", 600), `too deep`},
	} {
		for name, err := range map[string]error{"Check": Check([]byte(tt.schema)), "Validate": Validate([]byte(tt.schema), []byte(`1`))} {
			var inv *Invalid
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %.200s\n got %v\nwant %s", name, tt.schema, err, tt.want)
			} else if name == "Validate" && errors.As(err, &inv) {
				t.Errorf("%.200s: the value is blamed: %v", tt.schema, err)
			}
		}
	}
}

// A schema of a few lines may double the work with each line.
func TestSchemasThatUnfold(t *testing.T) {
	unfolding := func(lines int) []byte {
		var b strings.Builder
		b.WriteString(`{"items": {"$ref": "#/$defs/a0"}, "$defs": {`)
		for i := range lines {
			fmt.Fprintf(&b, `"a%d": {"allOf": [{"$ref": "#/$defs/a%d"}, {"$ref": "#/$defs/a%d"}]}, `, i, i+1, i+1)
		}
		fmt.Fprintf(&b, `"a%d": {"type": "string"}}}`, lines)
		return []byte(b.String())
	}
	if err := Validate(unfolding(8), []byte(`["x"]`)); err != nil {
		t.Error(err)
	}
	if err := Validate(unfolding(100), []byte(`["x"]`)); err == nil || !strings.Contains(err.Error(), "bad JSON Schema: it is too heavy: more than 10000 of its parts apply to one value") {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsLoaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.json")
	if err := os.WriteFile(file, []byte(`{"type": "integer"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked = true }))
	defer srv.Close()
	for _, url := range []string{"file://" + file, srv.URL + "/s.json"} {
		for _, key := range []string{"$ref", "$schema", "$dynamicRef"} {
			err := Check(fmt.Appendf(nil, `{%q: %q}`, key, url))
			if err == nil || !strings.Contains(err.Error(), "a schema may only refer to parts of itself") {
				t.Errorf("%s %s: got %v", key, url, err)
			}
		}
	}
	if asked {
		t.Error("the network was asked")
	}
}

func TestCacheIsBounded(t *testing.T) {
	var v Validator
	for i := range 4 * generation {
		if err := v.Validate(fmt.Appendf(nil, `{"minimum": %d}`, i), []byte(`100000`)); err != nil {
			t.Fatal(err)
		}
		// The one in constant use stays.
		if err := v.Validate([]byte(`{"type": "integer"}`), []byte(`1`)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(v.young) + len(v.old); n > 2*generation {
		t.Errorf("%d schemas are kept", n)
	}
	if len(v.old) == 0 {
		t.Error("a full generation is thrown away at once")
	}
	kept := v.young[`{"type": "integer"}`]
	if kept == nil {
		kept = v.old[`{"type": "integer"}`]
	}
	if kept == nil {
		t.Error("the schema in constant use is not kept")
	}
}

func TestValidatorIsSafeForGoroutines(t *testing.T) {
	var v Validator
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				s := fmt.Appendf(nil, `{"minimum": %d}`, (i*g)%300)
				if err := v.Validate(s, []byte(`-1`)); err == nil {
					t.Error("-1 was let pass")
				}
			}
		})
	}
	wg.Wait()
}

func TestNearest(t *testing.T) {
	from := []string{"order_id", "refund", "lookup", "amount"}
	for word, want := range map[string]string{
		"oder_id": "order_id", "orderId": "order_id", "ORDER-ID": "order_id", "refnud": "refund",
		"functions.lookup": "", "": "", "zzz": "", strings.Repeat("refund", 20): "",
	} {
		if got := Nearest(word, from); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func FuzzValidate(f *testing.F) {
	for _, s := range []string{refund, `{}`, `true`, `{"$ref": "#"}`, `{"uniqueItems": true, "items": {"multipleOf": 0.01}}`, `{"anyOf": [{"type": "string"}, {"minimum": 2}]}`} {
		for _, v := range []string{`{"order_id": 1, "reason": "abc"}`, `[1, 2, 1.0, "\u0061", null, {"a": -0e-1}]`, `"x"`, `1e400`, `{"a":1,"a":2}`, "\"\xff\""} {
			f.Add([]byte(s), []byte(v))
		}
	}
	f.Fuzz(func(t *testing.T, schema, value []byte) {
		err := Validate(schema, value)
		if err != nil && (err.Error() == "" || len(err.Error()) > 20000) {
			t.Errorf("an error of %d bytes: %.100s", len(err.Error()), err)
		}
		if got, err := decode(value); err == nil {
			dec := json.NewDecoder(strings.NewReader(string(value)))
			dec.UseNumber()
			var want any
			if err := dec.Decode(&want); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("decode(%q) = %#v, want %#v (%v)", value, got, want, err)
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	value := []byte(`{"order_id": 17, "reason": "it is broken", "lines": [{"sku": "ABC", "n": 2}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate([]byte(refund), value); err != nil {
			b.Fatal(err)
		}
	}
}
