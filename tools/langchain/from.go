package langchain

import (
	"context"
	"strings"

	lctools "github.com/tmc/langchaingo/tools"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/tools"
)

// input are the arguments of a tool made by From.
type input struct {
	Input string `json:"input" jsonschema_description:"What the tool is given, as its description says."`
}

// From makes a tool of t, a tool of langchaingo. Its arguments are {"input":
// string}, its result is a string. Its name is that of t, in which all but
// letters, digits, _ and - becomes _: "Google Search" is Google_Search. nil
// Options are the zero value: it runs once, without approval, for at most a
// minute.
//
// An error of t is the error of the call, as it is. Where the effect is Once, it
// leaves open whether the act took place, and a person is asked, unless t marks it
// with [agent.NotDone]. Many tools of langchaingo tell an error in words, as their
// result. t is called by several goroutines at once, unless Options.Limit is 1.
//
// From panics if t is nil, its name is empty or longer than 64 bytes, or an
// option makes no sense.
func From(t lctools.Tool, o *tools.Options) *agent.Tool {
	if t == nil {
		panic("langchain.From: the tool is nil: give one of langchaingo's")
	}
	return tools.Func(plainName(t.Name()), strings.TrimSpace(t.Description()),
		func(ctx context.Context, in input) (string, error) { return t.Call(ctx, in.Input) }, o)
}

// plainName replaces what a tool's name may not have.
func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, strings.TrimSpace(s))
}
