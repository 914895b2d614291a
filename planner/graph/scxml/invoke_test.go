package scxml_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

// Of an invocation that is done nothing is saved, also if it has changed a variable from
// within in the step in which it ended.
func TestNothingIsLeftOfAnInvocation(t *testing.T) {
	def, err := scxml.Load([]byte(in(`<state id="s"><invoke id="i" autoforward="true"><content>
<scxml version="1.0"><datamodel><data id="list" expr="[]"/></datamodel>
<state id="a"><transition event="go" target="b"><script>list.push(1)</script></transition></state><final id="b"/></scxml>
</content></invoke></state>`)), nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.New(def, &graph.Options{Lax: true})
	if err != nil {
		t.Fatal(err)
	}
	saved := map[string]json.RawMessage{}
	for _, in := range []graph.Input{{Start: &graph.Start{}}, event("go")} {
		st, err := g.Next(saved, graph.Facts{Now: midday}, in)
		if err != nil {
			t.Fatal(err)
		}
		saved = changed(saved, st.Keys)
	}
	if got := slices.Sorted(maps.Keys(saved)); !slices.Equal(got, []string{"at", "run"}) {
		t.Errorf("saved is %v, and the document stands alone", got)
	}
}
