package scxml

import (
	"strings"

	"github.com/fermata-run/fermata/planner/graph"
)

// blocks reads the contents of several onentry or onexit elements. Of more than one,
// each stands as a block of its own, which an error ends without ending the next.
func (l *loader) blocks(elements []*element) []graph.Do {
	var blocks []graph.Do
	for _, e := range elements {
		if b := l.block(e); len(b) > 0 {
			blocks = append(blocks, graph.Do{Then: b})
		}
	}
	if len(blocks) == 1 {
		return blocks[0].Then
	}
	return blocks
}

// block reads the actions in an element.
func (l *loader) block(e *element) []graph.Do {
	var todo []graph.Do
	for _, k := range e.kids {
		if do := l.action(e, k); do != nil {
			todo = append(todo, *do)
		}
	}
	return todo
}

func (l *loader) action(in, e *element) *graph.Do {
	if !ours(e) {
		if in.name.Local == "transition" {
			return nil
		}
		return l.failing("<%s> of %q is not an action that is known here", e.name.Local, e.name.Space)
	}
	switch e.name.Local {
	case "raise":
		name := strings.TrimSpace(l.need(e, "event"))
		return &graph.Do{Raise: name}
	case "if":
		return l.choice(e.get("cond"), e, e.kids)
	case "foreach":
		return l.foreach(e)
	case "log":
		do := &graph.Do{Log: "", Label: e.get("label")}
		switch expr, given := e.attr("expr"); {
		case given && l.null:
			do.Log = escape(expr) // the null data model has no expressions, and a log no effect
		case given:
			do.Log = l.expr(e, expr)
		}
		return do
	case "assign":
		return l.assign(e)
	case "script":
		return l.script(e)
	case "send":
		return l.send(e)
	case "cancel":
		if id := l.either(e, "sendid", "sendidexpr"); id != nil {
			return &graph.Do{Cancel: id}
		}
		l.refuse(e.at(), "attribute", "a <cancel> needs a sendid or a sendidexpr")
	}
	return nil
}

// need returns an attribute that has to be there.
func (l *loader) need(e *element, name string) string {
	v, given := e.attr(name)
	if !given || strings.TrimSpace(v) == "" && !l.lax {
		l.refuse(e.at(), "attribute", "a <%s> needs the attribute %s", e.name.Local, name)
	}
	return v
}

// either reads a value that has an attribute for a literal and one for an
// expression; nil if it has neither.
func (l *loader) either(e *element, literal, expression string) any {
	v, given := e.attr(literal)
	x, computed := e.attr(expression)
	switch {
	case given && computed:
		l.refuse(e.at(), "attribute", "a <%s> has %s or %s, and this one has both", e.name.Local, literal, expression)
	case given:
		return escape(v)
	case computed:
		return l.expr(e, x)
	}
	return nil
}

// choice reads an if from what stands between it and the next elseif or else on.
func (l *loader) choice(cond string, e *element, kids []*element) *graph.Do {
	if _, given := e.attr("cond"); !given {
		l.refuse(e.at(), "attribute", "an <%s> needs the attribute cond", e.name.Local)
	}
	do := &graph.Do{If: l.cond(e, cond)}
	list := &do.Then
	for i, k := range kids {
		if ours(k) && k.name.Local == "elseif" {
			if list == &do.Else {
				l.refuse(k.at(), "element", "an <elseif> cannot come after the <else>")
				return do
			}
			do.Else = []graph.Do{*l.choice(k.get("cond"), k, kids[i+1:])}
			return do
		}
		if ours(k) && k.name.Local == "else" {
			if list == &do.Else {
				l.refuse(k.at(), "element", "there is another <else> before this one")
			}
			list = &do.Else
			continue
		}
		if x := l.action(e, k); x != nil {
			*list = append(*list, *x)
		}
	}
	return do
}

func (l *loader) foreach(e *element) *graph.Do {
	do := &graph.Do{Each: l.expr(e, l.need(e, "array")), As: l.need(e, "item"), Index: e.get("index"), Then: l.block(e)}
	if l.null {
		return do
	}
	for _, name := range []string{do.As, do.Index} {
		if !isVariable(name) && (name != "" || do.As == "") {
			return l.wrong(e, "expression", "the name %q cannot be that of a variable", name)
		}
		l.declare(name)
	}
	return do
}

func (l *loader) assign(e *element) *graph.Do {
	location := l.need(e, "location")
	expr, given := e.attr("expr")
	var value any
	switch inline := len(strings.TrimSpace(string(e.inner))) > 0; {
	case given && inline:
		l.refuse(e.at(), "element", "an <assign> has an expr or holds a value, and this one does both")
	case given:
		value = l.expr(e, expr)
	case inline:
		value = l.literal(e)
	default:
		l.refuse(e.at(), "attribute", "an <assign> needs an expr, or a value in it")
	}
	if l.null {
		l.refuse(e.at(), "datamodel", "the null data model has no variables to assign to")
		return nil
	}
	if err := checkLocation(location); err != nil {
		return l.wrong(e, "expression", "the location %q: %v", location, err)
	}
	return &graph.Do{Assign: &graph.Assign{Location: location, Value: value}}
}

// script reads a script; nil if there is nothing in it.
func (l *loader) script(e *element) *graph.Do {
	source := string(e.text)
	if src, given := e.attr("src"); given {
		data, _, err := l.read(src)
		if err != nil {
			return l.wrong(e, "src", "the script %q: %v", src, err)
		}
		source = string(data)
	}
	if l.null {
		l.refuse(e.at(), "datamodel", "the null data model has no scripts")
		return nil
	}
	if strings.TrimSpace(source) == "" {
		return nil
	}
	source, declared, err := prepareScript(source)
	if err != nil {
		return l.wrong(e, "expression", "the script: %v", err)
	}
	l.notice(source)
	for _, name := range declared {
		l.declare(name)
	}
	return &graph.Do{Script: source}
}

func (l *loader) send(e *element) *graph.Do {
	s := &graph.Send{
		Event: l.either(e, "event", "eventexpr"), To: l.either(e, "target", "targetexpr"),
		Type: l.either(e, "type", "typeexpr"), ID: l.either(e, "id", "idlocation"), Payload: l.payload(e),
	}
	if location, given := e.attr("idlocation"); given {
		if err := checkLocation(location); err != nil {
			return l.wrong(e, "expression", "the idlocation %q: %v", location, err)
		}
		s.ID, s.IDLocation = nil, location
	}
	if s.Event == nil {
		if s.Payload == nil || s.Payload.Content == nil {
			l.refuse(e.at(), "attribute", "a <send> needs an event, an eventexpr or a <content>")
		}
		s.Event = ""
	}
	if s.Delay = l.either(e, "delay", "delayexpr"); s.Delay != nil {
		if delay, given := e.attr("delay"); given && !isDelay(delay) {
			return l.wrong(e, "attribute", "the delay is %q, and a number with s or ms is expected, such as 1.5s", delay)
		} else if given {
			s.Delay = strings.TrimPrefix(strings.TrimSpace(delay), "+")
		}
		if s.To == "#_internal" {
			return l.wrong(e, "attribute", "an event for #_internal cannot be delayed")
		}
	}
	return &graph.Do{Send: s}
}
