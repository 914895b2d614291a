package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fermata-run/fermata/internal/schema"
)

// reserved are the names that mean something else in expressions.
var reserved = strings.Fields(`
	input event result failure user meta now saga item index results failed total active
	true false null in as break const continue else for function if import let loop package namespace return var void while
	bool bytes double dyn int list map null_type string timestamp type uint`)

// datumTypes are those that a Datum may have.
var datumTypes = strings.Fields("any bool int number string list map timestamp duration")

func (c *checker) hasVariables() {
	seen := map[string]string{}
	for i, v := range c.d.Data {
		path := at(c.path("data"), i)
		if c.name(path+".id", v.ID) {
			if first, twice := seen[v.ID]; twice {
				c.bad(path+".id", "the variable %q is %s, too: names differ", shorten(v.ID), first)
			}
			seen[v.ID] = path
		}
		if v.Type != "" && !slices.Contains(datumTypes, v.Type) {
			c.bad(path+".type", "expected one of %s, got %q: %s", strings.Join(datumTypes, ", "), shorten(v.Type), suggest(v.Type, datumTypes, "say more with schema"))
		}
		switch {
		case v.In != "" && !c.d.Late:
			c.bad(path+".in", "a variable belongs to a node only with late: leave in out")
		case v.In != "" && c.byID[v.In] == nil:
			c.missing(path+".in", v.In)
		}
	}
}

// name checks that a variable can be called so.
func (c *checker) name(path, id string) bool {
	fits := identifier(id)
	if !c.cel() { // of which ECMAScript's have letters of all alphabets, and $
		fits = wellFormed(id, "_$") && (id[0] < '0' || id[0] > '9')
	}
	switch {
	case !fits:
		c.bad(path, "expected a letter or _, then letters, digits and _, got %q", shorten(id))
	case c.cel() && slices.Contains(reserved, id):
		c.bad(path, "%q means something else in expressions: take another name", id)
	default:
		return true
	}
	return false
}

// local checks the name of what is a variable for a while.
func (c *checker) local(path, id string) {
	if id == "item" || id == "index" || !c.name(path, id) {
		return
	}
	if c.cel() && c.data[id] {
		c.bad(path, "%q is a variable of data, which would be hidden: take another name", shorten(id))
	}
}

func (c *checker) assignsVariables() {
	for _, v := range c.all {
		if v.Output == nil || v.activity() == "" {
			continue
		}
		switch out := v.Output.(type) {
		case string:
			c.variable(v.at+".output", out)
		case map[string]any:
			c.variables(v.at+".output", out)
		default:
			c.bad(v.at+".output", "expected the name of a variable, or an object of variables and values, got %s", describe(out))
		}
	}
	c.eachEdge(func(path string, e *Edge) { c.set(path+".set", e.Set) })
	c.eachDo(func(path string, do *Do) { c.set(path+".set", do.Set) })
}

func (c *checker) set(path string, v any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		c.variables(path, v)
	default:
		c.bad(path, "expected an object of variables and values, got %s", describe(v))
	}
}

func (c *checker) variables(path string, set map[string]any) {
	for _, id := range slices.Sorted(maps.Keys(set)) {
		c.variable(join(path, id), id)
	}
}

func (c *checker) variable(path, id string) {
	if !c.data[id] && len(c.problems) <= maxProblems {
		c.bad(path, "there is no variable %q: %s", shorten(id), suggest(id, slices.Sorted(maps.Keys(c.data)), "add it to data"))
	}
}

func (c *checker) hasSchemas() {
	c.schema(c.path("input"), c.d.Input)
	for _, name := range slices.Sorted(maps.Keys(c.d.Events)) {
		c.schema(join(c.path("events"), name), c.d.Events[name])
	}
	for i, v := range c.d.Data {
		c.schema(at(c.path("data"), i)+".schema", v.Schema)
	}
	for _, v := range c.all {
		if v.Ask != nil {
			c.schema(v.at+".ask.schema", v.Ask.Schema)
		}
	}
}

func (c *checker) schema(path string, s json.RawMessage) {
	if err := schema.Check(s); err != nil {
		c.bad(path, "%s", strings.TrimPrefix(err.Error(), "bad "))
	}
}

// A moment is a value that is a duration, or perhaps a timestamp.
type moment struct {
	path  string
	value any
	stamp bool // may be a timestamp
}

func (c *checker) hasDurations() {
	if !c.cel() {
		return // a language of its own has its own durations
	}
	for _, m := range c.moments() {
		if m.value == nil || !constant(m.value) {
			continue
		}
		if s, ok := m.value.(string); ok && m.stamp {
			if _, err := time.Parse(time.RFC3339, s); err == nil {
				continue
			}
		}
		d, err := durationOf(m.value)
		switch {
		case err != nil && m.stamp:
			c.bad(m.path, "%v; or a timestamp such as 2030-12-31T12:00:00Z", err)
		case err != nil:
			c.bad(m.path, "%v", err)
		case d < 0:
			c.bad(m.path, "a duration is not negative, and %v is", m.value)
		}
	}
}

func (c *checker) moments() []moment {
	var all []moment
	add := func(path string, value any, stamp bool) { all = append(all, moment{path, value, stamp}) }
	retry := func(path string, r *Retry) {
		if r != nil {
			add(path+".backoff", r.Backoff, false)
			add(path+".max", r.Max, false)
		}
	}
	for _, v := range c.all {
		add(v.at+".timer", v.Timer, true)
		add(v.at+".within", v.Within, false)
		retry(v.at+".retry", v.Retry)
		if v.Undo != nil {
			retry(v.at+".undo.retry", v.Undo.Retry)
		}
		if v.Wait != nil {
			add(v.at+".wait.keep", v.Wait.Keep, false)
		}
		if v.Ask != nil {
			add(v.at+".ask.due", v.Ask.Due, true)
			add(v.at+".ask.remind", v.Ask.Remind, false)
			for i, s := range v.Ask.Escalate {
				add(at(v.at+".ask.escalate", i)+".within", s.Within, false)
			}
		}
	}
	c.eachEdge(func(path string, e *Edge) { add(path+".after", e.After, true) })
	c.eachDo(func(path string, do *Do) {
		if do.Send != nil {
			add(path+".send.delay", do.Send.Delay, false)
		}
	})
	return all
}

// eachEdge calls f for all edges, those that are initial among them.
func (c *checker) eachEdge(f func(path string, e *Edge)) {
	if c.d.Initial != nil {
		f(c.path("initial"), c.d.Initial)
	}
	for _, v := range c.all {
		if v.Initial != nil {
			f(v.at+".initial", v.Initial)
		}
	}
	for i := range c.d.Edges {
		f(c.d.Edges[i].at, &c.d.Edges[i])
	}
}

// eachDo calls f for all that is done by the way, also what is in other such things.
func (c *checker) eachDo(f func(path string, do *Do)) {
	var visit func(path string, list []Do, depth int)
	visit = func(path string, list []Do, depth int) {
		for i := range list {
			p := at(path, i)
			f(p, &list[i])
			if depth < maxNesting {
				visit(p+".then", list[i].Then, depth+1)
				visit(p+".else", list[i].Else, depth+1)
			}
		}
	}
	for _, v := range c.all {
		visit(v.at+".entry", v.Entry, 0)
		visit(v.at+".exit", v.Exit, 0)
		if v.Extra != nil {
			for i, inv := range v.Extra.Invokes {
				visit(at(v.at+".extra.invokes", i)+".finalize", inv.Finalize, 0)
			}
		}
	}
	c.eachEdge(func(path string, e *Edge) { visit(path+".do", e.Do, 0) })
}

// doneBy returns the names of the fields that say what is done.
func (do *Do) doneBy() []string {
	var set []string
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"set", do.Set != nil}, {"raise", do.Raise != ""}, {"send", do.Send != nil}, {"cancel", do.Cancel != nil},
		{"emit", do.Emit != ""}, {"say", do.Say != nil}, {"log", do.Log != nil}, {"if", do.If != ""},
		{"each", do.Each != nil}, {"script", do.Script != ""}, {"assign", do.Assign != nil},
	} {
		if f.is {
			set = append(set, f.name)
		}
	}
	return set
}

func (c *checker) doesOneThing() {
	c.eachDo(func(path string, do *Do) {
		by := do.doneBy()
		if len(by) == 0 && len(do.Then) > 0 {
			by = []string{"block"}
		}
		if len(by) != 1 {
			c.bad(path, "expected one of set, raise, send, cancel, emit, say, log, if, each, script, assign, got %s: make an item of each", orNothing(by))
			return
		}
		for _, f := range []struct {
			name string
			is   bool
			with string
		}{
			{"data", do.Data != nil, "raise emit"},
			{"label", do.Label != "", "log"},
			{"then", len(do.Then) > 0, "if each block"},
			{"else", len(do.Else) > 0, "if"},
			{"as", do.As != "", "each"},
			{"index", do.Index != "", "each"},
		} {
			if f.is && !slices.Contains(strings.Fields(f.with), by[0]) {
				c.bad(path+"."+f.name, "%s goes with %s, and this is %s: leave it out", f.name, strings.Join(strings.Fields(f.with), " or "), by[0])
			}
		}
		switch {
		case do.If != "" && len(do.Then)+len(do.Else) == 0 && c.cel():
			c.bad(path+".then", "nothing is done if the condition holds: say what, with then")
		case do.Each != nil && len(do.Then) == 0 && c.cel():
			c.bad(path+".then", "nothing is done for each item: say what, with then")
		case do.Each != nil && !mayBeList(do.Each) && c.cel():
			c.bad(path+".each", "expected a list, or ${…} that yields one, got %s", describe(do.Each))
		case do.Raise != "" && !eventName(do.Raise):
			c.bad(path+".raise", "expected the name of an event, got %q", shorten(do.Raise))
		case do.Raise != "" && c.computed(do.Raise):
			c.bad(path+".raise", "what is raised has a fixed name, and %q is an expression: use send, with event", shorten(do.Raise))
		case do.Emit != "" && c.computed(do.Emit):
			c.bad(path+".emit", "what is emitted has a fixed name, and %q is an expression: put what is computed into data", shorten(do.Emit))
		case do.Send != nil && (do.Send.Event == nil || do.Send.Event == "") && c.cel():
			c.bad(path+".send.event", "the name of the event is missing")
		}
		if do.As != "" {
			c.local(path+".as", do.As)
		}
		if do.Index != "" {
			c.local(path+".index", do.Index)
		}
	})
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " and ")
}

// constant reports whether a value has no expression that it depends on.
func constant(v any) bool {
	switch v := v.(type) {
	case string:
		return !strings.Contains(strings.ReplaceAll(v, "$${", ""), "${")
	case map[string]any:
		_, expr := v["$expr"]
		return !expr
	}
	return true
}

// computed reports whether an expression was put where a name is meant.
func (c *checker) computed(name string) bool { return c.cel() && !constant(name) }

// mayYield reports whether a value is one expression, which yields any type.
func mayYield(v any) bool {
	s, text := v.(string)
	return !constant(v) && (!text || strings.HasPrefix(s, "${") && strings.HasSuffix(s, "}"))
}

// mayBeList reports whether a value is a list, or an expression that may yield one.
func mayBeList(v any) bool {
	_, list := v.([]any)
	return list || mayYield(v)
}

// describe says what a value is, for a message.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("text %q", shorten(v))
	case bool:
		return fmt.Sprintf("%v", v)
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return shorten(fmt.Sprint(v))
}
