package graph_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/fermata-run/fermata/planner/graph"
)

var live = &graph.Marks{
	Active:  []string{"l2", "r2", "helper"},
	Visited: []string{"a", "b", "l1", "l2", "r1", "r2", "helper", "no such node"},
	Taken:   []string{"a>b", "parting", "l1>l2", "r1>r2", "no such edge"},
	Stuck:   []string{"helper"},
}

// TestPictures holds the pictures of a graph with everything in it, plain and in the
// middle of a run, against those in testdata. -rewrite renews them; look at them then.
func TestPictures(t *testing.T) {
	d, err := graph.ParseFile("testdata/pictures/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*graph.Marks{"plain": nil, "live": live} {
		flow, err := d.Flow(m)
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, flow, "", " "); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".mmd", d.Mermaid(m))
		golden(t, name+".dot", d.DOT(m))
		golden(t, name+".flow.json", indented.String())
		golden(t, name+".txt", d.Outline(m))
	}
}

// TestPicturesOfRuns holds the pictures of runs that the documentation has; make
// pictures draws them.
func TestPicturesOfRuns(t *testing.T) {
	for _, p := range []struct {
		name, graph string
		marks       graph.Marks
	}{
		{"delivery.dot", "compound.yaml", graph.Marks{Active: []string{"ship"}, Visited: []string{"pick"}, Taken: []string{"pick>pack", "pack>ship"}}},
		{"stuck.dot", "trip/trip.yaml", graph.Marks{Visited: []string{"price"}, Taken: []string{"price>manager", "manager>book"}, Stuck: []string{"book"}}},
	} {
		d, err := graph.ParseFile("../../docs/graph/" + p.graph)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, p.name, d.DOT(&p.marks))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "pictures", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what is drawn now; see with -rewrite and git diff:\n%s", path, got)
	}
}
