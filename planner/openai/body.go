package openai

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"

	goai "github.com/sashabaranov/go-openai"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// A body is a request's body in segments. They are shared with other requests
// and are not changed; nothing is copied before the connection wants it.
type body struct {
	segments [][]byte
	size     int64
}

func (b *body) add(segments ...[]byte) {
	for _, s := range segments {
		b.segments = append(b.segments, s)
		b.size += int64(len(s))
	}
}

// reader reads the body from its beginning.
func (b *body) reader() io.ReadCloser { return &bodyReader{rest: b.segments} }

type bodyReader struct {
	rest [][]byte
	at   int // in rest[0]
}

func (r *bodyReader) Read(p []byte) (n int, err error) {
	for len(r.rest) > 0 && n < len(p) {
		k := copy(p[n:], r.rest[0][r.at:])
		n += k
		if r.at += k; r.at == len(r.rest[0]) {
			r.rest, r.at = r.rest[1:], 0
		}
	}
	if n == 0 && len(r.rest) == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (*bodyReader) Close() error { return nil }

var (
	comma    = []byte(",")
	toolsKey = []byte(`],"tools":`)
	noTools  = []byte("]")
	closing  = []byte("}")
)

// body splices a request from what is encoded already: the settings of the
// profile, the messages, the tools.
func (m *Model) body(p *profile, req *agent.ModelRequest) (*body, error) {
	b := &body{segments: make([][]byte, 0, 2*len(req.Messages)+8)}
	b.add([]byte(`{"model":` + string(jsonString(m.name)) + `,"messages":[`))
	first := true
	message := func(enc []byte) {
		if len(enc) == 0 {
			return
		}
		if !first {
			b.add(comma)
		}
		first = false
		b.add(enc)
	}
	if req.System != "" {
		enc, err := m.systems.get(req.System, func(a, b string) bool { return a == b }, encodeSystem)
		if err != nil {
			return nil, err
		}
		message(enc)
	}
	e := encoder{host: m.base.Host, reasoning: p.quirks&wantsReasoning != 0}
	for _, enc := range p.conversations.encode(req.Run, req.Messages, e.message) {
		message(enc)
	}
	if adapter.NeedsGoOn(req.Messages) {
		w := wireMessage{Role: goai.ChatMessageRoleUser, Content: adapter.GoOn}
		message(w.encode())
	}
	if first {
		return nil, fmt.Errorf("the request has neither a system text nor messages")
	}
	if len(req.Tools) > 0 {
		enc, err := m.tools.get(req.Tools, sameTools, encodeTools)
		if err != nil {
			return nil, err
		}
		b.add(toolsKey, enc)
	} else {
		b.add(noTools)
	}
	if req.Output != nil {
		enc, err := encodeOutput(req.Output)
		if err != nil {
			return nil, err
		}
		b.add(enc)
	}
	b.add(p.settings, closing)
	return b, nil
}

func encodeSystem(text string) (string, []byte, error) {
	return text, adapter.JSON(wireMessage{Role: goai.ChatMessageRoleSystem, Content: text}), nil
}

func encodeTools(specs []agent.ToolSpec) ([]agent.ToolSpec, []byte, error) {
	tools := make([]goai.Tool, len(specs))
	for i, s := range specs {
		input := s.Input
		if len(input) == 0 {
			input = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		if !json.Valid(input) {
			return nil, nil, fmt.Errorf("the input schema of the tool %s is not JSON", s.Name)
		}
		tools[i] = goai.Tool{Type: goai.ToolTypeFunction, Function: &goai.FunctionDefinition{
			Name: s.Name, Description: s.Description, Parameters: input,
		}}
	}
	return slices.Clone(specs), adapter.JSON(tools), nil
}

// sameTools reports whether two lists of tools have the same encoding.
func sameTools(a, b []agent.ToolSpec) bool {
	return slices.EqualFunc(a, b, func(x, y agent.ToolSpec) bool {
		return x.Name == y.Name && x.Description == y.Description && string(x.Input) == string(y.Input)
	})
}

var notInName = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// encodeOutput asks for an answer of a given form, not strictly: strict
// endpoints refuse many schemas, and who asks must check the answer anyway.
func encodeOutput(o *agent.OutputSpec) ([]byte, error) {
	if !json.Valid(o.Schema) {
		return nil, fmt.Errorf("the schema of the output %q is not JSON", o.Name)
	}
	name := notInName.ReplaceAllString(o.Name, "_")
	if name == "" {
		name = "output"
	}
	return append([]byte(`,"response_format":`), adapter.JSON(goai.ChatCompletionResponseFormat{
		Type:       goai.ChatCompletionResponseFormatTypeJSONSchema,
		JSONSchema: &goai.ChatCompletionResponseFormatJSONSchema{Name: name[:min(len(name), 64)], Schema: o.Schema},
	})...), nil
}
