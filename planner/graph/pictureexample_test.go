package graph_test

import (
	"fmt"

	"github.com/fermata-run/fermata/planner/graph"
)

func ExampleDefinition_Mermaid() {
	d, err := graph.Parse([]byte(`
graph: order
steps:
  - {id: reserve, tool: reserve_stock}
  - {id: approve, ask: {prompt: "Send it?"}}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(d.Mermaid(&graph.Marks{Active: []string{"approve"}, Taken: []string{"reserve>approve"}}))
	// Output:
	// ---
	// title: "order"
	// ---
	// stateDiagram-v2
	//   classDef around stroke:#b45309,stroke-width:2px
	//   classDef active fill:#fde68a,stroke:#b45309,stroke-width:3px,color:#111827
	//   classDef visited fill:#dcfce7,stroke:#15803d,color:#111827
	//   classDef stuck fill:#fecaca,stroke:#b91c1c,stroke-width:3px,color:#111827
	//   [*] --> reserve
	//   state "reserve" as reserve
	//   reserve : tool reserve_stock
	//   state "approve" as approve
	//   approve : ask#58; Send it#63;
	//   state "done" as done
	//   done --> [*]
	//   reserve --> approve : ✓
	//   approve --> done
	//   class reserve visited
	//   class approve active
}
