package scxml

import (
	"fmt"
	"sync"

	"github.com/dop251/goja"

	"github.com/fermata-run/fermata/planner/graph"
)

// language is the name of [Language] in definitions.
const language = "ecmascript"

func init() { graph.Register(language, Language{}) }

// Language is ECMAScript, as goja runs it: all of ECMAScript 5.1 and most of what
// came after. Importing this package registers it as "ecmascript".
//
// The variables of a graph are global variables; those without a value yet are
// undefined. A value that changes is kept as JSON keeps it; functions and pieces of
// XML outlive a step, too, but a function forgets what it has closed over. A value
// that refers to itself cannot be kept, and neither can one that is deeper or larger
// than what is bounded in this package: that is an error.
//
// What SCXML calls system variables are there and cannot be assigned to: _event,
// _sessionid, _name, _ioprocessors and _x; and so is In(id). The names that a
// [graph.Definition] promises to expressions are there as well, and the functions of
// [graph.Options]. Date and Math.random go by the time of the step.
//
// A piece of XML is an object with getElementsByTagName, getAttribute, tagName,
// textContent and childNodes. eval and the constructor Function are not there.
//
// One expression or script may take a second, all those of a step together ten, and
// calls may stand 1,000 deep in each other; more is an error. Memory is not bounded
// other than by that, since goja does not count it: whoever runs a document trusts
// its author as he would the author of a program.
type Language struct{}

// expr is an expression that has been compiled.
type expr struct {
	use     graph.Use
	source  string
	program *goja.Program
}

// Compile prepares an expression or script.
func (Language) Compile(source string, use graph.Use, _ *graph.Env) (graph.Expr, error) {
	var p *goja.Program
	var err error
	switch use {
	case graph.Executes:
		p, err = compileScript(source)
	case graph.Locates:
		if err = checkLocation(source); err == nil {
			p, err = compileLocation(source)
		}
	default:
		p, err = compileExpression(source)
	}
	if err != nil {
		return nil, err
	}
	return &expr{use, source, p}, nil
}

func compileExpression(source string) (*goja.Program, error) {
	_, p, err := parseExpression(source)
	if err != nil {
		return nil, err
	}
	return goja.CompileAST(p, false)
}

func compileScript(source string) (*goja.Program, error) {
	p, err := parse(source)
	if err != nil {
		return nil, err
	}
	return goja.CompileAST(p, false)
}

// Begin opens a session for a step. The definition's script has been run in it: its
// functions are there. What it does to variables holds for those that have no value.
func (Language) Begin(vars graph.Variables) graph.Session { return begin(vars) }

// scripts keeps the compiled scripts of definitions, by their text.
var scripts struct {
	sync.Mutex
	m map[string]*goja.Program
}

func compiledScript(source string) (*goja.Program, error) {
	scripts.Lock()
	defer scripts.Unlock()
	if p, known := scripts.m[source]; known {
		return p, nil
	}
	p, err := compileScript(source)
	if err != nil {
		return nil, fmt.Errorf("the script of the definition: %w", err)
	}
	if scripts.m == nil || len(scripts.m) >= 64 {
		scripts.m = map[string]*goja.Program{}
	}
	scripts.m[source] = p
	return p, nil
}
