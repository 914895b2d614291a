package openai_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/planner/openai"
)

func ExampleNew() {
	// In place of OpenAI, a server that plays a script.
	endpoint := httptest.NewServer(chatserver.New(chatserver.Replies(chatserver.Reply{Text: "Good morning!"}), nil))
	defer endpoint.Close()

	m := openai.New("gpt-5-mini", &openai.Options{BaseURL: endpoint.URL + "/v1", APIKey: "sk-…"})
	hello := agent.Text("Hello!")
	req := &agent.ModelRequest{System: "You are friendly.", Messages: []*agent.Message{&hello}}
	reply, err := m.Generate(context.Background(), req, func(d agent.Delta) { fmt.Printf("%q ", d.Text) })
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(reply.Message.Text())
	// Output: "Good " "morning!" Good morning!
}

func ExampleError() {
	endpoint := httptest.NewServer(chatserver.New(chatserver.Replies(chatserver.Reply{Fault: chatserver.FaultTooLong}), nil))
	defer endpoint.Close()

	m := openai.New("gpt-5-mini", &openai.Options{BaseURL: endpoint.URL + "/v1", APIKey: "sk-…"})
	hello := agent.Text("Hello!")
	_, err := m.Generate(context.Background(), &agent.ModelRequest{Messages: []*agent.Message{&hello}}, nil)

	_, passes := agent.IsTransient(err)
	var e *openai.Error
	if errors.As(err, &e) {
		fmt.Println(passes, e.Status, e.Code == openai.CodeContextLength)
		fmt.Println(e.Hint)
	}
	// Output:
	// false 400 true
	// the conversation is longer than the model takes: show it less, or choose a model that takes more
}
