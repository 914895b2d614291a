package graph

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/planner/graph/chart"
)

// Check says all that is wrong with a definition, in the order of the text, at most
// a hundred things; none if [New] takes it. A nil *Options checks it without the
// models and functions that it will run with.
func Check(d *Definition, o *Options) []Problem {
	_, problems := ready(d, o)
	return problems
}

// ready expands, checks and compiles a definition. What has no shape is not compiled.
func ready(d *Definition, o *Options) (*program, []Problem) {
	if d == nil {
		return nil, []Problem{{Rule: "graph", Message: "there is no definition"}}
	}
	x, problems := d.expand()
	problems = append(problems, x.check(o)...)
	if slices.ContainsFunc(problems, isShape) {
		return nil, inOrder(problems)
	}
	if o == nil {
		o = &Options{}
	}
	p := compile(x, nil, o, &problems)
	return p, inOrder(problems)
}

// decodeDefinition reads a definition as encode has written it: its numbers, too, with
// all their digits.
func decodeDefinition(data []byte) (*Definition, error) {
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	var d Definition
	if err := in.Decode(&d); err != nil {
		return nil, err
	}
	return &d, nil
}

// matchesEvent reports whether an event's name is matched by a descriptor.
func matchesEvent(descriptor, name string) bool { return chart.Matches(descriptor, name) }

// validate says what is wrong with a value under a JSON Schema.
func validate(s, v json.RawMessage) error { return schema.Validate(s, v) }
