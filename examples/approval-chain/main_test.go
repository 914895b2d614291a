package main

import (
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/story"
	"github.com/fermata-run/fermata/internal/story/storytest"
)

// Whenever the worker is killed, each purchase comes to the same end, and what is bought
// is bought once.
func TestCrashes(t *testing.T) {
	for i, want := range [][]string{
		{`done  {"approvers":["leo"],"bill":"bill for a chair","euros":300,"outcome":"bought","what":"a chair"}`, "buy a chair, 300 euros, approved by leo"},
		{`done  {"approvers":["leo","fred","bea"],"bill":"bill for a press","euros":25000,"outcome":"bought","what":"a press"}`, "buy a press, 25000 euros, approved by leo, fred, bea"},
		{`done  {"approvers":["leo"],"bill":"bill for a bench","euros":500,"outcome":"bought","what":"a bench"}`, "buy a bench, 500 euros, approved by leo"},
		{`done  {"outcome":"rejected","why":"we do not need a yacht"}`},
		{`done  {"approvers":["dora"],"bill":"bill for a lamp","euros":80,"outcome":"bought","what":"a lamp"}`, "buy a lamp, 80 euros, approved by dora"},
		{`done  {"outcome":"withdrawn","why":"we have found one in the cellar"}`},
	} {
		t.Run(scenes[i].Title, func(t *testing.T) {
			t.Parallel()
			storytest.Crash(t, agents, scenes[i], nil, want...)
		})
	}
}

// Who writes that she withdraws it needs no program that signals it.
func TestWithdrawnInWords(t *testing.T) {
	s := scenes[0]
	s.People = withdraws
	storytest.Crash(t, agents, s, nil, `done  {"outcome":"withdrawn","why":"withdraw it, please"}`)
}

// When nobody answers at all, it comes to an end, too: after six days.
func TestForgotten(t *testing.T) {
	s := story.Scene{Request: wants(`{"what": "a chair", "euros": 300, "day": 1000}`)}
	storytest.Crash(t, agents, s, nil, `failed expired: nobody has answered in time`)
}

func withdraws(*agent.Ask) []story.Deed {
	return []story.Deed{story.Writes(ann, "withdraw it, please")}
}
