package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/orchestrator/run"
)

// A phase is what one process of a story does.
type phase struct {
	name string
	args func(w *world) []string
	code int
}

// story is a refund in three processes.
var story = []phase{
	{"chat", func(*world) []string { return []string{"chat", "--key", "order-1042", request} }, 3},
	{"answer", func(w *world) []string {
		return []string{"asks", "answer", w.askAgain(), "--approve", "--user", "ann", "--json"}
	}, 0},
	{"resume", func(w *world) []string { return []string{"chat", "--run", w.firstRun()} }, 0},
}

func (w *world) firstRun() string {
	w.t.Helper()
	return lines[struct{ Run string }](w.t, w.run(0, "runs", "--json").stdout)[0].Run
}

// askAgain returns the id of the ask, also when it was answered: who does not
// know whether an answer was accepted gives it again.
func (w *world) askAgain() string {
	w.t.Helper()
	for _, e := range lines[struct {
		Kind  string
		ID    string
		Event struct {
			Actions []struct{ Approval string }
		}
	}](w.t, w.run(0, "runs", "show", w.firstRun(), "--log", "--json").stdout) {
		if e.Kind == "moved" && len(e.Event.Actions) == 1 && e.Event.Actions[0].Approval != "" {
			return w.firstRun() + "." + e.ID + ".0"
		}
	}
	w.t.Fatal("no move asks for an approval")
	return ""
}

// A process is killed at each of its commits in turn, right before it and right
// after. Another one goes on, and nobody can tell that anything has happened,
// other than by the log.
func TestKillAtEveryCommit(t *testing.T) {
	t.Parallel()
	for doomed := range story {
		for _, when := range []string{"before", "after"} {
			t.Run(story[doomed].name+" "+when, func(t *testing.T) {
				t.Parallel()
				commits := 0
				for n := 1; tell(t, doomed, when, n); n++ {
					commits = n
				}
				// A chat starts, begins, moves, has two results, in one commit or in two, and moves again.
				if least := []int{5, 1, 3}[doomed]; commits < least {
					t.Errorf("the process was killed at %d commits only, want %d at least", commits, least)
				}
				t.Logf("killed at each of %d commits", commits)
			})
		}
	}
}

// tell tells the story with one process killed at its n-th commit. It reports
// false when that process makes fewer commits.
func tell(t *testing.T, doomed int, when string, n int) (killed bool) {
	t.Helper()
	w := newWorld(t, refund...)
	for i, p := range story {
		if i == doomed {
			cmd := w.command(crashfermata, p.args(w)...)
			cmd.Env = append(cmd.Env, fmt.Sprintf("FERMATA_CRASH_AT=%s %d", when, n))
			r := w.do(cmd)
			if r.code == p.code {
				return false
			}
			if r.code != -1 {
				t.Fatalf("%s, killed %s commit %d, ended with code %d:\n%s", p.name, when, n, r.code, r.stderr)
			}
		}
		w.run(p.code, p.args(w)...)
	}
	l := w.log()
	paid := w.ledger()
	if len(paid) != 1 || paid[0].Amount != 249 {
		t.Errorf("%s killed %s commit %d: the bank has paid %+v, want 249 once", story[doomed].name, when, n, paid)
	}
	if answers := of[*run.Answered](l); len(answers) != 1 || answers[0].Answer.By.ID != "ann" {
		t.Errorf("%s killed %s commit %d: %d answers are in the log, want one by ann", story[doomed].name, when, n, len(answers))
	}
	if messages := of[*run.Messaged](l); len(messages) != 1 || l.said() != "That is settled." {
		t.Errorf("%s killed %s commit %d: %d messages of the user, and the end %q", story[doomed].name, when, n, len(messages), l.said())
	}
	if results := w.toolResults(); len(results) != 3 || !strings.Contains(results[2], "FB-1042-") {
		t.Errorf("%s killed %s commit %d: the model was told %q", story[doomed].name, when, n, results)
	}
	return true
}
