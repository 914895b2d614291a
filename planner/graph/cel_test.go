package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// vars are the variables of a test.
type vars struct {
	env    *Env
	data   map[string]any
	locals map[string]any
	active []string
	asked  []string // names whose values were asked for
}

func (v *vars) Get(name string) (any, bool) {
	v.asked = append(v.asked, name)
	x, ok := v.data[name]
	return x, ok
}

func (v *vars) Local(name string) (any, bool) {
	v.asked = append(v.asked, name)
	x, ok := v.locals[name]
	return x, ok
}

func (v *vars) Set(name string, x any) { v.data[name] = x }
func (v *vars) In(node string) bool    { return slices.Contains(v.active, node) }
func (v *vars) Now() time.Time         { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }
func (v *vars) Env() *Env              { return v.env }

// shop returns the variables of a graph in a web shop, somewhere in the middle.
func shop() *vars {
	env := &Env{
		Input: json.RawMessage(`{
			"type": "object",
			"properties": {
				"amount": {"type": "number"},
				"name": {"type": ["string", "null"]},
				"open": {"type": "object", "additionalProperties": true},
				"by_sku": {"type": "object", "additionalProperties": {"type": "number"}},
				"order": {"$ref": "#/$defs/order"},
				"parent": {"anyOf": [{"$ref": "#/$defs/order"}, {"type": "null"}]},
				"content-type": {"type": "string"}
			},
			"$defs": {"order": {
				"type": "object",
				"properties": {
					"total": {"type": "number"}, "count": {"type": "integer"}, "note": {"type": "string"},
					"items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}, "price": {"type": "number"}}}}
				}
			}}
		}`),
		Data: []Datum{
			{ID: "price", Type: "number"}, {ID: "count", Type: "int"}, {ID: "paid", Type: "bool"}, {ID: "name", Type: "string"},
			{ID: "due", Type: "timestamp"}, {ID: "wait", Type: "duration"}, {ID: "tags", Type: "list"}, {ID: "notes", Type: "map"},
			{ID: "any"}, {ID: "nothing"}, {ID: "late"},
			{ID: "point", Schema: json.RawMessage(`{"properties": {"x": {"type": "number"}, "y": {"type": "number"}}}`)},
		},
		Locals: []string{"event", "item"},
		Funcs: map[string]Func{
			"types":    func(args ...any) (any, error) { return fmt.Sprintf("%T", args), nil },
			"first":    func(args ...any) (any, error) { return args[0], nil },
			"shop.vat": func(args ...any) (any, error) { return map[string]int{"rate": 19}, nil },
			"fails":    func(args ...any) (any, error) { return nil, errors.New("no such country") },
			"panics":   func(args ...any) (any, error) { panic("oh") },
			"chan":     func(args ...any) (any, error) { return make(chan int), nil },
		},
		Nodes: []string{"pay", "ship.box"},
	}
	order := map[string]any{"total": 2.5, "count": int64(2), "items": []any{
		map[string]any{"sku": "a", "price": int64(3)}, map[string]any{"sku": "b", "price": 4.5},
	}}
	return &vars{
		env: env,
		data: map[string]any{
			"price": int64(5), "count": int64(3), "paid": true, "name": "Ada", "due": "2026-03-05T00:00:00Z", "wait": "36h0m0s",
			"tags": []any{"red", "old"}, "notes": map[string]any{"a": int64(1)}, "any": int64(5), "nothing": nil,
			"point": map[string]any{"x": int64(1), "y": int64(2)},
		},
		locals: map[string]any{
			"input": map[string]any{
				"amount": int64(5), "name": nil, "open": map[string]any{"n": int64(7)}, "by_sku": map[string]any{"a": int64(3)},
				"order": order, "parent": nil, "content-type": "text/plain",
			},
			"event": map[string]any{"name": "pay.done", "data": map[string]any{"n": int64(5), "text": "x", "id": int64(9007199254740993)}},
			"item":  int64(1),
			"user":  map[string]any{"id": "u1", "name": "Ada", "groups": []any{"staff"}},
			"meta":  map[string]string{"tenant": "t1"},
			"saga":  map[string]any{"done": []any{"pay"}, "undone": []any{}},
		},
		active: []string{"pay"},
	}
}

// eval compiles and evaluates an expression of CEL.
func eval(v *vars, source string, use Use) (any, error) {
	l := languageOf("")
	x, err := l.Compile(source, use, v.env)
	if err != nil {
		return nil, fmt.Errorf("refused: %w", err)
	}
	s := l.Begin(v)
	out, err := s.Eval(x)
	return out, errors.Join(err, s.End())
}

func TestCEL(t *testing.T) {
	tests := []struct {
		source string
		want   any
	}{
		// What an expression sees.
		{`input.order.count`, int64(2)},
		{`input.open.n`, int64(7)},
		{"input.`content-type`", "text/plain"},
		{`input.parent == null`, true},
		{`input.name == null`, true},
		{`has(input.order.note)`, false},
		{`event.name`, "pay.done"},
		{`event.data.n`, int64(5)},
		{`event.data.id`, int64(9007199254740993)},
		{`item + 1`, int64(2)},
		{`user.id + " " + user.groups[0]`, "u1 staff"},
		{`meta.tenant`, "t1"},
		{`saga.done`, []any{"pay"}},
		{`now`, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)},
		{`active("pay") && !active("ship.box")`, true},
		{`nothing == null`, true},

		// Values are what JSON has.
		{`null`, nil},
		{`{"a": [1, 2.5, "x", null, true], "b": {}}`, map[string]any{"a": []any{int64(1), 2.5, "x", nil, true}, "b": map[string]any{}}},
		{`{1: "a", true: "b"}`, map[string]any{"1": "a", "true": "b"}},
		{`5.0`, int64(5)},
		{`3u`, int64(3)},
		{`input.order`, map[string]any{"total": 2.5, "count": int64(2), "items": []any{
			map[string]any{"sku": "a", "price": int64(3)}, map[string]any{"sku": "b", "price": 4.5}}}},

		// A number is a number.
		{`input.amount * 2`, int64(10)},
		{`input.amount / 2`, 2.5},
		{`input.amount == 5 && input.amount != 4`, true},
		{`input.amount in [5, 6]`, true},
		{`input.amount > 4 && 5.5 > input.amount`, true},
		{`price / 2 + count`, 5.5},
		{`price % 2`, int64(1)},
		{`-price`, int64(-5)},
		{`string(price)`, "5"},
		{`paid ? price : 1`, int64(5)},
		{`paid ? 1 : 2.5`, int64(1)},
		{`1 == 2.5 || 2 == 2.0`, true},
		{`any / 2`, 2.5},
		{`any * 2.5`, 12.5},
		{`event.data.id / 1`, int64(9007199254740993)},
		{`any % 2`, int64(1)},
		{`5 / 2`, int64(2)},
		{`count / 2`, int64(1)},
		{`point.x / point.y`, 0.5},
		{`input.by_sku.a / 2`, 1.5},
		{`input.order.items.map(i, i.price / 2)`, []any{1.5, 2.25}},
		{`input.order.items[0].price / 2`, 1.5},
		{`math.greatest(1, 2.5)`, 2.5},

		// Null beside anything.
		{`tags == null`, false},
		{`null != notes`, true},
		{`paid ? tags : null`, []any{"red", "old"}},

		// Times.
		{`due > now && due - now < wait`, true},
		{`now + duration("1d12h") == now + wait`, true},
		{`duration("-1h") < duration("0s")`, true},
		{`wait`, 36 * time.Hour},
		{`due.getFullYear()`, int64(2026)},

		// Functions.
		{`types(1, 2.5, "a", null, true, [])`, "[]interface {}"},
		{`first(price)`, int64(5)},
		{`first({"a": 1.0}) == {"a": 1}`, true},
		{`shop.vat(1).rate`, int64(19)},
		{`tags.join("-").upperAscii()`, "RED-OLD"},
		{`"a,b".split(",")`, []any{"a", "b"}},
		{`sets.contains(tags, ["old"])`, true},
		{`[3, 1, 2].sort()`, []any{int64(1), int64(2), int64(3)}},
		{`tags.exists(t, t == "old") ? "used" : "new"`, "used"},
		{`"%s has %d".format([name, count])`, "Ada has 3"},
		{`input.order.items.filter(i, i.price > 3).map(i, i.sku)`, []any{"b"}},
		{`dyn(input.order).exists(k, k == "total")`, true},
	}
	v := shop()
	for _, tt := range tests {
		got, err := eval(v, tt.source, Yields)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s\n got %#v, %v\nwant %#v", tt.source, got, err, tt.want)
		}
	}
}

func TestCELErrors(t *testing.T) {
	tests := []struct {
		source string
		want   string
	}{
		// At load.
		{`input.order.totl > 5`, `refused: input.order has no field "totl" – did you mean "total"? (it has count, items, note, total)`},
		{`input.order.items.all(i, i.prize > 1)`, `refused: i has no field "prize" – did you mean "price"? (it has price, sku)`},
		{`user.mail`, `refused: user has no field "mail" (it has groups, id, name)`},
		{`event.nam`, `refused: event has no field "nam" – did you mean "name"? (it has by, data, name)`},
		{`has(input.order.x)`, `refused: input.order has no field "x" (it has count, items, note, total)`},
		{`prise`, `refused: there is no "prise" – did you mean "price"? (what is seen here: any, count, due, event, input, item, late, meta, name, notes, nothing, now, paid, point, price, saga, tags, user, wait)`},
		{`result.id`, `refused: result is not seen here: it is seen in the output of an activity, and in edges that react to its end`},
		{`fist(1)`, `refused: there is no function "fist" – did you mean "first"? (in Options.Funcs, where more can be registered, are chan, fails, first, panics, shop.vat, types)`},
		{`input.total()`, `refused: there is no function "total" (in Options.Funcs, where more can be registered, are chan, fails, first, panics, shop.vat, types)`},
		{`active("ship.bux")`, `refused: active("ship.bux"): there is no such node – did you mean "ship.box"?`},
		{`active(1)`, `refused: active(1): active does not take (int)`},
		{`name > 5`, `refused: name > 5: > does not take (string, int)`},
		{`name + count`, `refused: name + count: + does not take (string, int): string(…) makes text of what is none`},
		{`input.order == {"count": 2}`, `refused: input.order == {"count": 2}: == does not take (input.order, map(string, int)): dyn(…) takes an object as a map`},
		{`input.order.map(k, k)`, `refused: what is gone through is a list or a map, and this is of the type input.order: dyn(…) takes an object as a map`},
		{`name.first`, `refused: name has no fields: it is of the type string`},
		{`paid ? 1 : "x"`, `refused: paid ? 1 : "x": ? : does not take (bool, int, string): both ways are of one type, or dyn(…) makes one of them any`},
		{`tags.all(t, "x")`, `refused: "x" is of the type string, and bool is expected`},
		{`duration("soon")`, `refused: "soon" is no text that duration takes: expected such as "36h", "2w" or "P3DT4H"`},
		{`name.matches("[")`, `refused: "[" is no text that matches takes: expected a regular expression`},
		{`1 +`, `refused: this is not an expression of CEL: at character 4: mismatched input the end`},
		{"1 +\n* 2", `refused: this is not an expression of CEL: at line 2, character 1: extraneous input '*'`},
		{` `, `refused: the expression is empty`},

		// When it is evaluated.
		{`input.order.note`, `input.order has no field "note": ask with has(input.order.note) whether it is there`},
		{`event.data.x.y`, `event.data has no field "x": ask with has(event.data.x) whether it is there`},
		{`nothing.x`, `nothing is null here, and has no field "x"`},
		{`late == 1`, `the variable late has no value yet`},
		{`event.data.n + "x"`, `+ does not take the number 5 and the text "x"`},
		{`event.data.text > 1`, `> does not take the text "x" and the number 1`},
		{`input.name + "!"`, `+ does not take null and the text "!"`},
		{`!event.data.text`, `! does not take the text "x"`},
		{`event.data.text.distinct()`, `distinct does not take the text "x"`},
		{`event.data.text.indexOf(event.data.n)`, `indexOf does not take the text "x" and the number 5`},
		{`event.data.text ? 1 : 2`, `a condition in it is neither true nor false, or a value is of another kind than is expected of it`},
		{`any.all(x, true)`, `what it goes through is neither a list nor a map`},
		{`any / 0`, `division by zero`},
		{`5 / 0`, `division by zero`},
		{`price / 0`, `division by zero`},
		{`1.0 / 0.0`, `the number is infinite, or none at all: it has no JSON form`},
		{`tags[2]`, `index out of bounds: 2`},
		{`9223372036854775807 + 1`, `integer overflow`},
		{`b"x"`, `the result is bytes, which JSON does not have: make text of them with string(…)`},
		{`type(1)`, `the result is a type, which JSON does not have`},
		{`fails(1)`, `fails: no such country`},
		{`panics(1)`, `the function panics has panicked: oh`},
		{`chan(1)`, `what chan has returned: a chan int has no JSON form: json: unsupported type: chan int`},
	}
	v := shop()
	for _, tt := range tests {
		got, err := eval(v, tt.source, Yields)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s\n got %v, %v\nwant %s", tt.source, got, err, tt.want)
		}
	}
}

func TestCELGuards(t *testing.T) {
	tests := []struct {
		source string
		want   any
		err    string
	}{
		{`paid`, true, ""},
		{`count > 3`, false, ""},
		{`any == 5`, true, ""},
		{`event.data.n == 5 && paid`, true, ""},
		{`first(true)`, true, ""},
		{`count`, nil, "refused: a condition is true or false, and this is of the type int: compare it with something"},
		{`any`, nil, "a condition is true or false, and this is the number 5"},
		{`nothing`, nil, "a condition is true or false, and this is null"},
	}
	v := shop()
	for _, tt := range tests {
		got, err := eval(v, tt.source, Guards)
		if text := fmt.Sprint(err); got != tt.want || (err != nil || tt.err != "") && text != tt.err {
			t.Errorf("%s\n got %v, %v\nwant %v, %s", tt.source, got, err, tt.want, tt.err)
		}
	}
}

func TestCELHasNoStatements(t *testing.T) {
	for _, use := range []Use{Locates, Executes} {
		if _, err := eval(shop(), "price", use); err == nil || !strings.Contains(err.Error(), "use set") {
			t.Errorf("use %d: %v", use, err)
		}
	}
	if err := languageOf("cel").Begin(shop()).Assign(nil, 1); err == nil {
		t.Error("CEL has assigned")
	}
}

// TestCELEnvIsRefused shows what cannot be declared.
func TestCELEnvIsRefused(t *testing.T) {
	nop := func(...any) (any, error) { return nil, nil }
	tests := []struct {
		env  *Env
		want string
	}{
		{&Env{Data: []Datum{{ID: "input"}}}, `the variable "input" needs another name: expressions know something else by it`},
		{&Env{Data: []Datum{{ID: "for"}}}, `the variable "for" needs another name: it is a word of CEL`},
		{&Env{Data: []Datum{{ID: "x", Type: "float"}}}, `the variable "x" has the type "float": expected any, bool, int, number, string, list, map, timestamp or duration`},
		{&Env{Input: json.RawMessage(`{`)}, `the schema of input: this is not JSON: unexpected EOF`},
		{&Env{Funcs: map[string]Func{"size": nop}}, `the function "size" needs another name: CEL has its own of this name`},
		{&Env{Funcs: map[string]Func{"all": nop}}, `the function "all" needs another name: CEL has its own of this name`},
		{&Env{Funcs: map[string]Func{"a-b": nop}}, `the function "a-b" needs another name: letters, digits and _, not beginning with a digit, and dots between`},
		{&Env{Funcs: map[string]Func{"f": nil}}, `the function "f" is nil`},
	}
	for _, tt := range tests {
		for range 2 { // also when it is tried again
			if _, err := languageOf("cel").Compile("true", Guards, tt.env); err == nil || err.Error() != tt.want {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		}
	}
}

// TestCELReadsWhatItUses shows that an expression decodes no variable that it does not
// need, and sees each one as it is at that time.
func TestCELReadsWhatItUses(t *testing.T) {
	v := shop()
	l := languageOf("cel")
	x, err := l.Compile("count > 2 || price > 2", Guards, v.env)
	if err != nil {
		t.Fatal(err)
	}
	s := l.Begin(v)
	if got, err := s.Eval(x); got != true || err != nil {
		t.Fatal(got, err)
	}
	if want := []string{"count"}; !slices.Equal(v.asked, want) {
		t.Errorf("asked for %v, want %v", v.asked, want)
	}
	v.Set("count", int64(1))
	v.Set("price", 1.5)
	if got, err := s.Eval(x); got != false || err != nil {
		t.Errorf("after the change: %v, %v", got, err)
	}
}

// TestCELIsBounded shows that no expression takes more than moments, or much memory.
func TestCELIsBounded(t *testing.T) {
	big := make([]any, 50_000)
	for i := range big {
		big[i] = map[string]any{"n": int64(i), "s": "abc"}
	}
	v := &vars{
		env:  &Env{Data: []Datum{{ID: "big"}, {ID: "text", Type: "string"}, {ID: "small", Type: "list"}}},
		data: map[string]any{"big": big, "text": strings.Repeat("ab", 1<<20), "small": []any{int64(1)}},
	}
	wide := "[" + strings.Repeat("a,", 300) + "a]"
	refused := []string{
		strings.Repeat("(", 5000), strings.Repeat("small[", 2000), strings.Repeat("-", 20_000) + "1", strings.Repeat("x+", 8000) + "1",
		strings.Repeat("small.all(a,", 1000), strings.Repeat("'", 8001), strings.Repeat("{", 5000), strings.Repeat("x?x:", 4000) + "x",
		"[1]" + strings.Repeat(".map(a, a)", 10), `text.matches("(((a{10}){10}){10}){10}")`, strings.Repeat("small == small && ", 1500) + "true",
	}
	ended := []string{
		`text.replace("", text)`, `text.indexOf(text + "b")`, `text.split("")`, `text.matches("(a*)*b")`, `big.distinct()`,
		`small.map(a, text.replace("a", text))`, `[text].map(a, a + a + a + a).map(a, a + a + a + a).map(a, a + a + a + a).map(a, [a, a, a, a])`,
		`lists.range(100000).map(a, lists.range(100000))`, `lists.range(100000).map(a, lists.range(100000).map(b, a * b))`,
		`big.all(b, big == big)`, strings.Repeat("big == big && ", 99) + "true", `big.exists(b, [b, big].distinct() == [])`,
		`lists.range(100000).map(a, string(a) + text)`, `lists.range(3000).map(a, text)`, `[` + strings.Repeat("text,", 60) + `text].join()`,
		`small.map(a, ` + wide + `).map(a, ` + wide + `).map(a, ` + wide + `)`,
		`small.map(a, ` + wide + `).map(a, ` + wide + `).map(a, ` + wide + `).map(a, a == a)`,
		`small.map(a, ` + wide + `).map(a, ` + wide + `).map(a, ` + wide + `).map(a, "%s".format([a]).size())`,
	}
	fine := []string{
		`big.map(b, b.n).size()`, `big.filter(b, b.n > 25000 && b.s == "abc").size()`, `big == big`, `big.exists(b, b.n == 49999)`,
		`lists.range(100000).map(a, a * 2).size()`, `text.indexOf("b")`, `big.map(b, b.n).sort()[0]`, `text.contains("ba")`, `big`,
	}
	const most = 20 * time.Second // it is some 2 seconds on a slow machine
	try := func(source string, want func(error) bool) {
		start := time.Now()
		_, err := eval(v, source, Yields)
		d := time.Since(start)
		if d > most || !want(err) {
			t.Errorf("%.80s: %v, after %v", source, err, d)
		}
	}
	for _, s := range refused {
		try(s, func(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "refused: ") })
	}
	for _, s := range ended {
		try(s, func(err error) bool {
			return err != nil && (strings.Contains(err.Error(), "too much to do") || strings.Contains(err.Error(), "too large"))
		})
	}
	for _, s := range fine {
		try(s, func(err error) bool { return err == nil })
	}
}

func TestCELIsSafeForGoroutines(t *testing.T) {
	v := shop()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			own := shop()
			own.env = v.env
			for range 20 {
				if got, err := eval(own, fmt.Sprintf("input.order.count + %d", i), Yields); got != int64(2+i) || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
				if _, err := eval(own, "input.order.totl", Yields); err == nil || !strings.Contains(err.Error(), "total") {
					t.Error(err)
				}
				if _, err := eval(own, `event.data.text + 1`, Yields); err == nil {
					t.Error("text and number were added")
				}
			}
		})
	}
	group.Wait()
}

func FuzzCEL(f *testing.F) {
	for _, s := range []string{
		`input.order.total * 2 > price`, `tags.map(t, t + "x").join(",")`, `[1, 2].all(x, x > 1 ? true : any == 2)`, `{"a": [now, wait]}`,
		`active("pay") || has(event.data.n)`, "'''a''' + r'\\'", `dyn(input).map(k, k)`, `first([1.5, null])`, `"%s %.2f".format([tags, price])`,
	} {
		f.Add(s)
	}
	v := shop()
	f.Fuzz(func(t *testing.T, source string) {
		start := time.Now()
		out, err := eval(v, source, Yields)
		if d := time.Since(start); d > 20*time.Second {
			t.Fatalf("%q took %v", source, d)
		}
		if err != nil {
			return
		}
		data, err := encodeValue(out)
		if err != nil {
			t.Fatalf("%q has given %#v: %v", source, out, err)
		}
		saved, err := decodeValue(data)
		if err != nil {
			t.Fatalf("%q has given %s: %v", source, data, err)
		}
		if plain, _ := normalise(out); !reflect.DeepEqual(saved, plain) {
			t.Fatalf("%q is %#v, and once it was saved %#v", source, plain, saved)
		}
	})
}

func BenchmarkCELGuard(b *testing.B) {
	for _, source := range []string{`input.amount > 4 && paid`, `event.data.n == 5`, `input.order.items.exists(i, i.price > 4)`} {
		b.Run(source, func(b *testing.B) {
			v := shop()
			l := languageOf("cel")
			x, err := l.Compile(source, Guards, v.env)
			if err != nil {
				b.Fatal(err)
			}
			s := l.Begin(v)
			b.ReportAllocs()
			for b.Loop() {
				v.asked = v.asked[:0]
				if got, err := s.Eval(x); got != true || err != nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}

func BenchmarkCELCompile(b *testing.B) {
	l := languageOf("cel")
	b.Run("expression", func(b *testing.B) {
		v := shop()
		for b.Loop() {
			if _, err := l.Compile(`input.amount > 4 && paid`, Guards, v.env); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("environment", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Compile(`input.amount > 4 && paid`, Guards, shop().env); err != nil {
				b.Fatal(err)
			}
		}
	})
}
