package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A report prints figures: tables for people, or lines of JSON.
type report struct {
	out    io.Writer
	json   bool
	figure string
	goals  []goal
	err    error // of the first line that could not be written
}

// line is a line of JSON: one of Setup, Row and Goal is set.
type line struct {
	Figure string `json:"figure"`
	Setup  *setup `json:"setup,omitempty"`
	Kind   string `json:"kind,omitempty"` // of Row, where a figure has several
	Row    any    `json:"row,omitempty"`
	Goal   *goal  `json:"goal,omitempty"`
}

// A goal is a number to reach.
type goal struct {
	What  string  `json:"what"`
	Least bool    `json:"least,omitempty"` // Limit is the least and not the most
	Limit float64 `json:"limit"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	Met   bool    `json:"met"`
}

func (r *report) begin(figure, title string, s setup) {
	r.figure, r.goals = figure, nil
	if r.json {
		r.line(line{Setup: &s})
		return
	}
	r.printf("== %s: %s\n%s\n", figure, title, s)
}

// rows prints all that is known of some rows as lines of JSON. Tables are for
// people, and show parts of it.
func rows[T any](r *report, kind string, list []T) {
	if !r.json {
		return
	}
	for _, row := range list {
		r.line(line{Kind: kind, Row: row})
	}
}

// table prints rows for people; cells makes the cells of one.
func table[T any](r *report, name, head string, list []T, cells func(T) []string) {
	if r.json {
		return
	}
	r.printf("\n%s\n", name)
	w := tabwriter.NewWriter(r, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "  %s\t\n", strings.ReplaceAll(head, "|", "\t"))
	for _, row := range list {
		fmt.Fprintf(w, "  %s\t\n", strings.Join(cells(row), "\t"))
	}
	_ = w.Flush() // the report keeps the error of its writer
}

// note prints a remark below a table. Lines of JSON have no need of it.
func (r *report) note(format string, args ...any) {
	if !r.json {
		r.printf("  "+format+"\n", args...)
	}
}

// atMost and atLeast state goals; they are printed at the end of the figure.
func (r *report) atMost(limit, value float64, unit, what string) {
	r.goals = append(r.goals, goal{What: what, Limit: limit, Value: value, Unit: unit, Met: value <= limit})
}

func (r *report) atLeast(limit, value float64, unit, what string) {
	r.goals = append(r.goals, goal{What: what, Least: true, Limit: limit, Value: value, Unit: unit, Met: value >= limit})
}

// end prints the goals, and returns what has gone wrong in printing.
func (r *report) end() error {
	if r.json {
		for i := range r.goals {
			r.line(line{Goal: &r.goals[i]})
		}
		return r.err
	}
	r.printf("\ngoals\n")
	w := tabwriter.NewWriter(r, 0, 0, 2, ' ', 0)
	for _, g := range r.goals {
		sign, verdict := "≤", "met"
		if g.Least {
			sign = "≥"
		}
		if !g.Met {
			verdict = "NOT MET"
		}
		fmt.Fprintf(w, "  %s\t%s %s%s\tis %s%s\t%s\n", g.What, sign, number(g.Limit), g.Unit, number(g.Value), g.Unit, verdict)
	}
	_ = w.Flush() // the report keeps the error of its writer
	r.printf("\n")
	return r.err
}

func (r *report) line(l line) {
	l.Figure = r.figure
	b, err := json.Marshal(l)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("a row of %s has no JSON form: %w", r.figure, err)
		return
	}
	r.printf("%s\n", b)
}

func (r *report) printf(format string, args ...any) { fmt.Fprintf(r, format, args...) }

// Write writes to the report, and keeps the first error.
func (r *report) Write(p []byte) (int, error) {
	n, err := r.out.Write(p)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("print the results: %w", err)
	}
	return n, err
}

// number prints a value with as many digits as it is worth.
func number(v float64) string {
	switch {
	case v != v:
		return "-"
	case v >= 1e15:
		return fmt.Sprint(v)
	case v >= 1000:
		return thousands(int64(v + 0.5))
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// mega prints bytes as MB.
func mega(n int64) string { return number(float64(n) / 1e6) }
