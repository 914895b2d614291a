// Command langchain is an agent with parts of langchaingo: its model is asked
// through langchaingo's openai, and one of its tools is langchaingo's calculator.
// Without an OPENAI_API_KEY, a script plays the model.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http/httptest"
	"os"

	"github.com/tmc/langchaingo/llms/openai"
	lctools "github.com/tmc/langchaingo/tools"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/memory/sqlite"
	"github.com/fermata-run/fermata/orchestrator"
	"github.com/fermata-run/fermata/planner"
	lcplanner "github.com/fermata-run/fermata/planner/langchain"
	"github.com/fermata-run/fermata/tools"
	"github.com/fermata-run/fermata/tools/langchain"
)

type article struct {
	Name string `json:"name" jsonschema:"description=Name of the article"`
}

func price(_ context.Context, a article) (float64, error) { return 14.5, nil }

// shown prints what a tool does.
func shown(t *agent.Tool) *agent.Tool {
	call := t.Call
	t.Call = func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
		out, err := call(ctx, args)
		fmt.Printf("%s %s: %s\n", t.Name, args, out)
		return out, err
	}
	return t
}

func main() {
	// The client lets Fermata see what langchaingo keeps to itself, such as how long to wait after a 429.
	opts := []openai.Option{openai.WithModel("gpt-5-mini"), openai.WithHTTPClient(lcplanner.HTTPClient(nil))}
	if os.Getenv("OPENAI_API_KEY") == "" {
		script := httptest.NewServer(chatserver.New(play, nil))
		defer script.Close()
		opts = append(opts, openai.WithBaseURL(script.URL+"/v1"), openai.WithToken("none"))
	}
	llm, err := openai.New(opts...)
	check(err)

	seller := &agent.Agent{
		Name:    "seller",
		Planner: planner.Loop(lcplanner.New(llm, nil), "You sell coffee things. Prices are in EUR.", nil),
		Tools: []*agent.Tool{
			tools.Wrap(tools.Func("price", "The price of an article.", price, &tools.Options{Effect: agent.ReadOnly}), shown),
			tools.Wrap(langchain.From(lctools.Calculator{}, &tools.Options{Effect: agent.ReadOnly}), shown),
		},
	}
	store, err := sqlite.Open("langchain.db", nil)
	check(err)
	defer store.Close()
	o, err := orchestrator.New(store, []*agent.Agent{seller}, nil)
	check(err)
	res, err := o.Run(context.Background(), orchestrator.Request{Agent: "seller", Message: agent.Text("What do three mugs cost?")})
	check(err)
	fmt.Println(res.Text)
}

// play is what the script answers.
var play = chatserver.Replies(
	chatserver.Reply{Calls: []chatserver.Call{{Name: "price", Args: []byte(`{"name":"mug"}`)}}},
	chatserver.Reply{Calls: []chatserver.Call{{Name: "calculator", Args: []byte(`{"input":"3 * 14.5"}`)}}},
	chatserver.Reply{Text: "Three mugs cost 43.50 EUR."},
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
