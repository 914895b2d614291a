package planner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/schema"
)

// LoopOptions are the options of [Loop]. The zero value is a loop that may ask
// the person and answers in free text. To whom it may give tasks or hand off is
// not an option, but says the agent: see Delegates and Handoffs there.
type LoopOptions struct {
	// NoAsk leaves out the function by which the model asks the person a
	// question, or to fill in a form: see [AskPerson].
	NoAsk bool

	// Output is the JSON Schema of the answer that ends a turn; nil is free
	// text. [OutputOf] makes it of a Go type.
	Output json.RawMessage
	// OutputName is what the model is told that the answer is called, of
	// letters, digits, _ and -; "" is "answer".
	OutputName string
	// Repairs is how many times at most the model is asked again for an answer
	// that does not fit Output; 0 means 2, a negative number none.
	Repairs int
}

const (
	defaultRepairs = 2
	maxCalls       = 64 // in one message; the rest is refused
)

// Loop makes the tool-calling loop: at each step it shows model the
// conversation and the agent's tools, and turns what it answers into a move. An
// answer with calls asks for all of them at once; one without ends the turn.
//
// Beside the tools, the model is offered functions of the loop's own. A tool with
// the same name takes the place of such a function.
//
//	delegate_to_NAME  for each of the agent's Delegates: {"task": "…"}, or an object that fits the
//	                  delegate's Input; what comes of it is the result
//	hand_off_to_NAME  for each of the agent's Handoffs: {"reason": "…"} or {}
//	ask_person        unless NoAsk: a question, a choice or a form, see [AskPerson]
//
// A name that makes a function's too long for providers is cut, and a part of its
// hash added.
//
// instructions is a text/template. It is rendered at the start of each turn
// over
//
//	.User   agent.User: .User.ID, .User.Name, .User.Groups
//	.Meta   map[string]string: .Meta.name; a key that is not there is empty
//	.Agent  the agent's name
//	.Now    today, as 2006-01-02; {{.Now.Format "15:04"}} and the like work too
//
// The planner repairs what models get wrong: call ids that are missing or
// doubled, unknown names and broken arguments, which the model is told of, and
// final answers that do not fit Output.
//
// An error of the model is returned as it is. An answer without words and calls
// is an error marked with [agent.Transient]; an answer that does not fit Output
// after all repairs is one that is not.
//
// Loop panics if model is nil, instructions is no template of the above, or
// Output no JSON Schema. The planner is also an [agent.Briefer].
func Loop(model agent.Model, instructions string, o *LoopOptions) agent.Planner {
	if model == nil {
		panic("planner.Loop: the model is nil: give the model to ask")
	}
	brief, err := parseBrief(instructions)
	if err != nil {
		panic("planner.Loop: the instructions are no template: " + err.Error() + ` (write {{"{{"}} for two braces)`)
	}
	l := &loop{model: model, brief: brief}
	if o != nil {
		l.o = *o
	}
	if err := schema.Check(l.o.Output); err != nil {
		panic("planner.Loop: LoopOptions.Output: " + err.Error())
	}
	switch {
	case l.o.Repairs == 0:
		l.o.Repairs = defaultRepairs
	case l.o.Repairs < 0:
		l.o.Repairs = 0
	}
	if len(l.o.Output) > 0 {
		l.output = &agent.OutputSpec{Name: l.o.OutputName, Schema: l.o.Output}
		if l.output.Name == "" {
			l.output.Name = "answer"
		}
	}
	return l
}

type loop struct {
	model  agent.Model
	brief  *brief
	o      LoopOptions
	output *agent.OutputSpec // nil for free text
}

// Brief renders the instructions.
func (l *loop) Brief(_ context.Context, v *agent.View) (string, error) { return l.brief.render(v) }

// Plan asks the model, and again if its final answer does not fit.
func (l *loop) Plan(ctx context.Context, v *agent.View, emit func(agent.Delta)) (*agent.Move, error) {
	offers := offers(v, !l.o.NoAsk)
	req := &agent.ModelRequest{
		Run: v.Run, System: v.Instructions, Messages: v.Messages, Tools: specs(v.Tools, offers), Output: l.output,
	}
	words := &words{emit: emit}
	var usage agent.Usage
	for try := 0; ; try++ {
		reply, err := l.generate(ctx, req, words)
		if err != nil {
			words.drop()
			return nil, err
		}
		usage = usage.Add(reply.Usage)
		move := &agent.Move{Usage: usage, Model: reply.Model}
		if len(reply.Message.Calls()) > 0 {
			msg, actions := (&repair{view: v, offers: offers}).message(&reply.Message)
			move.Message, move.Actions = msg, actions
			return move, nil
		}
		move.Message = said(&reply.Message)
		if l.output == nil {
			return move, nil
		}
		complaint := l.fit(move)
		if complaint == nil {
			return move, nil
		}
		words.drop()
		if try >= l.o.Repairs {
			return nil, fmt.Errorf("planner: the answer of %s does not have the form that is required, after %d attempts: %w", modelName(reply), try+1, complaint)
		}
		req = again(req, move.Message, complaint)
	}
}

// generate asks the model once and refuses a reply that says nothing.
func (l *loop) generate(ctx context.Context, req *agent.ModelRequest, words *words) (*agent.ModelReply, error) {
	reply, err := l.model.Generate(ctx, req, words.say)
	if err != nil {
		return nil, err
	}
	if reply == nil {
		return nil, errors.New("planner: the model returned neither a reply nor an error")
	}
	m := &reply.Message
	media := slices.ContainsFunc(m.Parts, func(p agent.Part) bool { return p.Media != nil })
	if len(m.Calls()) == 0 && !media && strings.TrimSpace(m.Text()) == "" {
		return nil, agent.Transient(fmt.Errorf("planner: %s answered with neither words nor calls", modelName(reply)), 0)
	}
	return reply, nil
}

func modelName(r *agent.ModelReply) string {
	if r.Model == "" {
		return "the model"
	}
	return "the model " + r.Model
}

// specs is what the model is told of the tools and the other functions.
func specs(tools []*agent.Tool, offers []offer) []agent.ToolSpec {
	list := make([]agent.ToolSpec, 0, len(tools)+len(offers))
	for _, t := range tools {
		s := agent.ToolSpec{Name: t.Name, Description: t.Description, Input: t.Input}
		if len(s.Input) == 0 {
			s.Input = anyObject
		}
		list = append(list, s)
	}
	for i := range offers {
		list = append(list, offers[i].spec)
	}
	return list
}

var anyObject = json.RawMessage(`{"type":"object","properties":{}}`)

// said returns the reply as a new message of the conversation.
func said(m *agent.Message) *agent.Message {
	msg := &agent.Message{Role: agent.RoleAssistant, Opaque: m.Opaque}
	for _, p := range m.Parts {
		if p.Result == nil && !empty(&p) { // no model gives results
			msg.Parts = append(msg.Parts, p)
		}
	}
	return msg
}

func empty(p *agent.Part) bool {
	return p.Text == "" && p.Reasoning == "" && p.Media == nil && p.Call == nil && p.Result == nil && len(p.Opaque) == 0
}

// words passes on what a model says, and knows whether there is something to
// take back.
type words struct {
	emit func(agent.Delta) // may be nil
	said bool
}

func (w *words) say(d agent.Delta) {
	w.said = !d.Reset
	if w.emit != nil {
		w.emit(d)
	}
}

// drop takes back what was said since the last drop.
func (w *words) drop() {
	if w.said {
		w.say(agent.Delta{Reset: true})
	}
}
