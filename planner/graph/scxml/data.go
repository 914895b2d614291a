package scxml

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/fermata-run/fermata/planner/graph"
)

var delays = regexp.MustCompile(`^\s*\+?([0-9]+(\.[0-9]+)?|\.[0-9]+)(ms|s|m|h|d)\s*$`)

func isDelay(s string) bool { return delays.MatchString(s) }

// escape makes a literal of a text that the form might take for a template.
func escape(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// computed is a value that is an expression.
func computed(source string) any { return map[string]any{"$expr": source} }

// quote writes a text as an expression.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string has a JSON form, and a buffer takes it
	return strings.TrimSpace(b.String())
}

// failure writes an expression that fails with a message.
func failure(format string, args ...any) string {
	return "$fail(" + quote(fmt.Sprintf(format, args...)) + ")"
}

// failing is an action that fails with a message.
func (l *loader) failing(format string, args ...any) *graph.Do {
	return &graph.Do{Script: failure(format, args...)}
}

// wrong refuses an element, or with Lax makes an action that fails of it.
func (l *loader) wrong(e *element, rule, format string, args ...any) *graph.Do {
	if l.lax {
		return l.failing(format, args...)
	}
	l.refuse(e.at(), rule, format, args...)
	return nil
}

// expr reads an expression that yields a value.
func (l *loader) expr(e *element, source string) any { return computed(l.expression(e, source)) }

func (l *loader) expression(e *element, source string) string {
	if l.null {
		l.refuse(e.at(), "datamodel", "the null data model has no expressions, and <%s> has %q", e.name.Local, source)
		return source
	}
	err := checkExpression(source)
	if err == nil {
		l.notice(source)
		return strings.TrimSpace(source)
	}
	if l.lax {
		return failure("the expression %q: %v", source, err)
	}
	l.refuse(e.at(), "expression", "the expression %q: %v", source, err)
	return source
}

var nullCond = regexp.MustCompile(`^\s*In\(\s*(?:'([^'"]*)'|"([^'"]*)"|([^'"\s]+))\s*\)\s*$`)

// cond reads a condition. That of the null data model is In(id).
func (l *loader) cond(e *element, source string) string {
	if !l.null {
		return l.expression(e, source)
	}
	m := nullCond.FindStringSubmatch(source)
	if m == nil {
		l.refuse(e.at(), "datamodel", "the condition %q: the null data model has no others than In('id')", source)
		return source
	}
	return "In(" + quote(m[1]+m[2]+m[3]) + ")"
}

// variables reads the variables that a state has.
func (l *loader) variables(e *element, in string) {
	for _, m := range own(e, "datamodel") {
		for _, d := range m.kids {
			if ours(d) {
				l.variable(d, in)
			}
		}
	}
}

func (l *loader) variable(e *element, in string) {
	id := l.need(e, "id")
	switch {
	case l.null:
		l.refuse(e.at(), "datamodel", "the null data model has no variables, and this is one: %s", id)
		return
	case !isVariable(id):
		l.refuse(e.at(), "id", "%q cannot be the name of a variable", id)
		return
	case l.data[id]:
		l.refuse(e.at(), "id", "there are two variables %s", id)
		return
	}
	l.data[id] = true
	v := graph.Datum{ID: id}
	if l.def.Late {
		v.In = in
	}
	expr, hasExpr := e.attr("expr")
	src, hasSrc := e.attr("src")
	inline := len(strings.TrimSpace(string(e.inner))) > 0
	switch {
	case hasExpr && (hasSrc || inline) || hasSrc && inline:
		l.refuse(e.at(), "element", "a <data> has one of expr, src and a value in it, and %s has more", id)
	case hasExpr:
		v.Value = l.expr(e, expr)
	case hasSrc:
		v.Value = l.fileValue(e, src)
	case inline:
		v.Value = l.literal(e)
	}
	l.def.Data = append(l.def.Data, v)
}

// declare adds a variable that an action makes; it has no value before that. What
// the document declares itself comes first.
func (l *loader) declare(name string) {
	l.late = append(l.late, func() {
		if name != "" && !l.data[name] {
			l.data[name] = true
			l.def.Data = append(l.def.Data, graph.Datum{ID: name})
		}
	})
}

// fileValue reads a value from a file: XML, JSON, or else text.
func (l *loader) fileValue(e *element, src string) any {
	data, name, err := l.read(src)
	if err != nil {
		if l.lax {
			return computed(failure("the file %q: %v", src, err))
		}
		l.refuse(e.at(), "src", "the file %q: %v", src, err)
		return nil
	}
	if root, err := parseXML(data, name, l.budget); err == nil {
		return computed(l.markup(root, data))
	}
	return computed(textual(data))
}

// literal reads the value that an element holds: JSON, XML, or else text, in which
// white space is one space.
func (l *loader) literal(e *element) any {
	if len(e.kids) == 0 {
		return computed(textual(e.text))
	}
	if len(e.kids) > 1 || strings.TrimSpace(string(e.text)) != "" {
		return computed("$xml(" + quote(strings.TrimSpace(string(e.inner))) + ")")
	}
	return computed(l.markup(e.kids[0], e.inner))
}

func textual(text []byte) string {
	if text = bytes.TrimSpace(text); json.Valid(text) && !bytes.Contains(text, []byte("__proto__")) {
		return string(text)
	}
	return quote(strings.Join(strings.Fields(string(text)), " "))
}

// markup writes an expression for a piece of XML. One that is an SCXML document can
// be invoked, and so it becomes one of the definition's graphs.
func (l *loader) markup(root *element, text []byte) string {
	source := quote(string(bytes.TrimSpace(text)))
	if root.name.Local != "scxml" || root.name.Space != namespace && root.name.Space != "" {
		return "$xml(" + source + ")"
	}
	return "$xml(" + source + ", " + quote(l.embed(root)) + ")"
}

// payload reads the data of an event or an invocation; nil if there is none.
func (l *loader) payload(e *element) *graph.Payload {
	p := &graph.Payload{Names: e.words("namelist")}
	for _, name := range p.Names {
		if err := checkLocation(name); err != nil {
			l.refuse(e.at(), "expression", "the namelist has %q: %v", name, err)
		} else if l.null {
			l.refuse(e.at(), "datamodel", "the null data model has no variables, and the namelist has %q", name)
		}
	}
	for _, k := range own(e, "param") {
		value := l.either(k, "", "expr")
		if location := l.either(k, "", "location"); location != nil {
			if value != nil {
				l.refuse(k.at(), "attribute", "a <param> has an expr or a location, and this one has both")
			}
			value = location
		}
		if value == nil {
			l.refuse(k.at(), "attribute", "a <param> needs an expr or a location")
		}
		p.Params = append(p.Params, graph.Param{Name: l.need(k, "name"), Value: value})
	}
	contents := own(e, "content")
	l.single(contents, "content")
	if len(contents) > 0 && e.name.Local != "invoke" {
		if len(p.Names) > 0 || p.Params != nil {
			l.refuse(contents[0].at(), "element", "a <content> takes the place of a namelist and of <param>, and there are both")
		}
		p.Content = l.content(contents[0])
	}
	if len(p.Names) == 0 && p.Params == nil && p.Content == nil {
		return nil
	}
	return p
}

func (l *loader) content(e *element) any {
	expr, given := e.attr("expr")
	inline := len(strings.TrimSpace(string(e.inner))) > 0
	switch {
	case given && inline:
		l.refuse(e.at(), "element", "a <content> has an expr or holds a value, and this one does both")
		return ""
	case given:
		return l.expr(e, expr)
	case inline:
		return l.literal(e)
	}
	return ""
}

// embed reads a document that stands in this one, and returns the name of its graph.
func (l *loader) embed(root *element) string {
	if len(l.outer) > 16 {
		l.refuse(root.at(), "invoke", "documents stand deeper than 16 in each other")
		return ""
	}
	c := l.child(l.file)
	return l.adopted(c.machine(root))
}

// adopted takes a document's definition among the graphs, under a name of its own.
func (l *loader) adopted(d *graph.Definition) string {
	if d == nil {
		return ""
	}
	for base := d.Graph; l.last[d.Graph] > 0; {
		l.last[base]++
		d.Graph = fmt.Sprintf("%s-%d", base, l.last[base])
	}
	l.last[d.Graph] = 1
	l.def.Graphs = append(l.def.Graphs, d)
	return d.Graph
}
