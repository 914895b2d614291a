package scxml

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/fermata-run/fermata/planner/graph"
)

// grammar says of each element which attributes it may have, and which elements may
// stand in it. "actions" are executable content, "data" is anything.
var grammar = map[string]struct{ attrs, kids string }{
	"scxml":      {"initial name version datamodel binding", "state parallel final datamodel script"},
	"state":      {"id initial", "onentry onexit transition initial state parallel final history datamodel invoke"},
	"parallel":   {"id", "onentry onexit transition state parallel history datamodel invoke"},
	"final":      {"id", "onentry onexit donedata"},
	"history":    {"id type", "transition"},
	"initial":    {"", "transition"},
	"transition": {"event cond target type", "actions"},
	"onentry":    {"", "actions"},
	"onexit":     {"", "actions"},
	"donedata":   {"", "content param"},
	"datamodel":  {"", "data"},
	"data":       {"id src expr", "data"},
	"invoke":     {"type typeexpr src srcexpr id idlocation namelist autoforward", "param finalize content"},
	"finalize":   {"", "actions"},
	"content":    {"expr", "data"},
	"param":      {"name expr location", ""},

	"raise":   {"event", ""},
	"if":      {"cond", "actions elseif else"},
	"elseif":  {"cond", ""},
	"else":    {"", ""},
	"foreach": {"array item index", "actions"},
	"log":     {"label expr", ""},
	"assign":  {"location expr", "data"},
	"script":  {"src", ""},
	"send":    {"event eventexpr target targetexpr type typeexpr id idlocation delay delayexpr namelist", "param content"},
	"cancel":  {"sendid sendidexpr", ""},
}

const actions = "raise if foreach log assign script send cancel"

// ours reports whether an element is one of SCXML.
func ours(e *element) bool { return e.name.Space == namespace }

// own returns the elements of SCXML in e with this name.
func own(e *element, name string) []*element {
	var found []*element
	for _, k := range e.kids {
		if ours(k) && k.name.Local == name {
			found = append(found, k)
		}
	}
	return found
}

// adopt gives the elements of a document that names no namespace SCXML's.
func adopt(e *element) {
	if e.name.Space == "" {
		e.name.Space = namespace
	}
	if e.name.Local == "data" || e.name.Local == "assign" {
		return
	}
	for _, k := range e.kids {
		adopt(k)
	}
}

// machine makes the definition of a document.
func (l *loader) machine(root *element) *graph.Definition {
	if root.name == (xml.Name{Local: "scxml"}) {
		adopt(root)
	}
	if root.name != (xml.Name{Space: namespace, Local: "scxml"}) {
		l.refuse(root.at(), "root", "the outermost element is <%s>, and <scxml xmlns=%q> is expected", root.name.Local, namespace)
		return nil
	}
	l.ids, l.named = map[string]*element{}, map[*element]string{}
	l.data, l.graphs, l.texts = map[string]bool{}, map[string]string{}, map[string]bool{}
	before := len(*l.problems)
	l.grammatical(root)
	if len(*l.problems) > before {
		return nil
	}
	name, given := root.attr("name")
	if !given {
		name = strings.TrimSuffix(l.file[strings.LastIndex(l.file, "/")+1:], ".scxml")
	}
	l.def = &graph.Definition{Graph: graphName(name), Language: language}
	l.last = map[string]int{l.def.Graph: 1}
	l.header(root)
	l.register(root)
	l.unnamed(root)
	l.variables(root, "")
	l.states(root, "")
	l.def.Initial = l.initial(root)
	for len(l.late) > 0 {
		todo := l.late
		l.late = nil
		for _, f := range todo {
			f()
		}
	}
	return l.def
}

// header reads the attributes of scxml, and its script.
func (l *loader) header(root *element) {
	switch m, given := root.attr("datamodel"); {
	case m == "null":
		l.null = true
	case m != "ecmascript" && given && m != "":
		l.refuse(root.at(), "datamodel", "the data model is %q; ecmascript and null are taken", m)
	}
	switch b := root.get("binding"); b {
	case "", "early":
	case "late":
		l.def.Late = true
	default:
		l.refuse(root.at(), "attribute", "binding is %q, and early or late is expected", b)
	}
	if v := root.get("version"); v != "" && v != "1.0" {
		l.refuse(root.at(), "attribute", "the version is %q, and 1.0 is what there is", v)
	}
	scripts := own(root, "script")
	if len(scripts) > 1 {
		l.refuse(scripts[1].at(), "element", "a document has at most one script of its own, and this is another")
	}
	if len(scripts) > 0 {
		if do := l.script(scripts[0]); do != nil {
			l.def.Script = do.Script
		}
	}
}

// grammatical checks the elements and attributes of a document against the grammar.
func (l *loader) grammatical(e *element) {
	g, known := grammar[e.name.Local]
	if !known {
		l.refuse(e.at(), "element", "<%s> is not an element of SCXML", e.name.Local)
		return
	}
	seen := map[xml.Name]bool{}
	for _, a := range e.attrs {
		switch {
		case seen[a.Name]:
			l.refuse(e.at(), "attribute", "<%s> has the attribute %s twice", e.name.Local, a.Name.Local)
		case a.Name.Space != "" || a.Name.Local == "xmlns":
		case !slices.Contains(strings.Fields(g.attrs), a.Name.Local):
			l.refuse(e.at(), "attribute", "<%s> has no attribute %s; it may have: %s", e.name.Local, a.Name.Local, orNone(g.attrs))
		}
		seen[a.Name] = true
	}
	if g.kids == "data" && e.name.Local != "datamodel" {
		return
	}
	if strings.TrimSpace(string(e.text)) != "" && e.name.Local != "script" {
		l.refuse(e.at(), "text", "<%s> holds the text %.40q, which means nothing there", e.name.Local, strings.TrimSpace(string(e.text)))
	}
	may := strings.Replace(g.kids, "actions", actions, 1)
	for _, k := range e.kids {
		_, known := grammar[k.name.Local]
		switch {
		case !ours(k):
			if strings.Contains(g.kids, "actions") && e.name.Local != "transition" && !l.lax {
				l.refuse(k.at(), "element", "<%s> of %q is not an action that is known here, and to leave it out would change what <%s> does; delete it", k.name.Local, k.name.Space, e.name.Local)
			}
		case known && !slices.Contains(strings.Fields(may), k.name.Local):
			l.refuse(k.at(), "element", "<%s> cannot stand in <%s>, which may hold: %s", k.name.Local, e.name.Local, orNone(may))
		default:
			l.grammatical(k)
		}
	}
}

func orNone(list string) string {
	if list == "" {
		return "none"
	}
	return strings.Join(strings.Fields(list), ", ")
}

// isState reports whether an element has a place among the states.
func isState(e *element) bool {
	return ours(e) && slices.Contains([]string{"state", "parallel", "final", "history"}, e.name.Local)
}

// register notes the ids that states are given.
func (l *loader) register(e *element) {
	for _, k := range e.kids {
		if !isState(k) {
			continue
		}
		if id, given := k.attr("id"); given {
			switch other := l.ids[id]; {
			case !isName(id):
				l.refuse(k.at(), "id", "the id %q is no name: letters, digits, _, - and dots are expected", id)
			case other != nil:
				l.refuse(k.at(), "id", "the id %q is taken: line %d has it, too", id, other.line)
			default:
				l.ids[id], l.named[k] = k, id
			}
		}
		l.register(k)
	}
}

// unnamed gives ids to the states that have none.
func (l *loader) unnamed(e *element) {
	for _, k := range e.kids {
		if !isState(k) {
			continue
		}
		for l.named[k] == "" {
			l.count++
			if id := fmt.Sprintf("%s.%d", k.name.Local, l.count); l.ids[id] == nil {
				l.ids[id], l.named[k] = k, id
			}
		}
		l.unnamed(k)
	}
}

// isName reports whether an id is a name as XML has it, without colons.
func isName(id string) bool {
	for i, r := range id {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || r != '-' && r != '.' && !unicode.IsDigit(r) && !unicode.IsMark(r)) {
			return false
		}
	}
	return id != ""
}
