package graph

import (
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// A celCall is a call that is done in our way: numbers mix in it, its work is
// counted beforehand, or its error says which values it does not take.
type celCall struct {
	interpreter.InterpretableCall
	do func(w *celWork, args []ref.Val) ref.Val
}

// Exec implements [interpreter.InterpretableV2].
func (c *celCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := make([]ref.Val, len(c.Args()))
	for i, a := range c.Args() {
		if args[i] = a.Exec(frame); types.IsUnknownOrError(args[i]) {
			return args[i]
		}
	}
	out := types.LabelErrNode(c.ID(), c.do(workOf(frame), args))
	if costs := frame.CostTracker(); costs != nil {
		costs.EvalVarArgs(frame, c.ID(), c, args, out)
	}
	return out
}

// Eval implements [interpreter.Interpretable].
func (c *celCall) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, c.Exec)
}

// decorate takes those calls over that CEL itself does not do as we want. known are
// the types of the expression's parts.
func (e *celEnv) decorate(known map[int64]*types.Type) interpreter.InterpretableDecoratorV2 {
	return func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		c, ok := i.(interpreter.InterpretableCall)
		if !ok {
			return i, nil
		}
		name := c.Function()
		scalars := !slices.ContainsFunc(c.Args(), func(a interpreter.InterpretableV2) bool { return !scalar(known[a.ID()]) })
		mixed := c.OverloadID() == "" || strings.HasPrefix(c.OverloadID(), "mixed_")
		switch {
		case name == operators.Equals || name == operators.NotEquals:
			if scalars {
				return i, nil
			}
			return &celCall{c, func(w *celWork, args []ref.Val) ref.Val {
				return types.Bool(w.equal(args[0], args[1]) == (name == operators.Equals))
			}}, nil
		case name == overloads.Matches:
			args := slices.Clone(c.Args())
			args[0] = &matchedText{args[0]}
			return interpreter.NewCall(c.ID(), name, c.OverloadID(), args, celImpls()[name]), nil
		case mixed && slices.Contains(celArithmetic, name):
			return &celCall{c, func(_ *celWork, args []ref.Val) ref.Val {
				return orNotTaken(name, args, celCompute(name, args[0], args[1]))
			}}, nil
		case e.source.Funcs[name] != nil:
			f := celFunc(name, e.source.Funcs[name])
			return &celCall{c, func(w *celWork, args []ref.Val) ref.Val {
				w.do(100)
				for _, a := range args {
					w.weigh(a)
				}
				return f(args...)
			}}, nil
		}
		impl, bound := celImpls()[name], celBounded[name]
		if impl == nil || bound == nil && !mixed && scalars {
			return i, nil
		}
		return &celCall{c, func(w *celWork, args []ref.Val) ref.Val {
			if bound != nil {
				bound(w, args)
			}
			return orNotTaken(name, args, impl(args...))
		}}, nil
	}
}

// orNotTaken returns what a function has returned, and says in words if it does not
// take its arguments.
func orNotTaken(name string, args []ref.Val, out ref.Val) ref.Val {
	if err, ok := out.(*types.Err); out == nil || ok && strings.HasPrefix(err.Error(), "no such overload") {
		return celNotTaken(name, args)
	}
	return out
}

// scalar reports whether all values of a type are scalars of that type, and not null.
func scalar(t *types.Type) bool {
	if t == nil || t.IsAssignableType(types.NullType) {
		return false
	}
	switch t.Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.TimestampKind, types.DurationKind:
		return true
	}
	return false
}

// matchedText is the text that a regular expression is held against.
type matchedText struct{ interpreter.InterpretableV2 }

// Exec implements [interpreter.InterpretableV2].
func (m *matchedText) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := m.InterpretableV2.Exec(frame)
	if s, ok := v.(types.String); ok {
		workOf(frame).do(len(s) * 20)
	}
	return v
}

// celImpls are CEL's functions by name.
var celImpls = sync.OnceValue(func() map[string]functions.FunctionOp {
	impls := map[string]functions.FunctionOp{}
	base, err := celBase()
	if err != nil {
		return impls
	}
	for name, decl := range base.Functions() {
		bindings, err := decl.Bindings()
		if err != nil {
			continue
		}
		for _, b := range bindings {
			if b.Operator == name && !b.LateBound && !b.NonStrict {
				impls[name] = celImplOf(b)
			}
		}
	}
	return impls
})

// celImplOf returns what a binding does, and nil where it does not take the arguments.
func celImplOf(b *functions.Overload) functions.FunctionOp {
	return func(args ...ref.Val) ref.Val {
		if b.OperandTrait != 0 && (len(args) == 0 || !args[0].Type().HasTrait(b.OperandTrait)) {
			return nil
		}
		switch {
		case b.Unary != nil && len(args) == 1:
			return b.Unary(args[0])
		case b.Binary != nil && len(args) == 2:
			return b.Binary(args[0], args[1])
		case b.Function != nil:
			return b.Function(args...)
		}
		return nil
	}
}
