package scxml_test

import (
	"testing"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

// BenchmarkSession is what one step pays for its language: a machine, one guard and
// one assignment.
func BenchmarkSession(b *testing.B) {
	v := vars("n", "list")
	v.values["n"] = int64(1)
	guard, err := scxml.Language{}.Compile("n < 10", graph.Guards, v.env)
	if err != nil {
		b.Fatal(err)
	}
	location, err := scxml.Language{}.Compile("n", graph.Locates, v.env)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := scxml.Language{}.Begin(v)
		if _, err := s.Eval(guard); err != nil {
			b.Fatal(err)
		}
		if err := s.Assign(location, int64(2)); err != nil {
			b.Fatal(err)
		}
		if err := s.End(); err != nil {
			b.Fatal(err)
		}
	}
}
