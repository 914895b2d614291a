// Package planner has ways to choose an agent's next move.
//
// [Loop] is the tool-calling loop: a language model is shown the conversation
// and the tools, and what it answers becomes the move.
//
//	model := planner.Fallback(openai.New("gpt-5-mini", nil), openai.New("gpt-4.1", nil))
//
//	support := &agent.Agent{
//		Name:    "support",
//		Planner: planner.Loop(model, "You help {{.Meta.name}}, a customer of a web shop.", nil),
//		Tools:   []*agent.Tool{lookup, refund},
//	}
//
// Agents work together in two ways. To a delegate the model gives a task, which is
// a conversation of its own, and gets the result; with a hand-off the other agent
// goes on with the user in its stead. The model is offered a function for each:
//
//	support.Delegates = []*agent.Agent{research} // delegate_to_research
//	support.Handoffs = []*agent.Agent{billing}   // hand_off_to_billing
//
// By a function called [AskPerson] it asks the person: a question, a choice among a
// few, or a form with several fields.
//
// [Fallback] makes one model of several. Anything else that is to happen
// around a model – a log, a cache, a budget – is a function that takes an
// agent.Model and returns one; agent.ModelFunc makes it short:
//
//	func Logged(m agent.Model) agent.Model {
//		return agent.ModelFunc(func(ctx context.Context, req *agent.ModelRequest, emit func(agent.Delta)) (*agent.ModelReply, error) {
//			reply, err := m.Generate(ctx, req, emit)
//			slog.InfoContext(ctx, "asked", "messages", len(req.Messages), "err", err)
//			return reply, err
//		})
//	}
//
// The models themselves are in the packages beside this one.
package planner
