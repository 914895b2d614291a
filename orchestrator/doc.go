// Package orchestrator conducts runs: it is what a program talks to.
//
// An [Orchestrator] is made of a store and the agents of this program. Any
// process may start runs, send messages, answer asks and watch; a process whose
// [Orchestrator.Work] goes on drives the runs of the agents that it has. There
// may be any number of both over one store, and each may be killed at any
// moment.
//
//	store, err := sqlite.Open("fermata.db", nil)
//	o, err := orchestrator.New(store, []*agent.Agent{desk}, nil)
//	res, err := o.Run(ctx, orchestrator.Request{Agent: "desk", Message: agent.Text("Where is my parcel?")})
//	fmt.Println(res.Text)
//
// Inputs need no worker, and return when they are durable: [Orchestrator.Start],
// [Orchestrator.Send] and [Orchestrator.Answer]; [Orchestrator.Signal] for a run that is
// known, and [Orchestrator.Post] for whichever waits; [Orchestrator.Cancel],
// [Orchestrator.Retry], and [Orchestrator.Redefine] to move a run to another definition.
//
// What a run is stands in orchestrator/run; how its jobs are done stands in
// orchestrator/perform. This package brings both together with a store: it
// reads and appends, claims and drives.
package orchestrator
