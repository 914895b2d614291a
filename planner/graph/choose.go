package graph

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// Choosing is a choice that the model of a planner node has to make.
type Choosing struct {
	Ref     string // goes into Chosen
	Node    string // the planner node
	Model   string // one of Options.Models
	Request *agent.ModelRequest
}

// Chosen is what a model has answered to a Choosing.
type Chosen struct {
	Ref     string
	Message agent.Message
	Usage   agent.Usage
}

// planState is what the model of a planner node has used.
type planState struct {
	Steps  int             `json:"steps"`
	Tokens int             `json:"tokens,omitempty"`
	Result json.RawMessage `json:"result,omitempty"` // of finish

	FromStep  int `json:"from_step,omitempty"`  // where its budget begins: a person has renewed it
	FromToken int `json:"from_token,omitempty"` // likewise
}

// planStep is a step of a planner node: what its model said, and what came of it.
type planStep struct {
	Message *agent.Message  `json:"message"`
	CallID  string          `json:"call_id,omitempty"` // of the call that was taken up; "" if none was
	Node    string          `json:"node,omitempty"`    // that was chosen
	Args    json.RawMessage `json:"args,omitempty"`
	Outcome agent.Outcome   `json:"outcome,omitempty"` // "" as long as it goes on
	Content json.RawMessage `json:"content,omitempty"`
	Refused string          `json:"refused,omitempty"` // why nothing was taken up
}

const defaultPlanSteps = 10

func (x *instance) planKey(p *node) string { return x.key("p/" + p.ID) }

func (st *step) planState(x *instance, p *node) (*planState, error) {
	var s planState
	_, err := st.s.get(x.planKey(p), &s)
	return &s, err
}

func (st *step) planStep(x *instance, p *node, i int) (*planStep, error) {
	var s planStep
	if ok, err := st.s.get(x.planKey(p)+"/"+strconv.Itoa(i), &s); err != nil || !ok {
		return nil, err
	}
	return &s, nil
}

func (st *step) forgetPlan(x *instance, p *node) {
	for _, k := range st.s.keys(x.planKey(p) + "/") {
		st.s.del(k)
	}
	st.s.del(x.planKey(p))
}

// choose asks the model of a planner node, if its budget allows.
func (st *step) choose(x *instance, n *node, num string) error {
	r, err := st.record(num)
	if err != nil || r == nil || x.gone {
		return err
	}
	p := n.planner
	s, err := st.planState(x, p)
	if err != nil {
		return err
	}
	most := p.Plan.Steps
	if most == 0 {
		most = defaultPlanSteps
	}
	switch steps, tokens := s.Steps-s.FromStep, s.Tokens-s.FromToken; {
	case steps >= most:
		return st.failed(x, num, -1, &failure{Code: "budget", final: true, Message: fmt.Sprintf("the model of %s has chosen %d times, as often as it may", p.ID, steps)})
	case p.Plan.Tokens > 0 && tokens >= p.Plan.Tokens:
		return st.failed(x, num, -1, &failure{Code: "budget", final: true, Message: fmt.Sprintf("the model of %s has used %d tokens of %d", p.ID, tokens, p.Plan.Tokens)})
	}
	req, err := st.request(x, p, s)
	if err != nil {
		return st.failed(x, num, -1, &failure{Code: "execution", Message: err.Error(), final: true})
	}
	st.out.Choices = append(st.out.Choices, Choosing{Ref: num, Node: x.prefix() + p.ID, Model: p.Plan.Model, Request: req})
	return nil
}

// renewPlan gives the model of a planner node its budget again.
func (st *step) renewPlan(x *instance, p *node) error {
	s, err := st.planState(x, p)
	if err != nil {
		return err
	}
	s.FromStep, s.FromToken = s.Steps, s.Tokens
	return st.s.set(x.planKey(p), s)
}

// finishPlan ends a planner node in its model's stead.
func (st *step) finishPlan(x *instance, n *node, num string, r *record, result json.RawMessage) error {
	s, err := st.planState(x, n.planner)
	if err != nil {
		return err
	}
	s.Result = result
	if err := st.s.set(x.planKey(n.planner), s); err != nil {
		return err
	}
	st.drop(x, num, r, false)
	return x.react(&occurrence{Name: finishName, Type: "platform", at: n})
}

// request is what the model is asked.
func (st *step) request(x *instance, p *node, s *planState) (*agent.ModelRequest, error) {
	system, err := x.text(p.plan.instructions, "instructions")
	if err != nil {
		return nil, err
	}
	goal, err := x.text(p.plan.goal, "goal")
	if err != nil {
		return nil, err
	}
	if p.Plan.Goal == nil {
		raw, err := encodeValue(x.input())
		if err != nil {
			return nil, err
		}
		goal = string(raw)
	}
	req := &agent.ModelRequest{System: strings.TrimSpace(system + "\n\n" + planMeans)}
	first := agent.Text(goal)
	first.Role, first.ID = agent.RoleUser, x.planKey(p)
	req.Messages = []*agent.Message{&first}
	for i := range s.Steps {
		step, err := st.planStep(x, p, i)
		if err != nil {
			return nil, err
		}
		if step == nil {
			return nil, fmt.Errorf("step %d of %s is not there", i, p.ID)
		}
		req.Messages = append(req.Messages, step.messages(fmt.Sprintf("%s/%d", x.planKey(p), i))...)
	}
	options, err := x.options(p)
	if err != nil {
		return nil, err
	}
	for _, o := range options {
		req.Tools = append(req.Tools, o.spec(st, p))
	}
	req.Tools = append(req.Tools, agent.ToolSpec{Name: finishName, Description: "Nothing more is to be done here: say what came of it.", Input: finishInput})
	return req, nil
}

const (
	planMeans  = "Choose what is done next by calling one function. You are asked again when it has ended. Call " + finishName + " when nothing more is to be done."
	finishName = "finish"
)

var finishInput = json.RawMessage(`{"type":"object","properties":{"result":{"type":"string","description":"What came of it"}},"required":["result"],"additionalProperties":false}`)

// messages are a step as the model is shown it: each call has its one result.
func (s *planStep) messages(id string) []*agent.Message {
	said := *s.Message
	said.Role, said.ID = agent.RoleAssistant, id
	out := []*agent.Message{&said}
	calls := said.Calls()
	if len(calls) == 0 {
		again := agent.Text(s.Refused)
		again.Role, again.ID = agent.RoleUser, id+"/again"
		return append(out, &again)
	}
	results := &agent.Message{Role: agent.RoleTool, ID: id + "/results"}
	for _, c := range calls {
		r := &agent.Result{CallID: c.ID, Name: c.Name, Outcome: agent.Failed, Content: agent.JSONText(s.why())}
		if c.ID == s.CallID {
			r.Outcome, r.Content = s.Outcome, s.Content
		}
		results.Parts = append(results.Parts, agent.Part{Result: r})
	}
	return append(out, results)
}

func (s *planStep) why() string {
	if s.Refused != "" {
		return s.Refused
	}
	return "one function at a time: this one was not called"
}

// option is a node that a planner node may choose.
type option struct {
	node *node
	name string // of the function
}

// options are the nodes that a planner node chooses among now, in document order.
func (x *instance) options(p *node) ([]option, error) {
	var list []option
	taken := map[string]bool{finishName: true}
	for _, k := range p.n.Children {
		n := k.Tag.(*node)
		if n.planner != nil || n.Final != "" || n.History != "" {
			continue
		}
		o := option{node: n, name: functionName(n.ID, taken)}
		if n.when != nil {
			holds, err := x.holds(n.when)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", n.when.path, err)
			}
			if !holds {
				continue
			}
		}
		list = append(list, o)
	}
	return list, nil
}

// functionName is a node's id as a function may be called.
func functionName(id string, taken map[string]bool) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, id)
	name = name[:min(len(name), 56)]
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s_%d", name[:min(len(name), 52)], i)
	}
	taken[name] = true
	return name
}

// spec is what the model is told of an option.
func (o *option) spec(st *step, p *node) agent.ToolSpec {
	s := agent.ToolSpec{Name: o.name, Description: o.node.Note, Input: json.RawMessage(`{"type":"object","properties":{},"additionalProperties":false}`)}
	for _, t := range st.facts.Tools {
		if t.Name == o.node.Tool {
			if s.Description == "" {
				s.Description = t.Description
			}
			if p.Plan.Args && o.node.Input == nil && len(t.Input) > 0 {
				s.Input = t.Input
			}
		}
	}
	for _, a := range st.facts.Delegates {
		if a.Name == o.node.Agent {
			if s.Description == "" {
				s.Description = a.Description
			}
			if p.Plan.Args && o.node.Input == nil {
				s.Input = taskInput
				if len(a.Input) > 0 {
					s.Input = a.Input
				}
			}
		}
	}
	if o.node.asksFreely() {
		s.Input = askInput
	}
	if s.Description == "" {
		s.Description = o.node.ID
	}
	return s
}

// asksFreely reports whether a person is asked what the model of a planner node asks.
func (n *node) asksFreely() bool { return n.Ask != nil && n.Ask.Prompt == nil }

var askInput = json.RawMessage(`{"type":"object","properties":{"question":{"type":"string","description":"What the person is asked, complete in itself"}},"required":["question"],"additionalProperties":false}`)

// askedIn is the question in what a model has given; "" if there is none.
func askedIn(args json.RawMessage) string {
	var in struct {
		Question string `json:"question"`
	}
	if json.Unmarshal(args, &in) != nil {
		return ""
	}
	return strings.TrimSpace(in.Question)
}

var taskInput = json.RawMessage(`{"type":"object","properties":{"task":{"type":"string","description":"What is to be done, complete in itself"}},"required":["task"],"additionalProperties":false}`)

// chosen takes what a model has answered. What makes no sense goes back to it, and
// counts as a step.
func (st *step) chosen(c *Chosen) error {
	r, err := st.record(c.Ref)
	if err != nil || r == nil || r.Kind != actChoose {
		return err
	}
	x, err := st.open(r.In)
	if err != nil || x == nil {
		return err
	}
	n := x.p.nodes[r.Node]
	p := n.planner
	s, err := st.planState(x, p)
	if err != nil {
		return err
	}
	m := c.Message
	if err := st.repairIDs(x, p, &m, s.Steps); err != nil {
		return err
	}
	step := &planStep{Message: &m}
	options, err := x.options(p)
	if err != nil {
		return err // cannot be: the same conditions were just asked
	}
	next := takeUp(options, s, step)
	s.Tokens += c.Usage.Total()
	if err := st.s.set(x.planKey(p)+"/"+strconv.Itoa(s.Steps), step); err != nil {
		return err
	}
	s.Steps++
	if err := st.s.set(x.planKey(p), s); err != nil {
		return err
	}
	if next == "" {
		return st.choose(x, n, c.Ref)
	}
	return x.react(&occurrence{Name: next, Type: "platform", at: n})
}

// repairIDs gives each call of a message an id of its own, which no step before has.
func (st *step) repairIDs(x *instance, p *node, m *agent.Message, at int) error {
	seen := map[string]bool{}
	for i := range at {
		before, err := st.planStep(x, p, i)
		if err != nil || before == nil {
			return err
		}
		for _, c := range before.Message.Calls() {
			seen[c.ID] = true
		}
	}
	for i := range m.Parts {
		c := m.Parts[i].Call
		if c == nil {
			continue
		}
		call := *c
		if call.ID == "" || seen[call.ID] {
			call.ID = fmt.Sprintf("choice-%d-%d", at, i)
		}
		if len(call.Args) == 0 || !json.Valid(call.Args) {
			call.Args = json.RawMessage("{}")
		}
		seen[call.ID] = true
		m.Parts[i].Call = &call
	}
	return nil
}

// takeUp finds what a message chooses, and returns the event that does it; "" if it
// chooses nothing that may be.
func takeUp(options []option, s *planState, step *planStep) string {
	calls := step.Message.Calls()
	if len(calls) == 0 {
		if text := strings.TrimSpace(step.Message.Text()); text != "" { // words are an end, too
			s.Result = agent.JSONText(text)
			return finishName
		}
		step.Refused = "call one of the functions, or " + finishName
		return ""
	}
	c := calls[0]
	step.CallID, step.Args = c.ID, c.Args
	if c.Name == finishName {
		var in struct {
			Result json.RawMessage `json:"result"`
		}
		if err := json.Unmarshal(c.Args, &in); err != nil || len(in.Result) == 0 {
			in.Result = json.RawMessage(`""`)
		}
		s.Result = in.Result
		step.Outcome, step.Content = agent.Returned, agent.JSONText("finished")
		return finishName
	}
	var names []string
	for _, o := range options {
		if o.name == c.Name && o.node.asksFreely() && askedIn(c.Args) == "" {
			step.CallID = ""
			step.Refused = fmt.Sprintf("the arguments of %s are to be %s, and %s came", c.Name, `{"question": "what the person is asked"}`, shorten(string(c.Args)))
			return ""
		}
		if o.name == c.Name {
			step.Node = o.node.ID
			return choiceOf(o.node.ID)
		}
		names = append(names, o.name)
	}
	step.CallID = ""
	step.Refused = fmt.Sprintf("%q cannot be chosen now; what can: %s", c.Name, strings.Join(append(names, finishName), ", "))
	return ""
}

// choiceOf is the event that says that a model has chosen a node.
func choiceOf(id string) string { return "choose." + oneWord(id) }

// learned notes what came of the last choice, as its node's end leads back to the
// chooser.
func (st *step) learned(x *instance, p *node) error {
	s, err := st.planState(x, p)
	if err != nil || s.Steps == 0 || x.cur == nil {
		return err
	}
	step, err := st.planStep(x, p, s.Steps-1)
	if err != nil || step == nil || step.Node == "" || step.Outcome != "" {
		return err
	}
	step.Outcome = agent.Returned
	if step.Content, err = encodeValue(x.cur.result); err != nil {
		return err
	}
	if f := x.cur.failure; f != nil {
		step.Outcome, step.Content = agent.Failed, agent.JSONText(f.Code+": "+f.Message)
	}
	return st.s.set(x.planKey(p)+"/"+strconv.Itoa(s.Steps-1), step)
}

// given are the arguments that a model has chosen a node with.
func (st *step) given(x *instance, n *node) (json.RawMessage, error) {
	p := x.p.nodes[n.In]
	if p == nil || p.Plan == nil || !p.Plan.Args {
		return json.RawMessage("{}"), nil
	}
	s, err := st.planState(x, p)
	if err != nil || s.Steps == 0 {
		return json.RawMessage("{}"), err
	}
	step, err := st.planStep(x, p, s.Steps-1)
	if err != nil || step == nil || step.Node != n.ID || len(step.Args) == 0 {
		return json.RawMessage("{}"), err
	}
	return step.Args, nil
}

// planned is the result of a planner node: what its model said at the end, and the
// steps that it took.
func (st *step) planned(x *instance, p *node) (any, error) {
	s, err := st.planState(x, p)
	if err != nil {
		return nil, err
	}
	result, err := decodeValue(s.Result)
	if err != nil {
		result = nil
	}
	steps := []any{}
	for i := range s.Steps {
		step, err := st.planStep(x, p, i)
		if err != nil {
			return nil, err
		}
		if step == nil || step.Node == "" {
			continue
		}
		content, err := decodeValue(step.Content)
		if err != nil {
			content = nil
		}
		steps = append(steps, map[string]any{"node": step.Node, "outcome": string(step.Outcome), "result": content})
	}
	return map[string]any{"result": result, "steps": steps}, nil
}
