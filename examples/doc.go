// Package examples holds one short program per idea. Each runs offline, and its
// output is held against output.txt beside it:
//
//	go run ./examples/hello
//
// They are, from the first steps on:
//
//	hello       a model, a tool, one request
//	structured  an answer that a program can use
//	resume      a program that survives its own death
//	approval    a refund that waits for a person
//	fourEyes    who may approve a payment, and who may not
//	form        forms that people fill in
//	escalation  due times: reminders, a default, somebody else
//	delegation  an agent that gives tasks to another
//	handoff     a conversation that goes on with another agent
//	langchain   models and tools of langchaingo
//
// Four are workflows, logic graphs in a file of YAML beside the program. With arguments
// each is a command line over its graph; see order --help:
//
//	order           a saga over three services that fail now and then
//	approval-chain  approvals by amount, with four eyes, on the way there and back
//	onboarding      people, deadlines and weeks in which nothing happens
//	triage          an agent as a node, a model that chooses within bounds, a graph as a sub-agent
package examples
