package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/openai"
	"github.com/fermata-run/fermata/tools"
)

// What a conversation begins and ends with, on both sides.
const (
	instructions = "You do what is asked, one call at a time."
	request      = "Go."
	farewell     = "Done."

	toolName        = "act"
	toolDescription = "Acts once, and tells what came of it."
)

// actArgs are the arguments of a step, actResult what it gives.
type (
	actArgs struct {
		Note string `json:"note" jsonschema:"description=What is to be done"`
	}
	actResult struct {
		Text string `json:"text"`
	}
)

// The sizes of a step, as JSON.
const (
	argBytes    = 200
	resultBytes = 1024
)

var (
	theArgs   = mustJSON(actArgs{strings.Repeat("n", argBytes-len(`{"note":""}`))})
	theResult = actResult{strings.Repeat("r", resultBytes-len(`{"text":""}`))}
)

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("bench: " + err.Error()) // cannot happen: these are structs of strings
	}
	return b
}

// A task is the tool of one bench, which counts its calls.
type task struct{ calls atomic.Int64 }

func (t *task) act(context.Context, actArgs) (actResult, error) {
	t.calls.Add(1)
	return theResult, nil
}

// tool is the task as Fermata's tool. It is Once, the default.
func (t *task) tool() *agent.Tool { return tools.Func(toolName, toolDescription, t.act, nil) }

// loopName names the model, and the agent, that makes n calls.
func loopName(n int) string { return fmt.Sprintf("loop-%d", n) }

// looper is the agent that makes n calls. What it asks of the model is not tried
// again within the call, so that no failure is hidden.
func (t *task) looper(n int, m modelAt, transport *http.Transport) *agent.Agent {
	model := openai.New(loopName(n), &openai.Options{
		BaseURL: m.URL, APIKey: "bench", NoStream: !m.Stream, Transport: transport, Attempts: 1,
	})
	return &agent.Agent{
		Name: loopName(n), Planner: planner.Loop(model, instructions, &planner.LoopOptions{NoAsk: true}),
		Tools: []*agent.Tool{t.tool()}, Limits: agent.Limits{TurnSteps: -1},
	}
}

// modelAt says where the scripted model is, and how it is to answer.
type modelAt struct {
	URL    string `json:"url"`
	Stream bool   `json:"stream,omitempty"`
}

// transport makes the transport of one side: both have one of the same kind,
// which keeps a connection for each conversation as far as the system allows as
// many files.
func (modelAt) transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1<<20
	t.MaxConnsPerHost = max(maxFiles()-1000, 100)
	return t
}
