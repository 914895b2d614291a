package run_test

import (
	"fmt"
	"testing"
)

// TestLongRunsCostWhatTheyAdd has one conversation go on for a thousand turns: a
// late turn costs what an early one does, and the snapshot holds no words.
func TestLongRunsCostWhatTheyAdd(t *testing.T) {
	s := newScript(t)
	s.step("start")
	turn := func() (bytes int) {
		from := len(s.log)
		s.step(`say "Where is my order, which I have been waiting for so long?"`)
		s.step("begin")
		s.step("move \"Let me look.\"\n    call look {\"order\":7} readonly\n    call stock {\"order\":7} readonly")
		s.step(fmt.Sprintf("returned c%d \"It is on its way.\"", s.calls))
		s.step(fmt.Sprintf("returned c%d {\"pieces\":3}", s.calls-1))
		s.step(`move "It is on its way, I am told."`)
		for _, row := range s.log[from:] {
			bytes += len(row.data)
		}
		return bytes
	}
	var early, late, snapshots int
	for n := 1; n <= 1000; n++ {
		size := turn()
		switch {
		case n <= 10:
			early += size
		case n > 990:
			late += size
		}
		if n == 10 || n == 1000 {
			snapshots = max(snapshots, len(snapshotOf(t, s.state)))
		}
	}
	if float64(late) > 1.1*float64(early) {
		t.Errorf("the last ten turns of a thousand cost %d bytes, the first ten %d", late, early)
	}
	if snapshots > 1000 {
		t.Errorf("the snapshot of a run at rest has %d bytes", snapshots)
	}
}

// TestSnapshotsRememberInputs tells what a snapshot grows by: with each ask that
// was answered and each key of an input, since their like may come again.
func TestSnapshotsRememberInputs(t *testing.T) {
	s := newScript(t)
	s.play("start bare\n\nbegin")
	before := len(snapshotOf(t, s.state))
	const n = 100
	for i := range n {
		s.step("move\n    wait paid\n    ask \"Which colour?\"")
		s.step(fmt.Sprintf("answer c%d value=\"blue\" by=ann", s.calls))
		s.step(fmt.Sprintf("signal paid key=k%d", i))
	}
	per := (len(snapshotOf(t, s.state)) - before) / n
	if per > 250 {
		t.Errorf("a snapshot grows by %d bytes with each answer and key", per)
	}
}
