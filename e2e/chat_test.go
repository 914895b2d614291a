package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/chatserver"
	"github.com/fermata-run/fermata/orchestrator/run"
)

func call(name, args string) chatserver.Call {
	return chatserver.Call{Name: name, Args: json.RawMessage(args)}
}

// refund is a conversation in which order 1042 is looked up and paid back.
var refund = []chatserver.Reply{
	{Text: "Let me see.", Calls: []chatserver.Call{call("look_up_order", `{"order":1042}`), call("track_parcel", `{"order":1042}`)}},
	{Calls: []chatserver.Call{call("refund", `{"order":1042,"amount":249}`)}},
	{Text: "That is settled."},
}

const request = "Please refund order 1042."

// Words come as they are said, before the answer is complete.
func TestStreaming(t *testing.T) {
	t.Parallel()
	const words = "One two three four five six seven eight nine ten."
	w := newWorld(t, chatserver.Reply{Text: words, Pace: chatserver.Duration(60 * time.Millisecond), Repeat: 2})
	type event struct {
		Kind  string
		Delta agent.Delta
		Event struct{ Message agent.Message }
	}
	events := lines[event](t, w.run(0, "chat", "--json", "Count.").stdout)
	heard, pieces := "", 0
	for _, e := range events {
		if e.Kind == "delta" {
			heard += e.Delta.Text
			pieces++
		}
	}
	if pieces < 3 || !strings.HasPrefix(words, heard) {
		t.Errorf("%d pieces were heard, %q; want several of %q", pieces, heard, words)
	}
	if last := events[len(events)-1]; last.Kind != "moved" || last.Event.Message.Text() != words {
		t.Errorf("the last event is %+v, want the recorded answer", last)
	}
	if got := w.run(0, "chat", "--run", w.log().firstRun(), "Again.").stdout; got != words+"\n" {
		t.Errorf("stdout is %q, want the answer alone", got)
	}
}

func (l *log) firstRun() string { return string(l.state.Run) }

// Several calls of one answer run at once, and the model sees each result once.
func TestParallelCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, chatserver.Reply{Calls: []chatserver.Call{
		call("look_up_order", `{"order":1043}`), call("track_parcel", `{"order":1043}`), call("look_up_order", `{"order":1046}`), call("track_parcel", `{"order":9999}`),
	}}, chatserver.Reply{Text: "There you are."})
	r := w.run(0, "chat", "Where are 1043 and 1046?")
	if r.stdout != "There you are.\n" || strings.Count(r.stderr, "✓") != 3 || strings.Count(r.stderr, "✗") != 1 {
		t.Errorf("stdout %q, stderr:\n%s", r.stdout, r.stderr)
	}
	l := w.log()
	if moves := of[*run.Moved](l); len(moves) != 2 || len(moves[0].Actions) != 4 {
		t.Errorf("want a move with four calls and a last one, got %d moves", len(moves))
	}
	results := strings.Join(w.toolResults(), "\n")
	for _, want := range []string{"Yirgacheffe", "FP-7731", "café table", "there is no order 9999"} {
		if strings.Count(results, want) != 1 {
			t.Errorf("the model was told %d times of %q, want once:\n%s", strings.Count(results, want), want, results)
		}
	}
}

// An approval is asked for by one process, given by a second, and acted on by a
// third.
func TestApprovals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer []string
		paid   []float64
		shown  string // to the model
	}{
		{"approved", []string{"--approve"}, []float64{249}, "FB-1042-"},
		{"edited", []string{"--edit", `{"order":1042,"amount":40}`, "--user", "bob"}, []float64{40}, `"amount":40`},
		{"denied", []string{"--deny", "it was used for a year"}, nil, "it was used for a year"},
		{"instead", []string{"--instead", `{"order":1042,"amount":249,"reference":"cash","paid":"2026-03-12T10:00:00Z"}`}, nil, "cash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, refund...)
			if r := w.run(3, "chat", request); !strings.Contains(r.stderr, "fermata asks answer "+w.ask()+" --approve") || len(w.ledger()) != 0 {
				t.Errorf("it does not say how to answer, or has paid already:\n%s", r.stderr)
			}
			id := w.ask()
			w.run(0, append([]string{"asks", "answer", id}, c.answer...)...)
			w.run(0, append([]string{"asks", "answer", id}, c.answer...)...) // the same again does no harm
			w.run(1, "asks", "answer", id, "--deny", "too late")
			if r := w.run(0, "chat", "--run", id); r.stdout != "That is settled.\n" {
				t.Errorf("the answer is %q", r.stdout)
			}
			var paid []float64
			for _, e := range w.ledger() {
				paid = append(paid, e.Amount)
			}
			if len(paid) != len(c.paid) || len(paid) == 1 && paid[0] != c.paid[0] {
				t.Errorf("the bank has paid %v, want %v", paid, c.paid)
			}
			if results := w.toolResults(); len(results) != 3 || !strings.Contains(results[2], c.shown) {
				t.Errorf("the model was told %q, want %q in the third result", results, c.shown)
			}
			l := w.log()
			if n := len(of[*run.Began](l)); n != len(c.paid) {
				t.Errorf("the refund was begun %d times, want %d", n, len(c.paid))
			}
			if l.said() != "That is settled." {
				t.Errorf("the conversation ends with %q", l.said())
			}
		})
	}
}

// A worker in one process goes on as soon as another process has answered.
func TestWorkerTakesUpAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, refund...)
	w.run(3, "chat", request)
	worker := w.command(fermata, "work")
	out := &waited{}
	worker.Stdout, worker.Stderr = out, out
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t, "Working on the runs of desk")
	id := w.ask()
	if r := w.run(0, "asks", "answer", id, "--approve"); !strings.Contains(r.stdout, "goes on with the run") {
		t.Errorf("it does not say that a worker has the run: %s", r.stdout)
	}
	w.run(0, "runs", "watch", id, "--turn")
	if err := worker.Process.Signal(terminate); err != nil {
		t.Fatal(err)
	}
	if err := worker.Wait(); err != nil || !strings.Contains(out.String(), "all runs were given back") {
		t.Errorf("the worker did not end in good order: %v\n%s", err, out.String())
	}
	if l := w.ledger(); len(l) != 1 || l[0].Process != worker.Process.Pid {
		t.Errorf("the ledger is %+v, want one payment by process %d", l, worker.Process.Pid)
	}
	if l := w.log(); l.said() != "That is settled." {
		t.Errorf("the conversation ends with %q", l.said())
	}
}

// The guided tour proves what it shows.
func TestDemo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env = append(w.env, "TMPDIR="+t.TempDir())
	r := w.run(0, "demo", "--fast")
	if strings.Contains(r.stdout, "NOT PROVEN") || strings.Count(r.stdout, "✓") < 14 || !strings.Contains(r.stdout, "signal: killed") {
		t.Errorf("the tour has shown:\n%s", r.stdout)
	}
	if len(w.endpoint.Requests()) != 0 {
		t.Error("the tour has asked the endpoint of the user")
	}
}
