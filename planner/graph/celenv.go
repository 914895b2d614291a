package graph

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// celEnv is what CEL knows of an [Env]: the names that it declares and their shapes.
type celEnv struct {
	cel    *cel.Env
	source *Env
	shapes map[string]*shape // of all names that expressions see
	data   map[string]bool   // those of shapes that are variables
	locals map[string]bool   // those of shapes that are of Env.Locals
	types  *celTypes

	mu sync.Mutex // one check at a time: types notes what is missed in it
}

// celEnvOf returns the celEnv of an Env, which is made once.
func celEnvOf(env *Env) (*celEnv, error) {
	env.mu.Lock()
	defer env.mu.Unlock()
	switch ready := env.ready.(type) {
	case *celEnv:
		return ready, nil
	case error:
		return nil, ready
	}
	e, err := newCELEnv(env)
	if err != nil {
		env.ready = err
		return nil, err
	}
	env.ready = e
	return e, nil
}

// Names that an expression may always see, and those that Env.Locals may name whose
// fields are known.
var (
	userShape    = objectShape("user", map[string]*shape{"id": stringShape, "name": stringShape, "groups": listShape(stringShape)})
	sagaShape    = objectShape("saga", map[string]*shape{"done": listShape(stringShape), "undone": listShape(stringShape)})
	eventShape   = objectShape("event", map[string]*shape{"name": stringShape, "data": dynShape, "by": stringShape})
	failureShape = objectShape("failure", map[string]*shape{"code": stringShape, "message": stringShape})

	localShapes = map[string]*shape{"event": eventShape, "failure": failureShape}
)

func newCELEnv(env *Env) (*celEnv, error) {
	base, err := celBase()
	if err != nil {
		return nil, fmt.Errorf("CEL cannot be made ready: %w", err)
	}
	e := &celEnv{source: env, data: map[string]bool{}, locals: map[string]bool{}, shapes: map[string]*shape{
		"input": dynShape, "user": userShape, "meta": mapShape(stringShape), "saga": sagaShape, "now": timestampShape,
	}}
	if env.Input != nil {
		if e.shapes["input"], err = schemaShape("input", env.Input); err != nil {
			return nil, err
		}
	}
	if err := e.declareData(env); err != nil {
		return nil, err
	}
	e.types = newCELTypes(base.CELTypeProvider(), e.shapes)
	opts := []cel.EnvOption{cel.CustomTypeProvider(e.types)}
	for _, name := range slices.Sorted(maps.Keys(e.shapes)) {
		opts = append(opts, cel.Variable(name, e.shapes[name].typ))
	}
	funcs, err := funcOptions(base, env.Funcs)
	if err != nil {
		return nil, err
	}
	if e.cel, err = base.Extend(append(opts, funcs...)...); err != nil {
		return nil, fmt.Errorf("the variables and functions make no environment of CEL: %w", err)
	}
	return e, nil
}

var celReserved = regexp.MustCompile(`^(true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|while)$`)

// declareData adds the variables, and what else is seen.
func (e *celEnv) declareData(env *Env) error {
	for _, d := range env.Data {
		if e.shapes[d.ID] != nil || e.data[d.ID] {
			return fmt.Errorf("the variable %q needs another name: expressions know something else by it", d.ID)
		}
		if celReserved.MatchString(d.ID) {
			return fmt.Errorf("the variable %q needs another name: it is a word of CEL", d.ID)
		}
		s, err := shapeOf(d)
		if err != nil {
			return err
		}
		e.shapes[d.ID], e.data[d.ID] = s, true
	}
	for _, name := range env.Locals {
		if e.locals[name] || e.shapes[name] != nil && !e.data[name] {
			continue
		}
		e.locals[name] = true
		e.shapes[name] = dynShape
		if s := localShapes[name]; s != nil {
			e.shapes[name] = s
		}
	}
	return nil
}

// fit returns the value of a name as expressions must see it.
func (e *celEnv) fit(name string, v any) any {
	return e.shapes[name].fit(v, celAdapter{types.DefaultTypeAdapter})
}

// celBase is the environment that all others extend.
var celBase = sync.OnceValues(func() (*cel.Env, error) {
	opts := []cel.EnvOption{
		cel.CrossTypeNumericComparisons(true),
		cel.EnableIdentifierEscapeSyntax(),
		cel.EnableMacroCallTracking(),
		cel.DefaultUTCTimeZone(true),
		cel.CustomTypeAdapter(celAdapter{types.DefaultTypeAdapter}),
		ext.Strings(ext.StringsValidateFormatCalls(true)),
		ext.Lists(ext.ListsMaxRangeSize(celLongestRange)),
		ext.Math(),
		ext.Sets(),
		cel.Function("active", cel.Overload("active_string", []*cel.Type{cel.StringType}, cel.BoolType, cel.LateFunctionBinding())),
		cel.Function("duration", cel.Overload("string_to_duration", []*cel.Type{cel.StringType}, cel.DurationType, cel.UnaryBinding(celDuration))),
	}
	opts = append(opts, mixedNumbers()...)
	return cel.NewEnv(append(opts, celBounds()...)...)
})

func celDuration(v ref.Val) ref.Val {
	d, err := parseDuration(string(v.(types.String)))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Duration{Duration: d}
}

// celAdapter takes Go's values to CEL. Of those that CEL's own adapter does not know,
// it takes what they are in JSON.
type celAdapter struct{ types.Adapter }

func (a celAdapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case map[string]any:
		return types.NewStringInterfaceMap(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	}
	out := a.Adapter.NativeToValue(v)
	if !types.IsError(out) {
		return out
	}
	if _, ok := v.(ref.Val); ok {
		return out
	}
	n, err := normalise(v)
	if err != nil {
		return types.WrapErr(err)
	}
	return a.Adapter.NativeToValue(n)
}

// celTypes gives the check of expressions the objects of the shapes.
type celTypes struct {
	types.Provider
	objects map[string]*shape // by the name of their type
	missed  map[string]*shape // in the check that is going on: by field, the object that does not have it
}

func newCELTypes(base types.Provider, shapes map[string]*shape) *celTypes {
	t := &celTypes{Provider: base, objects: map[string]*shape{}}
	added := map[*shape]bool{}
	for _, s := range shapes {
		t.add(s, added)
	}
	return t
}

// add adds a shape with all in it, each once: many a schema refers to one part from
// several places.
func (t *celTypes) add(s *shape, added map[*shape]bool) {
	if added[s] {
		return
	}
	added[s] = true
	if s.fields != nil {
		t.objects[s.typ.TypeName()] = s
	}
	for _, f := range s.fields {
		t.add(f, added)
	}
	if s.elem != nil {
		t.add(s.elem, added)
	}
}

// FindStructType implements [types.Provider].
func (t *celTypes) FindStructType(name string) (*types.Type, bool) {
	if s := t.objects[name]; s != nil {
		return types.NewTypeTypeWithParam(s.typ), true
	}
	return t.Provider.FindStructType(name)
}

// FindStructFieldNames implements [types.Provider].
func (t *celTypes) FindStructFieldNames(name string) ([]string, bool) {
	if s := t.objects[name]; s != nil {
		return slices.Sorted(maps.Keys(s.fields)), true
	}
	return t.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements [types.Provider].
func (t *celTypes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	s := t.objects[name]
	if s == nil {
		return t.Provider.FindStructFieldType(name, field)
	}
	if f := s.fields[field]; f != nil {
		return &types.FieldType{Type: f.typ}, true
	}
	if t.missed != nil {
		t.missed[field] = s
	}
	return nil, false
}
