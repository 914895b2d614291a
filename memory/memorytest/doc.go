// Package memorytest has what every store must pass, and stores for tests.
//
// [Run] is the conformance suite: it tests each sentence of the contract in
// package memory against a store, over several handles as several processes
// have them, with a clock that it moves by hand, or on real time.
//
// [NewStore] is a complete store in memory. It uses mutexes, channels and
// timers only, so it works inside a bubble of testing/synctest:
//
//	synctest.Test(t, func(t *testing.T) {
//		a := memorytest.NewStore(time.Now)
//		b := a.Another() // the same runs, as another process sees them
//		...
//		b.Kill() // its claims are void, and it is of no more use
//	})
//
// [Faulty] wraps a store and lets its commits fail, before they take place or
// after, as planned.
package memorytest
