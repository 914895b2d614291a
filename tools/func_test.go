package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/tools"
)

type refund struct {
	Order  int      `json:"order" jsonschema:"description=Order number,minimum=1"`
	Amount float64  `json:"amount" jsonschema:"exclusiveMinimum=0,maximum=500"`
	Reason string   `json:"reason,omitempty"`
	Items  []string `json:"items,omitempty"`
	Any    any      `json:"any,omitempty"`
}

type payment struct {
	ID    string   `json:"id"`
	Lines []string `json:"lines"`
}

func pay(ctx context.Context, r refund) (payment, error) {
	return payment{ID: agent.CallFrom(ctx).Key}, nil
}

func TestFuncDeclares(t *testing.T) {
	reconcile := tools.Reconcile(pay)
	o := &tools.Options{
		Effect: agent.Idempotent, Approve: agent.Always, Timeout: time.Second, Limit: 3,
		Retry: agent.Retry{Attempts: 4}, Reconcile: reconcile,
	}
	tool := tools.Func("refund", "Pay an order back.", pay, o)
	if tool.Name != "refund" || tool.Description != "Pay an order back." || tool.Effect != agent.Idempotent || tool.Approve == nil ||
		tool.Timeout != time.Second || tool.Limit != 3 || tool.Retry.Attempts != 4 || tool.Reconcile == nil {
		t.Errorf("got %+v", tool)
	}
	for _, tt := range []struct {
		args, want string
	}{
		{`{"order": 1, "amount": 20}`, ""},
		{`{"order": 0, "amount": 900, "oder": 1}`, `unknown field "oder" – did you mean "order"?; amount: must be ≤ 500, got 900; order: must be ≥ 1, got 0`},
	} {
		if err := schema.Validate(tool.Input, []byte(tt.args)); err != nil && err.Error() != tt.want || err == nil && tt.want != "" {
			t.Errorf("%s: got %v, want %s", tt.args, err, tt.want)
		}
	}
	got, err := tool.Call(agent.WithCall(t.Context(), agent.CallInfo{Key: "<k&1>"}), []byte(`{"order": 1, "amount": 2}`))
	if err != nil || string(got) != `{"id":"<k&1>","lines":null}` {
		t.Errorf("got %s, %v", got, err)
	}
	if err := schema.Validate(tool.Output, got); err != nil {
		t.Errorf("what it gave does not fit its own schema: %v", err)
	}
	if tool := tools.Func("any", "", func(context.Context, struct{}) (any, error) { return nil, nil }, nil); tool.Output != nil {
		t.Errorf("the schema of any result is %s, want none", tool.Output)
	}
}

func TestFuncDecodesToTheLetter(t *testing.T) {
	var got refund
	called := false
	tool := tools.Func("refund", "", func(_ context.Context, r refund) (struct{}, error) {
		got, called = r, true
		return struct{}{}, nil
	}, nil)
	for _, tt := range []struct {
		args string
		want refund
		err  string
	}{
		{args: `{"order": 1, "amount": 2.5}`, want: refund{Order: 1, Amount: 2.5}},
		{args: ` {"order": 1}`, want: refund{Order: 1}},
		{args: ``},
		{args: `{}`},
		{args: `{"order": 3.0, "reason": "3.0", "any": 1.50}`, want: refund{Order: 3, Reason: "3.0", Any: 1.5}},
		{args: `{"reason": "\"3.0", "order": 12.5e1}`, want: refund{Order: 125, Reason: `"3.0`}},
		{args: `{"order": -3e2}`, want: refund{Order: -300}},
		{args: `{"order": 3.5}`, err: `the arguments do not fit: order: expected a value of type int, got number 3.5`},
		{args: `{"order": 1e30}`, err: `order: expected a value of type int, got number 1e30`},
		{args: `{"order": 1e999999999}`, err: `order: expected a value of type int`},
		{args: `{"order": "1"}`, err: `order: expected a value of type int, got string`},
		{args: `{"oder": 1}`, err: `unknown field "oder"`},
		{args: `{"order": 1} {}`, err: `there is more after the JSON object`},
		{args: `{"order": `, err: `not valid JSON: they end in the middle`},
		{args: `null`, err: `must be a JSON object, got null`},
		{args: `[1]`, err: `must be a JSON object, got [1]`},
		{args: strings.Repeat(`{"any":`, 20000), err: `the arguments do not fit: `},
	} {
		got, called = refund{}, false
		_, err := tool.Call(t.Context(), []byte(tt.args))
		if tt.err == "" {
			if err != nil || !called || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%.80s: got %+v, %v", tt.args, got, err)
			}
			continue
		}
		if err == nil || called || !strings.Contains(err.Error(), tt.err) || !strings.HasPrefix(err.Error(), "tool refund: ") {
			t.Errorf("%.80s: got %v (called: %v), want %s", tt.args, err, called, tt.err)
		} else if !agent.IsNotDone(err) {
			t.Errorf("%.80s: the error of a call that was not made is not marked: %v", tt.args, err)
		}
	}
}

type loop struct{ Next *loop }

func TestFuncErrors(t *testing.T) {
	own := errors.New("the bank is closed")
	_, err := tools.Func("a", "", func(context.Context, struct{}) (int, error) { return 1, own }, nil).Call(t.Context(), nil)
	if err != own {
		t.Errorf("got %v, want the function's error as it is", err)
	}
	_, err = tools.Func("a", "", func(context.Context, struct{}) (float64, error) { return math.NaN(), nil }, nil).Call(t.Context(), nil)
	if err == nil || agent.IsNotDone(err) || err.Error() != "tool a: the call took place, but its result of type float64 has no JSON form: unsupported value: NaN" {
		t.Errorf("got %v", err)
	}
	_, err = tools.Func("a", "", func(context.Context, struct{}) (*loop, error) {
		l := &loop{}
		l.Next = l
		return l, nil
	}, nil).Call(t.Context(), nil)
	if err == nil || agent.IsNotDone(err) || !strings.Contains(err.Error(), "cycle") {
		t.Errorf("got %v", err)
	}
	_, err = tools.Func("a", "", func(context.Context, struct{}) (json.RawMessage, error) { return json.RawMessage("{"), nil }, nil).Call(t.Context(), nil)
	if err == nil || agent.IsNotDone(err) {
		t.Errorf("got %v", err)
	}
}

func TestReconcile(t *testing.T) {
	look := tools.Reconcile(func(_ context.Context, r refund) (payment, error) {
		switch r.Order {
		case 1:
			return payment{ID: "p1"}, nil
		case 2:
			return payment{}, agent.NotDone(errors.New("no such payment"))
		}
		return payment{}, errors.New("the bank is closed")
	})
	for _, tt := range []struct {
		args, want, err string
		notDone         bool
	}{
		{args: `{"order": 1}`, want: `{"id":"p1","lines":null}`},
		{args: `{"order": 2}`, err: "no such payment", notDone: true},
		{args: `{"order": 3}`, err: "the bank is closed"},
		// It cannot be told from arguments that do not decode: not NotDone.
		{args: `{"order": "x"}`, err: "reconcile: the arguments do not fit: order: expected a value of type int, got string"},
	} {
		got, err := look(t.Context(), []byte(tt.args))
		if tt.err == "" && (err != nil || string(got) != tt.want) || tt.err != "" && (err == nil || err.Error() != tt.err || agent.IsNotDone(err) != tt.notDone) {
			t.Errorf("%s: got %s, %v", tt.args, got, err)
		}
	}
}

func TestApproveIf(t *testing.T) {
	rule := tools.ApproveIf(func(ctx context.Context, r refund) *agent.Ask {
		if r.Amount > 100 {
			return &agent.Ask{Prompt: "more than 100 for " + agent.CallFrom(ctx).User.ID}
		}
		return nil
	})
	c := agent.CallInfo{User: agent.User{ID: "ann"}}
	if why, err := rule(t.Context(), c, []byte(`{"amount": 101}`)); err != nil || why == nil || why.Prompt != "more than 100 for ann" {
		t.Errorf("got %+v, %v", why, err)
	}
	if why, err := rule(t.Context(), c, []byte(`{"amount": 100}`)); why != nil || err != nil {
		t.Errorf("got %+v, %v", why, err)
	}
	if _, err := rule(t.Context(), c, []byte(`{"amuont": 101}`)); err == nil {
		t.Error("arguments that the rule cannot read were let pass")
	}
}

func TestFuncPanicsAtConstruction(t *testing.T) {
	fine := func(context.Context, struct{}) (int, error) { return 0, nil }
	for _, tt := range []struct {
		make func()
		want string
	}{
		{func() { tools.Func("", "", fine, nil) }, `tools.Func(""): the name is not one that models accept: use letters, digits, _ and -, from 1 to 64 in all`},
		{func() { tools.Func("pay back", "", fine, nil) }, `use letters, digits`},
		{func() { tools.Func(strings.Repeat("a", 65), "", fine, nil) }, `from 1 to 64`},
		{func() { tools.Func[struct{}, int]("a", "", nil, nil) }, `tools.Func("a"): the function is nil`},
		{func() { tools.Func("a", "", func(context.Context, int) (int, error) { return 0, nil }, nil) }, `takes a int: take a struct with a field for each argument`},
		{func() { tools.Func("a", "", func(context.Context, *refund) (int, error) { return 0, nil }, nil) }, `take the struct itself, tools_test.refund`},
		{func() { tools.Func("a", "", func(context.Context, time.Time) (int, error) { return 0, nil }, nil) }, `is not an object: time.Time has a JSON form of its own`},
		{func() {
			tools.Func("a", "", func(context.Context, struct{ C chan int }) (int, error) { return 0, nil }, nil)
		}, `no JSON Schema of its arguments: schema: struct { C chan int }.C: chan int has no JSON form`},
		{func() { tools.Func("a", "", func(context.Context, struct{}) (func(), error) { return nil, nil }, nil) }, `no JSON Schema of its result: schema: func() has no JSON form`},
		{func() {
			tools.Func("a", "", func(context.Context, struct {
				A string `jsonschema:"minimum=1"`
			}) (int, error) {
				return 0, nil
			}, nil)
		}, `the keyword "minimum" does not fit a field of JSON type "string"`},
		{func() { tools.Func("a", "", fine, &tools.Options{Effect: "twice"}) }, `the effect is "twice": take agent.Once`},
		{func() { tools.Func("a", "", fine, &tools.Options{Timeout: -1}) }, `the time-out is -1ns`},
		{func() { tools.Func("a", "", fine, &tools.Options{Limit: -1}) }, `the limit is -1`},
		{func() { tools.Func("a", "", fine, &tools.Options{Retry: agent.Retry{Attempts: -1}}) }, `the retry has a negative field`},
		{func() { tools.Reconcile[refund, int](nil) }, `tools.Reconcile: the function is nil`},
		{func() { tools.Reconcile(func(context.Context, string) (int, error) { return 0, nil }) }, `tools.Reconcile: the function takes a string`},
		{func() { tools.ApproveIf[refund](nil) }, `tools.ApproveIf: the function is nil`},
		{func() { tools.ApproveIf(func(context.Context, []int) *agent.Ask { return nil }) }, `tools.ApproveIf: the function takes a []int`},
		{func() { tools.Wrap(nil) }, `tools.Wrap: the tool is nil`},
		{func() { tools.Wrap(tools.Func("a", "", fine, nil), nil) }, `tools.Wrap("a"): middleware 0 is nil`},
		{func() {
			tools.Wrap(tools.Func("a", "", fine, nil), func(*agent.Tool) *agent.Tool { return nil })
		}, `tools.Wrap("a"): middleware 0 returned nil: it must return the tool`},
	} {
		if got := panicOf(tt.make); !strings.Contains(got, tt.want) {
			t.Errorf("got %s\nwant %s", got, tt.want)
		}
	}
}

func panicOf(f func()) (msg string) {
	defer func() { msg, _ = recover().(string) }()
	f()
	return "no panic"
}

func TestWrap(t *testing.T) {
	var order []string
	named := func(name string) tools.Middleware {
		return func(t *agent.Tool) *agent.Tool {
			next := t.Call
			t.Call = func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
				order = append(order, name)
				return next(ctx, args)
			}
			t.Description += " " + name
			t.Input[0] = ' '
			return t
		}
	}
	plain := tools.Func("a", "It.", func(context.Context, struct{}) (int, error) {
		order = append(order, "it")
		return 1, nil
	}, nil)
	before := *plain
	input := string(plain.Input)
	wrapped := tools.Wrap(plain, named("first"), named("second"))
	if _, err := wrapped.Call(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "first second it" {
		t.Errorf("called %s", got)
	}
	if wrapped.Description != "It. second first" {
		t.Errorf("got %q", wrapped.Description)
	}
	if plain.Description != before.Description || string(plain.Input) != input {
		t.Error("the tool that was given is changed")
	}
	order = nil
	if _, err := plain.Call(t.Context(), nil); err != nil || strings.Join(order, " ") != "it" {
		t.Errorf("the tool that was given is changed: %v", order)
	}
	if tools.Wrap(plain) == plain {
		t.Error("Wrap without middleware is not a copy")
	}
}

// What the schema lets pass must decode, and nothing may panic.
func FuzzFunc(f *testing.F) {
	type inner struct {
		N uint32           `json:"n,omitempty"`
		M map[string]int64 `json:"m,omitempty"`
	}
	type in struct {
		A int64     `json:"a" jsonschema:"minimum=-1000000,maximum=1000000"`
		B *string   `json:"b"`
		C []inner   `json:"c,omitempty"`
		D time.Time `json:"d,omitzero"`
		E bool      `json:"e,omitempty"`
		F any       `json:"f,omitempty"`
	}
	tool := tools.Func("fuzz", "", func(_ context.Context, v in) (in, error) { return v, nil }, nil)
	for _, s := range []string{`{"a": 1}`, `{"a": 1.0, "b": null, "c": [{"n": 3e2, "m": {"x": -1}}], "e": true, "f": [{}]}`,
		`{"a": 1, "d": "2006-01-02T15:04:05Z"}`, `{"A": 1}`, `{"a": "\u0000"}`, `[`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		out, err := tool.Call(t.Context(), args)
		if err != nil {
			if !agent.IsNotDone(err) {
				return // the result has no JSON form: a year beyond 9999
			}
			if schema.Validate(tool.Input, args) == nil && len(args) > 0 && !excused(err) {
				t.Errorf("the schema takes %q, but: %v", args, err)
			}
			return
		}
		if !json.Valid(out) {
			t.Errorf("%q gave %q", args, out)
		}
	})
}

// excused says whether an error is of a bound that the schema does not state:
// the bits of an integer, the range of a float64, and dates that are none.
func excused(err error) bool {
	return strings.Contains(err.Error(), "got number") || strings.Contains(err.Error(), "parsing time")
}
