package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Bench says what to measure and how. The zero value of each size is a default
// that makes all figures in less than ten minutes.
type Bench struct {
	// Self is the command line that has this program call [Child] with the
	// arguments that follow it.
	Self []string

	Store  string // where Fermata keeps its runs: a URL of Redis or a file; "" is a Redis server of the bench's own
	Fsync  string // appendfsync of the bench's own server: none (no file at all), everysec or always; "" is everysec
	Stream bool   // both sides ask for streamed answers

	Out      io.Writer // the results
	Progress io.Writer // what goes on; nil is silent
	JSON     bool      // results as lines of JSON

	Lengths       []int         // steps: the lengths of the runs; default 10, 50, 200, 1000
	Rounds        int           // steps and load: how often each side has its turn; 0 is more for shorter work
	Small, Large  int           // load: how many conversations at once; default 200 and 10,000
	Jobs          int           // load: how many calls and questions at once in the worker; 0 is one for each conversation
	Parked        int           // parked: how many runs; default 100,000
	Rest          time.Duration // parked: how long they rest before the worker is looked at, which may keep for a while what has just come to rest; default 15 s
	Answers       int           // parked: how many of them are answered; default 400
	Cold          int           // parked: how many are taken up by a worker that starts afresh; default 20
	Workers       int           // workers: up to how many; default 4
	Conversations int           // workers: how many make the load; default 1,000
}

// Figures returns the names of all figures, in the order in which they are made.
func Figures() []string {
	var names []string
	for _, f := range figures {
		names = append(names, f.name)
	}
	return names
}

var figures = []struct {
	name, title string
	measure     func(*bed) error
}{
	{"steps", "What a step costs", measureSteps},
	{"load", "Many conversations at once, in one worker", measureLoad},
	{"parked", "Runs that wait for a person", measureParked},
	{"workers", "Several workers over one store", measureWorkers},
}

// Run measures the named figures, or all, and prints each when it is known. A
// goal that is not met is no error; work that was not done as it should be is.
func (b Bench) Run(ctx context.Context, names ...string) error {
	for _, n := range names {
		if !slices.Contains(Figures(), n) {
			return fmt.Errorf("bench: there is no figure %q; there are %s", n, strings.Join(Figures(), ", "))
		}
	}
	b.fillIn()
	report := &report{out: b.Out, json: b.JSON}
	for _, f := range figures {
		if len(names) > 0 && !slices.Contains(names, f.name) {
			continue
		}
		if err := b.figure(ctx, report, f.name, f.title, f.measure); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("bench %s: %w", f.name, err)
		}
	}
	return nil
}

// figure measures one figure on a bed of its own.
func (b *Bench) figure(ctx context.Context, r *report, name, title string, measure func(*bed) error) (err error) {
	began := time.Now()
	d, err := b.makeBed(ctx, r)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := d.close(); err == nil {
			err = closeErr
		}
	}()
	r.begin(name, title, d.setup())
	if err := measure(d); err != nil {
		return err
	}
	d.progress("%s took %s", name, time.Since(began).Round(time.Second))
	return r.end()
}

// fillIn replaces zero fields by their defaults.
func (b *Bench) fillIn() {
	if b.Progress == nil {
		b.Progress = io.Discard
	}
	if b.Out == nil {
		b.Out = io.Discard
	}
	if b.Fsync == "" {
		b.Fsync = "everysec"
	}
	if len(b.Lengths) == 0 {
		b.Lengths = []int{10, 50, 200, 1000}
	}
	if b.Rest == 0 {
		b.Rest = 15 * time.Second
	}
	for p, def := range map[*int]int{
		&b.Small: 200, &b.Large: 10_000, &b.Parked: 100_000, &b.Answers: 400, &b.Cold: 20, &b.Workers: 4, &b.Conversations: 1000,
	} {
		if *p == 0 {
			*p = def
		}
	}
}
