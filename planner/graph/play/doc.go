// Package play runs a graph without an orchestrator, for trying it out and for tests:
// events come from a list or from lines of text, delays pass at once or in real time,
// and nothing is kept. It drives the same function that serves durable runs,
// [graph.Graph.Next], and plays the orchestrator for one thing only, the waiting: for
// a time, and for a signal. A graph that calls tools, asks people or gives tasks to
// agents needs an orchestrator.
//
//	p := play.New(g, nil)
//	err := p.Start(nil)
//	err = p.Send("paid", json.RawMessage(`{"sum": 12}`))
//	err = p.Pass(36 * time.Hour)
//	fmt.Println(p.At(), p.Ended())
package play
