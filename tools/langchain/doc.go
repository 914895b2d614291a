// Package langchain carries tools between langchaingo and Fermata. [From] makes
// an [agent.Tool] of one of langchaingo's, [To] the other way round.
//
//	wiki := langchain.From(wikipedia.New("my-program"), &tools.Options{Effect: agent.ReadOnly})
//	desk := &agent.Agent{Name: "desk", Planner: planner.Loop(model, "You help.", nil), Tools: []*agent.Tool{wiki}}
//
// A tool of langchaingo takes one string and tells nothing of what a second call
// would do. So one made by From is run once, as [agent.Once] has it, unless the
// options say otherwise: a lookup is best declared agent.ReadOnly.
//
// A tool made by To is called by langchaingo, without a run: nothing is recorded,
// nothing is tried again, and nobody is asked.
package langchain
