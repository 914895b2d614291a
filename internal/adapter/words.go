package adapter

import (
	"bytes"
	"encoding/json"

	"github.com/fermata-run/fermata/agent"
)

// explanations say in words what an outcome means for the model.
var explanations = map[agent.Outcome]string{
	agent.Expired:    "nobody answered, or nothing arrived, in time",
	agent.Cancelled:  "it was withdrawn",
	agent.Superseded: "the user wrote meanwhile, and it was withdrawn",
	agent.Pending:    "not finished: it waits for a person, an event or a time, such as an approval; a note will follow. Do not call it again for this",
	agent.Unknown:    "it was begun, and nobody knows yet whether it took place; a note will follow. Do not call it again for this",
}

// Result is what a call gave, or in words how it stands; before it, that a person has
// changed the arguments, if so.
func Result(r *agent.Result) string {
	if len(r.Edited) > 0 {
		return "A person has changed the arguments of this call to " + string(r.Edited) + ".\n" + ending(r)
	}
	return ending(r)
}

func ending(r *agent.Result) string {
	if r.Outcome == agent.Returned || r.Outcome == agent.Answered || r.Outcome == "" {
		text := agent.PlainText(r.Content)
		if text == "" {
			return `{"outcome":"` + string(agent.Returned) + `"}`
		}
		if r.Blob != "" {
			text += "\n[only the beginning of a larger result is shown]"
		}
		return text
	}
	told := struct {
		Outcome agent.Outcome   `json:"outcome"`
		Meaning string          `json:"meaning,omitempty"`
		Error   json.RawMessage `json:"error,omitempty"`
		Reason  json.RawMessage `json:"reason,omitempty"`
		Content json.RawMessage `json:"content,omitempty"`
	}{Outcome: r.Outcome, Meaning: explanations[r.Outcome]}
	content := r.Content
	if len(content) > 0 && !json.Valid(content) {
		content = agent.JSONText(string(content))
	}
	switch r.Outcome {
	case agent.Failed:
		told.Error = content
	case agent.Denied:
		told.Reason = content
	default:
		told.Content = content
	}
	return string(JSON(told))
}

// NotePrefix marks words of the orchestrator among those of the user.
const NotePrefix = "[note] "

// GoOn is what a model is told behind the words of another agent, which has handed the
// conversation to it: several providers refuse a conversation that ends with those of an
// assistant, and others have the model go on in the middle of them.
const GoOn = NotePrefix + "The conversation goes on with you."

// NeedsGoOn reports whether a conversation ends with an assistant's message.
func NeedsGoOn(msgs []*agent.Message) bool {
	return len(msgs) > 0 && msgs[len(msgs)-1].Role == agent.RoleAssistant
}

// Ending tells of a result that does not stand behind its call; name is that of
// the function.
func Ending(name string, r *agent.Result) string {
	return "The call " + r.CallID + " of " + name + " has ended: " + Result(r) + "\n"
}

// JSON encodes what has a JSON form. It leaves <, > and & as they are, since each
// escape costs the model tokens.
func JSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("adapter: this has no JSON form: " + err.Error()) // cannot happen: raw JSON is validated before
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
