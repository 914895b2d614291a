package run

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// Desk is what admission has to know of the agent whose planner made a move.
type Desk struct {
	Tools    []*agent.Tool
	Validate Validate
	// Check says what is wrong with a JSON Schema; nil if nothing is.
	Check func(schema json.RawMessage) error
	// NeedsApproval asks the tool's Approval: the reason, or "" when none is
	// needed. It contains panics.
	NeedsApproval func(t *agent.Tool, args json.RawMessage) (reason string)
}

// Admit resolves a planner's move once and for all, before it is recorded:
// names, arguments against schemas, effects, time-outs, retries, approvals. What
// cannot be done is admitted as a refused action, which the planner is told of.
// v is the view that the planner was shown, and the basis the last record that it
// had seen. An error means that the move itself makes no sense: the planner is
// broken.
func Admit(v *agent.View, basis int64, basisID agent.RecordID, m *agent.Move, d *Desk) (*Moved, error) {
	if m == nil {
		return nil, fmt.Errorf("the planner of agent %s returned neither a move nor an error", v.Agent)
	}
	ad := &admission{view: v, desk: d, move: m, moved: &Moved{
		Basis: basis, BasisID: basisID, Message: m.Message, Keys: m.Keys, Output: m.Output,
		Again: m.Again, Finish: m.Finish, Fail: m.Fail, Usage: m.Usage, Model: m.Model,
	}}
	for _, a := range m.Actions {
		ad.moved.Actions = append(ad.moved.Actions, Action{Action: a})
	}
	for _, r := range rules {
		if err := r.admit(ad); err != nil {
			return nil, fmt.Errorf("the planner of agent %s made a move that breaks the rule %q: %w", v.Agent, r.name, err)
		}
	}
	return ad.moved, nil
}

// rules are the admission rules, in order. They hold for every planner.
var rules = []struct {
	name  string
	admit func(*admission) error
}{
	{"every value is JSON", (*admission).admitJSON},
	{"each call in the message has one action", (*admission).admitCalls},
	{"every kind of action is known and complete", (*admission).admitKinds},
	{"a run that ends does nothing more", (*admission).admitEnd},
	{"a tool is one of the agent's", each((*admission).admitTool)},
	{"arguments fit the tool's schema", each((*admission).admitArgs)},
	{"effect, time-out and retries are the tool's", each((*admission).admitTerms)},
	{"a call waits for approval where its tool says so", each((*admission).admitApproval)},
}

// admission is a move on its way through the rules.
type admission struct {
	view  *agent.View
	desk  *Desk
	move  *agent.Move
	moved *Moved
}

// each makes a rule of one that judges the calls which no rule has refused.
func each(f func(*admission, *Action, *agent.Tool)) func(*admission) error {
	return func(ad *admission) error {
		for i := range ad.moved.Actions {
			if a := &ad.moved.Actions[i]; a.Kind == agent.ActCall && a.Refuse == "" {
				f(ad, a, ad.tool(a.Name))
			}
		}
		return nil
	}
}

func (ad *admission) tool(name string) *agent.Tool {
	for _, t := range ad.desk.Tools {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func (ad *admission) admitJSON() error {
	bad := func(what string, v json.RawMessage) error {
		if len(v) == 0 || json.Valid(v) {
			return nil
		}
		return fmt.Errorf("the %s is not JSON: %s", what, cut(string(v), 80))
	}
	if err := bad("output", ad.move.Output); err != nil {
		return err
	}
	for k, v := range ad.move.Keys {
		if err := bad("key "+k, v); err != nil {
			return err
		}
	}
	for i := range ad.move.Actions {
		if err := bad("arguments of action "+strconv.Itoa(i), ad.move.Actions[i].Args); err != nil {
			return err
		}
	}
	for _, c := range ad.move.Message.Calls() {
		if err := bad("arguments of call "+c.ID, c.Args); err != nil {
			return err
		}
	}
	return nil
}

// admitCalls sees to it that each call of the message gets its one result.
func (ad *admission) admitCalls() error {
	ids := map[string]bool{}
	for _, c := range ad.move.Message.Calls() {
		if c.ID == "" || ids[c.ID] {
			return fmt.Errorf("the calls of a message need ids that differ, and %q is empty or stands twice", c.ID)
		}
		ids[c.ID] = true
	}
	for i := range ad.moved.Actions {
		id := ad.moved.Actions[i].CallID
		if id == "" {
			continue
		}
		if !ids[id] {
			return fmt.Errorf("action %d stands for the call %q, which is not in the message or has an action already", i, id)
		}
		delete(ids, id)
	}
	for _, c := range ad.move.Message.Calls() {
		if ids[c.ID] {
			ad.moved.Actions = append(ad.moved.Actions, Action{Action: agent.Action{
				Kind: agent.ActCall, Name: c.Name, CallID: c.ID, Refuse: "the planner took no action for this call",
			}})
		}
	}
	return nil
}

func (ad *admission) admitKinds() error {
	for i := range ad.moved.Actions {
		a := &ad.moved.Actions[i]
		if a.Refuse != "" {
			continue // what is not done need not be complete
		}
		var bad string
		switch a.Kind {
		case agent.ActCall:
			if a.Name == "" {
				bad = "a call needs the name of a tool"
			}
		case agent.ActAsk:
			bad = ad.incompleteAsk(a.Ask)
		case agent.ActWait:
			if a.Name == "" && a.Within <= 0 {
				bad = "a wait needs the name of a signal, or Within"
			}
		case agent.ActEmit:
			if a.Name == "" {
				bad = "an emitted event needs a name"
			}
		case agent.ActCancel:
			if !slices.ContainsFunc(ad.view.Open, func(o agent.OpenAction) bool { return o.ID == a.Target }) {
				a.Refuse = fmt.Sprintf("there is no open action %q", a.Target)
			}
		default:
			bad = fmt.Sprintf("its kind is %q, and call, ask, wait, emit and cancel are known", a.Kind)
		}
		if bad != "" {
			return fmt.Errorf("action %d: %s", i, bad)
		}
	}
	return nil
}

func (ad *admission) incompleteAsk(ask *agent.Ask) string {
	switch {
	case ask == nil || strings.TrimSpace(ask.Prompt) == "":
		return "an ask needs a prompt"
	case ask.Kind != agent.AskQuestion && ask.Kind != agent.AskChoice:
		return fmt.Sprintf("an ask's kind is question or choice, and %q came", ask.Kind)
	case ask.Kind == agent.AskChoice && len(ask.Choices) < 2:
		return "a choice needs two choices or more"
	case ask.Default != nil && ask.Within <= 0 && ask.Due.IsZero():
		return "an ask with a default needs Within or Due, the time at which it is taken"
	case ask.Default != nil && len(ask.Choices) > 0 && !slices.Contains(ask.Choices, ask.Default.Choice):
		return fmt.Sprintf("the default %q is not among the choices %q", ask.Default.Choice, ask.Choices)
	}
	if len(ask.Schema) > 0 && ad.desk.Check != nil {
		if err := ad.desk.Check(ask.Schema); err != nil {
			return "nobody could answer it: " + err.Error()
		}
	}
	if d := ask.Default; d != nil && len(d.Value) > 0 && ad.desk.Validate != nil {
		if err := ad.desk.Validate(orAny(ask.Schema), d.Value); err != nil {
			return "its default does not fit: " + err.Error()
		}
	}
	return ""
}

func (ad *admission) admitEnd() error {
	if !ad.move.Finish && ad.move.Fail == "" {
		return nil
	}
	for i := range ad.moved.Actions {
		if a := &ad.moved.Actions[i]; a.Kind != agent.ActEmit && a.Refuse == "" {
			a.Refuse = "the run ends with this move"
		}
	}
	return nil
}

func (ad *admission) admitTool(a *Action, t *agent.Tool) {
	if t != nil {
		return
	}
	var names []string
	for _, t := range ad.desk.Tools {
		names = append(names, t.Name)
	}
	a.Refuse = fmt.Sprintf("there is no tool %q; the tools are: %s", a.Name, strings.Join(names, ", "))
}

func (ad *admission) admitArgs(a *Action, t *agent.Tool) {
	args := argsOf(ad.move.Message, a)
	if !isObject(args) {
		a.Refuse = fmt.Sprintf("the arguments of %s are a JSON object, and this came: %s", a.Name, cut(string(args), 80))
		return
	}
	if ad.desk.Validate == nil {
		return
	}
	if err := ad.desk.Validate(orAny(t.Input), args); err != nil {
		a.Refuse = fmt.Sprintf("the arguments of %s do not fit its schema: %v", a.Name, err)
	}
}

func (ad *admission) admitTerms(a *Action, t *agent.Tool) {
	a.Effect, a.Timeout, a.Lookup = t.Effect, t.Timeout, t.Reconcile != nil
	if a.Timeout <= 0 {
		a.Timeout = DefaultTimeout
	}
	if t.Retry.Attempts > 1 {
		a.Attempts, a.Backoff, a.MaxWait = t.Retry.Attempts, t.Retry.Backoff, t.Retry.Max
	}
}

func (ad *admission) admitApproval(a *Action, t *agent.Tool) {
	if t.Approve == nil {
		return
	}
	reason := ad.desk.NeedsApproval(t, argsOf(ad.move.Message, a))
	if reason != "" {
		a.Approval, a.Schema, a.Output = reason, t.Input, t.Output
	}
}
