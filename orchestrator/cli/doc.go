// Package cli is the fermata command line as a library: any program with agents
// of its own gets chat, runs, asks, signal, work, graph and store.
//
//	func main() {
//		os.Exit(cli.Main(&cli.App{
//			Name: "mydesk",
//			Agents: func(s cli.Setup) ([]*agent.Agent, error) {
//				return []*agent.Agent{{Name: "desk", Planner: planner.Loop(s.Model, "You help.", nil)}}, nil
//			},
//		}))
//	}
//
// The user chooses the model, by OPENAI_API_KEY, OPENAI_BASE_URL and --model,
// and the store, by --store; [Setup] has both. A program whose agents ask no model, as
// those that go by graphs, says so by [App].NoModel. Runs live in that store: a chat in
// one terminal, an answer from another and a worker in a third share it.
//
// # Exit codes
//
//	0    the turn is over, or the command has done what it says
//	1    an error
//	2    wrong use: flags, arguments, a message that cannot be taken
//	3    the run waits for a person, an event or a time
//	4    the run is stuck, has failed, or was cancelled
//	130  interrupted
//
// graph run has codes of its own, which its help tells.
package cli
