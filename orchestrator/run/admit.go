package run

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fermata-run/fermata/agent"
)

// Desk is what admission has to know of the agent whose planner made a move.
type Desk struct {
	Tools    []*agent.Tool
	Validate Validate
	// Check says what is wrong with a JSON Schema; nil if nothing is.
	Check func(schema json.RawMessage) error
	// NeedsApproval asks the tool's Approval, and returns nil when none is needed.
	// It contains panics.
	NeedsApproval func(t *agent.Tool, args json.RawMessage) *agent.Ask

	Delegates, Handoffs []*agent.Agent // the agent's
}

// Admit resolves a planner's move once and for all, before it is recorded:
// names, arguments against schemas, effects, time-outs, retries, approvals. What
// cannot be done is admitted as a refused action, which the planner is told of; one that
// is incomplete only if it has a Ref.
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
	{"a planner's own name of an action is short", (*admission).admitRefs},
	{"a time is one that can be recorded", (*admission).admitTimes},
	{"every kind of action is known and complete", (*admission).admitKinds},
	{"a run that ends does nothing more", (*admission).admitEnd},
	{"a tool is one of the agent's", each((*admission).admitTool)},
	{"arguments fit the tool's schema", each((*admission).admitArgs)},
	{"effect, time-out and retries are the tool's", each((*admission).admitTerms)},
	{"a call waits for approval where its tool says so", each((*admission).admitApproval)},
	{"an ask can be answered by somebody", (*admission).admitPeople},
	{"a task is for one of the agent's delegates, and fits its schema", (*admission).admitDelegates},
	{"a hand-off stands alone, and is to one of the agent's", (*admission).admitHandoffs},
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

// maxRef is how many bytes a planner's own name of an action has.
const maxRef = 256

func (ad *admission) admitRefs() error {
	for i := range ad.moved.Actions {
		if ref := ad.moved.Actions[i].Ref; len(ref) > maxRef || !utf8.ValidString(ref) {
			return fmt.Errorf("action %d: its Ref is text of at most %d bytes, and %d bytes came: %q", i, maxRef, len(ref), cut(ref, 40))
		}
	}
	return nil
}

// admitTimes has times be as they are recorded: of UTC, to the microsecond, and
// never earlier than they were.
func (ad *admission) admitTimes() error {
	for i := range ad.moved.Actions {
		a := &ad.moved.Actions[i]
		if a.Due.IsZero() {
			a.Due = time.Time{}
			continue
		}
		due := a.Due.UTC().Round(0)
		if cut := due.Truncate(time.Microsecond); cut.Before(due) {
			due = cut.Add(time.Microsecond)
		}
		if y := due.Year(); y < 1 || y > 9999 {
			return fmt.Errorf("action %d: its Due is in the year %d, and years from 1 to 9999 can be recorded", i, y)
		}
		a.Due = due
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
			} else if a.Ask != nil {
				bad = incompleteApproval(a.Ask)
			}
		case agent.ActDelegate, agent.ActHandoff:
			if a.Name == "" {
				bad = fmt.Sprintf("a %s needs the name of an agent", a.Kind)
			}
		case agent.ActAsk:
			bad = ad.incompleteAsk(a.Ask)
		case agent.ActWait:
			if a.Name == "" && a.Within <= 0 && a.Due.IsZero() {
				bad = "a wait needs the name of a signal, or Within or Due"
			} else if len(a.Except) > 0 && a.Name != agent.AnySignal {
				bad = fmt.Sprintf("only a wait for any signal, %q, has names that it does not take, and this one is for %q", agent.AnySignal, a.Name)
			} else if a.Key != "" {
				bad = badAddress(Address{Name: a.Name, Key: a.Key})
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
			bad = fmt.Sprintf("its kind is %q, and call, delegate, handoff, ask, wait, emit and cancel are known", a.Kind)
		}
		switch {
		case bad == "":
		case a.Ref != "": // its planner hears of what it has named
			a.Refuse, a.Ask = bad, nil
		default:
			return fmt.Errorf("action %d: %s", i, bad)
		}
	}
	return nil
}

func (ad *admission) incompleteAsk(ask *agent.Ask) string {
	switch {
	case ask == nil || strings.TrimSpace(ask.Prompt) == "":
		return "an ask needs a prompt"
	case !slices.Contains([]agent.AskKind{agent.AskQuestion, agent.AskChoice, agent.AskForm, agent.AskRepair}, ask.Kind):
		return fmt.Sprintf("an ask's kind is question, choice, form or repair, and %q came", ask.Kind)
	case ask.Kind == agent.AskForm && !isForm(ask.Schema):
		return "a form needs a Schema of an object with properties: its fields"
	case (ask.Kind == agent.AskChoice || ask.Kind == agent.AskRepair) && len(ask.Choices) < 2:
		return fmt.Sprintf("a %s needs two choices or more", ask.Kind)
	case ask.Default != nil && len(ask.Choices) > 0 && !slices.Contains(ask.Choices, ask.Default.Choice):
		return fmt.Sprintf("the default %q is not among the choices %q", ask.Default.Choice, ask.Choices)
	}
	if bad := badTerms(ask); bad != "" {
		return bad
	}
	if d := ask.Default; d != nil && len(ask.Choices) == 0 && (d.Choice != "" || len(d.Value) == 0) {
		return "the default of an ask without choices is a value"
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
	if err := ad.misfits(t.Input, args); err != nil {
		a.Refuse = fmt.Sprintf("the arguments of %s do not fit its schema: %v", a.Name, err)
	}
}

func (ad *admission) admitTerms(a *Action, t *agent.Tool) {
	a.Effect, a.Timeout, a.Lookup = t.Effect, t.Timeout, t.Reconcile != nil
	if a.Timeout <= 0 {
		a.Timeout = DefaultTimeout
	}
	if t.Effect == agent.Once { // of which a person may have to say what it gave
		a.Output = t.Output
	}
	if t.Retry.Attempts > 1 {
		a.Attempts, a.Backoff, a.MaxWait = t.Retry.Attempts, t.Retry.Backoff, t.Retry.Max
	}
}

// admitApproval has a call wait for the approval that its tool's rule demands, or
// else for the one that its planner wants.
func (ad *admission) admitApproval(a *Action, t *agent.Tool) {
	ad.askRule(a, t)
	if a.Ask == nil {
		return
	}
	terms := agent.Ask{ // the rest is filled in when it is opened
		For: a.Ask.For, Not: a.Ask.Not, Within: a.Ask.Within, Due: a.Ask.Due, Escalate: a.Ask.Escalate, Default: a.Ask.Default, Remind: a.Ask.Remind,
	}
	a.Approval, a.Schema, a.Output = a.Ask.Prompt, t.Input, t.Output
	if a.Approval == "" {
		a.Approval = "it was asked for"
	}
	if len(a.Approval) > maxPrompt {
		a.Approval = cut(a.Approval, maxPrompt)
	}
	a.Ask = &terms
}

// maxPrompt is how many bytes an approval's reason has.
const maxPrompt = 4 << 10

// askRule asks the tool's rule, which wins over what a planner wants.
func (ad *admission) askRule(a *Action, t *agent.Tool) {
	if t.Approve == nil {
		return
	}
	ask := ad.desk.NeedsApproval(t, argsOf(ad.move.Message, a))
	if ask == nil {
		return
	}
	if bad := incompleteApproval(ask); bad != "" { // a rule that fails leaves it to a person, whoever that is
		ask = &agent.Ask{Prompt: ask.Prompt + " (its approval rule says otherwise who is to approve it, but that makes no sense: " + bad + ")"}
	}
	a.Ask = ask
}

// The bounds of what an ask says about people.
const (
	maxPeople = 64
	maxPerson = 256 // bytes
	maxSteps  = 16  // of an escalation
)

// badTerms says what is wrong with whom an ask is for, and until when; "" if
// nothing is.
func badTerms(ask *agent.Ask) string {
	timed := ask.Within > 0 || !ask.Due.IsZero()
	switch {
	case ask.Default != nil && !timed:
		return "an ask with a default needs Within or Due, the time at which it is taken"
	case len(ask.Escalate) > 0 && !timed:
		return "an ask that escalates needs Within or Due, the time at which it does"
	case len(ask.Escalate) > maxSteps:
		return fmt.Sprintf("an escalation has at most %d steps, and %d came", maxSteps, len(ask.Escalate))
	case ask.Remind < 0 || ask.Within < 0:
		return "Within and Remind are not negative"
	}
	if y := ask.Due.UTC().Year(); y < 1 || y > 9999 {
		return fmt.Sprintf("its Due is in the year %d, and years from 1 to 9999 can be recorded", y)
	}
	for i, step := range ask.Escalate {
		switch {
		case len(step.For) == 0:
			return "a step of an escalation says For whom it is"
		case step.Within <= 0 && (i+1 < len(ask.Escalate) || ask.Default != nil):
			return "a step of an escalation that something follows needs Within"
		}
		if bad := BadPeople(step.For); bad != "" {
			return bad
		}
	}
	if bad := BadPeople(ask.For); bad != "" {
		return bad
	}
	return BadPeople(ask.Not)
}

// BadPeople says what is wrong with a list of users and groups; "" if nothing is.
func BadPeople(people []string) string {
	if len(people) > maxPeople {
		return fmt.Sprintf("at most %d users and groups can be named, and %d came", maxPeople, len(people))
	}
	for _, p := range people {
		if strings.TrimPrefix(p, "group:") == "" || len(p) > maxPerson || !utf8.ValidString(p) {
			return fmt.Sprintf("%q is not the id of a user or \"group:\" and a name, of at most %d bytes", cut(p, 40), maxPerson)
		}
	}
	return ""
}

// incompleteApproval says what is wrong with the terms of an approval.
func incompleteApproval(ask *agent.Ask) string {
	d := ask.Default
	if d != nil && d.Choice != agent.Approve && d.Choice != agent.Deny {
		return fmt.Sprintf("the default of an approval is %q or %q, and %q came", agent.Approve, agent.Deny, d.Choice)
	}
	return badTerms(ask)
}

// isForm reports whether a JSON Schema is that of an object with properties.
func isForm(schema json.RawMessage) bool {
	var s struct {
		Type       any                        `json:"type"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	return json.Unmarshal(schema, &s) == nil && s.Type == "object" && len(s.Properties) > 0
}

// admitPeople refuses what nobody could answer: an ask that names the run's user
// where nobody knows who that is, or is without an end for people who may not decide it.
func (ad *admission) admitPeople() error {
	for i := range ad.moved.Actions {
		a := &ad.moved.Actions[i]
		if a.Ask == nil || a.Refuse != "" {
			continue
		}
		vain := ad.inVain(a.Ask)
		switch {
		case ad.view.User.ID == "" && namesUser(a.Ask):
			a.Refuse = "it is to be answered by the user of this run, or by anybody else, and who the user is was not said when the run was started"
		case len(vain) > 0:
			a.Refuse = fmt.Sprintf("nobody could answer it: it is for %s, and none of these may decide it", strings.Join(vain, ", "))
		default:
			a.Ask = ad.withEnd(a.Ask)
			continue
		}
		a.Ask, a.Approval, a.Schema, a.Output = nil, "", nil, nil
	}
	return nil
}

// inVain returns for whom an ask is without an end, if none of them may answer it; nil
// otherwise.
func (ad *admission) inVain(ask *agent.Ask) []string {
	if ask.Within > 0 || !ask.Due.IsZero() || ad.mayOneOf(ask.For, ask.Not) {
		return nil
	}
	return Resolve(ask.For, ad.view.User)
}

// mayOneOf reports whether one of those whom an ask is for may answer it.
func (ad *admission) mayOneOf(people, not []string) bool {
	people, not = Resolve(people, ad.view.User), Resolve(not, ad.view.User)
	return slices.ContainsFunc(people, func(p string) bool { return !slices.Contains(not, p) })
}

// withEnd leaves out the last step of an escalation where it is without an end, and for
// people who may not decide it: those before them may, and if they do not, it expires.
func (ad *admission) withEnd(ask *agent.Ask) *agent.Ask {
	n := len(ask.Escalate)
	if n == 0 || ask.Escalate[n-1].Within > 0 || ad.mayOneOf(ask.Escalate[n-1].For, ask.Not) {
		return ask
	}
	ended := *ask
	ended.Escalate = ask.Escalate[:n-1]
	return &ended
}

func namesUser(ask *agent.Ask) bool {
	lists := [][]string{ask.For, ask.Not}
	for _, step := range ask.Escalate {
		lists = append(lists, step.For)
	}
	return slices.ContainsFunc(lists, func(l []string) bool { return slices.Contains(l, agent.TheUser) })
}

func agentOf(list []*agent.Agent, name string) *agent.Agent {
	for _, a := range list {
		if a.Name == name {
			return a
		}
	}
	return nil
}

func namesOf(list []*agent.Agent) string {
	var names []string
	for _, a := range list {
		names = append(names, a.Name)
	}
	if len(names) == 0 {
		return "there are none"
	}
	return strings.Join(names, ", ")
}

func (ad *admission) admitDelegates() error {
	for i := range ad.moved.Actions {
		a := &ad.moved.Actions[i]
		if a.Kind != agent.ActDelegate || a.Refuse != "" {
			continue
		}
		to, args := agentOf(ad.desk.Delegates, a.Name), argsOf(ad.move.Message, a)
		var misfit error
		if to != nil && to.Input != nil {
			misfit = ad.misfits(to.Input, args)
		}
		switch {
		case to == nil:
			a.Refuse = fmt.Sprintf("%q is not an agent to which a task can be given; those are: %s", a.Name, namesOf(ad.desk.Delegates))
		case !isObject(args) && to.Input != nil:
			a.Refuse = fmt.Sprintf("the task of %s is a JSON object, and this came: %s", a.Name, cut(string(args), 80))
		case !isObject(args):
			a.Refuse = fmt.Sprintf("a task is a JSON object with the field task, and this came: %s", cut(string(args), 80))
		case misfit != nil:
			a.Refuse = fmt.Sprintf("the task of %s does not fit its schema: %v", a.Name, misfit)
		case to.Input == nil && strings.TrimSpace(taskText(args)) == "":
			a.Refuse = "the task is empty; say what is to be done"
		case max(len(ad.view.Path), 1) >= MaxDepth:
			a.Refuse = fmt.Sprintf("this is the task of a task, %d deep, and they go no deeper; do it yourself", MaxDepth)
		default:
			a.Outlives, a.Whole = to.Outlives, to.Input != nil
		}
	}
	return nil
}

// misfits says what is wrong with a value under a schema; nil if nothing is.
func (ad *admission) misfits(schema, value json.RawMessage) error {
	if ad.desk.Validate == nil {
		return nil
	}
	return ad.desk.Validate(orAny(schema), value)
}

func (ad *admission) admitHandoffs() error {
	acts := 0
	for i := range ad.moved.Actions {
		if a := &ad.moved.Actions[i]; a.Kind != agent.ActEmit && a.Refuse == "" {
			acts++
		}
	}
	for i := range ad.moved.Actions {
		a := &ad.moved.Actions[i]
		switch {
		case a.Kind != agent.ActHandoff || a.Refuse != "":
		case agentOf(ad.desk.Handoffs, a.Name) == nil:
			a.Refuse = fmt.Sprintf("%q is not an agent to which this can be handed off; those are: %s", a.Name, namesOf(ad.desk.Handoffs))
		case acts > 1:
			a.Refuse = "a hand-off stands alone; hand off when the other calls have ended"
		}
	}
	return nil
}
