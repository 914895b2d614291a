package cli

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
)

const deliverySchema = `{"type":"object","properties":{
	"street":{"type":"string","description":"Street and number","minLength":3},
	"floor":{"type":["integer","null"],"minimum":0},
	"size":{"$ref":"#/$defs/size"},
	"express":{"type":"boolean","default":false},
	"tags":{"type":"array","items":{"type":"string"}},
	"day":{"type":"string","format":"date"}},
	"$defs":{"size":{"enum":["small","large"],"description":"Of the parcel"}},
	"required":["street","size"]}`

// filling is a form that is filled in by the lines of a test.
func filling(t *testing.T) *form {
	t.Helper()
	f, err := newForm(&agent.Ask{Kind: agent.AskForm, Schema: json.RawMessage(deliverySchema)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestForm(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines string // with | between
		asks  string // the prompt then
		says  string // the last complaint
		want  string // what would be sent
	}{
		{"all", "Elm 5|2|small|y|a, b|2026-03-12|", "send › ", "", `{"street":"Elm 5","floor":2,"size":"small","express":true,"tags":["a","b"],"day":"2026-03-12"}`},
		{"defaults and what is skipped", "Elm 5||2||||", "send › ", "", `{"street":"Elm 5","size":"large","express":false}`},
		{"what is required", "", "street › ", "street is required: type text", `{}`},
		{"too short", "x", "street › ", "street: must have at least 3 characters, got 1", `{}`},
		{"not a number", "Elm 5|high", "floor › ", `floor: expected null or an integer, got string "high"`, `{"street":"Elm 5"}`},
		{"too low", "Elm 5|-1", "floor › ", "floor: must be ≥ 0, got -1", `{"street":"Elm 5"}`},
		{"digits are text where text is wanted", "1234|", "size › ", "", `{"street":"1234"}`},
		{"no such choice", "Elm 5||huge", "size › ", `size: expected one of "small", "large", got string "huge"`, `{"street":"Elm 5"}`},
		{"neither yes nor no", "Elm 5||2|perhaps", "express › ", `express: type yes or no, and not "perhaps"`, `{"street":"Elm 5","size":"large"}`},
		{"not a date", "Elm 5||2|||monday", "day › ", `day: expected a date such as 2006-01-02, got string "monday"`, `{"street":"Elm 5","size":"large","express":false}`},
		{"back, and what was there is kept", "Elm 5|2|<|<|Oak 7|", "size › ", "", `{"street":"Oak 7","floor":2}`},
		{"no further back than the first", "<|<", "street › ", "", `{}`},
		{"emptied again", "Elm 5|2|<|-|", "size › ", "size is required: type a number or the words of one of these", `{"street":"Elm 5"}`},
		{"a field is changed at the end", "Elm 5||2||||size|1", "send › ", "", `{"street":"Elm 5","size":"small","express":false}`},
		{"no such field at the end", "Elm 5||2||||colour", "send › ", `no field is called "colour"; Enter sends, < goes back, and the name of a field changes it`, `{"street":"Elm 5","size":"large","express":false}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, says := filling(t), ""
			for i, line := range strings.Split(c.lines, "|") {
				if f.atEnd() && line == "" {
					continue // not sent
				}
				sends, err := f.enter(line)
				if says = ""; err != nil {
					says = err.Error()
				}
				if sends {
					t.Fatalf("line %d sends the form", i)
				}
			}
			if got := string(f.answer()); f.prompt() != c.asks || says != c.says || got != c.want {
				t.Errorf("it asks %q and says %q, with %s;\nwant %q and %q, with %s", f.prompt(), says, got, c.asks, c.says, c.want)
			}
		})
	}
}

// A field that is required and may be null, as schemas for models have them, can be left
// empty.
func TestFormOfWhatMayBeNull(t *testing.T) {
	schema := json.RawMessage(`{"type":"object","properties":{"floor":{"type":["integer","null"]},"name":{"type":["string","null"]}},"required":["floor","name"]}`)
	ask := &agent.Ask{Kind: agent.AskForm, Schema: schema}
	f, err := newForm(ask)
	if err != nil {
		t.Fatal(err)
	}
	if hint := f.hint(&f.fields[0]); hint != "whole number · Enter leaves it empty" {
		t.Errorf("the hint is %q", hint)
	}
	for _, line := range []string{"", "null"} {
		if _, err := f.enter(line); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	if got, want := string(f.answer()), `{"floor":null,"name":"null"}`; got != want {
		t.Errorf("it would send %s, want %s", got, want)
	}
	if got, err := filled(ask, []string{"floor=2"}); string(got) != `{"floor":2,"name":null}` || err != nil {
		t.Errorf("by flags it would send %s, %v", got, err)
	}
}

// What is to be given as JSON says which fields it has.
func TestFormOfObjects(t *testing.T) {
	fields, err := formFields(json.RawMessage(`{"type":"object","$defs":{"addr":{"type":"object","properties":{"zip":{"type":"string"},"city":{"type":"string"}}}},"properties":{
		"addr":{"$ref":"#/$defs/addr"},"items":{"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"}}}},"any":{"type":"object"},"lists":{"type":"array","items":{"type":"array"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"object with zip and city, as JSON", "list of objects with id, as JSON", "object, as JSON", "list, as JSON"} {
		if got := fields[i].kind(); got != want {
			t.Errorf("%s: got %q, want %q", fields[i].name, got, want)
		}
	}
}

// Choices that differ in their letters only, or are numbers themselves.
func TestFormChoices(t *testing.T) {
	f, err := newForm(&agent.Ask{Kind: agent.AskForm, Schema: json.RawMessage(`{"type":"object","properties":{"x":{"enum":["Polish","polish","3","1"]}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{"polish": `"polish"`, "Polish": `"Polish"`, "POLISH": `"Polish"`, "1": `"1"`, "2": `"polish"`, "3": `"3"`} {
		if v, err := f.fields[0].value(line); string(v) != want || err != nil {
			t.Errorf("%q is %s, %v; want %s", line, v, err, want)
		}
	}
}

// Fields whose names differ in their letters only.
func TestFormJumps(t *testing.T) {
	f, err := newForm(&agent.Ask{Kind: agent.AskForm, Schema: json.RawMessage(`{"type":"object","properties":{"City":{"type":"string"},"city":{"type":"string"},"Day":{"type":"string"}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"City": "City › ", "city": "city › ", "CITY": "City › ", "day": "Day › "} {
		f.at = len(f.fields)
		if _, err := f.enter(name); err != nil || f.prompt() != want {
			t.Errorf("%q leads to %q, %v; want %q", name, f.prompt(), err, want)
		}
	}
}

// What is refused as a whole leads back to the field that is named first.
func TestFormRefused(t *testing.T) {
	for complaint, want := range map[string]string{
		"the answer's value does not fit: express: expected false, got boolean true": "express › ",
		"the answer's value does not fit: tags[1]: expected a string; floor: no":     "tags › ",
		`the answer's value does not fit: missing required field "day"`:              "day › ",
		"ask 7k2m was answered already by bob":                                       "send › ",
	} {
		f := filling(t)
		for _, line := range []string{"Elm 5", "", "1", "", "", ""} {
			if _, err := f.enter(line); err != nil {
				t.Fatal(err)
			}
		}
		f.refused(complaint)
		if f.prompt() != want {
			t.Errorf("after %q it asks %q, want %q", complaint, f.prompt(), want)
		}
		if _, err := f.enter(""); err != nil || f.atEnd() == (want == "day › ") && want != "day › " {
			t.Errorf("after that it asks %q (%v), want the end", f.prompt(), err)
		}
	}
}

func TestFormShows(t *testing.T) {
	f := filling(t)
	var shown []string
	for _, line := range []string{"Elm 5", "2", "2", "", "a,b", ""} {
		shown = append(shown, text(f.show()))
		if _, err := f.enter(line); err != nil {
			t.Fatal(err)
		}
	}
	want := `
    1/6  street
         Street and number
         text · required

    2/6  floor
         whole number · Enter skips it · < goes back

    3/6  size
         Of the parcel
       1  small
       2  large
         one of these · required · < goes back

    4/6  express
         yes or no · Enter takes no · < goes back

    5/6  tags
         list, with commas between · Enter skips it · < goes back

    6/6  day
         date · Enter skips it · < goes back

    This would be sent:
    street   Elm 5
    floor    2
    size     large
    express  no
    tags     a, b
    day      –
    Enter sends it · < goes back · the name of a field changes it
`
	if got := strings.Join(append(shown, text(f.show())), ""); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

// A form on the screen: what is wrong stays on the line, and what is refused is
// asked for again.
func TestFormOnScreen(t *testing.T) {
	out, err := os.CreateTemp(t.TempDir(), "screen")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	scr, f := &screen{out: out}, filling(t)
	var sent []string
	send := func(value []byte) error {
		sent = append(sent, string(value))
		if strings.Contains(string(value), `"large"`) {
			return agent.Refuse(agent.RefusedInvalid, "the answer's value does not fit: size: too large")
		}
		return nil
	}
	enter := func(line string, wants bool) {
		t.Helper()
		if done, err := f.step(line, scr, send); done != wants || err != nil {
			t.Fatalf("after %q: done %v (%v), want %v", line, done, err, wants)
		}
	}
	enter("x", false)
	if got := string(scr.line.text); got != "x" {
		t.Errorf("the line is %q, want what was wrong", got)
	}
	for _, line := range []string{"Elm 5", "", "large", "", "", "", ""} {
		enter(line, false)
	}
	if f.prompt() != "size › " {
		t.Errorf("after the refusal it asks %q", f.prompt())
	}
	enter("1", false)
	enter("", true)
	if len(sent) != 2 || sent[1] != `{"street":"Elm 5","size":"small","express":false}` {
		t.Errorf("sent %q", sent)
	}
	shown, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	unbroken := strings.Join(strings.Fields(string(shown)), " ") // a file is a screen of few columns
	for _, want := range []string{"must have at least 3 characters", "street › Elm 5", "floor › –", "express › no", "This would be sent:", "size: too large"} {
		if !strings.Contains(unbroken, want) {
			t.Errorf("the screen does not show %q", want)
		}
	}
}

func TestFilled(t *testing.T) {
	ask := &agent.Ask{Kind: agent.AskForm, Schema: json.RawMessage(deliverySchema)}
	v, err := filled(ask, []string{"size=large", "street=a=b c", "tags=x"})
	if want := `{"street":"a=b c","size":"large","express":false,"tags":["x"]}`; err != nil || string(v) != want {
		t.Errorf("got %s (%v), want %s", v, err, want)
	}
	for given, want := range map[string]string{
		"street=Elm 5|street=Elm 6": `--field gives "street" twice; give it once`,
		"size=small":                "street is missing: add --field street=…",
		"floor=2":                   "street and size are missing: add --field street=…",
		"city=Bremen":               `the form has no field "city"; it has street, floor, size, express, tags and day`,
	} {
		if _, err := filled(ask, strings.Split(given, "|")); err == nil || err.Error() != want {
			t.Errorf("%s gives %v, want %s", given, err, want)
		}
	}
}
