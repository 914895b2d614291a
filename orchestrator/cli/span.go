package cli

import (
	"time"

	"github.com/fermata-run/fermata/planner/graph"
)

// span is the value of a flag that is a duration, and knows days and weeks as the
// durations of graphs do.
type span time.Duration

// spanOf has a flag set d, which is value without it.
func spanOf(d *time.Duration, value time.Duration) *span {
	*d = value
	return (*span)(d)
}

// Set reads what the flag was given.
func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = graph.ParseDuration(text)
	}
	*s = span(d)
	return err
}

// String says 0 of nothing, of which the help then says nothing.
func (s *span) String() string {
	if *s == 0 {
		return "0"
	}
	return time.Duration(*s).String()
}

// Type is what the help calls it.
func (s *span) Type() string { return "duration" }
