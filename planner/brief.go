package planner

import (
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/fermata-run/fermata/agent"
)

// A brief is a planner's instructions as a template.
type brief struct{ t *template.Template }

// briefing is what the template is rendered over.
type briefing struct {
	User  agent.User
	Meta  map[string]string
	Agent string
	Now   day
}

// A day is a time that is written as its date.
type day struct{ time.Time }

func (d day) String() string { return d.Format(time.DateOnly) }

// parseBrief parses instructions and renders them once on trial, so that a
// field which does not exist is found before there is a run.
func parseBrief(instructions string) (*brief, error) {
	t, err := template.New("instructions").Option("missingkey=zero").Parse(instructions)
	if err != nil {
		return nil, err
	}
	b := &brief{t}
	// The trial has no real data, so any other error may be due to that.
	if _, err := b.render(&agent.View{}); err != nil && strings.Contains(err.Error(), "can't evaluate field") {
		return nil, err
	}
	return b, nil
}

func (b *brief) render(v *agent.View) (string, error) {
	var s strings.Builder
	err := b.t.Execute(&s, briefing{User: v.User, Meta: v.Meta, Agent: v.Agent, Now: day{v.Now}})
	if err != nil {
		return "", fmt.Errorf("planner: the instructions cannot be rendered: %w", err)
	}
	return s.String(), nil
}
