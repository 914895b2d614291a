package scxml_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
	"github.com/fermata-run/fermata/planner/graph/scxml"
)

// FuzzLoad holds the loader to its promise: whatever the bytes are, it neither panics
// nor hangs; what it refuses it refuses with problems, and what it takes has a JSON
// form, and expressions that can be compiled.
func FuzzLoad(f *testing.F) {
	everything, err := os.ReadFile("testdata/everything.scxml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(everything)
	for _, inner := range []string{
		"<state id='a'><transition event='e' target='a' cond='a &lt; b'/></state>",
		"<parallel><state><history type='deep' id='h'><transition target='h'/></history></state></parallel>",
		"<state><invoke><content><scxml><final/></scxml></content></invoke></state>",
		"<datamodel><data id='x'><![CDATA[{}]]></data></datamodel><final/>",
		"<state><onentry><if cond='1'><elseif cond='2'/><else/></if><foreach array='[]' item='i'/></onentry></state>",
	} {
		f.Add([]byte(in(inner)))
	}
	f.Add([]byte("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		hung := time.AfterFunc(20*time.Second, func() { panic(fmt.Sprintf("this has taken 20s: %q", data)) })
		defer hung.Stop()
		for _, lax := range []bool{false, true} {
			def, err := scxml.Load(data, &scxml.LoadOptions{Lax: lax})
			if err != nil {
				if invalid, ok := err.(*graph.Invalid); !ok || len(invalid.Problems) == 0 {
					t.Fatalf("refused with %T: %v", err, err)
				}
				continue
			}
			if _, err := json.Marshal(def); err != nil {
				t.Fatal(err)
			}
			// Some of what a document may say no graph can be: that is refused here.
			_, _ = graph.New(def, &graph.Options{Lax: true})
			for i := range def.Edges {
				if cond := def.Edges[i].If; cond != "" {
					if _, err := (scxml.Language{}).Compile(cond, graph.Guards, nil); err != nil {
						t.Fatalf("the condition %q was taken: %v", cond, err)
					}
				}
			}
		}
	})
}
