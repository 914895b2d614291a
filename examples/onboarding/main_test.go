package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/internal/story/storytest"
	"github.com/fermata-run/fermata/memory/memorytest"
	"github.com/fermata-run/fermata/orchestrator/orchestratortest"
)

// ends is how each scene ends, and what the services have done then.
var ends = [][]string{
	{`done  {"account":"eve@example.com","laptop":"L-77","name":"eve","notes":["no desk","a desk by Monday","nothing was heard"]}`,
		"open eve@example.com", "welcome eve: meet everybody"},
	{`done  {"account":"kim@example.com","laptop":"L-77","name":"kim","notes":["no desk","a desk by Monday","nothing was heard"]}`,
		"open kim@example.com", "welcome kim: meet everybody"},
	{`failed called-off: there is no contract; undone: ["open-account"]`,
		"open lee@example.com", "close lee@example.com"},
}

// in has a scene play with days of another length; "" is that of days.
func in(s story.Scene, day string) story.Scene {
	text := s.Request.Message.Text()
	s.Request.Message = agent.Text(strings.Replace(text, `, "day": 100`, day, 1))
	return s
}

// Whenever the worker is killed, each comes to the same end. A day takes a minute: a
// worker that is lost is missed for some seconds.
func TestCrashes(t *testing.T) {
	for i, want := range ends {
		t.Run(scenes[i].Title, func(t *testing.T) {
			t.Parallel()
			storytest.Crash(t, agents, in(scenes[i], `, "day": 60000`), nil, want...)
		})
	}
}

// The real weeks, of which nobody waits for one.
func TestWeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := story.OpenLedger(t.TempDir() + "/ledger")
		list, err := agents(ledger)
		if err != nil {
			t.Fatal(err)
		}
		o := orchestratortest.Work(t, memorytest.NewStore(nil), nil, list...)
		scene, began := in(scenes[1], ""), time.Now()
		id, err := o.Start(t.Context(), scene.Request)
		if err != nil {
			t.Fatal(err)
		}
		var told strings.Builder
		res, err := scene.Follow(t.Context(), o, id, &told)
		if err != nil {
			t.Fatalf("%v\n%s", err, told.String())
		}
		if got := string(res.Status) + "  " + string(res.JSON); got != ends[1][0] {
			t.Errorf("it came to\n%s\nwant\n%s\nas follows:\n%s", got, ends[1][0], told.String())
		}
		// Two weeks until the first day, a week twice, and three days in which nobody has
		// told how it is going.
		if days := time.Since(began).Hours() / 24; days != 31 {
			t.Errorf("it took %v days, want 31:\n%s", days, told.String())
		}
	})
}

// Who does not want to come any more is said to by the program that has heard of it.
func TestDeclined(t *testing.T) {
	s := in(scenes[0], `, "day": 60000`)
	s.People = func(a *agent.Ask) []story.Deed {
		if strings.Contains(a.Prompt, "contract") {
			return []story.Deed{story.Signals(hugo, "declined", `{"reason": "eve stays where she is"}`)}
		}
		return usual(a)
	}
	storytest.Crash(t, agents, s, nil, `failed called-off: eve stays where she is; undone: ["open-account"]`, "open eve@example.com", "close eve@example.com")
}
