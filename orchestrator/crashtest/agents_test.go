package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// timeout is that of the tools, and so how long the outcome of a Once call
// may stay open when its worker is killed.
const timeout = 3 * time.Second

// agentNames are those of agents, as often as runs of them are started.
var agentNames = []string{"plain", "plain", "careful", "hasty", "patient"}

// agents are a plain one, one whose Once call is approved by a person, one that
// drops what it does when the user writes, and one that waits for signals, for
// times and for answers that come too late.
func agents(service string) []*agent.Agent {
	model := scripted.Func(answer)
	act := func(name string, effect agent.Effect) *agent.Tool {
		t := &agent.Tool{Name: name, Effect: effect, Timeout: timeout, Retry: agent.Retry{Attempts: 4, Backoff: 50 * time.Millisecond}}
		t.Call = func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			return post(ctx, service+"/act", name)
		}
		return t
	}
	once, sure := act("once", agent.Once), act("sure", agent.Once)
	sure.Reconcile = func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		return post(ctx, service+"/lookup", "sure")
	}
	approved := act("once", agent.Once)
	approved.Approve = agent.Always
	tools := []*agent.Tool{once, sure, act("idem", agent.Idempotent), act("look", agent.ReadOnly)}
	loop := planner.Loop(model, "Act.", &planner.LoopOptions{NoAsk: true})
	return []*agent.Agent{
		{Name: "plain", Planner: loop, Tools: tools},
		{Name: "careful", Planner: loop, Tools: append([]*agent.Tool{approved}, tools[1:]...)},
		{Name: "hasty", Planner: loop, Tools: tools, OnMessage: agent.Interrupt},
		{Name: "patient", Planner: agent.PlannerFunc(wait), Tools: tools},
	}
}

// answer is the model: three rounds of calls, and then words.
func answer(req *agent.ModelRequest) (*agent.ModelReply, error) {
	if err := orchestratortest.CheckRequest(req); err != nil {
		return nil, err
	}
	said := 0
	for _, m := range req.Messages {
		if m.Role == agent.RoleAssistant {
			said++
		}
	}
	rounds := [][]string{{"look", "once", "idem"}, {"sure"}, {"once", "sure"}}
	if said >= len(rounds) {
		return &agent.ModelReply{Message: *agent.Said("Done.")}, nil
	}
	reply := &agent.ModelReply{}
	for i, name := range rounds[said] {
		call := &agent.Call{ID: fmt.Sprintf("c%d_%d", said, i), Name: name}
		reply.Message.Parts = append(reply.Message.Parts, agent.Part{Call: call})
	}
	return reply, nil
}

// How long a patient run waits for a signal, and for an answer.
const (
	signalWait = 3 * time.Second
	answerWait = 2 * time.Second
)

// wait plans for a patient run, which goes through three stages and then is done.
func wait(_ context.Context, v *agent.View, _ func(agent.Delta)) (*agent.Move, error) {
	stage, _ := strconv.Atoi(string(v.Keys["stage"]))
	next := map[string]json.RawMessage{"stage": json.RawMessage(strconv.Itoa(stage + 1))}
	call := func(tool string) agent.Action { return agent.Action{Kind: agent.ActCall, Name: tool} }
	switch stage {
	case 0:
		return &agent.Move{Keys: next, Actions: []agent.Action{call("sure"), {Kind: agent.ActWait, Name: "go", Within: signalWait}}}, nil
	case 1:
		ask := &agent.Ask{Kind: agent.AskChoice, Prompt: "Which?", Choices: colours, Within: answerWait, Default: &agent.Answer{Choice: colours[0]}}
		return &agent.Move{Keys: next, Actions: []agent.Action{call("once"), {Kind: agent.ActAsk, Ask: ask}}}, nil
	case 2:
		return &agent.Move{Keys: next, Actions: []agent.Action{call("idem"), {Kind: agent.ActWait, Within: time.Second}}}, nil
	}
	return &agent.Move{Message: agent.Said("Done."), Finish: true}, nil
}

var colours = []string{"red", "blue"}

// post has the service do something for the call that ctx belongs to.
func post(ctx context.Context, url, tool string) (json.RawMessage, error) {
	c := agent.CallFrom(ctx)
	body, err := json.Marshal(request{Tool: tool, Key: c.Key, Attempt: c.Attempt})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return nil, agent.NotDone(errors.New(string(text)))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	return text, nil
}
