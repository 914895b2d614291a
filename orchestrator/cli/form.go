package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// A form is filled in field by field. It knows no terminal: whoever has one shows
// what it says and hands it the lines that the person writes.
//
//	field  <Enter>  takes the value, or skips an optional field
//	       "<"      goes back to the field before
//	end    <Enter>  sends; "<" goes back to the last field
type form struct {
	fields []formField
	values map[string]json.RawMessage
	at     int  // which field is asked for; len(fields) is the end
	only   bool // the rest was filled in: after this field comes the end again
}

const (
	formBack = "<"
	formSkip = "-" // empties a field that has a value
)

// newForm makes the form of an ask.
func newForm(a *agent.Ask) (*form, error) {
	fields, err := formFields(a.Schema)
	if err != nil {
		return nil, err
	}
	return &form{fields: fields, values: map[string]json.RawMessage{}}, nil
}

// atEnd reports whether all fields were asked for.
func (f *form) atEnd() bool { return f.at == len(f.fields) }

// enter takes a line. Sends says that the person has sent the form; the error, what
// is wrong with the line.
func (f *form) enter(line string) (sends bool, err error) {
	line = strings.TrimSpace(line)
	switch {
	case line == formBack:
		f.back()
		return false, nil
	case f.atEnd() && line == "":
		return true, nil
	case f.atEnd():
		return false, f.jump(line)
	}
	if err := f.fill(&f.fields[f.at], line); err != nil {
		return false, err
	}
	f.next()
	return false, nil
}

// fill gives a field the value that a line means.
func (f *form) fill(field *formField, line string) error {
	_, was := f.values[field.name]
	switch {
	case line == formSkip && !field.required && was:
		delete(f.values, field.name)
		return nil
	case line == "" && was:
		return nil
	case line == "" && len(field.preset) > 0:
		f.values[field.name] = field.preset
		return nil
	case line == "" && field.required:
		return fmt.Errorf("%s is required: %s", cleanLine(field.name), field.wants())
	case line == "":
		return nil
	}
	v, err := field.value(line)
	if err == nil {
		f.values[field.name] = v
	}
	return err
}

func (f *form) next() {
	f.at++
	if f.only {
		f.at, f.only = len(f.fields), false
	}
}

func (f *form) back() {
	f.at, f.only = max(f.at-1, 0), false
}

// jump goes to a field that is named at the end.
func (f *form) jump(name string) error {
	i := slices.IndexFunc(f.fields, func(x formField) bool { return x.name == name })
	if i < 0 {
		i = slices.IndexFunc(f.fields, func(x formField) bool { return strings.EqualFold(x.name, name) })
	}
	if i < 0 {
		return fmt.Errorf("no field is called %[2]q; Enter sends, %[1]s goes back, and the name of a field changes it", formBack, cleanLine(name))
	}
	f.at, f.only = i, true
	return nil
}

// refused goes to the field that a complaint about the whole names, if it names
// one.
func (f *form) refused(complaint string) {
	first, which := len(complaint), -1
	for i, x := range f.fields {
		for _, mention := range []string{" " + x.name + ": ", " " + x.name + ".", " " + x.name + "[", fmt.Sprintf("%q", x.name)} {
			if at := strings.Index(" "+complaint, mention); at >= 0 && at < first {
				first, which = at, i
			}
		}
	}
	if which >= 0 {
		f.at, f.only = which, true
	}
}

// answer is what was filled in, with the fields in the form's order.
func (f *form) answer() json.RawMessage {
	var parts [][]byte
	for _, x := range f.fields {
		if v, ok := f.values[x.name]; ok {
			parts = append(parts, append(append(agent.JSONText(x.name), ':'), v...))
		}
	}
	return append(append(json.RawMessage{'{'}, bytes.Join(parts, []byte{','})...), '}')
}

// prompt is what stands before the line.
func (f *form) prompt() string {
	if f.atEnd() {
		return "send › "
	}
	return fit(cleanLine(f.fields[f.at].name), 24) + " › "
}

// given shows the value of a field.
func (f *form) given(i int) string {
	if v, ok := f.values[f.fields[i].name]; ok {
		return f.fields[i].plainValue(v)
	}
	return "–"
}

// show tells what is asked for now: a field, or at the end all that was filled in.
func (f *form) show() []para {
	if f.atEnd() {
		return f.summary()
	}
	x := &f.fields[f.at]
	head := fmt.Sprintf("%d/%d  %s", f.at+1, len(f.fields), cleanLine(x.name))
	if x.title != "" && !strings.EqualFold(x.title, x.name) {
		head += " – " + cleanLine(x.title)
	}
	out := []para{{gap: true, mark: "    ", text: head, paint: bold}}
	if x.about != "" {
		out = append(out, para{mark: "         ", text: cleanLine(x.about)})
	}
	for i, c := range x.choices {
		out = append(out, para{mark: fmt.Sprintf("      %2d  ", i+1), tint: yellow, text: x.plainValue(c)})
	}
	return append(out, para{mark: "         ", text: f.hint(x), paint: dim})
}

// hint says what Enter does, and what else may be typed.
func (f *form) hint(x *formField) string {
	words := []string{x.kind()}
	was, has := f.values[x.name]
	switch {
	case has && !x.required:
		words = append(words, "Enter keeps "+x.plainValue(was), formSkip+" leaves it out")
	case has:
		words = append(words, "Enter keeps "+x.plainValue(was))
	case x.mayBeEmpty():
		words = append(words, "Enter leaves it empty")
	case len(x.preset) > 0:
		words = append(words, "Enter takes "+x.plainValue(x.preset))
	case x.required:
		words = append(words, "required")
	default:
		words = append(words, "Enter skips it")
	}
	if f.at > 0 {
		words = append(words, formBack+" goes back")
	}
	return strings.Join(words, " · ")
}

// summary shows what would be sent.
func (f *form) summary() []para {
	out := []para{{gap: true, mark: "    ", text: "This would be sent:", paint: bold}}
	for i := range f.fields {
		out = append(out, para{mark: inColumn(f.fields, i), tint: dim, text: f.given(i)})
	}
	return append(out, para{mark: "    ", text: "Enter sends it · " + formBack + " goes back · the name of a field changes it", paint: dim})
}

// showFields lists the fields of a form, for who does not fill it in right away, or
// of what may be said beside a choice about a failure.
func showFields(a *agent.Ask) []para {
	if a.Kind != agent.AskForm && (a.Kind != agent.AskRepair || len(a.Schema) == 0) {
		return nil
	}
	fields, err := formFields(a.Schema)
	if err != nil && a.Kind == agent.AskRepair { // it need be no object
		return []para{{mark: "    ", text: "beside a choice a value may be given that fits " + cleanLine(string(compact(a.Schema))), paint: dim}}
	}
	if err != nil {
		return []para{{mark: "    ", text: cleanLine(err.Error()), paint: dim}}
	}
	var out []para
	if a.Kind == agent.AskRepair {
		out = append(out, para{mark: "    ", text: "beside a choice a value may be given, an object of", paint: dim})
	}
	for i := range fields {
		x := &fields[i]
		words := []string{x.kind()}
		if len(x.choices) > 0 {
			words[0] = ""
			for j, c := range x.choices {
				if j > 0 {
					words[0] += " | "
				}
				words[0] += x.plainValue(c)
			}
		}
		switch {
		case x.mayBeEmpty():
			words = append(words, "or empty")
		case len(x.preset) > 0:
			words = append(words, "otherwise "+x.plainValue(x.preset))
		case !x.required:
			words = append(words, "optional")
		}
		text := strings.Join(words, ", ")
		if x.about != "" {
			text += " – " + cleanLine(x.about)
		}
		out = append(out, para{mark: inColumn(fields, i), tint: cyan, text: text})
	}
	return out
}

// filled makes the answer to a form of fields that are given as name=value.
func filled(a *agent.Ask, given []string) (json.RawMessage, error) {
	if a.Kind != agent.AskForm {
		return nil, usage("--field fills in a form, and this ask is of the kind %s", a.Kind)
	}
	f, err := newForm(a)
	if err != nil {
		return nil, err
	}
	for _, g := range given {
		name, line, ok := strings.Cut(g, "=")
		i := slices.IndexFunc(f.fields, func(x formField) bool { return x.name == strings.TrimSpace(name) })
		switch {
		case !ok:
			return nil, usage("--field takes name=value, and %q came", fit(cleanLine(g), 60))
		case i < 0:
			return nil, usage("the form has no field %q; it has %s", cleanLine(name), f.names())
		case f.values[f.fields[i].name] != nil:
			return nil, usage("--field gives %q twice; give it once", cleanLine(name))
		}
		v, err := f.fields[i].value(line)
		if err != nil {
			return nil, usage("%v", err)
		}
		f.values[f.fields[i].name] = v
	}
	return f.withPresets()
}

// withPresets is the answer of a form that nobody is asked about any more: what
// was not given has its default, and what is still missing is told.
func (f *form) withPresets() (json.RawMessage, error) {
	var missing []string
	for _, x := range f.fields {
		switch _, ok := f.values[x.name]; {
		case ok:
		case len(x.preset) > 0:
			f.values[x.name] = x.preset
		case x.required:
			missing = append(missing, cleanLine(x.name))
		}
	}
	if len(missing) > 0 {
		return nil, usage("%s missing: add --field %s=…", joined(missing, "and")+map[bool]string{true: " is", false: " are"}[len(missing) == 1], missing[0])
	}
	return f.answer(), nil
}

func (f *form) names() string {
	var names []string
	for _, x := range f.fields {
		names = append(names, cleanLine(x.name))
	}
	return joined(names, "and")
}

// formWays are the flags that answer a form: one for each field that has to be
// filled in.
func formWays(a *agent.Ask) []string {
	fields, err := formFields(a.Schema)
	if err != nil {
		return []string{"--value", "JSON"}
	}
	var ways []string
	for _, x := range fields {
		if x.required && len(x.preset) == 0 {
			ways = append(ways, "--field", x.name+"=…")
		}
	}
	if len(ways) == 0 {
		ways = []string{"--field", fields[0].name + "=…"}
	}
	return ways
}
