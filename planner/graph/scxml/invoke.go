package scxml

import (
	"encoding/json"
	"errors"
	"maps"
	"path"
	"regexp"
	"slices"

	"github.com/fermata-run/fermata/planner/graph"
)

// invocable are the types of invoke that are SCXML documents.
var invocable = []string{"", "scxml", "http://www.w3.org/TR/scxml", "http://www.w3.org/TR/scxml/"}

// invoke reads an invocation; nil if it has been refused.
func (l *loader) invoke(e *element) *graph.Invoke {
	i := &graph.Invoke{
		ID: e.get("id"), IDLocation: e.get("idlocation"),
		Type: l.either(e, "type", "typeexpr"), Payload: l.payload(e),
	}
	if i.IDLocation != "" {
		if i.ID != "" {
			l.refuse(e.at(), "attribute", "an <invoke> has an id or an idlocation, and this one has both")
		}
		if err := checkLocation(i.IDLocation); err != nil {
			l.refuse(e.at(), "expression", "the idlocation %q: %v", i.IDLocation, err)
		}
	}
	switch forward := e.get("autoforward"); forward {
	case "true":
		i.Forward = true
	case "", "false":
	default:
		l.refuse(e.at(), "attribute", "autoforward is %q, and true or false is expected", forward)
	}
	if finalize := own(e, "finalize"); len(finalize) > 0 {
		l.single(finalize, "finalize")
		if i.Finalize = l.block(finalize[0]); len(i.Finalize) == 0 {
			i.Finalize = l.returned(e)
		}
	}
	if kind, given := e.attr("type"); given && !slices.Contains(invocable, kind) {
		if !l.lax {
			l.refuse(e.at(), "invoke", "the type %q is not known here; scxml is", kind)
			return nil
		}
		i.Graph = computed(failure("an invocation of the type %q: only scxml is known here", kind))
		return i
	}
	i.Graph = l.invoked(e)
	return i
}

// returned is what an empty finalize does: what an event brings is assigned to the
// locations that the data of the same names was taken from.
func (l *loader) returned(e *element) []graph.Do {
	var todo []graph.Do
	take := func(name, location string) {
		if checkLocation(location) != nil {
			return // and that has been refused
		}
		data := "_event.data[" + quote(name) + "]"
		todo = append(todo, graph.Do{
			If:   "_event.data instanceof Object && " + quote(name) + " in _event.data",
			Then: []graph.Do{{Assign: &graph.Assign{Location: location, Value: computed(data)}}},
		})
	}
	for _, name := range e.words("namelist") {
		take(name, name)
	}
	for _, k := range own(e, "param") {
		if location, given := k.attr("location"); given {
			take(k.get("name"), location)
		}
	}
	return todo
}

// invoked reads which document is invoked.
func (l *loader) invoked(e *element) any {
	src, hasSrc := e.attr("src")
	srcexpr, hasSrcexpr := e.attr("srcexpr")
	contents := own(e, "content")
	given := 0
	for _, has := range []bool{hasSrc, hasSrcexpr, len(contents) > 0} {
		if has {
			given++
		}
	}
	if given != 1 {
		l.refuse(e.at(), "invoke", "an <invoke> needs one of src, srcexpr and <content>, and this one has %d", given)
		return ""
	}
	switch {
	case hasSrc:
		name, err := l.invokedFile(src)
		if err == nil {
			return name
		}
		if l.lax {
			return computed(failure("the document %q: %v", src, err))
		}
		l.refuse(e.at(), "src", "the document %q: %v", src, err)
		return ""
	case hasSrcexpr:
		return l.choose(e, srcexpr, true)
	}
	content := contents[0]
	if expr, given := content.attr("expr"); given {
		return l.choose(content, expr, false)
	}
	if len(content.kids) == 1 && content.kids[0].name.Local == "scxml" {
		return l.embed(content.kids[0])
	}
	if len(content.kids) == 0 && len(content.text) > 0 { // a document as text, perhaps CDATA
		c := l.child(l.file)
		if len(c.outer) > 16 {
			l.refuse(e.at(), "invoke", "documents stand deeper than 16 in each other")
			return ""
		}
		return l.adopted(c.document(content.text))
	}
	l.refuse(content.at(), "invoke", "the content is no SCXML document, and one is expected")
	return ""
}

// choose makes an expression for a graph that is known when it is invoked: $graph
// finds it by the value of the expression. By the name of a file it finds those
// documents whose names stand as a text in an expression of this document.
func (l *loader) choose(e *element, source string, files bool) any {
	checked := l.expression(e, source)
	value := map[string]any{}
	if !files {
		value["$expr"] = "$graph(" + checked + "\n, {})"
		return value
	}
	l.late = append(l.late, func() {
		names, _ := json.Marshal(l.documents()) // of strings, which have a JSON form
		value["$expr"] = "$graph(" + checked + "\n, " + string(names) + ")"
	})
	return value
}

// documents returns the names of the graphs of all documents that expressions name. It
// is asked when all expressions have been read, and looks for their files once.
func (l *loader) documents() map[string]string {
	if l.known == nil {
		l.known = map[string]string{}
		for _, text := range slices.Sorted(maps.Keys(l.texts)) {
			if name, err := l.invokedFile(text); err == nil {
				l.known[text] = name
			}
		}
	}
	return l.known
}

var documentTexts = regexp.MustCompile(`'[^'\n]{1,200}\.scxml'|"[^"\n]{1,200}\.scxml"`)

// notice keeps what in an expression may be the name of a document.
func (l *loader) notice(source string) {
	for _, text := range documentTexts.FindAllString(source, -1) {
		l.texts[text[1:len(text)-1]] = true
	}
}

var errAround = errors.New("it is around this one already: a document cannot invoke itself")

// invokedFile reads a document that is invoked, and returns the name of its graph.
func (l *loader) invokedFile(src string) (string, error) {
	name, err := l.locate(src)
	if err != nil {
		return "", err
	}
	name = path.Clean(name)
	if graph, known := l.graphs[name]; known {
		return graph, nil
	}
	if slices.Contains(l.outer, name) {
		return "", errAround
	}
	data, _, err := l.read(src)
	if err != nil {
		return "", err
	}
	l.graphs[name] = l.adopted(l.child(name).document(data))
	return l.graphs[name], nil
}
