package play_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/play"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

func machine(t *testing.T, inner string) *graph.Graph {
	t.Helper()
	def, err := scxml.Load([]byte(`<scxml xmlns="http://www.w3.org/2005/07/scxml" version="1.0">`+inner+`</scxml>`), nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(def, &graph.Options{Lax: true})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// door closes by itself after two seconds, and is done when it was open three times.
const door = `<datamodel><data id="n" expr="0"/></datamodel>
<state id="closed"><transition event="open" cond="n &lt; 2" target="opened"/><transition event="open" target="end"/></state>
<state id="opened">
  <onentry><assign location="n" expr="n + 1"/><log expr="'open ' + n"/><send event="close" delay="2s" id="c"/></onentry>
  <onexit><cancel sendid="c"/></onexit>
  <transition event="close" target="closed"/>
  <transition event="break" target="fail"/>
</state>
<final id="end"><donedata><param name="times" expr="n"/></donedata></final><final id="fail"/>`

func TestPlayer(t *testing.T) {
	p := play.New(machine(t, door), nil)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(want ...string) {
		t.Helper()
		if got := p.At(); !slices.Equal(got, want) {
			t.Errorf("it is in %v, want %v", got, want)
		}
	}
	must(p.Start(nil))
	at("closed")
	must(p.Send("open", nil))
	at("opened")
	must(p.Pass(1999 * time.Millisecond))
	at("opened")
	must(p.Pass(time.Millisecond))
	at("closed")
	if _, waits := p.Due(); waits {
		t.Error("it waits for a time, and nothing is to come")
	}
	must(p.Send("open", nil))
	must(p.Send("close", nil))
	if _, waits := p.Due(); waits {
		t.Error("it waits for what was cancelled")
	}
	must(p.Send("open", nil))
	at("end")
	if !p.Ended() || string(p.Last().Output) != `{"times":2}` {
		t.Errorf("it has ended: %v, with %s", p.Ended(), p.Last().Output)
	}
}

func TestRunInVirtualTime(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		in    string
		json  bool
		want  play.Outcome
		says  string
	}{
		{"to the end", []string{"open", "+3s", "open", "+2s", "open"}, "", false, play.Ended, "+0s: closed\n  open 1\nopen: opened\n+2s: closed\n  open 2\nopen: opened\n+5s: closed\nopen: end\nended in end\n"},
		{"a week passes", []string{"open", "+1w", "open"}, "", false, play.NotEnded, "+0s: closed\n  open 1\nopen: opened\n+2s: closed\n  open 2\nopen: opened\n+168h0m2s: closed\nit has not ended, and waits in closed\n"},
		{"to fail", []string{"open"}, "# a comment\n\nbreak\n", false, play.Failed, "+0s: closed\n  open 1\nopen: opened\nbreak: fail\nended in fail\n"},
		{"nowhere", []string{`open {"by": "hand"}`}, "", false, play.NotEnded, "+0s: closed\n  open 1\nopen: opened\n+2s: closed\nit has not ended, and waits in closed\n"},
		{"in JSON", []string{"open"}, "break", true, play.Failed, `{"at":["closed"],"time":"2026-01-01T00:00:00Z"}
{"event":"open","at":["opened"],"time":"2026-01-01T00:00:00Z","log":["open 1"]}
{"event":"break","at":["fail"],"time":"2026-01-01T00:00:00Z"}
{"at":["fail"],"time":"2026-01-01T00:00:00Z","ended":true,"output":{"n":1}}
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			o := &play.RunOptions{Lines: c.lines, Virtual: true, JSON: c.json, Out: &out}
			if c.in != "" {
				o.In = strings.NewReader(c.in)
			}
			got, err := play.Run(t.Context(), machine(t, door), o)
			if err != nil || got != c.want {
				t.Errorf("it came out as %v (%v), want %v", got, err, c.want)
			}
			if out.String() != c.says {
				t.Errorf("it told\n%s\nwant\n%s", out.String(), c.says)
			}
		})
	}
}

func TestRunInRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, feed := io.Pipe()
		go func() {
			for _, line := range []string{"open\n", "open\n", "open\n"} {
				if _, err := io.WriteString(feed, line); err != nil {
					t.Error(err)
				}
				time.Sleep(3 * time.Second)
			}
			if err := feed.Close(); err != nil {
				t.Error(err)
			}
		}()
		var out strings.Builder
		began := time.Now()
		got, err := play.Run(t.Context(), machine(t, door), &play.RunOptions{In: in, Out: &out})
		if err != nil || got != play.Ended {
			t.Errorf("it came out as %v (%v)\n%s", got, err, out.String())
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("it took %v, want 6s", took)
		}
		if want := "+0s: closed\n  open 1\nopen: opened\n+2s: closed\n  open 2\nopen: opened\n+5s: closed\nopen: end\nended in end\n"; out.String() != want {
			t.Errorf("it told\n%s\nwant\n%s", out.String(), want)
		}
		_, _ = io.Copy(io.Discard, in) // lets the reader go
	})
}

func TestRunThatIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := play.Run(ctx, machine(t, door), &play.RunOptions{Lines: []string{"open"}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it says %v", err)
		}
	})
}

// still goes round in a circle with a timer that takes no time.
func still(t *testing.T, timer string) *graph.Graph {
	t.Helper()
	g, err := graph.New(&graph.Definition{
		Graph: "still", Nodes: []graph.Node{{ID: "a", Timer: timer}, {ID: "end", Final: "done"}},
		Edges: []graph.Edge{{From: "a", To: []string{"a"}}, {From: "a", On: []string{"stop"}, To: []string{"end"}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRunsThatCannotGoOn(t *testing.T) {
	tick := machine(t, `<state id="a"><onentry><send event="t" delay="1s"/></onentry><transition event="t" target="a"/></state>`)
	for _, c := range []struct {
		g    *graph.Graph
		line string
		says string
	}{
		{tick, "", "has gone on by itself 10000 times"},
		{still(t, "0s"), "", "no time has passed"},
		{still(t, "1ns"), "+1h", "no time has passed"},
		{machine(t, door), "+soon", "no event begins with +: expected a duration"},
		{machine(t, door), "+999999w", "is too long"},
		{machine(t, door), "+-3s", "less than no time"},
		{machine(t, door), "open {", "is not JSON"},
	} {
		_, err := play.Run(t.Context(), c.g, &play.RunOptions{Lines: []string{c.line}, Virtual: true})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want one that says %q", c.line, err, c.says)
		}
	}
}

// A node that waits for a signal takes it from Send; what needs an orchestrator is
// said to need one.
func TestGraphsOfTheForm(t *testing.T) {
	wait := &graph.Definition{
		Graph: "wait", Data: []graph.Datum{{ID: "paid"}},
		Nodes: []graph.Node{{ID: "w", Wait: &graph.Wait{Signal: "paid"}, Output: "paid"}, {ID: "done", Final: "done"}},
		Edges: []graph.Edge{{From: "w", To: []string{"done"}}},
	}
	g, err := graph.New(wait, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := play.New(g, nil)
	if err := p.Start(nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Send("paid", json.RawMessage("12")); err != nil || !p.Ended() || string(p.Last().Output) != `{"paid":12}` {
		t.Errorf("it has ended: %v, with %s (%v)", p.Ended(), p.Last().Output, err)
	}
	call := &graph.Definition{
		Graph: "call", Nodes: []graph.Node{{ID: "c", Tool: "pay"}, {ID: "done", Final: "done"}},
		Edges: []graph.Edge{{From: "c", To: []string{"done"}}},
	}
	if g, err = graph.New(call, nil); err != nil {
		t.Fatal(err)
	}
	if err := play.New(g, nil).Start(nil); err == nil || !strings.Contains(err.Error(), `calls the tool "pay"`) {
		t.Errorf("a tool that is not there: %v", err)
	}
}

// What a graph is started with fits its schema, and what a sub-graph is given fits that
// one's: otherwise its node fails.
func TestInputsThatDoNotFit(t *testing.T) {
	d, err := graph.Parse([]byte(`
graph: order
input: {type: object, required: [n]}
nodes:
  - {id: check, graph: line, input: "${input.line}"}
  - {id: taken, final: done}
  - {id: wrong, final: failed, fail: "${failure.message}"}
edges:
  - {from: check, to: taken}
  - {from: check, on: error.execution, to: wrong, if: size(input) > 2}
graphs:
  - {graph: line, input: {type: object, properties: {k: {type: integer}}, additionalProperties: false}, nodes: [{id: over, final: done}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	for input, want := range map[string]string{
		``:                                      `graph order cannot begin: its input does not fit: missing required field "n"`,
		`[]`:                                    "expected an object, got an empty array",
		`{"n": 1, "line": null}`:                "ended in taken",
		`{"n": 1, "line": {"k": 2}}`:            "ended in taken",
		`{"n": 1, "line": {"q": 2}, "more": 1}`: "failed in wrong: input: it does not fit the graph line",
		`{"n": 1, "line": {"k": "x"}}`:          "the graph asks a person, and here is none (run it with an orchestrator): check of graph order has failed, and nothing handles it: execution: input: it does not fit the graph line: k: expected an integer",
	} {
		var out strings.Builder
		_, err := play.Run(t.Context(), g, &play.RunOptions{Input: json.RawMessage(input), Virtual: true, Out: &out})
		if err != nil {
			out.WriteString(err.Error())
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("of %s comes %s, want %q in it", input, out.String(), want)
		}
	}
}

// What a graph says of its failure may be of any type.
func TestFailureOfAnotherType(t *testing.T) {
	d, err := graph.Parse([]byte("graph: g\nnodes: [{id: low, final: failed, fail: {code: stock.low, message: '${[1, 2]}'}}]"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := play.Run(t.Context(), g, &play.RunOptions{Virtual: true, Out: &out}); err != nil || !strings.Contains(out.String(), "failed in low: stock.low: [1,2]\n") {
		t.Errorf("it says %q (%v)", out.String(), err)
	}
}
