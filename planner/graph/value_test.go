package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// compiled compiles a value with CEL, and returns it with what was reported.
func compiled(v *vars, x any) (value, []string) {
	var problems []string
	compile := func(source, path string, use Use) (Expr, error) {
		return languageOf("").Compile(source, use, v.env)
	}
	problem := func(path, rule, format string, args ...any) {
		problems = append(problems, Problem{Path: path, Rule: rule, Message: fmt.Sprintf(format, args...)}.String())
	}
	return compileValue(x, "input", compile, problem), problems
}

func TestValue(t *testing.T) {
	type m = map[string]any
	type l = []any
	tests := []struct {
		value    any
		want     any
		constant bool
	}{
		// Constants, from wherever they come.
		{nil, nil, true},
		{"plain", "plain", true},
		{5, int64(5), true},
		{5.0, int64(5), true},
		{json.Number("1.50"), 1.5, true},
		{json.Number("12e3"), int64(12000), true},
		{json.Number("9223372036854775808"), 9223372036854775808.0, true},
		{json.RawMessage(`{"a": [1, 2.5]}`), m{"a": l{int64(1), 2.5}}, true},
		{90 * time.Second, "1m30s", true},
		{[]string{"a", "b"}, l{"a", "b"}, true},
		{map[string]string{"a": "b"}, m{"a": "b"}, true},
		{map[any]any{"a": 1}, m{"a": int64(1)}, true},
		{m{"a": l{1, m{"b": "$${c}"}}}, m{"a": l{int64(1), m{"b": "${c}"}}}, true},
		{"costs $5 {a} $", "costs $5 {a} $", true},
		{"$${name} is ${", nil, true}, // refused, see below

		// One expression is its value, and others are put into the text.
		{"${count}", int64(3), false},
		{"${ input.order.items[0] }", m{"sku": "a", "price": int64(3)}, false},
		{m{"$expr": "count + 1"}, int64(4), false},
		{"${name} has ${count}", "Ada has 3", false},
		{" ${count}", " 3", false},
		{"${price}|${price / 2}|${paid}|${nothing}|${tags}|${notes}", `5|2.5|true||["red","old"]|{"a":1}`, false},
		{"${now} ${wait}", "2026-03-04T05:06:07Z 36h0m0s", false},
		{"$${name} is ${name}", "${name} is Ada", false},
		{"$$${name}", "$${name}", true},
		{m{"a": l{"${count}", "x${count}", 1}}, m{"a": l{int64(3), "x3", int64(1)}}, false},
		{"<${1.0e21}> <${0.000001}> <${2.5e-7}>", "<1e+21> <0.000001> <2.5e-07>", false},
		{`<${"a<b>&\"\u00e4"}>`, `<a<b>&"ä>`, false},

		// The } that ends an expression is its own.
		{`${{"a": {"b": 1}}.a.b}!`, "1!", false},
		{`${"}"}${'}'}`, "}}", false},
		{`${"\"}"}`, `"}`, false},
		{`${'''a'}"'''}`, `a'}"`, false},
		{`${r"\"}|`, `\|`, false},
		{`${"""}""" + r'''\'''}`, `}\`, false},
		{"${input.`content-type`}", "text/plain", false},
		{"a ${\n  count\n} b", "a 3 b", false},
	}
	v := shop()
	for _, tt := range tests {
		x, problems := compiled(v, tt.value)
		got, err := x.eval(languageOf("").Begin(v))
		if tt.want == nil && tt.value != nil {
			if len(problems) == 0 {
				t.Errorf("%v was not refused", tt.value)
			}
			continue
		}
		if !reflect.DeepEqual(got, tt.want) || err != nil || problems != nil {
			t.Errorf("%#v\n got %#v, %v, %v\nwant %#v", tt.value, got, err, problems, tt.want)
		}
		if _, constant := x.constant(); constant != tt.constant {
			t.Errorf("%#v: constant is %t", tt.value, constant)
		}
	}
}

func TestValueProblems(t *testing.T) {
	type m = map[string]any
	tests := []struct {
		value any
		want  string
	}{
		{"a ${count", `input: a ${ has no } that ends it: add one, or write $${ for the text itself in "${count" (value)`},
		{"${'a}", `input: a quote ' does not end in "${'a}" (value)`},
		{"${'a\n'}", `input: a quote does not end on its line in "${'a\n'}" (value)`},
		{"${`a}", "input: a backtick ` does not end in \"${`a}\" (value)"},
		{"${ }", `input: ${} holds no expression: put one between the braces, or write $${} for the text itself (value)`},
		{m{"a": []any{1, "${cont}"}}, `input.a[1]: there is no "cont" – did you mean "count"?`},
		{m{"a b": m{"$expr": "1 +"}}, `input["a b"].$expr: this is not an expression of CEL`},
		{m{"$expr": "1", "b": 2, "a": 1}, `input: an object with $expr has no other key, and this has also a, b: leave those out, or put the expression in a key of its own (value)`},
		{m{"$expr": 5}, `input.$expr: expected an expression as text, got the number 5 (value)`},
		{m{"$expr": ""}, `input.$expr: expected an expression as text, got the text "" (value)`},
		{map[any]any{1: 2}, `input: the key 1 is no text: put it in quotes (value)`},
		{m{"f": func() {}}, `input: f: a func() has no JSON form: json: unsupported type: func() (value)`},
		{math.Inf(1), `input: the number is infinite, or none at all: it has no JSON form (value)`},
		{json.RawMessage(`{} {}`), `input: this is not JSON: more follows the value (value)`},
		{strings.Repeat("${`", 60), "input: the quotes and braces nest too deeply"},
	}
	for _, tt := range tests {
		x, problems := compiled(shop(), tt.value)
		if len(problems) != 1 || !strings.HasPrefix(problems[0], tt.want) {
			t.Errorf("%v\n got %q\nwant %q", tt.value, problems, tt.want)
		}
		if _, err := x.eval(languageOf("").Begin(shop())); err != nil {
			t.Errorf("%v: what was refused is no null: %v", tt.value, err)
		}
	}
}

// TestValueErrors shows that an error says where in a value it arose.
func TestValueErrors(t *testing.T) {
	v := shop()
	x, problems := compiled(v, map[string]any{"list": []any{1, "total: ${event.data.sum}"}})
	if problems != nil {
		t.Fatal(problems)
	}
	_, err := x.eval(languageOf("").Begin(v))
	want := `list: [1]: event.data has no field "sum": ask with has(event.data.sum) whether it is there`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestNormaliseDoesNotCopyWhatIsPlain(t *testing.T) {
	in := map[string]any{"a": []any{int64(1), 1.5, "x", nil, true, map[string]any{}}}
	out, err := normalise(in)
	if err != nil || reflect.ValueOf(out).Pointer() != reflect.ValueOf(in).Pointer() {
		t.Errorf("a plain value was copied: %v, %v", out, err)
	}
	in["b"] = 1
	out, err = normalise(in)
	if err != nil || in["b"] != 1 || out.(map[string]any)["b"] != int64(1) {
		t.Errorf("a value was changed, or not normalised: %v, %v, %v", in, out, err)
	}
}

func TestValuesAreBounded(t *testing.T) {
	loop := map[string]any{}
	loop["again"] = []any{loop}
	if _, err := normalise(loop); !errors.Is(err, errDeep) {
		t.Errorf("a value that holds itself: %v", err)
	}
	if _, err := decodeValue(json.RawMessage(strings.Repeat("[", 600) + strings.Repeat("]", 600))); !errors.Is(err, errDeep) {
		t.Errorf("a value that is too deep: %v", err)
	}
}

func TestEncodeValue(t *testing.T) {
	tests := []struct {
		value any
		want  string
	}{
		{nil, `null`},
		{int64(math.MinInt64), `-9223372036854775808`},
		{1e300, `1e+300`},
		{math.Copysign(0, -1), `0`},
		{1e15, `1000000000000000`},
		{0.1, `0.1`},
		{"a\"<ä>\n\xff", `"a\"<ä>\n` + "\uFFFD" + `"`},
		{map[string]any{"b": []any{}, "a": map[string]any{}}, `{"a":{},"b":[]}`},
		{time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), `"2026-01-02T03:04:05.000000006Z"`},
		{[]any{time.Hour}, `["1h0m0s"]`},
	}
	for _, tt := range tests {
		got, err := encodeValue(tt.value)
		if string(got) != tt.want || err != nil || !json.Valid(got) {
			t.Errorf("%v: got %s, %v, want %s", tt.value, got, err, tt.want)
		}
		back, err := decodeValue(got)
		if again, _ := encodeValue(back); string(again) != tt.want || err != nil {
			t.Errorf("%v: comes back as %s, %v", tt.value, again, err)
		}
	}
}

// FuzzValue shows that whatever a definition has as a value, it is refused or has a
// JSON form once it is evaluated, and that a text without ${ is itself.
func FuzzValue(f *testing.F) {
	for _, s := range []string{
		`"a ${count} b"`, `{"$expr": "price"}`, `["${'}'}", 1, {"a": "$${x}"}]`, `"${r'\\'}"`, "\"${`${`}`}`}\"", `1e400`, `"${{'a': '''}'''}}"`, `"${"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		v := shop()
		x, problems := compiled(v, json.RawMessage(data))
		got, err := x.eval(languageOf("").Begin(v))
		if err != nil || problems != nil {
			return
		}
		if _, err := encodeValue(got); err != nil {
			t.Fatalf("%s is %#v: %v", data, got, err)
		}
		if !strings.Contains(data, "$") && !strings.Contains(data, `\u0024`) {
			want, _ := decodeValue(json.RawMessage(data))
			if c, ok := x.constant(); !ok || !reflect.DeepEqual(c, want) {
				t.Fatalf("%s is not itself: %#v", data, c)
			}
		}
	})
}
