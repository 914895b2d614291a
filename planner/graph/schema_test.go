package graph_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/fermata-run/fermata/internal/schema"
	"github.com/fermata-run/fermata/planner/graph"
)

var rewrite = flag.Bool("rewrite", false, "renew files that are made")

// An object is a JSON object whose fields keep their order.
type object []field

type field struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, v := range []any{f.name, f.value} {
			enc, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			b.Write(enc)
			if v == f.name {
				b.WriteByte(':')
			}
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// more says of some fields what their Go type does not.
var more = map[string]object{
	"Definition.graph":    {{"pattern", "^[\\p{L}\\p{N}\\p{M}_-]+$"}},
	"Definition.language": {{"enum", []any{"", "cel", "ecmascript"}}},
	"Datum.type":          {{"enum", []any{"", "any", "bool", "int", "number", "string", "list", "map", "timestamp", "duration"}}},
	"Node.history":        {{"enum", []any{"", "shallow", "deep"}}},
	"Node.final":          {{"enum", []any{"", "done", "failed", true}}},
	"Ask.kind":            {{"enum", []any{"", "question", "choice", "form"}}},
	"Each.at_once":        {{"minimum", 0}},
	"Plan.steps":          {{"minimum", 0}},
	"Plan.tokens":         {{"minimum", 0}},
	"Retry.attempts":      {{"minimum", 1}},
}

// formOf makes the JSON Schema of the types in form.go.
func formOf(t *testing.T) []byte {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "form.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	root := object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "A logic graph of Fermata"}}
	var defs object
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			continue
		}
		for _, s := range decl.Specs {
			spec := s.(*ast.TypeSpec)
			name := spec.Name.Name
			o := objectOf(t, name, words(decl.Doc), spec.Type.(*ast.StructType))
			if name == "Definition" {
				root = append(root, o...)
			} else {
				defs = append(defs, field{name, o})
			}
		}
	}
	b, err := json.Marshal(append(root, field{"$defs", defs}))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out) // for < and > as they are
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(json.RawMessage(b)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// words returns a comment as one paragraph each, without its links' brackets.
func words(groups ...*ast.CommentGroup) string {
	var parts []string
	for _, g := range groups {
		if s := strings.TrimSpace(g.Text()); s != "" {
			parts = append(parts, s)
		}
	}
	paragraphs := strings.Split(strings.Join(parts, "\n"), "\n\n")
	for i, p := range paragraphs {
		if !strings.Contains(p, "\t") {
			paragraphs[i] = strings.Join(strings.Fields(p), " ")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

func objectOf(t *testing.T, name, doc string, st *ast.StructType) object {
	t.Helper()
	var props object
	var required []string
	for _, f := range st.Fields.List {
		if f.Tag == nil {
			continue // not exported
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json")
		fname, opts, _ := strings.Cut(tag, ",")
		if opts == "" && !(name == "Node" && fname == "id") {
			required = append(required, fname)
		}
		key := name + "." + fname
		var p object
		if d := words(f.Doc, f.Comment); d != "" {
			p = append(p, field{"description", d})
		}
		switch {
		case more[key] != nil && more[key][0].name == "enum":
			p = append(p, more[key]...)
		default:
			p = append(append(p, typeOf(t, key, f.Type)...), more[key]...)
		}
		props = append(props, field{fname, p})
	}
	o := object{{"description", doc}, {"type", "object"}, {"properties", props}}
	if required != nil {
		o = append(o, field{"required", required})
	}
	return append(o, field{"additionalProperties", false})
}

// typeOf is the schema of a Go type, with the shorter ways in which a text can have
// some fields.
func typeOf(t *testing.T, key string, e ast.Expr) object {
	t.Helper()
	text := object{{"type", "string"}}
	switch key {
	case "Edge.to", "Edge.on", "Retry.on":
		return object{{"anyOf", []any{text, object{{"type", "array"}, {"items", text}}}}}
	case "Ask.for", "Ask.not", "Escalation.for":
		return object{{"anyOf", []any{text, object{{"type", "array"}, {"items", object{}}}}}}
	case "Definition.initial", "Node.initial":
		return object{{"anyOf", []any{text, object{{"$ref", "#/$defs/Edge"}}}}}
	case "Definition.nodes":
		return object{{"type", "array"}, {"items", object{{"$ref", "#/$defs/Node"}, {"required", []string{"id"}}}}}
	}
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeOf(t, "", e.X)
	case *ast.ArrayType:
		return object{{"type", "array"}, {"items", typeOf(t, "", e.Elt)}}
	case *ast.MapType:
		return object{{"type", "object"}, {"additionalProperties", object{{"type", []any{"object", "boolean", "null"}}}}}
	case *ast.SelectorExpr: // json.RawMessage
		return object{{"type", []any{"object", "boolean"}}}
	case *ast.Ident:
		switch e.Name {
		case "any":
			return object{}
		case "string":
			return text
		case "bool":
			return object{{"type", "boolean"}}
		case "int":
			return object{{"type", "integer"}}
		case "Definition":
			return object{{"$ref", "#"}}
		}
		return object{{"$ref", "#/$defs/" + e.Name}}
	}
	t.Fatalf("%s: no schema for %T", key, e)
	return nil
}

// The schema is that of form.go, and what is published is the same.
func TestSchemaIsThatOfTheForm(t *testing.T) {
	want := formOf(t)
	for _, path := range []string{"form.schema.json", "../../docs/graph.schema.json"} {
		if *rewrite {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not that of form.go (%v): go test -run Schema -rewrite", path, err)
		}
	}
	if err := schema.Check(graph.Schema()); err != nil && !*rewrite {
		t.Error(err)
	}
}

// asJSON turns a YAML text into JSON.
func asJSON(t *testing.T, text string) json.RawMessage {
	t.Helper()
	var v any
	if err := yaml.Load([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What Parse takes fits the schema, and what it refuses as unknown or of a wrong type
// does not.
func TestSchemaFitsParse(t *testing.T) {
	for name, text := range sound {
		if err := schema.Validate(graph.Schema(), asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d, err := graph.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(graph.Schema(), b); err != nil {
			t.Errorf("%s: as JSON: %v", name, err)
		}
	}
	for _, tt := range unreadable {
		if tt.rule != "unknown" && tt.rule != "type" || strings.HasPrefix(tt.text, "true:") {
			continue // a name that is not text to JSON is none that a schema sees
		}
		if err := schema.Validate(graph.Schema(), asJSON(t, tt.text)); err == nil {
			t.Errorf("%q: Parse refuses it, and the schema does not", tt.text)
		}
	}
}
