package main

import (
	"testing"

	"github.com/fermata-run/fermata/internal/story/storytest"
)

// Whenever the worker is killed, each ticket comes to the same end, and what is paid
// back is paid back once.
func TestCrashes(t *testing.T) {
	for i, want := range [][]string{
		{`done  {"answer":"We are sorry. You get back 89 euros.","kind":"complaint","refunded":"89 euros"}`, "refund order 1045, 89 euros"},
		{`done  {"answer":"We call you tomorrow.","kind":"complaint","refunded":null}`},
		{`done  {"answer":"We call you tomorrow.","kind":"question","refunded":null}`},
		{`done  {"answer":"We call you tomorrow.","kind":"legal","refunded":null}`},
		{`idle  We are sorry. You get back 89 euros.`, "refund order 1045, 89 euros"},
	} {
		t.Run(scenes[i].Title, func(t *testing.T) {
			t.Parallel()
			storytest.Crash(t, offline, scenes[i], nil, want...)
		})
	}
}
