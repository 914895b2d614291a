package scxml_test

import (
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
