package langchain_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/tmc/langchaingo/llms/openai"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/planner/langchain"
)

func ExampleNew() {
	// In place of OpenAI, a server that plays a script.
	endpoint := httptest.NewServer(chatserver.New(chatserver.Replies(chatserver.Reply{Text: "Good morning!"}), nil))
	defer endpoint.Close()

	llm, err := openai.New(openai.WithBaseURL(endpoint.URL+"/v1"), openai.WithToken("sk-…"), openai.WithHTTPClient(langchain.HTTPClient(nil)))
	if err != nil {
		fmt.Println(err)
		return
	}
	m := langchain.New(llm, nil)
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
