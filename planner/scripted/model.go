package scripted

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/wellformed"
)

// Name is what a scripted model gives as the model that answered.
const Name = "scripted"

// Model is an [agent.Model] that plays a script or asks a function. Make it
// with [New] or [Func]. It reads no clock unless Delay is set.
type Model struct {
	// Delay is how long to wait before each word, for demonstrations. 0 does not
	// wait. Set it before the model is used.
	Delay time.Duration

	reply func(*agent.ModelRequest) (*agent.ModelReply, error)
}

var _ agent.Model = (*Model)(nil)

// New makes a model that answers with the given replies in order. When they
// have run out it returns an error that says so and what was asked.
func New(replies ...Reply) *Model {
	return Func(func(req *agent.ModelRequest) (*agent.ModelReply, error) {
		index := answered(req)
		if index >= len(replies) {
			return nil, fmt.Errorf("scripted: the script has run out: it has %d replies, and reply %d was asked for; %s",
				len(replies), index+1, asked(req))
		}
		r := replies[index]
		return &agent.ModelReply{Message: r.message(index), Usage: r.Usage}, r.Err
	})
}

// Func makes a model of a function that must not change the request. The words
// of its reply are emitted, also when it returns an error beside them. A reply
// that is nil or holds neither words nor calls is an error.
func Func(f func(req *agent.ModelRequest) (*agent.ModelReply, error)) *Model {
	return &Model{reply: f}
}

// Generate answers with the next reply of the script. It returns ctx.Err() as
// soon as ctx has ended. A reply that fails after words were emitted takes them
// back with a Reset.
//
// A conversation that a strict provider would refuse is an error that says what is
// wrong with it: a call without its result, a result without its call, an id that
// two calls have, an empty message. That is a bug of whoever asks, and nothing that
// the script could answer.
func (m *Model) Generate(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
	if emit == nil {
		emit = func(agent.Delta) {}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := wellformed.Check(req.Messages); err != nil {
		return nil, fmt.Errorf("scripted: the conversation is not well-formed: %w", err)
	}
	reply, err := m.reply(req)
	spoken := false
	if reply != nil {
		var stop error
		spoken, stop = m.speak(ctx, &reply.Message, emit)
		if stop != nil {
			err = stop
		}
	}
	if err == nil && (reply == nil || empty(&reply.Message)) {
		err = fmt.Errorf("scripted: the reply has neither words nor calls; %s", asked(req))
	}
	if err != nil {
		if spoken {
			emit(agent.Delta{Reset: true})
		}
		return nil, err
	}
	answer := *reply
	answer.Message.Role = agent.RoleAssistant
	if answer.Model == "" {
		answer.Model = Name
	}
	return &answer, nil
}

// speak emits a message word by word. It reports whether anything was emitted,
// and returns ctx.Err() when ctx has ended before the end.
func (m *Model) speak(ctx context.Context, msg *agent.Message, emit func(agent.Delta)) (spoken bool, err error) {
	for _, p := range msg.Parts {
		for _, w := range words(p.Reasoning) {
			if err := m.pace(ctx); err != nil {
				return spoken, err
			}
			emit(agent.Delta{Reasoning: w})
			spoken = true
		}
		for _, w := range words(p.Text) {
			if err := m.pace(ctx); err != nil {
				return spoken, err
			}
			emit(agent.Delta{Text: w})
			spoken = true
		}
		if p.Call != nil {
			emit(agent.Delta{Call: p.Call.Name})
			spoken = true
		}
	}
	return spoken, ctx.Err()
}

func (m *Model) pace(ctx context.Context) error {
	if m.Delay <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(m.Delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// words cuts s after each space: joined they are s.
func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.SplitAfter(s, " ")
}

// answered counts the assistant's messages: the index of the next reply.
func answered(req *agent.ModelRequest) int {
	n := 0
	for _, m := range req.Messages {
		if m.Role == agent.RoleAssistant {
			n++
		}
	}
	return n
}

// asked tells the end of the conversation, for an error message.
func asked(req *agent.ModelRequest) string {
	if len(req.Messages) == 0 {
		return "the conversation is empty"
	}
	last := req.Messages[len(req.Messages)-1]
	text := last.Text()
	for _, p := range last.Parts {
		if p.Result != nil {
			text += fmt.Sprintf("%s %s: %s ", p.Result.Name, p.Result.Outcome, agent.PlainText(p.Result.Content))
		}
	}
	if r := []rune(text); len(r) > 200 {
		text = string(r[:200]) + "…"
	}
	return fmt.Sprintf("the last message is of role %s: %q", last.Role, strings.TrimSpace(text))
}

func empty(m *agent.Message) bool {
	return m.Text() == "" && len(m.Calls()) == 0
}
