package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	goai "github.com/sashabaranov/go-openai"
)

// floorPrefix begins the keys of the floor, so that they can be told from
// Fermata's.
const floorPrefix = "floor:"

// A floor does the work as one would write it by hand: a model call with
// go-openai, the tool, and one append of what was said, per step. It has no
// claims, no approvals and no second chance; it is what a step costs at least.
type floor struct {
	model  *goai.Client
	redis  *goredis.Client
	task   *task
	tools  []goai.Tool
	stream bool
	meter  *meter // may be nil
}

func newFloor(t *task, m modelAt, transport *http.Transport, redis *goredis.Client) *floor {
	config := goai.DefaultConfig("bench")
	config.BaseURL, config.HTTPClient = m.URL, &http.Client{Transport: transport}
	return &floor{
		model: goai.NewClientWithConfig(config), redis: redis, task: t, stream: m.Stream,
		tools: []goai.Tool{{Type: goai.ToolTypeFunction, Function: &goai.FunctionDefinition{
			Name: toolName, Description: toolDescription, Parameters: t.tool().Input,
		}}},
	}
}

// converse has one conversation of n calls, which is kept under key.
func (f *floor) converse(ctx context.Context, n int, key string) error {
	messages := []goai.ChatCompletionMessage{
		{Role: goai.ChatMessageRoleSystem, Content: instructions},
		{Role: goai.ChatMessageRoleUser, Content: request},
	}
	for step := 0; ; step++ {
		f.meter.step(key, time.Now())
		said, err := f.ask(ctx, loopName(n), messages)
		if err != nil {
			return fmt.Errorf("the floor's model call %d: %w", step, err)
		}
		if len(said.ToolCalls) == 0 {
			if step != n || said.Content != farewell {
				return fmt.Errorf("a conversation of the floor ended after %d of %d calls with %q", step, n, said.Content)
			}
			return f.keep(ctx, key, said)
		}
		if step >= n {
			return fmt.Errorf("a conversation of the floor goes on after %d calls: the model does not count them", n)
		}
		result, err := f.call(ctx, said.ToolCalls[0])
		if err != nil {
			return fmt.Errorf("the floor's tool call %d: %w", step, err)
		}
		if err := f.keep(ctx, key, said, result); err != nil {
			return err
		}
		messages = append(messages, said, result)
	}
}

// call calls the tool.
func (f *floor) call(ctx context.Context, c goai.ToolCall) (m goai.ChatCompletionMessage, err error) {
	var args actArgs
	if err := json.Unmarshal([]byte(c.Function.Arguments), &args); err != nil {
		return m, err
	}
	out, err := f.task.act(ctx, args)
	if err != nil {
		return m, err
	}
	content, err := json.Marshal(out)
	if err != nil {
		return m, err
	}
	return goai.ChatCompletionMessage{Role: goai.ChatMessageRoleTool, ToolCallID: c.ID, Content: string(content)}, nil
}

// keep appends messages to the conversation's list, in one round trip.
func (f *floor) keep(ctx context.Context, key string, messages ...goai.ChatCompletionMessage) error {
	values := make([]any, len(messages))
	for i, m := range messages {
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		values[i] = b
	}
	began := time.Now()
	pipe := f.redis.Pipeline()
	pipe.RPush(ctx, floorPrefix+key, values...)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("the floor's append: %w", err)
	}
	f.meter.append(time.Since(began))
	return nil
}

// ask asks the model once.
func (f *floor) ask(ctx context.Context, model string, messages []goai.ChatCompletionMessage) (m goai.ChatCompletionMessage, err error) {
	req := goai.ChatCompletionRequest{Model: model, Messages: messages, Tools: f.tools}
	if f.stream {
		req.StreamOptions = &goai.StreamOptions{IncludeUsage: true}
		return f.listen(ctx, req)
	}
	resp, err := f.model.CreateChatCompletion(ctx, req)
	if err != nil {
		return m, err
	}
	if len(resp.Choices) == 0 {
		return m, errors.New("an answer without choices")
	}
	return resp.Choices[0].Message, nil
}

// listen asks the model and puts its streamed answer together.
func (f *floor) listen(ctx context.Context, req goai.ChatCompletionRequest) (m goai.ChatCompletionMessage, err error) {
	stream, err := f.model.CreateChatCompletionStream(ctx, req)
	if err != nil {
		return m, err
	}
	defer stream.Close()
	m.Role = goai.ChatMessageRoleAssistant
	var text strings.Builder
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			m.Content = text.String()
			return m, nil
		}
		if err != nil {
			return m, err
		}
		for _, c := range chunk.Choices {
			text.WriteString(c.Delta.Content)
			for _, t := range c.Delta.ToolCalls {
				if t.ID != "" {
					m.ToolCalls = append(m.ToolCalls, goai.ToolCall{ID: t.ID, Type: t.Type, Function: goai.FunctionCall{Name: t.Function.Name}})
				}
				if len(m.ToolCalls) > 0 {
					m.ToolCalls[len(m.ToolCalls)-1].Function.Arguments += t.Function.Arguments
				}
			}
		}
	}
}
