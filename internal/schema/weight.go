package schema

import (
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxWeight is how many schemas at most may be applied to one and the same
// value. References may double it with each step, in a schema of a few lines.
const maxWeight = 10_000

// checkWeight refuses a schema of which some part is too heavy.
func checkWeight(root *jsonschema.Schema) error {
	w := weigher{weights: map[*jsonschema.Schema]int{}}
	queue, seen := []*jsonschema.Schema{root}, map[*jsonschema.Schema]bool{root: true}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if w.weigh(s) > maxWeight {
			return fmt.Errorf("it is too heavy: more than %d of its parts apply to one value, by its references", maxWeight)
		}
		for _, c := range append(onSame(s), onParts(s)...) {
			if c != nil && !seen[c] {
				seen[c] = true
				queue = append(queue, c)
			}
		}
	}
	return nil
}

type weigher struct {
	weights map[*jsonschema.Schema]int // 0 while it is being weighed
}

func (w *weigher) weigh(s *jsonschema.Schema) int {
	if n, ok := w.weights[s]; ok {
		return n // a circle weighs nothing more: the validator stops there
	}
	w.weights[s] = 0
	n := 1
	for _, c := range onSame(s) {
		if c != nil {
			n = min(n+w.weigh(c), maxWeight+1)
		}
	}
	w.weights[s] = n
	return n
}

// onSame returns the schemas that apply to the same value as s, some nil.
func onSame(s *jsonschema.Schema) []*jsonschema.Schema {
	list := []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}
	if s.DynamicRef != nil {
		list = append(list, s.DynamicRef.Ref)
	}
	list = append(list, s.AllOf...)
	list = append(list, s.AnyOf...)
	list = append(list, s.OneOf...)
	for _, c := range s.DependentSchemas {
		list = append(list, c)
	}
	for _, d := range s.Dependencies {
		if c, ok := d.(*jsonschema.Schema); ok {
			list = append(list, c)
		}
	}
	return list
}

// onParts returns the schemas that apply to parts of the value that s applies
// to, some nil.
func onParts(s *jsonschema.Schema) []*jsonschema.Schema {
	list := []*jsonschema.Schema{s.PropertyNames, s.Contains, s.Items2020, s.UnevaluatedProperties, s.UnevaluatedItems, s.ContentSchema}
	list = append(list, s.PrefixItems...)
	for _, c := range s.Properties {
		list = append(list, c)
	}
	for _, c := range s.PatternProperties {
		list = append(list, c)
	}
	for _, any := range []any{s.AdditionalProperties, s.AdditionalItems, s.Items} {
		switch c := any.(type) {
		case *jsonschema.Schema:
			list = append(list, c)
		case []*jsonschema.Schema:
			list = append(list, c...)
		}
	}
	return list
}
