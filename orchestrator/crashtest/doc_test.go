// Package crashtest kills what runs depend on, at random instants, and looks at
// what became of the runs.
//
// A [world] is a store, worker processes over it, people who start runs, write to
// them and answer what is asked, and a [service] that their calls act on and that
// records each request. The workers are real processes: this test binary, started
// again. At the end the logs, what was acknowledged to people, and the record of
// the service must agree. There are two scenarios:
//
//   - TestCrash, over a store file: every 100 to 300 milliseconds a worker is
//     killed with SIGKILL, and another started.
//   - TestChaos, over a Redis server: workers are killed and frozen; Redis is
//     killed and restarted, paused, and forgets its scripts; each worker, and the
//     people, reach it through a proxy of their own that is cut, stalled, slow,
//     and loses replies.
//
// Both print what they have done, and the seed of their dice:
//
//	go test -v ./orchestrator/crashtest
//	go test -v -run TestChaos ./orchestrator/crashtest -chaos.runs=5000
//	FERMATA_SEED=42 go test -v ./orchestrator/crashtest
package crashtest
