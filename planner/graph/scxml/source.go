package scxml

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/token"
)

// The bounds of source texts: the parser goes as deep as brackets do.
const (
	maxSource   = 256 << 10
	maxBrackets = 500
	maxTree     = 1000 // parts of the syntax tree in each other, such as the sums of 1+1+1
	maxSigns    = 1000 // colons, and arrows: of labels and functions in each other the parser takes the square of the time, or more
)

// parse reads source text. The error tells line and column within it.
func parse(source string) (*ast.Program, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("it is longer than %d bytes, which is the most that is taken", maxSource)
	}
	if !literal(source) {
		if depth(source) > maxBrackets {
			return nil, fmt.Errorf("its brackets stand deeper than %d in each other, which is the most that is taken", maxBrackets)
		}
		if colons(source) > maxSigns || strings.Count(source, "=>") > maxSigns {
			return nil, fmt.Errorf("it has more than %d colons, or arrows, which is the most that is taken", maxSigns)
		}
	}
	p, err := goja.Parse("", source, parser.WithDisableSourceMaps)
	var many parser.ErrorList
	if errors.As(err, &many) && len(many) > 0 {
		first := many[0]
		return nil, fmt.Errorf("this is not ECMAScript: %s (line %d, column %d)", first.Message, first.Position.Line, first.Position.Column)
	}
	if err != nil {
		return nil, fmt.Errorf("this is not ECMAScript: %w", err)
	}
	if !walk(reflect.ValueOf(p.Body), maxTree, func(any) {}) {
		return nil, fmt.Errorf("its parts stand deeper than %d in each other, which is the most that is taken", maxTree)
	}
	return p, nil
}

// literal reports whether a source is a value and nothing more: JSON that is not deep,
// or a piece of XML as the loader writes it.
func literal(source string) bool {
	source = strings.TrimSuffix(strings.TrimPrefix(source, "("), "\n)")
	if inner, ok := strings.CutPrefix(source, "$xml("); ok {
		source = "[" + strings.TrimSuffix(inner, ")") + "]"
	}
	if !json.Valid([]byte(source)) {
		return false
	}
	deep := 0
	d := json.NewDecoder(strings.NewReader(source))
	for {
		t, err := d.Token()
		if err != nil {
			return true
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			if deep++; deep > maxBrackets {
				return false
			}
		case json.Delim(']'), json.Delim('}'):
			deep--
		}
	}
}

// colons counts those that may end a label: all but those of JSON's keys.
func colons(source string) int {
	n := 0
	for i, c := range []byte(source) {
		if c == ':' && !strings.HasSuffix(strings.TrimRight(source[max(0, i-8):i], " \t"), `"`) {
			n++
		}
	}
	return n
}

// depth returns how deep brackets and the like may stand in each other. It knows
// nothing of strings and comments, and so may say too much.
func depth(source string) int {
	now, most := 0, 0
	for _, c := range []byte(source) {
		switch c {
		case '(', '[', '{':
			now++
			most = max(most, now)
		case ')', ']', '}':
			now = max(0, now-1)
		}
	}
	return most
}

// parseExpression reads source text that has to be one expression. A semicolon at its
// end is let pass.
func parseExpression(source string) (ast.Expression, *ast.Program, error) {
	source = strings.TrimRight(source, "; \t\r\n")
	if strings.TrimSpace(source) == "" {
		return nil, nil, errors.New("it is empty, and an expression is expected")
	}
	p, err := parse("(" + source + "\n)")
	if err != nil {
		return nil, nil, err
	}
	if len(p.Body) == 1 {
		if s, ok := p.Body[0].(*ast.ExpressionStatement); ok {
			// "1) + (2" is well-formed between parentheses, and not by itself.
			if balanced(source) {
				return s.Expression, p, nil
			}
		}
	}
	return nil, nil, errors.New("this is not one expression of ECMAScript")
}

// balanced reports whether no closing bracket comes before its opening one. Where
// strings and the like hold brackets, the text is parsed once more to tell.
func balanced(source string) bool {
	open := 0
	for _, c := range []byte(source) {
		switch c {
		case '(':
			open++
		case ')':
			if open--; open < 0 {
				_, err := parse("[" + source + "\n]")
				return err == nil
			}
		}
	}
	return true
}

func checkExpression(source string) error {
	_, p, err := parseExpression(source)
	if err == nil {
		_, err = goja.CompileAST(p, false)
	}
	return err
}

// checkLocation reports whether a value can be assigned to it.
func checkLocation(source string) error {
	x, _, err := parseExpression(source)
	if err != nil {
		return err
	}
	switch x.(type) {
	case *ast.Identifier, *ast.DotExpression, *ast.BracketExpression:
		_, err = compileLocation(source)
		return err
	}
	return errors.New("this is no location that a value can be assigned to: a variable, or a part of one, is")
}

// compileLocation makes a function that assigns its argument to a location. It is
// strict: what has not been declared cannot be assigned to.
func compileLocation(source string) (*goja.Program, error) {
	p, err := parse("(function($value) { 'use strict'; (" + source + "\n) = $value })")
	if err != nil {
		return nil, err
	}
	return goja.CompileAST(p, true)
}

var identifier = regexp.MustCompile(`^[\p{L}_$][\p{L}\p{Nd}\p{M}_$]*$`)

// isVariable reports whether a variable may have this name: an identifier that is no
// reserved word.
func isVariable(name string) bool {
	if !identifier.MatchString(name) {
		return false
	}
	_, err := parse("'use strict'; var " + name)
	return err == nil && !slices.Contains(systemNames, name)
}

// prepareScript makes the variables that a script declares or makes those of the
// machine, which outlive it: a let or const of its outermost level becomes a var. It
// returns the script, and the names of the variables.
func prepareScript(source string) (string, []string, error) {
	p, err := parse(source)
	if err != nil {
		return "", nil, err
	}
	if _, err := goja.CompileAST(p, false); err != nil {
		return "", nil, err
	}
	text := []byte(source)
	var names []string
	for _, s := range p.Body {
		switch s := s.(type) {
		case *ast.VariableStatement:
			names = append(names, bound(s.List)...)
		case *ast.LexicalDeclaration:
			names = append(names, bound(s.List)...)
			copy(text[int(s.Idx)-1:], map[token.Token]string{token.LET: "var", token.CONST: "var  "}[s.Token])
		}
	}
	own, assigned := map[string]bool{}, []string{}
	walk(reflect.ValueOf(p.Body), maxTree, func(n any) {
		switch n := n.(type) {
		case *ast.AssignExpression:
			if id, ok := n.Left.(*ast.Identifier); ok {
				assigned = append(assigned, id.Name.String())
			}
		case *ast.Binding:
			if id, ok := n.Target.(*ast.Identifier); ok {
				own[id.Name.String()] = true
			}
		case *ast.FunctionLiteral:
			if n.Name != nil {
				own[n.Name.Name.String()] = true
			}
		}
	})
	for _, name := range assigned {
		if !own[name] {
			names = append(names, name)
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !isVariable(n) })
	return string(text), names, nil
}

// bound returns the plain names of declared variables.
func bound(list []*ast.Binding) []string {
	var names []string
	for _, b := range list {
		if id, ok := b.Target.(*ast.Identifier); ok {
			names = append(names, id.Name.String())
		}
	}
	return names
}

// walk visits all nodes of a syntax tree; false if they stand deeper than depth in
// each other.
func walk(v reflect.Value, depth int, visit func(any)) bool {
	switch v.Kind() {
	case reflect.Interface:
		return v.IsNil() || walk(v.Elem(), depth, visit)
	case reflect.Pointer:
		if v.IsNil() || !strings.HasSuffix(v.Type().Elem().PkgPath(), "/ast") {
			return true
		}
		if depth == 0 {
			return false
		}
		visit(v.Interface())
		return walk(v.Elem(), depth-1, visit)
	case reflect.Struct:
		for i := range v.NumField() {
			// DeclarationList stands in the body, too.
			if v.Type().Field(i).Name != "DeclarationList" && !walk(v.Field(i), depth, visit) {
				return false
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if !walk(v.Index(i), depth, visit) {
				return false
			}
		}
	}
	return true
}
