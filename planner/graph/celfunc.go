package graph

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// mostArgs is how many arguments a registered function may have.
const celMostArgs = 6

var celFuncName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*(\.[a-zA-Z_][a-zA-Z0-9_]*)*$`)

// funcOptions declares registered functions. They take values of any type.
func funcOptions(base *cel.Env, funcs map[string]Func) ([]cel.EnvOption, error) {
	var opts []cel.EnvOption
	macros := map[string]bool{}
	for _, m := range base.Macros() {
		macros[m.Function()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(funcs)) {
		switch {
		case !celFuncName.MatchString(name):
			return nil, fmt.Errorf("the function %q needs another name: letters, digits and _, not beginning with a digit, and dots between", name)
		case base.HasFunction(name) || macros[name] || celReserved.MatchString(name):
			return nil, fmt.Errorf("the function %q needs another name: CEL has its own of this name", name)
		case funcs[name] == nil:
			return nil, fmt.Errorf("the function %q is nil", name)
		}
		binding := cel.FunctionBinding(celFunc(name, funcs[name]))
		var overloads []cel.FunctionOpt
		for n := range celMostArgs + 1 {
			args := slices.Repeat([]*cel.Type{cel.DynType}, n)
			overloads = append(overloads, cel.Overload(fmt.Sprintf("func_%s_%d", name, n), args, cel.DynType, binding))
		}
		opts = append(opts, cel.Function(name, overloads...))
	}
	return opts, nil
}

// celFunc makes CEL's function of a registered one.
func celFunc(name string, f Func) func(args ...ref.Val) ref.Val {
	return func(args ...ref.Val) (out ref.Val) {
		defer func() {
			if r := recover(); r != nil {
				out = types.NewErr("the function %s has panicked: %v", name, r)
			}
		}()
		plain := make([]any, len(args))
		for i, a := range args {
			v, err := plainOf(a)
			if err == nil {
				v, err = normalise(v)
			}
			if err != nil {
				return types.NewErr("argument %d of %s: %w", i+1, name, err)
			}
			plain[i] = v
		}
		v, err := f(plain...)
		if err != nil {
			return types.NewErr("%s: %w", name, err)
		}
		if v, err = normalise(v); err != nil {
			return types.NewErr("what %s has returned: %w", name, err)
		}
		return celAdapter{types.DefaultTypeAdapter}.NativeToValue(v)
	}
}
