package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/planner/graph"
)

// JSON allows what can be no value. Whoever sends it, as data or as an answer, does not
// stop the graph by that: it is the text that it is.
func TestValuesThatAreNone(t *testing.T) {
	for name, value := range map[string]string{
		"a number too large": `{"n":1e999}`,
		"a list too deep":    strings.Repeat("[", 600) + strings.Repeat("]", 600),
	} {
		data := json.RawMessage(value)
		signal := graph.Input{Event: &graph.Event{Name: "paid", Data: data}}
		start := graph.Input{Start: &graph.Start{}}
		for _, c := range []struct {
			way, definition string
			in              []graph.Input
		}{
			{"an input", `nodes: [{id: end, final: true, output: "${input}"}]`, []graph.Input{{Start: &graph.Start{Data: data}}}},
			{"an event", `nodes: [{id: a}, {id: end, final: true, output: "${event.data}"}]
edges: [{from: a, on: paid, to: end}]`, []graph.Input{start, signal}},
			{"a signal", `nodes: [{id: a, wait: {signal: paid}}, {id: end, final: true, output: "${result}"}]
edges: [{from: a, to: end}]`, []graph.Input{start, signal}},
			{"a signal that is early", `nodes: [{id: a}, {id: b, wait: {signal: paid}}, {id: end, final: true, output: "${result}"}]
edges: [{from: a, on: go, to: b}, {from: b, to: end}]`, []graph.Input{start, signal, {Event: &graph.Event{Name: "go"}}}},
			{"an answer", `nodes: [{id: a, ask: {prompt: "How many?"}}, {id: end, final: true, output: "${result.value}"}]
edges: [{from: a, to: end}]`, []graph.Input{start, said("1", agent.Answered, "", value)}},
			{"a result given by hand", `nodes: [{id: a, tool: pay}, {id: end, final: true, output: "${result}"}]
edges: [{from: a, to: end}]`, []graph.Input{start, {Closed: &agent.Closed{Ref: "1", Outcome: agent.Failed}}, said("1/!", agent.Answered, agent.Skip, value)}},
		} {
			g, saved := graphOf(t, "graph: g\n"+c.definition), keys{}
			var last *graph.Step
			for _, in := range c.in {
				st, err := g.Next(saved, graph.Facts{}, in)
				if err != nil {
					t.Fatalf("%s as %s: %.200s", name, c.way, err)
				}
				apply(saved, st.Keys)
				last = st
			}
			if want, _ := json.Marshal(value); !last.Ended || string(last.Output) != string(want) {
				t.Errorf("%s as %s: it has ended (%v) with %.200s", name, c.way, last.Ended, last.Output)
			}
		}
	}
}

// A time that no log can hold fails its node, which an edge may handle, and not the run.
func TestTimesThatCannotBeKept(t *testing.T) {
	g := graphOf(t, `
graph: g
nodes: [{id: a, timer: "${input.until}"}, {id: end, final: true}, {id: bad, final: true, output: "${failure.message}"}]
edges: [{from: a, to: end}, {from: a, on: error, to: bad}]
`)
	for until, want := range map[string]string{
		"9999-12-31T23:59:59Z":      "1",
		"9999-12-31T23:59:59-10:00": `end "timer: the time 9999-12-31T23:59:59-10:00 is after the year 9999 of UTC, and cannot be kept"`,
	} {
		input, _ := json.Marshal(map[string]string{"until": until})
		st, err := g.Next(nil, graph.Facts{}, graph.Input{Start: &graph.Start{Data: input}})
		if err != nil || followed(st) != want {
			t.Errorf("until %s: what follows is %s, %v", until, followed(st), err)
		}
	}
}

// Loops in loops do not hold up a worker, nor fill its memory: what a step does by the
// way has an end, which is an error that the graph can handle.
func TestLoopsInLoopsHaveAnEnd(t *testing.T) {
	const text = `
graph: g
data: [{id: n, type: int, value: 0}, {id: l, type: list, value: [1,2,3,4,5,6,7,8,9,10]}, {id: s, type: string, value: ten-bytes.}]
nodes:
  - {id: a, timer: 90, entry: [%s]}
  - {id: end, final: true, output: "${n}"}
  - {id: too-much, final: failed, fail: "${event.data}"}
edges: [{from: a, to: end}, {from: a, on: error.execution, to: too-much}]
`
	loops := func(do string, n int) string {
		for range n {
			do = `{each: "${l}", then: [` + do + `]}`
		}
		return do
	}
	large := strings.Repeat("ten-bytes.", 100_000)
	for _, do := range []string{
		loops(`{set: {n: "${n + 1}"}}`, 7),
		loops(`{say: "${s}"}`, 3), loops(`{emit: a, data: "${s}"}`, 3), loops(`{log: "${s}"}`, 3),
	} {
		d, err := graph.Parse(fmt.Appendf(nil, text, do))
		if err != nil {
			t.Fatal(err)
		}
		d.Data[2].Value = large
		g, err := graph.New(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		st, err := g.Next(keys{}, graph.Facts{}, graph.Input{Start: &graph.Start{}})
		if err != nil || !st.Ended || st.Failed == nil || !strings.Contains(st.Failed.Message, "fewer loops in each other") {
			t.Errorf("%.80s…: it has ended: %v, %v (%v)", do, st != nil && st.Ended, st != nil && st.Failed != nil, err)
		}
	}
	for do, want := range map[string]string{
		`{set: {n: "${l.exists(x, s.contains('b')) ? 1 : 2}"}}`: "the expressions of this step have done as much already as they may",
		`{set: {n: "${s.contains('bb') ? 1 : 2}"}}`:             "too much",
	} {
		d, err := graph.Parse(fmt.Appendf(nil, text, loops(do, 4)))
		if err != nil {
			t.Fatal(err)
		}
		d.Data[2].Value = large
		g, err := graph.New(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		st, err := g.Next(keys{}, graph.Facts{}, graph.Input{Start: &graph.Start{}})
		if err != nil || !st.Ended || st.Failed == nil || !strings.Contains(st.Failed.Message, want) {
			t.Errorf("%s: it has failed: %v (%v)", do, st != nil && st.Failed != nil, err)
		}
	}
	goesOn(t, graphOf(t, fmt.Sprintf(text, loops(`{set: {n: "${n + 1}"}}`, 4))), keys{}, happening{"start", "1"}, happening{"1 returned", "end 10000"})
}

// How much is done for one event is bounded, and not for all that come at once.
func TestManyEventsThatDoMuch(t *testing.T) {
	const text = `
graph: g
data: [{id: n, type: int, value: 0}, {id: l, type: list, value: [1,2,3,4,5,6,7,8,9,10]}]
nodes: [{id: a}, {id: end, final: true}]
edges:
  - {from: a, on: stop, to: end}
  - {from: a, on: go, do: [%s]}
`
	do := `{set: {n: "${n + 1}"}}`
	for range 5 {
		do = `{each: "${l}", then: [` + do + `]}`
	}
	in := []graph.Input{{Start: &graph.Start{}}}
	for range 12 {
		in = append(in, graph.Input{Event: &graph.Event{Name: "go"}})
	}
	st, err := graphOf(t, fmt.Sprintf(text, do)).Next(keys{}, graph.Facts{}, in...)
	if err != nil || st.Ended || string(st.Keys["v/n"]) != "1200000" {
		t.Errorf("got %v, %v", err, st)
	}
}
