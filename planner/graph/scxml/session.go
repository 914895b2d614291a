package scxml

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"

	"github.com/fermata-run/fermata/planner/graph"
)

// The bounds of what runs.
const (
	maxEval    = time.Second      // of one expression or script
	maxSession = 10 * time.Second // of all those of a session
	maxCalls   = 1000             // that stand in each other
)

// A regular expression with a look-ahead or a back-reference can go on for longer than the
// world stands, and the virtual machine cannot be stopped in the middle of it. After this
// time it is taken for one that does not match; what it was a part of has failed by then.
func init() { regexp2.DefaultMatchTimeout = maxEval }

// systemNames are the names that SCXML keeps for itself.
var systemNames = []string{"_event", "_sessionid", "_name", "_ioprocessors", "_x", "In"}

// promised are the names that package graph promises to expressions.
var promised = []string{"input", "event", "result", "failure", "user", "meta", "now", "saga", "item", "index", "results", "failed", "total"}

// setUp takes from a new virtual machine what makes programs of texts: data from
// outside must never become one, and the parser goes as deep as a text has brackets.
var setUp = goja.MustCompile("", `(function(gone) { 'use strict';
	[function() {}, function*() {}, async function() {}].forEach(function(f) {
		Object.defineProperty(Object.getPrototypeOf(f), 'constructor', {value: gone});
	});
	gone.prototype = Function.prototype;
	globalThis.Function = gone;
	delete globalThis.eval;
})(function Function() { throw new TypeError('a program cannot be made of a text here'); })`, true)

// session is one virtual machine, with the variables of a graph in it.
type session struct {
	vm     *goja.Runtime
	vars   graph.Variables
	slots  map[string]*slot
	names  []string // of slots, in order
	dirty  []*slot  // assigned to since the last flush
	spent  time.Duration
	script uint8 // what of the definition's script is running
	xml    map[*goja.Object]*markup
	event  seen // _event
	err    error
}

const (
	notScript   uint8 = iota
	againScript       // as a session begins: variables keep their values
	firstScript       // as the graph starts
)

// slot is a variable in the session.
type slot struct {
	name   string
	seen   seen
	dirty  bool
	script bool // its value is of the definition's script
}

// seen is a value with what it was made of.
type seen struct {
	loaded bool
	js     goja.Value
	raw    any // nil also if it was made here
}

// begin makes a session. What goes wrong comes up as the error of all that is done
// in it.
func begin(vars graph.Variables) *session {
	s := &session{vm: goja.New(), vars: vars, slots: map[string]*slot{}, xml: map[*goja.Object]*markup{}}
	s.vm.SetParserOptions(parser.WithDisableSourceMaps)
	s.vm.SetMaxCallStackSize(maxCalls)
	s.vm.SetTimeSource(vars.Now)
	s.vm.SetRandSource(rand.New(rand.NewPCG(uint64(vars.Now().UnixNano()), 0)).Float64)
	if _, err := s.vm.RunProgram(setUp); err != nil {
		s.err = err
		return s
	}
	env := vars.Env()
	if env == nil {
		env = &graph.Env{}
	}
	s.helpers()
	s.system()
	for _, d := range env.Data {
		s.variable(d.ID)
	}
	for _, names := range [][]string{promised, env.Locals} {
		for _, name := range names {
			s.local(name)
		}
	}
	for name, f := range env.Funcs {
		s.function(name, f)
	}
	if env.Script != "" && s.err == nil {
		s.again(env.Script)
	}
	return s
}

// again runs the definition's script as the session begins.
func (s *session) again(source string) {
	p, err := compiledScript(source)
	if err != nil {
		s.err = err
		return
	}
	s.script = againScript
	// An error was told as the graph started, when the script was run to be heeded.
	_, _ = s.bounded(func() (any, error) { return s.vm.RunProgram(p) })
	s.script = notScript
}

// Eval evaluates an expression, or runs a script.
func (s *session) Eval(x graph.Expr) (any, error) {
	e, ok := x.(*expr)
	if !ok || e.use == graph.Locates {
		return nil, fmt.Errorf("this is no expression of ECMAScript that has a value: %T", x)
	}
	return s.bounded(func() (any, error) {
		if e.use == graph.Executes {
			if env := s.vars.Env(); env != nil && env.Script != "" && env.Script == e.source {
				s.script = firstScript
				defer func() { s.script = notScript }()
			}
		}
		v, err := s.vm.RunProgram(e.program)
		if err != nil {
			return nil, errors.Join(err, s.flush())
		}
		var result any
		switch e.use {
		case graph.Guards:
			result = v.ToBoolean()
		case graph.Executes:
		default:
			if result, err = s.export(v); err != nil {
				return nil, err
			}
		}
		return result, s.flush()
	})
}

// Assign gives a location a value.
func (s *session) Assign(location graph.Expr, v any) error {
	e, ok := location.(*expr)
	if !ok || e.use != graph.Locates {
		return fmt.Errorf("this is no location of ECMAScript: %T", location)
	}
	_, err := s.bounded(func() (any, error) {
		f, err := s.vm.RunProgram(e.program)
		if err != nil {
			return nil, err
		}
		assign, ok := goja.AssertFunction(f)
		if !ok {
			return nil, errors.New("the location is no function")
		}
		if _, err := assign(goja.Undefined(), s.value(v, true)); err != nil {
			return nil, err
		}
		return nil, s.flush()
	})
	return err
}

// End hands over the variables that have changed within, too.
func (s *session) End() error {
	_, err := s.bounded(func() (any, error) {
		for _, name := range s.names {
			v := s.slots[name]
			if _, object := v.seen.js.(*goja.Object); !v.seen.loaded || !object {
				continue
			}
			if err := s.keep(v); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	return err
}

// flush hands over the variables that have been assigned to.
func (s *session) flush() error {
	var errs []error
	for _, v := range s.dirty {
		v.dirty = false
		errs = append(errs, s.keep(v))
	}
	s.dirty = s.dirty[:0]
	return errors.Join(errs...)
}

// keep hands over a variable, if it has changed.
func (s *session) keep(v *slot) error {
	if v.script && s.hasFunctions(v.seen.js) {
		return nil // the script makes it again
	}
	before, had := s.vars.Get(v.name)
	if !had && goja.IsUndefined(v.seen.js) {
		return nil
	}
	now, err := s.export(v.seen.js)
	if err != nil {
		return fmt.Errorf("the variable %s: %w", v.name, err)
	}
	if had && equal(before, now) {
		v.seen.raw = before
		return nil
	}
	s.vars.Set(v.name, now)
	v.seen.raw = now
	if kept, ok := s.vars.Get(v.name); ok {
		v.seen.raw = kept
	}
	return nil
}

// variable makes a global variable of one of the graph's.
func (s *session) variable(name string) {
	v := &slot{name: name}
	s.slots[name] = v
	s.names = append(s.names, name)
	get := func(goja.FunctionCall) goja.Value {
		raw, ok := s.vars.Get(name)
		switch {
		case v.dirty || !ok && v.seen.loaded:
			return v.seen.js
		case !ok:
			return goja.Undefined()
		case v.seen.loaded && (same(raw, v.seen.raw) || equal(raw, v.seen.raw)):
			return v.seen.js
		}
		v.seen = seen{true, s.value(raw, true), raw}
		v.script = false
		return v.seen.js
	}
	set := func(c goja.FunctionCall) goja.Value {
		if _, ok := s.vars.Get(name); ok && s.script == againScript {
			return goja.Undefined()
		}
		v.seen.loaded, v.seen.js = true, c.Argument(0)
		v.script = s.script != notScript
		if !v.dirty && s.script != againScript {
			v.dirty = true
			s.dirty = append(s.dirty, v)
		}
		return goja.Undefined()
	}
	s.accessor(name, get, set)
}

// local makes a global variable of what the graph shows expressions. A script may
// use the name for something else.
func (s *session) local(name string) {
	if s.slots[name] != nil || slices.Contains(systemNames, name) {
		return
	}
	var was seen
	get := func(goja.FunctionCall) goja.Value {
		raw, ok := s.vars.Local(name)
		if !ok && name == "now" {
			raw, ok = s.vars.Now(), true
		}
		if !ok {
			return goja.Undefined()
		}
		if !was.loaded || !same(raw, was.raw) {
			was = seen{true, s.value(raw, false), raw}
		}
		return was.js
	}
	set := func(c goja.FunctionCall) goja.Value {
		if err := s.vm.GlobalObject().DefineDataProperty(name, c.Argument(0), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
			panic(err)
		}
		return goja.Undefined()
	}
	s.accessor(name, get, set)
}

func (s *session) accessor(name string, get, set func(goja.FunctionCall) goja.Value) {
	err := s.vm.GlobalObject().DefineAccessorProperty(name, s.vm.ToValue(get), s.vm.ToValue(set), goja.FLAG_TRUE, goja.FLAG_TRUE)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("a variable cannot be called %s: %w", name, err)
	}
}

// function makes a Go function callable.
func (s *session) function(name string, f graph.Func) {
	call := func(c goja.FunctionCall) goja.Value {
		args := make([]any, len(c.Arguments))
		for i, a := range c.Arguments {
			v, err := s.export(a)
			if err != nil {
				panic(s.vm.NewGoError(err))
			}
			args[i] = v
		}
		v, err := called(name, f, args)
		if err != nil {
			panic(s.vm.NewGoError(err))
		}
		return s.value(v, false)
	}
	if err := s.vm.Set(name, call); err != nil && s.err == nil {
		s.err = err
	}
}

// called calls a function of Go. A panic must not get to the virtual machine, which is
// of no use any more after it.
func called(name string, f graph.Func, args []any) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the function %s has panicked: %v", name, r)
		}
	}()
	return f(args...)
}

// bounded does something in the virtual machine within its time.
func (s *session) bounded(f func() (any, error)) (v any, err error) {
	if s.err != nil {
		return nil, s.err
	}
	within := min(maxEval, maxSession-s.spent)
	if within <= 0 {
		return nil, fmt.Errorf("the expressions of this step have taken %v already, which is the most that they may", maxSession)
	}
	var mu sync.Mutex
	over, late := false, error(nil)
	timer := time.AfterFunc(within, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			late = fmt.Errorf("it has taken longer than %v, which is the most that it may", within)
			s.vm.Interrupt(late)
		}
	})
	begun := time.Now()
	defer func() {
		mu.Lock()
		over = true
		if late != nil && err == nil { // there was nothing left to interrupt
			v, err = nil, late
		}
		mu.Unlock()
		timer.Stop()
		s.vm.ClearInterrupt()
		s.spent += time.Since(begun)
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("the expression failed: %v", r)
		}
		err = plain(err)
	}()
	return f()
}

// plain says an error of the virtual machine in its own words, without a stack.
func plain(err error) error {
	var thrown *goja.Exception
	var interrupted *goja.InterruptedError
	var overflow *goja.StackOverflowError
	switch {
	case errors.As(err, &interrupted):
		return fmt.Errorf("%v", interrupted.Value())
	case errors.As(err, &overflow):
		return fmt.Errorf("calls stand deeper than %d in each other, which is the most that is taken", maxCalls)
	case errors.As(err, &thrown):
		return errors.New(thrown.Value().String())
	}
	return err
}

// same reports whether two values of Go are one, without looking into them.
func same(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Kind() != y.Kind() {
		return false
	}
	switch x.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Map:
		return x.Pointer() == y.Pointer()
	case reflect.Slice:
		return x.Len() == y.Len() && x.Pointer() == y.Pointer()
	}
	return x.Comparable() && y.Comparable() && a == b
}
