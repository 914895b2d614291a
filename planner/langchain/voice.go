package langchain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/fermata-run/fermata/agent"
)

// voice hands the words of a stream on. Providers may call it from goroutines of
// their own, and even after their call has returned: then it is closed, and
// nothing is handed on any more.
type voice struct {
	noisy bool // calls may come among the words

	mu     sync.Mutex
	emit   func(agent.Delta) // nil once it is closed, or if nobody listens
	spoke  bool              // there is something to take back
	spoken bool              // words came while the answer was made
}

// words is a StreamingFunc. Its error ends the stream.
func (v *voice) words(ctx context.Context, chunk []byte) error {
	if v.noisy {
		if names, ok := noise(chunk); ok {
			for _, name := range names {
				if err := v.hand(ctx, agent.Delta{Call: name}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if len(chunk) == 0 {
		return ctx.Err()
	}
	return v.hand(ctx, agent.Delta{Text: string(chunk)})
}

// thoughts is a StreamingReasoningFunc. The words that come with it come to
// words, too.
func (v *voice) thoughts(ctx context.Context, reasoning, _ []byte) error {
	if len(reasoning) == 0 {
		return ctx.Err()
	}
	return v.hand(ctx, agent.Delta{Reasoning: string(reasoning)})
}

// hand hands d on. A panic of who listens is an error here, as it would end the
// program in a provider's goroutine.
func (v *voice) hand(ctx context.Context, d agent.Delta) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = panicked(fmt.Sprintf("emit panicked: %v", r))
		}
	}()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.emit != nil {
		v.spoke, v.spoken = true, true
		v.emit(d)
	}
	return nil
}

// say says all of an answer of which nothing was streamed.
func (v *voice) say(r *agent.ModelReply) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.emit == nil || v.spoken {
		return
	}
	for _, p := range r.Message.Parts {
		d := agent.Delta{Text: p.Text, Reasoning: p.Reasoning}
		if p.Call != nil {
			d.Call = p.Call.Name
		}
		if d != (agent.Delta{}) {
			v.emit(d)
		}
	}
}

// reset takes back what was said.
func (v *voice) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.spoke && v.emit != nil {
		v.emit(agent.Delta{Reset: true})
	}
	v.spoke, v.spoken = false, false
}

func (v *voice) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.emit = nil
}

// noise reports whether a chunk is no words but pieces of calls, which
// langchaingo's openai puts into the same stream as JSON of its own, and returns
// the names of those that begin. A chunk of words that is the same to the byte
// would have to come whole, and while there are tools.
func noise(chunk []byte) (names []string, ok bool) {
	type function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	type call struct {
		ID       string   `json:"id,omitempty"`
		Type     string   `json:"type"`
		Function function `json:"function,omitempty"`
	}
	switch {
	case bytes.HasPrefix(chunk, []byte(`[{"`)):
		var calls []call
		if !same(chunk, &calls) {
			return nil, false
		}
		for _, c := range calls {
			if c.Function.Name != "" {
				names = append(names, c.Function.Name)
			}
		}
		return names, true
	case bytes.HasPrefix(chunk, []byte(`{"name":`)):
		var f function // of the protocol before there were tools
		return nil, same(chunk, &f)
	}
	return nil, false
}

// same reports whether chunk is exactly what encoding/json makes of v, which it
// reads it into.
func same(chunk []byte, v any) bool {
	if json.Unmarshal(chunk, v) != nil {
		return false
	}
	again, err := json.Marshal(v)
	return err == nil && bytes.Equal(chunk, again)
}
