package graph

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A value is a field of type any of a definition, ready to be evaluated. Its zero
// value is null.
type value struct {
	kind  valueKind
	plain any      // if constant
	expr  Expr     // if computed
	parts []value  // of a text, a list or an object
	keys  []string // of an object, one for each of parts
}

type valueKind uint8

const (
	isConstant valueKind = iota
	isComputed
	isText
	isList
	isObject
)

// compileExpr compiles an expression that stands at path.
type compileExpr func(source, path string, use Use) (Expr, error)

// reportProblem takes a problem of the definition.
type reportProblem func(path, rule, format string, args ...any)

// compileValue compiles what a definition has at path. What is wrong with it is
// reported, and the value then is null. A value without expressions is constant.
func compileValue(v any, path string, compile compileExpr, problem reportProblem) value {
	n, err := normalise(v)
	if err != nil {
		problem(path, "value", "%v", err)
		return value{}
	}
	return compilePlain(n, path, compile, problem)
}

func compilePlain(v any, path string, compile compileExpr, problem reportProblem) value {
	switch v := v.(type) {
	case string:
		return compileText(v, path, compile, problem)
	case []any:
		x := value{kind: isList}
		for i, e := range v {
			x.parts = append(x.parts, compilePlain(e, path+"["+strconv.Itoa(i)+"]", compile, problem))
		}
		return x.fold()
	case map[string]any:
		if e, ok := v["$expr"]; ok {
			return compileExplicit(v, e, path, compile, problem)
		}
		x := value{kind: isObject, keys: slices.Sorted(maps.Keys(v))}
		for _, k := range x.keys {
			x.parts = append(x.parts, compilePlain(v[k], pathTo(path, k), compile, problem))
		}
		return x.fold()
	}
	return value{plain: v}
}

// compileExplicit takes {"$expr": …}.
func compileExplicit(v map[string]any, e any, path string, compile compileExpr, problem reportProblem) value {
	source, ok := e.(string)
	switch {
	case len(v) > 1:
		problem(path, "value", `an object with $expr has no other key, and this has also %s: leave those out, or put the expression in a key of its own`, otherKeys(v, "$expr"))
	case !ok || strings.TrimSpace(source) == "":
		problem(pathTo(path, "$expr"), "value", "expected an expression as text, got %s", describeValue(e))
	default:
		return compileOne(source, pathTo(path, "$expr"), compile, problem)
	}
	return value{}
}

func compileText(s, path string, compile compileExpr, problem reportProblem) value {
	if !strings.Contains(s, "${") {
		return value{plain: s}
	}
	pieces, err := splitText(s)
	if err != nil {
		problem(path, "value", "%v", err)
		return value{}
	}
	if len(pieces) == 1 && pieces[0].expr {
		return compileOne(pieces[0].text, path, compile, problem)
	}
	x := value{kind: isText}
	for _, p := range pieces {
		part := value{plain: p.text}
		if p.expr {
			part = compileOne(p.text, path, compile, problem)
		}
		x.parts = append(x.parts, part)
	}
	return x.fold()
}

func compileOne(source, path string, compile compileExpr, problem reportProblem) value {
	x, err := compile(source, path, Yields)
	if err != nil {
		problem(path, "expression", "%v", err)
		return value{}
	}
	return value{kind: isComputed, expr: x}
}

// fold makes a value of constants constant.
func (x value) fold() value {
	if slices.ContainsFunc(x.parts, func(p value) bool { return p.kind != isConstant }) {
		return x
	}
	v, err := x.eval(nil)
	if err != nil {
		return x // cannot be: constants are plain
	}
	return value{plain: v}
}

// constant returns a value that no expression is part of. It must not be changed.
func (x value) constant() (any, bool) { return x.plain, x.kind == isConstant }

// eval returns what the value is now. It must not be changed. The error says where
// in the value it went wrong.
func (x value) eval(s Session) (any, error) {
	switch x.kind {
	case isComputed:
		return s.Eval(x.expr)
	case isText:
		var b strings.Builder
		for _, p := range x.parts {
			v, err := p.eval(s)
			if err != nil {
				return nil, err
			}
			t, err := valueText(v)
			if err != nil {
				return nil, err
			}
			b.WriteString(t)
		}
		return b.String(), nil
	case isList:
		out := make([]any, len(x.parts))
		for i, p := range x.parts {
			v, err := p.eval(s)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			out[i] = v
		}
		return out, nil
	case isObject:
		out := make(map[string]any, len(x.parts))
		for i, p := range x.parts {
			v, err := p.eval(s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", x.keys[i], err)
			}
			out[x.keys[i]] = v
		}
		return out, nil
	}
	return x.plain, nil
}

// pathTo returns the path of a key below another path.
func pathTo(path, key string) string {
	simple := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return r == '.' || r == '[' || r == ']' || r == '"' || r <= ' '
	})
	switch {
	case !simple:
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// otherKeys lists the keys of an object but one.
func otherKeys(v map[string]any, but string) string {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(v)), func(k string) bool { return k == but })
	return strings.Join(keys[:min(len(keys), 5)], ", ")
}

// given reports whether the definition has a value here.
func (x value) given() bool { return x.kind != isConstant || x.plain != nil }
