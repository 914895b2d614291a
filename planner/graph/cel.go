package graph

import (
	"errors"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

func init() { Register("cel", celLanguage{}) }

// celLanguage is CEL, the Common Expression Language (cel.dev), checked against the
// types of what an expression sees, with the functions of strings, lists, sets and
// math that its Go library adds, and these differences:
//
//   - A number of JSON is one number. Whole and other numbers may be mixed in
//     arithmetic and comparisons; / of two whole numbers is whole only if both are
//     known to be ints, as literals are, and otherwise exact: 5 / 2 is 2, but
//     event.data.n / 2 is 2.5 where n is 5. No number is infinite.
//   - duration("2w") knows d and w, as the durations of definitions do.
//   - active("node") says whether a node is active.
//   - An expression has bounds in length, time and memory, so that none can stop a worker.
type celLanguage struct{}

// A celExpr is a compiled expression.
type celExpr struct {
	program cel.Program
	checked *ast.AST
	env     *celEnv
	use     Use
	counted bool // what an evaluation costs
}

func (celLanguage) Compile(source string, use Use, env *Env) (Expr, error) {
	if use == Locates || use == Executes {
		return nil, errNoStatements
	}
	e, err := celEnvOf(env)
	if err != nil {
		return nil, err
	}
	checked, err := e.check(source)
	if err != nil {
		return nil, err
	}
	if kind := checked.OutputType().Kind(); use == Guards && kind != types.BoolKind && kind != types.DynKind {
		return nil, fmt.Errorf("a condition is true or false, and this is of the type %s: compare it with something", celTypeWords(cel.FormatCELType(checked.OutputType())))
	}
	options, counted := e.programOptions(checked.NativeRep())
	program, err := e.cel.Program(checked, options...)
	if err != nil {
		return nil, fmt.Errorf("the expression cannot be made ready: %w", err)
	}
	return &celExpr{program: program, checked: checked.NativeRep(), env: e, use: use, counted: counted}, nil
}

var errStepSpent = errors.New("the expressions of this step have done as much already as they may: have fewer loops around them, or a tool that does it")

var errNoStatements = errors.New("CEL has expressions, and neither statements nor places to assign to: use set, with the names of variables")

func (celLanguage) Begin(vars Variables) Session { return &celSession{vars: vars} }

// celSession evaluates. It is what CEL asks for the values of names, and decodes only
// those that an expression uses. It keeps none of them.
type celSession struct {
	vars  Variables
	env   *celEnv // of the expression that is being evaluated
	work  celWork // that it may still do
	spent int     // by all so far: work, and what was counted
}

func (s *celSession) Eval(x Expr) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("the expression cannot be evaluated: %v", r)
		}
	}()
	c, ok := x.(*celExpr)
	if !ok {
		return nil, fmt.Errorf("CEL was given an expression of another language, a %T", x)
	}
	work := celMostWork
	if s.spent >= celMostSession {
		if c.counted {
			return nil, errStepSpent
		}
		work = celFewWork
	}
	s.env, s.work = c.env, celWork{left: work}
	out, details, err := c.program.Eval(s)
	s.spent += work - s.work.left
	if cost := details.ActualCost(); cost != nil {
		s.spent += int(*cost)
	}
	if err != nil {
		return nil, c.explain(err, s)
	}
	if c.use == Guards {
		b, ok := out.(types.Bool)
		if !ok {
			return nil, fmt.Errorf("a condition is true or false, and this is %s", describeCEL(out))
		}
		return bool(b), nil
	}
	return plainOf(out)
}

func (s *celSession) Assign(Expr, any) error { return errNoStatements }

func (s *celSession) End() error { return nil }

// ResolveName implements [cel.Activation].
func (s *celSession) ResolveName(name string) (any, bool) {
	if s.env.locals[name] {
		v, ok := s.vars.Local(name)
		if !ok {
			return nil, true
		}
		return s.env.fit(name, v), true
	}
	if _, ok := s.env.data[name]; ok {
		v, ok := s.vars.Get(name)
		if !ok {
			return types.NewErr("the variable %s has no value yet", name), true
		}
		return s.env.fit(name, v), true
	}
	switch name {
	case "@work":
		return &s.work, true
	case "now":
		return s.vars.Now().In(time.UTC), true
	}
	if _, ok := s.env.shapes[name]; ok {
		if v, ok := s.vars.Local(name); ok {
			return s.env.fit(name, v), true
		}
		return types.NewErr("%s has no value here", name), true
	}
	return nil, false
}

// Parent implements [cel.Activation].
func (s *celSession) Parent() cel.Activation { return nil }

// ResolveFunction gives CEL the functions that depend on the state of the graph.
func (s *celSession) ResolveFunction(name string) (functions.LateBoundOp, bool) {
	if name != "active" {
		return nil, false
	}
	return func(_ string, args ...ref.Val) ref.Val {
		node, ok := args[0].(types.String)
		if !ok {
			return types.NewErr("active takes the id of a node as text, and not %s", describeCEL(args[0]))
		}
		return types.Bool(s.vars.In(string(node)))
	}, true
}
