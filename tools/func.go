package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
)

// Options say what [Func] cannot know from the function. They are the
// declarations of agent.Tool, and mean the same; the zero value is a tool that
// runs once, without approval, for at most a minute.
type Options struct {
	Effect  agent.Effect
	Approve agent.Approval // see also ApproveIf
	Timeout time.Duration  // of one attempt; 0 means one minute
	Retry   agent.Retry
	Limit   int // how many calls at once in one worker; 0 means no limit of its own

	// Reconcile looks up what became of a call whose outcome was lost; make it
	// of a typed function with [Reconcile].
	Reconcile func(ctx context.Context, args json.RawMessage) (json.RawMessage, error)
}

// Func makes a tool of f. In is a struct, whose fields are the arguments; Out
// is any type that has a JSON form. nil Options are the zero value.
//
// An error of f is the error of the call, as it is. Arguments that do not
// decode into In, to the letter, are an error marked [agent.NotDone], as f was
// not called. A result that has no JSON form – NaN, for one – is an error that
// is not so marked.
//
// Func panics if the tool could never work: its name is not one, f is nil, In
// is not a struct, a type has no JSON form, a struct tag is wrong, or an option
// makes no sense. The message says what to do.
func Func[In, Out any](name, description string, f func(context.Context, In) (Out, error), o *Options) *agent.Tool {
	where := fmt.Sprintf("tools.Func(%q)", name)
	if err := checkName(name); err != nil {
		panic(where + ": " + err.Error())
	}
	if f == nil {
		panic(where + ": the function is nil: give the function that does the work")
	}
	mustBeStruct[In](where)
	t := &agent.Tool{Name: name, Description: description}
	t.Input = mustSchema(where, "arguments", schema.For, reflect.TypeFor[In]())
	if reflect.TypeFor[Out]().Kind() != reflect.Interface {
		t.Output = mustSchema(where, "result", schema.ForResult, reflect.TypeFor[Out]())
	}
	if o != nil {
		if err := o.check(); err != nil {
			panic(where + ": " + err.Error())
		}
		t.Effect, t.Approve, t.Timeout, t.Retry, t.Limit = o.Effect, o.Approve, o.Timeout, o.Retry, o.Limit
		t.Reconcile = o.Reconcile
	}
	t.Call = func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
		in, err := decode[In](args)
		if err != nil {
			return nil, agent.NotDone(fmt.Errorf("tool %s: %w", name, err))
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		b, err := encode(&out)
		if err != nil {
			return nil, fmt.Errorf("tool %s: the call took place, but its result of type %T has no JSON form: %w", name, out, err)
		}
		return b, nil
	}
	return t
}

// Reconcile makes an agent.Tool's Reconcile of f, which looks up what became of
// a begun call with these arguments: its result if it took place; an error
// marked [agent.NotDone] if it surely did not; any other error if that cannot
// be told now. In and Out are those of the tool.
//
// It panics if f is nil or In is not a struct.
func Reconcile[In, Out any](f func(context.Context, In) (Out, error)) func(context.Context, json.RawMessage) (json.RawMessage, error) {
	if f == nil {
		panic("tools.Reconcile: the function is nil: leave Options.Reconcile nil if there is no way to look a call up")
	}
	mustBeStruct[In]("tools.Reconcile")
	return func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
		// Neither of the errors here is marked NotDone: they say nothing of
		// whether the call took place.
		in, err := decode[In](args)
		if err != nil {
			return nil, fmt.Errorf("reconcile: %w", err)
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		b, err := encode(&out)
		if err != nil {
			return nil, fmt.Errorf("reconcile: the call took place, but its result of type %T has no JSON form: %w", out, err)
		}
		return b, nil
	}
}

// ApproveIf makes an approval rule of f, which returns nil if a call with these
// arguments needs no approval, and otherwise what to ask, as agent.Approval says.
// In is that of the tool: arguments that do not decode into it, to the letter, need
// approval.
// [agent.CallFrom] has the call's run, user and meta.
//
// It panics if f is nil or In is not a struct.
func ApproveIf[In any](f func(context.Context, In) *agent.Ask) agent.Approval {
	if f == nil {
		panic("tools.ApproveIf: the function is nil: leave Options.Approve nil if no call needs approval")
	}
	mustBeStruct[In]("tools.ApproveIf")
	return func(ctx context.Context, c agent.CallInfo, args json.RawMessage) (*agent.Ask, error) {
		in, err := decode[In](args)
		if err != nil {
			return nil, fmt.Errorf("approve: %w", err)
		}
		return f(agent.WithCall(ctx, c), in), nil
	}
}

func (o *Options) check() error {
	switch o.Effect {
	case agent.Once, agent.Idempotent, agent.ReadOnly:
	default:
		return fmt.Errorf("the effect is %q: take agent.Once, agent.Idempotent or agent.ReadOnly", o.Effect)
	}
	if o.Timeout < 0 {
		return fmt.Errorf("the time-out is %v: give a positive one, or 0 for a minute", o.Timeout)
	}
	if o.Limit < 0 {
		return fmt.Errorf("the limit is %d: give a positive one, or 0 for none", o.Limit)
	}
	if r := o.Retry; r.Attempts < 0 || r.Backoff < 0 || r.Max < 0 {
		return fmt.Errorf("the retry has a negative field: 0 stands for the default of each")
	}
	return nil
}

func checkName(name string) error {
	const most = 64
	ok := name != "" && len(name) <= most
	for _, r := range name {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("the name is not one that models accept: use letters, digits, _ and -, from 1 to %d in all", most)
	}
	return nil
}

func mustBeStruct[In any](where string) {
	switch t := reflect.TypeFor[In](); {
	case t.Kind() == reflect.Struct:
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		panic(fmt.Sprintf("%s: the function takes a %s: take the struct itself, %s", where, t, t.Elem()))
	default:
		panic(fmt.Sprintf("%s: the function takes a %s: take a struct with a field for each argument, or struct{} if there are none", where, t))
	}
}

func mustSchema(where, what string, f func(reflect.Type) (json.RawMessage, error), t reflect.Type) json.RawMessage {
	s, err := f(t)
	if err != nil {
		panic(fmt.Sprintf("%s: there is no JSON Schema of its %s: %v", where, what, err))
	}
	if what == "arguments" && !isObject(s) {
		panic(fmt.Sprintf("%s: the JSON form of its arguments is not an object: %s has a JSON form of its own; take a plain struct", where, t))
	}
	return s
}

// isObject reports whether the schema is that of objects.
func isObject(s json.RawMessage) bool {
	var root struct{ Type any }
	return json.Unmarshal(s, &root) == nil && root.Type == "object"
}
