package crashtest

import (
	"path/filepath"
	"testing"
	"time"
)

const (
	crashRuns    = 500
	crashWorkers = 3
)

// TestCrash kills workers over a store file.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.db")
	w := newWorld(t, path, "")
	w.runs, w.open, w.fleet.maxRuns = crashRuns, 25, 8
	for range crashWorkers {
		b := &berth{store: path}
		w.fleet.berths = append(w.fleet.berths, b)
		w.fleet.launch(b)
	}
	faults := newSabotage()
	killer := faults.on("a worker", w.roll(1000), 100*time.Millisecond, 300*time.Millisecond)
	killer.fault("was killed", 1, func() {
		b := w.fleet.berths[killer.dice.IntN(crashWorkers)]
		w.fleet.kill(b, false)
		w.fleet.launch(b)
	})
	t.Cleanup(faults.stop)
	faults.begin()
	stop := w.live(4, 2, func() bool { return faults.counts()["a worker was killed"] >= 80 }, 5*time.Minute)
	faults.stop()
	w.settle(2 * time.Minute)
	stop()
	w.fleet.killAll()
	sum := w.check()
	w.print(sum, faults)
	if sum.tookOver == 0 || w.ledger.counts["answers about outcome"] == 0 || sum.lookedUp == 0 {
		t.Error("the kills have hit too little to prove anything")
	}
	if w.ledger.failures > 0 {
		t.Errorf("%d inputs failed, and nothing was done to the store", w.ledger.failures)
	}
}
