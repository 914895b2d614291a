package graph

import (
	"math"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// celArithmetic are the operators that take numbers of any two types.
var celArithmetic = []string{operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo}

// mixedNumbers declares arithmetic between an int and a double, and % of doubles. What
// it does is in [celCompute].
func mixedNumbers() []cel.EnvOption {
	i, d := cel.IntType, cel.DoubleType
	var opts []cel.EnvOption
	for _, op := range celArithmetic {
		name := strings.Trim(op, "_")
		overloads := []cel.FunctionOpt{
			cel.Overload("mixed_int_"+name+"_double", []*cel.Type{i, d}, d),
			cel.Overload("mixed_double_"+name+"_int", []*cel.Type{d, i}, d),
		}
		if op == operators.Modulo {
			overloads = append(overloads, cel.Overload("mixed_double_%_double", []*cel.Type{d, d}, d))
		}
		opts = append(opts, cel.Function(op, overloads...))
	}
	return opts
}

// celCompute does arithmetic where not both types are known to be the same.
func celCompute(op string, a, b ref.Val) ref.Val {
	if x, y, ok := twoDoubles(a, b); ok && (a.Type() != b.Type() || op == operators.Divide || op == operators.Modulo && a.Type() == types.DoubleType) {
		if y == 0 && (op == operators.Divide || op == operators.Modulo) {
			return types.NewErr("division by zero")
		}
		if op == operators.Divide || op == operators.Modulo {
			return celDivide(op, a, b, x, y)
		}
		a, b = types.Double(x), types.Double(y)
	}
	var out ref.Val
	switch op {
	case operators.Add:
		if x, ok := a.(traits.Adder); ok {
			out = x.Add(b)
		}
	case operators.Subtract:
		if x, ok := a.(traits.Subtractor); ok {
			out = x.Subtract(b)
		}
	case operators.Multiply:
		if x, ok := a.(traits.Multiplier); ok {
			out = x.Multiply(b)
		}
	case operators.Divide:
		if x, ok := a.(traits.Divider); ok {
			out = x.Divide(b)
		}
	case operators.Modulo:
		if x, ok := a.(traits.Modder); ok {
			out = x.Modulo(b)
		}
	}
	return out
}

// celDivide is / and % where one of the numbers is no int, or not known to be one: / is
// exact, and stays whole if it comes out even.
func celDivide(op string, a, b ref.Val, x, y float64) ref.Val {
	i, isInt := a.(types.Int)
	j, bothInt := b.(types.Int)
	switch {
	case op == operators.Modulo:
		return types.Double(math.Mod(x, y))
	case isInt && bothInt && i%j == 0 && !(i == math.MinInt64 && j == -1):
		return i / j
	}
	return types.Double(x / y)
}

// twoDoubles returns two numbers as doubles; not ok if one of them is none.
func twoDoubles(a, b ref.Val) (x, y float64, ok bool) {
	x, okA := asDouble(a)
	y, okB := asDouble(b)
	return x, y, okA && okB
}

func asDouble(v ref.Val) (float64, bool) {
	switch v := v.(type) {
	case types.Int:
		return float64(v), true
	case types.Uint:
		return float64(v), true
	case types.Double:
		return float64(v), true
	}
	return 0, false
}

var (
	saysNoOverload = regexp.MustCompile(`^found no matching overload for '(.+)' applied to '(.*)'$`)
	saysWrapper    = regexp.MustCompile(`wrapper\((\w+)\)`)
	saysNumber     = regexp.MustCompile(`\b(int|uint|double)\b`)
)

// mixTypes has the check of == and the like allow what CEL can do and does not check: two
// types of numbers, and null beside anything. It says whether the expression was
// changed, and is to be checked again.
func mixTypes(parsed *ast.AST, errs []*cel.Error) bool {
	changed := false
	for _, e := range errs {
		m := saysNoOverload.FindStringSubmatch(e.Message)
		if m == nil || !mixableTypes(m[1], m[2]) {
			continue
		}
		ast.PostOrderVisit(parsed.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
			if x.ID() != e.ExprID || x.Kind() != ast.CallKind || len(x.AsCall().Args()) < 2 {
				return
			}
			args := x.AsCall().Args()
			last := args[len(args)-1]
			if last.Kind() == ast.CallKind && last.AsCall().FunctionName() == "dyn" {
				return
			}
			f := ast.NewExprFactory()
			with := append(args[:len(args)-1:len(args)-1], f.NewCall(ast.MaxID(parsed)+1, "dyn", last))
			x.SetKindCase(f.NewCall(x.ID(), x.AsCall().FunctionName(), with...))
			changed = true
		}))
	}
	return changed
}

// mixableTypes reports whether a function takes arguments of such types once one is dyn.
func mixableTypes(function, signature string) bool {
	parts := splitTypes(saysNumber.ReplaceAllString(saysWrapper.ReplaceAllString(signature, "$1"), "number"))
	switch {
	case function == operators.Conditional && len(parts) == 3:
		parts = parts[1:]
	case function == operators.In && len(parts) == 2:
		return parts[1] == "list("+parts[0]+")"
	case function != operators.Equals && function != operators.NotEquals || len(parts) != 2:
		return false
	}
	return parts[0] == parts[1] || parts[0] == "null" || parts[1] == "null"
}

// splitTypes takes a list of types in parentheses apart.
func splitTypes(signature string) []string {
	s := strings.TrimSuffix(strings.TrimPrefix(signature, "("), ")")
	var parts []string
	depth, start := 0, 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[start:]))
}
