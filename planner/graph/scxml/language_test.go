package scxml_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

// variables are those of a graph that does not run.
type variables struct {
	values map[string]any
	locals map[string]any
	env    *graph.Env
	set    []string // names, as they were set
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func (v *variables) Get(name string) (any, bool)   { x, ok := v.values[name]; return x, ok }
func (v *variables) Local(name string) (any, bool) { x, ok := v.locals[name]; return x, ok }
func (v *variables) In(node string) bool           { return node == "here" }
func (v *variables) Now() time.Time                { return noon }
func (v *variables) Env() *graph.Env               { return v.env }
func (v *variables) Set(name string, x any) {
	v.values[name] = x
	v.set = append(v.set, name)
}

// reload is what happens between two steps: values are kept as JSON.
func (v *variables) reload(t *testing.T) {
	t.Helper()
	raw, err := json.Marshal(v.values)
	if err != nil {
		t.Fatal(err)
	}
	v.values, v.set = nil, nil
	if err := json.Unmarshal(raw, &v.values); err != nil {
		t.Fatal(err)
	}
}

func vars(names ...string) *variables {
	env := &graph.Env{}
	for _, n := range names {
		env.Data = append(env.Data, graph.Datum{ID: n})
	}
	return &variables{values: map[string]any{}, locals: map[string]any{}, env: env}
}

func eval(v *variables, s graph.Session, source string, use graph.Use) (any, error) {
	x, err := scxml.Language{}.Compile(source, use, v.env)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return s.Eval(x)
}

func run(t *testing.T, v *variables, scripts ...string) {
	t.Helper()
	s := scxml.Language{}.Begin(v)
	for _, source := range scripts {
		if _, err := eval(v, s, source, graph.Executes); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
}

func TestValuesOfExpressions(t *testing.T) {
	v := vars("n", "list", "nothing")
	v.values = map[string]any{"n": int64(3), "list": []any{"a", map[string]any{"b": 1.5}}}
	v.locals = map[string]any{
		"event":   map[string]any{"name": "paid", "type": "external", "sendid": "", "data": map[string]any{"sum": int64(12)}},
		"session": "run", "name": "order",
	}
	s := scxml.Language{}.Begin(v)
	for source, want := range map[string]any{
		"n + 1":                         int64(4),
		"n / 2":                         1.5,
		"list[1].b":                     1.5,
		"typeof nothing":                "undefined",
		"nothing":                       nil,
		"{a: [1, undefined], f: NaN}":   map[string]any{"a": []any{int64(1), nil}, "f": nil},
		"_event.name + _event.data.sum": "paid12",
		"typeof _event.sendid":          "undefined",
		"'sendid' in _event":            true,
		"event.data.sum":                int64(12),
		"_sessionid":                    "run",
		"_name":                         "order",
		"_ioprocessors.scxml.location":  "#_scxml_run",
		"In('here') && !In('there')":    true,
		"new Date()":                    noon,
		"[new Date(0)]":                 []any{"1970-01-01T00:00:00.000Z"},
		"[list].flat().length;":         int64(2),
		"`${n}!`":                       "3!",
	} {
		got, err := eval(v, s, source, graph.Yields)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v (%v), want %#v", source, got, err, want)
		}
	}
	for source, want := range map[string]bool{"n": true, "0": false, "''": false, "nothing": false, "list": true, "n > 3": false} {
		if got, err := eval(v, s, source, graph.Guards); err != nil || got != want {
			t.Errorf("the guard %s is %v (%v), want %v", source, got, err, want)
		}
	}
	if len(v.set) > 0 {
		t.Errorf("to look at variables has set %v", v.set)
	}
}

func TestSourcesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		use          graph.Use
		source, says string
	}{
		{graph.Guards, "", "it is empty"},
		{graph.Guards, "return", "this is not ECMAScript"},
		{graph.Yields, "{p: 1", "this is not ECMAScript"},
		{graph.Yields, "a) + (b", "not one expression"},
		{graph.Yields, "a; b", "this is not ECMAScript"},
		{graph.Locates, "a + b", "no location"},
		{graph.Locates, "1", "no location"},
		{graph.Executes, "var = 1", "this is not ECMAScript"},
		{graph.Yields, strings.Repeat("(", 1000) + strings.Repeat(")", 1000), "deeper than 500"},
		{graph.Executes, strings.Repeat("a();", 100_000), "longer than"},
	} {
		_, err := scxml.Language{}.Compile(c.source, c.use, nil)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40q: %v, want one that says %q", c.source, err, c.says)
		}
	}
}

func TestAssign(t *testing.T) {
	v := vars("a", "b")
	s := scxml.Language{}.Begin(v)
	for _, c := range []struct {
		location string
		value    any
		says     string
	}{
		{"a", map[string]any{"list": []any{int64(1)}}, ""},
		{"a.list[1]", "two", ""},
		{"a['deep']", map[string]any{}, ""},
		{"a.missing.part", 1, "TypeError"},
		{"unknown", 1, "ReferenceError: unknown is not defined"},
		{"_event", 1, "_event cannot be assigned to"},
		{"_sessionid", 1, "_sessionid cannot be assigned to"},
		{"_ioprocessors.scxml", 1, "TypeError"},
	} {
		x, err := scxml.Language{}.Compile(c.location, graph.Locates, v.env)
		if err == nil {
			err = s.Assign(x, c.value)
		}
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("assign to %s: %v, want %q", c.location, err, c.says)
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": map[string]any{"list": []any{int64(1), "two"}, "deep": map[string]any{}}}
	if !reflect.DeepEqual(v.values, want) {
		t.Errorf("the variables are %v, want %v", v.values, want)
	}
}

func TestVariablesOutliveAStep(t *testing.T) {
	v := vars("n", "list", "twice", "doc", "odd")
	run(t, v, `n = 1; list = []; twice = function(x) { return 2 * x }; doc = $xml('<a><b t="x">text</b></a>'); odd = {"$js": "alert()"}`)
	v.reload(t)
	run(t, v, `n = twice(n); list.push(n)`)
	if want := []string{"n", "list"}; !reflect.DeepEqual(v.set, want) {
		t.Errorf("set were %v, and %v has changed", v.set, want)
	}
	v.reload(t)
	s := scxml.Language{}.Begin(v)
	for source, want := range map[string]any{
		"list": []any{int64(2)},
		"doc.getElementsByTagName('b')[0].getAttribute('t')": "x",
		"doc.documentElement.textContent":                    "text",
		"typeof odd['$js']":                                  "string",
	} {
		if got, err := eval(v, s, source, graph.Yields); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v (%v), want %#v", source, got, err, want)
		}
	}
}

// What comes from outside is never a function, whatever it says.
func TestDataIsNoProgram(t *testing.T) {
	v := vars("kept")
	v.locals["event"] = map[string]any{"name": "e", "data": map[string]any{"$js": "function() { return 1 }"}}
	run(t, v, `kept = _event.data`)
	v.reload(t)
	s := scxml.Language{}.Begin(v)
	if got, err := eval(v, s, "typeof kept", graph.Yields); err != nil || got != "object" {
		t.Errorf("data has become a %v (%v)", got, err)
	}
	for _, source := range []string{"eval('1')", "new Function('return 1')()", "(function() {}).constructor('return 1')()", "(() => 1).constructor('return 1')()"} {
		if got, err := eval(v, s, source, graph.Yields); err == nil {
			t.Errorf("%s is %v, and a text must not become a program", source, got)
		}
	}
}

func TestScriptOfADefinition(t *testing.T) {
	v := vars("count", "lib", "x")
	v.env.Script = `var count = 0; var lib = {bump: function() { count++; return count }}; function add(n) { count += n } x = 1`
	run(t, v, v.env.Script, `add(5)`)
	if v.values["count"] != int64(5) || v.values["x"] != int64(1) {
		t.Fatalf("the variables are %v", v.values)
	}
	if _, kept := v.values["lib"]; kept {
		t.Errorf("what the script makes again is kept: %v", v.values)
	}
	v.reload(t)
	run(t, v, `lib.bump(); add(10)`)
	if v.values["count"] != int64(16) {
		t.Errorf("count is %v, want 16: the script has begun again", v.values["count"])
	}
}

func TestBounds(t *testing.T) {
	v := vars("x")
	s := scxml.Language{}.Begin(v)
	for source, says := range map[string]string{
		"for (;;) {}": "longer than 1s",
		"try { for (;;) {} } catch (e) {} finally { x = 1 }": "longer than 1s",
		"(function f() { f() })()":                           "deeper than 1000",
		"x = {}; x.x = x":                                    "refers to itself",
		"x = []; for (var i = 0; i < 300; i++) x = [x]":      "deeper than",
		"x = new Array(1e9)":                                 "parts",
		"x = 'a'; for (var i = 0; i < 24; i++) x += x":       "bytes of text",
		"throw new Error('as it is')":                        "Error: as it is",
		"$graph('nowhere', {})":                              "no document",
		"$xml('<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>')": "not XML",
		"/^(?=(a|aa)+$)/.test('a'.repeat(60) + 'b')":         "longer than 1s", // all of it in one thing that is built in
		"x = Symbol('s')":                                    "cannot be kept",
	} {
		begun := time.Now()
		_, err := eval(v, s, source, graph.Executes)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want one that says %q", source, err, says)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s has taken %v", source, took)
		}
	}
	if got, err := eval(v, s, "1 + 1", graph.Yields); err != nil || got != int64(2) {
		t.Errorf("after all that 1 + 1 is %v (%v)", got, err)
	}
}

func TestFunctionsOfGo(t *testing.T) {
	v := vars()
	v.env.Funcs = map[string]graph.Func{
		"join": func(args ...any) (any, error) { return fmt.Sprint(args...), nil },
		"no":   func(...any) (any, error) { return nil, errors.New("it is not to be had") },
	}
	s := scxml.Language{}.Begin(v)
	if got, err := eval(v, s, "join('a', 1, [true])", graph.Yields); err != nil || got != "a1 [true]" {
		t.Errorf("join gives %v (%v)", got, err)
	}
	if _, err := eval(v, s, "no()", graph.Yields); err == nil || !strings.Contains(err.Error(), "it is not to be had") {
		t.Errorf("no gives %v", err)
	}
}

// A function of Go that panics fails its expression, as one that returns an error does,
// and the session goes on.
func TestFunctionOfGoThatPanics(t *testing.T) {
	v := vars("n")
	v.env.Funcs = map[string]graph.Func{"fall": func(args ...any) (any, error) { return args[0], nil }}
	s := scxml.Language{}.Begin(v)
	for source, want := range map[string]any{
		"fall(1)": int64(1), "fall()": "the function fall has panicked: runtime error: index out of range",
		"(function() { for (let i = 0; i < 3; i++) { let n = i; fall() } })()": "the function fall has panicked",
		"(function() { try { fall() } catch (e) { return 'caught' } })()":      "caught",
		"(function() { try { fall() } finally { n = 7 } })()":                  "the function fall has panicked",
		"[1].map(function() { return fall() })":                                "the function fall has panicked",
	} {
		got, err := eval(v, s, source, graph.Yields)
		if text, is := want.(string); is && err != nil && strings.Contains(err.Error(), text) && !strings.Contains(err.Error(), "goroutine") {
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", source, got, err, want)
		}
	}
	if got, err := eval(v, s, "(function() { var a = [1, 2].map(function(x) { return fall(x) }); return a[1] + n })()", graph.Yields); err != nil || got != int64(9) {
		t.Errorf("after all that it is %v (%v)", got, err)
	}
}

// A host may keep values as bytes, and set variables itself.
func TestHostThatKeepsBytes(t *testing.T) {
	v := &copying{*vars("list", "n")}
	run2 := func(source string) {
		t.Helper()
		s := scxml.Language{}.Begin(v)
		x, err := scxml.Language{}.Compile(source, graph.Executes, v.env)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := s.Eval(x); err != nil {
				t.Fatal(err)
			}
		}
		v.values["n"] = int64(100) // behind the session's back
		if got, err := eval(&v.variables, s, "n", graph.Yields); err != nil || got != int64(100) {
			t.Errorf("n is %v (%v), and the host has made it 100", got, err)
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
	}
	v.values["list"] = []any{}
	run2(`list.push(list.length); n = list.length`)
	if want := []any{0.0, 1.0}; !reflect.DeepEqual(mustJSON(t, v.values["list"]), want) {
		t.Errorf("the list is %v, want %v", v.values["list"], want)
	}
}

type copying struct{ variables }

func (c *copying) Get(name string) (any, bool) {
	x, ok := c.values[name]
	if m, is := x.(map[string]any); is {
		return maps.Clone(m), ok
	}
	if l, is := x.([]any); is {
		return append([]any{}, l...), ok
	}
	return x, ok
}

func mustJSON(t *testing.T, v any) any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var x any
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatal(err)
	}
	return x
}
