package schema

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Invalid is the error of a value that does not fit its schema.
type Invalid struct {
	Problems []Problem // at least one; the first few if there are many
	More     int       // how many more there are
}

// A Problem is one thing that is wrong with a value.
type Problem struct {
	Path string // where, such as items[2].price; "" for the value as a whole
	Text string // what was expected and what came; one line
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

const (
	maxProblems = 10
	maxMessage  = 2000 // bytes, about
)

// Error lists the problems, with "; " between them.
func (e *Invalid) Error() string {
	var b strings.Builder
	more := e.More
	for i, p := range e.Problems {
		s := p.String()
		if i > 0 && b.Len()+len(s) > maxMessage {
			more += len(e.Problems) - i
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(s)
	}
	if more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// A finding is one problem before it is put in words.
type finding struct {
	at   []string
	err  *jsonschema.ValidationError
	name string // the field that is missing or unknown
}

// invalid puts what the library found wrong with doc in words.
func (c *compiled) invalid(verr *jsonschema.ValidationError, doc any) *Invalid {
	found := collect(nil, verr)
	slices.SortStableFunc(found, compareFindings)
	found = slices.CompactFunc(found, func(a, b finding) bool { return a.err == b.err && a.name == b.name })
	inv := &Invalid{}
	for _, f := range found {
		p := Problem{Path: path(f.at), Text: c.text(f, doc)}
		if slices.Contains(inv.Problems, p) {
			continue
		}
		if len(inv.Problems) == maxProblems {
			inv.More++
			if inv.More > 100 { // enough to know that there are many
				inv.More = max(inv.More, len(found)-maxProblems)
				break
			}
			continue
		}
		inv.Problems = append(inv.Problems, p)
	}
	if len(inv.Problems) == 0 {
		inv.Problems = []Problem{{Text: "the value does not fit"}} // cannot happen: collect finds at least verr
	}
	return inv
}

// collect appends the problems under e, without the frames around them.
func collect(found []finding, e *jsonschema.ValidationError) []finding {
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf, *kind.ContentSchema:
		if len(e.Causes) > 0 {
			for _, c := range e.Causes {
				found = collect(found, c)
			}
			return found
		}
	case *kind.Required:
		for _, name := range k.Missing {
			found = append(found, finding{at: e.InstanceLocation, err: e, name: name})
		}
		return found
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			found = append(found, finding{at: e.InstanceLocation, err: e, name: name})
		}
		return found
	case *kind.AnyOf, *kind.OneOf:
		if only := likeliest(e); only != nil {
			return collect(found, only)
		}
	}
	return append(found, finding{at: e.InstanceLocation, err: e})
}

// likeliest returns the one branch of a choice that the value was meant for: it
// is of the right type, or has the right constant in its field, when the others
// are not. It is nil if there is no telling.
func likeliest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	var left []*jsonschema.ValidationError
	for _, c := range e.Causes {
		if !wrongBranch(c, len(e.InstanceLocation)) {
			left = append(left, c)
		}
	}
	if len(left) == 1 {
		return left[0]
	}
	return nil
}

// wrongBranch reports whether e says that a value at the given depth has the
// wrong type, or that one of its fields has not the constant that marks it.
func wrongBranch(e *jsonschema.ValidationError, depth int) bool {
	switch e.ErrorKind.(type) {
	case *kind.Type:
		return len(e.InstanceLocation) == depth
	case *kind.Const, *kind.Enum:
		return len(e.InstanceLocation) <= depth+1
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		return slices.ContainsFunc(e.Causes, func(c *jsonschema.ValidationError) bool { return wrongBranch(c, depth) })
	}
	return false
}

// compareFindings orders by place, then what is missing before what is unknown
// before the rest, then by name.
func compareFindings(a, b finding) int {
	if n := slices.CompareFunc(a.at, b.at, compareSteps); n != 0 {
		return n
	}
	if n := rank(a) - rank(b); n != 0 {
		return n
	}
	if n := strings.Compare(a.name, b.name); n != 0 {
		return n
	}
	return strings.Compare(a.err.SchemaURL, b.err.SchemaURL)
}

func rank(f finding) int {
	switch f.err.ErrorKind.(type) {
	case *kind.Required:
		return 0
	case *kind.AdditionalProperties:
		return 1
	}
	return 2
}

func compareSteps(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX == nil && errY == nil {
		return x - y
	}
	return strings.Compare(a, b)
}

// path writes a place as a reader of code expects it: items[2].price.
func path(steps []string) string {
	const longest = 200
	var b strings.Builder
	for i, s := range steps {
		if b.Len() > longest {
			b.WriteString("…")
			break
		}
		switch _, err := strconv.ParseUint(s, 10, 32); {
		case err == nil:
			b.WriteString("[" + s + "]")
		case !plainName(s):
			b.WriteString("[" + quote(s) + "]")
		case i > 0:
			b.WriteString("." + s)
		default:
			b.WriteString(s)
		}
	}
	return b.String()
}

func plainName(s string) bool {
	if s == "" || len(s) > 60 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && r != '$' && r != '@' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// fields returns the names that the part of the schema at the given address
// knows as properties.
func (c *compiled) fields(at string) []string {
	frag, ok := strings.CutPrefix(at, address+"#")
	if !ok {
		return nil
	}
	part := c.doc
	for _, step := range strings.Split(frag, "/")[1:] {
		step, err := url.PathUnescape(step)
		if err != nil {
			return nil
		}
		part = child(part, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	props, _ := child(part, "properties").(map[string]any)
	names := make([]string, 0, len(props))
	for n := range props {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// valueAt returns what is in doc at a place; nil if there is nothing.
func valueAt(doc any, at []string) any {
	for _, step := range at {
		doc = child(doc, step)
	}
	return doc
}

func child(v any, step string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[step]
	case []any:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}
