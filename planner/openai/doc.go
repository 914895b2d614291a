// Package openai asks language models over the chat-completions protocol: those
// of OpenAI, and of every endpoint that is compatible with it.
//
//	m := openai.New("gpt-5-mini", nil) // the key from OPENAI_API_KEY
//
//	local := openai.New("qwen3", &openai.Options{BaseURL: "http://localhost:11434/v1"})
//
// [New] makes a [Model], which is an [agent.Model]. The client underneath is
// github.com/sashabaranov/go-openai.
//
// What comes over the wire is not trusted. Each answer is repaired, tried again,
// or a clear error, and never empty or cut off in silence:
//
//   - What may pass – an overloaded or unreachable endpoint, a stream that broke
//     off, an answer that says nothing – is tried again at once, up to
//     Options.Attempts times, if it failed quickly. Then it is an error marked
//     with [agent.Transient]. Time-outs and long Retry-After go there directly.
//   - What does not get better by itself – a wrong key, an unknown model, a
//     conversation that is too long, an answer cut off at the token limit – is
//     an [Error] that says what was asked, what came, and what to do.
//   - The arguments of a call are a JSON object where the model wrote one,
//     however it was wrapped. Arguments that are not JSON become a JSON string
//     with the text as it came, so that the planner can show the model its error.
//     They are never guessed.
//
// Fields that the package does not know, such as reasoning_details, a thought
// signature or a refusal, are kept beside the message and given back verbatim to
// the host that they came from. Each message of a recorded conversation is
// encoded once for all requests of its run.
package openai
