package planner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
)

// OutputOf returns the JSON Schema of the type T, for LoopOptions.Output. It
// panics if T has no JSON form or a struct tag is wrong; the tags are those of
// package tools.
func OutputOf[T any]() json.RawMessage {
	s, err := schema.Of[T]()
	if err != nil {
		panic(fmt.Sprintf("planner.OutputOf[%s]: %v", reflect.TypeFor[T](), err))
	}
	return s
}

// fit takes the text of the move as the turn's result. The error says, for the
// model, why it cannot be.
func (l *loop) fit(move *agent.Move) error {
	text := move.Message.Text()
	value := json.RawMessage(unfence(text))
	if err := schema.Validate(l.output.Schema, value); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return err
	}
	move.Output = b.Bytes()
	if string(value) != text {
		setText(move.Message, string(value))
	}
	return nil
}

// setText makes text the only words of m, whose parts are nobody else's.
func setText(m *agent.Message, text string) {
	at := slices.IndexFunc(m.Parts, func(p agent.Part) bool { return p.Text != "" })
	parts := slices.DeleteFunc(m.Parts, func(p agent.Part) bool { return p.Text != "" })
	m.Parts = slices.Insert(parts, max(at, 0), agent.Part{Text: text})
}

// unfence returns what is within a Markdown code fence, if there is just one,
// and otherwise all of the text, without the space around it.
func unfence(text string) string {
	text = strings.TrimSpace(text)
	const fence = "```"
	if json.Valid([]byte(text)) || strings.Count(text, fence) != 2 {
		return text
	}
	inner := strings.TrimSpace(strings.Split(text, fence)[1])
	if !json.Valid([]byte(inner)) {
		inner = strings.TrimLeftFunc(inner, unicode.IsLetter) // the name of the language
	}
	return strings.TrimSpace(inner)
}

// again returns the request with the answer that did not fit and what is wrong
// with it. It is asked and not recorded.
func again(req *agent.ModelRequest, answer *agent.Message, complaint error) *agent.ModelRequest {
	next := *req
	user := agent.Text(fmt.Sprintf("This answer does not have the form that is required: %v. "+
		"Answer again, with nothing but JSON that fits the schema.", complaint))
	next.Messages = append(slices.Clone(req.Messages), answer, &user)
	return &next
}
