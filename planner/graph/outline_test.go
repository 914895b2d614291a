package graph_test

import (
	"strings"
	"testing"

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
