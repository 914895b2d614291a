package langchain_test

import (
	"context"
	"encoding/json"
	"fmt"

	lctools "github.com/tmc/langchaingo/tools"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/tools"
	"github.com/fermata-run/fermata/tools/langchain"
)

func ExampleFrom() {
	calculator := langchain.From(lctools.Calculator{}, &tools.Options{Effect: agent.ReadOnly})
	out, err := calculator.Call(context.Background(), json.RawMessage(`{"input": "6 * 7"}`))
	fmt.Println(calculator.Name, string(out), err)
	// Output: calculator "42" <nil>
}

func ExampleTo() {
	type place struct {
		City string `json:"city"`
	}
	weather := tools.Func("weather", "The weather in a city.", func(_ context.Context, p place) (string, error) {
		return "21 °C in " + p.City, nil
	}, nil)
	theirs := langchain.To(weather)
	out, err := theirs.Call(context.Background(), "Bern")
	fmt.Println(theirs.Description())
	fmt.Println(out, err)
	// Output:
	// The weather in a city.
	// The input is the city, as plain text.
	// 21 °C in Bern <nil>
}
