package scxml_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

// Sources that go deep without brackets neither end the process nor take long.
func TestDeepSources(t *testing.T) {
	for _, c := range []struct {
		part, end string
		use       graph.Use
	}{
		{"!", "1", graph.Yields},
		{"- ", "1", graph.Yields},
		{"typeof ", "1", graph.Yields},
		{"a=>", "1", graph.Yields},
		{"x?1:", "1", graph.Yields},
		{"x=", "1", graph.Yields},
		{"1**", "1", graph.Yields},
		{"1+", "1", graph.Yields},
		{"a.", "a", graph.Yields},
		{"new ", "a", graph.Yields},
		{"if(1);else ", ";", graph.Executes},
		{"if(1)", ";", graph.Executes},
		{"a:", ";", graph.Executes},
		{"for(;;)", ";", graph.Executes},
		{"do ", ";", graph.Executes},
		{"a:if(1)", ";", graph.Executes},
		{"async a=>", "1", graph.Yields},
		{"var a;", "", graph.Executes},
		{"function f(){}", "", graph.Executes},
	} {
		source := strings.Repeat(c.part, (250<<10)/len(c.part)) + c.end
		begun := time.Now()
		_, err := scxml.Language{}.Compile(source, c.use, nil)
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%q many times takes %v (%v)", c.part, took, err)
		}
	}
}

// Which graph an invocation runs may be known only when it begins. One that runs itself
// is told that it is too deep, and ends no worker.
func TestGraphThatInvokesItself(t *testing.T) {
	for language, name := range map[string]any{"ecmascript": "inner", "": "${'in' + 'ner'}"} {
		nodes := []graph.Node{{ID: "s", Extra: &graph.Extra{Invokes: []graph.Invoke{{Graph: name}}}}, {ID: "full"}}
		inner := &graph.Definition{
			Graph: "inner", Language: language, Nodes: nodes,
			Edges: []graph.Edge{{From: "s", On: []string{"error.communication"}, To: []string{"full"}}},
		}
		g, err := graph.New(&graph.Definition{Graph: "outer", Language: language, Nodes: nodes, Graphs: []*graph.Definition{inner}}, &graph.Options{Lax: true})
		if err != nil {
			t.Fatal(err)
		}
		st, err := g.Next(nil, graph.Facts{Now: midday}, graph.Input{Start: &graph.Start{}})
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.Index(st.At, "inner:full"); i < 0 || len(st.At) > 70 {
			t.Errorf("%q: it is in %d nodes: %v", language, len(st.At), st.At)
		}
	}
}
