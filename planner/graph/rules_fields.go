package graph

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/fermata-run/fermata/agent"
)

// fieldNeeds says what the fields are for that not every node has.
var fieldNeeds = []struct {
	field string
	set   func(*Node) bool
	on    string // the activities that it goes with, and other kinds of nodes
	hint  string
}{
	{"input", func(n *Node) bool { return n.Input != nil }, "tool agent graph", "a timer, a wait and an ask have their own fields"},
	{"output", func(n *Node) bool { return n.Output != nil }, "tool agent ask timer wait graph compensate final", "use set on an edge, or entry"},
	{"retry", func(n *Node) bool { return n.Retry != nil }, "tool agent ask wait graph", "use an edge on error that goes back"},
	{"within", func(n *Node) bool { return n.Within != nil }, "tool agent ask wait graph", "use an edge with after"},
	{"undo", func(n *Node) bool { return n.Undo != nil }, "tool agent ask wait graph", "undo takes back what an activity has done"},
	{"each", func(n *Node) bool { return n.Each != nil }, "tool agent ask wait graph", "put what is done for each item into a graph, and run that"},
	{"fail", func(n *Node) bool { return n.Fail != nil }, "failed", "say final: failed, or use output"},
}

func (c *checker) hasWhatFieldsNeed() {
	for _, v := range c.all {
		kind := v.activity()
		for _, need := range fieldNeeds {
			on := strings.Fields(need.on)
			if need.set(v.Node) && !slices.Contains(on, kind) && !(v.Final != "" && slices.Contains(on, "final")) && (v.Final == "" || !slices.Contains(on, v.Final)) {
				c.bad(v.at+"."+need.field, "%s goes with %s, and the node %q is none of these: %s", need.field, strings.Join(on, ", "), shorten(v.ID), need.hint)
			}
		}
		if v.Final == "failed" && v.In != "" {
			c.bad(v.at+".final", "a graph fails at its top, and %q is in %q: say final: done here, and lead an edge from %q to a final node that has failed", shorten(v.ID), shorten(v.In), shorten(v.In))
		}
		if in, ok := v.Input.(map[string]any); v.Tool != "" && v.Input != nil && !ok && !mayYield(v.Input) {
			c.bad(v.at+".input", "the input of a tool is an object, and this is %s", describe(v.Input))
		} else if ok && len(in) > 1000 {
			c.bad(v.at+".input", "the input has %d fields: at most 1000 are taken", len(in))
		}
	}
}

func (c *checker) reactsToOneThing() {
	for i := range c.d.Edges {
		e := &c.d.Edges[i]
		if e.After != nil && len(e.On) > 0 {
			c.bad(e.at+".after", "the edge has on and after: it reacts to one of them; make two edges of it")
		}
		if len(e.On) > 1 && slices.Contains(e.On, "always") {
			c.bad(e.at+".on", "always is no event, so it stands alone: make two edges of it")
		}
		if from := c.byID[e.From]; from != nil && from.activity() != "" && slices.Contains(e.On, "always") && e.If == "" {
			c.bad(e.at+".on", "the edge leaves %q before what it does has begun: say on: done, or give it an if", shorten(e.From))
		}
		for k, on := range e.On {
			c.descriptor(at(e.at+".on", k), on)
		}
		if e.Internal && len(e.To) == 0 && c.cel() {
			c.bad(e.at+".internal", "an edge without to leaves nothing in any case: leave internal out")
		}
	}
	for name := range c.d.Events {
		if !eventName(name) {
			c.bad(join(c.path("events"), name), "the name of an event is words with dots between them, and %q is not", shorten(name))
		}
	}
}

// descriptor checks what an edge reacts to.
func (c *checker) descriptor(path, on string) {
	switch {
	case on != "*" && !eventName(strings.TrimSuffix(strings.TrimSuffix(on, "*"), ".")):
		c.bad(path, "expected the name of an event, such as done, error.timeout or order.paid, or *, got %q", shorten(on))
	case c.computed(on):
		c.bad(path, "an edge reacts to events of fixed names, and %q is an expression: say which event, and use if", shorten(on))
	}
}

func eventName(s string) bool {
	return s != "" && len(s) <= maxName && strings.IndexFunc(s, func(r rune) bool {
		return r == '*' || unicode.IsSpace(r) || unicode.IsControl(r)
	}) < 0 && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".")
}

func (c *checker) asksWell() {
	for _, v := range c.all {
		if v.Ask == nil {
			continue
		}
		a, path := v.Ask, v.at+".ask"
		if a.Prompt == "" || a.Prompt == nil && (v.up.Plan == nil || !v.up.Plan.Args) {
			c.bad(path+".prompt", "the question is missing: say what the person is asked")
		}
		switch {
		case !slices.Contains([]string{"", "question", "choice", "form"}, a.Kind):
			c.bad(path+".kind", "expected question, choice or form, got %q", shorten(a.Kind))
		case (a.Kind == "choice" || a.Kind == "" && a.Choices != nil) && len(a.Choices) < 2:
			c.bad(path+".choices", "a choice needs two choices or more, and there are %d", len(a.Choices))
		case a.Kind != "" && a.Kind != "choice" && len(a.Choices) > 0:
			c.bad(path+".kind", "an ask with choices is of the kind choice, and this is %q: leave kind or choices out", a.Kind)
		case a.Kind == "form" && !hasFields(a.Schema):
			c.bad(path+".schema", "a form needs a schema of an object with properties, which are its fields: add some, or leave kind out for a question")
		}
		seen := map[string]bool{}
		for i, name := range a.Choices {
			switch {
			case !wellFormed(name, "_-"):
				c.bad(at(path+".choices", i), "the choice %q is an event, done.CHOICE, so it is made of letters, digits, _ and -: the prompt can say more", shorten(name))
			case seen[name]:
				c.bad(at(path+".choices", i), "the choice %q is there twice", shorten(name))
			}
			seen[name] = true
		}
		c.namesPeople(path+".for", a.For)
		c.namesPeople(path+".not", a.Not)
		c.defaultsWell(path, a)
		c.escalatesWell(path, a)
	}
}

// namesPeople refuses a stand-in that stands for nobody: a misspelt one in not would
// let those answer who may not.
func (c *checker) namesPeople(path string, people []any) {
	for i, p := range people {
		if name, ok := p.(string); ok && strings.HasPrefix(name, "@") && name != agent.TheUser {
			c.bad(at(path, i), "expected the id of a user, group:NAME or %s, got %q: of names with @ only %s stands for somebody", agent.TheUser, shorten(name), agent.TheUser)
		}
	}
}

func (c *checker) defaultsWell(path string, a *Ask) {
	d := a.Default
	switch {
	case d == nil:
	case a.Due == nil:
		c.bad(path+".default", "a default is taken when the time is over: say until when, with due")
	case len(a.Choices) > 0 && !slices.Contains(a.Choices, d.Choice):
		c.bad(path+".default.choice", "%q is none of the choices: %s", shorten(d.Choice), suggest(d.Choice, a.Choices, "take one of "+some(a.Choices)))
	case len(a.Choices) == 0 && (d.Choice != "" || d.Value == nil):
		c.bad(path+".default", "the default of an ask without choices is a value")
	}
}

func (c *checker) escalatesWell(path string, a *Ask) {
	if len(a.Escalate) > 0 && a.Due == nil {
		c.bad(path+".escalate", "others are asked when the time is over: say until when, with due")
	}
	if len(a.Escalate) > 16 {
		c.bad(path+".escalate", "there are %d steps, and at most 16 are taken", len(a.Escalate))
	}
	for i, s := range a.Escalate {
		p := at(path+".escalate", i)
		if len(s.For) == 0 {
			c.bad(p+".for", "say who is asked")
		}
		if s.Within == nil && (i+1 < len(a.Escalate) || a.Default != nil) {
			c.bad(p+".within", "something follows this step: say how long it may take, with within")
		}
		c.people(p+".for", s.For)
		c.namesPeople(p+".for", s.For)
	}
	c.people(path+".for", a.For)
	c.people(path+".not", a.Not)
}

func (c *checker) people(path string, people []any) {
	if len(people) > 64 {
		c.bad(path, "there are %d users and groups, and at most 64 are taken", len(people))
	}
	for i, p := range people {
		if !constant(p) {
			continue
		}
		if s, ok := p.(string); !ok || strings.TrimPrefix(s, "group:") == "" {
			c.bad(at(path, i), "expected the id of a user, group:NAME or @user, got %s", describe(p))
		}
	}
}

// hasFields reports whether a schema is that of a form.
func hasFields(schema json.RawMessage) bool {
	var s struct {
		Type       any
		Properties map[string]json.RawMessage
	}
	return json.Unmarshal(schema, &s) == nil && s.Type == "object" && len(s.Properties) > 0
}

// failsWell looks at what is said of a failure, as far as it is written down.
func (c *checker) failsWell() {
	for _, v := range c.all {
		path := v.at + ".fail"
		if v.Final == "failed" && v.Output != nil {
			c.bad(v.at+".output", "a graph that fails has no result, and %q fails it: say with fail what is to be known", shorten(v.ID))
		}
		fail, object := v.Fail.(map[string]any)
		if _, text := v.Fail.(string); v.Fail != nil && !text && !object {
			c.bad(path, "expected text, or an object with code and message, got %s", describe(v.Fail))
		}
		if !constant(v.Fail) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(fail)) {
			if name != "code" && name != "message" {
				c.bad(join(path, name), "there is no field %q here: %s", shorten(name), suggest(name, []string{"code", "message"}, "known are code and message"))
			}
		}
		if code, ok := fail["code"].(string); fail["code"] != nil && constant(fail["code"]) && (!ok || !eventName(code)) {
			c.bad(path+".code", "expected a word such as card.expired, of which edges on error.card.expired are, got %s", describe(fail["code"]))
		}
	}
}

func (c *checker) waitsWell() {
	for _, v := range c.all {
		switch {
		case v.Wait == nil:
		case v.Wait.Signal == "":
			c.bad(v.at+".wait.signal", "the name of the signal is missing")
		case c.computed(v.Wait.Signal):
			c.bad(v.at+".wait.signal", "a signal has a fixed name, and %q is an expression: put what is computed into key", shorten(v.Wait.Signal))
		}
	}
}

func (c *checker) mapsWell() {
	for _, v := range c.all {
		e := v.Each
		if e == nil {
			continue
		}
		path := v.at + ".each"
		if e.In == nil {
			c.bad(path+".in", "the list is missing, of whose items this is done for each: say which, such as ${input.lines}")
		} else if !mayBeList(e.In) {
			c.bad(path+".in", "expected a list, or ${…} that yields one, got %s", describe(e.In))
		}
		if e.As != "" {
			c.local(path+".as", e.As)
		}
		if e.AtOnce < 0 {
			c.bad(path+".at_once", "expected how many go on at once, 0 for all, got %d", e.AtOnce)
		}
		if n, err := strconv.Atoi(e.Until); err == nil && n < 1 {
			c.bad(path+".until", "expected all, any, a number from 1 on or an expression, got %s", shorten(e.Until))
		}
	}
}

func (c *checker) retriesWell() {
	for _, v := range c.all {
		c.retry(v.at+".retry", v.Retry)
		if v.Undo != nil {
			c.retry(v.at+".undo.retry", v.Undo.Retry)
		}
	}
}

func (c *checker) retry(path string, r *Retry) {
	if r == nil {
		return
	}
	if r.Attempts < 1 {
		c.bad(path+".attempts", "expected how often it is tried in all, from 1 on, got %d", r.Attempts)
	}
	for i, on := range r.On {
		if on != "*" && !covers("error", on) {
			c.bad(at(path+".on", i), "expected a descriptor of errors, got %q: did you mean error.%s?", shorten(on), shorten(on))
		}
	}
}

func (c *checker) undoesWell() {
	for _, v := range c.all {
		if v.Undo != nil && v.Undo.Tool == "" {
			c.bad(v.at+".undo.tool", "the tool is missing that takes back what %q has done", shorten(v.ID))
		}
	}
}

func (c *checker) plansWell() {
	for _, v := range c.all {
		p := v.Plan
		if p == nil {
			continue
		}
		if p.Steps < 0 {
			c.bad(v.at+".plan.steps", "expected how often the model may choose, 0 for 10, got %d", p.Steps)
		}
		if p.Tokens < 0 {
			c.bad(v.at+".plan.tokens", "expected how many tokens it may use, 0 for no limit, got %d", p.Tokens)
		}
		if c.o == nil {
			continue
		}
		var names []string
		for name := range c.o.Models {
			names = append(names, name)
		}
		slices.Sort(names)
		switch {
		case p.Model == "" && len(names) != 1:
			c.bad(v.at+".plan.model", "the planner node %q names no model, and there are %d: name one, of Options.Models", shorten(v.ID), len(names))
		case p.Model != "" && !slices.Contains(names, p.Model):
			c.bad(v.at+".plan.model", "there is no model %q: %s", shorten(p.Model), suggest(p.Model, names, "Options.Models has "+strconv.Itoa(len(names))))
		}
	}
}
