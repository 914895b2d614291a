// Package scripted has a language model that plays a script: for tests, for
// demonstrations and for first steps without a key.
//
// A [Model] answers with the replies it was made with, in order. It keeps no
// state: which reply is next follows from the request alone, as the number of
// the assistant's messages that the conversation already holds. So one model
// serves any number of conversations at once, asked again it answers the same,
// and a worker that takes over a run goes on where the script stands.
//
//	m := scripted.New(
//		scripted.Call("lookup", `{"order": 7}`),
//		scripted.Say("I pay it back.").And(scripted.Call("refund", Order{ID: 7})),
//		scripted.Say("Done."),
//	)
//
// Where the answer depends on what was asked, [Func] makes a model of a Go
// function.
//
// A scripted model is as strict as the strictest provider: it refuses a
// conversation that is not well-formed, so that a test finds what would otherwise
// be found in production.
package scripted
