package run_test

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// A command is a line of a script: a verb, arguments, name=value options.
type command struct {
	verb    string
	args    []string
	options map[string]string
}

// flags are the words that are options without a value.
var flags = " bare each finish approve lookup idempotent readonly transient not-done again end-turn interrupt reject outlives child expired repair "

func parseCommand(line string) *command {
	c := &command{options: map[string]string{}}
	for _, w := range words(line) {
		name, value, isOption := strings.Cut(w, "=")
		switch {
		case c.verb == "":
			c.verb = w
		case c.verb != "answer" && strings.Contains(flags, " "+w+" "):
			c.options[w] = "yes"
		case isOption && !strings.ContainsAny(name, `"{[ `):
			c.options[name] = unquote(value)
		default:
			c.args = append(c.args, unquote(w))
		}
	}
	return c
}

func (c *command) arg(i int) string {
	if i >= len(c.args) {
		return ""
	}
	return c.args[i]
}

func (c *command) json(i int) json.RawMessage { return jsonOf(c.arg(i)) }
func (c *command) option(name string) string  { return c.options[name] }
func (c *command) has(name string) bool       { return c.options[name] != "" }

// unquote takes the quotes off what is quoted.
func unquote(w string) string {
	if text, err := strconv.Unquote(w); err == nil {
		return text
	}
	return w
}

// jsonOf takes JSON as it is, and any other text as a string.
func jsonOf(text string) json.RawMessage {
	switch {
	case text == "":
		return nil
	case json.Valid([]byte(text)):
		return json.RawMessage(text)
	}
	return agent.JSONText(text)
}

// words splits a line at spaces, but not within quotes and brackets.
func words(line string) []string {
	var out []string
	depth, quoted, from := 0, false, 0
	for i, r := range line + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '{' || r == '[':
			depth++
		case r == '}' || r == ']':
			depth--
		case r == ' ' && depth == 0:
			if i > from {
				out = append(out, line[from:i])
			}
			from = i + 1
		}
	}
	return out
}
