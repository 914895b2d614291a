package graph_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/fermata-run/fermata/planner/graph"
)

// A question that a picture has in several lines is one in the outline.
func TestOutlineOfLongQuestion(t *testing.T) {
	d := &graph.Definition{Graph: "trip", Steps: []graph.Node{{ID: "manager", Ask: &graph.Ask{
		Prompt: "May ${user.id} go to ${input.city} for ${euros} euros?", For: []any{"mia"},
	}}}}
	const want = "manager  ask: May ${user.id} go to ${input.city} for ${euros} euros?, for mia\n"
	if got := d.Outline(nil); !strings.Contains(got, want) {
		t.Errorf("the outline has no line %q:\n%s", want, got)
	}
}

// Also a graph that is refused is shown, so that one sees what is wrong with it: what
// is no text in it does not get to the terminal.
func TestOutlineHasNoControls(t *testing.T) {
	const x = "\x1b[2J\r"
	do := []graph.Do{{Emit: x, Data: x}, {Say: x}, {If: x, Then: []graph.Do{{Raise: x}}}, {Each: x, As: x}, {Script: x}}
	d := &graph.Definition{
		Graph: x + "g", Description: x + "d", Initial: &graph.Edge{To: []string{x + "a"}, If: x},
		Steps: []graph.Node{{ID: x + "s", Tool: x}},
		Nodes: []graph.Node{
			{ID: x + "a", Note: x + "n", Parallel: true, Initial: &graph.Edge{To: []string{x + "b"}}},
			{ID: x + "b", In: x + "a", Tool: x, Each: &graph.Each{In: x, As: x, Until: x}, Input: map[string]any{x: x}, Undo: &graph.Undo{Tool: x}, Retry: &graph.Retry{Attempts: 2, Backoff: x, On: []string{x}}},
			{ID: x + "h", In: x + "a", History: "deep"}, {ID: x + "i", History: "shallow", Initial: &graph.Edge{To: []string{x + "a"}}},
			{ID: x + "t", Timer: x, Within: x, Entry: do, Exit: do}, {ID: x + "p", Plan: &graph.Plan{Model: x, Goal: x}}, {ID: x + "w", Wait: &graph.Wait{Signal: x, Key: x, Keep: x}},
			{ID: x + "k", Ask: &graph.Ask{Kind: x, Prompt: x, Choices: []string{x}, For: []any{x}, Not: []any{x}, Due: x, Escalate: []graph.Escalation{{For: []any{x}, Within: x}}}},
			{ID: x + "f", Final: "failed", Fail: x}, {ID: x + "e", Final: x, Output: x}, {ID: x + "c"}, {ID: x + "u", Compensate: x}, {ID: x + "r", Graph: x},
			{ID: x + "v", Extra: &graph.Extra{Invokes: []graph.Invoke{{ID: x, Graph: x}}}}, {ID: x + "l", Agent: x, In: x + "p", When: x},
		},
		Edges: []graph.Edge{
			{ID: x + "1", From: x + "a", To: []string{x + "h", x + "none"}, On: []string{x}, If: x, Note: x},
			{ID: x + "2", From: x + "h", To: []string{x + "b"}, Do: do, Set: map[string]any{x: x}},
			{From: x + "c", To: []string{x + "f"}, After: x}, {From: x + "k", On: []string{"done." + x}, To: []string{x + "i"}},
		},
		Graphs: []*graph.Definition{{Graph: x, Nodes: []graph.Node{{ID: x}}}},
	}
	m := &graph.Marks{Active: []string{x + "a"}, Visited: []string{x + "h"}, Taken: []string{x + "1"}, Stuck: []string{x + "b"}}
	for _, text := range []string{d.Outline(nil), d.Outline(m)} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
			t.Errorf("a control character stands at %q:\n%q", text[i:], text)
		}
	}
}
