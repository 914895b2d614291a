// Package graph has the logic graph: a workflow that is written down as nodes and
// edges, and is a planner.
//
// A [Definition] says what is done, who is asked, what happens when something fails,
// and what takes back what was done. [Parse] reads one from YAML or JSON, [Build] makes
// one in Go, and planner/graph/scxml reads SCXML. [New] checks it, and makes the [Graph]
// that is an agent's Planner:
//
//	d, err := graph.ParseFile("trip.yaml")
//	g, err := graph.New(d, nil)
//	trips := &agent.Agent{Name: "trips", Planner: g, Tools: []*agent.Tool{lookUpPrice, book}}
//
// It has the semantics of SCXML: compound and parallel nodes, history, guards, events,
// and each event is worked off before the next. On its nodes stand activities: to call
// a tool, give a task, ask a person, wait, run a graph, undo.
//
// A Graph holds no run's state. [Graph.Next] is all of it, a pure function: what is
// saved, what has happened, and what follows. So a run goes on in any process, by the
// definition under which it began, until it is moved to another by [Graph.Migrate].
//
// [Check] lists all that is wrong with a definition, [Graph.Enabled] what may happen
// now, and [Definition.Mermaid], [Definition.DOT] and [Definition.Flow] draw it.
// docs/graph.md teaches the form; package planner/graph/play tries a graph without a
// store.
package graph
