// Package memory has the contract of a store: where runs are kept.
//
// A [Store] keeps, for each run, an append-only log of records (bytes that it
// does not look into), beside it a small typed [Index] entry and the open asks,
// and the claims by which workers share the work. One [Commit] is one atomic
// step on one run; docs/store.md shows how each call is one Redis script on one
// slot. The implementations are memory/sqlite, one embedded file, and memory/redis, for
// many machines; memory/memorytest has what each must pass, and a store in memory for
// tests.
//
// Two rules carry everything. Append is compare-and-set on the log's last
// record, so it decides what the log says. The claim decides who may begin a
// call. Inputs from outside need only the first.
package memory
