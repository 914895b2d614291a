package graph

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/parser"
	"github.com/fermata-run/fermata/internal/schema"
)

// longestSource is how many bytes an expression may have.
const celLongestSource = 16 << 10

// check parses an expression and checks its types. The error is in words.
func (e *celEnv) check(source string) (checked *cel.Ast, err error) {
	defer func() {
		if r := recover(); r != nil {
			checked, err = nil, fmt.Errorf("the expression cannot be read: %v", r)
		}
	}()
	switch {
	case len(source) > celLongestSource:
		return nil, fmt.Errorf("the expression has %d bytes, and at most %d are read: take a function of Go's for what is that long", len(source), celLongestSource)
	case strings.TrimSpace(source) == "":
		return nil, errors.New("the expression is empty")
	}
	parsed, issues := e.cel.Parse(source)
	if issues.Err() != nil {
		return nil, syntaxWords(issues.Errors())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for tries := 0; ; tries++ {
		e.types.missed = map[string]*shape{}
		checked, issues = e.cel.Check(parsed)
		if issues.Err() == nil {
			return checked, e.checkNodes(checked.NativeRep())
		}
		if tries == 20 || !mixTypes(parsed.NativeRep(), issues.Errors()) {
			return nil, e.checkWords(parsed.NativeRep(), issues.Errors())
		}
	}
}

// checkNodes refuses active("node") of a node that there is not.
func (e *celEnv) checkNodes(a *ast.AST) error {
	var wrong error
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() != ast.CallKind || x.AsCall().FunctionName() != "active" || len(x.AsCall().Args()) != 1 {
			return
		}
		arg := x.AsCall().Args()[0]
		if arg.Kind() != ast.LiteralKind {
			return
		}
		if id, ok := arg.AsLiteral().Value().(string); ok && !slices.Contains(e.source.Nodes, id) {
			wrong = fmt.Errorf("active(%q): there is no such node%s", id, nearestHint(id, e.source.Nodes))
		}
	}))
	return wrong
}

var saysSyntax = regexp.MustCompile(`^(?s)Syntax error: (.*?)(?: expecting .*)?$`)

// syntaxWords says what is wrong with an expression that cannot be parsed.
func syntaxWords(errs []*cel.Error) error {
	first := errs[0]
	text := first.Message
	if m := saysSyntax.FindStringSubmatch(text); m != nil {
		text = strings.NewReplacer("'<EOF>'", "the end", "<EOF>", "the end").Replace(m[1])
	}
	where := fmt.Sprintf("character %d", first.Location.Column()+1)
	if first.Location.Line() > 1 {
		where = fmt.Sprintf("line %d, %s", first.Location.Line(), where)
	}
	if first.Location.Line() < 1 {
		return fmt.Errorf("this is not an expression of CEL: %s", text)
	}
	return fmt.Errorf("this is not an expression of CEL: at %s: %s", where, text)
}

// checkWords says what the check of types has found.
func (e *celEnv) checkWords(parsed *ast.AST, errs []*cel.Error) error {
	const most = 3
	var words []string
	for _, err := range errs {
		if w := e.wordsFor(parsed, err); !slices.Contains(words, w) && len(words) < most {
			words = append(words, w)
		}
	}
	return errors.New(strings.Join(words, "; "))
}

var (
	saysUndeclared = regexp.MustCompile(`^undeclared reference to '([^']+)'`)
	saysUndefined  = regexp.MustCompile(`^undefined field '(.+)'$`)
	saysNoFields   = regexp.MustCompile(`^type '(.+)' does not support field selection$`)
	saysNoRange    = regexp.MustCompile(`^expression of type '(.+)' cannot be range of a comprehension`)
	saysArgument   = regexp.MustCompile(`^invalid (\w+) argument$`)
	saysMismatch   = regexp.MustCompile(`^expected type '(.+)' but found '(.+)'$`)
)

func (e *celEnv) wordsFor(parsed *ast.AST, err *cel.Error) string {
	at := celExprOf(parsed, err.ExprID)
	switch {
	case saysUndeclared.MatchString(err.Message):
		name := saysUndeclared.FindStringSubmatch(err.Message)[1]
		if at != nil && at.Kind() == ast.CallKind {
			return e.unknownFunction(name)
		}
		return e.unknownName(name)
	case saysUndefined.MatchString(err.Message):
		return e.unknownField(parsed, at, saysUndefined.FindStringSubmatch(err.Message)[1])
	case saysNoOverload.MatchString(err.Message):
		m := saysNoOverload.FindStringSubmatch(err.Message)
		return e.wrongTypes(parsed, at, m[1], m[2])
	case saysNoFields.MatchString(err.Message):
		return fmt.Sprintf("%shas no fields: it is of the type %s", subjectWords(parsed, operandOf(at)), celTypeWords(saysNoFields.FindStringSubmatch(err.Message)[1]))
	case saysNoRange.MatchString(err.Message):
		t := celTypeWords(saysNoRange.FindStringSubmatch(err.Message)[1])
		return fmt.Sprintf("what is gone through is a list or a map, and this is of the type %s: dyn(…) takes an object as a map", t)
	case saysMismatch.MatchString(err.Message):
		m := saysMismatch.FindStringSubmatch(err.Message)
		return fmt.Sprintf("%sis of the type %s, and %s is expected", subjectWords(parsed, at), celTypeWords(m[2]), celTypeWords(m[1]))
	case saysArgument.MatchString(err.Message):
		name := saysArgument.FindStringSubmatch(err.Message)[1]
		return fmt.Sprintf("%sis no text that %s takes%s", subjectWords(parsed, at), name, argumentForms[name])
	}
	if err.Message == "comprehension exceeds nesting limit" {
		return fmt.Sprintf("more than %d of map, filter, all and the like are in each other: take a function of Go's", celMostNesting)
	}
	return celTypeWords(err.Message)
}

// argumentForms says what functions take that read text.
var argumentForms = map[string]string{
	"duration":  `: expected such as "36h", "2w" or "P3DT4H"`,
	"timestamp": ": expected such as 2026-01-31T09:00:00Z",
	"matches":   ": expected a regular expression",
}

func (e *celEnv) unknownName(name string) string {
	first, _, _ := strings.Cut(name, ".")
	if s := e.shapes[first]; s != nil {
		return fmt.Sprintf("%s is no name that is known", name)
	}
	if why, ok := seenElsewhere[first]; ok {
		return fmt.Sprintf("%s is not seen here: %s", first, why)
	}
	known := slices.Sorted(maps.Keys(e.shapes))
	return fmt.Sprintf("there is no %q%s (what is seen here: %s)", first, nearestHint(first, known), listNames(known))
}

// seenElsewhere says where names are seen that are not seen everywhere.
var seenElsewhere = map[string]string{
	"event":   "it is what is being reacted to, in edges and what they do",
	"result":  "it is seen in the output of an activity, and in edges that react to its end",
	"failure": "it is seen in edges that react to the failure of an activity",
	"item":    "it is seen within each",
	"index":   "it is seen within each",
	"results": "it is seen in until of each",
	"failed":  "it is seen in until of each",
	"total":   "it is seen in until of each",
}

func (e *celEnv) unknownFunction(name string) string {
	own := slices.Sorted(maps.Keys(e.source.Funcs))
	all := slices.Clone(own)
	for f := range e.cel.Functions() {
		all = append(all, f)
	}
	for _, m := range e.cel.Macros() {
		all = append(all, m.Function())
	}
	all = slices.DeleteFunc(all, func(f string) bool { return strings.ContainsAny(f, "@_!") && !slices.Contains(own, f) })
	slices.Sort(all)
	text := fmt.Sprintf("there is no function %q%s ", name, nearestHint(name, all))
	if len(own) == 0 {
		return text + "(functions of Go's are registered in Options.Funcs, and none is)"
	}
	return text + "(in Options.Funcs, where more can be registered, are " + listNames(own) + ")"
}

func (e *celEnv) unknownField(parsed *ast.AST, at ast.Expr, field string) string {
	s := e.types.missed[field]
	if s == nil {
		return fmt.Sprintf("there is no field %q", field)
	}
	known := slices.Sorted(maps.Keys(s.fields))
	of := strings.TrimPrefix(s.typ.TypeName(), "@")
	if x := celExprWords(parsed, operandOf(at)); x != "" {
		of = x
	}
	return fmt.Sprintf("%s has no field %q%s (it has %s)", of, field, nearestHint(field, known), listNames(known))
}

func (e *celEnv) wrongTypes(parsed *ast.AST, at ast.Expr, function, signature string) string {
	name := function
	if shown, ok := operators.FindReverse(function); ok && shown != "" {
		name = shown
	}
	switch function {
	case operators.Conditional:
		name = "? :"
	case operators.Index:
		name = "[]"
	case operators.In:
		name = "in"
	}
	hint := ""
	if strings.Contains(signature, "@") {
		hint = ": dyn(…) takes an object as a map"
	} else if function == operators.Add && strings.Contains(signature, "string") {
		hint = ": string(…) makes text of what is none"
	}
	if function == operators.Conditional {
		hint = ": both ways are of one type, or dyn(…) makes one of them any"
	}
	text := fmt.Sprintf("%s does not take %s%s", name, celTypeWords(signature), hint)
	if x := celExprWords(parsed, at); x != "" {
		text = x + ": " + text
	}
	return text
}

// celExprOf returns the part of an expression that has an id, or nil.
func celExprOf(a *ast.AST, id int64) ast.Expr {
	var found ast.Expr
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.ID() == id {
			found = x
		}
	}))
	return found
}

// operandOf returns what a field is selected of, or nil.
func operandOf(x ast.Expr) ast.Expr {
	if x != nil && x.Kind() == ast.SelectKind {
		return x.AsSelect().Operand()
	}
	return nil
}

// celExprWords returns the source of a part of an expression, if it is short.
func celExprWords(a *ast.AST, x ast.Expr) string {
	const most = 60
	if x == nil {
		return ""
	}
	text, err := parser.Unparse(x, a.SourceInfo())
	if err != nil || len(text) > most || strings.ContainsAny(text, "@\n") {
		return ""
	}
	return text
}

func subjectWords(a *ast.AST, x ast.Expr) string {
	if text := celExprWords(a, x); text != "" {
		return text + " "
	}
	return "what is there "
}

var celTypeNames = strings.NewReplacer(
	"google.protobuf.Timestamp", "timestamp", "google.protobuf.Duration", "duration", "null_type", "null",
	"double", "number", "dyn", "any", "@", "",
)

// typeWords names CEL's types as definitions do.
func celTypeWords(s string) string {
	return celTypeNames.Replace(saysWrapper.ReplaceAllString(s, "$1"))
}

func nearestHint(name string, known []string) string {
	if n := schema.Nearest(name, known); n != "" {
		return fmt.Sprintf(" – did you mean %q?", n)
	}
	return ""
}

// listNames names the first of many.
func listNames(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
