// Package storytest plays the scenes of the examples under crashes.
package storytest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
)

// Crash plays a scene once undisturbed, and then with the worker killed before and
// after each of its commits. Each time it has to end as want says, and the services
// must have done just what it says, in that order: the first line is how the run ends,
// and each further one is a line of the ledger.
//
// Where nobody knows whether a call took place, a person looks it up in the ledger, and
// gives the result that the tool would have given.
func Crash(t *testing.T, agents func(*story.Ledger) ([]*agent.Agent, error), scene story.Scene, results map[string]string, want ...string) {
	orchestratortest.CrashEverywhere(t, func(t *testing.T, w *orchestratortest.World) {
		ledger := story.OpenLedger(filepath.Join(t.TempDir(), "ledger"))
		list, err := agents(ledger)
		if err != nil {
			t.Fatal(err)
		}
		w.Work(list...)
		id, err := w.Client.Start(t.Context(), scene.Request)
		if err != nil {
			t.Fatal(err)
		}
		played := scene
		played.People = func(a *agent.Ask) []story.Deed {
			if a.Kind == agent.AskOutcome {
				return []story.Deed{settle(t, ledger, a, results)}
			}
			if scene.People == nil {
				return nil
			}
			return scene.People(a)
		}
		var told strings.Builder
		res, err := played.Follow(t.Context(), w.Client, id, &told)
		if err != nil {
			t.Fatalf("%v\n%s", err, told.String())
		}
		got := []string{story.Ending(res)}
		lines, err := ledger.Lines()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			got = append(got, l.String())
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("it came to\n%s\nwant\n%s\nas follows:\n%s", g, w, told.String())
		}
	})
}

// settle has a person say what became of a call, by the ledger.
func settle(t *testing.T, ledger *story.Ledger, a *agent.Ask, results map[string]string) story.Deed {
	olga := agent.User{ID: "olga", Groups: []string{"operators"}}
	lines, err := ledger.Lines()
	if err != nil {
		t.Error(err)
	}
	for _, l := range lines {
		if l.Key == fmt.Sprintf("%s.%s", a.ID.Run(), a.Action) {
			return story.Happened(olga, results[a.Tool])
		}
	}
	return story.Chooses(olga, agent.Rerun, "")
}
