// Package crashtest kills real worker processes at random instants, and looks
// at what became of their runs.
//
// The test starts runs on one store file and keeps several workers going, each a
// process of its own: this test binary, started again. Every 100 to 300
// milliseconds it kills one of them with SIGKILL and starts another. The tools
// call a service in the test's process over HTTP, which records every request.
// At the end the logs and that record must agree.
//
//	go test -v ./orchestrator/crashtest
//	FERMATA_SEED=42 go test -v ./orchestrator/crashtest
package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
	"github.com/fermata-run/fermata/planner"
	"github.com/fermata-run/fermata/planner/scripted"
)

// What the test tells a worker.
const (
	storeVar   = "FERMATA_CRASH_STORE"
	serviceVar = "FERMATA_CRASH_SERVICE"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(storeVar); path != "" {
		if err := work(path, os.Getenv(serviceVar)); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// work is a worker process. It lives until it is killed, or until its test is
// gone, which closes its standard input.
func work(path, service string) error {
	store, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	o, err := orchestrator.New(store, agents(service), &orchestrator.Options{
		MaxRuns: 8, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return o.Work(context.Background())
}

// timeout is that of the tools, and so how long the outcome of a Once call
// may stay open when its worker is killed.
const timeout = 3 * time.Second

// agents are a plain one, and one whose Once call is approved by a person.
func agents(service string) []*agent.Agent {
	model := scripted.Func(answer)
	act := func(name string, effect agent.Effect) *agent.Tool {
		return &agent.Tool{Name: name, Effect: effect, Timeout: timeout, Call: func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			return post(ctx, service+"/act", name)
		}}
	}
	once, sure := act("once", agent.Once), act("sure", agent.Once)
	sure.Reconcile = func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		return post(ctx, service+"/lookup", "sure")
	}
	approved := act("once", agent.Once)
	approved.Approve = agent.Always
	idem, look := act("idem", agent.Idempotent), act("look", agent.ReadOnly)
	loop := planner.Loop(model, "Act.", &planner.LoopOptions{NoAsk: true})
	return []*agent.Agent{
		{Name: "plain", Planner: loop, Tools: []*agent.Tool{once, sure, idem, look}},
		{Name: "careful", Planner: loop, Tools: []*agent.Tool{approved, sure, idem, look}},
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
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound:
		return nil, agent.NotDone(errors.New("there was no such request"))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	return text, nil
}
