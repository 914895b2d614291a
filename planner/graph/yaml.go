package graph

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

func readYAML(data []byte, n *notes) (*tree, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		return nil, flawAt(0, "", "the text cannot be read: %v", err)
	}
	var doc, more yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return nil, flawAt(1, "", "the text is empty; expected an object with graph and nodes")
	} else if err != nil {
		return nil, yamlFlaw(err)
	}
	if err := loader.Load(&more); err == nil {
		return nil, flawAt(more.Line, "", "a second document begins here; a text has one definition: put others under graphs")
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlFlaw(err)
	}
	r := &yamlReader{notes: n, open: map[*yaml.Node]bool{}}
	return r.read(doc.Content[0], 0, "")
}

func yamlFlaw(err error) error {
	var le *yaml.LoadError
	if errors.As(err, &le) {
		return flawAt(le.Mark.Line, "", "this is not YAML: %s%s", le.Message, yamlHint(le.Message))
	}
	return flawAt(0, "", "this is not YAML: %v", err)
}

// yamlHint says what is most often the cause of an error of the syntax.
func yamlHint(message string) string {
	for _, h := range []struct{ about, hint string }{
		{"cannot start any token", "; lines are indented by spaces, not tabs, and text that begins with @, % or ` stands in quotes"},
		{"expected ',' or", "; within { } and [ ] text with such signs in it, as ${…}, stands in quotes"},
		{"mapping values are not allowed", "; text with a colon in it stands in quotes"},
	} {
		if strings.Contains(message, h.about) {
			return h.hint
		}
	}
	return ""
}

// yamlReader turns the nodes of YAML into a tree.
type yamlReader struct {
	*notes
	open map[*yaml.Node]bool // those that are being read, so that an alias within what it stands for is found
}

func (r *yamlReader) read(n *yaml.Node, depth int, path string) (*tree, error) {
	if err := r.count(n.Line, path); err != nil {
		return nil, err
	}
	if n.Kind == yaml.AliasNode {
		if n.Alias == nil || r.open[n.Alias] {
			return nil, flawAt(n.Line, path, "the alias *%s stands for what it is itself a part of", shorten(n.Value))
		}
		return r.read(n.Alias, depth, path)
	}
	if n.Kind == yaml.ScalarNode {
		return r.scalar(n, path), nil
	}
	if depth++; depth > maxDepth {
		return nil, flawAt(n.Line, path, "objects and lists are %d deep here: at most %d are taken", depth, maxDepth)
	}
	r.open[n] = true
	defer delete(r.open, n)
	t := &tree{kind: isSequence, line: n.Line}
	plain := "!!seq"
	if n.Kind == yaml.MappingNode {
		t.kind, plain = isMapping, "!!map"
	}
	if tag := n.ShortTag(); tag != plain {
		r.bad(n.Line, path, "tag", "the tag %s is not taken: write plain objects, lists and values", shorten(tag))
	}
	if t.kind == isMapping {
		return t, r.object(t, n, depth, path)
	}
	return t, r.list(t, n, depth, path)
}

func (r *yamlReader) list(t *tree, n *yaml.Node, depth int, path string) error {
	for i, c := range n.Content {
		kid, err := r.read(c, depth, at(path, i))
		if err != nil {
			return err
		}
		t.kids = append(t.kids, kid)
	}
	return nil
}

func (r *yamlReader) object(t *tree, n *yaml.Node, depth int, path string) error {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, ok := r.key(n.Content[i], path)
		if !ok {
			continue
		}
		p := join(path, k.name)
		fresh := r.unique(seen, k, p)
		kid, err := r.read(n.Content[i+1], depth, p)
		if err != nil {
			return err
		}
		if fresh {
			t.keys, t.kids = append(t.keys, k), append(t.kids, kid)
		}
	}
	return nil
}

// key returns a field's name: the text that is there, whatever type YAML gives it, so
// that on, yes and 1 are names like others.
func (r *yamlReader) key(n *yaml.Node, path string) (key, bool) {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		r.bad(n.Line, path, "key", "the name of a field is text, and an object or a list is here")
	case n.ShortTag() == "!!merge":
		r.bad(n.Line, path, "merge", "merge keys (<<) are not taken: write the fields out, or use an alias for a whole value")
	default:
		return key{n.Value, n.Line}, true
	}
	return key{}, false
}

func (r *yamlReader) scalar(n *yaml.Node, path string) *tree {
	t := &tree{kind: isWords, word: n.Value, line: n.Line}
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp", "!!merge": // a time is text here: what it means is the field's affair
		if _, err := strconv.ParseFloat(n.Value, 64); n.Style == 0 && errors.Is(err, strconv.ErrRange) {
			t.number(n.Value, path, r.notes) // too large for YAML's numbers, which makes it text
		}
	case "!!null":
		t.kind, t.word = isNull, ""
	case "!!bool":
		t.kind, t.word = isBool, strings.ToLower(n.Value)
		if t.word != "true" && t.word != "false" {
			r.bad(n.Line, path, "boolean", "expected true or false, got %s", shorten(n.Value))
			t.word = "false"
		}
	case "!!int", "!!float":
		t.number(n.Value, path, r.notes)
	default:
		r.bad(n.Line, path, "tag", "the tag %s is not taken: write plain values, and text that begins with ! in quotes", shorten(tag))
	}
	return t
}
