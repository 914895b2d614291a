package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// A person who has read a question may still give one of the answers that it had: a
// definition that would not know what to do with it is refused.
func TestMigrateKeepsTheChoicesOfAnOpenAsk(t *testing.T) {
	const text = `
graph: leave
nodes:
  - {id: boss, ask: {prompt: "May ann go?", choices: [yes, no]}}
  - {id: goes, final: done}
  - {id: stays, final: failed}
edges: [{from: boss, on: done.no, to: stays}, {from: boss, on: done.yes, to: goes}]
`
	old := graphOf(t, text)
	begun, err := old.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	other := graphOf(t, strings.NewReplacer("yes, no", "approve, deny", "done.yes", "done.approve", "done.no", "done.deny").Replace(text))
	if _, err := other.Migrate(old, begun.Keys, graph.Facts{}, nil); err == nil || !strings.Contains(err.Error(), `"boss" waits for an answer, which is one of yes, no`) {
		t.Errorf("to other choices: %v", err)
	}
	wider := graphOf(t, strings.Replace(text, "on: done.yes, to: goes", "to: goes", 1))
	if _, err := wider.Migrate(old, begun.Keys, graph.Facts{}, nil); err != nil {
		t.Errorf("to one that takes any other answer: %v", err)
	}
}

// A first message that is no JSON object is taken as text; where that does not fit, the
// run fails and says what came.
func TestInputThatIsNoObject(t *testing.T) {
	g := graphOf(t, `
graph: claim
input: {type: object, required: [euros], properties: {euros: {type: integer}}}
steps: [{timer: 1s}]
`)
	for text, says := range map[string]string{
		`{"euros": 7`:    `its input is a JSON object, and this came: {"euros": 7`,
		`{"euros": "x"}`: "its input does not fit",
		`{"euros": 7}`:   "",
	} {
		m := agent.Text(text)
		move, err := g.Plan(context.Background(), &agent.View{News: []agent.News{{Message: &m}}}, func(agent.Delta) {})
		if err != nil || !strings.Contains(move.Fail, says) || (move.Fail == "") != (says == "") {
			t.Errorf("%s: %v, the run fails with %q, want %q", text, err, move.Fail, says)
		}
	}
}

// A route that the definition no longer has, when a person takes it, is no dead end:
// the question is asked anew.
func TestMigrateWithAnOpenRepair(t *testing.T) {
	const text = `
graph: pack
nodes: [{id: pack, tool: pack}, {id: lost, final: failed}, {id: packed, final: done}]
edges: [{from: pack, to: packed}, {id: lose, from: pack, on: error.lost, to: lost}]
`
	old := graphOf(t, text)
	other := graphOf(t, strings.Replace(text, "id: lose", "id: gone", 1))
	d, err := graph.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	saved := plays(t, d, happening{"start", "1 pack{}"}, happening{`1 failed "x"`, "1/!"})
	patch, err := other.Migrate(old, saved, graph.Facts{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range patch {
		saved[k] = v
	}
	answer := func(choice string) graph.Input {
		return graph.Input{Closed: &agent.Closed{Ref: "1/!", Outcome: agent.Answered, Answer: &agent.Answer{Choice: choice}}}
	}
	st, err := other.Next(saved, graph.Facts{}, answer("route:lose"))
	if err != nil || len(st.Actions) != 1 || st.Actions[0].Ask.Choices[3] != "route:gone" {
		t.Fatalf("a route that has gone: %+v, %v", st, err)
	}
	for k, v := range st.Keys {
		saved[k] = v
	}
	if st, err = other.Next(saved, graph.Facts{}, answer("route:gone")); err != nil || !st.Ended || st.Failed == nil {
		t.Errorf("a route that is there: %+v, %v", st, err)
	}
}

// A migration changes what is to come, and nothing of what was: what can be undone stays
// so or is refused, a timer that is over stays over, and a compensation goes on with
// what it was begun for. New variables have the values that their expressions yield.
func TestMigrateKeepsWhatWas(t *testing.T) {
	const text = `
graph: shop
data: [{id: hours, type: int, value: 0}]
nodes:
  - {id: work}
  - {id: pay, in: work, tool: pay, undo: {tool: refund, input: {of: "${result}"}}}
  - {id: hold}
  - {id: back, compensate: work}
  - {id: end, final: done, output: "${hours}"}
edges:
  - {from: pay, to: hold}
  - {id: soon, from: hold, after: 1h, set: {hours: "${hours + 1}"}}
  - {from: hold, on: stop, to: back}
  - {from: back, to: end}
`
	old := graphOf(t, text)
	d, err := graph.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	held := []happening{{"start", "1 pay{}"}, {`1 returned "p1"`, "3"}}
	renamed := strings.NewReplacer("work", "job").Replace(text)
	for _, c := range []struct {
		name, text string
		nodes      map[string]string
		before     []happening
		refused    string // what it is refused for, or
		after      []happening
	}{
		{"a scope that has gone", renamed, nil, held, `what was done in "work" can be undone, and the new definition has no "work"`, nil},
		{"a scope of another name", renamed, map[string]string{"work": "job"}, held, "", []happening{{"event stop", `-3, 4/u refund{"of":"p1"}`}}},
		{"a compensation of another scope", strings.Replace(text, "compensate: work", "compensate: hold", 1), nil,
			append(held[:2:2], happening{"event stop", `-3, 4/u refund{"of":"p1"}`}), `"back" goes on (compensate), and "back" does something else`, nil},
		{"a timer that goes on", strings.Replace(text, "hours + 1", "hours + 2", 1), nil, held, "", []happening{{"redefined", "."}, {"3 returned", "."}, {"event stop", `4/u refund{"of":"p1"}`}, {"4/u returned", "end 2"}}},
		{"a timer that is over", strings.Replace(text, "hours + 1", "hours + 2", 1), nil, append(held[:2:2], happening{"3 returned", "."}), "", []happening{{"redefined", "."}, {"event stop", `4/u refund{"of":"p1"}`}}},
		{"a timer more", strings.Replace(text, "edges:", "edges:\n  - {id: later, from: hold, after: 2h, set: {hours: 0}}", 1), nil, append(held[:2:2], happening{"3 returned", "."}), "", []happening{{"redefined", "4"}}},
		{"a variable more", strings.NewReplacer("data: [", "data: [{id: more, value: '${1 + 1}'}, ", "${hours}", "${more}").Replace(text), nil, held, "", []happening{
			{"redefined", "."}, {"event stop", `-3, 4/u refund{"of":"p1"}`}, {"4/u returned", "end 2"}}},
		{"a variable without a value", strings.Replace(text, "data: [", "data: [{id: more, value: '${1 / (1 - 1)}'}, ", 1), nil, held, `the first value of the new variable "more" cannot be evaluated`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			saved := plays(t, d, c.before...)
			other := graphOf(t, c.text)
			patch, err := other.Migrate(old, saved, graph.Facts{}, c.nodes)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("%v, and a refusal is expected that says: %s", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			goesOn(t, other, apply(saved, patch), c.after...)
		})
	}
}

// A run whose graph calls a function that the program does not have any more is told how it
// goes on: a stand-in is enough to migrate it.
func TestMigrationFromALostFunction(t *testing.T) {
	const text = `
graph: g
nodes: [{id: a, wait: {signal: go}}, {id: end, final: done, output: OUTPUT}]
edges: [{from: a, to: end}]
`
	d, err := graph.Parse([]byte(strings.Replace(text, "OUTPUT", `"${twice(2)}"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	twice := &graph.Options{Funcs: map[string]graph.Func{"twice": func(a ...any) (any, error) { return nil, errors.New("it is a stand-in") }}}
	old, err := graph.New(d, twice)
	if err != nil {
		t.Fatal(err)
	}
	st, err := old.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	fresh := strings.Replace(text, "OUTPUT", "4", 1)
	if _, err := graphOf(t, fresh).Of(old.Definition()); err == nil || !strings.Contains(err.Error(), "if only as stand-ins") || !strings.Contains(err.Error(), `there is no function "twice"`) {
		t.Errorf("without the function: %v", err)
	}
	d, err = graph.Parse([]byte(fresh))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, twice)
	if err != nil {
		t.Fatal(err)
	}
	from, err := g.Of(old.Definition())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Migrate(from, st.Keys, graph.Facts{}, nil); err != nil {
		t.Errorf("with a stand-in: %v", err)
	}
}

// A run that goes by an older definition goes by exactly that: by its numbers, with all
// their digits, and by its hash, so that it is not taken for one that was redefined.
func TestOlderDefinitionIsReadAsItWas(t *testing.T) {
	const text = `
graph: g
data: [{id: n, type: int, value: 9007199254740993}]
nodes: [{id: a, timer: 90}, {id: end, final: true, output: {n: "${n}", of: [9007199254740995, 1.5]}}]
edges: [{from: a, to: end}]
`
	old := graphOf(t, text)
	read, err := graphOf(t, strings.Replace(text, "90}", "60}", 1)).Of(old.Definition())
	if err != nil {
		t.Fatal(err)
	}
	if string(read.Definition()) != string(old.Definition()) {
		t.Errorf("it is read as\n%s\nand was\n%s", read.Definition(), old.Definition())
	}
	goesOn(t, read, keys{}, happening{"start", "1"}, happening{"1 returned", `end {"n":9007199254740993,"of":[9007199254740995,1.5]}`})
}

// What was done and undone is told under the names that its nodes have now.
func TestMigrateNamesWhatWasDone(t *testing.T) {
	const text = `
graph: shop
nodes:
  - {id: work}
  - {id: pay, in: work, tool: pay, undo: {tool: refund}}
  - {id: mail, in: work, tool: mail, each: {in: [1, 2]}, undo: {tool: regret}}
  - {id: hold, in: work, wait: {signal: go}}
  - {id: back, compensate: work}
  - {id: end, final: done, output: "${saga}"}
edges:
  - {from: pay, to: mail}
  - {from: mail, to: hold}
  - {from: hold, to: back}
  - {from: back, to: end}
`
	old := graphOf(t, text)
	to := graphOf(t, strings.NewReplacer("id: pay", "id: charge", "from: pay", "from: charge", "id: mail", "id: tell", "from: mail", "from: tell", "to: mail", "to: tell").Replace(text))
	d, err := graph.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	saved := plays(t, d, happening{"start", "1 pay{}"}, happening{`1 returned "p"`, "3/0 mail{}, 3/1 mail{}"}, happening{`3/0 returned 1`, "."}, happening{`3/1 returned 1`, "6 go"})
	patch, err := to.Migrate(old, saved, graph.Facts{}, map[string]string{"pay": "charge", "mail": "tell"})
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(saved, patch)
	var st *graph.Step
	for _, ref := range []string{"6", "7/u", "7/u", "7/u"} {
		if st, err = to.Next(saved, graph.Facts{}, graph.Input{Closed: &agent.Closed{Ref: ref, Outcome: agent.Returned, Content: json.RawMessage("1")}}); err != nil {
			t.Fatal(err)
		}
		for k, v := range st.Keys {
			if saved[k] = v; string(v) == "null" {
				delete(saved, k)
			}
		}
	}
	if want := `{"done":[],"undone":["charge","tell/0","tell/1"]}`; !st.Ended || string(st.Output) != want {
		t.Errorf("it ends: %v, with %s, want %s", st.Ended, st.Output, want)
	}
}
