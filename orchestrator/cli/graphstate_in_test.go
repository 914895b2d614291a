package cli

import (
	"testing"

	"github.com/fermata-run/fermata/planner/graph"
)

// A graph that is kept with a run is read as it was written, its numbers with all their
// digits: a run that is moved to another graph goes on with them.
func TestKeptGraphIsReadAsItWas(t *testing.T) {
	d, err := graph.Parse([]byte("graph: g\ndata: [{id: n, type: int, value: 9007199254740993}]\nsteps: [{id: a, timer: 1}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var kept [2][]byte
	for i := range kept {
		g, err := graph.New(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		kept[i] = g.Definition()
		if d, err = decodeGraph(kept[i]); err != nil {
			t.Fatal(err)
		}
	}
	if string(kept[1]) != string(kept[0]) {
		t.Errorf("it is read as\n%s\nand was\n%s", kept[1], kept[0])
	}
}
