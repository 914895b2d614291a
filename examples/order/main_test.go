package main

import (
	"testing"

	"github.com/fermata-run/fermata/internal/story/storytest"
)

// Whenever the worker is killed, each order comes to the same end, each service has done
// its part once, and what was done is undone in reverse.
func TestCrashes(t *testing.T) {
	for i, want := range [][]string{
		{`done  {"done":["reserve/0","reserve/1","pay"],"order":1,"parcel":"F-1"}`,
			"reserve desk for order 1", "lost lamp for order 1", "reserve lamp for order 1", "pay P-1, 140 euros", "ship F-1 to 1 High Street"},
		{`failed called-off: the card was declined; undone: ["reserve/0"], still done: []`,
			"reserve desk for order 2", "release desk for order 2"},
		{`failed called-off: nobody lives at that address; undone: ["reserve/0","reserve/1","pay"], still done: []`,
			"reserve desk for order 3", "reserve shelf for order 3", "pay P-3, 190 euros",
			"refund P-3, 190 euros", "release shelf for order 3", "release desk for order 3"},
		{`failed called-off: nobody lives at that address; undone: ["reserve/0","reserve/1","pay"], still done: []`,
			"reserve desk for order 4", "reserve shelf for order 4", "pay P-4, 190 euros", "release shelf for order 4", "release desk for order 4"},
	} {
		t.Run(scenes[i].Title, func(t *testing.T) {
			t.Parallel()
			storytest.Crash(t, agents, scenes[i], map[string]string{"ship": `{"parcel": "F-1"}`}, want...)
		})
	}
}
