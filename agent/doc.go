// Package agent has the nouns of Fermata and the contracts between its parts.
//
// An [Agent] is a named [Planner] with its tools. The planner is shown a [View]
// of a run and answers with a [Move]: words to say and actions to take. A
// [Tool] is data and a function; its [Effect] says what may be done on
// Fermata's own account when the outcome of a call was lost. A [Model] is a
// language model that planners may ask. A person's part is an [Ask] and its
// [Answer].
//
// A planner may say more of itself by a second interface: a [Briefer] has instructions, a
// [Definer] goes by a definition that is kept with each run, and a [Vetter] says what its
// agent lacks.
//
// The package depends on the standard library only, and nothing in it acts.
//
//	desk := &agent.Agent{
//		Name:    "desk",
//		Planner: planner.Loop(model, "You help the customers of a web shop.", nil),
//		Tools:   []*agent.Tool{tools.Func("refund", "Pay an order back.", shop.Refund, &tools.Options{Approve: agent.Always})},
//	}
package agent
