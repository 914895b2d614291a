package graph

import (
	"bytes"
	_ "embed"
	"encoding/json"
)

// form.schema.json is made of form.go and its comments: go test -run Schema -rewrite
// renews it, and its copy in docs.
//
//go:embed form.schema.json
var formSchema []byte

// Schema returns the JSON Schema (draft 2020-12) of the text form of a definition,
// with closed objects, for editors and for programs and models that write
// definitions. It says of what a definition is made; whether it makes sense, [Check]
// says.
func Schema() json.RawMessage { return bytes.Clone(formSchema) }
