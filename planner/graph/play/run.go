package play

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fermata-run/fermata/planner/graph"
)

// RunOptions say what a graph is given, and how it is told what comes of it. A nil
// *RunOptions and the zero value of each field are the defaults.
type RunOptions struct {
	Options

	// Input is what the graph is started with, any JSON value; nil is null.
	Input json.RawMessage

	// Lines are the events, one each: NAME, or NAME and JSON data behind a space. A line
	// such as +1.5s or +2w lets so much time pass before the next one. Empty lines and those
	// that begin with # are left out. In is read after Lines; nil has none.
	Lines []string
	In    io.Reader

	Virtual bool      // delays pass at once, and +1.5s, too
	JSON    bool      // what is told is JSON, an object a line
	Out     io.Writer // nil tells nothing
}

// An Outcome is how a graph came out of [Run]. It is the exit status of a program that
// does nothing else.
type Outcome int

// The outcomes of a run.
const (
	Ended    Outcome = 0 // in a final node, but in none of those of Failed
	Failed   Outcome = 1 // in a final node called fail, or in one that says that the graph has failed
	NotEnded Outcome = 2 // nothing is left to come, and it is in no final node
)

// maxWaits is how often a graph may go on by itself after the last event, when delays
// pass at once.
const maxWaits = 10_000

// Told is what Run tells with JSON: after each event and each delay where the graph
// stands; in the last line, how it has ended.
type Told struct {
	Event  string          `json:"event,omitempty"` // that it has reacted to; "" for the start, and for what it waited for
	At     []string        `json:"at"`              // the innermost active nodes
	Time   time.Time       `json:"time"`
	Log    []string        `json:"log,omitempty"`   // what it has logged, said and emitted
	Ended  *bool           `json:"ended,omitempty"` // in the last line
	Output json.RawMessage `json:"output,omitempty"`
	Failed string          `json:"failed,omitempty"`
}

// Run plays a graph to its end: gives it events, and lets time pass. It returns when
// the graph has ended, or when no event is left and the graph waits for no time. The
// error is of the graph, of a line that is none, or the context's.
func Run(ctx context.Context, g *graph.Graph, o *RunOptions) (Outcome, error) {
	if o == nil {
		o = &RunOptions{}
	}
	r := &runner{o: o, began: time.Now()}
	with := o.Options
	if with.From.IsZero() && !o.Virtual {
		with.From = r.began
	}
	logged := with.Logged
	with.Logged = func(text string) {
		r.log = append(r.log, text)
		if logged != nil {
			logged(text)
		}
	}
	r.p = New(g, &with)
	r.from = r.p.Now()
	if err := r.p.Start(o.Input); err != nil {
		return NotEnded, err
	}
	if err := r.tell(""); err != nil {
		return NotEnded, err
	}
	if err := r.events(ctx); err != nil {
		return NotEnded, err
	}
	if err := r.rest(ctx); err != nil {
		return NotEnded, err
	}
	return r.conclude()
}

type runner struct {
	o     *RunOptions
	p     *Player
	log   []string
	began time.Time // of the real clock
	from  time.Time // the same instant in the graph
}

// events gives the graph its events.
func (r *runner) events(ctx context.Context) error {
	for _, line := range r.o.Lines {
		if err := r.line(ctx, line); err != nil || r.p.Ended() {
			return err
		}
	}
	if r.o.In == nil {
		return nil
	}
	lines := make(chan string)
	failed := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go read(ctx, r.o.In, lines, failed)
	for !r.p.Ended() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.alarm():
			if err := r.catchUp(); err != nil {
				return err
			}
		case line, ok := <-lines:
			if !ok {
				return <-failed
			}
			if err := r.line(ctx, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// read hands over lines until there are no more. It may outlive the run by the line
// that it waits for, since a read cannot be broken off.
func read(ctx context.Context, in io.Reader, lines chan<- string, failed chan<- error) {
	defer close(lines)
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		select {
		case lines <- s.Text():
		case <-ctx.Done():
			failed <- ctx.Err()
			return
		}
	}
	failed <- s.Err()
}

// line does what one line says.
func (r *runner) line(ctx context.Context, line string) error {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	if text, ok := strings.CutPrefix(line, "+"); ok {
		d, err := graph.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no time to let pass, such as +1.5s or +2w, and no event begins with +: %w", line, err)
		}
		if d < 0 {
			return fmt.Errorf("%q lets less than no time pass", line)
		}
		return r.sleep(ctx, d)
	}
	name, data, _ := strings.Cut(line, " ")
	raw := json.RawMessage(strings.TrimSpace(data))
	if len(raw) > 0 && !json.Valid(raw) {
		return fmt.Errorf("the data of the event %s is not JSON: %s", name, raw)
	}
	if err := r.catchUp(); err != nil {
		return err
	}
	if r.p.Ended() {
		return nil
	}
	if err := r.p.Send(name, raw); err != nil {
		return err
	}
	return r.tell(name)
}

// sleep lets time pass, and tells of each thing that comes in it.
func (r *runner) sleep(ctx context.Context, d time.Duration) error {
	until := r.p.Now().Add(d)
	for {
		due, ok := r.p.Due()
		if !ok || due.After(until) || r.p.Ended() {
			due = until
		}
		if err := r.reach(ctx, due); err != nil || due.Equal(until) {
			return err
		}
	}
}

// rest lets time pass until the graph waits for none.
func (r *runner) rest(ctx context.Context) error {
	for range maxWaits {
		due, ok := r.p.Due()
		if !ok || r.p.Ended() {
			return nil
		}
		if err := r.reach(ctx, due); err != nil {
			return err
		}
	}
	return fmt.Errorf("the graph has gone on by itself %d times after the last event, and still does: it is in %v", maxWaits, r.p.At())
}

// reach lets time pass up to an instant of the graph's, and tells what comes.
func (r *runner) reach(ctx context.Context, t time.Time) error {
	if wait := r.real(t); !r.o.Virtual && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	before := r.p.Last()
	if err := r.p.Until(t); err != nil || r.p.Last() == before {
		return err
	}
	return r.tell("")
}

// real is how long it is until an instant of the graph's, by the real clock.
func (r *runner) real(t time.Time) time.Duration {
	return t.Sub(r.from) - time.Since(r.began)
}

// alarm fires when the graph goes on by itself, in real time.
func (r *runner) alarm() <-chan time.Time {
	due, ok := r.p.Due()
	if !ok || r.o.Virtual {
		return nil
	}
	return time.After(r.real(due))
}

// catchUp lets the time pass that has passed by the real clock.
func (r *runner) catchUp() error {
	if r.o.Virtual {
		return nil
	}
	before := r.p.Last()
	if err := r.p.Until(r.from.Add(time.Since(r.began))); err != nil || r.p.Last() == before {
		return err
	}
	return r.tell("")
}

// tell says where the graph stands.
func (r *runner) tell(event string) error {
	t := Told{Event: event, At: r.p.At(), Time: r.p.Now(), Log: r.log}
	r.log = nil
	if r.o.JSON {
		return r.write(t)
	}
	what := event
	if event == "" {
		what = "+" + r.p.Now().Sub(r.from).String()
	}
	var b strings.Builder
	for _, text := range t.Log {
		fmt.Fprintf(&b, "  %s\n", below(text))
	}
	fmt.Fprintf(&b, "%s: %s\n", what, strings.Join(t.At, ", "))
	return r.print(b.String())
}

// conclude says how the graph has ended.
func (r *runner) conclude() (Outcome, error) {
	outcome, ended := NotEnded, r.p.Ended()
	t := Told{At: r.p.At(), Time: r.p.Now(), Ended: &ended}
	text := "it has not ended, and waits in " + strings.Join(t.At, ", ") + "\n"
	if ended {
		last := r.p.Last()
		outcome, t.Output = Ended, last.Output
		text = "ended in " + strings.Join(t.At, ", ") + "\n"
		if len(t.At) == 1 && t.At[0] == "fail" {
			outcome = Failed
		}
		if last.Failed != nil {
			outcome, t.Failed = Failed, last.Failed.String()
			text = "failed in " + strings.Join(t.At, ", ") + ": " + below(t.Failed) + "\n"
		}
	}
	if r.o.JSON {
		return outcome, r.write(t)
	}
	return outcome, r.print(text)
}

// below keeps the further lines of a text under its first one, so that none looks like
// a line of what is told.
func below(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

func (r *runner) write(t Told) error {
	raw, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return r.print(string(raw) + "\n")
}

func (r *runner) print(text string) error {
	if r.o.Out == nil {
		return nil
	}
	if _, err := io.WriteString(r.o.Out, text); err != nil {
		return errors.Join(errors.New("what came of the graph could not be told"), err)
	}
	return nil
}
