package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
)

// showAsk tells what a person is asked, with all that they need to decide.
func showAsk(a *agent.Ask, now time.Time) []para {
	head := cleanLine(a.Prompt)
	if a.Kind == agent.AskApproval {
		head = cleanLine(a.Tool) + " needs your approval: " + cleanLine(strings.TrimSpace(strings.TrimPrefix(a.Prompt, "May "+a.Tool+" be called?")))
	}
	if path := pathOf(a.Path); path != "" {
		head = path + ": " + head
	}
	out := []para{{gap: true, mark: "? ", tint: yellow, text: head, paint: bold}}
	out = append(out, showArgs(a.Args)...)
	if a.Note != "" {
		out = append(out, para{mark: "    ", text: "delegated" + by(a.Delegated) + because(a.Note)})
	}
	if !a.Due.IsZero() {
		out = append(out, para{mark: "    ", text: "to be answered within " + dueIn(a.Due, now), paint: dim})
	}
	return out
}

// showArgs shows arguments one per line: nothing of what is approved may be cut
// off or run together.
func showArgs(args json.RawMessage) []para {
	fields, ok := fieldsOf(args)
	if !ok {
		if len(args) == 0 {
			return nil
		}
		return []para{{mark: "    ", text: cleanLine(string(compact(args)))}}
	}
	longest := 0
	for _, f := range fields {
		longest = max(longest, cellsOf(cleanLine(f.name)))
	}
	var out []para
	for _, f := range fields {
		name := cleanLine(f.name)
		mark := "    " + name + strings.Repeat(" ", min(longest, 20)-min(cellsOf(name), min(longest, 20))+2)
		out = append(out, para{mark: mark, tint: dim, text: cleanLine(string(compact(f.value)))})
	}
	return out
}

// letters are the keys of the choices that Fermata offers by itself.
var letters = map[string]string{
	agent.Approve: "a", agent.Edit: "e", agent.Deny: "d", agent.Instead: "r",
	agent.Happened: "h", agent.Rerun: "m", agent.NotHappened: "n", agent.GiveUp: "g",
	agent.Continue: "c", agent.Stop: "s",
}

// meanings are those choices in words.
var meanings = map[string]string{
	agent.Approve: "approve", agent.Edit: "edit the arguments", agent.Deny: "deny", agent.Instead: "give the result instead",
	agent.Happened: "it happened", agent.Rerun: "it did not: make it now", agent.NotHappened: "it did not, and shall not", agent.GiveUp: "give up: nobody can tell",
	agent.Continue: "go on, with the same allowance again", agent.Stop: "stop here",
}

// own reports whether the ask is one that Fermata opened by itself.
func own(a *agent.Ask) bool {
	return a.Kind == agent.AskApproval || a.Kind == agent.AskOutcome || a.Kind == agent.AskLimit
}

// showChoices shows what may be answered.
func showChoices(a *agent.Ask) []para {
	if !own(a) {
		var out []para
		for i, c := range a.Choices {
			out = append(out, para{mark: fmt.Sprintf("    %d  ", i+1), tint: yellow, text: cleanLine(c)})
		}
		return out
	}
	var words []string
	for _, c := range a.Choices {
		words = append(words, letters[c]+" "+meanings[c])
	}
	return []para{{mark: "    ", text: strings.Join(words, " · "), paint: dim}}
}

// askPrompt is what stands before the answer.
func askPrompt(a *agent.Ask) string {
	if !own(a) {
		if len(a.Choices) > 0 {
			return "1–" + strconv.Itoa(len(a.Choices)) + " › "
		}
		return "answer › "
	}
	var keys []string
	for _, c := range a.Choices {
		keys = append(keys, letters[c])
	}
	what := ""
	if a.Kind != agent.AskLimit {
		what = fit(cleanLine(a.Tool), 20) + " "
	}
	return what + strings.Join(keys, "/") + " › "
}

// chosenBy finds the choice that a line means: itself, and only then itself in other
// letters, its letter or its number. It returns "" if the line is something else.
func chosenBy(a *agent.Ask, line string) string {
	line = strings.TrimSpace(line)
	for _, means := range []func(i int, c string) bool{
		func(_ int, c string) bool { return line == c },
		func(_ int, c string) bool { return strings.EqualFold(line, c) },
		func(_ int, c string) bool { return own(a) && strings.EqualFold(line, letters[c]) },
		func(i int, _ string) bool { return !own(a) && line == strconv.Itoa(i+1) },
	} {
		for i, c := range a.Choices {
			if means(i, c) {
				return c
			}
		}
	}
	return ""
}

// needs says what else an answer with this choice has to hold: "arguments",
// "reason", "result", or "".
func needs(a *agent.Ask, choice string) string {
	switch {
	case a.Kind == agent.AskApproval && choice == agent.Edit:
		return "arguments"
	case a.Kind == agent.AskApproval && choice == agent.Deny:
		return "reason"
	case a.Kind == agent.AskApproval && choice == agent.Instead:
		return "result"
	}
	return ""
}

// valueOf reads a value that a person has typed: JSON where it is some and fits a
// schema that wants more than text, and otherwise its text. What fits neither way is
// JSON, which a complaint tells more of.
func valueOf(line string, want json.RawMessage) json.RawMessage {
	line = strings.TrimSpace(line)
	value, text := json.RawMessage(line), agent.JSONText(line)
	switch {
	case !json.Valid(value), wantsText(want):
		return text
	case schema.Validate(want, value) != nil && schema.Validate(want, text) == nil:
		return text
	}
	return value
}

// wantsText reports whether the schema takes strings only, or says nothing.
func wantsText(want json.RawMessage) bool {
	if len(want) == 0 {
		return true
	}
	var s struct {
		Type any `json:"type"`
	}
	return json.Unmarshal(want, &s) == nil && s.Type == "string"
}

// objectOf reads edited arguments. The error says what is wrong with the JSON.
func objectOf(line string) (json.RawMessage, error) {
	var v map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		var at *json.SyntaxError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("that is not JSON: %v, at character %d", err, at.Offset)
		}
		return nil, errors.New("the arguments have to be a JSON object, such as {\"order\": 1042}")
	}
	return json.RawMessage(line), nil
}
