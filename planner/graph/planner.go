package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// anySignal is the Ref of the wait that takes all signals which no node waits for by
// name.
const anySignal = "*"

// Trail is the name of the event that a graph emits with each step, for those who
// watch: {"took": [ids of edges], "at": [ids of nodes]}, as in [Step].
const Trail = "graph"

// maxRounds is how many choices models may make in one move.
const maxRounds = 100

// Plan reacts to what has happened: it is [Graph.Next] as a planner. A message that
// begins the run is the graph's input: the JSON object that it is, or {"text": …}.
// Later messages are events named message, with {"text": …}; signals are events of
// their name.
func (g *Graph) Plan(ctx context.Context, v *agent.View, emit func(agent.Delta)) (*agent.Move, error) {
	now, err := g.Of(v.Definition)
	if err != nil {
		return nil, err
	}
	p := &planning{g: now, v: v, move: &agent.Move{Again: agent.AtEachClosing, Keys: map[string]json.RawMessage{}}, keys: v.Keys}
	in, err := p.inputs()
	if err != nil {
		p.move.Fail = err.Error()
		return p.move, nil
	}
	for range maxRounds {
		st, err := now.Next(p.keys, p.facts(), in...)
		if err != nil {
			return nil, err
		}
		in = p.take(st)
		chosen, err := p.choose(ctx, st.Choices, emit)
		if err != nil {
			return nil, err
		}
		if in = append(in, chosen...); len(in) == 0 {
			return p.finish(st), p.lacking()
		}
	}
	return nil, fmt.Errorf("graph %s: the models of its planner nodes have chosen %d times in one move, and go on", now.name, maxRounds)
}

// planning is a move in the making.
type planning struct {
	g    *Graph
	v    *agent.View
	keys map[string]json.RawMessage // with all changes so far
	move *agent.Move

	cancel []string
	said   []string
	took   []string
	at     []string
}

func (p *planning) facts() Facts {
	return Facts{User: p.v.User, Meta: p.v.Meta, Now: p.v.Now, Tools: p.v.Tools, Delegates: p.v.Delegates}
}

// inputs are the news. An error says why the graph cannot begin.
func (p *planning) inputs() ([]Input, error) {
	var in []Input
	started := p.v.Keys["at"] != nil
	if started {
		var r runKey
		if err := json.Unmarshal(p.v.Keys["run"], &r); err == nil && r.Version != p.g.hash {
			in = append(in, Input{Redefined: true})
		}
	}
	for _, n := range p.v.News {
		switch {
		case n.Message != nil && !started:
			data, err := p.g.input(n.Message.Text())
			if err != nil {
				return nil, err
			}
			in, started = append(in, Input{Start: &Start{Data: data}}), true
		case n.Message != nil:
			data, err := json.Marshal(map[string]string{"text": n.Message.Text()})
			if err != nil {
				return nil, err
			}
			in = append(in, Input{Event: &Event{Name: "message", Data: data}})
		case n.Closed != nil && n.Closed.Ref == anySignal && n.Closed.Outcome != agent.Returned: // withdrawn
		case n.Closed != nil && n.Closed.Ref == anySignal:
			in = append(in, Input{Event: eventOf(n.Closed)})
		case n.Closed != nil:
			in = append(in, Input{Closed: n.Closed})
		}
	}
	if !started {
		data, err := p.g.input(p.before())
		if err != nil {
			return nil, err
		}
		in = append([]Input{{Start: &Start{Data: data}}}, in...)
	}
	return in, nil
}

// before is what the user said last to the agent before, of a run that was handed off.
func (p *planning) before() string {
	for _, m := range slices.Backward(p.v.Messages) {
		if m.Role == agent.RoleUser {
			return m.Text()
		}
	}
	return ""
}

// input makes the graph's input of the first message.
func (g *Graph) input(text string) (json.RawMessage, error) {
	data := json.RawMessage(strings.TrimSpace(text))
	object := len(data) > 0 && data[0] == '{' && json.Valid(data)
	switch {
	case len(data) == 0:
		data = json.RawMessage("{}")
	case !object:
		var err error
		if data, err = json.Marshal(map[string]string{"text": text}); err != nil {
			return nil, err
		}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return nil, err
	}
	if schema := g.root.def.Input; len(schema) > 0 {
		if err := validate(schema, compact.Bytes()); err != nil {
			if len(text) > 0 && !object {
				return nil, fmt.Errorf("graph %s cannot begin: its input is a JSON object, and this came: %s (taken as {\"text\": …}, it does not fit: %w)", g.name, shorten(text), err)
			}
			return nil, fmt.Errorf("graph %s cannot begin: its input does not fit: %w", g.name, err)
		}
	}
	return compact.Bytes(), nil
}

// take adds a step to the move. What the move has opened, and the step does not want any
// more, is never begun: of what the graph waits for the outcome of, it returns that.
func (p *planning) take(st *Step) (closed []Input) {
	s := saved{base: p.keys, patch: st.Keys}
	p.keys = s.whole()
	for k, v := range st.Keys {
		p.move.Keys[k] = v
	}
	for _, ref := range st.Cancel {
		before := len(p.move.Actions)
		p.move.Actions = slices.DeleteFunc(p.move.Actions, func(a agent.Action) bool { return a.Ref == ref })
		switch {
		case len(p.move.Actions) == before:
			p.cancel = append(p.cancel, ref)
		case p.keys["l/"+ref] != nil:
			closed = append(closed, Input{Closed: &agent.Closed{Ref: ref, Outcome: agent.Cancelled}})
		}
	}
	p.move.Actions = append(p.move.Actions, st.Actions...)
	p.said = append(p.said, st.Said...)
	p.took = append(p.took, st.Took...)
	if st.At != nil {
		p.at = st.At
	}
	return closed
}

// finish completes the move.
func (p *planning) finish(st *Step) *agent.Move {
	m := p.move
	for k, v := range m.Keys { // what was set and deleted again is no change
		if _, ok := p.v.Keys[k]; !ok && string(v) == "null" {
			delete(m.Keys, k)
		}
	}
	if text := strings.TrimSpace(strings.Join(p.said, "\n\n")); text != "" {
		m.Message = agent.Said(text)
	}
	if len(p.cancel) > 0 {
		m.Actions = append(p.cancels(), m.Actions...)
	}
	if st.Ended {
		m.Actions = slices.DeleteFunc(m.Actions, func(a agent.Action) bool { return a.Kind != agent.ActEmit })
		m.Finish, m.Output = st.Failed == nil, st.Output
		if f := st.Failed; f != nil {
			m.Fail = f.String()
		}
	} else {
		p.listen()
	}
	if len(p.took) > 0 || p.at != nil {
		m.Actions = append(m.Actions, p.trail())
	}
	return m
}

// lacking says what the move wants done that the agent cannot do: the definition by which
// the run goes may be that of another version of the program. That is no failure of a node.
func (p *planning) lacking() error {
	for _, a := range p.move.Actions {
		what := ""
		switch {
		case a.Kind == agent.ActCall && !slices.ContainsFunc(p.v.Tools, func(t *agent.Tool) bool { return t.Name == a.Name }):
			what = "tool"
		case a.Kind == agent.ActDelegate && !slices.ContainsFunc(p.v.Delegates, func(d *agent.Agent) bool { return d.Name == a.Name }):
			what = "delegate"
		}
		if what != "" {
			return fmt.Errorf("graph %s: the definition by which this run goes wants the %s %q, which the agent %s of this program does not have: deploy a program that has it, and retry, or migrate the run", p.g.name, what, a.Name, p.v.Agent)
		}
	}
	return nil
}

// cancels withdraws what is open and not wanted any more. A call of which the graph waits
// for the outcome is let go on where its tool is idempotent: of its beginning there is no
// record.
func (p *planning) cancels() []agent.Action {
	open := map[string]agent.OpenAction{}
	for _, o := range p.v.Open {
		if o.Action.Ref != "" {
			open[o.Action.Ref] = o
		}
	}
	var actions []agent.Action
	for _, ref := range p.cancel {
		o, ok := open[ref]
		if late := p.keys["l/"+ref] != nil; ok && !(late && o.Ask == "" && p.idempotent(&o.Action)) {
			actions = append(actions, agent.Action{Kind: agent.ActCancel, Target: o.ID})
		}
	}
	return actions
}

func (p *planning) idempotent(a *agent.Action) bool {
	return a.Kind == agent.ActCall && slices.ContainsFunc(p.v.Tools, func(t *agent.Tool) bool { return t.Name == a.Name && t.Effect == agent.Idempotent })
}

func (p *planning) trail() agent.Action {
	trail := struct {
		Took []string `json:"took,omitempty"`
		At   []string `json:"at,omitempty"`
	}{p.took, p.at}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // people read it, and edges are named a>b
	if err := enc.Encode(trail); err != nil {
		b.WriteString("{}") // cannot happen: they are strings
	}
	data := bytes.TrimSpace(b.Bytes())
	return agent.Action{Kind: agent.ActEmit, Name: Trail, Args: data}
}

// choose asks the models of planner nodes.
func (p *planning) choose(ctx context.Context, list []Choosing, emit func(agent.Delta)) ([]Input, error) {
	var in []Input
	for _, c := range list {
		model := p.g.opts.model(c.Model)
		if model == nil {
			return nil, fmt.Errorf("graph %s: the planner node %s asks the model %q, which this program does not have (graph.Options.Models)", p.g.name, c.Node, c.Model)
		}
		c.Request.Run = p.v.Run
		reply, err := model.Generate(ctx, c.Request, emit)
		if err != nil {
			return nil, fmt.Errorf("the model of the planner node %s: %w", c.Node, err)
		}
		if reply == nil {
			return nil, errors.New("a model returned neither a reply nor an error")
		}
		emit(agent.Delta{Reset: true}) // what it says to choose is not said to the user
		p.move.Usage, p.move.Model = p.move.Usage.Add(reply.Usage), reply.Model
		in = append(in, Input{Chosen: &Chosen{Ref: c.Ref, Message: reply.Message, Usage: reply.Usage}})
	}
	return in, nil
}
