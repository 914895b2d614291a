package graph

import (
	"encoding/json"
	"sync"
	"time"
)

// A Language evaluates the expressions of definitions.
type Language interface {
	// Compile prepares an expression, and checks it against what it may see. The
	// error says what is wrong with it, in words for whoever has written it.
	Compile(source string, use Use, env *Env) (Expr, error)

	// Begin opens the variables of a graph for the expressions of one step.
	Begin(vars Variables) Session
}

// Use says what an expression is for.
type Use uint8

// The uses of expressions.
const (
	Guards   Use = iota // a boolean
	Yields              // a value
	Locates             // a location that can be assigned to
	Executes            // statements
)

// Expr is an expression that a Language has compiled. It is the language's own.
type Expr any

// Env says what an expression may see. It is made once for all expressions that see
// the same, and is not changed once one of them has been compiled.
type Env struct {
	Input  json.RawMessage // JSON Schema of input; nil: anything
	Data   []Datum         // the variables
	Locals []string        // what it sees here beside input, user, meta, saga and now: event, result, failure, item, index, …
	Funcs  map[string]Func // that it may call
	Nodes  []string        // whose ids active() may name
	Script string          // of the definition

	mu    sync.Mutex
	ready any // what CEL has made of it
}

// Func is a Go function that expressions may call. It must be a pure function of its
// arguments, which are as JSON has them: nil, bool, int64, float64, string, []any and
// map[string]any.
type Func func(args ...any) (any, error)

// Variables are those of a graph in the middle of a step.
type Variables interface {
	Get(name string) (v any, ok bool)   // of a variable; not ok if it has no value yet
	Set(name string, v any)             // of a variable
	Local(name string) (v any, ok bool) // of Env.Locals, and of input, user, meta and saga
	In(node string) bool
	Now() time.Time
	Env() *Env
}

// A Session evaluates expressions of one graph, one after the other. Values are as
// in [Func], timestamps are time.Time and durations time.Duration.
type Session interface {
	Eval(x Expr) (any, error)
	Assign(location Expr, v any) error // only with Locates
	End() error                        // hands variables that were changed to Variables.Set
}

var (
	languagesMu sync.Mutex
	languages   = map[string]Language{}
)

// Register makes a language known by the name that Definition.Language has. It is
// for packages that add one, in their init.
func Register(name string, l Language) {
	languagesMu.Lock()
	defer languagesMu.Unlock()
	languages[name] = l
}

func languageOf(name string) Language {
	languagesMu.Lock()
	defer languagesMu.Unlock()
	if name == "" {
		name = "cel"
	}
	return languages[name]
}
