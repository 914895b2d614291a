package graph

import (
	"fmt"
	"slices"
	"time"

	"cel.dev/cel-go/common/types"

	"github.com/fermata-run/fermata/internal/schema"
)

// fits says why a plain value cannot be that of the variable. Null always can: a
// variable has it before it has another.
func (d *Datum) fits(v any) error {
	if v == nil {
		return nil
	}
	if d.Schema != nil {
		raw, err := encodeValue(v)
		if err == nil {
			err = schema.Validate(d.Schema, raw)
		}
		if err != nil {
			return fmt.Errorf("the value does not fit the variable %s: %w", d.ID, err)
		}
		return nil
	}
	ok := true
	switch d.Type {
	case "bool":
		_, ok = v.(bool)
	case "int":
		_, ok = v.(int64)
	case "number":
		if _, ok = v.(int64); !ok {
			_, ok = v.(float64)
		}
	case "string":
		_, ok = v.(string)
	case "list":
		_, ok = v.([]any)
	case "map":
		_, ok = v.(map[string]any)
	case "timestamp":
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339, s)
		ok = err == nil
	case "duration":
		s, _ := v.(string)
		_, err := parseDuration(s)
		ok = err == nil
	}
	if !ok {
		return fmt.Errorf("the variable %s is of the type %s, and %s came", d.ID, d.Type, show(v))
	}
	return nil
}

// kinds are what an expression may yield that is set as a variable of a type. A number
// that is not known to be whole may be; times are kept as text.
var kinds = map[string][]types.Kind{
	"bool":      {types.BoolKind},
	"int":       {types.IntKind, types.UintKind, types.DoubleKind},
	"number":    {types.IntKind, types.UintKind, types.DoubleKind},
	"string":    {types.StringKind, types.TimestampKind, types.DurationKind},
	"list":      {types.ListKind},
	"map":       {types.MapKind, types.StructKind},
	"timestamp": {types.TimestampKind, types.StringKind},
	"duration":  {types.DurationKind, types.StringKind},
}

// typed checks what a variable is set to, as far as it is known before there is a value.
func (c *compiler) typed(d *Datum, v value, path string) {
	if d == nil {
		return // another rule says so
	}
	if plain, ok := v.constant(); ok {
		if err := d.fits(plain); err != nil {
			c.problem(path, "assign", "%v", err)
		}
		return
	}
	if d.Schema != nil || kinds[d.Type] == nil {
		return
	}
	kind, words := v.yields()
	for _, k := range append(kinds[d.Type], types.DynKind, types.NullTypeKind) {
		if k == kind {
			return
		}
	}
	c.problem(path, "assign", "the variable %s is of the type %s, and this is of the type %s", d.ID, d.Type, words)
}

// list compiles a value that is a list.
func (c *compiler) list(v any, path, rule string, more ...string) value {
	return c.ofKind(c.value(v, path, more...), path, rule, "a list", types.ListKind)
}

// spans are what a duration may be.
var spans = []types.Kind{types.DurationKind, types.StringKind, types.IntKind, types.UintKind, types.DoubleKind}

// span compiles a value that is a duration.
func (c *compiler) span(v any, path string, more ...string) value {
	return c.ofKind(c.value(v, path, more...), path, "duration", "a duration", spans...)
}

// moment compiles a value that is a duration or a timestamp.
func (c *compiler) moment(v any, path string, more ...string) value {
	return c.ofKind(c.value(v, path, more...), path, "duration", "a duration or a timestamp", append([]types.Kind{types.TimestampKind}, spans...)...)
}

// ofKind notes where a value that is computed is known to yield something else than is
// wanted. Of constants the check has said so.
func (c *compiler) ofKind(v value, path, rule, want string, kinds ...types.Kind) value {
	if _, ok := v.constant(); ok {
		return v
	}
	kind, words := v.yields()
	if !slices.Contains(append(kinds, types.DynKind, types.NullTypeKind), kind) {
		c.problem(path, rule, "expected %s, and this is of the type %s", want, words)
	}
	return v
}

// yields is what is known of the type of a value that is not constant.
func (x value) yields() (kind types.Kind, words string) {
	switch x.kind {
	case isText:
		return types.StringKind, "string"
	case isList:
		return types.ListKind, "list"
	case isObject:
		return types.MapKind, "map"
	}
	e, ok := x.expr.(*celExpr)
	if !ok {
		return types.DynKind, ""
	}
	t := e.checked.GetType(e.checked.Expr().ID())
	return t.Kind(), celTypeWords(t.String())
}

// datum returns a variable by its name; nil if there is none.
func (p *program) datum(id string) *Datum {
	for i := range p.data {
		if p.data[i].ID == id {
			return p.data[i].Datum
		}
	}
	return nil
}
