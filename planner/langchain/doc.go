// Package langchain lets a model of langchaingo plan: [New] makes an
// [agent.Model] of any llms.Model.
//
//	llm, err := openai.New(openai.WithModel("gpt-5-mini"), openai.WithHTTPClient(langchain.HTTPClient(nil)))
//	…
//	desk := &agent.Agent{
//		Name:    "desk",
//		Planner: planner.Loop(langchain.New(llm, nil), "You help.", nil),
//	}
//
// For OpenAI, and for endpoints that are compatible with it, package
// planner/openai does more: it gives back what a provider wants back, tries again
// by itself, and repairs more of what comes. This package is for all the other
// providers of langchaingo, and for programs that have a model of it already.
//
// # What each provider takes
//
// The providers of langchaingo differ in what they pass on. New knows them by
// their type, and [Options].Provider names one that is hidden in a wrapper:
//
//	             tools      images                stream
//	openai       yes        URL and data URL      words, reasoning, calls
//	anthropic    yes        data URL              words, reasoning
//	googleai     yes        data URL              words
//	vertex       yes        data URL              words
//	bedrock      yes (1)    data URL              words, unless there are tools
//	mistral      yes (2)    no                    words
//	ollama       no (3)     data URL              words
//	unknown      yes        URL and data URL      what comes
//
// (1) of models by Anthropic. (2) The provider sends results without the id of
// their call, which Mistral refuses: use openai with its base URL. (3) Neither do
// cloudflare, cohere, ernie, huggingface, llamafile, local, maritaca and watsonx.
// A request with tools to one of these is an error that says so, never a silent
// answer without them; planner.Loop offers a function to ask the person unless
// LoopOptions.NoAsk is set. Ollama takes tools at its /v1 endpoint, which openai
// can ask.
//
// An image that a provider does not take is named in words, and so is any other
// file. An image's http URL is not given to googleai and vertex: they would fetch
// it from where the program runs, whoever wrote it.
//
// Reasoning is shown and kept, and not sent back, as langchaingo has no place for
// it. So Claude's extended thinking does not work together with tools.
//
// # What comes back
//
// Each answer is complete, or an error: one that was cut off at the token limit,
// withheld by a filter, or says nothing is never returned. Several choices are
// the pieces of one answer, as anthropic gives them; only one answer is asked for.
//
// What may pass – too many requests, an overloaded or unreachable endpoint, an
// answer that breaks off or says nothing – is marked with [agent.Transient], and
// what will not is not. Most providers tell an error in words only, and drop
// Retry-After. A client made by [HTTPClient] sees both for them.
//
// Mind what langchaingo does where a CallOption does not say otherwise: openai
// and anthropic ask at temperature 0, and anthropic for 2048 tokens at most.
package langchain
