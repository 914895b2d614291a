package scxml_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
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

// A document of many documents, or of many that name many others, is read in a second:
// where the time grew with the square of their number or more, a minute was not enough.
func TestManyDocuments(t *testing.T) {
	var names, documents strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&names, `'x%d.scxml',`, i)
		fmt.Fprintf(&documents, `<data id="d%d"><scxml><state/></scxml></data>`, i)
	}
	for name, text := range map[string]string{
		"in it":      `<datamodel>` + documents.String() + `</datamodel><state id="s"/>`,
		"by its src": `<datamodel><data id="a" expr="[` + names.String() + `1]"/></datamodel><state id="s">` + strings.Repeat(`<invoke srcexpr="a"/>`, 20_000) + `</state>`,
	} {
		hung := time.AfterFunc(time.Minute, func() { panic(name + ": it has not been read within a minute") })
		if _, err := scxml.Load([]byte(in(text)), &scxml.LoadOptions{Files: fstest.MapFS{}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		hung.Stop()
	}
}

// Which graph an invocation runs may be known only when it begins. One that runs itself
// is told that it is too deep, and ends no worker; nor does one that runs itself twice.
func TestGraphThatInvokesItself(t *testing.T) {
	for times, most := range map[int]int{1: 70, 2: 2100} {
		invokesItself(t, times, most)
	}
}

func invokesItself(t *testing.T, times, most int) {
	for language, name := range map[string]any{"ecmascript": "inner", "": "${'in' + 'ner'}"} {
		nodes := []graph.Node{{ID: "s", Extra: &graph.Extra{Invokes: slices.Repeat([]graph.Invoke{{Graph: name}}, times)}}, {ID: "full"}}
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
		if i := slices.Index(st.At, "inner:full"); i < 0 || len(st.At) > most {
			t.Errorf("%q: it is in %d nodes: %v", language, len(st.At), st.At)
		}
	}
}
