// Package adapter has what the adapters of language models share: the words in
// which a model is told how its calls stand, the same for every provider, as a run
// may change its model; and what a provider says of its failures.
package adapter
