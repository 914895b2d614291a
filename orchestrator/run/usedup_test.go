package run_test

import (
	"testing"
	"time"

	"github.com/fermata-run/fermata/orchestrator/run"
)

// How often an allowance of time was used is counted right also where an int has 32
// bits, which hold two seconds of it (GOARCH=386 go test).
func TestAllowanceOfTimeUsedUp(t *testing.T) {
	s := &run.State{Terms: run.Terms{TurnTime: 5 * time.Second, RunTime: 24 * time.Hour}}
	s.Turn.Active, s.Spent.Active = 11*time.Second, 73*time.Hour
	if turn, all := s.UsedUp("turn_time"), s.UsedUp("run_time"); turn != 2 || all != 3 {
		t.Errorf("used %d times and %d times, want 2 and 3", turn, all)
	}
}
