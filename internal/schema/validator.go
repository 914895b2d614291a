package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Validate is [Validator.Validate] of a Validator that the whole program shares.
func Validate(schema, value json.RawMessage) error { return shared.Validate(schema, value) }

// Check is [Validator.Check] of a Validator that the whole program shares.
func Check(schema json.RawMessage) error { return shared.Check(schema) }

var shared Validator

// A Validator holds values against schemas. It keeps the schemas that it was
// given last, compiled. The zero value is ready, and safe for use by many
// goroutines.
type Validator struct {
	mu         sync.RWMutex
	young, old map[string]*compiled // by the text of the schema; young becomes old when it is full
}

const (
	generation = 256     // schemas in young, and at most as many in old
	maxSchema  = 1 << 20 // bytes of one schema
)

// A compiled schema.
type compiled struct {
	sch *jsonschema.Schema
	doc any // as decoded
}

// Validate reports whether value fits schema, which is draft 2020-12 unless
// its $schema says otherwise. An empty schema takes every JSON value. The error
// is an [*Invalid] when value does not fit; any other says that the schema is
// no good.
func (v *Validator) Validate(schema, value json.RawMessage) (err error) {
	var c *compiled
	if len(schema) > 0 {
		if c, err = v.compiled(schema); err != nil {
			return err
		}
	}
	doc, err := decode(value)
	if err != nil {
		var inv *Invalid
		if errors.As(err, &inv) {
			return inv
		}
		return &Invalid{Problems: []Problem{{Text: err.Error()}}}
	}
	if c == nil {
		return nil
	}
	return c.validate(doc)
}

// Check reports what is wrong with a schema; nil if it can be used. An empty
// one can.
func (v *Validator) Check(schema json.RawMessage) error {
	if len(schema) == 0 {
		return nil
	}
	_, err := v.compiled(schema)
	return err
}

func (c *compiled) validate(doc any) (err error) {
	// A schema of strangers that the library cannot deal with must not take the
	// process down.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("bad JSON Schema: it cannot be applied: %v", r)
		}
	}()
	var verr *jsonschema.ValidationError
	if err := c.sch.Validate(doc); errors.As(err, &verr) {
		return c.invalid(verr, doc)
	} else if err != nil {
		return fmt.Errorf("bad JSON Schema: it cannot be applied: %w", err)
	}
	return nil
}

// compiled returns schema compiled, from what is kept if possible.
func (v *Validator) compiled(schema []byte) (*compiled, error) {
	v.mu.RLock()
	c, fresh := v.young[string(schema)]
	if !fresh {
		c = v.old[string(schema)]
	}
	v.mu.RUnlock()
	if fresh {
		return c, nil
	}
	if c == nil {
		var err error
		if c, err = compile(schema); err != nil {
			return nil, err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.young == nil || len(v.young) >= generation {
		v.old, v.young = v.young, make(map[string]*compiled)
	}
	v.young[string(schema)] = c
	return c, nil
}

// The address of the schema within the compiler. Nothing is ever read from it.
const address = "fermata:schema"

func compile(schema []byte) (c *compiled, err error) {
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("bad JSON Schema: it cannot be compiled: %v", r)
		}
	}()
	if len(schema) > maxSchema {
		return nil, fmt.Errorf("bad JSON Schema: it has %d bytes; at most %d are allowed", len(schema), maxSchema)
	}
	doc, err := decode(schema)
	if err != nil {
		return nil, fmt.Errorf("bad JSON Schema: %v", err) // not %w: it is not an Invalid of the value
	}
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return nil, fmt.Errorf("bad JSON Schema: expected an object, got %s", describe(doc))
	}
	cp := jsonschema.NewCompiler()
	cp.DefaultDraft(jsonschema.Draft2020)
	cp.AssertFormat()
	cp.UseLoader(noLoader{})
	cp.UseRegexpEngine(compilePattern)
	if err := cp.AddResource(address, doc); err != nil {
		return nil, fmt.Errorf("bad JSON Schema: %w", err)
	}
	sch, err := cp.Compile(address)
	if err != nil {
		return nil, badSchema(err, doc)
	}
	if err := checkWeight(sch); err != nil {
		return nil, fmt.Errorf("bad JSON Schema: %w", err)
	}
	return &compiled{sch: sch, doc: doc}, nil
}

// badSchema puts the compiler's error in the words of this package.
func badSchema(err error, doc any) error {
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) {
		return fmt.Errorf("bad JSON Schema: it refers to %s: a schema may only refer to parts of itself, as in #/$defs/name", Cut(load.URL))
	}
	var meta *jsonschema.SchemaValidationError
	var verr *jsonschema.ValidationError
	if errors.As(err, &meta) && errors.As(meta.Err, &verr) {
		return fmt.Errorf("bad JSON Schema: %v", (&compiled{doc: doc}).invalid(verr, doc))
	}
	return fmt.Errorf("bad JSON Schema: %w", err)
}

// noLoader refuses to load anything.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) { return nil, errors.New("nothing is loaded") }

// compilePattern compiles the pattern of a schema. Patterns are in the syntax
// of JavaScript. One that is beyond Go's – it looks ahead or back, or refers to
// a group – is let pass and matches everything, as the schemas of other
// programs must not be useless for it.
func compilePattern(pattern string) (jsonschema.Regexp, error) {
	re, err := regexp.Compile(pattern)
	if err == nil {
		return re, nil
	}
	var syn *syntax.Error
	if errors.As(err, &syn) {
		switch syn.Code {
		case syntax.ErrInvalidPerlOp, syntax.ErrInvalidEscape, syntax.ErrInvalidCharRange, syntax.ErrInvalidRepeatSize:
			return anything(pattern), nil
		}
	}
	return nil, err
}

// anything is a pattern that is not checked.
type anything string

func (p anything) MatchString(string) bool { return true }
func (p anything) String() string          { return string(p) }
