package graph

import (
	"fmt"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// Options are what a graph needs beside its definition. A nil *Options and the zero
// value of each field are the defaults.
type Options struct {
	Funcs  map[string]Func        // that its expressions may call
	Models map[string]agent.Model // that its planner nodes may ask, by name

	// Lax takes graphs in which nodes are unreachable, dead ends, or shadowed by
	// others, as other tools' machines may be.
	Lax bool
}

// model returns the model of this name, "" being the only one; nil if there is none.
func (o *Options) model(name string) agent.Model {
	if name == "" && len(o.Models) == 1 {
		for _, m := range o.Models {
			return m
		}
	}
	return o.Models[name]
}

// A Problem is one thing that is wrong with a definition.
type Problem struct {
	Path    string `json:"path"`           // where, such as nodes[3].retry.backoff
	Rule    string `json:"rule"`           // the rule's short name, such as unreachable
	Message string `json:"message"`        // what was expected, what is there, and what to do
	Line    int    `json:"line,omitempty"` // of the text it was read from; 0 if there is none
}

func (p Problem) String() string {
	where := p.Path
	if p.Line > 0 {
		where = strings.TrimSuffix(fmt.Sprintf("line %d, %s", p.Line, p.Path), ", ")
	}
	if where != "" {
		where += ": "
	}
	return fmt.Sprintf("%s%s (%s)", where, p.Message, p.Rule)
}

// maxProblems is how many are told of one definition.
const maxProblems = 100

// atMost cuts a list of problems, and says so in its last one.
func atMost(problems []Problem) []Problem {
	if len(problems) <= maxProblems {
		return problems
	}
	more := len(problems) - maxProblems + 1
	return append(problems[:maxProblems-1:maxProblems-1], Problem{Rule: "more", Message: fmt.Sprintf("and at least %d more: mend these first", more)})
}

// Invalid is the error of a definition that is refused.
type Invalid struct {
	Graph    string
	Problems []Problem
}

func (e *Invalid) Error() string {
	lines := []string{fmt.Sprintf("the graph %q is refused:", e.Graph)}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}
