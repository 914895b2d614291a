package run_test

import (
	"testing"

	"pgregory.net/rapid"
)

// The invariants of the heart, each over random schedules: a small world in
// which anything may happen at any time (see world_test.go).

// schedule lets a world go on as rapid's seeds say, one for each step, and then
// has the checks look at what stands. In the step of the seed 0 nothing happens,
// so that a failing schedule can be made shorter.
func schedule(t *testing.T, checks ...*check) {
	t.Helper()
	steps := 1500
	if raceEnabled || testing.Short() {
		steps = 120
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(t, "world"), 1, 2, checks...)
		for _, seed := range rapid.SliceOfN(rapid.Uint64(), steps, steps).Draw(t, "steps") {
			if seed != 0 {
				w.step(seed)
			}
		}
		w.retireAll()
	})
}

// 1. State = fold(log).
func TestStateIsTheFoldOfTheLog(t *testing.T) { schedule(t, foldCheck) }

// 2. Every action that is opened is closed exactly once.
func TestActionsCloseExactlyOnce(t *testing.T) { schedule(t, actionCheck) }

// 3. Every call has exactly one result before the next model call.
func TestEachCallHasOneResult(t *testing.T) { schedule(t, resultCheck) }

// 4. Ids derive from records, and nothing is executed that is not durable.
func TestIdsDeriveFromRecords(t *testing.T) { schedule(t, idCheck, onceCheck) }

// 4b. An ask is open while its action waits for it, and each one's end is known.
func TestAsksAreOpenWhileTheyAreWaitedFor(t *testing.T) { schedule(t, askCheck) }

// 5. Terminal states absorb.
func TestEndedRunsAbsorb(t *testing.T) { schedule(t, endedCheck) }

// 6. Never silence.
func TestOpenRunsAreNeverSilent(t *testing.T) { schedule(t, aliveCheck, wakeCheck) }

// 7. A deadline is an event, and times never decrease. What Judge says of each
// input is held against its documentation in every schedule.
func TestDeadlinesAreDecidedByTheLog(t *testing.T) { schedule(t, deadlineCheck) }

// 8. What an event costs does not depend on the length of the run.
func TestEventsCostWhatTheyAdd(t *testing.T) { schedule(t, sizeCheck) }

// 9. Runs that belong together know of each other, whatever becomes of what one
// tells the other.
func TestTreesOfRuns(t *testing.T) { schedule(t, familyCheck) }

// 10. Only those answer an ask whom it is for.
func TestAsksAreForWhomTheyAreFor(t *testing.T) { schedule(t, peopleCheck) }

// 11. A planner is told how what it asked for ended.
func TestEndsAreTold(t *testing.T) { schedule(t, closedCheck, signalCheck) }

// 12. A run goes by the definition under which its agent began.
func TestRunsGoByTheirDefinition(t *testing.T) { schedule(t, definitionCheck) }

// 13. Each signal with a key is taken by one wait at most, and none is lost.
func TestPostedSignalsAreTakenOnce(t *testing.T) { schedule(t, postCheck) }
