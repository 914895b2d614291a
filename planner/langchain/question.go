package langchain

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tmc/langchaingo/llms"

	"github.com/fermata-run/fermata/agent"
)

// A question is a request as langchaingo takes it.
type question struct {
	messages []llms.MessageContent
	tools    []llms.Tool
	json     bool // in JSON mode
}

func (m *model) question(req *agent.ModelRequest) (*question, *failure) {
	if len(req.Tools) > 0 && m.provider.noTools {
		return nil, &failure{came: "langchaingo does not pass tools on to " + m.provider.name,
			hint: "take another provider, such as openai for an endpoint that is compatible with it; or give the agent no tools, and planner.LoopOptions NoAsk"}
	}
	tools, err := m.tools(req.Tools)
	if err != nil {
		return nil, &failure{came: err.Error()}
	}
	q := &question{tools: tools}
	system := req.System
	if req.Output != nil {
		if !json.Valid(req.Output.Schema) {
			return nil, &failure{came: fmt.Sprintf("the schema of the output %q is not JSON", req.Output.Name)}
		}
		system += demand(req.Output, len(tools) > 0)
		q.json = isObject(req.Output.Schema) && (len(tools) == 0 || m.provider.jsonMode)
	}
	q.messages = newEncoder(m.provider, req.Messages).messages(system, req.Messages)
	if len(q.messages) == 0 {
		return nil, &failure{came: "the request has neither a system text nor messages"}
	}
	return q, nil
}

// settings are what a request says of the options of its call.
func (q *question) settings(o *llms.CallOptions) {
	o.N, o.CandidateCount = min(o.N, 1), min(o.CandidateCount, 1) // more would be taken for pieces of one answer
	o.Tools, o.Functions = q.tools, nil
	if len(q.tools) == 0 {
		o.ToolChoice, o.FunctionCallBehavior = nil, "" // there is nothing to choose from
	}
	if q.json && o.ResponseMIMEType == "" {
		o.JSONMode = true
	}
}

// tools are the tools as the provider takes them.
func (m *model) tools(specs []agent.ToolSpec) ([]llms.Tool, error) {
	var tools []llms.Tool
	for _, s := range specs {
		input := s.Input
		if len(input) == 0 {
			input = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		if !json.Valid(input) {
			return nil, fmt.Errorf("the input schema of the tool %s is not JSON", s.Name)
		}
		var parameters any = input
		if m.provider.schemas {
			parameters = plainSchema(input)
		}
		tools = append(tools, llms.Tool{Type: "function", Function: &llms.FunctionDefinition{
			Name: s.Name, Description: s.Description, Parameters: parameters,
		}})
	}
	return tools, nil
}

// demand asks for an answer of a given form, in words: langchaingo has no other
// way that reaches a provider with each call. Who asks must check the answer.
func demand(o *agent.OutputSpec, tools bool) string {
	s := "\n\nYour answer must be JSON that fits this JSON Schema, and nothing else: no words around it, no code fence."
	if tools {
		s = "\n\nCall functions as you need them. Your final answer must be JSON that fits this JSON Schema, and nothing else: no words around it, no code fence."
	}
	var schema bytes.Buffer
	_ = json.Compact(&schema, o.Schema) // it is valid
	if o.Name != "" {
		s += " It is called " + o.Name + "."
	}
	return s + "\n" + schema.String()
}

// isObject reports whether a schema is that of objects, which are all that JSON
// mode lets through.
func isObject(schema json.RawMessage) bool {
	var root struct{ Type any }
	return json.Unmarshal(schema, &root) == nil && root.Type == "object"
}

// plainSchema is the schema of a tool as googleai reads one: as a map, whose
// root has properties, where each type is a single one and each part a map.
func plainSchema(schema json.RawMessage) map[string]any {
	var root map[string]any
	_ = json.Unmarshal(schema, &root) // what is no object says nothing: any is taken
	root = plain(root)
	if _, ok := root["type"]; !ok {
		root["type"] = "object"
	}
	if _, ok := root["properties"]; !ok {
		root["properties"] = map[string]any{}
	}
	return root
}

func plain(part any) map[string]any {
	s, ok := part.(map[string]any)
	if !ok || s == nil {
		return map[string]any{} // true, false, or nothing
	}
	if types, ok := s["type"].([]any); ok {
		delete(s, "type")
		for _, t := range types {
			if t != "null" {
				s["type"] = t
				break
			}
		}
	}
	if properties, ok := s["properties"].(map[string]any); ok {
		for name, p := range properties {
			properties[name] = plain(p)
		}
	}
	if items, ok := s["items"]; ok {
		s["items"] = plain(items)
	}
	return s
}
