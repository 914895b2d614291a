// Package bench measures what Fermata costs, beside what the same work costs
// without it.
//
// The work of most figures is loop-N: N tool calls, one per turn of the model,
// with about 200 bytes of arguments and a kilobyte of result each, then a final
// text. The model is a scripted endpoint in a process of its own, asked over
// HTTP. The floor is a loop written by hand for the same work: go-openai with
// the growing conversation, the same tool, and one append to Redis per step.
// Both sides are measured in one run, round by round in turn, and compared as
// ratios: times by themselves say little of another machine.
//
// A [Bench] measures the [Figures] and prints them with the goals that they are
// to meet. Nothing printed is known beforehand, and a goal that is missed is
// printed as such. [Child] is the body of the processes that a bench starts: the
// program that has a bench runs it when it is called with Bench.Self.
package bench
