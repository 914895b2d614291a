package graph

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// explain puts an error of an evaluation into words.
func (c *celExpr) explain(err error, s *celSession) error {
	text := err.Error()
	if _, ok := err.(interpreter.EvalCancelledError); ok {
		return errors.New("the expression has too much to do with values that are this large: take a function of Go's for it")
	}
	e, ok := err.(*types.Err)
	if !ok {
		return fmt.Errorf("the expression cannot be evaluated: %w", err)
	}
	if key, ok := strings.CutPrefix(text, "no such key: "); ok {
		return c.noKey(e.NodeID(), key, s)
	}
	if text == "no such overload" {
		return errors.New("a condition in it is neither true nor false, or a value is of another kind than is expected of it")
	}
	if strings.HasSuffix(text, "expected iterable type") {
		return errors.New("what it goes through is neither a list nor a map")
	}
	if name, ok := strings.CutPrefix(text, "no such overload: "); ok {
		if shown, ok := operators.FindReverse(name); ok && shown != "" {
			name = shown
		}
		return fmt.Errorf("%s does not take what it is given: a value is null, or of another kind than was declared", name)
	}
	if name, ok := strings.CutPrefix(text, "no such attribute(s): "); ok {
		return fmt.Errorf("%s has no value here", name)
	}
	return err
}

// noKey names the object that does not have a key.
func (c *celExpr) noKey(id int64, key string, s *celSession) error {
	x := celExprOf(c.checked, id)
	for x != nil && x.Kind() == ast.SelectKind && x.AsSelect().FieldName() != key {
		x = x.AsSelect().Operand()
	}
	if of := celExprWords(c.checked, operandOf(x)); of != "" {
		if v, ok := s.ResolveName(of); ok && v == nil {
			return fmt.Errorf("%s is null here, and has no field %q", of, key)
		}
		return fmt.Errorf("%s has no field %q: ask with has(%s.%s) whether it is there", of, key, of, key)
	}
	return fmt.Errorf("there is no field %q", key)
}

// celNotTaken says that a function does not take its arguments.
func celNotTaken(function string, args []ref.Val) ref.Val {
	name := function
	if shown, ok := operators.FindReverse(function); ok && shown != "" {
		name = shown
	}
	if function == operators.In {
		name = "in"
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = describeCEL(a)
	}
	return types.NewErr("%s does not take %s", name, strings.Join(words, " and "))
}
